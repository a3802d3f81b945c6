"""`python -m litellama pack` and `unpack`: a checkpoint as one zip file, and back again on another machine."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from litellama.checkpoint import archive, checkpoints_folder


def pack(
    folder: Annotated[Path, typer.Argument(help="Folder of a checkpoint, or its name in `list`.")],
    out: Annotated[Path | None, typer.Option(help="The zip file to write; without it, NAME.zip here.")] = None,
) -> None:
    """Write a checkpoint as one zip file, to be taken to another machine. The same model gives the same bytes."""
    if not folder.is_dir() and folder.name == str(folder):
        folder = checkpoints_folder() / folder
    file = out or Path(f"{archive.safe_name(folder.resolve().name)}.zip")
    try:
        archive.pack(folder, file)
    except (ValueError, OSError) as problem:
        raise SystemExit(f"litellama pack: {problem}") from None
    print(file)


def unpack(
    file: Annotated[Path, typer.Argument(help="A zip file that `pack` wrote.")],
    into: Annotated[Path | None, typer.Option(help="Folder to put the model in; without it, checkpoints.")] = None,
) -> None:
    """Open a zip file that `pack` wrote. Every byte is checked first, and nothing is left of a file that is unsound."""
    try:
        folder = archive.unpack(file, into or checkpoints_folder())
    except (ValueError, OSError) as problem:
        raise SystemExit(f"litellama unpack: {problem}") from None
    print(folder)
