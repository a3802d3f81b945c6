"""Lessons: one reviewed source each (`source/`), from which `build.py` makes the notebooks; `kit/` is what they use."""
