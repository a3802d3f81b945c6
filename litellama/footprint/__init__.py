"""What a model costs: its size, its work, its energy; computed, measured or published, and always saying which."""
