"""The events of a training as TensorBoard's files (which `wandb sync` takes as well, for who wants them there)."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from litellama.training.events import Sample, Stepped, TrainingEnded, TrainingEvent, Validated


def scalars(event: TrainingEvent) -> dict[str, float]:
    """The numbers to draw, by name."""
    if isinstance(event, Validated):
        return {f"held_out/{name}": value for name, value in event.figures.items()}
    if not isinstance(event, Stepped):
        return {}
    names = "loss accuracy learning_rate gradient_norm tokens_per_second".split()
    values: dict[str, Any] = {f"training/{name}": getattr(event.metrics, name) for name in names}
    values |= {
        "machine/mfu": event.mfu,
        "machine/joules": event.joules and event.joules[0],
        "machine/bytes": event.memory,
    }
    return {name: value for name, value in values.items() if value is not None}


def _step(event: TrainingEvent) -> int | None:
    return event.metrics.step if isinstance(event, Stepped) else getattr(event, "step", None)


def tensorboard(folder: Path) -> Callable[[TrainingEvent], None]:
    """What is returned writes each event into `folder`. Raises `ValueError` if the package is missing."""
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError:
        raise ValueError("--tensorboard needs the package tensorboard; pip install tensorboard") from None
    writer = SummaryWriter(str(folder), flush_secs=5)

    def tell(event: TrainingEvent) -> None:
        for name, value in scalars(event).items():
            writer.add_scalar(name, value, _step(event))
        if isinstance(event, Sample):
            writer.add_text("sample", event.text, event.step)
        if isinstance(event, TrainingEnded):
            writer.close()

    return tell
