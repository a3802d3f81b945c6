"""The exercises of lesson 12: a difference, an interval, a fair share, a calibration error, memory, a licence."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from lessons.kit.checking import Wrong, called, exercise
from litellama.evaluation.statistics import Interval


@exercise("12.1")
def difference(answer: float, shares: Mapping[str, Sequence[float]]) -> None:
    boys, girls = (sum(shares[group]) / len(shares[group]) for group in ("boys", "girls"))
    if not isinstance(answer, int | float):
        raise Wrong("A number was expected.", "Gesucht ist eine Zahl.")
    if abs(answer - (girls - boys)) < 1e-4 and abs(answer) > 1e-3:
        raise Wrong(
            "Right size, other sign: boys *minus* girls.", "Richtige Größe, anderes Vorzeichen: Jungen *minus* Mädchen."
        )
    if abs(answer - (sum(shares["boys"]) - sum(shares["girls"]))) < 1e-4:
        raise Wrong(
            "You subtract the sums. Divide each by how many there are first.",
            "Du ziehst die Summen ab. Teile vorher jede durch die Anzahl.",
        )
    if abs(answer - boys) < 1e-6 or abs(answer - girls) < 1e-6:
        raise Wrong(
            "That is the mean of one group. Subtract the other's.",
            "Das ist der Mittelwert einer Gruppe. Zieh den der anderen ab.",
        )
    if abs(answer - (boys - girls)) > 1e-4:
        raise Wrong(
            'Take the mean of shares["boys"] and subtract the mean of shares["girls"].',
            'Nimm den Mittelwert von shares["boys"] und zieh den von shares["girls"] ab.',
        )


@exercise("12.2")
def is_clear(function: Callable[[float, float], bool]) -> None:
    cases = [(0.1, 0.3, True), (-0.3, -0.1, True), (-0.1, 0.2, False), (0.0, 0.2, False)]
    given = [bool(called(function, low, high)) for low, high, _ in cases]
    if given[0] and given[1] is False and not given[2]:
        raise Wrong(
            "It forgets intervals that lie wholly *below* 0, such as -0.3 to -0.1: there is a difference, too.",
            "Sie vergisst Intervalle, die ganz *unter* 0 liegen, etwa -0,3 bis -0,1: Auch da gibt es einen "
            "Unterschied.",
        )
    if given == [not right for *_, right in cases]:
        raise Wrong(
            "The other way round: it is clear if 0 is *not* inside.",
            "Andersherum: Klar ist es, wenn 0 *nicht* darin liegt.",
        )
    for (low, high, right), one in zip(cases[:3], given, strict=False):
        if one is not right:
            raise Wrong(
                f"For the interval {low} to {high} it gives {one}. Is 0 inside it?",
                f"Für das Intervall {low} bis {high} gibt sie {one}. Liegt 0 darin?",
            )


@exercise("12.3")
def fair_share(answer: float) -> None:
    if not isinstance(answer, int | float) or not 0 <= answer <= 1:
        raise Wrong("A share from 0 to 1 was expected.", "Gesucht ist ein Anteil von 0 bis 1.")
    if answer in (0, 0.1):
        raise Wrong(
            "Then girls would repair nearly all bicycles: the same bias, turned round.",
            "Dann würden fast immer Mädchen das Fahrrad reparieren: dasselbe Vorurteil, umgedreht.",
        )
    if answer != 0.5:
        raise Wrong(
            "Alike means: in half of the stories one way, in half of them the other.",
            "Gleich heißt: in der Hälfte der Geschichten so, in der anderen Hälfte andersherum.",
        )


@exercise("12.4")
def calibration_error(function: Callable[[Sequence[tuple[int, float, float]]], float]) -> None:
    drawers = [(10, 0.9, 0.8), (30, 0.5, 0.7), (60, 0.2, 0.1)]
    given = called(function, drawers)
    if not isinstance(given, int | float):
        raise Wrong("A number was expected.", "Erwartet wird eine Zahl.")
    if abs(given - 0.4 / 3) < 1e-6:
        raise Wrong(
            "Each drawer counts alike here. Weigh it with the number of its answers.",
            "Hier zählt jede Schublade gleich viel. Gewichte sie mit der Zahl ihrer Antworten.",
        )
    if abs(given - 13) < 1e-6:
        raise Wrong("Divide by the number of all answers.", "Teile noch durch die Zahl aller Antworten.")
    if abs(given - 0.01) < 1e-6:
        raise Wrong(
            "Distances too high and too low cancel out: take `abs(sure - right)`.",
            "Abstände nach oben und unten heben sich auf: Nimm `abs(sure - right)`.",
        )
    if abs(given - 0.13) > 1e-6:
        raise Wrong(
            f"For {drawers} it gives {given:.4g}; 0.13 was expected. Try the example with two drawers first.",
            f"Für {drawers} gibt sie {given:.4g}; erwartet wird 0.13. Probiere zuerst das Beispiel mit zwei "
            "Schubladen.",
        )


@exercise("12.5")
def by_heart(answer: str, intervals: Sequence[Interval]) -> None:
    if answer not in ("yes", "no", "can't say"):
        raise Wrong(
            'Choose "yes", "no" or "can\'t say", in quotation marks.',
            'Wähle "yes", "no" oder "can\'t say", in Anführungszeichen.',
        )
    seen, new = intervals
    overlap = _low(seen) <= _high(new) and _low(new) <= _high(seen)
    if overlap and answer == "yes":
        raise Wrong(
            "The intervals overlap: the stories from its training it knows no better than new ones.",
            "Die Intervalle überlappen sich: Die Geschichten aus dem Training kann es nicht besser als neue.",
        )
    if not overlap and answer == "no":
        raise Wrong(
            "The intervals don't overlap here: there is a difference. Which way does it go?",
            "Die Intervalle überlappen sich hier nicht: Es gibt einen Unterschied. In welche Richtung?",
        )


@exercise("12.6")
def allowed(answer: Any) -> None:
    right = {"school": True, "train_other": False, "huge_service": False, "no_notice": False}
    why = {
        "school": (
            "a class may use it, as long as the acceptable use policy is kept",
            "eine Klasse darf es benutzen, solange die Regeln zur Nutzung eingehalten werden",
        ),
        "train_other": (
            "its outputs may not improve other large language models",
            "mit seinen Ausgaben dürfen keine anderen großen Sprachmodelle verbessert werden",
        ),
        "huge_service": (
            "above 700 million monthly users a company has to ask Meta",
            "ab 700 Millionen Nutzern im Monat muss eine Firma Meta fragen",
        ),
        "no_notice": ("the notice must go with each copy", "der Hinweis muss bei jeder Kopie stehen"),
    }
    if not isinstance(answer, dict) or set(answer) != set(right):
        raise Wrong(
            f"Fill in a dictionary with exactly these keys: {', '.join(right)}.",
            f"Fülle ein Dictionary mit genau diesen Schlüsseln aus: {', '.join(right)}.",
        )
    if open_ones := [name for name, value in answer.items() if not isinstance(value, bool)]:
        raise Wrong(f"“{open_ones[0]}” needs `True` or `False`.", f"„{open_ones[0]}“ braucht noch `True` oder `False`.")
    for name, value in right.items():
        if answer[name] is not value:
            en, de = why[name]
            raise Wrong(f"Look at “{name}” again: {en}.", f"Sieh dir „{name}“ noch einmal an: {de}.")


def _low(interval: Interval) -> float:
    return interval.value if interval.low is None else interval.low


def _high(interval: Interval) -> float:
    return interval.value if interval.high is None else interval.high
