"""Conversations out of a plain text, so that a model that learned from texts can be taught to answer.

    python -m litellama.data.chats book.txt chats.jsonl

Each paragraph of several sentences becomes one: the first sentence asks to be gone on from, the others are the answer.
Then `python -m litellama train --from MODEL_OF_THE_BOOK --corpus chats.jsonl` teaches it (instruction tuning on
answers made from the text itself, as in Köksal et al. 2023, LongForm, but without another model).
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterator
from pathlib import Path

from litellama.data.corpora import read_corpus
from litellama.data.documents import TextChunk

ASKING = ("Go on: {}", "Continue this story. {}", "What happens next? {}")
SHORTEST, LONGEST = 40, 700  # characters of an answer

_SENTENCE = re.compile(r"(?<=[.!?;:])[”\"’')]*\s+(?=[“\"‘']?[A-Z])")


def chats(text: str) -> Iterator[dict[str, list[dict[str, str]]]]:
    """One conversation for each paragraph that has a first sentence and enough behind it.

    "A Fox saw grapes. He jumped, but in vain." -> user "Go on: A Fox saw grapes.", assistant "He jumped, but in vain."
    """
    number = 0
    for paragraph in re.split(r"\n\s*\n", text):
        words = " ".join(paragraph.split())
        end = _SENTENCE.search(words)
        if end is None:
            continue
        first, rest = words[: end.start()].strip(), words[end.start() :].strip()
        if len(rest) < SHORTEST:
            continue
        if len(rest) > LONGEST:  # as many whole sentences as there is room for
            cut = [match.start() for match in _SENTENCE.finditer(rest) if match.start() <= LONGEST]
            if not cut:
                continue
            rest = rest[: cut[-1]]
        asked = ASKING[number % len(ASKING)].format(first)
        number += 1
        yield {"messages": [{"role": "user", "content": asked}, {"role": "assistant", "content": rest}]}


def main(source: Path, target: Path) -> int:
    """Write the conversations of a text file, or a folder of them; gives how many."""
    corpus = read_corpus(source)
    if corpus.kind != "text":
        raise ValueError(f"{source.name} holds conversations already; give a text")
    parts: list[str] = []
    lines: list[str] = []
    for item in corpus:
        assert isinstance(item, TextChunk)
        parts.append(item.text)
        if item.ends:
            lines += [json.dumps(chat, ensure_ascii=False) for chat in chats("".join(parts))]
            parts = []
    target.write_text("".join(line + "\n" for line in lines), encoding="utf-8", newline="\n")
    return len(lines)


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit("usage: python -m litellama.data.chats TEXT CHATS.jsonl")
    try:
        print(f"{main(Path(sys.argv[1]), Path(sys.argv[2])):,} conversations")
    except (ValueError, OSError) as problem:
        sys.exit(f"chats: {problem}")
