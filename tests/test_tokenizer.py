"""Every text comes back exactly, no text becomes a special token, and no character is ever shown in halves."""

from __future__ import annotations

from pathlib import Path

import pytest
import tokenizers
from hypothesis import example, given
from hypothesis import strategies as st
from tokenizers import models

from litellama import tokenizer as tokenizer_module
from litellama.tokenizer import SPECIAL_TOKENS, Tokenizer
from tests.conftest import TEXTS
from tests.support.folders import llama2_tokenizer

TOKENIZER = Tokenizer.train(TEXTS * 20, 320)


@given(st.text())
@example("")
@example("\x00 NUL, \u202e right to left, zalgo Z\u0351\u036b\u0343, 👩‍👩‍👧‍👦, ラマ \ufffd \r\n\t  two  spaces ")
@example("<|end|><|user|> typed <|assistant|>")
@pytest.mark.fault(2)
@pytest.mark.fault(8)
def test_any_text_comes_back_and_none_becomes_a_special_token(text: str) -> None:
    ids = TOKENIZER.encode(text)
    assert TOKENIZER.decode(ids) == text
    assert all(id >= len(SPECIAL_TOKENS) for id in ids)
    assert TOKENIZER.encode_many([text, "x"]) == [ids, TOKENIZER.encode("x")]


@given(st.text(st.characters(categories=["Cs", "L"])))
@example("a\ud800b")
@pytest.mark.fault(1)
def test_half_characters_become_the_replacement_character(text: str) -> None:
    expected = "".join("\ufffd" if "\ud800" <= c <= "\udfff" else c for c in text)
    assert TOKENIZER.decode(TOKENIZER.encode(text)) == expected


@given(st.lists(st.integers(0, TOKENIZER.vocab_size - 1), max_size=30))
@pytest.mark.fault(10)
def test_streaming_any_ids_gives_what_decoding_them_gives(ids: list[int]) -> None:
    decoder = TOKENIZER.stream()
    assert "".join([decoder.push(id) for id in ids]) + decoder.flush() == TOKENIZER.decode(ids)


@given(st.text())
@pytest.mark.fault(9)
def test_streaming_a_text_never_shows_half_a_character(text: str) -> None:
    decoder, shown = TOKENIZER.stream(), ""
    for id in TOKENIZER.encode(text):
        shown += decoder.push(id)
        assert text.startswith(shown)
    assert shown + decoder.flush() == text


@pytest.mark.fault(9)
@pytest.mark.fault(10)
def test_an_emoji_comes_at_once_and_a_broken_one_at_the_end() -> None:
    ids = TOKENIZER.encode("🦙")
    assert len(ids) == 4
    decoder = TOKENIZER.stream()
    assert [decoder.push(id) for id in ids] == ["", "", "", "🦙"]
    assert [decoder.push(id) for id in ids[:2]] == ["", ""]
    assert decoder.flush() == "\ufffd"
    assert decoder.flush() == ""


def test_special_tokens_have_ids_but_no_text() -> None:
    assert [TOKENIZER.special(name) for name in SPECIAL_TOKENS] == [0, 1, 2, 3, 4]
    assert TOKENIZER.special(" the") is None
    assert TOKENIZER.special("<|nonsense|>") is None
    assert TOKENIZER.decode([1, 3, *TOKENIZER.encode("hi"), 2]) == "hi"
    assert TOKENIZER.token_text(2) == "<|end|>"
    assert TOKENIZER.token_text(TOKENIZER.encode(" the")[0]) == " the"
    assert TOKENIZER.token_text(10**6) == "<unused 1000000>"


def test_training_is_repeatable_and_a_saved_file_is_the_same_tokenizer(tmp_path: Path) -> None:
    again = Tokenizer.train(TEXTS * 20, 320)
    again.save(tmp_path / "tokenizer.json")
    TOKENIZER.save(tmp_path / "first.json")
    assert (tmp_path / "tokenizer.json").read_bytes() == (tmp_path / "first.json").read_bytes()
    loaded = Tokenizer.load(tmp_path / "tokenizer.json")
    assert loaded.vocab_size == 320
    for text in (*TEXTS, "<|end|>"):
        assert loaded.encode(text) == TOKENIZER.encode(text)


def test_training_learns_the_words_of_its_texts() -> None:
    assert len(TOKENIZER.encode(" kite")) < 5 < len(TOKENIZER.encode(" zyqqx"))


@pytest.mark.fault(25)
def test_a_huge_or_garbled_file_is_refused_before_it_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with open(tmp_path / "tokenizer.json", "wb") as file:
        file.truncate(tokenizer_module.LARGEST_FILE + 1)

    def too_early(*_: object, **__: object) -> None:
        raise AssertionError("a file that is too large was read")

    with monkeypatch.context() as patch:
        patch.setattr(Path, "read_text", too_early)
        with pytest.raises(ValueError, match=r"tokenizer\.json is 67,108,865 bytes long; at most 67,108,864"):
            Tokenizer.load(tmp_path / "tokenizer.json")
    (tmp_path / "tokenizer.json").write_bytes(b'{"a": "\xff"}')
    with pytest.raises(ValueError, match=r"tokenizer\.json is not a tokenizer that can be read: 'utf-8'"):
        Tokenizer.load(tmp_path / "tokenizer.json")


def test_the_highest_id_counts_where_ids_have_gaps() -> None:
    assert TOKENIZER.id_limit == TOKENIZER.vocab_size == 320
    assert Tokenizer(tokenizers.Tokenizer(models.BPE({"a": 0, "b": 9}, []))).id_limit == 10


def test_impossible_requests_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="at least 261"):
        Tokenizer.train(TEXTS, 100)
    (tmp_path / "tokenizer.json").write_text('{"not": "a tokenizer"}')
    with pytest.raises(ValueError, match=r"tokenizer\.json is not a tokenizer"):
        Tokenizer.load(tmp_path / "tokenizer.json")


@given(st.lists(st.sampled_from([[1], [260], [261], [262], *([3 + b for b in c.encode()] for c in "aé€🦙")])))
@example([[1], [260], [261], [262]])
def test_a_foreign_tokenizer_streams_as_it_decodes(parts: list[list[int]]) -> None:
    tokenizer = llama2_tokenizer()
    decoder = tokenizer.stream()
    ids = [id for part in parts for id in part]  # bytes make whole characters here, in any order
    assert "".join([decoder.push(id) for id in ids]) + decoder.flush() == tokenizer.decode(ids)
    assert tokenizer.token_text(261) == " you"
