"""What a person may command while a training runs: pause it, go on, stop it or finish it."""

from __future__ import annotations

import threading
from typing import Literal, get_args

Command = Literal["go", "pause", "stop", "finish"]


class Control:
    """The last command, shared by the thread that trains and the one that listens to a person.

    `pause` and `go`; `stop` saves the state; `finish` saves it and makes the checkpoint of what there is.
    """

    def __init__(self) -> None:
        self._command: Command = "go"
        self._changed = threading.Condition()

    def command(self, command: str) -> None:
        """Give a command. After `stop` or `finish` others change nothing. Raises `ValueError` for an unknown one."""
        if command not in get_args(Command):
            raise ValueError(f"there is no wish {command!r}; go, pause, stop or finish was expected")
        with self._changed:
            if self._command not in ("stop", "finish"):
                self._command = command  # type: ignore[assignment]
            self._changed.notify_all()

    @property
    def now(self) -> Command:
        return self._command

    def wait(self) -> Command:
        """The command, once it is not `pause`."""
        with self._changed:
            self._changed.wait_for(lambda: self._command != "pause")
            return self._command
