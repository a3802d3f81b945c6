"""Trainings that a notebook shows while they go on; Jupyter's stop button ends them as Ctrl-C does in a terminal: what
was learned is saved, and running the cell again goes on from there."""

from __future__ import annotations

import html
import json
import shutil
import time
from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, TypeVar

import plotly.graph_objects as go
import torch
from IPython.display import HTML, DisplayHandle

from lessons.kit.figures import as_output
from lessons.kit.words import WORDS
from litellama.checkpoint import CARD, open_checkpoint, save_checkpoint
from litellama.checkpoint.archive import safe_name
from litellama.cli.train import interrupts
from litellama.config import preset
from litellama.model import LiteLlama
from litellama.plots import loss_curves, scaling_law
from litellama.scaling.sweep import (
    SETTINGS,
    SweepEstimate,
    SweepEvent,
    SweepRecipe,
    SweepResult,
    SweepRunStarted,
    sweep,
    sweep_results,
)
from litellama.training.control import Control
from litellama.training.dataset import Dataset
from litellama.training.events import Sample, Stepped, TrainingEnded, TrainingEvent, TrainingStarted, Validated
from litellama.training.parallel import ALONE
from litellama.training.prepare import prepare
from litellama.training.recipe import Recipe
from litellama.training.run import run
from litellama.training.state import states

SECONDS_BETWEEN_DRAWINGS = 1.0
ORDER = "order.txt"  # what a training's folder was made by, so that a changed one begins anew
SAMPLES = 3  # the last few are shown

T = TypeVar("T")


@dataclass
class Watched:
    """What a training told: `losses` of each step, held-out losses as (step, loss), what the model wrote as (step,
    prompt, text); `checkpoint` is None for one that was stopped or diverged."""

    steps: int = 0
    parameters: int = 0
    losses: list[float] = field(default_factory=list)
    held: list[tuple[int, float]] = field(default_factory=list)
    samples: list[tuple[int, str, str]] = field(default_factory=list)
    tokens: int = 0
    seconds: float = 0.0
    checkpoint: Path | None = None
    stopped: bool = False
    diverged: bool = False

    @property
    def tokens_per_second(self) -> float:
        return self.tokens / self.seconds if self.seconds else 0.0

    def hear(self, event: TrainingEvent) -> None:
        """Take in one event."""
        if isinstance(event, TrainingStarted):
            self.steps, self.parameters = event.steps, event.parameters
        elif isinstance(event, Stepped):
            self.losses.append(event.metrics.loss)
            self.tokens, self.seconds = event.metrics.tokens_seen, event.metrics.seconds
        elif isinstance(event, Validated):
            self.held.append((event.step, event.figures["loss"]))
        elif isinstance(event, Sample):
            self.samples.append((event.step, event.prompt, event.text))
        elif isinstance(event, TrainingEnded):
            self.checkpoint, self.stopped = event.checkpoint, event.checkpoint is None
            if "loss" in event.figures:
                self.held.append((event.step, event.figures["loss"]))


def untrained(recipe: Recipe) -> tuple[LiteLlama, Dataset]:
    """The job's model as it is before the first step, and what it is to read, ready in the job's folder."""
    model, dataset = _result(prepare(recipe, ALONE))
    return model.to(recipe.device), dataset


def _result(steps: Generator[Any, None, T]) -> T:
    """What a generator returns at its end."""
    while True:
        try:
            next(steps)
        except StopIteration as end:
            value: T = end.value
            return value


# --- One training ----------------------------------------------------------------------------------------------------


def watch(recipe: Recipe, inside: Path, language: str) -> Watched:
    """Do the job; one display shows the loss as it falls and what the model writes. A job that was stopped goes on; any
    other begins anew, which clears its folders: they must lie `inside` the folder that the lesson may write in."""
    seen = Watched()
    show = _Display(lambda: _draw(seen, language), lambda: _tell(seen, language))
    _do(recipe, inside, seen, show)
    return seen


def watch_all(recipes: Mapping[str, Recipe], inside: Path, language: str) -> dict[str, Watched]:
    """Do several jobs, one after another, and draw their losses into one figure. One that is stopped ends them all."""
    all_seen: dict[str, Watched] = {}

    def draw() -> go.Figure:
        words = WORDS[language]
        lines = {name: seen.losses for name, seen in all_seen.items()}
        return loss_curves(lines, x=words["step"], y=words["loss_axis"])

    def tell() -> str:
        name = next(reversed(all_seen), "")
        return f"<b>{html.escape(name)}</b> {_tell(all_seen[name], language, samples=1)}" if name else ""

    show = _Display(draw, tell)
    for name, recipe in recipes.items():
        all_seen[name] = Watched()
        _do(recipe, inside, all_seen[name], show)
        if all_seen[name].stopped:
            break
    return all_seen


def _do(recipe: Recipe, inside: Path, seen: Watched, show: _Display) -> None:
    going_on = _is_unfinished(recipe)
    if going_on:
        _remember(recipe, seen)
    else:
        _clear([recipe.checkpoint, recipe.folder], inside)
        recipe.folder.mkdir(parents=True, exist_ok=True)
        (recipe.folder / ORDER).write_text(repr(recipe), encoding="utf-8")
    control = Control()
    with interrupts(control):
        try:
            for event in run(replace(recipe, resume=going_on), control):
                seen.hear(event)
                show.sometimes()
        except FloatingPointError:
            seen.diverged = True
    show.now()


def _is_unfinished(recipe: Recipe) -> bool:
    path = recipe.folder / ORDER
    same = path.exists() and path.read_text(encoding="utf-8") == repr(recipe)
    return same and not recipe.checkpoint.exists() and bool(states(recipe.folder))


def _remember(recipe: Recipe, seen: Watched) -> None:
    """Let `seen` have what a training that was stopped told, up to the state that it goes on from."""
    last = int(states(recipe.folder)[0].name.removeprefix("state-"))
    for line in (recipe.folder / "metrics.jsonl").read_text(encoding="utf-8").splitlines():
        event = json.loads(line)
        if event.get("step", 0) > last:
            continue
        if event["news"] == "Stepped":
            seen.losses.append(event["loss"])
        elif event["news"] == "Held":
            seen.held.append((event["step"], event["figures"]["loss"]))
        elif event["news"] == "Sample":
            seen.samples.append((event["step"], event["prompt"], event["text"]))


def _clear(folders: Sequence[Path], inside: Path) -> None:
    for folder in folders:
        if inside.resolve() not in folder.resolve().parents:
            raise ValueError(f"{folder} must lie in lesson.folder, {inside}: a training there may be begun anew")
        shutil.rmtree(folder, ignore_errors=True)


def _draw(seen: Watched, language: str) -> go.Figure:
    words = WORDS[language]
    lines: dict[str, Any] = {words["training_loss"]: seen.losses}
    if seen.held:
        lines[words["held_out_loss"]] = seen.held
    return loss_curves(lines, x=words["step"], y=words["loss_axis"])


def _tell(seen: Watched, language: str, samples: int = SAMPLES) -> str:
    words = WORDS[language]
    if not seen.losses:
        return html.escape(words["preparing"])
    done = len(seen.losses)
    facts = [
        words["steps_done"].format(step=_number(done, language), steps=_number(seen.steps, language)),
        words["loss_now"].format(loss=_number(seen.losses[-1], language)),
        words["speed"].format(speed=_number(round(seen.tokens_per_second), language)),
    ]
    if seen.stopped or seen.diverged:
        facts.append(words["stopped" if seen.stopped else "diverged"])
    elif done < seen.steps:
        left = seen.seconds / done * (seen.steps - done)
        facts.append(words["left"].format(seconds=_number(round(left), language)))
    wrote = [
        f"<br><small>{words['step']} {_number(step, language)}:</small> <b>{html.escape(prompt)}</b>{html.escape(text)}"
        for step, prompt, text in seen.samples[-samples:]
    ]
    return " · ".join(map(html.escape, facts)) + "".join(wrote)


def _number(value: float, language: str) -> str:
    text = f"{value:,}" if isinstance(value, int) else f"{value:.2f}"
    return text.translate(str.maketrans(",.", ".,")) if language == "de" else text


# --- A ladder of them ------------------------------------------------------------------------------------------------


def watch_sweep(plan: SweepRecipe, inside: Path, language: str) -> list[SweepResult]:
    """Do the sweep; one display shows which run is under way and what came out so far. Runs that are done already are
    not done again, unless what they share has changed: then all begins anew."""
    path, shared = plan.out / ORDER, repr(replace(plan, sizes={"": preset("tinytown")}, budgets=(1,)))
    going_on = (plan.out / SETTINGS).exists() and path.exists() and path.read_text(encoding="utf-8") == shared
    if not going_on:
        _clear([plan.out], inside)
        plan.out.mkdir(parents=True)
        path.write_text(shared, encoding="utf-8")
    control, seen = Control(), _Ladder()
    show = _Display(lambda: _draw_ladder(plan, language), lambda: seen.tell(language))
    with interrupts(control):
        for event in sweep(replace(plan, resume=going_on), control):
            seen.hear(event)
            show.sometimes()
    show.now()
    return _ordered(plan)


def _ordered(plan: SweepRecipe) -> list[SweepResult]:
    """Of the runs that are done, those that this order asks for."""
    return [one for one in sweep_results(plan.out) if one.size in plan.sizes and one.budget in plan.budgets]


@dataclass
class _Ladder:
    """How far a sweep is."""

    estimated: float = 0.0
    beginning: SweepRunStarted | None = None
    loss: float = 0.0
    began: float = field(default_factory=time.monotonic)

    def hear(self, event: SweepEvent) -> None:
        if isinstance(event, SweepEstimate):
            self.estimated, self.began = event.seconds, time.monotonic()
        elif isinstance(event, SweepRunStarted):
            self.beginning = event
        elif isinstance(event, Stepped):
            self.loss = event.metrics.loss

    def tell(self, language: str) -> str:
        words, now = WORDS[language], self.beginning
        if now is None:
            return html.escape(words["preparing"])
        left = max(0, round(self.estimated - (time.monotonic() - self.began)))
        facts = [
            words["runs_done"].format(
                number=now.number, runs=now.runs, size=now.size, tokens=_number(now.budget, language)
            ),
            words["loss_now"].format(loss=_number(self.loss, language)),
            words["left"].format(seconds=_number(left, language)),
        ]
        return html.escape(" · ".join(facts))


def _draw_ladder(plan: SweepRecipe, language: str) -> go.Figure:
    return scaling_law([asdict(one) for one in _ordered(plan)], words=WORDS[language]["ladder"])


# --- Keeping ---------------------------------------------------------------------------------------------------------


def keep(checkpoint: Path, shelf: Path, title: str, lesson: int) -> Path:
    """Put a trained model among those on the `shelf`, under a name that none but this lesson's own model has."""
    opened = open_checkpoint(checkpoint)
    wanted = safe_name(title)
    found, number = wanted, 2
    while (shelf / found).exists() and _lesson(shelf / found) != lesson:
        found, number = f"{wanted}-{number}", number + 1
    shelf.mkdir(parents=True, exist_ok=True)
    card = (opened.card or {}) | {"name": title.strip() or found, "lesson": lesson}
    card.pop("command", None)  # none made it
    save_checkpoint(shelf / found, opened.model, opened.tokenizer, card=card, dtype=torch.float16)
    return shelf / found


def _lesson(folder: Path) -> int | None:
    """Which lesson made this model, if one did."""
    try:
        number = json.loads((folder / CARD).read_text(encoding="utf-8")).get("lesson")
    except (OSError, ValueError):
        return None
    return number if isinstance(number, int) else None


# --- The display -----------------------------------------------------------------------------------------------------


class _Display:
    """One line of text and one figure, drawn anew every second or so."""

    def __init__(self, draw: Callable[[], go.Figure], tell: Callable[[], str]) -> None:
        self._draw, self._tell = draw, tell
        self._drawn = 0.0
        self._text, self._figure = DisplayHandle(), DisplayHandle()
        self._text.display(HTML(self._line()))
        self._figure.display(as_output(self._draw()), raw=True)

    def sometimes(self) -> None:
        """Draw if the last drawing is old enough: each one costs a moment of the training."""
        if time.monotonic() - self._drawn >= SECONDS_BETWEEN_DRAWINGS:
            self.now()

    def now(self) -> None:
        self._text.update(HTML(self._line()))
        self._figure.update(as_output(self._draw()), raw=True)
        self._drawn = time.monotonic()

    def _line(self) -> str:
        return f"<p>{self._tell()}</p>"
