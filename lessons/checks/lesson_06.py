"""The exercises of lesson 6: a power law, a factor, the price of a training, a forecast, a budget, a range, a fair
unit."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy

from lessons.kit.checking import Wrong, called, exercise
from lessons.kit.numbers import near, number
from litellama.scaling.law import Point, fit

ALPHA = 0.34
TOKENS_PER_PARAMETER = 20


def pair(answer: Any) -> tuple[float, float]:
    """A learner's two numbers. Raises `Wrong` for anything else."""
    try:
        first, second = answer
    except (TypeError, ValueError):
        raise Wrong(
            "Two numbers were expected, as (first, second).", "Gesucht sind zwei Zahlen: (erste, zweite)."
        ) from (None)
    return number(first), number(second)


@exercise("6.1")
def fit_power_law(function: Any) -> None:
    a, b = 7.0, 0.4
    xs = [1000.0, 3000.0, 10_000.0, 50_000.0]
    ys = [a * x**-b for x in xs]
    got_a, got_b = pair(called(function, list(xs), list(ys)))
    if near(got_a, a, 0.01) and near(got_b, b, 0.01):
        _is_least_squares(function)
        return
    if near(got_a, b, 0.01) and near(abs(got_b), a, 0.01):
        raise Wrong("Both are right, but a comes first: (a, b).", "Beide stimmen, aber a kommt zuerst: (a, b).")
    if near(got_b, -b, 0.01) or near(got_a, -b, 0.01):
        raise Wrong(
            "The slope of the line is -b. Give b itself, which is positive for a line that falls.",
            "Die Steigung der Geraden ist -b. Gib b selbst zurück; für eine fallende Gerade ist es positiv.",
        )
    if near(got_b, b, 0.01) and (near(got_a, math.log(a), 0.01) or near(got_a, math.log10(a), 0.01)):
        raise Wrong(
            "b is right. The intercept is the logarithm of a: undo the logarithm.",
            "b stimmt. Der Achsenabschnitt ist der Logarithmus von a: Mache den Logarithmus rückgängig.",
        )
    if near(got_b, b, 0.01):
        raise Wrong(
            "b is right, a is not. If you take `numpy.log`, undo it with `numpy.exp`; `numpy.log10` with `10 ** ...`.",
            "b stimmt, a nicht. `numpy.log` wird mit `numpy.exp` rückgängig gemacht, `numpy.log10` mit `10 ** ...`.",
        )
    slope, intercept = numpy.polyfit(xs, ys, 1)
    if near(abs(got_b), abs(slope), 0.01) or near(got_a, intercept, 0.01):
        raise Wrong(
            "That is a line through the points themselves. Take the logarithm of the xs and of the ys first.",
            "Das ist eine Gerade durch die Punkte selbst. Nimm zuerst den Logarithmus der xs und der ys.",
        )
    raise Wrong(
        f"For points that lie exactly on 7 · x^-0.4 the pair (7, 0.4) was expected, not ({got_a:.4g}, {got_b:.4g}). "
        "Take the logarithm of both, fit the line, and turn its intercept back.",
        f"Bei Punkten, die genau auf 7 · x^-0.4 liegen, ist (7, 0.4) gesucht, nicht ({got_a:.4g}, {got_b:.4g}). Nimm "
        "von beiden den Logarithmus, passe die Gerade an und rechne ihren Achsenabschnitt zurück.",
    )


def _is_least_squares(function: Any) -> None:
    """All points count, not just the first and last."""
    xs, ys = [1.0, 2.0, 4.0, 8.0], [1.0, 0.9, 0.2, 0.4]
    slope, _ = numpy.polyfit(numpy.log(xs), numpy.log(ys), 1)
    _, b = pair(called(function, list(xs), list(ys)))
    if not near(b, -slope, 0.02):
        raise Wrong(
            "Right for points on one line. If they scatter, all of them must count: `numpy.polyfit` does that.",
            "Für Punkte auf einer Geraden stimmt es. Wenn sie streuen, müssen alle zählen: `numpy.polyfit` macht das.",
        )


@exercise("6.2")
def times(answer: Any) -> None:
    value, right = number(answer), 2 ** (1 / ALPHA)
    if near(value, right, 0.02):
        return
    if near(value, 2**ALPHA, 0.02):
        raise Wrong(
            "Twice as many parameters make the part smaller by that factor. How many make it half?",
            "Um diesen Faktor wird der Teil mit doppelt so vielen Parametern kleiner. Mit wie vielen wird er halb so "
            "groß?",
        )
    if near(value, 2, 0.01):
        raise Wrong(
            "With twice as many it shrinks by 2 to the power of 0.34 only, by about a fifth. More are needed.",
            "Mit doppelt so vielen schrumpft er nur um den Faktor 2 hoch 0,34, also um etwa ein Fünftel. Es müssen "
            "mehr sein.",
        )
    if near(value, 1 / right, 0.02):
        raise Wrong("Other way round: it needs more parameters.", "Andersherum: Es braucht mehr Parameter.")
    if near(value, 2 / ALPHA, 0.02) or near(value, 1 / ALPHA, 0.02):
        raise Wrong(
            "α is an exponent, so dividing by it is not enough. Solve times to the power of 0.34 = 2.",
            "α ist ein Exponent, teilen allein genügt nicht. Löse: times hoch 0,34 = 2.",
        )
    raise Wrong(
        "Solve times to the power of 0.34 = 2, that is, take 2 to the power of 1/0.34.",
        "Löse: times hoch 0,34 = 2. Rechne also 2 hoch 1/0,34.",
    )


@exercise("6.3")
def training_operations(function: Any) -> None:
    parameters, tokens = 1000, 70_000
    value, right = number(called(function, parameters, tokens)), 6 * parameters * tokens
    if near(value, right, 1e-6):
        return
    if near(value, right / 3, 1e-6):
        raise Wrong(
            "That is the way there alone. The way back costs twice as much again.",
            "Das ist nur der Hinweg. Der Rückweg kostet noch einmal doppelt so viel.",
        )
    if near(value, right * 2 / 3, 1e-6):
        raise Wrong("That is the way back alone. Add the way there.", "Das ist nur der Rückweg. Der Hinweg fehlt.")
    if near(value, right / 6, 1e-6):
        raise Wrong(
            "The 6 is missing: 2 operations there and 4 on the way back, for each parameter and token.",
            "Die 6 fehlt: 2 Operationen hin und 4 zurück, für jeden Parameter und jedes Token.",
        )
    raise Wrong(
        f"For {parameters} parameters and {tokens} tokens, {right} was expected; yours gives {value:g}. Multiply 6, N "
        "and D.",
        f"Bei {parameters} Parametern und {tokens} Tokens ist {right} gesucht, deine Funktion gibt {value:g}. "
        "Multipliziere 6, N und D.",
    )


@exercise("6.4")
def prediction(answer: Any, points: Sequence[Point]) -> None:
    value = number(answer)
    largest, most = max(one.parameters for one in points), max(one.tokens for one in points)
    kept = [one for one in points if one.parameters < largest]
    if near(value, fit(kept).loss(largest, most), 5e-4):
        return
    if any(near(value, one.loss, 1e-6) for one in points):
        raise Wrong(
            "That was measured. Let the law foretell it: `fit(...).loss(largest, most)`.",
            "Das ist gemessen. Lass es das Gesetz vorhersagen: `fit(...).loss(largest, most)`.",
        )
    if near(value, fit(points).loss(largest, most), 5e-4):
        raise Wrong(
            "The law has seen what it foretells: it was fitted to all runs. Leave out those of the largest size.",
            "Das Gesetz hat schon gesehen, was es vorhersagt: Es wurde an alle Trainings angepasst. Lass die der "
            "größten Größe weg.",
        )
    others = [one for one in points if one.parameters > min(one.parameters for one in points)]
    only_most = [one for one in points if (one.parameters, one.tokens) != (largest, most)]
    if near(value, fit(only_most).loss(largest, most), 5e-4):
        raise Wrong(
            "You left out one run only. Leave out all of the largest size, `point.parameters < largest`.",
            "Du hast nur ein Training weggelassen. Lass alle der größten Größe weg: `point.parameters < largest`.",
        )
    if near(value, fit(others).loss(largest, most), 5e-4):
        raise Wrong(
            "You left out the smallest size. Leave out the largest.",
            "Du hast die kleinste Größe weggelassen. Lass die größte weg.",
        )
    if any(near(value, fit(kept).loss(one.parameters, one.tokens), 5e-4) for one in points):
        raise Wrong(
            "The right law, asked about another size or another number of tokens. Ask for `largest` and `most`.",
            "Das richtige Gesetz, aber nach einer anderen Größe oder Tokenzahl gefragt. Frage nach `largest` und "
            "`most`.",
        )
    raise Wrong(
        "Three steps: keep the points with `point.parameters < largest`, `fit` them, ask the law for "
        "`.loss(largest, most)`.",
        "Drei Schritte: Behalte die Punkte mit `point.parameters < largest`, passe mit `fit` an, frage das Gesetz nach "
        "`.loss(largest, most)`.",
    )


@exercise("6.5")
def best_split(function: Any) -> None:
    operations = 1.2e18
    right = math.sqrt(operations / 6 / TOKENS_PER_PARAMETER)
    parameters, tokens = pair(called(function, operations))
    if near(parameters, right, 0.001) and near(tokens, TOKENS_PER_PARAMETER * right, 0.001):
        return
    if near(tokens, right, 0.001) and near(parameters, TOKENS_PER_PARAMETER * right, 0.001):
        raise Wrong(
            "Right numbers, other order: the parameters first.", "Richtig, aber andersherum: erst die Parameter."
        )
    if parameters > 0 and near(6 * parameters * tokens, operations, 0.001):
        raise Wrong(
            f"Your split costs exactly the budget, but has {tokens / parameters:.3g} tokens for each parameter; 20 "
            "were asked for.",
            f"Deine Aufteilung kostet genau das Budget, hat aber {tokens / parameters:.3g} Tokens pro Parameter; "
            "gefragt sind 20.",
        )
    if parameters > 0 and near(tokens, TOKENS_PER_PARAMETER * parameters, 0.001):
        spent = 6 * parameters * tokens / operations
        raise Wrong(
            f"20 tokens for each parameter are right, but 6 N D is {spent:.3g} times the budget. Put D = 20 N into "
            "6 N D = C and solve for N: there is a square root in it.",
            f"20 Tokens pro Parameter stimmen, aber 6 N D ist das {spent:.3g}-Fache des Budgets. Setze D = 20 N in "
            "6 N D = C ein und löse nach N auf: Es kommt eine Wurzel vor.",
        )
    raise Wrong(
        "Put D = 20 N into 6 N D = C. That gives 120 N² = C. Solve for N, then take D = 20 N.",
        "Setze D = 20 N in 6 N D = C ein. Das ergibt 120 N² = C. Löse nach N auf und nimm dann D = 20 N.",
    )


@exercise("6.6")
def meaning(answer: Any) -> None:
    letter = answer.strip().strip("()*.").lower() if isinstance(answer, str) else ""
    if letter == "b":
        return
    if letter == "a":
        raise Wrong(
            "“Surely” is too much. All fits use the same form of law, and nobody has measured whether it goes on so "
            "far.",
            "„Sicher“ ist zu viel gesagt. Alle Anpassungen nehmen dieselbe Form des Gesetzes an, und niemand hat "
            "gemessen, ob es so weit gilt.",
        )
    if letter == "c":
        raise Wrong(
            "Meta's models read other text with another tokenizer. Their losses cannot be compared with these.",
            "Metas Modelle haben anderen Text mit einem anderen Tokenizer gelesen. Ihre Verluste lassen sich mit "
            "diesen nicht vergleichen.",
        )
    if letter == "d":
        raise Wrong(
            "The loss is a mean over all text, and the range is one of that mean. It says nothing of single sentences.",
            "Der Loss ist ein Mittelwert über den ganzen Text, und die Spanne gehört zu diesem Mittelwert. Über "
            "einzelne Sätze sagt sie nichts.",
        )
    raise Wrong('Write one of the letters in quotation marks, such as "a".', 'Schreibe einen Buchstaben wie "a".')


@exercise("6.7")
def bits_per_byte(function: Any) -> None:
    loss, size = 2.9, 4.2
    value, right = number(called(function, loss, size)), loss / math.log(2) / size
    if near(value, right, 0.001):
        return
    if near(value, loss / size, 0.001):
        raise Wrong("Those are nats per byte. Divide by ln 2.", "Das sind nat pro Byte. Teile durch ln 2.")
    if near(value, loss / math.log(2), 0.001):
        raise Wrong(
            "Those are bits per token. Divide by the bytes of a token.",
            "Das sind Bit pro Token. Teile durch die Bytes eines Tokens.",
        )
    if near(value, loss * math.log(2) / size, 0.001):
        raise Wrong(
            "A bit is ln 2 nats, so a number of nats has more bits: divide by ln 2 instead of multiplying.",
            "Ein Bit sind ln 2 nat, also sind es mehr Bit als nat: Teile durch ln 2, statt damit zu multiplizieren.",
        )
    if near(value, loss / math.log(2) * size, 0.001):
        raise Wrong(
            "A token of many bytes tells more, so its loss is shared out among them: divide by the bytes.",
            "Ein Token mit vielen Bytes sagt mehr, sein Loss verteilt sich auf sie: Teile durch die Bytes.",
        )
    if near(value, right / 8, 0.001) or near(value, loss / size / 8, 0.001):
        raise Wrong(
            "No 8 is needed: the loss is told in bits, and for each byte of the text.",
            "Eine 8 braucht es nicht: Der Loss wird in Bit angegeben, und zwar für jedes Byte des Textes.",
        )
    raise Wrong(
        f"For 2.9 nats per token and 4.2 bytes per token, {right:.4f} was expected; yours gives {value:.4g}.",
        f"Bei 2,9 nat pro Token und 4,2 Byte pro Token ist {right:.4f} gesucht, deine Funktion gibt {value:.4g}.",
    )
