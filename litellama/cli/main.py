"""`python -m litellama chat | generate | train | sweep | ...`: finds the command and runs it."""

from __future__ import annotations

import pkgutil
import sys
from collections.abc import Sequence
from typing import Any

import typer
from typer.core import TyperGroup

from litellama.cli.errors import one_sentence

COMMANDS = {  # each command and its function, in the order of --help
    "chat": "chat:chat",
    "generate": "generate:generate",
    "list": "list:list_",
    "train": "train:train",
    "evaluate": "evaluate:evaluate",
    "sweep": "sweep:sweep",
    "trust": "faithfulness:trust",
    "probe": "probe:probe",
    "compare": "compare:compare",
    "export": "export:export",
    "convert": "convert:convert",
    "pack": "pack:pack",
    "unpack": "unpack:unpack",
    "download": "download:download",
    "bench": "bench:bench",
    "doctor": "doctor:doctor",
}
SAY_ERROR = ("chat", "generate", "list", "bench", "doctor")
"""Commands whose error messages begin with "error:"; those of the others begin with "litellama NAME:"."""


class _Commands(TyperGroup):
    """Imports a command's file only when it is used: a chat does not need what trains and explains."""

    def list_commands(self, ctx: Any) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        if cmd_name not in COMMANDS:
            return None
        function = pkgutil.resolve_name(f"litellama.cli.{COMMANDS[cmd_name]}")
        prefix = "error" if cmd_name in SAY_ERROR else f"litellama {cmd_name}"
        single = typer.Typer(add_completion=False)
        single.command(cmd_name)(one_sentence(prefix)(function))
        return typer.main.get_command(single)


app = typer.Typer(
    name="litellama",
    cls=_Commands,
    help="LiteLlama Lab: a Llama small enough to be understood completely.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)


@app.callback()
def _group() -> None: ...  # Typer makes a group only of an app that has a callback, or commands of its own


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line, of `sys.argv` without `arguments`. Ends with `SystemExit`."""
    if hasattr(sys.stdout, "reconfigure"):
        sys.stdout.reconfigure(errors="replace")  # an old terminal that lacks a character shows "?"
    app(args=None if arguments is None else list(arguments))
