"""`python -m litellama evaluate`: how many questions a TinyTown model answers exactly."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from litellama.checkpoint import find_checkpoint, open_checkpoint
from litellama.cli.options import Device, Json
from litellama.device import AUTO, choose_device
from litellama.evaluation.exact_match import Score
from litellama.evaluation.exact_match import evaluate as evaluate_model
from litellama.training.recipe import FINAL_QUESTIONS


def evaluate(
    folder: Annotated[Path, typer.Argument(help="A checkpoint's folder.")],
    device: Device = AUTO,
    as_json: Json = False,
    documents: Annotated[
        int, typer.Option(help="Held-out documents to ask about, a third of each split.")
    ] = FINAL_QUESTIONS,
    seed: Annotated[int, typer.Option(help="Another seed asks about other documents.")] = 0,
) -> None:
    """Ask a TinyTown model about documents that its training never saw."""
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
    if as_json:
        print(json.dumps(asdict(score), indent=2))
        return
    table = Table("held-out questions", "answered exactly")
    for name in ("answerable", "unanswerable", "outside", "talk"):
        table.add_row(name, f"{getattr(score, name):.1%}")
    for name, share in (*score.splits.items(), *score.kinds.items()):
        table.add_row("  " + name, f"{share:.1%}")
    Console().print(table)
