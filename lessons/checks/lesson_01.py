"""The exercises of lesson 1: a story, the least sure token, a head, a ratio, a question from outside."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from torch import Tensor

from lessons.kit.asking import ask
from lessons.kit.checking import Wrong, exercise
from litellama.config import PRESETS
from litellama.generate import Step


@exercise("1.1")
def story(answer: str) -> None:
    if not isinstance(answer, str) or "ball" not in answer.lower():
        raise Wrong(
            'The story needs a ball in it: write a sentence in quotation marks, such as "Tom has a ... ball."',
            'In der Geschichte muss ein Ball (ball) vorkommen: Schreibe einen Satz in Anführungszeichen, etwa "Tom has '
            'a ... ball."',
        )
    said = ask(f"{answer} What colour is the ball?")
    if "green" not in said.lower():
        raise Wrong(
            f"The model answers: “{said}” Say in the story that the ball is green.",
            f"Das Modell antwortet: „{said}“ Sage in der Geschichte, dass der Ball grün (green) ist.",
        )


@exercise("1.2")
def least_sure(answer: float, steps: Sequence[Step]) -> None:
    probabilities = [step.probability for step in steps]
    if not isinstance(answer, int | float):
        raise Wrong("A number between 0 and 1 was expected.", "Gesucht ist eine Zahl zwischen 0 und 1.")
    if abs(answer - max(probabilities)) < 1e-6:
        raise Wrong(
            "That is the surest token. `min` gives the smallest.",
            "Das ist das sicherste Token. `min` gibt die kleinste Zahl.",
        )
    if abs(answer - 100 * min(probabilities)) < 1e-4:
        raise Wrong("That is in per cent; leave it as a share of 1.", "Das sind Prozent; gefragt ist der Anteil an 1.")
    if abs(answer - min(probabilities)) > 1e-6:
        raise Wrong(
            "That is not the smallest of the `step.probability`. Put them all into a list and take its `min`.",
            "Das ist nicht die kleinste der `step.probability`. Sammle sie alle in einer Liste und nimm deren `min`.",
        )


@exercise("1.3")
def previous_token_head(answer: Any, shares: Tensor) -> None:
    if not isinstance(answer, tuple | list) or len(answer) != 2 or not all(isinstance(n, int) for n in answer):
        raise Wrong("Give two whole numbers: (layer, head).", "Gesucht sind zwei ganze Zahlen: (Schicht, Kopf).")
    best = int(shares.argmax())
    right = (best // shares.shape[1] + 1, best % shares.shape[1] + 1)
    if tuple(answer) == (right[0] - 1, right[1] - 1):
        raise Wrong("You counted from 0. Count from 1.", "Du hast ab 0 gezählt. Zähle ab 1.")
    if tuple(answer) == right[::-1]:
        raise Wrong(
            "Right numbers, other order: the layer first.", "Richtige Zahlen, falsche Reihenfolge: erst die Schicht."
        )
    if tuple(answer) != right:
        raise Wrong(
            "Another head has a larger share. Look for the largest number in the whole table.",
            "Ein anderer Kopf hat einen größeren Anteil. Suche die größte Zahl der ganzen Tabelle.",
        )


@exercise("1.4")
def times(answer: float) -> None:
    large, small = (PRESETS[name].num_parameters for name in ("llama2-70b", "litellama-460m"))
    if not isinstance(answer, int | float):
        raise Wrong("A number was expected.", "Gesucht ist eine Zahl.")
    if abs(answer * large / small - 1) < 0.01:
        raise Wrong("Divide the other way round: large by small.", "Teile andersherum: groß durch klein.")
    if abs(answer - (large - small)) < 1e6:
        raise Wrong(
            "That is how many *more* there are. For “times as many”, divide.",
            "So viele sind es *mehr*. Für „wie viele Male so viele“ musst du teilen.",
        )
    if abs(answer / (large / small) - 1) > 0.02:
        raise Wrong(
            "Take the two numbers of weights from the table and divide the larger by the smaller.",
            "Nimm die beiden Anzahlen aus der Tabelle und teile die größere durch die kleinere.",
        )


@exercise("1.5")
def outside(answer: str) -> None:
    if not isinstance(answer, str) or not re.search(r"\w", answer):
        raise Wrong("Write a question in quotation marks.", "Schreibe eine Frage in Anführungszeichen.")
    said = ask(answer)
    if not re.search(r"only know|can't say|does not say", said):
        raise Wrong(
            f"The model answers: “{said}” Ask something about the real world, such as a country or a star.",
            f"Das Modell antwortet: „{said}“ Frage etwas aus der wirklichen Welt, nach einem Land oder einem Stern.",
        )
