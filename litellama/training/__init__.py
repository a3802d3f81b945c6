"""Training: the TinyTown corpus, batches, the loop and the evaluation."""
