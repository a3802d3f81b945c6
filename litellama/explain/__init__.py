"""What one text does inside one model: attention, attribution, layers, and how far each can be trusted.

Everything starts from a `TokenizedRun`: the prompt and the answer as the model read them. All views show that one run.
"""
