"""Conversations out of a text: nothing is lost or invented, and the training reads them."""

from __future__ import annotations

from pathlib import Path

import pytest

from litellama.data.chats import LONGEST, chats, main
from litellama.data.corpora import read_corpus

FOX = (
    "A hungry Fox saw some grapes. He did his best to reach them by jumping as high as he could. "
    "“They are sour,” he said."
)


def test_a_paragraph_becomes_a_question_and_its_answer() -> None:
    (one,) = chats(FOX)
    asked, answer = (message["content"] for message in one["messages"])
    assert asked == "Go on: A hungry Fox saw some grapes."
    assert answer == "He did his best to reach them by jumping as high as he could. “They are sour,” he said."


def test_titles_and_long_paragraphs() -> None:
    text = "The Fox and the Grapes\n\n" + FOX + " Then he went away." * 80 + "\n\nShort. Yes.\n"
    (one,) = chats(text)
    answer = one["messages"][1]["content"]
    assert len(answer) <= LONGEST
    assert answer.endswith("away."), "sentences are whole"


def test_what_is_written_is_a_corpus(tmp_path: Path) -> None:
    (tmp_path / "book.txt").write_text(FOX + "\n<|endoftext|>\n" + FOX, encoding="utf-8")
    assert main(tmp_path / "book.txt", tmp_path / "chats.jsonl") == 2
    corpus = read_corpus(tmp_path / "chats.jsonl")
    assert corpus.kind == "chat"
    assert len(list(corpus)) == 2
    with pytest.raises(ValueError, match="conversations already"):
        main(tmp_path / "chats.jsonl", tmp_path / "again.jsonl")
