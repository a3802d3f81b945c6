"""What one text does inside one model: attention, attribution, layers, and how far each can be trusted.

Everything starts from a `Reading`: the prompt and the answer as the model read them. All views speak of that one run.
"""
