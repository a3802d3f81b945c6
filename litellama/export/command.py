"""`python -m litellama export`: a model for other engines."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn

from litellama.checkpoint import checkpoints_folder
from litellama.export import run


def export(
    checkpoint: Annotated[Path, typer.Argument(help="Folder of a checkpoint, or its name in `list`.")],
    format: Annotated[str, typer.Option(help="hf: a folder for transformers and vLLM; gguf: for llama.cpp, Ollama.")],
    out: Annotated[Path, typer.Option(help="The new folder.")],
    dtype: Annotated[
        str | None,
        typer.Option(help="float32, float16 or bfloat16; for gguf also q8_0 or q4_0. As the checkpoint is, without."),
    ] = None,
) -> None:
    """Write a model in the form that other engines read: transformers, vLLM and SGLang, or llama.cpp and Ollama."""
    if not checkpoint.is_dir() and checkpoint.name == str(checkpoint):
        checkpoint = checkpoints_folder() / checkpoint
    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TimeRemainingColumn())
    try:
        with Progress(*columns, console=Console(stderr=True)) as progress:
            bar = progress.add_task("Writing", total=None)
            for written in run.export(checkpoint, out, format, dtype):
                progress.update(bar, completed=written.bytes, total=written.of)
    except (ValueError, OSError) as problem:
        raise SystemExit(f"litellama export: {getattr(problem, 'strerror', None) or problem}") from None
    print(out)
