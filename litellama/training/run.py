"""A whole training, from the order to the checkpoint: one generator that says everything there is to see on the way.

    for news in run(Job(out=Path("checkpoints/mine"), corpus="books.txt", minutes=5)):
        print(news)

The terminal, the app and the lessons show the same news. Beside the checkpoint stands `NAME-training`, with the states
to go on from, the tokenised corpus, and `metrics.jsonl`: all news, line by line.
"""

from __future__ import annotations

import copy
import json
import shlex
import tempfile
import time
from collections.abc import Generator
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from litellama.chat import stop_ids
from litellama.checkpoint import save_checkpoint
from litellama.data.batches import Batches
from litellama.footprint.machine import SMALL_TO_TRAIN, Peak, has_bfloat16, machine, peak, peak_memory
from litellama.footprint.meter import Meter
from litellama.footprint.sensors import sensors
from litellama.generate import generate
from litellama.model import LiteLlama
from litellama.sampling import Sampling
from litellama.training.dataset import Examined, Material
from litellama.training.events import Begun, Ended, Held, News, Note, Sample, Stepped, to_json
from litellama.training.job import Control, Job
from litellama.training.loop import Metrics, train
from litellama.training.lora import merge_lora, save_adapter
from litellama.training.parallel import ALONE, World, whole_model
from litellama.training.prepare import prepared
from litellama.training.recipe import Recipe
from litellama.training.state import states

TRIAL_STEPS = 8
SPARE = 0.92  # of the minutes are for steps, the rest for looks, examinations and saving
SAMPLE_TOKENS = 60
SECONDS_BETWEEN_READINGS = 1.0
METRICS, STEPS = "metrics.jsonl", "steps.txt"


def run(job: Job, control: Control | None = None, world: World = ALONE) -> Generator[News, None, None]:
    """Do the job. Raises `ValueError` for one that cannot be done, `OSError` if the disk fails, `FloatingPointError` if
    the training diverges. All processes of a `world` run it together; the first writes, and all are told the same."""
    log, threads = _Log(job.folder / METRICS), torch.get_num_threads()
    try:
        for news in _run(job, control or Control(), world):
            if world.is_first:
                log.write(news)
            yield news
    finally:
        torch.set_num_threads(threads)


def _run(job: Job, control: Control, world: World) -> Generator[News, None, None]:
    found = states(job.folder)
    if job.resume and not found:
        raise ValueError(f"there is no training to resume in {job.folder}; start it without --resume")
    if found and not job.resume:
        raise ValueError(
            f"{job.folder} holds a training already; go on with it by --resume, choose another --out, or remove that "
            "folder"
        )
    before = _earlier_joules(job)
    model, material = yield from prepared(job, world)
    batches = material.batches(job.seed, job.rows, model.config.max_position_embeddings)
    recipe = _recipe(job, model, batches, world)
    fastest = peak(job.device, recipe.bfloat16) if world.size == 1 else None
    yield _begun(job, model, material, recipe, fastest)
    stream = train(recipe, model, batches, job.folder, resume=job.resume, world=world)
    step, wish = 0, "finish"
    with closing(stream), closing(_Watch(job.device, before)) as watch:
        for metrics in stream:
            step = metrics.step
            yield watch.stepped(metrics, fastest)
            yield from _looks(job, model, material, recipe, step)
            if (wish := _wish(control, world)) != "go":
                break
        else:
            wish = "finish"
    if wish == "stop":
        yield Ended(step, None)
    else:
        yield from _finished(job, model, material, recipe, world)


def _recipe(job: Job, model: LiteLlama, batches: Batches, world: World) -> Recipe:
    """The job in the loop's terms; minutes become steps by trying a few, or those that were planned at first."""
    threads = 1
    if job.device == "cpu" and world.size == 1 and model.config.num_parameters <= SMALL_TO_TRAIN:
        threads = min(torch.get_num_threads(), job.rows)  # one for each core
        torch.set_num_threads(1)
    bfloat16 = has_bfloat16(job.device) if job.bfloat16 is None else job.bfloat16
    recipe = Recipe(
        steps=job.steps or 1, learning_rate=job.learning_rate, optimizer=job.optimizer, schedule=job.schedule,
        save_every=job.save_every, device=job.device, bfloat16=bfloat16, threads=threads,
        accumulate=job.accumulate, recompute=job.recompute, compile=job.compile, spread=job.spread,
    )  # fmt: skip
    steps = job.steps
    if steps is None:
        if world.size > 1:
            raise ValueError("several processes would each count other steps in so many minutes; give --steps")
        done, planned = _done(job), _planned(job)
        steps = planned if planned > done else done + _steps_in(job.minutes or 0, recipe, model, batches)
    if world.is_first:
        (job.folder / STEPS).write_text(f"{steps}\n", encoding="utf-8")
    return replace(recipe, steps=steps, warmup_steps=min(recipe.warmup_steps, max(1, steps // 10)))


def _done(job: Job) -> int:
    """Steps done before this run."""
    found = states(job.folder)
    return int(found[0].name.removeprefix("state-")) if found else 0


def _planned(job: Job) -> int:
    """Steps that an earlier run was to do; 0 if there was none."""
    path = job.folder / STEPS
    return int(path.read_text(encoding="utf-8")) if job.resume and path.exists() else 0


def _steps_in(minutes: float, recipe: Recipe, model: LiteLlama, batches: Batches) -> int:
    """So many steps take that long here, by the first few of them done with a copy of the model."""
    with tempfile.TemporaryDirectory() as folder:
        trial = replace(recipe, steps=TRIAL_STEPS, save_every=TRIAL_STEPS)
        seconds = [metrics.seconds for metrics in train(trial, copy.deepcopy(model), batches, Path(folder))]
    each = (seconds[-1] - seconds[0]) / (TRIAL_STEPS - 1)  # the first one also warms up
    return max(TRIAL_STEPS, round(minutes * 60 * SPARE / each))


def _begun(job: Job, model: LiteLlama, material: Material, recipe: Recipe, fastest: Peak | None) -> Begun:
    trained = sum(parameter.numel() for parameter in model.parameters() if parameter.requires_grad)
    return Begun(
        recipe.steps, model.config.num_parameters, trained, material.corpus, material.kind, material.epoch_tokens,
        machine(job.device), fastest.flops if fastest else None, fastest.how if fastest else "several devices",
    )  # fmt: skip


class _Watch:
    """What the training takes: energy, memory, and the share of the device's speed it uses."""

    def __init__(self, device: str, before: tuple[float, float, float]) -> None:
        found, notes = sensors()
        self._meter = Meter(found, notes)
        self._meter.start()
        self._device, self._before = device, before
        self._read = 0.0
        self._joules: tuple[float, float, float] | None = None
        self._how = ""

    def stepped(self, metrics: Metrics, fastest: Peak | None) -> Stepped:
        if time.monotonic() - self._read >= SECONDS_BETWEEN_READINGS:
            self._read = time.monotonic()
            total = self._meter.reading().total
            if total is None:
                self._joules, self._how = None, "no sensor"
            else:
                first, low, high = self._before
                self._joules = (first + total.joules, low + total.low, high + total.high)
                self._how = total.method
        mfu = metrics.flops_per_second / fastest.flops if fastest else None
        return Stepped(metrics, mfu, self._joules, self._how, peak_memory(self._device))

    def close(self) -> None:
        self._meter.stop()


def _wish(control: Control, world: World) -> str:
    """What to do after a step, the same in all processes."""
    if world.size == 1:
        return control.wait()
    return next((wish for wish in world.gather(control.now) if wish in ("stop", "finish")), "go")


def _looks(job: Job, model: LiteLlama, material: Material, recipe: Recipe, step: int) -> Generator[News, None, None]:
    """A sample, `job.looks` times on the way and at the end, and an examination every so many steps."""
    done = step == recipe.steps
    if step % max(1, recipe.steps // job.looks) == 0 or done:
        yield _sample(job, model, material, step)
    if step % (job.examine_every or job.save_every) == 0 and not done:
        *_, found = (None, *material.examine(model, None))
        if isinstance(found, Examined):
            yield Held(step, found.figures)


def _sample(job: Job, model: LiteLlama, material: Material, step: int) -> Sample:
    prompt, context = job.prompt or material.opening, model.config.max_position_embeddings
    ids = material.opening_ids(prompt, context)[-context // 2 :]
    steps = generate(
        model, ids, sampling=Sampling(temperature=0.7), max_new_tokens=SAMPLE_TOKENS, seed=job.seed,
        stop_ids=stop_ids(model, material.tokenizer),
    )  # fmt: skip
    return Sample(step, prompt, material.tokenizer.decode([one.id for one in steps]))


def _finished(
    job: Job, model: LiteLlama, material: Material, recipe: Recipe, world: World
) -> Generator[News, None, None]:
    """Examine the model as it will be stored, and write its checkpoint."""
    if job.lora_rank:
        if world.is_first:
            save_adapter(job.folder / "adapter", model)
        merge_lora(model)
    whole = whole_model(model, world)
    whole.half().float()  # the figures are of the weights as stored
    found: Examined | None = None
    total = job.questions if material.kind == "tinytown" else None
    for news in material.examine(whole, job.questions):
        if isinstance(news, Examined):
            found = news
        elif total:
            yield Note(f"asking held-out questions: {news:,} of {total:,} documents")
    if world.is_first:
        card = _card(job, whole, material, recipe, found)
        save_checkpoint(job.out, whole, material.tokenizer, card=card, dtype=torch.float16)
    world.wait()
    yield Ended(_done(job), job.out, found.figures if found else {})


def _card(job: Job, model: LiteLlama, material: Material, recipe: Recipe, found: Examined | None) -> dict[str, Any]:
    """What made this checkpoint, so that anyone can make it again and knows what to expect of it."""
    steps = [line for line in _lines(job) if line["news"] == "Stepped"]
    last = steps[-1]
    recent = [line["loss"] for line in steps[-200:]]
    # Of this machine's folders, only the last names: a card goes to other machines.
    words = [Path(arg).name if Path(arg).is_absolute() else arg for arg in job.command if arg != "--resume"]
    return {
        "name": job.out.name,
        "licence": "MIT",
        "parameters": model.config.num_parameters,
        "corpus": material.corpus,
        "kind": material.kind,
        **({"began_as": job.start.name} if job.start else {}),
        "command": f"python -m litellama {shlex.join(words)}",
        "seed": job.seed,
        "steps": last["step"],
        "planned_steps": recipe.steps,
        "tokens_seen": last["tokens_seen"],
        "hours": round(last["seconds"] / 3600, 4),
        "machine": machine(job.device),
        "training_loss": round(sum(recent) / len(recent), 4),
        **({"joules": dict(zip(("middle", "low", "high"), last["joules"], strict=True))} if last["joules"] else {}),
        **(found.card if found else {}),
    }


def _earlier_joules(job: Job) -> tuple[float, float, float]:
    """What the training took before it was stopped."""
    lines = _lines(job) if job.resume else []
    told = [line["joules"] for line in lines if line.get("joules")]
    return tuple(told[-1]) if told else (0.0, 0.0, 0.0)


def _lines(job: Job) -> list[dict[str, Any]]:
    return [json.loads(line) for line in _whole_lines(job.folder / METRICS)]


def _whole_lines(path: Path) -> list[str]:
    """The lines of a file that may have been cut off in the middle of one, as by a full disk."""
    if not path.exists():
        return []
    return [line for line in path.read_text(encoding="utf-8").splitlines(keepends=True) if line.endswith("\n")]


class _Log:
    """metrics.jsonl. What a killed training told after its last save is told again, so the old lines go."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._last: int | None = None
        self._begun = False

    def write(self, news: News) -> None:
        self._path.parent.mkdir(parents=True, exist_ok=True)
        line = to_json(news)
        if not self._begun:  # nothing is to stand behind half a line
            self._begun = True
            self._keep(_whole_lines(self._path))
        if isinstance(news, Stepped):
            if self._last is None:
                self._drop_from(line["step"])
            self._last = line["step"]
        with open(self._path, "a", encoding="utf-8", newline="\n") as file:
            file.write(json.dumps(line) + "\n")

    def _drop_from(self, step: int) -> None:
        self._keep([line for line in _whole_lines(self._path) if json.loads(line).get("step", 0) < step])

    def _keep(self, kept: list[str]) -> None:
        new = self._path.with_suffix(".new")
        new.write_text("".join(kept), encoding="utf-8", newline="\n")
        new.replace(self._path)
