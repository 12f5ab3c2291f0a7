"""What every room stands on: keyed randomness, refusals, durable files, the command line, the HTML page."""
