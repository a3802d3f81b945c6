"""Reads what an OpenAI-compatible server sends: bytes to events, an event to text and tokens.

The server is not trusted: every value may have any type and any size.
"""

from __future__ import annotations

import codecs
import json
import math
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from app.common.text import replace_surrogates

LONGEST_EVENT = 2**18  # bytes; a token with ten alternatives takes about two thousand
LONGEST_ERROR_MESSAGE = 200  # characters of a server's own words that are passed on
MOST_ALTERNATIVES = 20
LINE_END = re.compile(rb"\r\n|\n|\r")


@dataclass(frozen=True)
class TextStep:
    """One token of which only the text is known. `probability` is None where the server doesn't say; `alternatives`
    are (text, probability), the likeliest first."""

    text: str
    probability: float | None
    alternatives: tuple[tuple[str, float], ...] = ()


@dataclass(frozen=True)
class ChatDelta:
    """What one event adds to a reply. `parts[i]` is the text of `tokens[i]`; `finish_reason` says why the reply ended;
    `prompt_tokens` and `completion_tokens` are the server's own counts, which come once."""

    parts: tuple[str, ...] = ()
    tokens: tuple[TextStep, ...] = ()
    finish_reason: str | None = None
    prompt_tokens: int | None = None
    completion_tokens: int | None = None


class ReportedError(ValueError):
    """The server reports an error, in its own words, in an event or in a body."""


def iter_sse_events(chunks: Iterable[bytes]) -> Iterator[str]:
    """The data of each event in a `text/event-stream`, wherever its bytes were cut on their way.

    As the HTML standard says: lines end with LF, CR or both, comments begin with a colon, several `data` lines make one
    event, and what the end of the stream cuts off is dropped. Raises `ValueError` for an event that is too long.
    """
    data: bytearray | None = None
    for line in _lines(chunks):
        name, _, value = line.partition(b":")
        if name == b"data":
            if data is None:
                data = bytearray()
            else:
                data += b"\n"
            data += value.removeprefix(b" ")
            if len(data) > LONGEST_EVENT:
                raise ValueError(f"an event is longer than {LONGEST_EVENT} bytes")
        if not line and data is not None:
            yield data.decode("utf-8", "replace")
            data = None


def _lines(chunks: Iterable[bytes]) -> Iterator[bytes]:
    buffer, looked, after_cr, first = bytearray(), 0, False, True
    for chunk in filter(None, chunks):
        buffer += chunk.removeprefix(b"\n") if after_cr else chunk  # the second half of a CR LF that was cut in two
        after_cr = chunk.endswith(b"\r")
        start = 0
        for end in LINE_END.finditer(buffer, looked):
            line = bytes(buffer[start : end.start()])
            yield line.removeprefix(codecs.BOM_UTF8) if first else line
            start, first = end.end(), False
        del buffer[:start]
        looked = len(buffer)
        if looked > LONGEST_EVENT:
            raise ValueError(f"a line is longer than {LONGEST_EVENT} bytes")


def read_json(text: str | bytes) -> Any:
    """A JSON value. Raises `ValueError`, also for one that is nested too deeply."""
    try:
        return json.loads(text)
    except RecursionError as error:
        raise ValueError("the JSON is nested too deeply") from error


def read_delta(data: str) -> ChatDelta:
    """One event of a chat completion. Raises `ReportedError` for an error that the server reports, and `ValueError` for
    what is no such event."""
    event = read_json(data)
    if not isinstance(event, dict):
        raise ValueError("an event is no object")
    if event.get("error"):
        raise ReportedError(error_message(event))
    usage = event.get("usage")
    counts = usage if isinstance(usage, dict) else {}
    prompt_tokens, completion_tokens = _count(counts.get("prompt_tokens")), _count(counts.get("completion_tokens"))
    choices = event.get("choices")
    if not isinstance(choices, list):
        raise ValueError("an event has no choices")
    choice = choices[0] if choices else {}  # the event with the counts has none
    if not isinstance(choice, dict):
        raise ValueError("a choice is no object")
    delta, finish_reason = choice.get("delta"), choice.get("finish_reason")
    text = delta.get("content") if isinstance(delta, dict) else None
    if not (text is None or isinstance(text, str)):
        raise ValueError("what was written is no text")
    tokens = _tokens(choice.get("logprobs"))
    if not text and finish_reason is not None:
        tokens = ()  # the token that ended the reply is no part of it
    if text and not tokens:
        tokens = (TextStep(replace_surrogates(text), None),)
    finish = finish_reason and replace_surrogates(str(finish_reason))[:20]
    return ChatDelta(_parts(replace_surrogates(text or ""), tokens), tokens, finish, prompt_tokens, completion_tokens)


def error_message(body: Any) -> str:
    """The server's own error message: one short line of printable characters, "" if there is none."""
    found = body
    for name in ("error", "message"):
        found = found.get(name, found) if isinstance(found, dict) else found
    if isinstance(found, dict):
        found = found.get("detail", "")
    said = found if isinstance(found, str) else json.dumps(found)
    line = " ".join(replace_surrogates(said).split())[:LONGEST_ERROR_MESSAGE].rstrip(". ")
    return "".join(character if character.isprintable() else "\ufffd" for character in line)


def _tokens(logprobs: Any) -> tuple[TextStep, ...]:
    content = logprobs.get("content") if isinstance(logprobs, dict) else None
    if not isinstance(content, list):
        return ()
    return tuple(_token(one) for one in content if isinstance(one, dict) and isinstance(one.get("token"), str))


def _token(one: dict[str, Any]) -> TextStep:
    listed = one.get("top_logprobs")
    rows = [
        (_text(row), probability)
        for row in (listed[:MOST_ALTERNATIVES] if isinstance(listed, list) else [])
        if isinstance(row, dict) and (probability := _probability(row.get("logprob"))) is not None
    ]
    rows.sort(key=lambda row: -row[1])
    return TextStep(_text(one), _probability(one.get("logprob")), tuple(rows))


def _text(token: dict[str, Any]) -> str:
    text = token.get("token")
    return replace_surrogates(text) if isinstance(text, str) else ""


def _probability(logprob: Any) -> float | None:
    """None for what is no logarithm of a probability; one that is rounded to a little over 0 is."""
    is_number = isinstance(logprob, int | float) and not isinstance(logprob, bool)
    if not is_number or not logprob <= 0.01:  # NaN is neither
        return None
    return min(1.0, math.exp(max(logprob, -1e4)))


def _parts(text: str, tokens: tuple[TextStep, ...]) -> tuple[str, ...]:
    """Which token brought which part of the text. If that can't be told, such as of a character that several tokens
    make together, the last of them brought it."""
    if "".join(token.text for token in tokens) == text:
        return tuple(token.text for token in tokens)
    return (*[""] * (len(tokens) - 1), text) if tokens else ()


def _count(value: Any) -> int | None:
    return value if type(value) is int and 0 <= value < 10**7 else None
