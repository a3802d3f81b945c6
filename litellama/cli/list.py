"""`python -m litellama list`: the presets and the checkpoints there are."""

from __future__ import annotations

import json

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from litellama.checkpoint import list_models
from litellama.cli.options import Json
from litellama.cli.terminal import note


def list_(as_json: Json = False) -> None:
    """Show the presets and the checkpoints there are, with their exact numbers of parameters."""
    rows = list_models()
    if as_json:
        print(json.dumps(rows, indent=2))
        return
    table = Table("name", "kind", box=None)
    columns = ("parameters", "layers", "hidden_size", "vocab_size", "context_length")
    for column in columns:
        table.add_column(column.split("_")[0], justify="right")
    for row in rows:
        numbers = [f"{row[column]:,}" if row.get(column) else "" for column in columns]
        table.add_row(escape(row["name"]), row["kind"], *numbers)
    Console().print(table)
    for row in rows:
        if "problem" in row:
            note(row["problem"])
