"""SentencePiece's own file, `tokenizer.model`, in which LLaMA 2 keeps its vocabulary.

It is a protobuf message: https://github.com/google/sentencepiece/blob/master/src/sentencepiece_model.proto. Its wire
format (https://protobuf.dev/programming-guides/encoding/) is read here by hand, since we need three of its messages.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import tokenizers

from litellama.checkpoint.layout import SENTENCEPIECE
from litellama.checkpoint.score_merges import CONTROL, NORMAL, UNKNOWN, UNUSED, from_scores
from litellama.tokenizer import LARGEST_FILE

MODEL_TYPES = {1: "unigram", 2: "BPE", 3: "word", 4: "character"}
BPE = 2
TIKTOKEN_LINE = re.compile(rb"[A-Za-z0-9+/]+={0,2} \d+\n")  # how Llama 3's file of the same name begins

Field = tuple[int, int | bytes]
"""A field's number and its content: an integer, 4 or 8 bytes, or as many as the file says."""


@dataclass(frozen=True)
class SentencePieceModel:
    """A tokenizer as the file describes it: pieces by id with scores and kinds, and what begins and ends texts."""

    texts: list[str]
    scores: list[float]
    kinds: list[int]
    byte_fallback: bool
    space_prefix: bool
    roles: dict[str, str]

    def tokenizer(self) -> tokenizers.Tokenizer:
        """The same ids for every text, by merges, but that behind a user-defined piece, of which LLaMA has none, text
        begins with a space as after a special token: so do transformers and llama.cpp. Raises `ValueError`."""
        try:
            return from_scores(
                self.texts, self.scores, self.kinds, space_prefix=self.space_prefix, byte_fallback=self.byte_fallback
            )
        except ValueError as wrong:
            raise ValueError(f"{SENTENCEPIECE} can't be used: {wrong}") from None


def read_sentencepiece(path: Path) -> SentencePieceModel:
    """Raises `ValueError` for a damaged file, and for ways of tokenizing that LLaMA's files don't use."""
    if (size := path.stat().st_size) > LARGEST_FILE:
        raise ValueError(f"{path.name} is {size:,} bytes long; at most {LARGEST_FILE:,} can be right")
    content = path.read_bytes()
    if TIKTOKEN_LINE.match(content):
        raise ValueError(
            f"{path.name} is a list of tokens as tiktoken keeps them (Llama 3's own file), not SentencePiece's; put "
            "tokenizer.json from the model's Hugging Face repository into the folder"
        )
    try:
        return _parse(content)
    except ValueError as wrong:
        raise ValueError(f"{path.name} is not a SentencePiece model that can be used: {wrong}") from None


def _parse(content: bytes) -> SentencePieceModel:
    texts: list[str] = []
    scores: list[float] = []
    kinds: list[int] = []
    trainer: dict[int, int | bytes] = {}
    normalizer: dict[int, int | bytes] = {}
    for number, value in _fields(content):
        if number == 1:
            piece = dict(_fields(_bytes(value)))
            texts.append(_text(piece.get(1, b"")))
            scores.append(_float(piece.get(2, bytes(4))))
            kinds.append(_int(piece.get(3, NORMAL)))
        elif number == 2:
            trainer |= dict(_fields(_bytes(value)))
        elif number == 3:
            normalizer |= dict(_fields(_bytes(value)))
    if not texts:
        raise ValueError("it holds no pieces")
    _require_llamas_ways(trainer, normalizer)
    if strange := next((text for text, kind in zip(texts, kinds, strict=True) if not NORMAL <= kind <= 6), None):
        raise ValueError(f"its piece {strange!r} is of no known kind")
    if UNUSED in kinds:
        raise ValueError("it has pieces that are marked unused, which the lab can't follow")
    ids = {"unk_token": 40, "bos_token": 41, "eos_token": 42, "pad_token": 43}
    usual = {"unk_token": 0, "bos_token": 1, "eos_token": 2, "pad_token": -1}
    roles = {}
    for role, field in ids.items():
        id = _signed(trainer.get(field, usual[role]))
        if 0 <= id < len(texts) and kinds[id] == (UNKNOWN if role == "unk_token" else CONTROL):
            roles[role] = texts[id]
    return SentencePieceModel(
        texts, scores, kinds, _int(trainer.get(35, 0)) == 1, _int(normalizer.get(3, 1)) == 1, roles
    )


def _require_llamas_ways(trainer: dict[int, int | bytes], normalizer: dict[int, int | bytes]) -> None:
    """SentencePiece has many ways of treating text, and this lab only those of LLaMA's files."""
    if (kind := _int(trainer.get(3, 1))) != BPE:
        raise ValueError(f"it is a {MODEL_TYPES.get(kind, 'strange')} model, and the lab only reads byte-pair encoding")
    name = _text(normalizer.get(1, b""))
    if name not in ("", "identity") or normalizer.get(2):
        raise ValueError(
            f"it changes characters before it splits them ({name or 'by a table'}), which the lab does not"
        )
    if _int(normalizer.get(4, 1)):
        raise ValueError("it drops spaces (remove_extra_whitespaces), which the lab does not")
    if not _int(normalizer.get(5, 1)) or _int(trainer.get(24, 0)):
        raise ValueError("it marks spaces otherwise than LLaMA's tokenizers do, which the lab can't follow")


# --- Protobuf --------------------------------------------------------------------------------------------------------


def _fields(message: bytes) -> Iterator[Field]:
    """The fields of a message in their order. Raises `ValueError` where its bytes are none."""
    place = 0
    while place < len(message):
        key, place = _varint(message, place)
        number, wire_type = key >> 3, key & 7
        value: int | bytes
        if wire_type == 0:
            value, place = _varint(message, place)
        elif wire_type in (1, 2, 5):
            length, place = _varint(message, place) if wire_type == 2 else (8 if wire_type == 1 else 4, place)
            value, place = message[place : place + length], place + length
            if place > len(message):
                raise ValueError("it is cut short or damaged")
        else:
            raise ValueError("it is damaged")
        yield number, value


def _varint(message: bytes, place: int) -> tuple[int, int]:
    """An integer of 7 bits a byte, the lowest first: b"\\xac\\x02" -> 300; and where it ends."""
    value = 0
    for number, byte in enumerate(message[place : place + 10]):
        value |= (byte & 0x7F) << 7 * number
        if byte < 0x80:
            return value, place + number + 1
    raise ValueError("it is cut short or damaged")


def _bytes(value: int | bytes) -> bytes:
    if not isinstance(value, bytes):
        raise ValueError("it is damaged: a number stands where a text should")
    return value


def _text(value: int | bytes) -> str:
    return _bytes(value).decode("utf-8")  # UnicodeDecodeError is a ValueError that says what is wrong


def _int(value: int | bytes) -> int:
    if not isinstance(value, int):
        raise ValueError("it is damaged: a text stands where a number should")
    return value


def _signed(value: int | bytes) -> int:
    """Negative numbers are written as if they had 64 bits."""
    number = _int(value)
    return number - 2**64 if number >= 2**63 else number


def _float(value: int | bytes) -> float:
    if not isinstance(value, bytes) or len(value) != 4:
        raise ValueError("it is damaged: a score is not a number")
    return float(struct.unpack("<f", value)[0])
