"""The one way out of a command when something is wrong that its user can put right."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def one_sentence(prefix: str) -> Iterator[None]:
    """Turn an error into `PREFIX: sentence` on stderr and exit status 1, without a traceback.

    Any other exception is a fault of the lab, and keeps its traceback. It decorates functions, too.
    """
    try:
        yield
    except (ValueError, OSError, FloatingPointError, MemoryError) as problem:
        raise SystemExit(f"{prefix}: {problem}") from None
