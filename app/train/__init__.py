"""The Train tab: a training, and the texts that are uploaded for it."""
