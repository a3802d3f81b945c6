"""Wrong answers to lesson 3: (exercise, what is handed to `lesson.check`, a piece of the English sentence)."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from litellama.config import PRESETS
from litellama.model import Attention, attend_explicitly, rotary_tables, rotate

torch.manual_seed(0)
ATTENTION = Attention(replace(PRESETS["tinytown"], hidden_size=192), 0).eval()
X = torch.randn(7, 192, generator=torch.Generator().manual_seed(3))
COS, SIN = rotary_tables(torch.rand(16, generator=torch.Generator().manual_seed(4)), torch.arange(7)[None])
REAL = (ATTENTION, X, COS, SIN)


def allowed(table: Tensor, diagonal: int = 0) -> Tensor:
    return torch.ones(table.shape[-2:], dtype=torch.bool).tril(diagonal)


def masked(scores: Tensor) -> Tensor:
    return scores.masked_fill(~allowed(scores), -torch.inf).softmax(-1)


def grouped(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    return attend_explicitly(q[None], k[None], v[None], None)[0][0]


def attention(x: Tensor, layer: Attention, cos: Tensor, sin: Tensor, *, turn: bool = True, join: bool = True) -> Tensor:
    q, k, v = (part(x).view(len(x), -1, 32).transpose(0, 1) for part in (layer.q_proj, layer.k_proj, layer.v_proj))
    if turn:
        q, k = rotate(q, cos[0], sin[0]), rotate(k, cos[0], sin[0])
    found = grouped(q, k, v).transpose(0, 1).reshape(len(x), -1)
    return layer.o_proj(found) if join else found


WRONG: list[tuple[str, tuple[Any, ...], str]] = [
    ("3.1", (4,), "the dot product"),
    ("3.1", (2.0,), "*root* of 2"),
    ("3.1", (0,), "another pair"),
    ("3.1", (7,), "number by number"),
    ("3.1", ("2.83",), "A number"),
    ("3.2", (lambda q, k: q @ k.mT,), "but for the root"),
    ("3.2", (lambda q, k: q @ k.mT / q.shape[-1],), "not by D"),
    ("3.2", (lambda q, k: q @ k.mT / q.shape[0] ** 0.5,), "length of a vector"),
    ("3.2", (lambda q, k: k @ q.mT,), "shape"),
    ("3.2", (lambda q, k: q @ k.mT / 3,), "numbers aren't"),
    ("3.2", (lambda q, k: q @ k,), "stopped with an error"),
    ("3.2", (lambda q, k: ...,), "no answer yet"),
    ("3.2", (3,), "function was expected"),
    ("3.2", (lambda q, k: [1],), "a tensor was expected"),
    ("3.3", (lambda s: s.softmax(-1),), "isn't masked"),
    ("3.3", (lambda s: s.masked_fill(~allowed(s, -1), -torch.inf).softmax(-1),), "no allowed token"),
    ("3.3", (lambda s: s.softmax(-1) * allowed(s),), "add up to 1"),
    ("3.3", (lambda s: s.masked_fill(~allowed(s, 1), -torch.inf).softmax(-1),), "later ones"),
    ("3.3", (lambda s: s.masked_fill(~allowed(s), -torch.inf).softmax(0).nan_to_num(0),), "add up to 1"),
    ("3.3", (lambda s: masked(2 * s),), "numbers aren't"),
    ("3.3", (lambda s: masked(s) if s.ndim == 2 else s[0],), "several heads"),
    ("3.4", (lambda q, k, v: (q @ k.mT / q.shape[-1] ** 0.5).softmax(-1) @ v,), "isn't masked"),
    ("3.4", (lambda q, k, v: masked(q @ k.mT) @ v,), "numbers aren't"),
    ("3.4", (lambda q, k, v: masked(q @ k.mT),), "shape"),
    ("3.5", (lambda q, k, v: grouped(q, *(one.repeat(len(q) // len(k), 1, 1) for one in (k, v))),), "wrong order"),
    ("3.5", (lambda q, k, v: grouped(q, *(one.repeat_interleave(3, dim=0) for one in (k, v)))[: len(q)],), "error"),
    ("3.5", (lambda q, k, v: masked(q @ k[:1].mT) @ v[:1],), "numbers aren't"),
    ("3.6", (lambda x, a, c, s: attention(x, a, c, s, turn=False), *REAL), "Nothing is rotated"),
    ("3.6", (lambda x, a, c, s: attention(x, a, c, s, join=False), *REAL), "last step"),
    ("3.6", (lambda x, a, c, s: attention(x, a, c, s)[:3], *REAL), "shape"),
    ("3.6", (lambda x, a, c, s: attention(x + 1, a, c, s), *REAL), "numbers aren't"),
]
RIGHT: list[tuple[str, tuple[Any, ...]]] = [
    ("3.1", (2.83,)),
    ("3.1", (torch.tensor(2.8284),)),
    ("3.2", (lambda q, k: torch.einsum("td,sd->ts", q, k) * q.shape[1] ** -0.5,)),
    ("3.5", (grouped,)),
    ("3.6", (attention, *REAL)),
]
