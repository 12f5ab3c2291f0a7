"""The tournament: arms of pretraining meet on tasks, beside random, constant and classical arms; one honest report."""
