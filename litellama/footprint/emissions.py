"""What using and training models costs: joules of a reply, CO2e, and how many replies a training is worth.

    >>> training_energy("llama2-7b").joules / KWH
    81100.8

What was measured is in `measurements.py`. Here is what can be estimated without measuring: a device's watts and its
highest speed give bounds of a reply's energy, GPU hours times watts give a training's.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from typing import Any

from litellama.checkpoint.memory import weight_bytes
from litellama.config import ModelConfig
from litellama.footprint.arithmetic import Device, decode_bound, fits, prefill_flops
from litellama.footprint.facts import Fact, fact, facts_about
from litellama.footprint.meter import Energy
from litellama.footprint.sensors import WATTS_PER_CORE

WH, KWH = 3600.0, 3.6e6
"""Joules in a watt-hour and in a kilowatt-hour."""

# How real decoding lies in the box that a device's watts and highest speed draw. LLaMA 2 7B on an A100 drew 194 of
# 400 W and wrote 44.5 of at most 151 tokens/s, one conversation at a time (facts of topic 5.4); a test checks it.
LEAST_POWER, LEAST_SPEED = 0.4, 0.25

_TRAINING = "1-2-llama-2-training-energy-carbon."
_CORES = re.compile(r"(\d+) cores?\b")
_LITELLAMA_KWH = "2-2-litellama-training-and-card.litellama-460m-1t.training-energy-incl-pue-1-1-estimate"
_TINYLLAMA_HOURS = "3-peers.tinyllama-1-1b.training-gpu-hours-for-3t-tokens-derived"
_SPEED_7B = _TRAINING + "llama-2-7b.implied-model-flop-utilisation"
_BEST_USE = "3-peers.tinyllama-1-1b.model-flop-utilisation"
_PUE = "5-3-data-centre-pue.llama-1-2-papers.pue"


def device_energy(
    config: ModelConfig, device: Device, precision: str, prompt_tokens: int, answer_tokens: int, batch: int = 1
) -> Energy | None:
    """The energy of one of `batch` simultaneous replies on this device. None if the model does not fit, or the device's
    watts are unknown.

    The best time there could be (every weight read once for each token of all replies, the prompt's operations at the
    highest rate) times the watts under load: at least `LEAST_POWER` of it, at most all of it at `LEAST_SPEED`.
    """
    context = prompt_tokens + answer_tokens
    if device.watts is None or not fits(config, device, precision, context, batch):
        return None
    writing = answer_tokens / decode_bound(config, device, precision, context, batch).tokens_per_second
    reading = weight_bytes(config, precision) / device.bandwidth / batch
    if device.flops is not None:
        reading = max(reading, prefill_flops(config, prompt_tokens) / device.flops)
    joules = (writing + reading) * device.watts
    low, high = joules * LEAST_POWER, joules / LEAST_SPEED
    return Energy(math.sqrt(low * high), low, high, "watts under load x bounds of the time", measured=False)


@dataclass(frozen=True)
class TrainingEnergy:
    """The energy of a training in joules, data centre included; `facts` are its sources."""

    joules: float
    low: float
    high: float
    facts: tuple[Fact, ...]
    how: str

    @property
    def estimated(self) -> bool:
        """Whether it is an estimate, because the figures that it needs were not published."""
        return self.low < self.high


def training_energy(name: str, card: dict[str, Any] | None = None) -> TrainingEnergy | None:
    """The energy of training the preset `name`, or one of the lab's own checkpoints, by its card. None if unknown.

    LLaMA 2 and TinyLlama: GPU hours x watts x PUE. LiteLlama: nobody published hours, so its operations at the share of
    the GPU's speed that LLaMA 2 7B got; from TinyLlama's share (56 %) to half of LLaMA 2's.
    """
    if card is not None:
        return _own_training(card)
    if name.startswith("llama2-"):
        stem = f"{_TRAINING}llama-2-{name.removeprefix('llama2-')}."
        hours, watts, pue = (
            fact(id)
            for id in (stem + "training-time", stem + "power-per-gpu-peak-adjusted-for-power-usage-efficiency", _PUE)
        )
        joules = hours.number * watts.number * WH * pue.number
        return TrainingEnergy(joules, joules, joules, (hours, watts, pue), "gpu_hours")
    if name == "tinyllama-1.1b":
        hours, watts, pue = fact(_TINYLLAMA_HOURS), fact("4-hardware.nvidia-a100-40gb-sxm.tdp"), fact(_PUE)
        joules = hours.number * watts.number * WH * pue.number
        return TrainingEnergy(joules, joules, joules, (hours, watts, pue), "gpu_hours")
    if name == "litellama-460m":
        middle, seven, best = fact(_LITELLAMA_KWH), fact(_SPEED_7B), fact(_BEST_USE)
        joules = middle.number * KWH
        return TrainingEnergy(
            joules, joules * seven.number / best.number, joules * 2, (middle, seven, best), "operations"
        )
    return None


def _own_training(card: dict[str, Any]) -> TrainingEnergy | None:
    cores = _CORES.search(str(card.get("machine")))
    hours = card.get("hours")
    if cores is None or not isinstance(hours, int | float):
        return None
    least, most = (fact(id) for id in WATTS_PER_CORE)
    low, high = (one.number * int(cores[1]) * hours * WH for one in (least, most))
    return TrainingEnergy(math.sqrt(low * high), low, high, (least, most), "core_hours")


def break_even(training_joules: float, reply_joules: float) -> float:
    """How many replies take as much energy as the training."""
    return training_joules / reply_joules


def grids() -> dict[str, Fact]:
    """Grams of CO2e for each kWh, by country: the latest year of one source for all (Ember, by Our World in Data)."""
    found = [one for one in facts_about("5.1 Grid") if "OWID" in one.quantity]
    return {one.subject: one for one in sorted(found, key=lambda one: one.subject)}


def pues() -> dict[str, Fact]:
    """Power usage effectiveness by data centre: what the whole building draws, divided by what its computers draw."""
    found = [one for one in facts_about("5.3 Data-centre PUE") if isinstance(one.value, int | float)]
    return {one.subject: one for one in found}


def emissions(joules: float, grams_per_kwh: float, pue: float = 1.0) -> float:
    """Grams of CO2e for this energy, with the grid's grams per kWh and the data centre's power usage effectiveness."""
    return joules / KWH * pue * grams_per_kwh


@dataclass(frozen=True)
class Equivalent:
    """An everyday activity that takes from `low` to `high` (joules, or grams of CO2e), depending on the source."""

    name: str
    unit: str
    low: float
    high: float
    facts: tuple[Fact, ...]


def equivalents() -> list[Equivalent]:
    """Charging a phone, boiling a litre of water (joules), driving a kilometre (grams of CO2e)."""
    found = facts_about("5.7 Everyday")

    def of(start: str, unit: str, each: float) -> Equivalent:
        facts = tuple(
            one for one in found
            if one.subject.startswith(start) and one.status != "estimated" and "per mile" not in one.unit
        )  # fmt: skip
        values = [one.number * each for one in facts]
        return Equivalent(start.split(",")[0], unit, min(values), max(values), facts)

    return [of("smartphone charge", "J", KWH), of("boil 1 litre", "J", KWH), of("car", "g", 1.0)]
