"""Lines of a file to documents: texts, part by part, and conversations.

A conversation's opening `system` message is set before the user's first one, as in LLaMA 2's chat format, since the
lab's models know two roles only. All that is wrong with a line is told by file name and number.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any, Literal

from litellama.chat import Message

Kind = Literal["text", "chat"]

TEXT_ENDINGS, LINES_ENDING = (".txt", ".md"), ".jsonl"
SEPARATOR = "<|endoftext|>"
PIECE = 2**16  # characters of a text that are handed on at once, so that several cores can tokenise it
LONGEST_LINE = 10_000_000  # characters; no sensible .jsonl has a longer one

_NOT_UTF8 = re.compile("[\udc80-\udcff]")  # what "surrogateescape" makes of bytes that are none


@dataclass(frozen=True)
class TextChunk:
    """A stretch of a text document; `ends` where the document ends with it. A short document is one part."""

    text: str
    ends: bool


Conversation = tuple[Message, ...]
Item = TextChunk | Conversation


def texts(items: Iterable[Item]) -> Iterator[str]:
    """What a tokenizer is trained on. A message's text begins with a space, as `encode_document` writes it."""
    for item in items:
        if isinstance(item, TextChunk):
            yield item.text
        else:
            yield from (" " + message.content for message in item)


def whole_text(text: str) -> Iterator[TextChunk]:
    """A document that is in memory already, as parts; none for a blank one."""
    text = text.replace("\r\n", "\n").strip("\n")
    if text.strip():
        *parts, last = _cut(text)
        yield from (TextChunk(part, ends=False) for part in parts)
        yield TextChunk(last, ends=True)


def read_file(path: Path, name: str, kind: Kind | None, bad: Callable[[str], None]) -> Iterator[Item]:
    """A file's documents; `bad` is told what is wrong with a line, which is left out if `bad` returns.

    `name` is what the file is called there. Documents of another kind than `kind` (None: than the first) are bad too.
    """
    if path.suffix.lower() == LINES_ENDING:
        return _read_json_lines(path, name, kind, bad)
    return _read_text(path, name, bad)


def _lines(path: Path, longest: int) -> Iterator[tuple[int, str]]:
    """Each line with its number; one of more than `longest` characters comes in several goes of the same number."""
    with open(path, encoding="utf-8-sig", errors="surrogateescape") as file:
        number = 1
        while line := file.readline(longest):
            yield number, line
            number += line.endswith("\n")


def _read_text(path: Path, name: str, bad: Callable[[str], None]) -> Iterator[TextChunk]:
    """Documents in parts of about PIECE characters. Empty lines around a document are none of its text."""
    held: list[str] = []  # what was read of this document and not yet handed on
    size = 0
    begun = False  # whether a part of it was
    before = 0
    for number, line in _lines(path, PIECE):
        begins_line, before = number != before, number
        if _NOT_UTF8.search(line):
            bad(f"{name}, line {number}: this is not UTF-8; save the file in that encoding")
            continue
        if begins_line and line.strip() == SEPARATOR:
            yield from _last("".join(held), begun)
            held, size, begun = [], 0, False
        elif held or begun or line.strip():
            held.append(line)
            size += len(line)
            if size > 2 * PIECE:
                *parts, rest = _cut("".join(held))
                yield from (TextChunk(part, ends=False) for part in parts)
                held, size, begun = [rest], len(rest), True
    yield from _last("".join(held), begun)


def _last(text: str, begun: bool) -> Iterator[TextChunk]:
    """The end of a document, if there was one at all."""
    if text or begun:
        *parts, rest = _cut(text.rstrip("\n"))
        yield from (TextChunk(part, ends=False) for part in parts)
        yield TextChunk(rest, ends=True)


def _cut(text: str) -> list[str]:
    """`text` in pieces of at most PIECE characters, cut where it does not change the tokens.

    Byte-level tokenizers first split text into words with the space before them, so a cut before a space or line end
    that follows a letter is one they make anyway. Where there is no such place (Chinese, say), the token at the cut may
    differ; so may the first token of each piece with a SentencePiece tokenizer.
    """
    pieces = []
    start = 0
    while len(text) - start > PIECE:
        end = start + PIECE
        place = next((i for i in range(end, start, -1) if text[i] in " \n" and text[i - 1].isalpha()), end)
        pieces.append(text[start:place])
        start = place
    return [*pieces, text[start:]]


def _read_json_lines(path: Path, name: str, kind: Kind | None, bad: Callable[[str], None]) -> Iterator[Item]:
    too_long = 0  # the number of the line of which the rest is still to be skipped
    for number, line in _lines(path, LONGEST_LINE):
        if number == too_long or not line.strip():
            continue
        try:
            if len(line) == LONGEST_LINE and not line.endswith("\n"):
                too_long = number
                raise ValueError(f"this line has more than {LONGEST_LINE:,} characters")
            document = _parse(line)
            found: Kind = "text" if isinstance(document, str) else "chat"
            kind = kind or found
            if found != kind:
                one, other = ("a text", "conversations") if found == "text" else ("a conversation", "texts")
                raise ValueError(f"this is {one}, but what came before it were {other}; keep them in separate folders")
        except (ValueError, RecursionError) as wrong:
            bad(f"{name}, line {number}: {wrong}")
            continue
        if isinstance(document, str):
            yield from whole_text(document)
        else:
            yield document


def _parse(line: str) -> str | Conversation:
    """One line of a .jsonl file. Raises `ValueError` that says what is wrong with it."""
    if _NOT_UTF8.search(line):
        raise ValueError("this is not UTF-8; save the file in that encoding")
    try:
        value = json.loads(line)
    except json.JSONDecodeError as wrong:
        raise ValueError(f"this is not valid JSON ({wrong.msg} at character {wrong.pos + 1})") from None
    if not isinstance(value, dict) or not ("messages" in value or "text" in value):
        raise ValueError('an object with "messages" or "text" was expected')
    if "messages" in value:
        return _conversation(value["messages"])
    text = value["text"]
    if not isinstance(text, str) or not text.strip():
        raise ValueError('"text" is empty or no text')
    return text


def _conversation(values: Any) -> Conversation:
    if not isinstance(values, list) or not values:
        raise ValueError('"messages" holds no messages')
    turns = [_turn(number, value) for number, value in enumerate(values, 1)]
    for number, ((before, _), (after, _)) in enumerate(pairwise(turns), 1):
        if before == after:
            raise ValueError(f"messages {number} and {number + 1} are both by the {after}; they must take turns")
    if all(role != "assistant" for role, _ in turns):
        raise ValueError("there is no message by the assistant to learn from")
    if turns[0][0] == "system":
        if turns[1][0] != "user":
            raise ValueError("after the system's message, one by the user was expected")
        turns[:2] = [("user", f"{turns[0][1]}\n\n{turns[1][1]}")]
    return tuple(Message(role, content) for role, content in turns)  # type: ignore[arg-type]


def _turn(number: int, value: Any) -> tuple[str, str]:
    role, content = (value.get("role"), value.get("content")) if isinstance(value, dict) else (None, None)
    if role not in ("user", "assistant") and not (role == "system" and number == 1):
        raise ValueError(f"message {number} has the role {role!r}; 'user' or 'assistant' was expected")
    if not isinstance(content, str) or not content.strip():
        raise ValueError(f"the content of message {number} is empty or no text")
    return role, content.replace("\r\n", "\n")
