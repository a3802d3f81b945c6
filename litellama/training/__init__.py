"""Training: what is trained on what, the loop, its optimizers and its state on disk."""
