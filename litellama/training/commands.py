"""`python -m litellama train` and `evaluate`: the command line around the loop and the evaluation."""

from __future__ import annotations

import json
import os
import platform
import shlex
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import torch
import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.table import Table

from litellama.checkpoint import open_checkpoint, save_checkpoint
from litellama.config import ModelConfig, preset
from litellama.model import LiteLlama
from litellama.tokenizer import Tokenizer
from litellama.training.evaluation import Score
from litellama.training.evaluation import evaluate as evaluate_model
from litellama.training.loop import Metrics, Plan
from litellama.training.loop import train as train_model
from litellama.training.state import STATE
from litellama.training.tinytown.corpus import DATA_VERSION, make_document

TOKENIZER_DOCUMENTS = 30_000
EVALUATION_DOCUMENTS = 1200
QUICK_DOCUMENTS = 90
SMALL = 30_000_000  # parameters; below, whole rows are shared out among the cores, and not single operations
CORPORA = ("tinytown",)


def train(
    out: Annotated[Path, typer.Option(help="Folder of the finished checkpoint.")],
    preset_name: Annotated[str, typer.Option("--preset", help="The model's shape; see `list`.")] = "tinytown",
    corpus: Annotated[str, typer.Option(help="What to read: tinytown.")] = "tinytown",
    steps: Annotated[int, typer.Option(help="Updates of the weights, those before a --resume included.")] = 10_000,
    save_every: Annotated[int, typer.Option(help="Save the state after so many steps.")] = 500,
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on where the training into this folder stopped.")
    ] = False,
    seed: Annotated[int, typer.Option(help="The same seed gives the same data and the same first weights.")] = 0,
    drills: Annotated[int, typer.Option(help="Steps of look-up drills before the first story; try 2400.")] = 0,
    exercises: Annotated[int, typer.Option(help="Steps of look-up exercises in words after the drills; try 600.")] = 0,
    rows_per_batch: Annotated[int, typer.Option(help="Documents in each step.")] = 32,
    learning_rate: Annotated[float, typer.Option(help="The highest learning rate.")] = 1e-3,
    optimizer: Annotated[
        str, typer.Option(help="adamw, or muon: Muon for the matrices, AdamW for the rest.")
    ] = "adamw",
    schedule: Annotated[str, typer.Option(help="cosine, or wsd: flat, then down to zero in the last 45 %.")] = "cosine",
    device: Annotated[str, typer.Option(help="cpu, cuda, or auto.")] = "auto",
) -> None:
    """Train a model. Ctrl-C saves the state; --resume goes on from it."""
    try:
        _train(
            out,
            preset_name,
            corpus,
            steps,
            save_every,
            resume,
            seed,
            drills,
            exercises,
            rows_per_batch,
            learning_rate,
            optimizer,
            schedule,
            device,
        )
    except (ValueError, OSError, FloatingPointError) as problem:
        raise SystemExit(f"litellama train: {problem}") from None


def _train(
    out: Path, preset_name: str, corpus: str, steps: int, save_every: int, resume: bool, seed: int,
    drills: int, exercises: int, rows_per_batch: int, learning_rate: float, optimizer: str, schedule: str, device: str,
) -> None:  # fmt: skip
    if corpus not in CORPORA:
        raise ValueError(f"there is no corpus called {corpus!r}; choose one of {', '.join(CORPORA)}")
    config = preset(preset_name)
    device = ("cuda" if torch.cuda.is_available() else "cpu") if device == "auto" else device
    plan = Plan(
        config, steps, seed, drills, exercises, rows_per_batch, learning_rate, optimizer=optimizer, schedule=schedule,  # type: ignore[arg-type]
        save_every=save_every, device=device, bfloat16=has_bfloat16(device),
        threads=_threads(config, device, rows_per_batch),
    )  # fmt: skip
    state = out.with_name(out.name + "-training")
    tokenizer = _tokenizer(state, config, resume)
    model = LiteLlama(config)
    metrics: Metrics | None = None
    stream = train_model(plan, tokenizer, state, resume=resume, model=model)
    with _interrupts() as interrupted, _display(plan, state) as show:
        for metrics in stream:
            show(metrics)
            if metrics.step % save_every == 0 and metrics.step < steps:
                show(_evaluate(model, tokenizer, QUICK_DOCUMENTS))
            if interrupted.is_set():
                stream.close()
                raise SystemExit(f"stopped and saved in {state}; go on with the same command and --resume")
    metrics = metrics or _last_metrics(state, steps)
    model.to("cpu").half().float()  # the figures are of the weights as stored
    score = _evaluate_visibly(model, tokenizer, EVALUATION_DOCUMENTS)
    save_checkpoint(out, model, tokenizer, card=_card(plan, preset_name, metrics, score, state), dtype=torch.float16)
    Console(stderr=True).print(f"{out}: {score.answerable:.1%} of the answerable held-out questions answered exactly")


def _last_metrics(state: Path, steps: int) -> Metrics:
    """Where a resumed training stands that has no step left to do: it was ended after its last step, before its
    checkpoint was written. Raises `ValueError` if it went further than `steps`."""
    last = Metrics(**json.loads((state / "metrics.jsonl").read_text(encoding="utf-8").splitlines()[-1]))
    if last.step != steps:
        raise ValueError(f"the training in {state} has done {last.step} steps already; ask for more --steps")
    return last


def has_bfloat16(device: str) -> bool:
    """Whether products in bfloat16 are done in hardware; emulated ones would be slower than float32."""
    if device.startswith("cuda"):
        return torch.cuda.is_bf16_supported()
    return bool(torch.cpu._is_avx512_bf16_supported())


def _threads(config: ModelConfig, device: str, rows_per_batch: int) -> int:
    """How many threads share a batch: one for each core if the model is small, else one that uses them all."""
    if device != "cpu" or config.num_parameters > SMALL:
        return 1
    threads = min(torch.get_num_threads(), rows_per_batch)
    torch.set_num_threads(1)
    return threads


def _tokenizer(state: Path, config: ModelConfig, resume: bool) -> Tokenizer:
    """The tokenizer of the training to resume, or a new one, trained on the corpus."""
    path = state / "tokenizer.json"
    if resume:
        if not path.exists():
            raise ValueError(f"there is no training to resume in {state}; start it without --resume")
        return Tokenizer.load(path)
    if (state / STATE).exists():
        raise ValueError(
            f"{state} holds a training already; go on with it by --resume, choose another --out, or remove that folder"
        )
    Console(stderr=True).print("training the tokenizer ...")
    documents = (make_document(f"tokenizer/{number}") for number in range(TOKENIZER_DOCUMENTS))
    texts = (" " + message.content for document in documents for message in document.messages)
    tokenizer = Tokenizer.train(texts, config.vocab_size)
    state.mkdir(parents=True, exist_ok=True)
    (state / "metrics.jsonl").unlink(missing_ok=True)
    tokenizer.save(path)
    return tokenizer


@contextmanager
def _interrupts() -> Iterator[threading.Event]:
    """While this is open, Ctrl-C sets the event, so that the step under way is finished; a second one ends at once."""
    event = threading.Event()

    def note(number: int, frame: Any) -> None:
        if event.is_set():
            raise KeyboardInterrupt
        event.set()

    before = signal.signal(signal.SIGINT, note)
    try:
        yield event
    finally:
        signal.signal(signal.SIGINT, before)


@contextmanager
def _display(plan: Plan, state: Path) -> Iterator[Callable[[Metrics | Score], None]]:
    """A progress bar for the eyes and metrics.jsonl for programs; what is yielded takes each step's metrics."""
    columns = (
        TextColumn("training"), BarColumn(), MofNCompleteColumn(), TextColumn("{task.description}"),
        TimeElapsedColumn(), TextColumn("left"), TimeRemainingColumn(),
    )  # fmt: skip
    console = Console(stderr=True)
    smooth: dict[str, float] = {}
    bar = Progress(*columns, console=console, speed_estimate_period=300)
    with bar as progress, open(state / "metrics.jsonl", "a", encoding="utf-8") as file:
        task = progress.add_task("", total=plan.steps)

        def show(news: Metrics | Score) -> None:
            if isinstance(news, Score):
                shares = (f"{getattr(news, name):.1%} {name}" for name in ("answerable", "unanswerable", "outside"))
                console.print("held-out questions right: " + ", ".join(shares))
                return
            for name in ("loss", "answer_accuracy", "tokens_per_second"):
                value = getattr(news, name)
                smooth[name] = 0.98 * smooth.get(name, value) + 0.02 * value
            words = f"loss {smooth['loss']:.3f}, answer tokens right {smooth['answer_accuracy']:.1%}"
            words += f", {smooth['tokens_per_second']:,.0f} tokens/s"
            progress.update(task, completed=news.step, description=words)
            file.write(json.dumps(asdict(news)) + "\n")
            file.flush()

        yield show


def _evaluate(model: LiteLlama, tokenizer: Tokenizer, documents: int, seed: int = 0) -> Score:
    device = next(model.parameters()).device
    *_, score = evaluate_model(model, tokenizer, documents, seed, device)
    assert isinstance(score, Score)
    return score


def _evaluate_visibly(model: LiteLlama, tokenizer: Tokenizer, documents: int, seed: int = 0) -> Score:
    columns = TextColumn("evaluating"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn()
    with Progress(*columns, console=Console(stderr=True)) as progress:
        task = progress.add_task("", total=documents)
        for result in evaluate_model(model, tokenizer, documents, seed):
            if isinstance(result, Score):
                return result
            progress.update(task, completed=result)
    raise AssertionError("the evaluation ended without a score")


def _card(plan: Plan, preset_name: str, metrics: Metrics, score: Score, state: Path) -> dict[str, Any]:
    """What made this checkpoint, so that anyone can make it again and knows what to expect of it."""
    lines = (state / "metrics.jsonl").read_text(encoding="utf-8").splitlines()
    history = [json.loads(line) for line in lines[-200:]]
    return {
        "name": preset_name,
        "licence": "MIT",
        "parameters": plan.config.num_parameters,
        "corpus": DATA_VERSION,
        "command": "python -m litellama " + shlex.join(arg for arg in sys.argv[1:] if arg != "--resume"),
        "seed": plan.seed,
        "steps": metrics.step,
        "tokens_seen": metrics.tokens_seen,
        "hours": round(metrics.seconds / 3600, 2),
        "machine": machine(plan.device),
        "training_loss": round(sum(entry["loss"] for entry in history) / len(history), 4),
        "evaluation": asdict(score),
    }


def machine(device: str) -> str:
    """What the figures were measured on, in words."""
    if device.startswith("cuda"):
        return f"one {torch.cuda.get_device_name()}, torch {torch.__version__}"
    name = platform.processor() or platform.machine()
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        names = [
            line.partition(":")[2].strip() for line in cpuinfo.read_text().splitlines() if line.startswith("model name")
        ]
        name = names[0] if names else name
    return f"{os.cpu_count()} cores of {name}, {platform.system()}, torch {torch.__version__}"


def evaluate(
    folder: Annotated[Path, typer.Argument(help="A checkpoint's folder.")],
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON document.")] = False,
    documents: Annotated[
        int, typer.Option(help="Held-out documents to ask about, a third of each split.")
    ] = EVALUATION_DOCUMENTS,
    seed: Annotated[int, typer.Option(help="Another seed asks about other documents.")] = 0,
) -> None:
    """Ask a TinyTown model about documents that its training never saw."""
    try:
        opened = open_checkpoint(folder)
        score = _evaluate_visibly(opened.model, opened.tokenizer, documents, seed)
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
