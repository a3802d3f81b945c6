"""What the Compare tab shows: every figure with its kind (computed, published, estimated) and how it came about."""

from __future__ import annotations

from typing import Any

from app.words import Problem
from litellama.config import ModelConfig, preset
from litellama.footprint.arithmetic import (
    BITS,
    CACHE_BYTES,
    Device,
    decode_bound,
    decode_flops,
    fits,
    kv_bytes_per_token,
    kv_bytes_without_sharing,
    weight_bytes,
)
from litellama.footprint.devices import all_devices, device, facts_of
from litellama.footprint.facts import Fact

MODELS = {
    "tinytown": "TinyTown", "litellama-460m": "LiteLlama 460M", "tinyllama-1.1b": "TinyLlama 1.1B",
    "llama2-7b": "LLaMA 2 7B", "llama2-13b": "LLaMA 2 13B", "llama2-70b": "LLaMA 2 70B",
}  # fmt: skip
PRECISIONS = ("float32", "float16", "int8", "int4")
FIRST = {"precision": "float16", "context": 1024, "batch": 1, "device": "Laptop, Core i7-1355U, 16 GB"}
LONGEST = 4096
MOST_AT_ONCE = 64


def choices() -> dict[str, Any]:
    """What can be chosen, and what is chosen first."""
    devices = [one.name for one in all_devices()]
    return {"precisions": PRECISIONS, "devices": devices, "longest": LONGEST, "most": MOST_AT_ONCE, "first": FIRST}


def weigh(sent: dict[str, Any]) -> dict[str, Any]:
    """Every model's memory and highest speed on the chosen device. Raises `Problem` for what cannot be chosen."""
    precision = sent.get("precision")
    context, batch = (_whole(sent.get(name), most) for name, most in (("context", LONGEST), ("batch", MOST_AT_ONCE)))
    name = sent.get("device")
    if precision not in PRECISIONS or name not in {one.name for one in all_devices()}:
        raise Problem("problem.request")
    chosen = device(str(name))
    facts = facts_of(chosen.name)
    return {
        "device": {part: _published(one) for part, one in facts.items()}
        | ({} if "memory" in facts else {"memory": figure(chosen.memory, "chosen", "compare.how_chosen")}),
        "models": [_row(key, label, preset(key), chosen, str(precision), context, batch)
                   for key, label in MODELS.items()],
    }  # fmt: skip


def figure(value: float | bool | None, kind: str, how: str, **values: object) -> dict[str, Any]:
    """One number as the page gets it: what kind it is and, as a key of the strings, how it came about."""
    return {"value": value, "kind": kind, "how": how, "values": values}


def _row(
    key: str, label: str, config: ModelConfig, chosen: Device, precision: str, context: int, batch: int
) -> dict[str, Any]:
    length = min(context, config.max_position_embeddings)
    weights, cache = weight_bytes(config, precision), batch * length * kv_bytes_per_token(config)
    bound = decode_bound(config, chosen, precision, length, batch)
    by_memory = bound.by_compute is None or bound.by_memory <= bound.by_compute
    shared = kv_bytes_without_sharing(config) // kv_bytes_per_token(config)
    holds = fits(config, chosen, precision, length, batch)
    if by_memory:
        speed = figure(
            bound.by_memory if holds else None, "computed", "compare.how_by_memory",
            bandwidth=round(chosen.bandwidth / 1e9, 1), read=round(batch * chosen.bandwidth / bound.by_memory / 1e9, 3),
            batch=batch,
        )  # fmt: skip
    else:
        speed = figure(
            bound.by_compute if holds else None, "computed", "compare.how_by_compute",
            flops=round((chosen.flops or 0) / 1e12, 2), work=round(decode_flops(config, length) / 1e9, 3),
        )  # fmt: skip
    return {
        "key": key, "label": label, "context": length, "whole_context": length == context,
        "parameters": figure(
            config.num_parameters, "computed", "compare.how_parameters", **config.parameters_by_part
        ),
        "weights": figure(
            weights, "computed", "compare.how_weights" if BITS[precision] >= 16 else "compare.how_weights_mixed",
            parameters=config.num_parameters, bits=BITS[precision],
        ),
        "cache": figure(
            cache, "computed", "compare.how_cache" if shared > 1 else "compare.how_cache_alone",
            layers=config.num_hidden_layers, groups=config.num_key_value_heads,
            width=config.head_dim, bytes=CACHE_BYTES, context=length, batch=batch,
            times=shared,
        ),
        "total": figure(weights + cache, "computed", "compare.how_total"),
        "fits": figure(holds, "computed", "compare.how_fits", memory=round(chosen.memory / 1e9, 1)),
        "speed": speed,
    }  # fmt: skip


def _published(fact: Fact) -> dict[str, Any]:
    shown = figure(fact.number, fact.status, "compare.how_published", quantity=f"{fact.subject}: {fact.quantity}")
    source = {"title": fact.source.title, "url": fact.source.url, "locator": fact.source.locator, "note": fact.note}
    return shown | {"unit": fact.unit, "source": source}


def _whole(value: object, most: int) -> int:
    if type(value) is not int or not 1 <= value <= most:
        raise Problem("problem.request")
    return value
