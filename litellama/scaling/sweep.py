"""A ladder of sizes trained on one corpus, each on the same token budgets: what a scaling law is fitted to.

    FOLDER/
      sweep.json           what all runs share: corpus, vocabulary, seed, batch, learning rate
      sweep.jsonl          one line for each finished run
      shared-training/     the tokenizer and the tokenised corpus, made once and read by all
      runs/NAME-TOKENS/    each run's checkpoint, and next to it the folder of its training

One tokenizer for all, since losses for each token of different vocabularies cannot be compared. Each budget is a run of
its own, whose learning rate comes down at its own end: a longer run's loss on its way there would be too high, and the
use of more tokens would look too small (Hoffmann et al. 2022, section 2).
"""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Generator, Iterator, Mapping
from contextlib import closing
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import torch

from litellama.checkpoint import write_file, write_json
from litellama.config import ModelConfig
from litellama.data.shards import open_shards
from litellama.tokenizer import Tokenizer
from litellama.training.control import Control
from litellama.training.events import Note, Stepped, TrainingEnded, TrainingEvent
from litellama.training.prepare import SHARDS, TOKENIZER, write_dataset
from litellama.training.recipe import TINYTOWN, Recipe
from litellama.training.run import run
from litellama.training.state import states

SETTINGS, RESULTS, SHARED, RUNS = "sweep.json", "sweep.jsonl", "shared", "runs"
TRIAL_STEPS = 8  # one of TinyTown's blocks, whose batches differ in length
QUESTIONS = 300


@dataclass(frozen=True)
class SweepRecipe:
    """What is to be trained: each of the `sizes`, by name, on each of the `budgets`, in tokens. The sizes' vocabulary
    is not theirs but the one learned from the corpus, as large as the smallest that any of them has."""

    out: Path
    corpus: str
    sizes: Mapping[str, ModelConfig]
    budgets: tuple[int, ...]
    seed: int = 0
    rows: int = 8
    length: int | None = None
    limit: int | None = None
    learning_rate: float = 1e-3
    device: str = "cpu"
    resume: bool = False
    command: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if not self.sizes or not self.budgets:
            raise ValueError("nothing to train: at least one size and one token budget were expected")
        if min(self.budgets) < 1 or len(set(self.budgets)) < len(self.budgets):
            raise ValueError(f"the token budgets are {self.budgets}; different numbers of at least 1 were expected")

    @property
    def shared(self) -> Recipe:
        """The recipe whose folder holds what all runs read."""
        smallest = min(self.sizes.values(), key=lambda config: config.vocab_size)
        return Recipe(out=self.out / SHARED, config=smallest, corpus=self.corpus, limit=self.limit, steps=1)


@dataclass(frozen=True)
class SweepEstimate:
    """Before the first run: how many are left to do, and about how long they take here, by a few steps of each size."""

    runs: int
    tokens: int
    seconds: float


@dataclass(frozen=True)
class SweepRunStarted:
    """The run that comes next, the `number`th of `runs`."""

    number: int
    runs: int
    size: str
    budget: int


@dataclass(frozen=True)
class SweepResult:
    """One finished run. `tokens` were really read, in whole steps; `loss` is the held-out one, in nats per token."""

    size: str
    parameters: int
    budget: int
    steps: int
    tokens: int
    loss: float
    hours: float


SweepEvent = TrainingEvent | SweepEstimate | SweepRunStarted | SweepResult


def sweep(plan: SweepRecipe, control: Control | None = None) -> Generator[SweepEvent, None, None]:
    """Do the trainings that are not done yet, one after another; `control`'s "stop" saves the one under way.

    Raises `ValueError` for a folder that holds a sweep already and no `resume`, for one of other settings, and for a
    corpus that is too small to hold anything out; else as `run` does.
    """
    control, threads = control or Control(), torch.get_num_threads()
    settings = yield from _settings(plan)
    done = {(one.size, one.parameters, one.budget) for one in sweep_results(plan.out)}
    todo = [
        (name, budget)
        for budget in sorted(plan.budgets)
        for name, config in plan.sizes.items()
        if (name, replace(config, vocab_size=settings["vocabulary"]).num_parameters, budget) not in done
    ]
    try:
        if todo:
            yield _estimated(plan, settings, todo, threads)
        for number, (name, budget) in enumerate(todo, 1):
            yield SweepRunStarted(number, len(todo), name, budget)
            torch.set_num_threads(
                threads
            )  # small models are trained with one thread for each row, and leave it at that
            if not (yield from _one(plan, settings, name, budget, control)):
                return
    finally:
        torch.set_num_threads(threads)


def sweep_results(out: Path) -> list[SweepResult]:
    """The finished runs of the sweep in `out`, in the order in which they ended."""
    path = out / RESULTS
    lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
    return [SweepResult(**json.loads(line)) for line in lines]


# --- What all runs share ---------------------------------------------------------------------------------------------


def read_settings(out: Path) -> dict[str, Any]:
    """What all runs of the sweep in `out` share. Raises `ValueError` if there is none."""
    try:
        settings: dict[str, Any] = json.loads((out / SETTINGS).read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ValueError(f"there is no sweep in {out}; start it without --resume") from None
    return settings


def _settings(plan: SweepRecipe) -> Generator[TrainingEvent, None, dict[str, Any]]:
    """Those of the sweep that is gone on with; or new ones, once tokenizer and corpus are ready to be read."""
    asked = {name: getattr(plan, name) for name in ("corpus", "seed", "rows", "length", "limit", "learning_rate")}
    if plan.resume:
        settings = read_settings(plan.out)
        for name, value in asked.items():
            if settings[name] != value:
                raise ValueError(
                    f"the sweep in {plan.out} has {name} {settings[name]!r}, and {value!r} is asked for; losses of "
                    "both could not be compared, so give the same or another --out"
                )
        return settings
    if (plan.out / SETTINGS).exists():
        raise ValueError(f"{plan.out} holds a sweep already; go on with it by --resume, or choose another --out")
    shared = plan.shared
    shutil.rmtree(shared.folder, ignore_errors=True)  # of a preparation that was cut off
    assert shared.config is not None
    yield from write_dataset(shared, shared.config)
    tokenizer = Tokenizer.load(shared.folder / TOKENIZER)
    epoch: int | None = None
    if plan.corpus != TINYTOWN:
        shards = open_shards(shared.folder / SHARDS, tokenizer, verify=False)
        epoch = shards.epoch_tokens
        if not shards.held_out_tokens:
            raise ValueError(
                f"{shards.source} has {shards.documents} documents and {shards.tokens} tokens, too few to hold any out "
                "and judge the models by them; give a larger corpus"
            )
    yield Note(f"one tokenizer for all sizes: {tokenizer.vocab_size:,} tokens")
    each, _ = _trial(plan, next(iter(plan.sizes)))
    settings = {**asked, "vocabulary": tokenizer.vocab_size, "epoch_tokens": epoch, "tokens_per_step": each}
    write_file(plan.out / f"{SETTINGS}.new", lambda path: write_json(path, settings))
    (plan.out / f"{SETTINGS}.new").replace(plan.out / SETTINGS)
    return settings


# --- One run ---------------------------------------------------------------------------------------------------------


def _recipe(plan: SweepRecipe, name: str, out: Path, steps: int) -> Recipe:
    """A run of one size: it shows nothing on its way, and is evaluated at its end."""
    return Recipe(
        out=out, config=plan.sizes[name], corpus=plan.corpus, dataset_folder=plan.shared.folder, steps=steps,
        seed=plan.seed, rows=plan.rows, length=plan.length, learning_rate=plan.learning_rate,
        device=plan.device, evaluate_every=steps, samples=1, questions=QUESTIONS, command=plan.command,
    )  # fmt: skip


def _steps(settings: dict[str, Any], budget: int) -> int:
    return max(1, round(budget / settings["tokens_per_step"]))


def _one(
    plan: SweepRecipe, settings: dict[str, Any], name: str, budget: int, control: Control
) -> Generator[SweepEvent, None, bool]:
    """Train, or go on where it was stopped; True if it came to its end."""
    recipe = _recipe(plan, name, plan.out / RUNS / f"{name}-{budget}", _steps(settings, budget))
    if states(recipe.folder):
        recipe = replace(recipe, resume=True)
    else:
        shutil.rmtree(recipe.folder, ignore_errors=True)
    for event in run(recipe, control):
        yield event
        if isinstance(event, TrainingEnded):
            if event.checkpoint is None or event.step < (recipe.steps or 0):
                return False
            found = _found(name, budget, event)
    _append(plan.out, found)
    for state in states(recipe.folder):  # three times the checkpoint's size each, and of no more use
        shutil.rmtree(state)
    yield found
    return True


def _found(name: str, budget: int, ended: TrainingEnded) -> SweepResult:
    assert ended.checkpoint is not None
    card = json.loads((ended.checkpoint / "card.json").read_text(encoding="utf-8"))
    loss = ended.figures["loss"]
    return SweepResult(name, card["parameters"], budget, ended.step, card["tokens_seen"], loss, card["hours"])


def _append(out: Path, found: SweepResult) -> None:
    """The results with one more line, whole or not at all."""
    text = "".join(json.dumps(asdict(one)) + "\n" for one in (*sweep_results(out), found))

    def write(path: Path) -> None:
        path.write_text(text, encoding="utf-8", newline="\n")

    write_file(out / f"{RESULTS}.new", write)
    (out / f"{RESULTS}.new").replace(out / RESULTS)


# --- How long it takes -----------------------------------------------------------------------------------------------


def _estimated(plan: SweepRecipe, settings: dict[str, Any], todo: list[tuple[str, int]], threads: int) -> SweepEstimate:
    seconds, tokens = 0.0, 0
    each: dict[str, float] = {}
    for name, budget in todo:
        if name not in each:
            torch.set_num_threads(threads)
            each[name] = _trial(plan, name)[1]
        seconds += each[name] * _steps(settings, budget)
        tokens += budget
    return SweepEstimate(len(todo), tokens, seconds)


def _trial(plan: SweepRecipe, name: str) -> tuple[float, float]:
    """Tokens and seconds of a step, by the first few, of a model of this size that is thrown away."""
    with tempfile.TemporaryDirectory() as folder:
        recipe = _recipe(plan, name, Path(folder) / "trial", TRIAL_STEPS)
        with closing(run(recipe)) as event:
            steps = list(_stepped(event))
    tokens, seconds = steps[-1].metrics.tokens_seen, steps[-1].metrics.seconds - steps[0].metrics.seconds
    return tokens / TRIAL_STEPS, seconds / (TRIAL_STEPS - 1)


def _stepped(event: Iterator[TrainingEvent]) -> Iterator[Stepped]:
    for one in event:
        if isinstance(one, Stepped):
            yield one
            if one.metrics.step == TRIAL_STEPS:
                return
