"""Numbers as learners hand them over: whole or not, of numpy or torch."""

from __future__ import annotations

import math
from typing import Any

from lessons.kit.checking import Wrong


def amount(answer: Any) -> float:
    """The answer as a number. Raises `Wrong` for what is none, such as a text, yes or no, or a table."""
    if not isinstance(answer, str | bytes | bool | complex):
        try:
            value = float(answer)
        except (TypeError, ValueError, OverflowError, RuntimeError):
            value = math.nan
        if math.isfinite(value):
            return value
    raise Wrong(
        "A number was expected here: digits with a point, without quotation marks, unit or comma.",
        "Hier wird eine Zahl erwartet: Ziffern mit Punkt statt Komma, ohne Anführungszeichen und ohne Einheit.",
    )


def near(value: float, right: float, share: float = 0.01) -> bool:
    """Whether two numbers are the same up to rounding."""
    return math.isclose(value, right, rel_tol=share, abs_tol=0)
