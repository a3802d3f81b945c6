"""The exercises of lesson 3: a score, scores, shares, one head, many heads, the attention of a real layer."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from lessons.kit.checking import Wrong, called, exercise
from litellama.model import Attention, attend_explicitly


@exercise("3.1")
def score(answer: float) -> None:
    if not isinstance(answer, int | float | Tensor):
        raise Wrong("A number was expected.", "Gesucht ist eine Zahl.")
    value = float(answer)
    if abs(value - 4) < 0.01:
        raise Wrong(
            "That is the dot product. It still has to be divided by the root of D, and D is 2.",
            "Das ist das Skalarprodukt. Es muss noch durch die Wurzel aus D geteilt werden, und D ist 2.",
        )
    if abs(value - 2) < 0.01:
        raise Wrong("Divide by the *root* of 2, not by 2.", "Teile durch die *Wurzel* aus 2, nicht durch 2.")
    if abs(value) < 0.01:
        raise Wrong(
            "That is another pair. Take the third query, (2, 0), and the first key, (2, 0).",
            "Das ist ein anderes Paar. Nimm die dritte Query, (2, 0), und den ersten Key, (2, 0).",
        )
    if abs(value - 4 / math.sqrt(2)) > 0.01:
        raise Wrong(
            "Multiply (2, 0) and (2, 0) number by number, add up, and divide by the root of 2.",
            "Multipliziere (2, 0) und (2, 0) Zahl für Zahl, addiere und teile durch die Wurzel aus 2.",
        )


@exercise("3.2")
def scores(function: Callable[..., Tensor]) -> None:
    query, key = _random(3, 4), _random(5, 4, seed=1)
    right = query @ key.mT / 2
    given = _table(called(function, query, key), tuple(right.shape))
    if torch.allclose(given, query @ key.mT, atol=1e-4):
        raise Wrong(
            "Right, but for the root: divide by `q.shape[-1] ** 0.5`.",
            "Richtig bis auf die Wurzel: Teile durch `q.shape[-1] ** 0.5`.",
        )
    if torch.allclose(given, query @ key.mT / 4, atol=1e-4):
        raise Wrong("Divide by the *root* of D, not by D.", "Teile durch die *Wurzel* aus D, nicht durch D.")
    if torch.allclose(given, query @ key.mT / math.sqrt(3), atol=1e-4):
        raise Wrong(
            "D is the length of a vector, `q.shape[-1]`, not the number of tokens.",
            "D ist die Länge eines Vektors, `q.shape[-1]`, nicht die Zahl der Tokens.",
        )
    _same(given, right)


@exercise("3.3")
def shares(function: Callable[..., Tensor]) -> None:
    table = _random(4, 4)
    right = table.masked_fill(~torch.ones(4, 4, dtype=torch.bool).tril(), -torch.inf).softmax(-1)
    given = _table(called(function, table.clone()), (4, 4))
    if given.isnan().any():
        raise Wrong(
            "Some rows have no allowed token at all. Allow the diagonal too: `tril()` without a number.",
            "Manche Zeilen haben gar kein erlaubtes Token. Erlaube auch die Diagonale: `tril()` ohne Zahl.",
        )
    if torch.allclose(given, table.softmax(-1), atol=1e-4):
        raise Wrong(
            "The softmax is right, but the future isn't masked. Fill the scores above the diagonal with -inf first.",
            "Die Softmax stimmt, aber die Zukunft ist nicht verdeckt. Setze die Punkte über der Diagonale vorher "
            "auf -inf.",
        )
    if (given.triu(1).abs() > 1e-6).any():
        raise Wrong(
            "Tokens look at later ones: above the diagonal every share must be 0.",
            "Tokens schauen auf spätere: Über der Diagonale muss jeder Anteil 0 sein.",
        )
    if not torch.allclose(given.sum(-1), torch.ones(4), atol=1e-4):
        raise Wrong(
            "The rows don't add up to 1. Mask the *scores*, before the softmax, and take `.softmax(-1)`, over rows.",
            "Die Zeilen ergeben nicht 1. Verdecke die *Punkte*, vor der Softmax, und nimm `.softmax(-1)`, über Zeilen.",
        )
    _same(given, right)
    many = _random(2, 3, 3)
    if tuple(_tensor(called(function, many)).shape) != (2, 3, 3):
        raise Wrong(
            "It works for one table, but not yet for several heads at once: use `scores.shape[-2:]` for the mask.",
            "Für eine Tabelle geht es, aber noch nicht für mehrere Köpfe: Nimm `scores.shape[-2:]` für die Maske.",
        )


@exercise("3.4")
def head(function: Callable[..., Tensor]) -> None:
    query, key, value = (_random(4, 6, seed=seed) for seed in range(3))
    right = attend_explicitly(query[None, None], key[None, None], value[None, None], None)[0][0, 0]
    given = _table(called(function, query, key, value), (4, 6))
    if torch.allclose(given, (query @ key.mT / math.sqrt(6)).softmax(-1) @ value, atol=1e-4):
        raise Wrong(
            "The future isn't masked: use your `shares`.", "Die Zukunft ist nicht verdeckt: Nimm dein `shares`."
        )
    _same(given, right)


@exercise("3.5")
def heads(function: Callable[..., Tensor]) -> None:
    for count, groups in ((6, 2), (4, 4), (4, 1)):
        query, key, value = _random(count, 5, 4), _random(groups, 5, 4, seed=1), _random(groups, 5, 4, seed=2)
        right = attend_explicitly(query[None], key[None], value[None], None)[0][0]
        given = _table(called(function, query, key, value), tuple(right.shape))
        others = [part.repeat(count // groups, 1, 1) for part in (key, value)]
        if not torch.allclose(given, right, atol=1e-4) and torch.allclose(
            given, attend_explicitly(query[None], others[0][None], others[1][None], None)[0][0], atol=1e-4
        ):
            raise Wrong(
                "The heads are in the wrong order: `repeat` gives 1 2 1 2 1 2. Take `repeat_interleave`, 1 1 1 2 2 2.",
                "Die Köpfe stehen in falscher Reihenfolge: `repeat` gibt 1 2 1 2 1 2. Nimm `repeat_interleave`, "
                "1 1 1 2 2 2.",
            )
        _same(
            given, right, f" ({count} query heads, {groups} key heads)", f" ({count} Query-Köpfe, {groups} Key-Köpfe)"
        )


@exercise("3.6")
def my_attention(function: Callable[..., Tensor], attention: Attention, x: Tensor, cos: Tensor, sin: Tensor) -> None:
    with torch.inference_mode():
        right = attention(x[None], cos, sin, None, None, False)[0][0]
        unturned = attention(x[None], torch.ones_like(cos), torch.zeros_like(sin), None, None, False)[0][0]
        given = _table(called(function, x, attention, cos, sin), tuple(right.shape))
        if torch.allclose(given, unturned, atol=1e-4):
            raise Wrong(
                "Nothing is rotated yet: queries and keys go through `rotate(..., cos[0], sin[0])`.",
                "Noch wird nichts gedreht: Queries und Keys gehen durch `rotate(..., cos[0], sin[0])`.",
            )
        if given.shape[-1] == attention.o_proj.in_features and torch.allclose(
            attention.o_proj(given), right, atol=1e-4
        ):
            raise Wrong(
                "The last step is missing: `attention.o_proj` joins the heads.",
                "Der letzte Schritt fehlt: `attention.o_proj` fügt die Köpfe zusammen.",
            )
    _same(given, right)


def _random(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def _tensor(value: Any) -> Tensor:
    if not isinstance(value, Tensor):
        raise Wrong(
            f"The function gives a {type(value).__name__}; a tensor was expected.",
            f"Die Funktion gibt {type(value).__name__} zurück; erwartet wird ein Tensor.",
        )
    return value.detach().float()


def _table(value: Any, shape: tuple[int, ...]) -> Tensor:
    table = _tensor(value)
    if tuple(table.shape) != shape:
        raise Wrong(
            f"The result has the shape {tuple(table.shape)}; {shape} was expected. Print the shapes on the way.",
            f"Das Ergebnis hat die Form {tuple(table.shape)}; erwartet wird {shape}. Lass dir die Formen auf dem Weg "
            "ausgeben.",
        )
    return table


def _same(given: Tensor, right: Tensor, en: str = "", de: str = "") -> None:
    if not torch.allclose(given, right, atol=1e-4):
        most = (given - right).abs().max().item()
        raise Wrong(
            f"The shape is right, the numbers aren't: they differ by up to {most:.3g}{en}. Compare step by step with "
            "the formula.",
            f"Die Form stimmt, die Zahlen nicht: Sie weichen um bis zu {most:.3g} ab{de}. Vergleiche Schritt für "
            "Schritt mit der Formel.",
        )
