"""Wrong answers to lesson 11: (exercise, what is handed to `lesson.check`, a piece of the English sentence)."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

RIGHT_REASONS = {"A": "boundary", "B": "grid", "C": "batch", "D": "unit"}
HOURS = 184_320 * 400  # watt-hours of LLaMA 2 7B's training, without the building
REPLIES = 81_100.8 * 3.6e6 / 1828.8


def kwh(joules: float, pupils: float, replies: float, days: float) -> float:
    return joules * pupils * replies * days / 3.6e6


WRONG: list[tuple[str, tuple[Any, ...], str]] = [
    ("11.1", (1350, 22.5), "watts by minutes"),
    ("11.1", (22.5, 22.5), "watts by hours"),
    ("11.1", (15, 22.5), "watts times seconds"),
    ("11.1", (81_000, 1350), "90 minutes are 1.5 hours"),
    ("11.1", (81_000, 81), "divided by 1000"),
    ("11.1", (81_000, 0.0225), "kilowatt-hours"),
    ("11.1", (81_000, 5), "Divide the joules by 3600"),
    ("11.1", ("81000", 22.5), "number was expected"),
    ("11.2", (6 / 3.0, 3.0, 6), "other way round"),
    ("11.2", (3.0, 3.0, 6), "whole answer"),
    ("11.2", (0.5 / 3600, 3.0, 6), "watt-hours"),
    ("11.2", (18.0, 3.0, 6), "multiply"),
    ("11.2", (0.7, 3.0, 6), "joules / tokens"),
    ("11.3", ("Tom has a red ball. Where is the ball?",), "The model answers"),
    ("11.3", (31,), "quotation marks"),
    ("11.3", ("  ",), "quotation marks"),
    ("11.4", (20 / 6 * 32,), "one more"),
    ("11.4", (128,), "Use both times"),
    ("11.4", (96,), "What happens once is missing"),
    ("11.4", (104,), "30 are missing"),
    ("11.4", (116,), "26 are missing"),
    ("11.4", (3,), "That is one layer"),
    ("11.4", (50,), "One more layer costs"),
    ("11.5", (lambda j, p, r, d: j * p * r * d,), "Those are joules"),
    ("11.5", (lambda j, p, r, d: j * p * r * d / 3600,), "watt-hours"),
    ("11.5", (lambda j, p, r, d: kwh(j, p, r, 1),), "one day"),
    ("11.5", (lambda j, p, r, d: kwh(j, 1, r, d),), "one pupil"),
    ("11.5", (lambda j, p, r, d: kwh(j, p, 1, d),), "one reply"),
    ("11.5", (lambda j, p, r, d: j * p * r * d * 3.6e6,), "don't multiply"),
    ("11.5", (lambda j, p, r, d: 1.0,), "your function gives"),
    ("11.5", (lambda j: j,), "stopped with an error"),
    ("11.5", (12.0,), "A function was expected"),
    ("11.6", (HOURS / 1000, 28), "building is missing"),
    ("11.6", (HOURS / 1000 / 1.1, 28), "don't divide"),
    ("11.6", (HOURS * 1.1, 28), "watt-hours"),
    ("11.6", (HOURS * 1.1 * 3600, 28), "joules"),
    ("11.6", (81.1, 28), "megawatt-hours"),
    ("11.6", (7, 28), "Hours times watts"),
    ("11.6", (81_101, 81_101 * 380.9), "grams"),
    ("11.6", (81_101, 81_101 * 0.3809), "kilograms"),
    ("11.6", (81_101, 31.22), "Germany's 380.9"),
    ("11.7", ("boundary",), "each of the letters"),
    ("11.7", ({"A": "grid"},), "each of the letters"),
    ("11.7", (RIGHT_REASONS | {"B": ...},), "no reason for B"),
    ("11.7", (RIGHT_REASONS | {"B": "place"},), "none of the reasons"),
    ("11.7", (RIGHT_REASONS | {"B": 3},), "none of the reasons"),
    ("11.7", (RIGHT_REASONS | {"A": "grid"},), "same place"),
    ("11.7", (RIGHT_REASONS | {"B": "boundary"},), "France"),
    ("11.7", (RIGHT_REASONS | {"C": "unit"},), "at once"),
    ("11.7", (RIGHT_REASONS | {"D": "batch"},), "exactly 1000"),
    ("11.8", (1 / REPLIES, 16), "other way round"),
    ("11.8", (81_101 / 1828.8, 16), "kilowatt-hours by joules"),
    ("11.8", (REPLIES / 1000, 16), "3600 joules"),
    ("11.8", (5, 16), "Divide the training"),
    ("11.8", (REPLIES, REPLIES / 1e6), "ten million"),
    ("11.8", (REPLIES, REPLIES / 10), "ten million"),
    ("11.8", (REPLIES, 3), "those of one day"),
]
RIGHT: list[tuple[str, tuple[Any, ...]]] = [
    ("11.1", (81_000.0, 22.5)),
    ("11.1", (np.float64(81_000), np.float64(22.5))),
    ("11.2", (torch.tensor(0.5), 3.0, 6)),
    ("11.3", ("Please tell me a long story about Anna.",)),
    ("11.4", (98.0,)),
    ("11.5", (lambda j, p, r, d: torch.tensor(kwh(j, p, r, d)),)),
    ("11.6", (81_101, 30.9)),
    ("11.7", ({letter: reason.upper() for letter, reason in reversed(RIGHT_REASONS.items())},)),
    ("11.8", (160e6, 16)),
]
"""Answers other than the source's own that must pass as well."""
