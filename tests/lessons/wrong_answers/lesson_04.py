"""Wrong answers to lesson 4: (exercise, what is handed to `lesson.check`, a piece of the English sentence)."""

from __future__ import annotations

import math
from typing import Any

from torch.nn import functional as F

RUNS = {
    "as LLaMA 2": [[1.0] * 10], "LayerNorm": [[1.0] * 10], "none": [[0.2] * 10], "GELU": [[0.9] * 10],
    "own": [[1.0] * 10],
}  # fmt: skip


def rms(x: Any, w: Any, eps: float) -> Any:
    return x / (x.pow(2).mean(-1, keepdim=True) + eps).sqrt() * w


def turn(pair: Any, angle: float) -> tuple[float, float]:
    a, b = pair
    return a * math.cos(angle) - b * math.sin(angle), a * math.sin(angle) + b * math.cos(angle)


def cache(c: Any) -> int:
    return 4 * c.num_hidden_layers * c.num_key_value_heads * c.head_dim


WRONG: list[tuple[str, tuple[Any, ...], str]] = [
    ("4.1", (lambda x, w, eps: rms(x, 1, eps),), "learnt weight"),
    ("4.1", (lambda x, w, eps: x / x.pow(2).mean(-1, keepdim=True) * w,), "take its root"),
    ("4.1", (lambda x, w, eps: F.layer_norm(x, (8,), w),), "LayerNorm"),
    ("4.1", (lambda x, w, eps: x / x.pow(2).mean(-1, keepdim=True).sqrt() * w,), "under the root"),
    ("4.1", (lambda x, w, eps: x / x.pow(2).mean().sqrt() * w,), "numbers differ"),
    ("4.1", (lambda x, w, eps: x.sum(),), "tensor of shape"),
    ("4.2", (lambda pair, angle: turn(pair, -angle),), "other way round"),
    ("4.2", (lambda pair, angle: turn(pair, math.radians(angle)),), "direction"),
    ("4.2", (lambda pair, angle: (pair[0] * math.cos(angle), pair[1] * math.sin(angle)),), "length"),
    ("4.2", (lambda pair, angle: 3.0,), "Two numbers"),
    ("4.3", ((7, 5),), "must be new"),
    ("4.3", ((10, 12),), "direction"),
    ("4.3", ((10, 9),), "another score"),
    ("4.3", (12,), "two numbers"),
    ("4.4", (lambda x, gate, up, down: down(gate(x) * up(x)),), "not bent"),
    ("4.4", (lambda x, gate, up, down: down(gate(x) * F.silu(up(x))),), "belongs to the gate"),
    ("4.4", (lambda x, gate, up, down: F.silu(gate(x)) * up(x),), "tensor of shape"),
    ("4.4", (lambda x, gate, up, down: down(F.silu(gate(x)) + up(x)),), "numbers differ"),
    ("4.5", (64,), "other way round"),
    ("4.5", (96,), "two thirds"),
    ("4.5", (100,), "Solve"),
    ("4.5", ("144",), "A number"),
    ("4.6", (lambda c: cache(c) // 2,), "factor of 2"),
    ("4.6", (lambda c: cache(c) * c.num_attention_heads // c.num_key_value_heads,), "only the key heads"),
    ("4.6", (lambda c: cache(c) + 1,), "was expected"),
    ("4.6", (lambda c: "many",), "A number"),
    ("4.7", (1, RUNS), "something else"),
    ("4.7", (9, RUNS), "1 to 4"),
]
RIGHT: list[tuple[str, tuple[Any, ...]]] = [
    ("4.1", (rms,)), ("4.2", (lambda pair, angle: list(turn(pair, angle)),)), ("4.3", ([102, 100],)),
    ("4.5", (144.0,)), ("4.6", (cache,)), ("4.7", (2, RUNS)),
]  # fmt: skip
