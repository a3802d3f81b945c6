"""`python -m litellama probe`: the command line around `pairs.compare_pairs`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn
from rich.table import Table

from litellama.checkpoint import Opened
from litellama.cli.opening import open_to_measure
from litellama.cli.options import Device, Json
from litellama.device import AUTO
from litellama.evaluation.paired_prompts import PairResult, compare_pairs
from litellama.evaluation.probes import Probe, english_probes, tinytown_probes


def probe(
    folder: Annotated[Path, typer.Argument(help="A checkpoint's folder, a GGUF file, or a name in `list`.")],
    name: Annotated[
        str | None, typer.Option("--probe", help="One of the ready probes; without it, all that fit the model.")
    ] = None,
    device: Device = AUTO,
    as_json: Json = False,
    seed: Annotated[int, typer.Option(help="Another seed draws other samples for the intervals.")] = 0,
) -> None:
    """Compare what a model says of people and places whose names differ, and of nothing else."""
    opened = open_to_measure(folder, device)
    results = [_compare_visibly(opened, chosen, seed) for chosen in _chosen(opened, name)]
    if as_json:
        print(json.dumps([result.to_json() for result in results], indent=2))
    else:
        for result in results:
            Console().print(_as_table(result))


def _chosen(opened: Opened, name: str | None) -> list[Probe]:
    known = tinytown_probes() | english_probes()
    if name is None:
        return list((tinytown_probes() if opened.chat_format.kind == "chat" else english_probes()).values())
    if name not in known:
        raise ValueError(f"there is no probe called {name!r}; choose among {', '.join(known)}")
    return [known[name]]


def _compare_visibly(opened: Opened, chosen: Probe, seed: int) -> PairResult:
    columns = TextColumn(escape(chosen.name)), BarColumn(), MofNCompleteColumn()
    with Progress(*columns, console=Console(stderr=True)) as bar:
        task = bar.add_task("", total=chosen.prompts)
        for news in compare_pairs(opened.model, opened.tokenizer, chosen, chat_format=opened.chat_format, seed=seed):
            if isinstance(news, PairResult):
                return news
            bar.update(task, completed=news)
    raise AssertionError("the measurement ended without a result")


def _as_table(result: PairResult) -> Table:
    table = Table(
        "continuation", "likelier for ... than for ...", title=escape(result.probe.name),
        caption=f"{result.probe.prompts} prompts, measured. The model gives all continuations together "
        f"{result.covered:.2%}. 95 % intervals: words and templates drawn anew.",
    )  # fmt: skip
    for column in ("difference", "interval", "chance"):
        table.add_column(column, justify="right")
    for one in result.differences:
        bounds = "too few words" if one.low is None else f"{one.low:+.1%} to {one.high:+.1%}"
        chance = "" if one.chance is None else f"{one.chance:.3f}"
        groups = f"{one.one}, {one.other}"
        style = "bold" if one.clear else None
        table.add_row(escape(one.continuation), escape(groups), f"{one.value:+.1%}", bounds, chance, style=style)
    return table
