"""Wrong answers to lesson 1: (exercise, what is handed to `lesson.check`, a piece of the English sentence)."""

from __future__ import annotations

from typing import Any

import torch

from litellama.generate import Step

STEPS = [Step(5, 0.9, ()), Step(6, 0.4, ()), Step(7, 0.99, ())]
SHARES = torch.full((6, 6), 0.1)
SHARES[2, 4] = 0.8  # layer 3, head 5

WRONG: list[tuple[str, tuple[Any, ...], str]] = [
    ("1.1", ("Tom is happy.",), "needs a ball"),
    ("1.1", ("Tom has a blue ball.",), "The model answers"),
    ("1.1", (7,), "needs a ball"),
    ("1.2", (0.99, STEPS), "surest"),
    ("1.2", (40.0, STEPS), "per cent"),
    ("1.2", (0.9, STEPS), "not the smallest"),
    ("1.2", ("0.4", STEPS), "number"),
    ("1.3", (5, SHARES), "two whole numbers"),
    ("1.3", ((2, 4), SHARES), "counted from 0"),
    ("1.3", ((5, 3), SHARES), "other order"),
    ("1.3", ((1, 1), SHARES), "Another head"),
    ("1.4", (1 / 149.4,), "other way round"),
    ("1.4", (68_514_967_552.0,), "divide"),
    ("1.4", (15.0,), "from the table"),
    ("1.5", ("Tom has a ball. Where is the ball?",), "The model answers"),
    ("1.5", (12,), "quotation marks"),
]
RIGHT: list[tuple[str, tuple[Any, ...]]] = [
    ("1.1", ("Mia found a green ball in the park.",)),
    ("1.2", (0.4, STEPS)),
    ("1.3", ((3, 5), SHARES)),
    ("1.5", ("How far is the moon?",)),
]
"""Answers other than the source's own that must pass as well."""
