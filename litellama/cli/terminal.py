"""How the commands that generate text write to the terminal."""

from __future__ import annotations

import sys

from rich.console import Console
from rich.markup import escape


def write(text: str) -> None:
    """Write to stdout at once. The escape character is shown, so that a model's text cannot control the terminal."""
    sys.stdout.write(text.replace("\x1b", "\u241b"))
    sys.stdout.flush()


def note(text: str) -> None:
    """Say something about the work, on stderr."""
    Console(stderr=True, style="dim").print(escape(text), highlight=False)
