"""Unexpected errors: a sentence with a number for the user, and one line with the same number in the log."""

from __future__ import annotations

import logging
import secrets
import traceback
from pathlib import Path

from app.common.strings import Problem

ALPHABET = "23456789ABCDEFGHJKMNPQRSTVWXYZ"  # no two that look alike
LENGTH = 5
LONGEST_MESSAGE = 300
OUT_OF_MEMORY_MESSAGES = ("not enough memory", "can't allocate memory", "out of memory", "can't start new thread")
LOGGABLE_ERRORS = (OSError, RuntimeError, MemoryError)
"""Errors of the machine or of PyTorch. Others may quote what was typed, which never goes into the log."""

log = logging.getLogger("litellama.app")


def as_problem(error: Exception, during: str) -> Problem:
    """`error` as a sentence for the user whose request it was: a `Problem` is one, anything else is logged."""
    if isinstance(error, Problem):
        return error
    quoted = str(error) if isinstance(error, LOGGABLE_ERRORS) else ""  # guard: quoted-errors
    number = log_exception(during, error, quoted)
    return Problem("problem.no_memory" if is_out_of_memory(error) else "problem.unexpected", number=number)


def log_exception(during: str, error: Exception, message: str) -> str:
    """Log one line of an exception, with its `message`. Gives its number, which the user sees too, so that the line
    can be found."""
    words = f": {' '.join(message.split())[:LONGEST_MESSAGE]}" if message else ""
    number = log_error(f"{during} failed: {type(error).__name__}{words} ({_location(error)})")
    log.debug("[%s] in full:", number, exc_info=error)
    return number


def log_error(what: str) -> str:
    """Log one line; gives its number."""
    number = "".join(secrets.choice(ALPHABET) for _ in range(LENGTH))
    log.error("[%s] %s", number, what)
    return number


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an exception says that there is too little memory, as PyTorch does by a `RuntimeError`."""
    if isinstance(error, MemoryError):
        return True
    message = str(error).casefold()
    return isinstance(error, RuntimeError | OSError) and any(words in message for words in OUT_OF_MEMORY_MESSAGES)


def _location(error: BaseException) -> str:
    """Where in the lab it happened: the innermost file that is not a library's."""
    root = Path(__file__).parents[2]
    for frame in reversed(traceback.extract_tb(error.__traceback__)):
        path = Path(frame.filename)
        if path.is_relative_to(root) and "site-packages" not in path.parts:
            return f"{path.relative_to(root)}, line {frame.lineno}"
    return "outside the lab"
