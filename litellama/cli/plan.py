"""`python -m litellama train --plan`: what a training would take, as tables for people or as JSON for programs."""

from __future__ import annotations

import json
from typing import Any

from rich.console import Console

from litellama.cli.plan_tables import print_plan
from litellama.config import ModelConfig, preset
from litellama.footprint.arithmetic import Device
from litellama.footprint.emissions import KWH, training_energy
from litellama.footprint.facts import Fact, fact
from litellama.scaling.planning import (
    ARITHMETIC,
    LLAMA2,
    PUE,
    TrainingCost,
    TrainingPlan,
    Utilisation,
    grid,
    plan_training,
    schedules,
    training_device,
    utilisations,
)
from litellama.scaling.training_memory import SPARE, largest_rows, memory_per_device

DEFAULT_GPU = "NVIDIA A100, 80 GB"
"""The one that LLaMA 2's published hours are hours of."""

PUBLISHED = ("llama2-7b", "llama2-13b", "llama2-70b")
FACTORS = "1-3-llama-1-training-comparison.factors.pue-and-grid-intensity-used"
MOST_GPUS = 4096

# Arithmetic, but for what was counted on the model's own code.
MEMORY_LABELS = {
    "weights": "computed", "gradients": "computed", "optimizer": "computed", "copies": "computed",
    "activations": "measured", "logits": "computed",
}  # fmt: skip


def plan_to_pay(
    preset_name: str,
    *,
    tokens: int | None = None,
    rows: int | None = None,
    length: int | None = None,
    gpu: str = DEFAULT_GPU,
    gpus: int = 1,
    mfu: float | None = None,
    price: float | None = None,
    country: str = "World",
    checkpointing: bool = False,
    as_json: bool = False,
) -> None:
    """Print what training the preset would take; nothing is trained. `rows` are those of a step, over all GPUs.

    Raises `ValueError` for what there is not, or cannot be.
    """
    document = plan_document(
        preset_name, tokens=tokens, rows=rows, length=length, gpu=gpu, gpus=gpus, mfu=mfu, price=price,
        country=country, checkpointing=checkpointing,
    )  # fmt: skip
    if as_json:
        print(json.dumps(document, indent=2, ensure_ascii=False))
    else:
        print_plan(document, Console(highlight=False))


def plan_document(
    preset_name: str, *, tokens: int | None, rows: int | None, length: int | None, gpu: str, gpus: int,
    mfu: float | None, price: float | None, country: str, checkpointing: bool,
) -> dict[str, Any]:  # fmt: skip
    """The plan as plain values, each figure or group of them with its label. Raises `ValueError`."""
    if gpus < 1:
        raise ValueError(f"gpus is {gpus}; a whole number of at least 1 was expected")
    config, chosen = preset(preset_name), training_device(gpu)
    shares = utilisations(mfu)
    plans = [
        plan_training(config, one, chosen, shares, country, price)
        for one in schedules(preset_name, tokens, rows, length)
    ]
    one = plans[0].schedule
    power = grid(country)
    return {
        "preset": preset_name,
        "parameters": {"total": config.num_parameters, "by_part": config.parameters_by_part, "label": "computed"},
        "memory": _memory(config, chosen, one.rows, one.length, gpus, checkpointing),
        "schedules": [_schedule(plan, config, gpus) for plan in plans],
        "assumptions": {
            "gpu": chosen.name, "gpus": gpus, "flops_per_second": chosen.flops, "watts": chosen.watts,
            "pue": _cited(fact(PUE)), "grid": {"country": country, **_cited(power)}, "price_per_gpu_hour": price,
            "utilisations": [_utilisation(share) for share in shares],
        },
        "published": [*map(_published, PUBLISHED), _published("litellama-460m")],
        "published_with": _cited(fact(FACTORS)),
    }  # fmt: skip


def _memory(
    config: ModelConfig, gpu: Device, step_rows: int, length: int, gpus: int, checkpointing: bool
) -> dict[str, Any]:
    """At the largest micro-batch that fits, but not more rows than a step leaves for each GPU; else at one row."""
    most = largest_rows(config, gpu, length, checkpointing=checkpointing, devices=gpus)
    share = -(-step_rows // gpus)
    rows = max(1, min(most, share))
    memory = memory_per_device(config, rows, length, checkpointing=checkpointing, devices=gpus)
    return {
        "rows": rows, "length": length, "step_rows_per_gpu": share, "largest_rows": most, "fits": most > 0,
        "checkpointing": checkpointing, "gpu_bytes": int(gpu.memory), "spare": SPARE,
        "by_part": {
            part: {"bytes": getattr(memory, part), "label": label} for part, label in MEMORY_LABELS.items()
        },
        "total": {"bytes": memory.total, "label": "estimated"},
        "would_fit": None if most > 0 else _would_fit(config, gpu, length, gpus),
    }  # fmt: skip


def _would_fit(config: ModelConfig, gpu: Device, length: int, gpus: int) -> dict[str, Any] | None:
    """The fewest GPUs of this kind, a power of two of them, that train one row each, without and with checkpointing."""
    count = 1
    while count <= MOST_GPUS:
        for checkpointing in (False, True):
            if count >= gpus and largest_rows(config, gpu, length, checkpointing=checkpointing, devices=count):
                return {"gpus": count, "checkpointing": checkpointing}
        count *= 2
    return None


def _schedule(plan: TrainingPlan, config: ModelConfig, gpus: int) -> dict[str, Any]:
    one = plan.schedule
    return {
        "name": one.name, "label": one.label, "sources": [_cited(each) for each in one.facts],
        "tokens": one.tokens, "tokens_per_parameter": one.tokens / config.num_parameters,
        "rows": one.rows, "length": one.length, "steps": one.steps,
        "flops_6nd": plan.flops_6nd, "flops_exact": plan.flops_exact,
        "bills": [_training_cost(estimate, gpus) for estimate in plan.costs],
    }  # fmt: skip


def _training_cost(estimate: TrainingCost, gpus: int) -> dict[str, Any]:
    return {
        "utilisation": estimate.utilisation.share, "of": estimate.utilisation.name, "label": "estimated",
        "gpu_hours": estimate.gpu_hours, "days": estimate.gpu_hours / gpus / 24, "kwh": estimate.kwh,
        "co2e_kg": estimate.grams / 1000, "cost": estimate.cost,
    }  # fmt: skip


def _utilisation(one: Utilisation) -> dict[str, Any]:
    return {
        "share": one.share, "of": one.name, "label": one.label, "sources": [_cited(each) for each in one.facts],
        "stated": one.stated and _cited(one.stated),
    }  # fmt: skip


def _published(name: str) -> dict[str, Any]:
    """What is said about a training that was: LLaMA 2's hours, watts and emissions; for LiteLlama only estimates."""
    energy = training_energy(name)
    assert energy is not None
    if name == "litellama-460m":
        stem = "2-2-litellama-training-and-card.litellama-460m-1t.training-"
        tokens, took = fact(ARITHMETIC), fact(stem + "gpu-hours-estimate")
        emitted, tonnes = fact(stem + "emissions-at-0-385-kg-kwh-estimate"), 1e-3
        watts = None
    else:
        stem = f"{LLAMA2}llama-2-{name.removeprefix('llama2-')}."
        tokens, took = fact(stem + "training-tokens"), fact(stem + "training-time")
        emitted, tonnes = fact(stem + "training-emissions-stated"), 1.0
        watts = fact(stem + "power-per-gpu-peak-adjusted-for-power-usage-efficiency").number
    return {
        "name": tokens.subject, "parameters": preset(name).num_parameters, "tokens": tokens.number,
        "gpu_hours": took.number, "watts": watts, "kwh": energy.joules / KWH, "co2e_kg": emitted.number * tonnes * 1000,
        "label": took.status, "kwh_label": "estimated" if energy.estimated else "derived",
        "sources": [_cited(each) for each in (tokens, took, emitted)],
    }  # fmt: skip


def _cited(one: Fact) -> dict[str, Any]:
    return {
        "fact": one.id, "value": one.value, "unit": one.unit, "status": one.status, "title": one.source.title,
        "url": one.source.url, "place": one.source.locator,
    }  # fmt: skip
