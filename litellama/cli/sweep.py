"""`python -m litellama sweep`: train a ladder of sizes, fit the scaling law, draw it, say how far it reaches."""

from __future__ import annotations

import importlib
import importlib.util
import json
import logging
import re
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.table import Table

from litellama.checkpoint import write_json
from litellama.cli.train import interrupts
from litellama.config import preset
from litellama.device import AUTO, HELP, choose_device
from litellama.scaling.extrapolation import findings, si
from litellama.scaling.sweep import (
    SweepEstimate,
    SweepEvent,
    SweepRecipe,
    SweepResult,
    SweepRunStarted,
    read_settings,
    sweep_results,
)
from litellama.scaling.sweep import sweep as do_sweep
from litellama.training.control import Control
from litellama.training.events import Note, Stepped

LADDER = "litellama-300k,litellama-1m,litellama-2m,litellama-5m"
BUDGETS = "500k,1m,2m,4m"
LAW, PICTURE = "law.json", "law.html"
UNITS = {"": 1, "k": 10**3, "m": 10**6, "b": 10**9}


def sweep(
    corpus: Annotated[str, typer.Option(help="A file or folder, or one of the hub's corpora, as in train; tinytown.")],
    out: Annotated[Path, typer.Option(help="Folder of the runs, their results and the picture.")],
    sizes: Annotated[str, typer.Option(help="Presets, at least three; see `list`.")] = LADDER,
    tokens_per_size: Annotated[
        str, typer.Option(help="Token budgets, at least three; each size is trained on each of them.")
    ] = BUDGETS,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with the sweep in --out.")] = False,
    rows_per_batch: Annotated[int, typer.Option(help="Rows (in TinyTown, documents) in each step.")] = 8,
    length: Annotated[int | None, typer.Option(help="Tokens in a row, and the models' context.")] = None,
    limit: Annotated[int | None, typer.Option(help="Read so many documents of a hub's corpus.")] = None,
    learning_rate: Annotated[float, typer.Option(help="The highest learning rate, of all sizes.")] = 1e-3,
    seed: Annotated[int, typer.Option(help="The same seed gives the same data and the same first weights.")] = 0,
    device: Annotated[str, typer.Option(help=HELP)] = AUTO,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON document.")] = False,
) -> None:  # fmt: skip
    """Train several sizes on one corpus, and fit the law by which the loss falls. Ctrl-C saves; --resume goes on."""
    logging.basicConfig(level=logging.WARNING, format="%(message)s")
    notes = Console(stderr=True, highlight=False)
    order = SweepRecipe(
        out=out, corpus=corpus, sizes={name: preset(name) for name in _names(sizes)},
        budgets=tuple(map(count, _names(tokens_per_size))), seed=seed, rows=rows_per_batch, length=length,
        limit=limit, learning_rate=learning_rate, resume=resume, command=tuple(sys.argv[1:]),
        device=str(choose_device(device)),
    )  # fmt: skip
    _check(order)
    if not _can_draw():
        notes.print(f"{PICTURE} will not be drawn, since plotly is missing; pip install plotly, and --resume")
    control = Control()
    with interrupts(control), _display(notes) as show:
        for event in do_sweep(order, control):
            show(event)
    if control.now == "stop":
        raise SystemExit(f"stopped and saved in {out}; go on with the same command and --resume")
    document = findings(read_settings(out), sweep_results(out))
    write_json(out / LAW, document)
    if _can_draw():
        _draw(document, out / PICTURE)
        notes.print(f"drawn in {out / PICTURE}", markup=False)
    if as_json:
        print(json.dumps(document, indent=2, ensure_ascii=False))
    else:
        _print(document)


def count(text: str) -> int:
    """ "1.5m" -> 1500000. Raises `ValueError` for what is no number of tokens."""
    found = re.fullmatch(r"(\d+(?:\.\d+)?)([kmb]?)", text.lower().replace("_", ""))
    if found is None:
        raise ValueError(f"{text!r} is no number of tokens; one such as 500k, 1.5m or 2000000 was expected")
    return round(float(found[1]) * UNITS[found[2]])


def _names(text: str) -> list[str]:
    return [name.strip() for name in text.split(",") if name.strip()]


def _check(order: SweepRecipe) -> None:
    """That the law can be fitted at the end, before hours are spent. Runs of an earlier sweep count as well."""
    before = sweep_results(order.out) if order.resume else []
    sizes = {*order.sizes, *(one.size for one in before)}
    budgets = {*order.budgets, *(one.budget for one in before)}
    if len(sizes) < 3 or len(budgets) < 3:
        raise ValueError(
            f"{len(sizes)} sizes and {len(budgets)} token budgets were given; the law takes at least three of each"
        )


# --- While it goes on ------------------------------------------------------------------------------------------------


@contextmanager
def _display(console: Console) -> Iterator[Callable[[SweepEvent], None]]:
    """What is yielded shows each event: one bar for all tokens, one line for each finished run."""
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        TimeElapsedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=console, speed_estimate_period=300) as bar:
        task = bar.add_task("", total=None, visible=False)
        name, before, read = "", 0, 0

        def show(event: SweepEvent) -> None:
            nonlocal name, before, read
            if isinstance(event, Note):
                console.print(event.text, markup=False)
            elif isinstance(event, SweepEstimate):
                bar.update(task, total=event.tokens, visible=True)
                console.print(
                    f"{event.runs} trainings, {si(event.tokens)} tokens in all: about {_duration(event.seconds)} "
                    "(estimated by a few steps of each size)"
                )
            elif isinstance(event, SweepRunStarted):
                before += read
                name, read = f"{event.number} of {event.runs}: {event.size}, {si(event.budget)} tokens", 0
                bar.update(task, description=name)
            elif isinstance(event, Stepped):
                read = event.metrics.tokens_seen
                bar.update(task, completed=before + read, description=f"{name}, loss {event.metrics.loss:.3f}")
            elif isinstance(event, SweepResult):
                read = event.budget
                console.print(
                    f"{event.size}, {si(event.tokens)} tokens: held-out loss {event.loss:.4f} (measured)", markup=False
                )

        yield show


def _duration(seconds: float) -> str:
    if seconds < 90:
        return f"{seconds:.0f} seconds"
    return f"{seconds / 60:.0f} minutes" if seconds < 5400 else f"{seconds / 3600:.1f} hours"


# --- At the end ------------------------------------------------------------------------------------------------------


def _can_draw() -> bool:
    return importlib.util.find_spec("plotly") is not None


def _draw(document: dict[str, Any], path: Path) -> None:
    """The picture as one file that needs no network."""
    plots = importlib.import_module("litellama.plots")  # only here: the package does without plotly
    title = f"Loss of {document['corpus']} by size and tokens"
    figure = plots.scaling_law(document["runs"], document["law"], document["extrapolated"], title=title)
    figure.write_html(path, include_plotlyjs=True, config=plots.CONFIG)


def _print(document: dict[str, Any]) -> None:
    console, law = Console(highlight=False), document["law"]
    table = Table("", *(f"{si(budget)} tokens" for budget in sorted({run["budget"] for run in document["runs"]})),
                  title="held-out loss, nats per token (measured)", box=None)  # fmt: skip
    rows = sorted({(run["parameters"], run["size"]) for run in document["runs"]})
    for parameters, size in rows:
        found = {run["budget"]: f"{run['loss']:.4f}" for run in document["runs"] if run["parameters"] == parameters}
        cells = [found.get(budget, "") for budget in sorted({run["budget"] for run in document["runs"]})]
        table.add_row(f"{escape(size)} ({parameters:,})", *cells)
    console.print(table)
    console.print(
        f"\nL(N, D) = {law['E']:.3g} + {law['A']:.4g} / N^{law['alpha']:.3f} + {law['B']:.4g} / D^{law['beta']:.3f} "
        f"(fitted; the runs lie {law['residual']:.2%} from it)"
    )
    best = document["best"]
    console.print(
        f"By this law, the {best['flops']:.2g} operations of a middling run here are best spent on "
        f"{si(best['parameters'])} parameters and {si(best['tokens'])} tokens ({best['label']})."
    )
    table = Table("extrapolated", "parameters", "tokens", "loss", "range", box=None)
    for one in document["extrapolated"]:
        numbers = si(one["parameters"]), si(one["tokens"]), f"{one['loss']:.2f}", f"{one['low']:.2f}–{one['high']:.2f}"
        table.add_row(escape(one["name"]), *numbers)
    console.print(table)
    console.print("\nHow far this can be trusted")
    for words in document["caveats"]:
        console.print(f"- {words}", markup=False)
