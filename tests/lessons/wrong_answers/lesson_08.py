"""Answers to lesson 8: (exercise, what is handed to `lesson.check`, a piece of the English sentence)."""

from __future__ import annotations

from typing import Any

import numpy
import torch
from torch import Tensor

from litellama.model import KVCache, LiteLlama
from litellama.sampling import Sampling

SPEEDS = {1: 100.0, 4: 300.0, 16: 600.0}
PERPLEXITY = {8: 1.19, 6: 1.19, 5: 1.2, 4: 1.21, 3: 1.5, 2: 50_000.0, 32: 1.19}


def overflowing(logits: Tensor, temperature: float) -> Tensor:
    powers = torch.exp(logits / temperature)
    return powers / powers.sum()


def by_list(logits: Tensor, temperature: float) -> list[float]:
    return (logits / temperature).softmax(-1).tolist()


def unscaled(p: Tensor, top_p: float) -> Tensor:
    return torch.where(nucleus(p, top_p) > 0, p, 0.0)


def nucleus(p: Tensor, top_p: float) -> Tensor:
    return Sampling(temperature=1, top_p=top_p).probabilities(p.log())


def too_few(p: Tensor, top_p: float) -> Tensor:
    ordered, places = p.sort(descending=True)
    kept = torch.where(ordered.cumsum(-1) <= top_p + 1e-9, ordered, 0.0)
    result = torch.zeros_like(p)
    result[places] = kept / kept.sum()
    return result


def drops_crossing(p: Tensor, top_p: float) -> Tensor:
    kept = too_few(p, top_p)
    return nucleus(p, top_p) if kept.isnan().any() else kept


def above(p: Tensor, top_p: float) -> Tensor:
    kept = torch.where(p > 1 - top_p, p, 0.0)
    return kept / kept.sum()


def one_more(p: Tensor, top_p: float) -> Tensor:
    kept = torch.where(p >= p.sort(descending=True).values[min(4, int((nucleus(p, top_p) > 0).sum()))], p, 0.0)
    return kept / kept.sum()


def with_cache(model: LiteLlama, ids: list[int], new: int, *, last: bool = True, cached: bool = True) -> list[int]:
    ids, read = list(ids), list(ids)
    cache = KVCache(model.config, 1, 1000, model.dtype, model.device)
    for _ in range(new):
        with torch.inference_mode():
            out = model(torch.tensor([read], device=model.device), cache=cache if cached else None).logits[0, -1]
        ids.append(int(out.argmax()))
        read = ids[-1:] if last else list(ids)
    return ids


def small_cache(model: LiteLlama, ids: list[int], new: int) -> list[int]:
    cache = KVCache(model.config, 1, len(ids) + new, model.dtype, model.device)
    for _ in range(new):
        with torch.inference_mode():
            ids = [*ids, int(model(torch.tensor([ids], device=model.device), cache=cache).logits[0, -1].argmax())]
    return ids


def no_cache(model: LiteLlama, ids: list[int], new: int) -> list[int]:
    return with_cache(model, ids, new, last=False, cached=False)


def read_twice(model: LiteLlama, ids: list[int], new: int) -> list[int]:
    return with_cache(model, ids, new, last=False)


def forgetful(model: LiteLlama, ids: list[int], new: int) -> list[int]:
    return with_cache(model, ids, new, cached=False)


def one_short(model: LiteLlama, ids: list[int], new: int) -> list[int]:
    return with_cache(model, ids, new - 1)


def only_new(model: LiteLlama, ids: list[int], new: int) -> list[int]:
    return with_cache(model, ids, new)[len(ids) :]


def as_tensor(model: LiteLlama, ids: list[int], new: int) -> Tensor:
    return torch.tensor(with_cache(model, ids, new))


def reads_the_last(model: LiteLlama, ids: list[int], new: int) -> list[int]:
    return with_cache(model, ids, new + 1)[:-1]


def rounding(row: Tensor, bits: int, most: int | None = None) -> tuple[Tensor, Tensor, Tensor]:
    scale = row.abs().max() / (most or 2 ** (bits - 1) - 1)
    whole = torch.round(row / scale)
    return whole, scale, (row - whole * scale).abs().max()


def changed(place: int, change: Any) -> Any:
    def function(row: Tensor, bits: int) -> tuple[Any, ...]:
        parts: list[Any] = list(rounding(row, bits))
        parts[place] = change(row, *parts)
        return tuple(parts)

    return function


def as_numpy(row: Tensor, bits: int) -> list[Any]:
    whole, scale, error = rounding(row, bits)
    return [whole.numpy().astype(numpy.int8), scale.item(), numpy.float32(error)]


WRONG: list[tuple[str, tuple[Any, ...], str]] = [
    ("8.1", (0.5,), "A function was expected"),
    ("8.1", (lambda z, t: None,), "gives nothing back"),
    ("8.1", (lambda z, t: "a",), "tensor of numbers"),
    ("8.1", (lambda z, t: z.max(),), "the shape"),
    ("8.1", (lambda z, t: z.softmax(-1),), "changes nothing"),
    ("8.1", (lambda z, t: (z * t).softmax(-1),), "multiply"),
    ("8.1", (lambda z, t: z.softmax(-1) / t,), "divide the probabilities"),
    ("8.1", (lambda z, t: torch.exp(z / t),), "must add to 1"),
    ("8.1", (lambda z, t: (z - z.min()) / (z - z.min()).sum(),), "Follow the formula"),
    ("8.1", (overflowing,), "overflows"),
    ("8.2", (unscaled,), "instead of 1"),
    ("8.2", (drops_crossing,), "too few"),
    ("8.2", (lambda p, top_p: nucleus(p, 0.7) if top_p == 0.7 else too_few(p, top_p),), "no token is left"),
    ("8.2", (lambda p, top_p: nucleus(p, top_p).sort(descending=True).values,), "in order of size"),
    ("8.2", (above,), "too few"),
    ("8.2", (one_more,), "more tokens than necessary"),
    ("8.2", (lambda p, top_p: p,), "more tokens than necessary"),
    ("8.2", (lambda p, top_p: p[p > 0.2],), "the shape"),
    ("8.3", (5850, 9, 100), "two numbers"),
    ("8.3", ((108, 5850), 9, 100), "other order"),
    ("8.3", ((5950, 109), 9, 100), "the last new token as well"),
    ("8.3", ((900, 109), 9, 100), "The text grows"),
    ("8.3", ((10900, 108), 9, 100), "Add them all"),
    ("8.3", ((5850, 109), 9, 100), "one too many"),
    ("8.3", ((5850, 100), 9, 100), "once"),
    ("8.3", (("5850", "108"), 9, 100), "two numbers"),
    ("8.4", (lambda model, ids, new: ids,), "no answer yet"),
    ("8.4", (lambda model, ids, new: [*ids, 5],), "not called"),
    ("8.4", (lambda model, ids, new: 5,), "list of ids"),
    ("8.4", (no_cache,), "are enough"),
    ("8.4", (read_twice,), "are enough"),
    ("8.4", (small_cache,), "the cache holds"),
    ("8.4", (forgetful,), "`cache=cache`"),
    ("8.4", (one_short,), "instead of 12"),
    ("8.4", (only_new,), "Only the new"),
    ("8.5", ((6.0, ...), SPEEDS), "no answer yet"),
    ("8.5", (("6", 0.375), SPEEDS), "must be numbers"),
    ("8.5", ((1 / 6, 0.375), SPEEDS), "other way round"),
    ("8.5", ((500.0, 0.375), SPEEDS), "how many more"),
    ("8.5", ((2.0, 0.375), SPEEDS), "divided by the speed of one"),
    ("8.5", ((6.0, 37.5 * 1.001), {1: 1.0, 16: 6.0}), "share of 1"),
    ("8.5", ((6.0, 37.5), {1: 100.0, 16: 600.0}), "share of 1"),
    ("8.5", ((3.0, 75.0), {1: 400.0, 16: 1200.0}), "tokens per second"),
    ("8.5", ((6.0, 6.0), SPEEDS), "among 16"),
    ("8.6", (lambda row, bits: rounding(row, bits)[0],), "Three things"),
    ("8.6", (changed(2, lambda row, q, s, e: row - q * s),), "single numbers"),
    ("8.6", (changed(1, lambda row, q, s, e: 1 / s),), "upside down"),
    ("8.6", (changed(1, lambda row, q, s, e: s / 1.27),), "negative weight"),
    ("8.6", (lambda row, bits: rounding(row, bits, 2 ** (bits - 1)),), "whole numbers go"),
    ("8.6", (lambda row, bits: rounding(row, bits, 2**bits - 1),), "whole numbers go"),
    ("8.6", (lambda row, bits: rounding(row, bits, 127),), "Right for 8 bits"),
    ("8.6", (changed(1, lambda row, q, s, e: 3 * s),), "the scale must be"),
    ("8.6", (changed(0, lambda row, q, s, e: row / s),), "not whole"),
    ("8.6", (changed(0, lambda row, q, s, e: q * s),), "as it comes back"),
    ("8.6", (changed(0, lambda row, q, s, e: torch.trunc(row / s)),), "cut the digits"),
    ("8.6", (changed(0, lambda row, q, s, e: -q),), "The scale is right"),
    ("8.6", (changed(0, lambda row, q, s, e: q[:3]),), "the shape"),
    ("8.6", (changed(2, lambda row, q, s, e: (row - q * s).abs().mean()),), "mean error"),
    ("8.6", (changed(2, lambda row, q, s, e: (row - q * s).min()),), "can be negative"),
    ("8.6", (changed(2, lambda row, q, s, e: (row - q * s).max()),), "can be negative"),
    ("8.6", (changed(2, lambda row, q, s, e: s),), "largest distance"),
    ("8.7", (1.2, PERPLEXITY), "measured numbers of bits"),
    ("8.7", ("4", PERPLEXITY), "measured numbers of bits"),
    ("8.7", (3, PERPLEXITY), "at most 1.05"),
    ("8.7", (2, PERPLEXITY), "at most 1.05"),
    ("8.7", (8, PERPLEXITY), "fewer are, too"),
    ("8.7", (32, PERPLEXITY), "fewer are, too"),
]
RIGHT: list[tuple[str, tuple[Any, ...]]] = [
    ("8.1", (by_list,)),
    ("8.2", (nucleus,)),
    ("8.3", ([5850.0, 108], 9, 100)),
    ("8.4", (with_cache,)),
    ("8.4", (as_tensor,)),
    ("8.4", (reads_the_last,)),
    ("8.5", ((6.0, 0.375), SPEEDS)),
    ("8.5", ((torch.tensor(6.0), numpy.float64(0.375)), SPEEDS)),
    ("8.6", (as_numpy,)),
    ("8.7", (4, PERPLEXITY)),
    ("8.7", (torch.tensor(4), PERPLEXITY)),
]
"""Answers other than the source's own that must pass as well."""
