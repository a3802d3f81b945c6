"""`python -m litellama trust`: the command line around `evaluation.faithfulness`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

import torch
import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from litellama.checkpoint import Opened, find_checkpoint, open_checkpoint, replace_card
from litellama.device import AUTO, HELP, choose_device
from litellama.evaluation.faithfulness import Faithfulness, measure_faithfulness
from litellama.footprint.machine import SMALL, machine


def trust(
    folder: Annotated[Path, typer.Argument(help="Folder of a checkpoint that was trained on TinyTown.")],
    questions: Annotated[int, typer.Option(help="Held-out questions that the model answers rightly.")] = 500,
    device: Annotated[str, typer.Option(help=HELP)] = AUTO,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON document.")] = False,
    save: Annotated[bool, typer.Option("--save", help="Write the table into the checkpoint's card as well.")] = False,
    seed: Annotated[int, typer.Option(help="Another seed asks other questions.")] = 0,
) -> None:
    """Measure how often each explanation points at the words that an answer really rests on."""
    try:
        opened = open_checkpoint(find_checkpoint(folder), device=choose_device(device))
        if opened.config.num_parameters <= SMALL:
            torch.set_num_threads(1)  # a second thread costs a small model more than it saves
        table = _measure_visibly(opened, questions, seed)
        if save:
            measured_on = {"machine": machine(opened.model.device), "seed": seed}
            replace_card(opened.path, (opened.card or {}) | {"trust": table.to_json() | measured_on})
    except (ValueError, OSError) as problem:
        raise SystemExit(f"litellama trust: {problem}") from None
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
