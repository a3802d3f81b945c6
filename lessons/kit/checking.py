"""Checks: each is a function that looks at a learner's answer and raises `Wrong` with a sentence that helps.

@exercise("2.1")
def count(answer: int) -> None:
    if answer == 5:
        raise Wrong("That counts words; tokens were asked for.", "Das zählt Wörter; gefragt sind Tokens.")
"""

from __future__ import annotations

import importlib
import textwrap
from collections.abc import Callable
from typing import Any

CHECKS: dict[str, Callable[..., None]] = {}
"""Filled when a lesson's module of checks is imported."""


class Wrong(Exception):
    """An answer is not right; says why, in both languages, so that the learner can go on."""

    def __init__(self, en: str, de: str) -> None:
        super().__init__(en)
        self.sentences = {"en": en, "de": de}


class NotYet(AssertionError):
    """What a notebook shows of a `Wrong`: one sentence, without the lines of code that led there."""

    def _render_traceback_(self) -> list[str]:  # IPython asks for this
        return ["\n".join(textwrap.wrap(str(self), 88))]  # JupyterLab would cut words at the edge


def exercise(number: str) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Makes a function the check of exercise `number`, such as "2.1"."""

    def enter(check: Callable[..., None]) -> Callable[..., None]:
        CHECKS[number] = check
        return check

    return enter


def judge(number: str, answers: tuple[Any, ...]) -> None:
    """Look at the answers to one exercise. Raises `Wrong`, and `ValueError` for an exercise that there isn't."""
    importlib.import_module(f"lessons.checks.lesson_{int(number.split('.')[0]):02d}")
    if number not in CHECKS:
        raise ValueError(f"there is no exercise {number!r}; the check cell must name one of this lesson's")
    if any(_is_empty(answer) for answer in answers):
        raise EMPTY
    CHECKS[number](*answers)


EMPTY = Wrong(
    "There is no answer yet. Write one in the cell above in place of the three dots, run that cell, then this one.",
    "Hier steht noch keine Antwort. Schreibe sie in die Zelle darüber, statt der drei Punkte, führe die Zelle aus und "
    "dann diese.",
)


def _is_empty(answer: Any) -> bool:
    """Three dots, nothing, or several three dots in brackets."""
    dots = isinstance(answer, tuple | list) and len(answer) > 0 and all(part is ... for part in answer)
    return answer is ... or answer is None or dots


def called(function: Any, *arguments: Any, **named: Any) -> Any:
    """What the learner's function gives for these arguments. Raises `Wrong` if it stops with an error, if it gives
    nothing, or if it isn't a function."""
    if not callable(function):
        raise Wrong(
            f"A function was expected here, and this is {_shown(function)}. Hand over its name without brackets.",
            f"Hier wird eine Funktion erwartet, das ist aber {_shown(function)}. Übergib ihren Namen ohne Klammern.",
        )
    name = getattr(function, "__name__", "function")
    try:
        result = function(*arguments, **named)
    except Exception as error:
        said = f"{type(error).__name__}: {str(error).splitlines()[0] if str(error) else ''}".rstrip(": ")
        raise Wrong(
            f"`{name}` stopped with an error: {said}. Call it yourself in a new cell to see the line.",
            f"`{name}` ist mit einem Fehler stehen geblieben: {said}. Rufe die Funktion in einer neuen Zelle auf, dann "
            "siehst du die Zeile.",
        ) from error
    if result is ...:
        raise EMPTY
    if result is None:
        raise Wrong(
            f"`{name}` gives nothing back. Write its code in place of the three dots and end it with `return`.",
            f"`{name}` gibt nichts zurück. Schreibe den Code an die Stelle der drei Punkte und beende ihn mit "
            "`return`.",
        )
    return result


def _shown(value: Any) -> str:
    """A value in a sentence: not longer than a line."""
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."
