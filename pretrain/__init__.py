"""The pretraining loop: any objective, any architecture that can learn it, one standard checkpoint."""
