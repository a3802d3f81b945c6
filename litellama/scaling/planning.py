"""What a training would take, before anything is trained: operations, GPU-hours, kilowatt-hours, money, CO2e.

    >>> hours(training_flops(LLAMA2_7B, 2 * 10**12, 4096), device("NVIDIA A100, 80 GB"), utilisations()[0].share)
    184320.0

The third figure is the one that Meta published, since the first of the shares is computed from it. Memory is in
`memory.py`. Nothing published is typed here: it comes from the lab's facts, by their ids.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from litellama.config import ModelConfig, preset
from litellama.footprint.arithmetic import Device, six_n_d, training_flops
from litellama.footprint.devices import all_devices, device
from litellama.footprint.emissions import emissions, grids
from litellama.footprint.facts import Fact, fact

Label = Literal["published", "claimed", "derived", "estimated", "given"]

CHINCHILLA = 20
"""Tokens for each parameter at which so much computing gives the lowest loss, roughly (Hoffmann et al. 2022)."""

LITELLAMA_ROWS = 192
"""The batch size in the model card's own line (the fact `ARITHMETIC` quotes it): 499679 * 1024 * 192 tokens."""

_CARD = "2-2-litellama-training-and-card.litellama-460m-1t.training-tokens-"
ARITHMETIC, CLAIM = _CARD + "arithmetic", _CARD + "as-the-card-rounds-it"
LLAMA2 = "1-2-llama-2-training-energy-carbon."
LLAMA2_BATCH = LLAMA2 + "llama-2-all-sizes.global-batch-size"
TINYLLAMA = "3-peers.tinyllama-1-1b."
PUE = "5-3-data-centre-pue.llama-1-2-papers.pue"
WORLD = "5-1-grid-carbon-intensity.world.grid-carbon-intensity-2024-ecologits-file"


@dataclass(frozen=True)
class Schedule:
    """How much is read, and in what pieces: each step takes `rows` x `length` tokens. `label` and `facts`: who says so.

    Raises `ValueError` for less than one of anything.
    """

    name: str
    tokens: int
    length: int
    rows: int
    label: Label
    facts: tuple[Fact, ...] = ()

    def __post_init__(self) -> None:
        for name in ("tokens", "length", "rows"):
            value = getattr(self, name)
            if value < 1:
                raise ValueError(f"{name} is {value}; a whole number of at least 1 was expected")

    @property
    def steps(self) -> int:
        return -(-self.tokens // (self.rows * self.length))


@dataclass(frozen=True)
class Utilisation:
    """The share of a GPU's highest rate that a training gets (MFU, model FLOPs utilisation: Chowdhery et al. 2022),
    its operations counted exactly, as `training_flops` does. `stated`: the figure its authors give, by their count."""

    share: float
    name: str
    label: Label
    facts: tuple[Fact, ...] = ()
    stated: Fact | None = None


@dataclass(frozen=True)
class TrainingCost:
    """What a training takes at one utilisation. `cost` is None where no price was given."""

    utilisation: Utilisation
    gpu_hours: float
    kwh: float
    grams: float
    cost: float | None


@dataclass(frozen=True)
class TrainingPlan:
    """One schedule's operations, by rule of thumb (6ND) and exactly, and its bills, the dearest first."""

    schedule: Schedule
    flops_6nd: int
    flops_exact: int
    costs: tuple[TrainingCost, ...]


def schedules(
    name: str, tokens: int | None = None, rows: int | None = None, length: int | None = None
) -> list[Schedule]:
    """How the preset `name` would be trained: on `tokens` if they are given, else as was published and as Chinchilla
    advises. LiteLlama's card is read in both ways: what it multiplies, and what it rounds the product to.

    Raises `ValueError`, also for rows longer than the model reads.
    """
    config = preset(name)
    length = config.max_position_embeddings if length is None else length
    if length > config.max_position_embeddings:
        raise ValueError(f"length is {length}; {name} reads at most {config.max_position_embeddings} tokens")
    if rows is None:
        rows = LITELLAMA_ROWS
        if name.startswith("llama2-") and length > 0:
            rows = max(1, round(fact(LLAMA2_BATCH).number / length))

    def published(title: str, id: str, label: Label = "published") -> Schedule:
        return Schedule(title, int(fact(id).number), length, rows, label, (fact(id),))

    if tokens is not None:
        return [Schedule("as asked for", tokens, length, rows, "given")]
    found: list[Schedule] = []
    if name == "litellama-460m":
        found = [published("the card's product", ARITHMETIC), published("the card's “0.98T”", CLAIM, "claimed")]
    elif name.startswith("llama2-"):
        size = name.removeprefix("llama2-")
        found = [published("as published", f"{LLAMA2}llama-2-{size}.training-tokens")]
    elif name == "tinyllama-1.1b":
        found = [published("as published", TINYLLAMA + "training-tokens")]
    advised = CHINCHILLA * config.num_parameters
    return [*found, Schedule("Chinchilla's rule", advised, length, rows, "estimated")]


def utilisations(mfu: float | None = None) -> list[Utilisation]:
    """The share that is given, or two that published GPU-hours imply: of LLaMA 2 7B, and of TinyLlama, which was tuned
    for speed. Both on A100s. Raises `ValueError` for a share that is not above 0 and at most 1."""
    if mfu is not None:
        if not 0 < mfu <= 1:
            raise ValueError(f"mfu is {mfu}; a share above 0 and at most 1 was expected, such as 0.4")
        return [Utilisation(mfu, "as given", "given")]
    stem = LLAMA2 + "llama-2-7b."
    tokens, took = fact(stem + "training-tokens"), fact(stem + "training-time")
    tiny = fact(TINYLLAMA + "gpu-hours-per-300b-tokens")
    return [
        _implied("LLaMA 2 7B", "llama2-7b", "NVIDIA A100, 80 GB", int(tokens.number), (tokens, took),
                 fact(stem + "implied-model-flop-utilisation")),
        _implied("TinyLlama", "tinyllama-1.1b", "NVIDIA A100, 40 GB", 300 * 10**9, (tiny,),
                 fact(TINYLLAMA + "model-flop-utilisation")),
    ]  # fmt: skip


def _implied(
    title: str, name: str, gpu: str, tokens: int, facts: tuple[Fact, ...], stated: Fact
) -> Utilisation:  # fmt: skip
    """What the GPU-hours, the last of the facts, say about the share."""
    config = preset(name)
    at_best = hours(training_flops(config, tokens, config.max_position_embeddings), device(gpu), 1.0)
    return Utilisation(at_best / facts[-1].number, title, "derived", facts, stated)


def training_device(name: str) -> Device:
    """The device of this name. Raises `ValueError` if there is none, or nobody says how fast it computes or what it
    draws."""
    chosen = device(name)
    if chosen.flops is None or chosen.watts is None:
        able = "; ".join(one.name for one in all_devices() if one.flops is not None and one.watts is not None)
        raise ValueError(f"nobody says how fast {name} computes, or what it draws; choose one of {able}")
    return chosen


def grid(country: str) -> Fact:
    """Grams of CO2e for each kWh of a country, or of "World". Raises `ValueError` that lists those there are."""
    known = {"World": fact(WORLD), **grids()}
    if country not in known:
        raise ValueError(f"there is no grid called {country!r}; choose one of {', '.join(known)}")
    return known[country]


def hours(flops: float, gpu: Device, share: float) -> float:
    """GPU-hours for so many operations at this share of the GPU's highest rate."""
    assert gpu.flops is not None
    return flops / (gpu.flops * share) / 3600


def plan_training(
    config: ModelConfig,
    schedule: Schedule,
    gpu: Device,
    shares: Sequence[Utilisation],
    country: str,
    price: float | None,
) -> TrainingPlan:
    """What `schedule` takes on GPUs of this kind, in a data centre as efficient as Meta's, fed from a country's grid.

    `price`: for an hour of one GPU. Raises `ValueError`.
    """
    if price is not None and not (price >= 0 and math.isfinite(price)):
        raise ValueError(f"price is {price}; what an hour of one GPU costs was expected, such as 2.5")
    assert gpu.watts is not None
    pue, grams = fact(PUE).number, grid(country).number
    exact = training_flops(config, schedule.tokens, schedule.length)
    costs = []
    for one in shares:
        gpu_hours = hours(exact, gpu, one.share)
        drawn = gpu_hours * 3600 * gpu.watts  # joules
        costs.append(TrainingCost(
            one, gpu_hours, drawn / 3.6e6 * pue, emissions(drawn, grams, pue),
            None if price is None else gpu_hours * price,
        ))  # fmt: skip
    return TrainingPlan(schedule, six_n_d(config, schedule.tokens), exact, tuple(costs))
