"""Lessons in a terminal: `python -m lessons lab` opens them, `sheet` gathers a class's progress, `build` makes them."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from lessons.build import build_all
from lessons.kit.progress import class_sheet
from lessons.lab import open_lab

cli = typer.Typer(add_completion=False, no_args_is_help=True, help=__doc__)


@cli.command(context_settings={"allow_extra_args": True, "ignore_unknown_options": True})
def lab(
    context: typer.Context,
    teacher: Annotated[bool, typer.Option(help="Also copy the teachers' notebooks, with solutions and notes.")] = False,
) -> None:
    """Open the lessons in JupyterLab, as copies of one's own in my-lessons/. Further options are JupyterLab's."""
    raise typer.Exit(open_lab(context.args, teacher=teacher))


@cli.command()
def build() -> None:
    """Make all notebooks anew from lessons/source."""
    for path in build_all():
        typer.echo(path)


@cli.command()
def sheet(
    files: Annotated[list[Path], typer.Argument(help="The learners' progress.csv files.", exists=True, dir_okay=False)],
    out: Annotated[Path, typer.Option(help="Where the class's table goes.")] = Path("class.csv"),
) -> None:
    """Put the learners' progress into one table: a line for each, a column for each exercise."""
    try:
        class_sheet(files, out)
    except (ValueError, OSError) as wrong:
        raise typer.BadParameter(str(wrong)) from None
    typer.echo(f"{out}: {len(files)} learners")


if __name__ == "__main__":
    cli()
