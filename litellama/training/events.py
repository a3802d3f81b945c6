"""The events of a training. Each is a line of metrics.jsonl and of `train --json`."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from litellama.training.loop import Metrics


@dataclass(frozen=True)
class Note:
    """What is being prepared."""

    text: str


@dataclass(frozen=True)
class TrainingStarted:
    """A training about to begin, or to go on. `trained` of the `parameters` are; `epoch_tokens` is None where the
    corpus has no end; `peak` is what MFU is a share of, in operations per second, None for several devices."""

    steps: int
    parameters: int
    trained: int
    corpus: str
    kind: str
    epoch_tokens: int | None
    machine: str
    peak: float | None
    peak_how: str


@dataclass(frozen=True)
class Stepped:
    """One step: its metrics; the share of the device's speed that was used (MFU); joules so far with their range, and
    the most memory held, in bytes; None where nobody can say."""

    metrics: Metrics
    mfu: float | None
    joules: tuple[float, float, float] | None
    joules_how: str
    memory: int | None


@dataclass(frozen=True)
class Validated:
    """How well the model predicts the validation data, after `step`."""

    step: int
    figures: dict[str, float]


@dataclass(frozen=True)
class Sample:
    """How the model continues the same prompt, after `step`."""

    step: int
    prompt: str
    text: str


@dataclass(frozen=True)
class TrainingEnded:
    """The end: `checkpoint` is None for a training that was stopped, to be gone on with."""

    step: int
    checkpoint: Path | None
    figures: dict[str, float] = field(default_factory=dict)


TrainingEvent = Note | TrainingStarted | Stepped | Validated | Sample | TrainingEnded

NAMES = {
    Note: "Note", TrainingStarted: "Begun", Stepped: "Stepped", Validated: "Held", Sample: "Sample",
    TrainingEnded: "Ended",
}  # fmt: skip
"""What each event is called in metrics.jsonl, where older trainings must stay readable."""


def to_json(event: TrainingEvent) -> dict[str, Any]:
    """One line of metrics.jsonl, and what `train --json` prints: {"news": "Stepped", "step": 12, "loss": ...}."""
    values = asdict(event)
    values |= values.pop("metrics", {})
    return {"news": NAMES[type(event)]} | {k: str(v) if isinstance(v, Path) else v for k, v in values.items()}
