"""From a suite to records: plans, the process of a trial, the training loop, checkpoints."""
