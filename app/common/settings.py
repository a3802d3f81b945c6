"""The knobs of the chat: their ranges, their defaults, and the check of what a browser sent (which may be anything)."""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from typing import Any

from app.common.strings import Problem
from litellama.sampling import Sampling


@dataclass(frozen=True)
class Knob:
    """One number the user may turn, from `low` to `high` in steps of `step`."""

    low: float
    high: float
    step: float
    default: float

    def read(self, name: str, value: Any) -> float:
        """`value` as a number inside the range. Raises `Problem` for text, null, NaN, infinity and numbers outside."""
        is_number = isinstance(value, int | float) and not isinstance(value, bool)  # guard: setting-type
        if not is_number or not self.low <= value <= self.high:  # NaN is in no range; guard: setting-range
            raise Problem("problem.setting", setting=f"@chat.{name}", low=_short(self.low), high=_short(self.high))
        if self.step == 1 and value != int(value):
            raise Problem("problem.setting_whole", setting=f"@chat.{name}")
        return float(value)


MOST_TOKENS = 2000  # of a reply; half of what a model reads at once, where that is less (`app.chat.responders`)
MOST_TOKENS_IN_CLASS = 400

KNOBS = {
    "temperature": Knob(low=0, high=2, step=0.05, default=0.7),
    "top_p": Knob(low=0.05, high=1, step=0.05, default=0.95),
    "top_k": Knob(low=0, high=200, step=1, default=0),
    "repetition_penalty": Knob(low=1, high=2, step=0.05, default=1),
    "max_tokens": Knob(low=1, high=MOST_TOKENS, step=1, default=200),
}
SEED = Knob(low=0, high=2**31 - 1, step=1, default=0)


@dataclass(frozen=True)
class Settings:
    """How one reply is to be written. The same settings, seed and conversation give the same reply."""

    temperature: float
    top_p: float
    top_k: int
    max_tokens: int
    seed: int
    repetition_penalty: float = 1.0

    @property
    def sampling(self) -> Sampling:
        return Sampling(self.temperature, self.top_k, self.top_p, self.repetition_penalty)


def read_settings(values: object) -> Settings:
    """Check what the browser sent. A seed of null means: throw a new one, so that the reply can be had again."""
    if not isinstance(values, dict):
        raise Problem("problem.request")
    sent: dict[str, Any] = {"repetition_penalty": 1} | values  # who sends none wants none
    numbers = {name: knob.read(name, sent.get(name)) for name, knob in KNOBS.items()}
    seed = sent.get("seed")
    seed = secrets.randbelow(100_000) if seed is None else SEED.read("seed", seed)
    return Settings(
        temperature=numbers["temperature"],
        top_p=numbers["top_p"],
        top_k=int(numbers["top_k"]),
        max_tokens=int(numbers["max_tokens"]),
        seed=int(seed),
        repetition_penalty=numbers["repetition_penalty"],
    )


def knob_defaults(sampling: Sampling) -> dict[str, float]:
    """Where the knobs stand for a model that is sampled so; `max_tokens` doesn't depend on the model."""
    stated = {
        "temperature": 0.0 if sampling.greedy else sampling.temperature, "top_p": sampling.top_p,
        "top_k": sampling.top_k, "repetition_penalty": sampling.repetition_penalty,
    }  # fmt: skip
    return {name: min(max(value, KNOBS[name].low), KNOBS[name].high) for name, value in stated.items()}


def _short(number: float) -> str:
    return f"{number:g}" if number < 1e6 else f"{number:.0f}"
