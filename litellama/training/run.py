"""A whole training, from the recipe to the checkpoint: one generator of events.

    for event in run(Recipe(out=Path("checkpoints/mine"), corpus="books.txt", minutes=5)):
        print(event)

The terminal, the app and the lessons show the same events. `NAME-training`, next to the checkpoint, holds the states to
resume from, the tokenised corpus, and metrics.jsonl with all events.
"""

from __future__ import annotations

import copy
import shlex
import tempfile
from collections.abc import Generator
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch

from litellama.chat import stop_ids
from litellama.checkpoint import save_checkpoint
from litellama.data.batches import TokenBatches
from litellama.footprint.machine import ROWS_SHARED_UP_TO, Peak, machine, peak
from litellama.generate import generate
from litellama.model import LiteLlama
from litellama.sampling import Sampling
from litellama.training.consumption import ConsumptionMeter
from litellama.training.control import Command, Control
from litellama.training.dataset import Dataset, Evaluation
from litellama.training.events import Note, Sample, TrainingEnded, TrainingEvent, TrainingStarted, Validated
from litellama.training.loop import train
from litellama.training.lora import merge_lora, save_adapter
from litellama.training.metrics_file import MetricsFile, read_metrics
from litellama.training.parallel import ALONE, World, whole_model
from litellama.training.prepare import prepare
from litellama.training.recipe import Recipe
from litellama.training.state import states

TRIAL_STEPS = 8
SPARE = 0.92  # the share of the minutes that is for steps; the rest is for samples, evaluations and saving
SAMPLE_TOKENS = 60
STEPS = "steps.txt"


def run(recipe: Recipe, control: Control | None = None, world: World = ALONE) -> Generator[TrainingEvent, None, None]:
    """Train by the recipe. All processes of a `world` run it together; only the first writes files.

    Raises `ValueError` for a recipe that cannot be followed, `OSError` if the disk fails, `FloatingPointError` if the
    training diverges.
    """
    metrics_file, threads = MetricsFile(recipe.folder), torch.get_num_threads()
    try:
        for event in _run(recipe, control or Control(), world):
            if world.is_first:
                metrics_file.write(event)
            yield event
    finally:
        torch.set_num_threads(threads)


def _run(recipe: Recipe, control: Control, world: World) -> Generator[TrainingEvent, None, None]:
    found = states(recipe.folder)
    if recipe.resume and not found:
        raise ValueError(f"there is no training to resume in {recipe.folder}; start it without --resume")
    if found and not recipe.resume:
        raise ValueError(
            f"{recipe.folder} holds a training already; go on with it by --resume, choose another --out, or remove "
            "that folder"
        )
    before = _earlier_joules(recipe)
    model, dataset = yield from prepare(recipe, world)
    batches = dataset.batches(recipe.seed, recipe.rows, model.config.max_position_embeddings)
    recipe = _with_steps(_for_this_machine(recipe, model, world), model, batches, world)
    fastest = peak(recipe.device, recipe.uses_bfloat16) if world.size == 1 else None
    training = _Training(recipe, model, dataset, world)
    yield training.started(fastest)
    steps = train(recipe, model, batches, recipe.folder, resume=recipe.resume, world=world)
    step, command = 0, "finish"
    with closing(steps), closing(ConsumptionMeter(recipe.device, fastest, before)) as meter:
        for metrics in steps:
            step = metrics.step
            yield meter.stepped(metrics)
            yield from training.progress(step)
            if (command := _command(control, world)) != "go":
                break
        else:
            command = "finish"
    if command == "stop":
        yield TrainingEnded(step, None)
    else:
        yield from training.finish()


def _command(control: Control, world: World) -> Command:
    """What to do after a step, the same in all processes."""
    if world.size == 1:
        return control.wait()
    return next((command for command in world.gather(control.now) if command in ("stop", "finish")), "go")


def _earlier_joules(recipe: Recipe) -> tuple[float, float, float]:
    """What the training took before it was stopped."""
    lines = read_metrics(recipe.folder) if recipe.resume else []
    read = [line["joules"] for line in lines if line.get("joules")]
    return tuple(read[-1]) if read else (0.0, 0.0, 0.0)


# --- What the recipe leaves open -------------------------------------------------------------------------------------


def _for_this_machine(recipe: Recipe, model: LiteLlama, world: World) -> Recipe:
    """The recipe with threads and precision for this machine. On a CPU each core takes some rows of a small model."""
    threads = 1
    if recipe.device == "cpu" and world.size == 1 and model.config.num_parameters <= ROWS_SHARED_UP_TO:
        threads = min(torch.get_num_threads(), recipe.rows)
        torch.set_num_threads(1)
    return replace(recipe, threads=threads, bfloat16=recipe.uses_bfloat16)


def _with_steps(recipe: Recipe, model: LiteLlama, batches: TokenBatches, world: World) -> Recipe:
    """The recipe with a number of steps. Minutes become steps by trying a few; a resumed training keeps its number."""
    steps = recipe.steps
    if steps is None:
        if world.size > 1:
            raise ValueError("several processes would each count other steps in so many minutes; give --steps")
        done, planned = _steps_done(recipe), _steps_planned(recipe)
        steps = planned if planned > done else done + _steps_in(recipe, model, batches)
    if world.is_first:
        (recipe.folder / STEPS).write_text(f"{steps}\n", encoding="utf-8")
    warmup = min(recipe.warmup_steps, max(1, steps // 10))
    return replace(recipe, steps=steps, minutes=None, warmup_steps=warmup)


def _steps_done(recipe: Recipe) -> int:
    """Steps done before this run."""
    found = states(recipe.folder)
    return int(found[0].name.removeprefix("state-")) if found else 0


def _steps_planned(recipe: Recipe) -> int:
    """The number of steps of the run that is resumed; 0 if there was none."""
    path = recipe.folder / STEPS
    return int(path.read_text(encoding="utf-8")) if recipe.resume and path.exists() else 0


def _steps_in(recipe: Recipe, model: LiteLlama, batches: TokenBatches) -> int:
    """How many steps take the recipe's minutes here, by the first few of them done with a copy of the model."""
    assert recipe.minutes is not None
    with tempfile.TemporaryDirectory() as folder:
        trial = replace(
            recipe, steps=TRIAL_STEPS, minutes=None, warmup_steps=Recipe(steps=1).warmup_steps, save_every=TRIAL_STEPS
        )
        seconds = [metrics.seconds for metrics in train(trial, copy.deepcopy(model), batches, Path(folder))]
    each = (seconds[-1] - seconds[0]) / (TRIAL_STEPS - 1)  # the first step also warms up
    return max(TRIAL_STEPS, round(recipe.minutes * 60 * SPARE / each))


# --- What is shown on the way, and the end ---------------------------------------------------------------------------


@dataclass(frozen=True)
class _Training:
    """A training under way; the recipe has a number of steps."""

    recipe: Recipe
    model: LiteLlama
    dataset: Dataset
    world: World

    def started(self, fastest: Peak | None) -> TrainingStarted:
        model, dataset = self.model, self.dataset
        trained = sum(parameter.numel() for parameter in model.parameters() if parameter.requires_grad)
        return TrainingStarted(
            self.recipe.total_steps, model.config.num_parameters, trained, dataset.corpus, dataset.kind,
            dataset.epoch_tokens, machine(self.recipe.device), fastest.flops if fastest else None,
            fastest.how if fastest else "several devices",
        )  # fmt: skip

    def progress(self, step: int) -> Generator[TrainingEvent, None, None]:
        """Samples, as many as the recipe says and one at the end; an evaluation every so many steps."""
        recipe = self.recipe
        done = step == recipe.total_steps
        if step % max(1, recipe.total_steps // recipe.samples) == 0 or done:
            yield self.sample(step)
        if step % (recipe.evaluate_every or recipe.save_every) == 0 and not done:
            *_, found = (None, *self.dataset.evaluate(self.model, None))
            if isinstance(found, Evaluation):
                yield Validated(step, found.figures)

    def sample(self, step: int) -> Sample:
        context, tokenizer = self.model.config.max_position_embeddings, self.dataset.tokenizer
        prompt = self.recipe.prompt or self.dataset.prompt
        ids = self.dataset.encode_prompt(prompt, context)[-context // 2 :]
        steps = generate(
            self.model, ids, sampling=Sampling(temperature=0.7), max_new_tokens=SAMPLE_TOKENS, seed=self.recipe.seed,
            stop_ids=stop_ids(self.model, tokenizer),
        )  # fmt: skip
        return Sample(step, prompt, tokenizer.decode([one.id for one in steps]))

    def finish(self) -> Generator[TrainingEvent, None, None]:
        """Evaluate the model as it will be stored, and write its checkpoint."""
        recipe, dataset, world = self.recipe, self.dataset, self.world
        if recipe.lora_rank:
            if world.is_first:
                save_adapter(recipe.folder / "adapter", self.model)
            merge_lora(self.model)
        whole = whole_model(self.model, world)
        whole.half().float()  # the figures are of the weights as stored
        found: Evaluation | None = None
        total = recipe.questions if dataset.kind == "tinytown" else None
        for progress in dataset.evaluate(whole, recipe.questions):
            if isinstance(progress, Evaluation):
                found = progress
            elif total:
                yield Note(f"asking held-out questions: {progress:,} of {total:,} documents")
        if world.is_first:
            card = _card(recipe, whole, dataset, found)
            save_checkpoint(recipe.checkpoint, whole, dataset.tokenizer, card=card, dtype=torch.float16)
        world.wait()
        yield TrainingEnded(_steps_done(recipe), recipe.checkpoint, found.figures if found else {})


def _card(recipe: Recipe, model: LiteLlama, dataset: Dataset, found: Evaluation | None) -> dict[str, Any]:
    """What made this checkpoint, so that anyone can make it again and knows what to expect of it."""
    steps = [line for line in read_metrics(recipe.folder) if line["news"] == "Stepped"]
    last = steps[-1]
    recent = [line["loss"] for line in steps[-200:]]
    # Of this machine's folders, only the last names: a card goes to other machines.
    words = [Path(arg).name if Path(arg).is_absolute() else arg for arg in recipe.command if arg != "--resume"]
    return {
        "name": recipe.checkpoint.name,
        "licence": "MIT",
        "parameters": model.config.num_parameters,
        "corpus": dataset.corpus,
        "kind": dataset.kind,
        **({"began_as": recipe.start.name} if recipe.start else {}),
        "command": f"python -m litellama {shlex.join(words)}",
        "seed": recipe.seed,
        "steps": last["step"],
        "planned_steps": recipe.steps,
        "tokens_seen": last["tokens_seen"],
        "hours": round(last["seconds"] / 3600, 4),
        "machine": machine(recipe.device),
        "training_loss": round(sum(recent) / len(recent), 4),
        **({"joules": dict(zip(("middle", "low", "high"), last["joules"], strict=True))} if last["joules"] else {}),
        **(found.card if found else {}),
    }
