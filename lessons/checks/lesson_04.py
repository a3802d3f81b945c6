"""The exercises of lesson 4: the four parts, the fair size, the cache, and what the experiment says."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from lessons.kit.checking import Wrong, called, exercise
from litellama.config import PRESETS, ModelConfig
from litellama.footprint.arithmetic import kv_bytes_per_token
from litellama.model import FeedForward, RMSNorm


@exercise("4.1")
def rms_norm(function: Callable[..., Tensor]) -> None:
    x, norm = _random(5, 8) * 3 + 1, RMSNorm(8, 1e-5)
    norm.weight.data = _random(8, seed=1)
    given = called(function, x, norm.weight.data, 1e-5)
    _is_table(given, (5, 8))
    mean = x.pow(2).mean(-1, keepdim=True)
    if _close(given, x / mean.sqrt()):
        raise Wrong("The learnt weight is missing: multiply by `weight`.", "Das gelernte Gewicht fehlt: mal `weight`.")
    if _close(given, x / mean * norm.weight):
        raise Wrong(
            "You divide by the mean of the squares; take its root.",
            "Du teilst durch den Mittelwert der Quadrate; ziehe noch die Wurzel.",
        )
    if _close(given, torch.nn.functional.layer_norm(x, (8,), norm.weight.data)):
        raise Wrong(
            "That is LayerNorm. RMSNorm does not subtract the mean.",
            "Das ist LayerNorm. RMSNorm zieht den Mittelwert nicht ab.",
        )
    _equal(given, norm(x).detach())
    if not torch.isfinite(called(function, torch.zeros(2, 8), norm.weight.data, 1e-5)).all():
        raise Wrong(
            "A row of zeros gives no number: add `eps` under the root.",
            "Eine Zeile aus Nullen ergibt keine Zahl: Addiere `eps` unter der Wurzel.",
        )


@exercise("4.2")
def turned(function: Callable[..., tuple[float, float]]) -> None:
    given = called(function, (1.0, 0.0), math.pi / 2)
    try:
        a, b = (float(number) for number in given)
    except (TypeError, ValueError):
        raise Wrong("Two numbers were expected.", "Erwartet werden zwei Zahlen.") from None
    if abs(a) < 1e-6 and abs(b + 1) < 1e-6:
        raise Wrong(
            "It turns the other way round: in the first number the sine has the minus.",
            "Es dreht andersherum: Das Minus steht beim Sinus der ersten Zahl.",
        )
    a, b = (float(number) for number in called(function, (0.6, -1.1), 0.7))
    right = 0.6 * math.cos(0.7) + 1.1 * math.sin(0.7), 0.6 * math.sin(0.7) - 1.1 * math.cos(0.7)
    if abs(math.hypot(a, b) - math.hypot(0.6, 1.1)) > 1e-6:
        raise Wrong(
            "The arrow changes its length, but turning must not: check the signs and that the angle is not in degrees.",
            "Der Pfeil ändert seine Länge, Drehen darf das nicht: Prüfe die Vorzeichen und dass der Winkel nicht "
            "in Grad "
            "steht.",
        )
    if abs(a - right[0]) > 1e-6 or abs(b - right[1]) > 1e-6:
        raise Wrong(
            "The length is right, the direction isn't: compare with the formula, first and second number.",
            "Die Länge stimmt, die Richtung nicht: Vergleiche mit der Formel, erste und zweite Zahl.",
        )


@exercise("4.3")
def other_places(answer: Any) -> None:
    if not isinstance(answer, tuple | list) or len(answer) != 2 or not all(isinstance(n, int | float) for n in answer):
        raise Wrong("Give two numbers: (place, place).", "Gesucht sind zwei Zahlen: (Platz, Platz).")
    first, second = answer
    if {first, second} & {7, 5}:
        raise Wrong("Both places must be new: neither 7 nor 5.", "Beide Plätze müssen neu sein: weder 7 noch 5.")
    if second - first == 2:
        raise Wrong(
            "The distance is right, the direction isn't: the query stands *behind* the key.",
            "Der Abstand stimmt, die Richtung nicht: Die Query steht *hinter* dem Key.",
        )
    if abs(first - second - 2) > 1e-9:
        raise Wrong(
            "That gives another score. Look at the table: which rows are equal, and what do their places have in "
            "common?",
            "Das gibt eine andere Punktzahl. Sieh in die Tabelle: Welche Zeilen sind gleich, und was haben ihre Plätze "
            "gemeinsam?",
        )


@exercise("4.4")
def swiglu(function: Callable[..., Tensor]) -> None:
    config = PRESETS["litellama-300k"]
    part = FeedForward(config)
    for number, weight in enumerate(part.parameters()):
        weight.data = _random(*weight.shape, seed=number) * 0.2
    x = _random(3, config.hidden_size, seed=9)
    with torch.inference_mode():
        given = called(function, x, part.gate_proj, part.up_proj, part.down_proj)
        _is_table(given, (3, config.hidden_size))
        gate, up = part.gate_proj(x), part.up_proj(x)
        if _close(given, part.down_proj(gate * up)):
            raise Wrong(
                "The gate is not bent yet: `F.silu(gate(x))`.", "Das Tor ist noch nicht gebogen: `F.silu(gate(x))`."
            )
        if _close(given, part.down_proj(gate * torch.nn.functional.silu(up))):
            raise Wrong("`silu` belongs to the gate, not to `up`.", "`silu` gehört zum Tor, nicht zu `up`.")
        _equal(given, part(x))


@exercise("4.5")
def middle(answer: float) -> None:
    if not isinstance(answer, int | float):
        raise Wrong("A number was expected.", "Gesucht ist eine Zahl.")
    if answer == 64:
        raise Wrong(
            "The other way round: the MLP has fewer matrices, so its middle may be *larger*.",
            "Andersherum: Das MLP hat weniger Matrizen, seine Mitte darf also *größer* sein.",
        )
    if answer == 96:
        raise Wrong(
            "With the same middle the MLP has only two thirds of the weights.",
            "Mit derselben Mitte hat das MLP nur zwei Drittel der Gewichte.",
        )
    if abs(answer - 144) > 1e-6:
        raise Wrong(
            "Solve 3 * 48 * 96 = 2 * 48 * m' for m'.",
            "Löse 3 * 48 * 96 = 2 * 48 * m' nach m' auf.",
        )


@exercise("4.6")
def kv_bytes(function: Callable[[ModelConfig], float]) -> None:
    for name in ("llama2-70b", "litellama-460m"):
        config = PRESETS[name]
        given, right = called(function, config), kv_bytes_per_token(config)
        if not isinstance(given, int | float):
            raise Wrong("A number was expected.", "Erwartet wird eine Zahl.")
        if given in (right / 2, right / 4):
            raise Wrong(
                "A factor of 2 is missing: keys *and* values, and 2 bytes for each number.",
                "Es fehlt ein Faktor 2: Keys *und* Values, und 2 Byte für jede Zahl.",
            )
        if given == right * config.num_attention_heads / config.num_key_value_heads:
            raise Wrong(
                "You count all query heads; only the key heads are kept.",
                "Du zählst alle Query-Köpfe; behalten werden nur die Key-Köpfe.",
            )
        if given != right:
            raise Wrong(
                f"For {name} that gives {given:,}; {right:,} was expected. Multiply exactly the five numbers of "
                "the formula.",
                f"Für {name} ergibt das {given:,}; erwartet wird {right:,}. Multipliziere genau die fünf Zahlen "
                "der Formel.",
            )


@exercise("4.7")
def hurts_most(answer: int, accuracy: dict[str, list[list[float]]]) -> None:
    ends = [sum(sum(run[-10:]) / 10 for run in runs) / len(runs) for runs in accuracy.values()]
    if answer not in range(1, len(ends)):
        raise Wrong("Give the number of a variant, 1 to 4.", "Gesucht ist die Nummer einer Variante, 1 bis 4.")
    worst = min(range(1, len(ends)), key=lambda number: ends[number])
    if answer != worst:
        raise Wrong(
            f"The experiment says something else: that variant ends at {ends[answer]:.0%}, and another lower. A "
            "wrong guess is "
            "no shame; correct it and say why it came out so.",
            f"Der Versuch sagt etwas anderes: Diese Variante endet bei {ends[answer]:.0%}, eine andere tiefer. "
            "Falsch geraten ist "
            "keine Schande; berichtige die Zahl und sage, warum es so kam.",
        )


def _random(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def _is_table(given: object, shape: tuple[int, ...]) -> None:
    found = tuple(given.shape) if isinstance(given, Tensor) else type(given).__name__
    if found != shape:
        raise Wrong(
            f"The result is {found}; a tensor of shape {shape} was expected.",
            f"Das Ergebnis ist {found}; erwartet wird ein Tensor der Form {shape}.",
        )


def _close(given: Tensor, other: Tensor) -> bool:
    return torch.allclose(given.detach(), other.detach(), atol=1e-4)


def _equal(given: Tensor, right: Tensor) -> None:
    if not _close(given, right):
        most = (given - right).abs().max().item()
        raise Wrong(
            f"The shape is right, the numbers differ by up to {most:.3g}. Compare with the formula, piece by piece.",
            f"Die Form stimmt, die Zahlen weichen um bis zu {most:.3g} ab. Vergleiche Stück für Stück mit der Formel.",
        )
