"""The library gguf, loaded when it is needed: it is installed with the lab, but not on every machine that trains."""

from __future__ import annotations

from types import ModuleType


def library() -> ModuleType:
    """Raises `ValueError`, with what to do, where it is missing."""
    try:
        import gguf
    except ModuleNotFoundError:
        raise ValueError(
            "GGUF files need the library gguf, which is not installed here; install it by: python -m pip install gguf"
        ) from None
    return gguf
