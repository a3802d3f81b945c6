"""The exercises of lesson 13: examples, a data sheet, LoRA's weights, the merge, a share, a model card."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from lessons.kit.asking import opened
from lessons.kit.checking import Wrong, called, exercise
from litellama.checkpoint.archive import is_name

FEWEST, MOST_TOKENS = 6, 40
SHEET = ("about", "who", "count", "licence", "left_out")
CARD = ("name", "intended_use", "data", "limits", "licence", "figures")
SHORTEST = 10  # characters of a sentence that says something


@exercise("13.1")
def examples(answer: Any) -> None:
    if not isinstance(answer, list | tuple) or not all(
        isinstance(one, list | tuple) and len(one) == 3 for one in answer
    ):
        raise Wrong(
            "A list of triples was expected: (question, other wording, answer).",
            "Erwartet wird eine Liste von Tripeln: (Frage, andere Formulierung, Antwort).",
        )
    if len(answer) < FEWEST:
        raise Wrong(
            f"There are {len(answer)} examples; write at least {FEWEST}.",
            f"Es sind {len(answer)} Beispiele; schreibe mindestens {FEWEST}.",
        )
    tokenizer = opened().tokenizer
    for number, one in enumerate(answer, 1):
        first, second, _ = one
        if not all(isinstance(text, str) and text.strip(" .?") for text in one):
            raise Wrong(f"Example {number} has an empty place.", f"Beispiel {number} hat eine leere Stelle.")
        if not (first.strip().endswith("?") and second.strip().endswith("?")):
            raise Wrong(
                f"Example {number}: both wordings must end with a question mark.",
                f"Beispiel {number}: Beide Formulierungen müssen mit einem Fragezeichen enden.",
            )
        if first.strip().casefold() == second.strip().casefold():
            raise Wrong(
                f"Example {number}: the second wording is the first one. Ask the same in other words.",
                f"Beispiel {number}: Die zweite Formulierung ist die erste. Frage dasselbe mit anderen Worten.",
            )
        if max(len(tokenizer.encode(text)) for text in one) > MOST_TOKENS:
            raise Wrong(
                f"Example {number} is long for so small a model: at most {MOST_TOKENS} tokens each.",
                f"Beispiel {number} ist für ein so kleines Modell zu lang: höchstens {MOST_TOKENS} Tokens je Text.",
            )
    asked = [text.strip().casefold() for first, second, _ in answer for text in (first, second)]
    if len(set(asked)) < len(asked):
        twice = next(text for text in asked if asked.count(text) > 1)
        raise Wrong(f"This question stands there twice: “{twice}”", f"Diese Frage steht zweimal da: „{twice}“")


@exercise("13.2")
def data_sheet(answer: Any, examples: Sequence[Any]) -> None:
    _filled(answer, SHEET, but=("count",))
    if answer["count"] != len(examples):
        raise Wrong(
            f"`count` is {answer['count']}, and there are {len(examples)} examples. `len(examples)` never gets old.",
            f"`count` ist {answer['count']}, es sind aber {len(examples)} Beispiele. `len(examples)` veraltet nie.",
        )


@exercise("13.3")
def lora_weights(function: Callable[[int, Sequence[tuple[int, int]]], float]) -> None:
    shapes = [(192, 192), (64, 192)]
    given = called(function, 4, shapes)
    if given == 4 * (192 + 192):
        raise Wrong(
            "That is the first matrix only. Add up over all.", "Das ist nur die erste Matrix. Addiere über alle."
        )
    if given == sum(rows * columns for rows, columns in shapes):
        raise Wrong(
            "Those are W's own weights. A and B have rank * rows and rank * columns.",
            "Das sind die Gewichte von W selbst. A und B haben Rang * Zeilen und Rang * Spalten.",
        )
    if given == sum(4 * rows * columns for rows, columns in shapes):
        raise Wrong(
            "Rows *plus* columns: A has rank * columns weights, B has rank * rows.",
            "Zeilen *plus* Spalten: A hat Rang * Spalten Gewichte, B hat Rang * Zeilen.",
        )
    if given != 4 * (192 + 192 + 64 + 192):
        raise Wrong(
            f"For rank 4 and {shapes} it gives {given}; 2560 was expected.",
            f"Für Rang 4 und {shapes} gibt sie {given}; erwartet wird 2560.",
        )


@exercise("13.4")
def merged(function: Callable[..., Tensor]) -> None:
    chance = torch.Generator().manual_seed(0)
    w, a, b = (torch.randn(*shape, generator=chance) for shape in ((5, 7), (2, 7), (5, 2)))
    given = called(function, w, a, b, 3.0)
    if not isinstance(given, Tensor) or given.shape != w.shape:
        raise Wrong("A matrix as large as W was expected.", "Erwartet wird eine Matrix so groß wie W.")
    if torch.allclose(given, w + b @ a, atol=1e-4):
        raise Wrong("The factor `s` is missing.", "Der Faktor `s` fehlt.")
    if torch.allclose(given, 3.0 * (b @ a), atol=1e-4):
        raise Wrong("W itself is missing: the product is *added* to it.", "W selbst fehlt: Das Produkt wird *addiert*.")
    if not torch.allclose(given, w + 3.0 * b @ a, atol=1e-4):
        raise Wrong("Compare with the formula: W + s * B A.", "Vergleiche mit der Formel: W + s * B A.")


@exercise("13.5")
def share_right(function: Callable[[Sequence[str], Sequence[str]], float]) -> None:
    given = called(function, ["a", "x", "c", "d"], ["a", "b", "c", "x"])
    if given == 2:
        raise Wrong(
            "That is the number; divide by how many there are.", "Das ist die Anzahl; teile durch die Zahl aller."
        )
    if given == 0.75:
        raise Wrong(
            "The same text must stand at the *same place*; you look whether it is anywhere.",
            "Derselbe Text muss an *derselben Stelle* stehen; du siehst nach, ob er irgendwo steht.",
        )
    if given == 50:
        raise Wrong("A share of 1 was expected, not per cent.", "Gesucht ist ein Anteil an 1, nicht Prozent.")
    if not isinstance(given, int | float) or abs(given - 0.5) > 1e-6:
        raise Wrong(
            f"For two right ones of four it gives {given}; 0.5 was expected.",
            f"Bei zwei richtigen von vieren gibt sie {given}; erwartet wird 0.5.",
        )


@exercise("13.6")
def card(answer: Any, measured: Any) -> None:
    _filled(answer, CARD, but=("name", "figures", "licence"))
    if not isinstance(answer["name"], str) or not is_name(answer["name"]):
        raise Wrong(
            "`name` becomes a folder: letters, digits and hyphens only, such as my-school.",
            "`name` wird ein Ordner: nur Buchstaben, Ziffern und Bindestriche, etwa my-school.",
        )
    if answer["name"] == "tinytown":
        raise Wrong("That name is taken: choose your own.", "Dieser Name ist vergeben: Wähle einen eigenen.")
    if not isinstance(answer["licence"], str) or not answer["licence"].strip():
        raise Wrong("Say what others may do with it, such as MIT.", "Sage, was andere damit dürfen, etwa MIT.")
    if answer["figures"] != measured:
        raise Wrong(
            "`figures` must be what was measured, unchanged: put the variable `measured` there.",
            "`figures` muss das Gemessene sein, unverändert: Setze die Variable `measured` ein.",
        )


def _filled(answer: Any, fields: Sequence[str], but: Sequence[str]) -> None:
    """Every field is there, and a sentence stands in all `but` some."""
    if not isinstance(answer, dict) or set(answer) != set(fields):
        raise Wrong(
            f"Fill in exactly these fields: {', '.join(fields)}.", f"Fülle genau diese Felder aus: {', '.join(fields)}."
        )
    for name in fields:
        text = answer[name]
        if text is ... or (name not in but and (not isinstance(text, str) or len(text.strip()) < SHORTEST)):
            raise Wrong(f"“{name}” needs a whole sentence.", f"„{name}“ braucht einen ganzen Satz.")
        if name not in but and not re.search(r"\w\s+\w", str(text)):
            raise Wrong(f"“{name}” needs a whole sentence.", f"„{name}“ braucht einen ganzen Satz.")
