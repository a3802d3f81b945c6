"""The exercises of lesson 5: the first loss, the cross-entropy, one weight downhill, a learning rate, when to stop, how
long to read, a shape."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from lessons.kit.checking import Wrong, called, exercise
from lessons.kit.numbers import near, number
from litellama.config import preset

VOCABULARY = 1024
LEAST, MOST = 100_000, 1_500_000
TOKENS_PER_WEIGHT = 20
LAST = 5  # steps whose mean is a training's loss at its end


@exercise("5.1")
def first_loss(answer: Any, vocabulary: int) -> None:
    value, right = number(answer), math.log(vocabulary)
    if near(value, right, 0.005):
        return
    if near(value, -right, 0.005):
        raise Wrong(
            "Right size, wrong sign: the logarithm of a probability is negative, and the loss is minus that.",
            "Der Betrag stimmt, das Vorzeichen nicht: Der Logarithmus einer Wahrscheinlichkeit ist negativ, und der "
            "Loss ist minus das.",
        )
    if near(value, math.log2(vocabulary)) or near(value, math.log10(vocabulary)):
        raise Wrong(
            "That is another logarithm. Use the natural one, `math.log`.",
            "Das ist ein anderer Logarithmus. Nimm den natürlichen, `math.log`.",
        )
    if near(value, 1 / vocabulary) or near(value, vocabulary):
        raise Wrong(
            f"With {vocabulary} tokens alike, each has the probability 1/{vocabulary}. The loss is minus the logarithm "
            "of that.",
            f"Bei {vocabulary} gleichen Tokens hat jedes die Wahrscheinlichkeit 1/{vocabulary}. Der Loss ist minus der "
            "Logarithmus davon.",
        )
    if value == 0:
        raise Wrong(
            "A loss of 0 would mean that the model is always right, and sure of it.",
            "Ein Loss von 0 hieße, dass das Modell immer recht hat und sich dabei sicher ist.",
        )
    raise Wrong(
        "Which probability does each token have if all have the same? The loss is minus its natural logarithm.",
        "Welche Wahrscheinlichkeit hat jedes Token, wenn alle dieselbe haben? Der Loss ist minus ihr natürlicher "
        "Logarithmus.",
    )


@exercise("5.2")
def cross_entropy(function: Any) -> None:
    generator = torch.Generator().manual_seed(5)
    logits = torch.randn(7, 11, generator=generator) * 2
    targets = torch.randint(11, (7,), generator=generator)
    value = _loss_of(function, logits, targets)
    logs = torch.log_softmax(logits, -1)[torch.arange(7), targets]
    right = float(-logs.mean())
    if not near(value, right, 1e-4):
        raise _wrong_loss(value, right, logits, targets, logs)
    large = _loss_of(function, logits * 100, targets)
    if not near(large, float(-torch.log_softmax(logits * 100, -1)[torch.arange(7), targets].mean()), 1e-4):
        raise Wrong(
            "Right for small scores, but for scores in the hundreds $e^z$ overflows. Take `torch.log_softmax`, which "
            "avoids that.",
            "Für kleine Punktzahlen stimmt es, aber bei Punktzahlen in den Hunderten läuft $e^z$ über. Nimm "
            "`torch.log_softmax`, das vermeidet es.",
        )


def _loss_of(function: Any, logits: Tensor, targets: Tensor) -> float:
    result = called(function, logits.clone(), targets.clone())
    if isinstance(result, Tensor) and result.numel() > 1:
        raise Wrong(
            f"The function gives {result.numel()} numbers. Give one: their mean.",
            f"Die Funktion gibt {result.numel()} Zahlen zurück. Gesucht ist eine: ihr Mittelwert.",
        )
    try:
        return float(result)
    except (TypeError, ValueError):
        raise Wrong("The function must give one number.", "Die Funktion muss eine Zahl zurückgeben.") from None


def _wrong_loss(value: float, right: float, logits: Tensor, targets: Tensor, logs: Tensor) -> Wrong:
    """Why a loss that should be `right` has this `value`."""
    if near(value, -right, 1e-4):
        return Wrong(
            "The sign is missing: logarithms of probabilities are negative, and the loss is minus their mean.",
            "Das Minuszeichen fehlt: Logarithmen von Wahrscheinlichkeiten sind negativ, und der Loss ist minus ihr "
            "Mittelwert.",
        )
    if near(abs(value), right * len(logs), 1e-4):
        return Wrong(
            "That is the sum over all places. Take the mean, or a longer text would always look worse.",
            "Das ist die Summe über alle Stellen. Nimm den Mittelwert, sonst sähe ein längerer Text immer schlechter "
            "aus.",
        )
    if near(abs(value), right / math.log(2), 1e-4):
        return Wrong("That is in bits. Use the natural logarithm.", "Das sind Bit. Nimm den natürlichen Logarithmus.")
    if near(abs(value), float(-logs.exp().mean().log()), 1e-4):
        return Wrong(
            "That is the logarithm of the mean probability. First take the logarithm at each place, then the mean.",
            "Das ist der Logarithmus der mittleren Wahrscheinlichkeit. Nimm erst an jeder Stelle den Logarithmus, dann "
            "den Mittelwert.",
        )
    if near(abs(value), float(logs.exp().mean()), 1e-4):
        return Wrong(
            "That is the mean probability of the targets. The logarithm is missing.",
            "Das ist die mittlere Wahrscheinlichkeit der Targets. Der Logarithmus fehlt.",
        )
    places = torch.arange(len(targets))
    if near(abs(value), abs(float(logits[places, targets].mean())), 1e-4):
        return Wrong(
            "That is the mean of the raw scores. Turn them into logarithms of probabilities first.",
            "Das ist der Mittelwert der rohen Punktzahlen. Mache zuerst Logarithmen von Wahrscheinlichkeiten daraus.",
        )
    if near(abs(value), abs(float(torch.log_softmax(logits, 0)[places, targets].mean())), 1e-4):
        return Wrong(
            "The softmax must run over the vocabulary, the last dimension (`dim=-1`), not over the places.",
            "Der Softmax muss über das Vokabular laufen, die letzte Dimension (`dim=-1`), nicht über die Stellen.",
        )
    if near(abs(value), float(-torch.log_softmax(logits, -1).mean()), 1e-4):
        return Wrong(
            "That is the mean over the whole vocabulary. At each place only the target counts: pick it out.",
            "Das ist der Mittelwert über das ganze Vokabular. An jeder Stelle zählt nur das Target: Greife es heraus.",
        )
    return Wrong(
        f"For a small example the loss is {right:.4f}, and your function gives {value:.4f}. Take `torch.log_softmax`, "
        "pick out each place's target, and give minus their mean.",
        f"Bei einem kleinen Beispiel ist der Loss {right:.4f}, deine Funktion gibt {value:.4f}. Nimm "
        "`torch.log_softmax`, greife an jeder Stelle das Target heraus und gib minus den Mittelwert zurück.",
    )


@exercise("5.3")
def descend(function: Any) -> None:
    start, rate, steps = 0.5, 2.0, 4
    result = called(function, start, rate, steps)
    try:
        path = [float(w) for w in result]
    except (TypeError, ValueError):
        raise Wrong(
            "Give a list of numbers: the weight to begin with, and the one after each step.",
            "Gesucht ist eine Liste von Zahlen: das Gewicht am Anfang und das nach jedem Schritt.",
        ) from None
    right = _path(start, rate, steps)
    if len(path) == len(right) and all(abs(a - b) < 1e-4 for a, b in zip(path, right, strict=True)):
        return
    if len(path) == steps and all(abs(a - b) < 1e-4 for a, b in zip(path, right[1:], strict=True)):
        raise Wrong(
            "The weight to begin with is missing at the front of the list.",
            "Am Anfang der Liste fehlt das Gewicht, mit dem es losgeht.",
        )
    if len(path) != len(right):
        raise Wrong(
            f"For {steps} steps the list has {len(path)} numbers; {len(right)} were expected, the first one is the "
            "beginning.",
            f"Bei {steps} Schritten hat die Liste {len(path)} Zahlen; gesucht sind {len(right)}, die erste ist der "
            "Anfang.",
        )
    if abs(path[0] - start) > 1e-9:
        raise Wrong(
            f"The list must begin with the `w` that the function was given, {start}.",
            f"Die Liste muss mit dem `w` beginnen, das die Funktion bekommen hat, {start}.",
        )
    if len({round(w, 9) for w in path}) == 1:
        raise Wrong(
            "The weight never changes. Store the new value in `w` before the next step.",
            "Das Gewicht ändert sich nie. Speichere den neuen Wert in `w`, bevor der nächste Schritt kommt.",
        )
    if abs(path[1] - (2 * start - right[1])) < 1e-4:
        raise Wrong(
            "That goes uphill. Subtract the slope.", "So geht es bergauf. Die Steigung wird abgezogen.",
        )  # fmt: skip
    if abs(path[1] - _path(start, 1.0, 1)[1]) < 1e-4:
        raise Wrong(
            "The learning rate is missing: multiply the slope by it.",
            "Die Lernrate fehlt: Multipliziere die Steigung mit ihr.",
        )
    if abs(path[1] - right[1]) < 1e-4:
        raise Wrong(
            "The first step is right, the later ones are not. Compute `p` anew in each step, from the new `w`.",
            "Der erste Schritt stimmt, die späteren nicht. Berechne `p` in jedem Schritt neu, aus dem neuen `w`.",
        )
    raise Wrong(
        f"From w = {start} with the rate {rate} the first step leads to {right[1]:.4f}; yours leads to {path[1]:.4f}. "
        "First compute p = 1 / (1 + exp(-w)), then take rate times (p - 0.8) away from w.",
        f"Von w = {start} führt der erste Schritt mit der Rate {rate} zu {right[1]:.4f}, deiner führt zu "
        f"{path[1]:.4f}. Berechne zuerst p = 1 / (1 + exp(-w)) und ziehe dann Rate mal (p - 0.8) von w ab.",
    )


def _path(w: float, rate: float, steps: int) -> list[float]:
    path = [w]
    for _ in range(steps):
        path.append(path[-1] - rate * (1 / (1 + math.exp(-path[-1])) - 0.8))
    return path


@exercise("5.4")
def best_rate(answer: Any, losses: Mapping[float, Sequence[float]]) -> None:
    value = number(answer)
    ends = {rate: sum(fell[-LAST:]) / len(fell[-LAST:]) for rate, fell in losses.items() if fell}
    best = min(ends, key=ends.__getitem__)
    if near(value, best):
        return
    rate = next((rate for rate in ends if near(value, rate)), None)
    if rate is None:
        rates = ", ".join(f"{rate:g}" for rate in losses)
        raise Wrong(f"Choose one of the three rates: {rates}.", f"Wähle eine der drei Lernraten: {rates}.")
    if rate < best:
        raise Wrong(
            f"With {rate:g} the loss falls, but slowly: at the end it is at {ends[rate]:.2f}. Another line is lower.",
            f"Mit {rate:g} fällt der Loss, aber langsam: Am Ende liegt er bei {ends[rate]:.2f}. Eine andere Linie "
            "liegt tiefer.",
        )
    raise Wrong(
        f"With {rate:g} the steps are so large that they jump over the valley: the loss stays at {ends[rate]:.2f}. "
        "Another line is lower.",
        f"Mit {rate:g} sind die Schritte so groß, dass sie über das Tal springen: Der Loss bleibt bei "
        f"{ends[rate]:.2f}. Eine andere Linie liegt tiefer.",
    )


@exercise("5.5")
def where_to_stop(function: Any) -> None:
    held = [(10, 5.1), (20, 4.6), (30, 4.4), (40, 4.7), (50, 5.3)]
    value = called(function, list(held))
    if isinstance(value, tuple | list):
        raise Wrong(
            "That is a pair or a list. Give the step alone.",
            "Das ist ein Paar oder eine Liste. Gesucht ist nur der Schritt.",
        )
    value = number(value)
    if near(value, 4.4):
        raise Wrong("That is the lowest loss. Give its step.", "Das ist der kleinste Loss. Gesucht ist sein Schritt.")
    if value == 2:
        raise Wrong(
            "That is the place in the list. Give the step that stands there.",
            "Das ist die Stelle in der Liste. Gesucht ist der Schritt, der dort steht.",
        )
    if value == 50:
        raise Wrong(
            "That is the last step, or the one with the highest held-out loss. By then it has risen again.",
            "Das ist der letzte Schritt oder der mit dem größten zurückgehaltenen Loss. Bis dahin ist er wieder "
            "gestiegen.",
        )
    if value != 30:
        raise Wrong(
            f"For {held} the held-out loss is lowest behind step 30, and your function gives {value:g}.",
            f"Bei {held} ist der zurückgehaltene Loss nach Schritt 30 am kleinsten, deine Funktion gibt {value:g}.",
        )
    falling, early = [(5, 3.0), (10, 2.0), (15, 1.5)], [(8, 1.0), (16, 1.2), (24, 0.9), (32, 1.4)]
    for other, right in ((falling, 15), (early, 24)):
        got = number(called(function, list(other)))
        if got != right:
            raise Wrong(
                f"For {other} your function gives {got:g}, but the lowest held-out loss stands behind step {right}. "
                "Compare all pairs.",
                f"Bei {other} gibt deine Funktion {got:g}, der kleinste zurückgehaltene Loss steht aber nach Schritt "
                f"{right}. Vergleiche alle Paare.",
            )


@exercise("5.6")
def minutes(answer: Any, parameters: int, speed: float) -> None:
    value, right = number(answer), TOKENS_PER_WEIGHT * parameters / speed / 60
    if near(value, right, 0.02):
        return
    if near(value, 60 * right, 0.02):
        raise Wrong("Those are seconds. Divide by 60.", "Das sind Sekunden. Teile durch 60.")
    if near(value, right / 60, 0.02):
        raise Wrong("Those are hours; minutes were asked for.", "Das sind Stunden; gefragt sind Minuten.")
    if near(value, right / TOKENS_PER_WEIGHT, 0.02):
        raise Wrong(
            "That would be one token for each weight. It is to read 20.",
            "Das wäre ein Token pro Gewicht. Es soll 20 lesen.",
        )
    if near(value, TOKENS_PER_WEIGHT * parameters, 0.02):
        raise Wrong(
            "So many tokens it is to read. Divide by the speed to get the time.",
            "So viele Tokens soll es lesen. Teile durch das Tempo, dann bekommst du die Zeit.",
        )
    raise Wrong(
        "Three steps: the tokens (20 for each weight), divided by the tokens per second, divided by 60.",
        "Drei Schritte: die Tokens (20 für jedes Gewicht), geteilt durch die Tokens pro Sekunde, geteilt durch 60.",
    )


@exercise("5.7")
def shape(answer: Any) -> None:
    if not isinstance(answer, tuple | list) or len(answer) != 3:
        raise Wrong(
            "Three numbers in brackets were expected: (hidden_size, num_hidden_layers, intermediate_size).",
            "Gesucht sind drei Zahlen in Klammern: (hidden_size, num_hidden_layers, intermediate_size).",
        )
    if not all(isinstance(size, int) and not isinstance(size, bool) and size > 0 for size in answer):
        raise Wrong(
            "All three must be whole numbers above 0, without a decimal point.",
            "Alle drei müssen ganze Zahlen über 0 sein, ohne Dezimalpunkt.",
        )
    small = preset("litellama-300k")
    if tuple(answer) == (small.hidden_size, small.num_hidden_layers, small.intermediate_size):
        raise Wrong(
            "That is the preset itself. Change at least one of the numbers.",
            "Das ist das Preset selbst. Ändere mindestens eine der Zahlen.",
        )
    hidden, layers, inner = answer
    count = replace(
        small, vocab_size=VOCABULARY, hidden_size=hidden, num_hidden_layers=layers, intermediate_size=inner
    ).num_parameters
    if count < LEAST:
        raise Wrong(
            f"This shape has {count:,} weights, which is too few. `hidden_size` counts most: the embedding alone has "
            f"{VOCABULARY} times as many weights.",
            f"Diese Form hat {count} Gewichte, das sind zu wenige. Am meisten zählt `hidden_size`: Allein das "
            f"Embedding hat {VOCABULARY}-mal so viele Gewichte.",
        )
    if count > MOST:
        raise Wrong(
            f"This shape has {count:,} weights, which is too many: its training would take long here.",
            f"Diese Form hat {count} Gewichte, das sind zu viele: Ihr Training würde hier lange dauern.",
        )
