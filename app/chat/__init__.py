"""The Chat tab: one model, or two side by side."""
