"""Corpora: what a file's documents are, what is said about a bad line, and that nothing is read whole."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
import tracemalloc
from collections.abc import Iterable
from itertools import groupby
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from litellama.chat import Message
from litellama.data import documents
from litellama.data import hub_corpora as hub
from litellama.data.corpora import read_corpus
from litellama.data.documents import Item, TextChunk, texts, whole_text
from litellama.data.hub_corpora import HUB, HubCorpus, hub_corpus
from litellama.tokenizer import Tokenizer

QUESTION, ANSWER = {"role": "user", "content": "Who?"}, {"role": "assistant", "content": "Me."}
CHAT = {"messages": [QUESTION, ANSWER]}
PROSE = (
    "The Fox and the Grapes\n\nA hungry Fox saw some fine bunches of Grapes,  hanging from a vine: “It’s 1,200 miles \n"
    "off,” he said. \n\n\n    Indented, and a tab:\tso.\nÜber Städte; ラマがいます。それは三頭です。\r and 😀 too…\n"
)


def write(path: Path, content: str | bytes | Iterable[Any]) -> Path:
    """A text, bytes, or one JSON object a line."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if not isinstance(content, str | bytes):
        content = "".join(json.dumps(value) + "\n" for value in content)
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def whole(items: Iterable[Item]) -> list[str]:
    """Text documents put together from their parts."""
    found = [""]
    for item in items:
        assert isinstance(item, TextChunk)
        found[-1] += item.text
        if item.ends:
            found.append("")
    assert found.pop() == "", "the last document never ends"
    return found


# --- Texts -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ("One.\nTwo.\n", ["One.\nTwo."]),
        ("One.\n<|endoftext|>\nTwo.\n<|endoftext|>\n", ["One.", "Two."]),
        ("\n\n  One.\n\nOn.\n\n <|endoftext|> \n\nTwo <|endoftext|> on.", ["  One.\n\nOn.", "Two <|endoftext|> on."]),
        ("<|endoftext|>\n \n<|endoftext|>\nOne.", ["One."]),
        ("\ufeffGrüße\r\naus\r\n<|endoftext|>\r\nWien", ["Grüße\naus", "Wien"]),
        ("One line\u2028and more\x0cof it", ["One line\u2028and more\x0cof it"]),
    ],
)  # fmt: skip
def test_a_files_documents(tmp_path: Path, content: str, expected: list[str]) -> None:
    corpus = read_corpus(write(tmp_path / "Story.TXT", content))
    assert (corpus.kind, corpus.source) == ("text", "Story.TXT")
    assert whole(corpus) == expected == whole(corpus)


def test_texts_of_json_lines(tmp_path: Path) -> None:
    path = write(tmp_path / "a.jsonl", '\ufeff{"text": "One.\\r\\nTwo.\\n"}\r\n\r\n{"text": "Three", "meta": 1}')
    assert whole(read_corpus(path)) == ["One.\nTwo.", "Three"]


def test_a_folder_is_walked_in_order(tmp_path: Path) -> None:
    for name, text in (("b.txt", "B"), ("a/z.md", "Z"), ("a/c.jsonl", '{"text": "C"}'), (".hidden/d.txt", "D")):
        write(tmp_path / "corpus" / name, text)
    for name in ("a/.e.txt", "picture.png", "a/notes.docx"):
        write(tmp_path / "corpus" / name, "not to be read")
    corpus = read_corpus(tmp_path / "corpus")
    assert whole(corpus) == ["C", "Z", "B"]
    assert corpus.left_out == ("a/notes.docx", "picture.png")
    assert corpus.source == "corpus"


@pytest.mark.parametrize(
    ("name", "content", "problem"),
    [
        ("story.docx", "x", r"story\.docx cannot be read: its name would have to end in .txt, .md or .jsonl"),
        ("story.txt", " \n<|endoftext|>\n", "holds not a single document"),
        ("story.jsonl", "\n", "holds not a single document"),
        ("folder/story.pdf", "x", r"the folder .* holds no .txt, .md or .jsonl files"),
    ],
)
def test_what_is_no_corpus_is_refused(tmp_path: Path, name: str, content: str, problem: str) -> None:
    path = write(tmp_path / name, content)
    with pytest.raises(ValueError, match=problem):
        read_corpus(path.parent if "/" in name else path)
    with pytest.raises(ValueError, match="there is no file or folder"):
        read_corpus(tmp_path / "nowhere")


# --- Long texts ------------------------------------------------------------------------------------------------------


def test_cutting_a_text_does_not_change_its_tokens(monkeypatch: pytest.MonkeyPatch) -> None:
    text = PROSE * 30
    tokenizer = Tokenizer.train([text], 400)
    assert len(tokenizer.encode("\n\n\n   ")) < 3, "only where spaces are merged can a cut among them be seen"
    for piece in range(60, 90):
        monkeypatch.setattr(documents, "PIECE", piece)
        parts = [part.text for part in whole_text(text)]
        assert len(parts) > 60
        assert max(map(len, parts)) <= piece
        assert [id for part in parts for id in tokenizer.encode(part)] == tokenizer.encode(text.strip("\n"))


@given(text=st.text(alphabet="ab \n.ü1'", max_size=300), piece=st.integers(1, 20))
def test_parts_are_the_text(text: str, piece: int) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(documents, "PIECE", piece)
        parts = list(whole_text(text))
    assert "".join(part.text for part in parts) == (text.strip("\n") if text.strip() else "")
    assert [part.ends for part in parts] == [False] * (len(parts) - 1) + [True] * bool(parts)
    assert all(len(part.text) <= piece for part in parts)


@given(
    lines=st.lists(
        st.sampled_from(["<|endoftext|>", "", " ", "ab", "a long line of words", "x" * 15 + "<|endoftext|>"]),
        max_size=30,
    ),
    piece=st.integers(15, 60),
)
def test_parts_of_a_file_are_its_documents(
    tmp_path_factory: pytest.TempPathFactory, lines: list[str], piece: int
) -> None:
    path = write(tmp_path_factory.mktemp("parts") / "a.txt", "\n".join(lines))
    small, large = ([], [])  # type: ignore[var-annotated]
    for found, size in ((small, piece), (large, 10_000)):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(documents, "PIECE", size)
            found += whole(documents.read_file(path, "a.txt", None, print))
    assert [text.rstrip("\n") for text in small] == large  # of a run of empty lines at a cut, some may stay
    between = groupby(lines, lambda line: line == "<|endoftext|>")
    expected = ["\n".join(group).strip() for separates, group in between if not separates]
    assert [text.strip() for text in large] == [text for text in expected if text]


def test_a_large_file_is_never_in_memory_whole(tmp_path: Path) -> None:
    for name, content in (("lines.txt", "Once upon a time.\n" * 250_000), ("one-line.txt", "word " * 1_100_000)):
        path = write(tmp_path / name, content)
        size, characters = path.stat().st_size, 0
        del content
        tracemalloc.start()
        for item in read_corpus(path):
            assert isinstance(item, TextChunk)
            characters += len(item.text)
        _, most = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        assert size - 2 <= characters <= size
        assert most < size / 2


# --- Conversations ---------------------------------------------------------------------------------------------------


def test_conversations(tmp_path: Path) -> None:
    system = {"role": "system", "content": "Be brief."}
    lines = [CHAT, {"messages": [system, QUESTION, ANSWER, {**QUESTION, "name": "x"}]}, {"messages": [ANSWER]}]
    corpus = read_corpus(write(tmp_path / "a.jsonl", lines))
    question, answer = Message("user", "Who?"), Message("assistant", "Me.")
    folded = Message("user", "Be brief.\n\nWho?")
    assert corpus.kind == "chat"
    assert list(corpus) == [(question, answer), (folded, answer, question), (answer,)]
    assert list(texts(corpus))[:3] == [" Who?", " Me.", " Be brief.\n\nWho?"]
    assert list(texts([TextChunk("Once", ends=True)])) == ["Once"]


def chat(*messages: dict[str, str]) -> bytes:
    return json.dumps({"messages": messages}).encode()


BAD_LINES = [
    (b'{"messages": [', r"not valid JSON \(Expecting value at character 16\)"),
    (b"[" * 100_000, "recursion"),
    (b"[1]", 'an object with "messages" or "text" was expected'),
    (b'{"prompt": "Who?"}', 'an object with "messages" or "text" was expected'),
    (b'{"messages": []}', '"messages" holds no messages'),
    (b'{"messages": "Who?"}', '"messages" holds no messages'),
    (b'{"messages": ["Who?"]}', "message 1 has the role None"),
    (b'{"messages": [{"role": "bot", "content": "Hi"}]}', "message 1 has the role 'bot'; 'user' or 'assistant' was"),
    (b'{"messages": [{"role": [], "content": "Hi"}]}', r"message 1 has the role \[\]"),
    (chat(QUESTION, {"role": "system", "content": "x"}), "message 2 has the role 'system'"),
    (chat(QUESTION, {"role": "assistant", "content": " "}), "content of message 2 is empty or no text"),
    (chat(QUESTION, {"role": "assistant"}), "content of message 2 is empty or no text"),
    (chat(QUESTION, ANSWER, ANSWER), "messages 2 and 3 are both by the assistant"),
    (chat(QUESTION), "no message by the assistant"),
    (chat({"role": "system", "content": "x"}, ANSWER), "one by the user was expected"),
    (b'{"text": "One."}', "this is a text, but what came before it were conversations"),
    (b'{"text": "  "}', '"text" is empty'),
    (b'{"text": 7}', '"text" is empty or no text'),
    (b'{"text": "\xff"}', "this is not UTF-8"),
    (b'{"text": "' + b"x" * 999 + b'"}', "more than 900 characters"),
]  # fmt: skip


@pytest.mark.parametrize(("line", "problem"), BAD_LINES)
def test_a_bad_line_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, line: bytes, problem: str) -> None:
    monkeypatch.setattr(documents, "LONGEST_LINE", 200_000 if line.startswith(b"[[") else 900)
    good = json.dumps(CHAT).encode()
    write(tmp_path / "chats" / "orders.jsonl", good + b"\n\n" + line + b"\n" + good + b"\n")
    with pytest.raises(ValueError, match=f"^orders.jsonl, line 3: .*{problem}"):
        list(read_corpus(tmp_path / "chats"))
    told: list[str] = []
    corpus = read_corpus(tmp_path / "chats", skip_bad=True, on_bad=told.append)
    assert told == []
    assert len(list(corpus)) == 2
    assert len(told) == 1
    assert told[0].startswith("orders.jsonl, line 3: ")


def test_a_bad_first_line_is_found_at_once(tmp_path: Path) -> None:
    path = write(tmp_path / "a.jsonl", [{}, CHAT])
    with pytest.raises(ValueError, match=r"a\.jsonl, line 1"):
        read_corpus(path)
    assert len(list(read_corpus(path, skip_bad=True))) == 1


def test_a_line_that_is_not_utf8_is_named(tmp_path: Path) -> None:
    path = write(tmp_path / "a.txt", "Grüße\naus\n".encode() + "Köln\n".encode("latin-1") + b"und Wien")
    with pytest.raises(ValueError, match=r"^a\.txt, line 3: this is not UTF-8; save the file in that encoding"):
        list(read_corpus(path))
    told: list[str] = []
    assert whole(read_corpus(path, skip_bad=True, on_bad=told.append)) == ["Grüße\naus\nund Wien"]
    assert len(told) == 1


def test_texts_and_conversations_do_not_mix(tmp_path: Path) -> None:
    write(tmp_path / "a.txt", "One.")
    for number in range(5):
        write(tmp_path / f"c{number}.jsonl", [CHAT])
    problem = r"texts \(a\.txt\) and conversations \(c0\.jsonl, c1\.jsonl, c2\.jsonl and 2 more\)"
    with pytest.raises(ValueError, match=problem):
        read_corpus(tmp_path)


# --- The hub, played by a file ---------------------------------------------------------------------------------------


@pytest.fixture
def local(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A corpus in `HUB` whose data lie here, while no other machine can be asked."""
    pytest.importorskip("datasets")
    lines = [{"text": f"Story {number}.\r\nThe end.", "meta": {"n": number}} for number in range(9)]
    lines.insert(2, {"text": " ", "meta": {"n": -1}})
    path = write(tmp_path / "stories.jsonl", lines)
    where = {"path": "json", "data_files": str(path), "cache_dir": str(tmp_path / "cache")}
    monkeypatch.setitem(HUB, "local", HubCorpus(where, "none"))

    def refuse(*_: Any) -> None:
        raise AssertionError("a network request was made")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    return "local"


def test_a_hub_corpus_is_streamed_up_to_its_limit(local: str) -> None:
    corpus = hub_corpus(local)
    assert (corpus.kind, corpus.source) == ("text", "local")
    assert whole(corpus) == whole(corpus) == [f"Story {number}.\nThe end." for number in range(9)]
    assert len(whole(hub_corpus(local, documents=5))) == 4  # one of them is blank
    assert len(whole(hub_corpus(local, characters=19))) == 2
    assert len(whole(hub_corpus(local, characters=18))) == 1
    assert whole(hub_corpus(local, documents=0)) == []


def test_parquet_as_on_the_hub(local: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import pyarrow
    import pyarrow.parquet

    path = tmp_path / "part.parquet"
    pyarrow.parquet.write_table(pyarrow.table({"id": [1, 2], "text": ["One", "Zwei\n"]}), path)
    where = {"path": "parquet", "data_files": str(path), "cache_dir": str(tmp_path / "cache")}
    monkeypatch.setitem(HUB, "parquet", HubCorpus(where, "none"))
    assert whole(hub_corpus("parquet")) == ["One", "Zwei"]


def test_nothing_is_told_to_the_hub(local: str, monkeypatch: pytest.MonkeyPatch) -> None:
    import datasets
    import huggingface_hub.constants

    monkeypatch.setattr(datasets.config, "HF_UPDATE_DOWNLOAD_COUNTS", True)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_DISABLE_TELEMETRY", False)
    hub_corpus(local)
    assert not datasets.config.HF_UPDATE_DOWNLOAD_COUNTS
    assert huggingface_hub.constants.HF_HUB_DISABLE_TELEMETRY


def test_without_the_library_it_is_said_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "datasets", None)
    with pytest.raises(ValueError, match="python -m pip install datasets"):
        hub_corpus("tinystories")
    with pytest.raises(
        ValueError, match="no hub corpus called 'news'; choose one of tinystories, slimpajama, fineweb-edu"
    ):
        hub_corpus("news")


def test_each_hub_corpus_has_a_licence() -> None:
    assert all(corpus.licence and corpus.where["path"].count("/") == 1 for corpus in hub.HUB.values())


@pytest.mark.slow
def test_a_program_that_stops_in_the_middle_of_a_stream_ends(local: str) -> None:
    where = HUB[local].where
    lines = [
        "from litellama.data.hub_corpora import HUB, HubCorpus, hub_corpus",
        f"HUB['local'] = HubCorpus({where!r}, 'none')",
        "stream = iter(hub_corpus('local'))",
        "print(next(stream).text)",
    ]
    done = subprocess.run([sys.executable, "-c", "\n".join(lines)], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == "Story 0.\nThe end."
