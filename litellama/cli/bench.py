"""`python -m litellama bench`: how fast a model reads and writes on this machine in each precision, and what it loses.

What a precision costs is shown as perplexity on one text, which the model itself wrote at temperature 1 from its stored
weights, unless a text is given: so a rise is what the smaller form forgets, not what the model never knew.
"""

from __future__ import annotations

import gc
import json
import statistics
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated

import torch
import typer
from rich.console import Console
from rich.table import Table

from litellama.chat import beginning_id
from litellama.checkpoint import CheckpointError, find_checkpoint
from litellama.checkpoint.load import open_checkpoint
from litellama.checkpoint.precision import open_for_use
from litellama.cli.options import Device, Json
from litellama.config import PRESETS
from litellama.device import AUTO, choose_device, synchronize
from litellama.evaluation.perplexity import text_loss
from litellama.footprint.machine import machine
from litellama.generate import generate
from litellama.model import LiteLlama, empty_model, rotary_frequencies
from litellama.quantize import PRECISIONS, WHOLE_NUMBERS, quantize_weights, stored_bytes
from litellama.sampling import Sampling

READ = 64  # tokens of the prompt
OWN_WORDS = 256  # tokens that the model writes to be judged by


@dataclass(frozen=True)
class Speed:
    """What was measured of one precision. Tokens per second are medians, with the lowest and the highest.

    `bytes` are those of the weights as they rest; `perplexity` is None for random weights.
    """

    precision: str
    bytes: int
    opened_seconds: float
    reads: tuple[float, float, float]
    writes: tuple[float, float, float]
    perplexity: float | None


def bench(
    checkpoint: Annotated[str, typer.Argument(help="A checkpoint's folder, file or name, or a preset.")],
    precisions: Annotated[str, typer.Option(help="Which to try, separated by commas.")] = ",".join(PRECISIONS),
    new_tokens: Annotated[int, typer.Option(help="Tokens to write in each round.", min=2)] = 48,
    rounds: Annotated[int, typer.Option(help="Times each is run; the median counts.", min=1)] = 5,
    text: Annotated[Path | None, typer.Option(help="A text to judge by, instead of the model's own words.")] = None,
    device: Device = AUTO,
    as_json: Json = False,
) -> None:
    """Measure how fast a model reads and writes here in each precision, and how much it loses by it."""
    names = [name.strip() for name in precisions.split(",")]
    if unknown := [name for name in names if name not in PRECISIONS]:
        raise ValueError(f"--precisions names {unknown[0]!r}; choose among {', '.join(PRECISIONS)}")
    chosen = choose_device(device)
    model: str | Path = _model(checkpoint)
    judge = _judge(model, text, chosen)
    table = Table("precision", "weights MB", "open s", "reads tokens/s", "writes tokens/s", "perplexity", box=None)
    for column in table.columns[1:]:
        column.justify = "right"
    found = []
    for speed in measure(model, names, new_tokens, rounds, judge, chosen):
        found.append(speed)
        Console(stderr=True, style="dim").print(f"{speed.precision} measured", highlight=False)
        table.add_row(
            speed.precision, f"{speed.bytes / 1e6:,.1f}", f"{speed.opened_seconds:.2f}", _range(speed.reads),
            _range(speed.writes), "random weights" if speed.perplexity is None else f"{speed.perplexity:.3f}",
        )  # fmt: skip
    where = machine(chosen)
    if as_json:
        print(json.dumps({"model": checkpoint, "machine": where, "measured": [asdict(speed) for speed in found]}))
        return
    Console().print(table)
    Console().print(
        f"Measured on {where}: {READ} tokens read, {new_tokens} written, median of {rounds} rounds (least to most).",
        highlight=False,
    )


def measure(
    model: str | Path,
    precisions: Sequence[str],
    new_tokens: int,
    rounds: int,
    judge: Sequence[int],
    device: torch.device | str = "cpu",
) -> Iterator[Speed]:
    """One `Speed` after the other. `model` is a preset or a folder; `judge` are ids whose perplexity is wanted."""
    for precision in precisions:
        start = time.perf_counter()
        kept = _open(model, precision, torch.device(device))
        synchronize(device)
        seconds = time.perf_counter() - start
        runs = [_run(kept, new_tokens) for _ in range(rounds + 1)][1:]  # the first one warms up
        reads, writes = zip(*runs, strict=True)
        yield Speed(
            precision, stored_bytes(kept), seconds, _spread(reads), _spread(writes),
            text_loss(kept, judge).perplexity if judge else None,
        )  # fmt: skip
        del kept
        gc.collect()


def _model(checkpoint: str) -> str | Path:
    """A preset's name, or where a checkpoint lies, which is preferred."""
    try:
        return find_checkpoint(checkpoint)
    except CheckpointError:
        if checkpoint in PRESETS:
            return checkpoint
        raise


def _open(model: str | Path, precision: str, device: torch.device) -> LiteLlama:
    if isinstance(model, Path):
        return open_for_use(model, precision, device).model
    dtype = getattr(torch, "float16" if precision in WHOLE_NUMBERS else precision)
    weights = empty_model(PRESETS[model]).to(dtype).to_empty(device=device).eval()
    with torch.no_grad():
        for weight in weights.parameters():
            weight.fill_(1) if weight.dim() == 1 else weight.normal_(0, 0.02)
    weights.model.rotary = rotary_frequencies(PRESETS[model]).to(device)  # a buffer: `to_empty` left it without numbers
    return weights if device.type != "cpu" and precision not in WHOLE_NUMBERS else quantize_weights(weights, precision)


def _judge(model: str | Path, text: Path | None, device: torch.device) -> list[int]:
    """The ids that a model is judged by: a text's first ones, or what it writes itself; none for random weights."""
    if not isinstance(model, Path):
        return []
    opened = open_checkpoint(model, dtype=None, device=device)
    most = opened.config.max_position_embeddings
    beginning = beginning_id(opened.model, opened.tokenizer)
    first = [] if beginning is None else [beginning]
    if text is not None:
        ids = [*first, *opened.tokenizer.encode(text.read_text(encoding="utf-8"))][:most]
        if len(ids) < 2:
            raise ValueError(f"--text {text} has no words to judge by")
        return ids
    start = first or [opened.tokenizer.encode("\n")[0]]
    count = min(OWN_WORDS, most - len(start) - 1)
    return [*start, *(step.id for step in generate(
        opened.model.float(), start, sampling=Sampling(temperature=1.0), max_new_tokens=count, seed=0
    ))]  # fmt: skip


def _run(model: LiteLlama, new_tokens: int) -> tuple[float, float]:
    """Tokens per second of reading a prompt, and of writing `new_tokens` behind it."""
    prompt = [id % model.config.sampled_vocab_size for id in range(READ)]
    start = time.perf_counter()
    steps = generate(model, prompt, sampling=Sampling(greedy=True), max_new_tokens=new_tokens, seed=0)
    next(steps)
    read = time.perf_counter()
    count = sum(1 for _ in steps)
    return READ / (read - start), count / (time.perf_counter() - read)


def _spread(values: Sequence[float]) -> tuple[float, float, float]:
    return statistics.median(values), min(values), max(values)


def _range(values: tuple[float, float, float]) -> str:
    middle, low, high = values
    return f"{middle:,.1f} ({low:,.1f} to {high:,.1f})"
