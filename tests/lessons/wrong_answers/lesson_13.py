"""Wrong answers to lesson 13: (exercise, what is handed to `lesson.check`, a piece of the English sentence)."""

from __future__ import annotations

from typing import Any

EXAMPLES = [(f"Where is cat {n}?", f"Where does cat {n} sit?", f"Cat {n} is here.") for n in range(6)]
SHEET = {
    "about": "Questions about six cats.", "who": "Written by me today.", "count": 6, "licence": "MIT, do as you like.",
    "left_out": "No dogs at all.",
}  # fmt: skip
MEASURED = {"before": (0.0, 0.0, 0.9)}
CARD = {
    "name": "my-cats", "intended_use": "Answers six questions.", "data": "TinyTown and six examples.",
    "limits": "It knows no dogs.", "licence": "MIT", "figures": MEASURED,
}  # fmt: skip


def changed(number: int, *example: str) -> list[Any]:
    return [*EXAMPLES[:number], example, *EXAMPLES[number + 1 :]]


WRONG: list[tuple[str, tuple[Any, ...], str]] = [
    ("13.1", (EXAMPLES[:3],), "at least 6"),
    ("13.1", (["Where?"],), "triples"),
    ("13.1", (changed(1, "Where is it.", "Where?", "Here."),), "question mark"),
    ("13.1", (changed(1, "Where is it?", "where is it?", "Here."),), "other words"),
    ("13.1", (changed(1, "Where?", "Where now?", " "),), "empty place"),
    ("13.1", (changed(1, *EXAMPLES[0]),), "twice"),
    ("13.1", (changed(1, "Where?", "Where now?", "So far away. " * 20),), "long"),
    ("13.2", (SHEET | {"count": 5}, EXAMPLES), "there are 6"),
    ("13.2", (SHEET | {"who": "me"}, EXAMPLES), "whole sentence"),
    ("13.2", (SHEET | {"about": ...}, EXAMPLES), "whole sentence"),
    ("13.2", ({"about": "cats"}, EXAMPLES), "exactly these fields"),
    ("13.3", (lambda r, shapes: r * sum(shapes[0]),), "first matrix"),
    ("13.3", (lambda r, shapes: sum(a * b for a, b in shapes),), "W's own"),
    ("13.3", (lambda r, shapes: sum(r * a * b for a, b in shapes),), "*plus*"),
    ("13.3", (lambda r, shapes: 7,), "2560"),
    ("13.4", (lambda w, a, b, s: w + b @ a,), "factor"),
    ("13.4", (lambda w, a, b, s: s * b @ a,), "*added*"),
    ("13.4", (lambda w, a, b, s: s * (w + b @ a),), "formula"),
    ("13.4", (lambda w, a, b, s: a @ b,), "error"),
    ("13.4", (lambda w, a, b, s: b,), "as large as W"),
    ("13.5", (lambda one, other: sum(x == y for x, y in zip(one, other, strict=True)),), "divide"),
    ("13.5", (lambda one, other: sum(x in other for x in one) / len(other),), "same place"),
    ("13.5", (lambda one, other: 50,), "per cent"),
    ("13.5", (lambda one, other: 0.1,), "0.5 was expected"),
    ("13.6", (CARD | {"name": "my cats!"}, MEASURED), "hyphens"),
    ("13.6", (CARD | {"name": "tinytown"}, MEASURED), "taken"),
    ("13.6", (CARD | {"limits": "none"}, MEASURED), "whole sentence"),
    ("13.6", (CARD | {"figures": {"before": (1.0, 1.0, 1.0)}}, MEASURED), "unchanged"),
    ("13.6", (CARD | {"licence": ""}, MEASURED), "others may do"),
    ("13.6", ({"name": "x"}, MEASURED), "exactly these fields"),
]
RIGHT: list[tuple[str, tuple[Any, ...]]] = [
    ("13.1", (EXAMPLES,)),
    ("13.2", (SHEET, EXAMPLES)),
    ("13.3", (lambda r, shapes: sum(r * a + r * b for a, b in shapes),)),
    ("13.6", (CARD, MEASURED)),
]
