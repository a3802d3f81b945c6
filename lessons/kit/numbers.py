"""Learners' numbers, for checks: whatever library they come from, and compared with room for rounding."""

from __future__ import annotations

import math
from typing import Any

from lessons.kit.checking import Wrong


def number(answer: Any) -> float:
    """An int, float, or a number of numpy's or torch's. Raises `Wrong` for what is none."""
    try:
        value = math.nan if isinstance(answer, str | bytes | bool | complex) else float(answer)
    except (TypeError, ValueError, RuntimeError, OverflowError):
        value = math.nan
    if not math.isfinite(value):
        raise Wrong(
            "A number was expected here: digits with a point, without quotation marks, unit or comma.",
            "Hier wird eine Zahl erwartet: Ziffern mit Punkt statt Komma, ohne Anführungszeichen und ohne Einheit.",
        )
    return value


def near(value: float, right: float, share: float = 0.01) -> bool:
    """Whether both are the same up to a share of the right one."""
    return abs(value - right) <= share * abs(right)
