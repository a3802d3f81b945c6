"""What the Compare tab shows: every figure with its kind (computed, published, estimated) and how it came about."""

from __future__ import annotations

from typing import Any

from app.common.energy import records
from app.common.figures import figure, published, source
from app.common.strings import Problem
from app.compare.costs import Use, costs
from app.models.default_model import DEFAULT_CHECKPOINT
from app.models.page_models import PageModels
from litellama.checkpoint import Opened
from litellama.checkpoint.layout import CARD, CheckpointError, read_json
from litellama.checkpoint.memory import BITS, weight_bytes
from litellama.config import ModelConfig, preset
from litellama.footprint.arithmetic import (
    CACHE_BYTES,
    Device,
    decode_bound,
    decode_flops,
    fits,
    kv_bytes_per_token,
    kv_bytes_without_sharing,
)
from litellama.footprint.devices import all_devices, facts_of
from litellama.footprint.emissions import grids, pues
from litellama.footprint.facts import Fact, all_facts
from litellama.footprint.measurements import Record
from litellama.footprint.scores import NOT_COUNTED, TASKS, chance, scores

MODELS = {
    "tinytown": "TinyTown", "smollm2-135m": "SmolLM2 135M", "litellama-460m": "LiteLlama 460M",
    "tinyllama-1.1b": "TinyLlama 1.1B", "llama2-7b": "LLaMA 2 7B", "llama2-13b": "LLaMA 2 13B",
    "llama2-70b": "LLaMA 2 70B",
}  # fmt: skip
PRECISIONS = ("float32", "float16", "int8", "int4")
LIMITS = {"context": 4096, "batch": 64, "prompt": 2048, "answer": 2048, "replies": 10_000_000}
BY_DEVICE = "device"
NO_BUILDING = "none"
FIRST = {
    "precision": "float16", "context": 1024, "batch": 1, "device": "Laptop, Core i7-1355U, 16 GB",
    "basis": BY_DEVICE, "prompt": 50, "answer": 100, "country": "Germany", "pue": NO_BUILDING, "replies": 100_000,
}  # fmt: skip


class CompareService:
    """All figures for what a page chose. Nothing is stored for a page."""

    def __init__(self, models: PageModels) -> None:
        self._models = models

    def compare_first(self) -> dict[str, Any]:
        """The figures for what is chosen first."""
        return compare(choices()["first"], _card(self._models.models.first.opened))

    def compare(self, page: str, sent: dict[str, Any]) -> dict[str, Any]:
        return compare(sent, _card(self._models.opened_here(page)))


def choices() -> dict[str, Any]:
    """What can be chosen, and what is chosen first."""
    bases = {_key(one): {"machine": one.machine, "date": one.date} for one in records()}
    return {
        "precisions": PRECISIONS, "devices": [one.name for one in all_devices()], "limits": LIMITS,
        "bases": bases, "countries": list(grids()), "pues": {name: one.number for name, one in pues().items()},
        "first": FIRST | ({"basis": next(iter(bases))} if bases else {}),
    }  # fmt: skip


def _key(record: Record) -> str:
    return f"{record.machine}, {record.date}"


def compare(sent: dict[str, Any], card: dict[str, Any] | None = None) -> dict[str, Any]:
    """Every model's memory and highest speed on the chosen device, what replies cost, and what models can do.

    `card` is TinyTown's, which says what its training took. Raises `Problem` for what cannot be chosen.
    """
    counts = {key: _whole(sent.get(key), most) for key, most in LIMITS.items()}
    precision, name, country, pue = (str(sent.get(key)) for key in ("precision", "device", "country", "pue"))
    devices = {one.name: one for one in all_devices()}
    measured = {_key(one): one for one in reversed(records())}
    bases: dict[str, Record | Device | None] = {**measured, BY_DEVICE: devices.get(name)}
    buildings: dict[str, Fact | None] = {NO_BUILDING: None, **pues()}
    basis = bases.get(str(sent.get("basis")))
    if precision not in PRECISIONS or name not in devices or country not in grids() or pue not in buildings:
        raise Problem("problem.request")
    if basis is None:
        raise Problem("problem.request")
    chosen, facts = devices[name], facts_of(name)
    use = Use(basis, precision, counts["batch"], counts["prompt"], counts["answer"], counts["replies"],
              grids()[country], buildings[pue], card)  # fmt: skip
    return {
        "device": {part: published(one) for part, one in facts.items()}
        | ({} if "memory" in facts else {"memory": figure(chosen.memory, "chosen", "compare.how_chosen")}),
        "models": [_row(key, label, preset(key), chosen, precision, counts["context"], counts["batch"])
                   for key, label in MODELS.items()],
        "costs": costs(list(MODELS), use),
        "scores": [
            {"key": one.model, "tasks": {task: published(found) for task, found in one.by_task.items()},
             "above": figure(one.above_chance, "derived", "compare.how_above", tasks=", ".join(TASKS))}
            for one in scores()
        ],
        "chance": {task: published(chance(task)) for task in TASKS},
        "not_counted": NOT_COUNTED,
    }  # fmt: skip


def every_fact() -> list[dict[str, Any]]:
    """All that the lab cites, as rows: topic, subject, quantity, value, unit, status and source."""
    return [
        {"topic": one.topic, "subject": one.subject, "quantity": one.quantity, "value": one.value, "unit": one.unit,
         "kind": one.status, "source": source(one)}
        for one in all_facts().values()
    ]  # fmt: skip


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


def _whole(value: object, most: int) -> int:
    if type(value) is not int or not 1 <= value <= most:
        raise Problem("problem.request")
    return value


def _card(opened: Opened | None) -> dict[str, Any] | None:
    """What the row of the embedded model's shape says of its training: of the page's model, if that has this shape, or
    else of TinyTown itself."""
    if opened is not None and opened.config == preset("tinytown"):
        return opened.card
    try:
        return read_json(DEFAULT_CHECKPOINT / CARD)
    except (CheckpointError, OSError):
        return None
