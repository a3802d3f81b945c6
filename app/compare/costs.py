"""What replies and trainings cost, as the Compare tab shows it: each figure with its range, kind and way."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from app.common.energy import methods_of
from app.common.figures import figure, published, source
from litellama.config import preset
from litellama.footprint.arithmetic import Device
from litellama.footprint.emissions import (
    KWH,
    LEAST_POWER,
    LEAST_SPEED,
    TrainingEnergy,
    break_even,
    device_energy,
    emissions,
    equivalents,
    training_energy,
)
from litellama.footprint.facts import Fact, fact
from litellama.footprint.measurements import Record, text_energy
from litellama.footprint.meter import Energy

# Measured by others, the GPU alone, one conversation at a time on an A100; joules for each token written.
PUBLISHED_TOKENS = {
    "llama2-7b": "5-4-inference-energy-measured.llama-2-7b-chat.energy-per-generated-token-a100-batch-1",
    "llama2-13b": "5-4-inference-energy-measured.llama-2-13b-chat.energy-per-generated-token-a100-batch-1",
}
STATED = {  # tonnes of CO2e
    f"llama2-{size}": f"1-2-llama-2-training-energy-carbon.llama-2-{size}.training-emissions-stated"
    for size in ("7b", "13b", "70b")
}
REFERENCE = "litellama-460m"


@dataclass(frozen=True)
class Use:
    """What replies are given with: how their energy is known (from a record, or estimated for a device), how long and
    how many they are, and on which grid. `pue` is the building's factor; its fact is None at home and in a school."""

    basis: Record | Device
    precision: str
    batch: int
    prompt: int
    answer: int
    replies: int
    grid: Fact
    pue: Fact | None
    card: dict[str, Any] | None = None

    @property
    def building(self) -> float:
        return 1.0 if self.pue is None else self.pue.number


def costs(names: list[str], use: Use) -> dict[str, Any]:
    """Each model's reply, a thousand of them, a year's, and its training."""
    energies = {name: _reply(name, use) for name in names}
    reference = energies.get(REFERENCE)
    return {
        "models": [_row(name, energies[name], reference, use) for name in names],
        "grid": published(use.grid),
        "pue": figure(1.0, "chosen", "compare.how_no_building") if use.pue is None else published(use.pue),
        "equivalents": [
            {"key": f"compare.same_{number}", "unit": one.unit, "low": one.low, "high": one.high,
             "figure": figure(None, "published", "compare.how_everyday", name=one.name)
             | {"low": one.low, "high": one.high, "sources": [source(each) for each in one.facts]}}
            for number, one in enumerate(equivalents())
        ],
    }  # fmt: skip


def _reply(name: str, use: Use) -> Energy | None:
    if isinstance(use.basis, Record):
        return text_energy(use.basis, name, use.prompt, use.answer)
    return device_energy(preset(name), use.basis, use.precision, use.prompt, use.answer, use.batch)


def _row(name: str, reply: Energy | None, reference: Energy | None, use: Use) -> dict[str, Any]:
    training = training_energy(name, use.card if name == "tinytown" else None)
    row: dict[str, Any] = {
        "key": name, "reply": _ranged(name, reply, 1, use), "thousand": _ranged(name, reply, 1000, use),
        "year": _ranged(name, reply, use.replies, use), "co2": None, "times": None,
        "training": _trained(training, 1.0), "training_co2": None, "break_even": None,
        "published": None, "training_stated": None,
    }  # fmt: skip
    if name in STATED:
        stated = fact(STATED[name])
        row["training_stated"] = published(stated) | {"value": stated.number * 1e6}
    if name in PUBLISHED_TOKENS:
        per_token = fact(PUBLISHED_TOKENS[name])
        row["published"] = published(per_token) | {"value": per_token.number * use.answer}
    grams = use.grid.number
    if reply is not None:
        shares = [emissions(one * use.replies, grams, use.building) for one in (reply.joules, reply.low, reply.high)]
        row["co2"] = _estimate(
            shares, "compare.how_emissions", grams=grams, country=use.grid.subject, pue=use.building,
            kwh=_short(reply.joules * use.replies / KWH),
        )  # fmt: skip
        if reference is not None:
            times = reply.joules / reference.joules
            kind = "measured" if reply.measured else "estimated"
            row["times"] = figure(
                times, kind, "compare.how_times", reply=_short(reply.joules), other=_short(reference.joules)
            )
    if training is not None:
        row["training_co2"] = _trained(
            training, grams / KWH, "compare.how_training_emissions", grams=grams, country=use.grid.subject
        )
        if reply is not None:
            row["break_even"] = figure(
                break_even(training.joules, reply.joules), "estimated", "compare.how_break_even",
                training=_short(training.joules / KWH), reply=_short(reply.joules / KWH * 1000),
            )  # fmt: skip
    return row


def _ranged(name: str, reply: Energy | None, times: int, use: Use) -> dict[str, Any] | None:
    if reply is None:
        return None
    values = [reply.joules * times, reply.low * times, reply.high * times]
    kind = "measured" if reply.measured else "estimated"
    common = {"prompt": use.prompt, "answer": use.answer, "times": times}
    if isinstance(use.basis, Record):
        record = use.basis
        shown = _estimate(
            values, "compare.how_record", machine=record.machine, date=record.date, precision=record.precision,
            context=record.context, **common,
        ) | {"methods": methods_of(reply), "checked": record.models[name].error}  # fmt: skip
    else:
        shown = _estimate(
            values, "compare.how_device", device=use.basis.name, watts=use.basis.watts, batch=use.batch,
            least=LEAST_POWER, most=round(1 / LEAST_SPEED, 2), **common,
        )  # fmt: skip
    return shown | {"kind": kind}


def _trained(training: TrainingEnergy | None, factor: float, how: str = "", **values: object) -> dict[str, Any] | None:
    if training is None:
        return None
    shown = _estimate([one * factor for one in (training.joules, training.low, training.high)],
                      how or f"compare.how_{training.how}",
                      kwh=_short(training.joules / KWH), **values)  # fmt: skip
    kind = "estimated" if training.estimated else "derived"
    return shown | {"kind": kind, "sources": [source(one) for one in training.facts]}


def _estimate(values: list[float], how: str, **filled: object) -> dict[str, Any]:
    middle, low, high = values
    return figure(middle, "estimated", how, **filled) | {"low": low, "high": high}


def _short(value: float) -> float:
    """Three digits, for a sentence."""
    return float(f"{value:.3g}")
