"""Answers to exercises of lesson 9: (exercise, what is handed to `lesson.check`, a piece of the English sentence)."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from litellama.explain.attention import ROLES, HeadRoles

QUESTION = "Tom has a red ball. Anna has a blue hat. What colour is the hat?"
SCORES = {name: torch.zeros(6, 6) for name in ROLES}
SCORES["induction"][3, [0, 2]] = 0.7  # layer 4
SCORES["previous token"][1, [2, 4]] = 0.9  # heads 2.3 and 2.5
FOUND = HeadRoles(SCORES)
HEADS = [(2, 3), (2, 5)]
LOOKS = torch.full((6, 6), 0.1)
LOOKS[3, 1] = 0.8  # head 4.2
NEEDED = [(1, 1), (1, 6), (2, 5)]
EVERY = [(layer, head) for layer in range(1, 7) for head in range(1, 7)]


def score(shift: int) -> Any:
    """Looks `shift` columns on from the same word."""

    def induction_score(weights: Tensor, n: int) -> Tensor:
        return torch.stack([weights[row][row - n + shift] for row in range(n + 1, 2 * n + 1)]).mean()

    return induction_score


def dots(weights: Tensor, n: int) -> Tensor:
    return sum(weights[row][...] for row in range(n + 1, 2 * n + 1)) / n


def total(weights: Tensor, n: int) -> Tensor:
    return torch.stack([weights[row][row - n + 1] for row in range(n + 1, 2 * n + 1)]).sum()


def in_python(weights: Tensor, n: int) -> float:
    return sum(weights.tolist()[row][row - n + 1] for row in range(n + 1, 2 * n + 1)) / n


WRONG: list[tuple[str, tuple[Any, ...], str]] = [
    ("9.1", (5,), "earlier `green`"),
    ("9.1", (12,), "token just before"),
    ("9.1", (13,), "stands at 13"),
    ("9.1", ("boat",), "number of the token"),
    ("9.1", (6.5,), "number of the token"),
    ("9.1", (8,), "what followed"),
    ("9.2", (score(0),), "one column on"),
    ("9.2", (score(-1),), "other side"),
    ("9.2", (lambda weights, n: score(n - 1)(weights, n),), "previous token"),
    ("9.2", (lambda weights, n: score(n)(weights, n),), "at itself"),
    ("9.2", (dots,), "one number"),
    ("9.2", (total,), "sum of the shares"),
    ("9.2", (lambda weights, n: 0.5,), "made-up map"),
    ("9.2", (lambda weights, n: weights[2 * n + 1, 0],), "stopped with an error"),
    ("9.2", (0.5,), "A function was expected"),
    ("9.2", (lambda weights, n: None,), "gives nothing back"),
    ("9.3", ("four", HEADS, FOUND), "whole number"),
    ("9.3", (3, HEADS, FOUND), "layers from 0"),
    ("9.3", (6, HEADS, FOUND), "In layer 6"),
    ("9.3", (4, "2.5", FOUND), "in a list"),
    ("9.3", (4, [2, 5, 6], FOUND), "in a list"),
    ("9.3", (4, [(3, 2), (5, 2)], FOUND), "other order"),
    ("9.3", (4, [(1, 2), (1, 4)], FOUND), "heads from 0"),
    ("9.3", (4, [(2, 3), (4, 1)], FOUND), "Head 4.1"),
    ("9.3", (4, [(2, 3)], FOUND), "not all"),
    ("9.3", (4, (2, 3), FOUND), "not all"),
    ("9.4", (0.6045,), "all heads on"),
    ("9.4", (torch.tensor(0.32),), "Only one"),
    ("9.4", (torch.ones(6, 6),), "One number"),
    ("9.4", ("none",), "One number"),
    ("9.4", (0.55,), "exactly the two"),
    ("9.5", ([], QUESTION), "empty"),
    ("9.5", (EVERY, QUESTION), "three dots"),
    ("9.5", ([head for head in EVERY if head not in NEEDED], QUESTION), "*not* missed"),
    ("9.5", ([(1, 1), (6, 6)], QUESTION), "Without head 6.6"),
    ("9.5", ([(0, 0)], QUESTION), "no such head"),
    ("9.5", (NEEDED[:2], QUESTION), "not all"),
    ("9.5", (["1.1"], QUESTION), "in a list"),
    ("9.6", (7, False, LOOKS), "one head"),
    ("9.6", ((3, 1), False, LOOKS), "counted from 0"),
    ("9.6", ((2, 4), False, LOOKS), "other order"),
    ("9.6", ((5, 5), False, LOOKS), "looks there more"),
    ("9.6", ((4, 2), True, LOOKS), "map suggests"),
    ("9.6", ((4, 2), "yes", LOOKS), "without quotation"),
    ("9.6", ((4, 2), "False", LOOKS), "without quotation"),
    ("9.7", ([4, 5, 6],), "Leave out head 5"),
    ("9.7", ([1, 2],), "other group"),
    ("9.7", ([1, 3],), "other group"),
    ("9.7", ([1, 3, 5],), "three in a row"),
    ("9.7", ([4],), "one more"),
    ("9.7", ([3, 6],), "which group"),
    ("9.7", (["4", "6"],), "whole numbers"),
]
RIGHT: list[tuple[str, tuple[Any, ...]]] = [
    ("9.1", (6.0,)),
    ("9.1", (torch.tensor(6),)),
    ("9.2", (score(1),)),
    ("9.2", (in_python,)),
    ("9.3", (4, [(2, 5), (2, 3)], FOUND)),
    ("9.3", (4.0, ((2, 3), [2, 5]), FOUND)),
    ("9.5", ([(2, 5), (1, 6), (1, 1)], QUESTION)),
    ("9.5", (set(NEEDED), QUESTION)),
    ("9.6", ([4, 2], 0, LOOKS)),
    ("9.7", ((6, 4),)),
    ("9.7", ({4, 6},)),
    ("9.7", ([(3, 4), (3, 6)],)),
]
"""Answers other than the source's own that must pass as well."""
