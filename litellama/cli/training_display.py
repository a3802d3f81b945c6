"""A training in the terminal: what it is, a bar with the figures of the last steps, samples as they come."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from litellama.training.events import Note, Sample, Stepped, TrainingEnded, TrainingEvent, TrainingStarted, Validated

WH = 3600.0
SMOOTH = 0.95
SHARES = ("answerable", "unanswerable", "outside", "talk")


@contextmanager
def display(quiet: bool = False) -> Iterator[Callable[[TrainingEvent], None]]:
    """What is yielded shows each event on stderr; nothing if `quiet`."""
    if quiet:
        yield lambda event: None
        return
    columns = (
        TextColumn("training"), BarColumn(), MofNCompleteColumn(), TextColumn("{task.description}"),
        TimeElapsedColumn(), TextColumn("left"), TimeRemainingColumn(),
    )  # fmt: skip
    console = Console(stderr=True)
    with Progress(*columns, console=console, speed_estimate_period=300) as bar:
        yield _Display(console, bar).show


class _Display:
    def __init__(self, console: Console, bar: Progress) -> None:
        self._console, self._bar = console, bar
        self._task = bar.add_task("", total=None, visible=False)
        self._smooth: dict[str, float] = {}

    def show(self, event: TrainingEvent) -> None:
        if isinstance(event, Stepped):
            self._step(event)
        elif isinstance(event, TrainingStarted):
            self._bar.update(self._task, total=event.steps, visible=True)
            self._say(_introduction(event))
        elif isinstance(event, Note):
            self._say(event.text)
        elif isinstance(event, Validated):
            self._say(f"step {event.step:,}, held out: {figures(event.figures)}")
        elif isinstance(event, Sample):
            self._say(f"step {event.step:,}: {event.prompt} [bold]{escape(event.text)}[/bold]", markup=True)
        elif isinstance(event, TrainingEnded) and event.checkpoint is not None:
            self._bar.update(self._task, visible=False)
            self._say(f"{event.checkpoint}: {figures(event.figures) or 'done'}")

    def _say(self, text: str, markup: bool = False) -> None:
        self._console.print(text, markup=markup, highlight=False)

    def _step(self, event: Stepped) -> None:
        now = event.metrics
        shown = {"loss": now.loss, "accuracy": now.accuracy, "speed": now.tokens_per_second, "mfu": event.mfu or 0.0}
        for name, value in shown.items():
            self._smooth[name] = SMOOTH * self._smooth.get(name, value) + (1 - SMOOTH) * value
        words = f"loss {self._smooth['loss']:.3f}, right {self._smooth['accuracy']:.1%}"
        words += f", {self._smooth['speed']:,.0f} tokens/s"
        if event.mfu is not None:
            words += f", MFU {self._smooth['mfu']:.1%}"
        if event.joules is not None:
            words += f", {event.joules[0] / WH:.2g} Wh"
        if event.memory is not None:
            words += f", {event.memory / 2**30:.1f} GiB"
        self._bar.update(self._task, completed=now.step, description=words)


def _introduction(begun: TrainingStarted) -> str:
    trained = f"{begun.trained:,} of {begun.parameters:,} parameters"
    lines = [f"{trained} are trained on {begun.corpus}, {begun.steps:,} steps"]
    if begun.epoch_tokens is not None:
        lines[0] += f"; it has {begun.epoch_tokens:,} tokens"
    if begun.peak is not None:
        lines.append(
            "MFU = 3 x (2 x multiplied weights + attention) x tokens/s / peak, of "
            f"{begun.peak / 1e12:.2f} TFLOP/s ({begun.peak_how})"
        )
    lines.append(f"on {begun.machine}; energy is estimated unless a sensor of the machine measures it")
    return "\n".join(lines)


def figures(found: dict[str, float]) -> str:
    """{"answerable": 0.5, "loss": 1.25} -> "answerable 50.0 %, loss 1.250"."""
    return ", ".join(
        f"{name} {value:.1%}".replace("%", " %") if name in SHARES else f"{name} {value:.3f}"
        for name, value in found.items()
    )
