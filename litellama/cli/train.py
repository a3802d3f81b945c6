"""`python -m litellama train` and `evaluate`: the command line around the training and the evaluation."""

from __future__ import annotations

import json
import logging
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any, Literal, cast

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from litellama.checkpoint import find_checkpoint, open_checkpoint
from litellama.cli.plan import DEFAULT_GPU, plan_to_pay
from litellama.cli.training_display import display
from litellama.device import AUTO, HELP, choose_device
from litellama.evaluation.exact_match import Score
from litellama.evaluation.exact_match import evaluate as evaluate_model
from litellama.training.events import TrainingEnded, to_json
from litellama.training.job import FINAL_QUESTIONS, ROWS, Control, Job
from litellama.training.parallel import Spread, joined
from litellama.training.run import run
from litellama.training.tensorboard import tensorboard as write_tensorboard


def train(
    out: Annotated[Path | None, typer.Option(help="Folder of the finished checkpoint.")] = None,
    preset_name: Annotated[str, typer.Option("--preset", help="The model's shape; see `list`.")] = "tinytown",
    start: Annotated[Path | None, typer.Option("--from", help="Go on from this checkpoint instead.")] = None,
    corpus: Annotated[
        str,
        typer.Option(help="tinytown; a .txt, .md or .jsonl file (texts, or chats) or a folder; or one of the hub's by "
                     "name: tinystories, slimpajama, fineweb-edu, which are downloaded."),
    ] = "tinytown",
    tokenizer: Annotated[
        Path | None, typer.Option(help="A tokenizer.json to use, instead of one learned from the corpus.")
    ] = None,
    steps: Annotated[int | None, typer.Option(help="Updates of the weights, those before a --resume included.")] = None,
    minutes: Annotated[float | None, typer.Option(help="Instead of --steps: about so long, on this machine.")] = None,
    save_every: Annotated[int, typer.Option(help="Save the state after so many steps.")] = 500,
    examine_every: Annotated[
        int | None, typer.Option(help="Ask about what is held out after so many steps; as often as saved.")
    ] = None,
    looks: Annotated[int, typer.Option(help="How often on the way the model goes on from --prompt.")] = 20,
    prompt: Annotated[str | None, typer.Option(help="What the model is asked to go on from as it learns.")] = None,
    questions: Annotated[int, typer.Option(help="TinyTown documents to ask about at the end.")] = FINAL_QUESTIONS,
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on where the training into this folder stopped.")
    ] = False,
    seed: Annotated[int, typer.Option(help="The same seed gives the same data and the same first weights.")] = 0,
    drills: Annotated[int, typer.Option(help="TinyTown: steps of look-up drills before the first story; 2400.")] = 0,
    exercises: Annotated[int, typer.Option(help="TinyTown: steps of look-up exercises in words after them.")] = 0,
    rows_per_batch: Annotated[int, typer.Option(help="Rows (in TinyTown, documents) in each step.")] = ROWS,
    length: Annotated[int | None, typer.Option(help="Tokens in a row, and the new model's context.")] = None,
    accumulate: Annotated[int, typer.Option(help="Read each batch in so many pieces, to save memory.")] = 1,
    separate: Annotated[
        bool | None, typer.Option("--separate/--joined", help="Whether texts in one row may see one another.")
    ] = None,
    skip_bad: Annotated[bool, typer.Option("--skip-bad", help="Leave out what cannot be read, and say so.")] = False,
    limit: Annotated[int | None, typer.Option(help="Read so many documents of a hub's corpus.")] = None,
    learning_rate: Annotated[float, typer.Option(help="The highest learning rate.")] = 1e-3,
    optimizer: Annotated[
        str, typer.Option(help="adamw, or muon: Muon for the matrices, AdamW for the rest.")
    ] = "adamw",
    schedule: Annotated[str, typer.Option(help="cosine, or wsd: flat, then down to zero in the last 45 %.")] = "cosine",
    lora_rank: Annotated[
        int | None, typer.Option(help="With --from: train additions of this rank to the matrices, and no weight else.")
    ] = None,
    recompute: Annotated[
        bool, typer.Option("--recompute", help="Activation checkpointing: less memory, a third more work.")
    ] = False,
    compile: Annotated[bool | None, typer.Option("--compile/--no-compile", help="torch.compile; on on GPUs.")] = None,
    spread: Annotated[
        str, typer.Option(help="Under torchrun: ddp, the model in each process; fsdp, a part of it in each.")
    ] = "ddp",
    device: Annotated[str, typer.Option(help=HELP)] = AUTO,
    bfloat16: Annotated[
        bool | None, typer.Option("--bfloat16/--float32", help="Of products; bfloat16 where it is fast.")
    ] = None,
    tensorboard: Annotated[
        bool, typer.Option("--tensorboard", help="Write TensorBoard's files as well, beside the states.")
    ] = False,
    plan: Annotated[
        bool, typer.Option("--plan", help="Train nothing: say what training the preset would take, and cost.")
    ] = False,
    tokens: Annotated[int | None, typer.Option(help="With --plan: to be trained on; what was published else.")] = None,
    gpu: Annotated[str, typer.Option(help="With --plan: on which GPU.")] = DEFAULT_GPU,
    gpus: Annotated[int, typer.Option(help="With --plan: on how many of them.")] = 1,
    mfu: Annotated[float | None, typer.Option(help="With --plan: what share of their speed is used.")] = None,
    price: Annotated[float | None, typer.Option("--price-per-hour", help="With --plan: of one GPU.")] = None,
    country: Annotated[str, typer.Option(help="With --plan: whose electricity is used.")] = "World",
    as_json: Annotated[
        bool,
        typer.Option("--json", help="Print each piece of news as a line of JSON, and read wishes from stdin: pause, "
                     "go, stop (save), finish (save, and make the checkpoint of what there is)."),
    ] = False,
) -> None:  # fmt: skip
    """Train a model. Ctrl-C saves the state; --resume goes on from it."""
    logging.basicConfig(level=logging.WARNING, format="%(message)s")
    try:
        if plan:
            plan_to_pay(
                preset_name, tokens=tokens, rows=None if rows_per_batch == ROWS else rows_per_batch, length=length,
                gpu=gpu, gpus=gpus, mfu=mfu, price=price, country=country, checkpointing=recompute, as_json=as_json,
            )  # fmt: skip
            return
        if out is None:
            raise ValueError("say where the finished checkpoint is to stand: --out FOLDER")
        with joined(str(choose_device(device))) as (world, here):
            job = Job(
                out=out, preset=preset_name, start=start, corpus=corpus, tokenizer=tokenizer, steps=steps,
                minutes=minutes, resume=resume, seed=seed, drills=drills, exercises=exercises, rows=rows_per_batch,
                length=length, separate=separate, skip_bad=skip_bad, limit=limit, learning_rate=learning_rate,
                optimizer=cast(Literal["adamw", "muon"], optimizer),
                schedule=cast(Literal["cosine", "wsd"], schedule), lora_rank=lora_rank, accumulate=accumulate,
                recompute=recompute, compile=here.startswith("cuda") if compile is None else compile,
                spread=cast(Spread, spread), device=here, bfloat16=bfloat16, save_every=save_every,
                examine_every=examine_every, looks=looks, prompt=prompt, questions=questions,
                command=tuple(sys.argv[1:]),
            )  # fmt: skip
            control = Control()
            track = write_tensorboard(job.folder / "tensorboard") if tensorboard and world.is_first else None
            with interrupts(control), display(quiet=as_json or not world.is_first) as show:
                if as_json and world.is_first:
                    threading.Thread(target=_listen, args=(control,), daemon=True).start()
                for event in run(job, control, world):
                    show(event)
                    if track is not None:
                        track(event)
                    if as_json and world.is_first:
                        print(json.dumps(to_json(event)), flush=True)
    except (ValueError, OSError, FloatingPointError) as problem:
        raise SystemExit(f"litellama train: {problem}") from None
    if isinstance(event, TrainingEnded) and event.checkpoint is None and not as_json:
        raise SystemExit(f"stopped and saved in {job.folder}; go on with the same command and --resume")


@contextmanager
def interrupts(control: Control) -> Iterator[None]:
    """While this is open, Ctrl-C lets the step under way end and saves; a second one ends at once."""

    def note(number: int, frame: Any) -> None:
        if control.now == "stop":
            raise KeyboardInterrupt
        control.wish("stop")

    before = {number: signal.signal(number, note) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _listen(control: Control) -> None:
    """Wishes from stdin, line by line; that it closes means that whoever wished is gone."""
    for line in sys.stdin:
        try:
            control.wish(line.strip())
        except ValueError as problem:
            print(problem, file=sys.stderr, flush=True)
    control.wish("stop")


def evaluate(
    folder: Annotated[Path, typer.Argument(help="A checkpoint's folder.")],
    device: Annotated[str, typer.Option(help=HELP)] = AUTO,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON document.")] = False,
    documents: Annotated[
        int, typer.Option(help="Held-out documents to ask about, a third of each split.")
    ] = FINAL_QUESTIONS,
    seed: Annotated[int, typer.Option(help="Another seed asks about other documents.")] = 0,
) -> None:
    """Ask a TinyTown model about documents that its training never saw."""
    try:
        opened = open_checkpoint(find_checkpoint(folder), device=choose_device(device))
        columns = TextColumn("evaluating"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn()
        score: Score | None = None
        with Progress(*columns, console=Console(stderr=True)) as progress:
            task = progress.add_task("", total=documents)
            for result in evaluate_model(opened.model, opened.tokenizer, documents, seed):
                if isinstance(result, Score):
                    score = result
                else:
                    progress.update(task, completed=result)
        assert score is not None
    except (ValueError, OSError) as problem:
        raise SystemExit(f"litellama evaluate: {problem}") from None
    if as_json:
        print(json.dumps(asdict(score), indent=2))
        return
    table = Table("held-out questions", "answered exactly")
    for name in ("answerable", "unanswerable", "outside", "talk"):
        table.add_row(name, f"{getattr(score, name):.1%}")
    for name, share in (*score.splits.items(), *score.kinds.items()):
        table.add_row("  " + name, f"{share:.1%}")
    Console().print(table)
