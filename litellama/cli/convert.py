"""`python -m litellama convert`: weights in PyTorch's pickles become safetensors, after asking."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.markup import escape

from litellama.checkpoint import named_path
from litellama.checkpoint import pickles as conversion
from litellama.cli.terminal import note


def convert(
    folder: Annotated[Path, typer.Argument(help="Folder of a model, or its name in `list`.")],
    out: Annotated[Path | None, typer.Option(help="A new folder for the model; without it, the same folder.")] = None,
    yes: Annotated[bool, typer.Option("--yes", help="Don't ask.")] = False,
) -> None:
    """Turn a model's pytorch_model.bin, or Meta's consolidated.00.pth, into safetensors: once, in a process that can do
    no harm."""
    folder = named_path(folder)
    sources = conversion.pickles(folder)
    if not yes and not _agreed(sources, out or folder):
        raise ValueError("nothing was done")
    for file in conversion.convert(folder, out):
        note(f"{file.name} ({file.number} of {file.count})")
    print(out or folder)


def _agreed(sources: list[Path], target: Path) -> bool:
    size = sum(path.stat().st_size for path in sources) / 1e9
    names = sources[0].name if len(sources) == 1 else f"{sources[0].name} and {len(sources) - 1} more"
    if not sys.stdin.isatty():
        raise ValueError("this asks first, and there is no terminal to ask at; give --yes to agree beforehand")
    Console(stderr=True).print(
        escape(
            f"{names} ({size:.2g} GB) are Python pickles, which can hold programs. A process that can do no harm will "
            f"read only the weights in them and write {size:.2g} GB of safetensors into {target}."
        )
    )
    return typer.confirm("Convert them?", default=False, err=True)
