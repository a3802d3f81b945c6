"""`python -m litellama trust`: the command line around `evaluation.faithfulness`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from litellama.checkpoint import Opened, replace_card
from litellama.cli.opening import open_to_measure
from litellama.cli.options import Device, Json
from litellama.device import AUTO
from litellama.evaluation.faithfulness import Faithfulness, measure_faithfulness
from litellama.footprint.machine import machine


def trust(
    folder: Annotated[Path, typer.Argument(help="Folder of a checkpoint that was trained on TinyTown.")],
    questions: Annotated[int, typer.Option(help="Held-out questions that the model answers rightly.")] = 500,
    device: Device = AUTO,
    as_json: Json = False,
    save: Annotated[bool, typer.Option("--save", help="Write the table into the checkpoint's card as well.")] = False,
    seed: Annotated[int, typer.Option(help="Another seed asks other questions.")] = 0,
) -> None:
    """Measure how often each explanation points at the words that an answer really rests on."""
    opened = open_to_measure(folder, device)
    table = _measure_visibly(opened, questions, seed)
    if save:
        measured_on = {"machine": machine(opened.model.device), "seed": seed}
        replace_card(opened.path, (opened.card or {}) | {"trust": table.to_json() | measured_on})
    if as_json:
        print(json.dumps(table.to_json(), indent=2))
    else:
        Console().print(_as_table(table))


def _measure_visibly(opened: Opened, questions: int, seed: int) -> Faithfulness:
    columns = TextColumn("explaining"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn()
    with Progress(*columns, console=Console(stderr=True)) as bar:
        task = bar.add_task("", total=questions)
        for news in measure_faithfulness(opened.model, opened.tokenizer, questions, seed):
            if isinstance(news, Faithfulness):
                return news
            bar.update(task, completed=news.done)
    raise AssertionError("the measurement ended without a result")


def _as_table(found: Faithfulness) -> Any:
    table = Table(
        "method", "top word is evidence", "probability left (deletion)", "seconds per answer",
        caption=f"{found.questions} questions; {found.chance:.0%} of the story's words are evidence",
    )  # fmt: skip
    for name, method in found.methods.items():
        table.add_row(name, f"{method.pointing:.1%}", f"{method.deletion_auc:.3f}", f"{method.seconds:.2f}")
    return table
