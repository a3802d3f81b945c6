"""`tokenizer.model` alone is a tokenizer: the ids are SentencePiece's own, and a damaged file is refused in words."""

from __future__ import annotations

import contextlib
import json
import shutil
import struct
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from litellama.checkpoint import CheckpointError, is_whole, open_checkpoint
from litellama.checkpoint.layout import files_read, write_manifest
from litellama.checkpoint.score_merges import from_scores
from litellama.checkpoint.sentencepiece import read_sentencepiece
from litellama.checkpoint.tokenizers import read_tokenizer
from litellama.export.vocabulary import vocabulary
from litellama.tokenizer import Tokenizer
from tests.export.test_gguf_file import Open
from tests.support.folders import llama2_config, llama2_tokenizer, write_folder
from tests.support.gguf_files import write_gguf

MODEL = Path(__file__).parents[1] / "data" / "sentencepiece.model"
IDS: dict[str, list[int]] = json.loads(MODEL.with_suffix(".json").read_text(encoding="utf-8"))


# --- The same ids ----------------------------------------------------------------------------------------------------


def test_every_text_has_sentencepieces_own_ids() -> None:
    model = read_sentencepiece(MODEL)
    tokenizer = Tokenizer(model.tokenizer())
    assert [text for text, ids in IDS.items() if tokenizer.encode(text) != ids] == []
    assert len(IDS) > 200
    assert model.roles == {"unk_token": "<unk>", "bos_token": "<s>", "eos_token": "</s>"}
    assert (model.byte_fallback, model.space_prefix) == (True, True)
    for text in IDS:
        if "\u2581" not in text and "\ufffd" not in text:
            assert tokenizer.decode(tokenizer.encode(text)) == text


def test_the_library_itself_says_so_where_it_is_installed() -> None:
    library = pytest.importorskip("sentencepiece")
    processor = library.SentencePieceProcessor(model_file=str(MODEL))
    assert {text: processor.encode(text) for text in IDS} == IDS


def test_llama_cpp_gives_the_same_ids(tmp_path: Path, llama_cpp: Open) -> None:
    model = read_sentencepiece(MODEL)
    values = {
        "tokenizer.ggml.model": "llama", "tokenizer.ggml.tokens": model.texts, "tokenizer.ggml.scores": model.scores,
        "tokenizer.ggml.token_type": model.kinds, "tokenizer.ggml.bos_token_id": 1, "tokenizer.ggml.eos_token_id": 2,
    }  # fmt: skip
    engine = llama_cpp(write_gguf(tmp_path / "tokenizer.gguf", values))
    assert [text for text, ids in IDS.items() if engine.tokenize(text) != ids] == []


def test_it_can_leave_as_gguf_with_the_same_order_of_scores() -> None:
    tokenizer = Tokenizer(read_sentencepiece(MODEL).tokenizer())
    left = vocabulary(tokenizer, tokenizer.vocab_size)
    again = Tokenizer(from_scores(left.tokens, left.scores, left.kinds, space_prefix=True))
    assert [text for text, ids in IDS.items() if again.encode(text) != ids] == []


# --- A file made by hand ---------------------------------------------------------------------------------------------


def varint(value: int) -> bytes:
    value %= 2**64
    return bytes([*([value & 0x7F | 0x80] if value > 0x7F else []), *([] if value > 0x7F else [value])]) + (
        varint(value >> 7) if value > 0x7F else b""
    )


def field(number: int, value: int | float | str | bytes) -> bytes:
    """A protobuf field: [key = number * 8 + wire type] and its content."""
    if isinstance(value, int):
        return varint(number << 3) + varint(value)
    if isinstance(value, float):
        return varint(number << 3 | 5) + struct.pack("<f", value)
    content = value.encode() if isinstance(value, str) else value
    return varint(number << 3 | 2) + varint(len(content)) + content


PIECES = [("<unk>", 0.0, 2), ("<s>", 0.0, 3), ("</s>", 0.0, 3)] + [
    (piece, -float(place), 1) for place, piece in enumerate(["ab", "\u2581ab", "abab", "\u2581", "a", "b", "c"])
]


def by_hand(
    pieces: list[tuple[str, float, int]] = PIECES, trainer: dict[int, Any] | None = None, **normalizer: Any
) -> bytes:
    message = b"".join(field(1, field(1, text) + field(2, score) + field(3, kind)) for text, score, kind in pieces)
    trained = {3: 2, 43: -1, 35: 0} | (trainer or {})
    normal = {1: "identity", 3: 1, 4: 0, 5: 1} | {int(key.removeprefix("f")): one for key, one in normalizer.items()}
    message += field(2, b"".join(field(number, value) for number, value in trained.items()))
    message += field(3, b"".join(field(number, value) for number, value in normal.items()))
    return message + field(9, b"an entry of a later age")


def test_a_model_made_by_hand_has_the_ids_worked_out_by_hand(tmp_path: Path) -> None:
    path = tmp_path / "tokenizer.model"
    path.write_bytes(by_hand())
    model = read_sentencepiece(path)
    assert list(zip(model.texts, model.scores, model.kinds, strict=True)) == PIECES
    encode = Tokenizer(model.tokenizer()).encode
    assert encode("abab") == [4, 3], "_ab is made before abab: two times ab, then _ and ab"
    assert encode("cabab") == [6, 9, 5]
    assert encode("xyzab") == [6, 0, 3], (
        "three unknown characters are one unknown token, as nothing falls back to bytes"
    )
    assert encode("") == []
    path.write_bytes(by_hand(f3=0))
    assert Tokenizer(read_sentencepiece(path).tokenizer()).encode("abab ab") == [5, 4], "no space in front"


def test_roles_are_where_the_trainer_put_them(tmp_path: Path) -> None:
    path = tmp_path / "tokenizer.model"
    path.write_bytes(by_hand([*PIECES, ("<pad>", 0.0, 3)], {41: 2, 42: 1, 43: len(PIECES)}))
    assert read_sentencepiece(path).roles == {
        "unk_token": "<unk>", "bos_token": "</s>", "eos_token": "<s>", "pad_token": "<pad>",
    }  # fmt: skip
    path.write_bytes(by_hand(trainer={41: -1, 42: 5}))
    assert read_sentencepiece(path).roles == {"unk_token": "<unk>"}, "ordinary text ends nothing"


# --- In a folder -----------------------------------------------------------------------------------------------------


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A model's folder as LLaMA 2's old ones: no tokenizer.json."""
    small = {
        "hidden_size": 16, "intermediate_size": 24, "num_attention_heads": 4, "num_key_value_heads": 2,
        "vocab_size": 700, "num_hidden_layers": 1,
    }  # fmt: skip
    folder = write_folder(tmp_path / "llama", llama2_config(**small), llama2_tokenizer())
    (folder / "tokenizer.json").unlink()
    shutil.copyfile(MODEL, folder / "tokenizer.model")
    return folder


def test_a_folder_opens_with_tokenizer_model_alone(folder: Path) -> None:
    assert is_whole(folder)
    opened = open_checkpoint(folder)
    assert [text for text, ids in IDS.items() if opened.tokenizer.encode(text) != ids] == []
    assert (opened.config.bos_token_id, opened.config.eos_token_ids) == (1, (2,))
    assert opened.config.padding_rows == 700 - opened.tokenizer.vocab_size
    files = read_tokenizer(folder)
    assert (files.bos_id, files.eos_ids, files.add_bos) == (1, (2,), None)
    config = {"add_bos_token": False, "eos_token": {"content": "<0x0A>"}, "bos_token": "<s>"}
    (folder / "tokenizer_config.json").write_text(json.dumps(config), encoding="utf-8")
    (folder / "added_tokens.json").write_text(json.dumps({"<pad>": opened.tokenizer.vocab_size}), encoding="utf-8")
    files = read_tokenizer(folder)
    assert (files.bos_id, files.eos_ids, files.add_bos) == (1, (3 + 0x0A,), False)
    assert files.tokenizer.token_text(opened.tokenizer.vocab_size) == "<pad>"


def test_a_manifest_knows_it_where_it_is_read(folder: Path) -> None:
    assert "tokenizer.model" in files_read(folder)
    write_manifest(folder, sorted(files_read(folder)))
    assert open_checkpoint(folder).verified
    (folder / "tokenizer.model").write_bytes(by_hand())
    with pytest.raises(CheckpointError, match=r"tokenizer\.model in llama is not the file that was saved"):
        open_checkpoint(folder)
    shutil.copyfile(MODEL, folder / "tokenizer.model")
    Tokenizer(read_sentencepiece(MODEL).tokenizer()).save(folder / "tokenizer.json")
    assert "tokenizer.model" not in files_read(folder), "tokenizer.json goes first"


# --- What is refused -------------------------------------------------------------------------------------------------


FAULTS: dict[str, tuple[bytes, str]] = {
    "unigram": (by_hand(trainer={3: 1}), "it is a unigram model, and the lab only reads byte-pair encoding"),
    "characters": (by_hand(trainer={3: 4}), "it is a character model"),
    "words": (by_hand(trainer={3: 3}), "it is a word model"),
    "NFKC": (by_hand(f1="nmt_nfkc", f2=b"a table"), r"changes characters before it splits them \(nmt_nfkc\)"),
    "drops spaces": (by_hand(f4=1), "drops spaces"),
    "spaces unmarked": (by_hand(f5=0), "marks spaces otherwise"),
    "spaces behind": (by_hand(trainer={24: 1}), "marks spaces otherwise"),
    "no pieces": (by_hand([]), "it holds no pieces"),
    "twice the same": (by_hand([*PIECES, PIECES[-1]]), "two of its tokens have the same text 'c'"),
    "no bytes to fall back to": (by_hand(trainer={35: 1}), "no token for 256 of the 256 bytes, first <0x00>"),
    "a score of NaN": (by_hand([*PIECES, ("d", float("nan"), 1)]), "the score of token 10 is nan"),
    "an unknown kind": (by_hand([*PIECES, ("d", 0.0, 9)]), "its piece 'd' is of no known kind"),
    "unused pieces": (by_hand([*PIECES, ("d", 0.0, 5)]), "marked unused"),
    "a piece that is no text": (by_hand() + field(1, field(1, b"\xff\xfe")), "'utf-8' codec can't decode"),
    "a piece that is a number": (by_hand() + field(1, 7), "a number stands where a text should"),
    "a score that is a text": (by_hand() + field(1, field(2, "x")), "a score is not a number"),
    "a kind that is a text": (by_hand() + field(1, field(3, "x")), "a text stands where a number should"),
    "a group": (by_hand() + bytes([1 << 3 | 3]), "it is damaged"),
    "a length beyond the end": (by_hand() + varint(1 << 3 | 2) + varint(2**62), "cut short or damaged"),
    "a number without end": (by_hand() + b"\xff" * 20, "cut short or damaged"),
    "empty": (b"", "it holds no pieces"),
    "Llama 3's": (b"IQ== 0\nIg== 1\nIw== 2\n", r"tiktoken keeps them \(Llama 3's own file\).* put tokenizer\.json"),
    "a pointer": (b"version https://git-lfs.github.com/spec/v1\n", "damaged"),
}  # fmt: skip


@pytest.mark.parametrize(("content", "says"), FAULTS.values(), ids=FAULTS.keys())
def test_what_cannot_be_followed_is_refused_in_one_sentence(folder: Path, content: bytes, says: str) -> None:
    (folder / "tokenizer.model").write_bytes(content)
    with pytest.raises(CheckpointError, match=says) as refusal:
        open_checkpoint(folder)
    assert "\n" not in str(refusal.value)
    assert "tokenizer" in str(refusal.value)


DAMAGE: list[Callable[[bytes, int], bytes]] = [
    lambda all, place: all[:place],
    lambda all, place: all[:place] + bytes([all[place] ^ 0x81]) + all[place + 1 :],
    lambda all, place: all[:place] + all[place + 1 :],
]


def test_damage_raises_nothing_but_a_value_error(tmp_path: Path) -> None:
    whole, path = by_hand(), tmp_path / "tokenizer.model"
    refused = 0
    for place in range(len(whole)):
        for damage in DAMAGE:
            path.write_bytes(damage(whole, place))
            with contextlib.suppress(ValueError):
                Tokenizer(read_sentencepiece(path).tokenizer()).encode("abab")
                continue
            refused += 1
    assert refused > len(whole)


def test_a_file_too_large_to_be_a_tokenizer_is_not_read(tmp_path: Path) -> None:
    path = tmp_path / "tokenizer.model"
    with open(path, "wb") as file:
        file.truncate(65 * 2**20)
    with pytest.raises(ValueError, match=r"tokenizer\.model is 68,157,440 bytes long; at most"):
        read_sentencepiece(path)
    assert replace(read_sentencepiece(MODEL), byte_fallback=False).tokenizer()
