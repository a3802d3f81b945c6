"""Wrong answers to lesson 5: (exercise, what is handed to `lesson.check`, a piece of the English sentence)."""

from __future__ import annotations

import math
from itertools import pairwise
from typing import Any

import numpy
import torch
from torch import Tensor
from torch.nn import functional as F

LOSSES = {3e-5: [7.0, 5.0, 5.0], 1e-2: [7.0, 4.0, 3.0], 0.5: [7.0, 6.0, 6.0]}
Pairs = list[tuple[int, float]]


def picked(logits: Tensor, targets: Tensor) -> Tensor:
    return torch.log_softmax(logits, -1)[torch.arange(len(targets)), targets]


def overflowing(logits: Tensor, targets: Tensor) -> Tensor:
    shares = logits.exp() / logits.exp().sum(-1, keepdim=True)
    return -shares[torch.arange(len(targets)), targets].log().mean()


def p(w: float) -> float:
    return 1 / (1 + math.exp(-w))


def walk(w: float, rate: float, steps: int, sign: float = -1.0) -> list[float]:
    path = [w]
    for _ in range(steps):
        path.append(path[-1] + sign * rate * (p(path[-1]) - 0.8))
    return path


def stale(w: float, rate: float, steps: int) -> list[float]:
    slope = p(w) - 0.8
    return [w - number * rate * slope for number in range(steps + 1)]


def until_it_rises(held: Pairs) -> int:
    for (step, loss), (_, after) in pairwise(held):
        if after > loss:
            return step
    return held[-1][0]


WRONG: list[tuple[str, tuple[Any, ...], str]] = [
    ("5.1", (-math.log(1024), 1024), "wrong sign"),
    ("5.1", (10.0, 1024), "another logarithm"),
    ("5.1", (math.log10(1024), 1024), "another logarithm"),
    ("5.1", (1 / 1024, 1024), "minus the logarithm"),
    ("5.1", (1024, 1024), "minus the logarithm"),
    ("5.1", (0, 1024), "always right"),
    ("5.1", (3.3, 1024), "Which probability"),
    ("5.1", ("ln 1024", 1024), "A number"),
    ("5.1", (math.nan, 1024), "A number"),
    ("5.2", (lambda z, t: picked(z, t).mean(),), "sign is missing"),
    ("5.2", (lambda z, t: -picked(z, t).sum(),), "the sum"),
    ("5.2", (lambda z, t: -picked(z, t).mean() / math.log(2),), "bits"),
    ("5.2", (lambda z, t: -picked(z, t).exp().mean().log(),), "mean probability. First"),
    ("5.2", (lambda z, t: picked(z, t).exp().mean(),), "logarithm is missing"),
    ("5.2", (lambda z, t: -z[torch.arange(len(t)), t].mean(),), "raw scores"),
    ("5.2", (lambda z, t: -torch.log_softmax(z, 0)[torch.arange(len(t)), t].mean(),), "over the vocabulary"),
    ("5.2", (lambda z, t: -torch.log_softmax(z, -1).mean(),), "whole vocabulary"),
    ("5.2", (lambda z, t: -picked(z, t),), "Give one"),
    ("5.2", (lambda z, t: "loss",), "one number"),
    ("5.2", (lambda z, t: 3.0,), "small example"),
    ("5.2", (overflowing,), "overflows"),
    ("5.2", (lambda z: z,), "stopped with an error"),
    ("5.2", (lambda z, t: None,), "nothing back"),
    ("5.2", (2.1,), "A function was expected"),
    ("5.3", (lambda w, rate, steps: walk(w, rate, steps)[1:],), "to begin with is missing"),
    ("5.3", (lambda w, rate, steps: walk(w, rate, steps)[:3],), "were expected"),
    ("5.3", (lambda w, rate, steps: walk(w, rate, steps, 1.0),), "uphill"),
    ("5.3", (lambda w, rate, steps: walk(w, 1.0, steps),), "learning rate is missing"),
    ("5.3", (lambda w, rate, steps: walk(0.0, rate, steps),), "must begin with"),
    ("5.3", (lambda w, rate, steps: [w] * (steps + 1),), "never changes"),
    ("5.3", (stale,), "anew in each step"),
    ("5.3", (lambda w, rate, steps: [w - 0.1 * n for n in range(steps + 1)],), "the first step leads"),
    ("5.3", (lambda w, rate, steps: walk(w, rate, steps)[-1],), "a list"),
    ("5.4", (3e-5, LOSSES), "slowly"),
    ("5.4", (0.5, LOSSES), "jump over"),
    ("5.4", (3.0, LOSSES), "one of the three"),
    ("5.4", ("0.01", LOSSES), "A number"),
    ("5.5", (lambda held: min(loss for _, loss in held),), "lowest loss"),
    ("5.5", (lambda held: min(range(len(held)), key=lambda n: held[n][1]),), "place in the list"),
    ("5.5", (lambda held: held[-1][0],), "last step"),
    ("5.5", (lambda held: min(held),), "the step alone"),
    ("5.5", (lambda held: held[0][0],), "lowest behind step 30"),
    ("5.5", (until_it_rises,), "Compare all pairs"),
    ("5.6", (20 * 300_000 / 10_000, 300_000, 10_000.0), "seconds"),
    ("5.6", (20 * 300_000 / 10_000 / 3600, 300_000, 10_000.0), "hours"),
    ("5.6", (300_000 / 10_000 / 60, 300_000, 10_000.0), "one token"),
    ("5.6", (20 * 300_000, 300_000, 10_000.0), "Divide by the speed"),
    ("5.6", (1.0, 300_000, 10_000.0), "Three steps"),
    ("5.7", (80,), "Three numbers"),
    ("5.7", ((80, 3),), "Three numbers"),
    ("5.7", ((80.0, 3, 256),), "whole numbers"),
    ("5.7", ((80, 0, 256),), "whole numbers"),
    ("5.7", ((64, 3, 256),), "preset itself"),
    ("5.7", ((16, 2, 64),), "too few"),
    ("5.7", ((512, 8, 2048),), "too many"),
]  # fmt: skip
RIGHT: list[tuple[str, tuple[Any, ...]]] = [
    ("5.1", (6.93, 1024)),
    ("5.1", (numpy.float64(math.log(1024)), 1024)),
    ("5.1", (torch.tensor(1024.0).log(), 1024)),
    ("5.2", (F.cross_entropy,)),
    ("5.2", (lambda z, t: float((z.logsumexp(-1) - z[range(len(t)), t]).mean()),)),
    ("5.3", (lambda w, rate, steps: tuple(walk(w, rate, steps)),)),
    ("5.3", (lambda w, rate, steps: torch.tensor(walk(w, rate, steps)),)),
    ("5.4", (numpy.float32(0.01), LOSSES)),
    ("5.5", (lambda held: sorted(held, key=lambda pair: pair[1])[0][0],)),
    ("5.6", (10, 300_000, 10_000.0)),
    ("5.7", ([96, 4, 200],)),
]
"""Answers other than the source's own that must pass as well."""
