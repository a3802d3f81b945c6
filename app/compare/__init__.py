"""The Compare tab: size, cost and quality of models, each figure with its source."""
