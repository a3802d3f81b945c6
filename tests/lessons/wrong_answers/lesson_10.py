"""Answers to exercises of lesson 10: (exercise, what is handed to `lesson.check`, a piece of the English sentence)."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy
import torch

from litellama.explain.scoring import Scorer

Z = 1.96


def losing(lost: Callable[[float, float], Any], *, everything: bool = False, nothing: bool = False) -> Any:
    """An ablation that makes something of the scores (whole, without)."""

    def ablation(scorer: Scorer, number: int) -> Any:
        kept = torch.ones(2, len(scorer.units), dtype=torch.bool)
        if everything:
            kept[1, ...] = False
        elif not nothing:
            kept[1, number] = False
        whole, without = scorer.scores(kept).tolist()
        return lost(whole, without)

    return ablation


def spread(inside: Callable[[float, float], float]) -> Any:
    """An interval whose half is z / below times what `inside` makes of share and number."""

    def wilson(hits: int, questions: int) -> tuple[float, float]:
        share, below = hits / questions, 1 + Z**2 / questions
        middle = (share + Z**2 / (2 * questions)) / below
        half = Z / below * inside(share, questions)
        return middle - half, middle + half

    return wilson


def right_half(share: float, n: float) -> float:
    return math.sqrt(share * (1 - share) / n + Z**2 / (4 * n**2))


def shifted(hits: int, questions: int) -> tuple[float, float]:
    low, high = spread(right_half)(hits, questions)
    return low + 0.1, high + 0.1


WRONG: list[tuple[str, tuple[Any, ...], str]] = [
    ("10.1", (["Anna", "blue"],), "Without “hat”"),
    ("10.1", (["Tom", "hat"],), "whom to name"),
    ("10.1", (["hat"],), "whom to name"),
    ("10.1", (["Anna", "has", "hat"],), "more than two"),
    ("10.1", (["Anna", "Hut"],), "not a word of the story"),
    ("10.1", ([5, 9],), "quotation marks"),
    ("10.2", (losing(lambda whole, without: without - whole),), "sign"),
    ("10.2", (losing(lambda whole, without: without),), "score without the word"),
    ("10.2", (losing(lambda whole, without: whole - without, everything=True),), "all words"),
    ("10.2", (losing(lambda whole, without: whole - without, nothing=True),), "Both versions are the same"),
    ("10.2", (losing(lambda whole, without: math.exp(whole) - math.exp(without)),), "Leave out"),
    ("10.2", (losing(lambda whole, without: 7.0),), "another story"),
    ("10.2", (losing(lambda whole, without: "lost"),), "one number"),
    ("10.2", (losing(lambda whole, without: None),), "gives nothing back"),
    ("10.2", (losing(lambda whole, without: 1 / 0),), "stopped with an error"),
    ("10.2", (3.5,), "A function was expected"),
    ("10.3", ("Anna",), "speaks *for* Anna"),
    ("10.3", ("red",), "does not name anybody"),
    ("10.3", ("Ben",), "not a word of the story"),
    ("10.3", (0,), "one word"),
    ("10.4", (lambda nothing, a, b, both: (a - nothing, b - nothing),), "come first only"),
    ("10.4", (lambda nothing, a, b, both: (both - b, both - a),), "come second only"),
    ("10.4", (lambda nothing, a, b, both: (a - nothing + both - b, b - nothing + both - a),), "Halve"),
    ("10.4", (lambda nothing, a, b, both: ((b - nothing + both - a) / 2, (a - nothing + both - b) / 2),), "exchanged"),
    ("10.4", (lambda nothing, a, b, both: ((both - nothing) / 2, (both - nothing) / 2),), "there already"),
    ("10.4", (lambda nothing, a, b, both: (0.0, both - nothing),), "sum is right"),
    ("10.4", (lambda nothing, a, b, both: (a, b),), "Not yet"),
    ("10.4", (lambda nothing, a, b, both: a - nothing,), "two numbers"),
    ("10.5", ("The hat is red. The hat is red.",), "The model answers"),
    ("10.5", ("Anna has a blue hat.",), "still scores"),
    ("10.5", ("The hat is blue. " * 200,), "longer than the model"),
    ("10.5", (2,), "quotation marks"),
    ("10.6", (spread(lambda p, n: right_half(p, n) ** 2),), "root is missing"),
    ("10.6", (spread(lambda p, n: math.sqrt(p * (1 - p) / n)),), "second term"),
    ("10.6", (spread(lambda p, n: math.sqrt(p * (1 - p) / n + Z**2 / 4 * n**2)),), "Brackets"),
    ("10.6", (spread(lambda p, n: math.sqrt(p * (1 - p) + Z**2 / (4 * n**2))),), "divided by n"),
    ("10.6", (shifted,), "the middle is not"),
    ("10.6", (lambda hits, questions: (0.0, 1.0),), "term by term"),
    ("10.6", (lambda hits, questions: 0.5,), "two numbers"),
    ("10.6", (spread(lambda p, n: p * ...),), "no answer yet"),
    ("10.4", (lambda nothing, a, b, both: (..., ...),), "no answer yet"),
    ("10.7", ("ABC",), "may be luck"),
    ("10.7", (["D"],), "may be luck"),
    ("10.7", ("A",), "supported, too"),
    ("10.7", ("ablation",), "letters"),
    ("10.7", (3,), "letters"),
]
RIGHT: list[tuple[str, tuple[Any, ...]]] = [
    ("10.1", (("hat", "anna"),)),
    ("10.1", (["Anna ... hat"],)),
    ("10.2", (losing(lambda whole, without: torch.tensor(whole - without)),)),
    ("10.3", (["Tom"],)),
    ("10.4", (lambda *s: numpy.array([(s[1] - s[0] + s[3] - s[2]) / 2, (s[2] - s[0] + s[3] - s[1]) / 2]),)),
    ("10.4", (lambda *s: [(s[3] - s[0] + s[1] - s[2]) / 2, (s[3] - s[0] + s[2] - s[1]) / 2],)),
    ("10.5", ("Anna has a blue hat. The hat is blue. The hat is blue.",)),
    ("10.6", (lambda hits, n: list(spread(right_half)(hits, n)),)),
    ("10.7", ("ca",)),
    ("10.7", (["A", "C"],)),
]
"""Answers other than the source's own that must pass as well."""
