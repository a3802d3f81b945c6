"""The Layers tab: what the model would say if it stopped after each layer."""
