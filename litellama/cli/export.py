"""`python -m litellama export`: a model for other engines."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn

from litellama.checkpoint import find_checkpoint
from litellama.export import run


def export(
    checkpoint: Annotated[str, typer.Argument(help="A checkpoint's folder, a GGUF file, or a name in `list`.")],
    format: Annotated[str, typer.Option(help="hf: a folder for transformers and vLLM; gguf: for llama.cpp, Ollama.")],
    out: Annotated[Path, typer.Option(help="The new folder.")],
    dtype: Annotated[
        str | None,
        typer.Option(help="float32, float16 or bfloat16; for gguf also q8_0 or q4_0. As the checkpoint is, without."),
    ] = None,
) -> None:
    """Write a model in the form that other engines read: transformers, vLLM and SGLang, or llama.cpp and Ollama."""
    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TimeRemainingColumn())
    try:
        with Progress(*columns, console=Console(stderr=True)) as progress:
            bar = progress.add_task("Writing", total=None)
            for written in run.export(find_checkpoint(checkpoint), out, format, dtype):
                progress.update(bar, completed=written.bytes, total=written.of)
    except OSError as problem:  # such as a full disk: without Python's "[Errno 28]"
        where = f": {problem.filename}" if problem.filename else ""
        raise ValueError(f"{problem.strerror or problem}{where}") from None
    print(out)
