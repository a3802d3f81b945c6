"""The Attention tab: what every head attends to."""
