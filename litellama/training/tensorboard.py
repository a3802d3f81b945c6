"""The news of a training as TensorBoard's files (which `wandb sync` takes as well, for who wants them there)."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from litellama.training.events import Ended, Held, News, Sample, Stepped


def scalars(news: News) -> dict[str, float]:
    """The numbers to draw, by name."""
    if isinstance(news, Held):
        return {f"held_out/{name}": value for name, value in news.figures.items()}
    if not isinstance(news, Stepped):
        return {}
    names = "loss accuracy learning_rate gradient_norm tokens_per_second".split()
    values: dict[str, Any] = {f"training/{name}": getattr(news.metrics, name) for name in names}
    values |= {"machine/mfu": news.mfu, "machine/joules": news.joules and news.joules[0], "machine/bytes": news.memory}
    return {name: value for name, value in values.items() if value is not None}


def _step(news: News) -> int | None:
    return news.metrics.step if isinstance(news, Stepped) else getattr(news, "step", None)


def tensorboard(folder: Path) -> Callable[[News], None]:
    """What is returned writes each piece of news into `folder`. Raises `ValueError` if the package is missing."""
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError:
        raise ValueError("--tensorboard needs the package tensorboard; pip install tensorboard") from None
    writer = SummaryWriter(str(folder), flush_secs=5)

    def tell(news: News) -> None:
        for name, value in scalars(news).items():
            writer.add_scalar(name, value, _step(news))
        if isinstance(news, Sample):
            writer.add_text("sample", news.text, news.step)
        if isinstance(news, Ended):
            writer.close()

    return tell
