"""Wrong answers to lesson 6: (exercise, what is handed to `lesson.check`, a piece of the English sentence)."""

from __future__ import annotations

import math
from typing import Any

import numpy
import torch

from litellama.scaling.law import Point, ScalingLaw, fit

LAW = ScalingLaw(E=1.0, A=60.0, alpha=0.5, B=90.0, beta=0.4)
POINTS = [
    Point(n, d, LAW.loss(n, d) * (1 + 0.03 * math.sin(n + d)) * (1.1 if n > 200_000 else 1))
    for n in (10_000.0, 30_000.0, 90_000.0, 270_000.0)
    for d in (50_000.0, 200_000.0, 800_000.0)
]
BIG, MOST = 270_000.0, 800_000.0
SMALLER = [point for point in POINTS if point.parameters < BIG]


def line(xs: Any, ys: Any) -> tuple[float, float]:
    slope, intercept = numpy.polyfit(numpy.log(xs), numpy.log(ys), 1)
    return float(numpy.exp(intercept)), float(-slope)


def by_the_ends(xs: Any, ys: Any) -> tuple[float, float]:
    b = -math.log(ys[-1] / ys[0]) / math.log(xs[-1] / xs[0])
    return ys[0] * xs[0] ** b, b


def in_tens(xs: Any, ys: Any) -> tuple[float, float]:
    slope, intercept = numpy.polyfit(numpy.log10(xs), numpy.log10(ys), 1)
    return float(numpy.exp(intercept)), float(-slope)


def raw(xs: Any, ys: Any) -> tuple[float, float]:
    slope, intercept = numpy.polyfit(xs, ys, 1)
    return float(intercept), float(-slope)


def root(c: float) -> float:
    return math.sqrt(c / 120)


WRONG: list[tuple[str, tuple[Any, ...], str]] = [
    ("6.1", (lambda xs, ys: line(xs, ys)[::-1],), "a comes first"),
    ("6.1", (lambda xs, ys: (line(xs, ys)[0], -line(xs, ys)[1]),), "slope of the line is -b"),
    ("6.1", (lambda xs, ys: (math.log(line(xs, ys)[0]), line(xs, ys)[1]),), "undo the logarithm"),
    ("6.1", (in_tens,), "numpy.log10"),
    ("6.1", (raw,), "points themselves"),
    ("6.1", (lambda xs, ys: (1.0, 1.0),), "was expected, not"),
    ("6.1", (lambda xs, ys: 0.4,), "Two numbers"),
    ("6.1", (by_the_ends,), "all of them must count"),
    ("6.2", (2**0.34,), "How many make it half"),
    ("6.2", (2,), "about a fifth"),
    ("6.2", (1 / 2 ** (1 / 0.34),), "Other way round"),
    ("6.2", (2 / 0.34,), "is an exponent"),
    ("6.2", (100,), "Solve"),
    ("6.2", ("eight",), "A number"),
    ("6.3", (lambda n, d: 2 * n * d,), "way there alone"),
    ("6.3", (lambda n, d: 4 * n * d,), "way back alone"),
    ("6.3", (lambda n, d: n * d,), "The 6 is missing"),
    ("6.3", (lambda n, d: 6 * n + d,), "Multiply"),
    ("6.3", (lambda n: n,), "stopped with an error"),
    ("6.4", (fit(POINTS).loss(BIG, MOST), POINTS), "has seen what it foretells"),
    ("6.4", (POINTS[-1].loss, POINTS), "was measured"),
    ("6.4", (fit(SMALLER).loss(90_000.0, MOST), POINTS), "another size"),
    ("6.4", (fit(POINTS[:-1]).loss(BIG, MOST), POINTS), "one run only"),
    ("6.4", (fit(POINTS[3:]).loss(BIG, MOST), POINTS), "smallest size"),
    ("6.4", (17.0, POINTS), "Three steps"),
    ("6.5", (lambda c: (20 * root(c), root(c)),), "other order"),
    ("6.5", (lambda c: (math.sqrt(c / 6), math.sqrt(c / 6)),), "exactly the budget"),
    ("6.5", (lambda c: (c / 120, c / 6),), "square root"),
    ("6.5", (lambda c: (1, 2),), "Solve for N"),
    ("6.5", (lambda c: root(c),), "Two numbers"),
    ("6.6", ("a",), "Surely"),
    ("6.6", ("c",), "another tokenizer"),
    ("6.6", ("d",), "single sentences"),
    ("6.6", ("yes",), "quotation marks"),
    ("6.6", (2,), "quotation marks"),
    ("6.7", (lambda loss, size: loss / size,), "nats per byte"),
    ("6.7", (lambda loss, size: loss / math.log(2),), "bits per token"),
    ("6.7", (lambda loss, size: loss * math.log(2) / size,), "instead of multiplying"),
    ("6.7", (lambda loss, size: loss * size / math.log(2),), "shared out"),
    ("6.7", (lambda loss, size: loss / size / math.log(2) / 8,), "No 8"),
    ("6.7", (lambda loss, size: 1.0,), "yours gives 1"),
]
RIGHT: list[tuple[str, tuple[Any, ...]]] = [
    ("6.1", (lambda xs, ys: numpy.array(line(xs, ys)),)),
    ("6.1", (lambda xs, ys: torch.tensor(line(xs, ys)),)),
    ("6.2", (7.7,)),
    ("6.2", (numpy.float64(7.68),)),
    ("6.3", (lambda n, d: 2 * n * d + 4 * n * d,)),
    ("6.4", (torch.tensor(fit(SMALLER).loss(BIG, MOST)), POINTS)),
    ("6.5", (lambda c: [int(root(c)), int(20 * root(c))],)),
    ("6.6", ("B",)),
    ("6.6", ("b)",)),
    ("6.7", (lambda loss, size: math.log2(math.e) * loss / size,)),
]
"""Answers other than the source's own that must pass as well."""
