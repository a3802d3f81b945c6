"""metrics.jsonl: the events of a training, one JSON object on each line."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from litellama.training.events import Stepped, TrainingEvent, to_json

METRICS = "metrics.jsonl"


def read_metrics(folder: Path) -> list[dict[str, Any]]:
    """The events that were written into the training's `folder`; none if there is no file yet."""
    return [json.loads(line) for line in _whole_lines(folder / METRICS)]


def _whole_lines(path: Path) -> list[str]:
    """The lines of a file that may have been cut off in the middle of one, as by a full disk."""
    if not path.exists():
        return []
    return [line for line in path.read_text(encoding="utf-8").splitlines(keepends=True) if line.endswith("\n")]


class MetricsFile:
    """Writes events into metrics.jsonl.

    A training that was killed wrote steps after its last saved state. When it resumes it does these steps again, so the
    first step that is written removes the old lines from there on.
    """

    def __init__(self, folder: Path) -> None:
        self._path = folder / METRICS
        self._last: int | None = None
        self._opened = False

    def write(self, event: TrainingEvent) -> None:
        self._path.parent.mkdir(parents=True, exist_ok=True)
        line = to_json(event)
        if not self._opened:  # half a line at the end would spoil the next one
            self._opened = True
            self._replace(_whole_lines(self._path))
        if isinstance(event, Stepped):
            if self._last is None:
                self._drop_from(line["step"])
            self._last = line["step"]
        with open(self._path, "a", encoding="utf-8", newline="\n") as file:
            file.write(json.dumps(line) + "\n")

    def _drop_from(self, step: int) -> None:
        self._replace([line for line in _whole_lines(self._path) if json.loads(line).get("step", 0) < step])

    def _replace(self, lines: list[str]) -> None:
        new = self._path.with_suffix(".new")
        new.write_text("".join(lines), encoding="utf-8", newline="\n")
        new.replace(self._path)
