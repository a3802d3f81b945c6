"""Text as it can be written and sent."""

from __future__ import annotations


def replace_surrogates(text: str) -> str:
    """Joins surrogate pairs, and replaces half ones, which no UTF-8 can hold, with U+FFFD: "a\\ud83d" -> "a\\ufffd"."""
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
