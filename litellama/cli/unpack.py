"""`python -m litellama unpack`: a zip file that `pack` wrote, as a checkpoint again."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from litellama.checkpoint import archive, checkpoints_folder


def unpack(
    file: Annotated[Path, typer.Argument(help="A zip file that `pack` wrote.")],
    into: Annotated[Path | None, typer.Option(help="Folder to put the model in; without it, checkpoints.")] = None,
) -> None:
    """Open a zip file that `pack` wrote. Every byte is checked first, and nothing is left of a file that is unsound."""
    print(archive.unpack(file, into or checkpoints_folder()))
