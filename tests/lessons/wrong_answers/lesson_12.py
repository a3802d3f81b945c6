"""Wrong answers to lesson 12: (exercise, what is handed to `lesson.check`, a piece of the English sentence)."""

from __future__ import annotations

from typing import Any

from litellama.evaluation.statistics import Interval

SHARES = {"boys": [0.9, 0.7, 0.8], "girls": [0.2, 0.4]}
ALIKE = [Interval(3.0, 2.0, 4.0), Interval(3.5, 2.5, 4.5)]
APART = [Interval(30.0, 20.0, 40.0), Interval(3.5, 2.5, 4.5)]
RIGHTS = {"school": True, "train_other": False, "huge_service": False, "no_notice": False}


def error(drawers: Any, weigh: bool = True, size: bool = True) -> float:
    total = sum(count for count, _, _ in drawers) if weigh else len(drawers)
    gaps = [((count if weigh else 1), sure - right) for count, sure, right in drawers]
    return sum(count * (abs(gap) if size else gap) for count, gap in gaps) / total


WRONG: list[tuple[str, tuple[Any, ...], str]] = [
    ("12.1", (-0.5, SHARES), "other sign"),
    ("12.1", (1.8, SHARES), "Divide each"),
    ("12.1", (0.8, SHARES), "mean of one group"),
    ("12.1", (0.1, SHARES), "Take the mean"),
    ("12.1", ("0.5", SHARES), "number"),
    ("12.2", (lambda low, high: low > 0,), "*below* 0"),
    ("12.2", (lambda low, high: low <= 0 <= high,), "other way round"),
    ("12.2", (lambda low, high: True,), "Is 0 inside"),
    ("12.3", (0.1,), "turned round"),
    ("12.3", (0.9,), "half of the stories"),
    ("12.3", (50,), "from 0 to 1"),
    ("12.4", (lambda drawers: error(drawers, weigh=False),), "counts alike"),
    ("12.4", (lambda drawers: sum(n * abs(s - r) for n, s, r in drawers),), "number of all answers"),
    ("12.4", (lambda drawers: error(drawers, size=False),), "cancel out"),
    ("12.4", (lambda drawers: 0.5,), "was expected"),
    ("12.4", (lambda drawers: "little",), "A number"),
    ("12.5", ("yes", ALIKE), "no better"),
    ("12.5", ("no", APART), "don't overlap"),
    ("12.5", ("maybe", ALIKE), "Choose"),
    ("12.6", (RIGHTS | {"school": False},), "a class may"),
    ("12.6", (RIGHTS | {"huge_service": True},), "700 million"),
    ("12.6", (RIGHTS | {"no_notice": ...},), "needs `True`"),
    ("12.6", ({"school": True},), "exactly these keys"),
]
RIGHT: list[tuple[str, tuple[Any, ...]]] = [
    ("12.1", (0.5, SHARES)),
    ("12.2", (lambda low, high: low * high > 0,)),
    ("12.4", (error,)),
    ("12.5", ("can't say", ALIKE)),
    ("12.5", ("yes", APART)),
]
