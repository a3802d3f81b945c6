"""The news of a training for other programs: TensorBoard's files, and, only if asked, Weights & Biases."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from litellama.training.news import Held, News, Sample, Stepped

Tracker = Callable[[News], None]


def trackers(folder: Path, tensorboard: bool, wandb: str | None) -> list[Tracker]:
    """Those that were asked for. Raises `ValueError` that says what to install where one is missing."""
    found: list[Tracker] = []
    if tensorboard:
        found.append(_tensorboard(folder / "tensorboard"))
    if wandb is not None:
        found.append(_wandb(wandb))
    return found


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


def _tensorboard(folder: Path) -> Tracker:
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
        if type(news).__name__ == "Ended":
            writer.close()

    return tell


def _wandb(project: str) -> Tracker:
    try:
        import wandb
    except ImportError:
        raise ValueError("--wandb needs the package wandb; pip install wandb") from None
    wandb.init(project=project)

    def tell(news: News) -> None:
        if numbers := scalars(news):
            wandb.log(numbers, step=_step(news))

    return tell
