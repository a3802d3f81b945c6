"""`python -m litellama pack`: a checkpoint as one zip file."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from litellama.checkpoint import archive, named_path


def pack(
    folder: Annotated[Path, typer.Argument(help="Folder of a checkpoint, or its name in `list`.")],
    out: Annotated[Path | None, typer.Option(help="The zip file to write; without it, NAME.zip here.")] = None,
) -> None:
    """Write a checkpoint as one zip file, to be taken to another machine. The same model gives the same bytes."""
    folder = named_path(folder)
    file = out or Path(f"{archive.safe_name(folder.resolve().name)}.zip")
    archive.pack(folder, file)
    print(file)
