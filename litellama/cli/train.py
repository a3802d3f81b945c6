"""`python -m litellama train`: a training from the command line."""

from __future__ import annotations

import json
import logging
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated, Any

import typer

from litellama.cli.plan import DEFAULT_GPU, plan_to_pay
from litellama.cli.recipe_options import recipe_options
from litellama.cli.training_display import display
from litellama.device import choose_device
from litellama.training.control import Control
from litellama.training.events import TrainingEnded, to_json
from litellama.training.parallel import joined
from litellama.training.recipe import ROWS, Recipe
from litellama.training.run import run
from litellama.training.tensorboard import tensorboard as write_tensorboard


@recipe_options
def train(
    *,
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
    **values: Any,
) -> None:  # fmt: skip
    """Train a model. Ctrl-C saves the state; --resume goes on from it."""
    logging.basicConfig(level=logging.WARNING, format="%(message)s")
    if plan:
        plan_to_pay(
            values["preset"], tokens=tokens, rows=None if values["rows"] == ROWS else values["rows"],
            length=values["length"], gpu=gpu, gpus=gpus, mfu=mfu, price=price, country=country,
            checkpointing=values["recompute"], as_json=as_json,
        )  # fmt: skip
        return
    if values["out"] is None:
        raise ValueError("say where the finished checkpoint is to stand: --out FOLDER")
    with joined(str(choose_device(values["device"]))) as (world, device):
        compiled = device.startswith("cuda") if values["compile"] is None else values["compile"]
        recipe = Recipe(**{**values, "device": device, "compile": compiled, "command": tuple(sys.argv[1:])})
        control = Control()
        track = write_tensorboard(recipe.folder / "tensorboard") if tensorboard and world.is_first else None
        with interrupts(control), display(quiet=as_json or not world.is_first) as show:
            if as_json and world.is_first:
                threading.Thread(target=_listen, args=(control,), daemon=True).start()
            for event in run(recipe, control, world):
                show(event)
                if track is not None:
                    track(event)
                if as_json and world.is_first:
                    print(json.dumps(to_json(event)), flush=True)
    if isinstance(event, TrainingEnded) and event.checkpoint is None and not as_json:
        raise SystemExit(f"stopped and saved in {recipe.folder}; go on with the same command and --resume")


@contextmanager
def interrupts(control: Control) -> Iterator[None]:
    """While this is open, Ctrl-C lets the step under way end and saves; a second one ends at once."""

    def note(number: int, frame: Any) -> None:
        if control.now == "stop":
            raise KeyboardInterrupt
        control.command("stop")

    before = {number: signal.signal(number, note) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _listen(control: Control) -> None:
    """Commands from stdin, line by line. When it closes, whoever gave them is gone: the training stops."""
    for line in sys.stdin:
        try:
            control.command(line.strip())
        except ValueError as problem:
            print(problem, file=sys.stderr, flush=True)
    control.command("stop")
