"""Text to ids and back: byte-level byte-pair encoding (BPE).

Text becomes UTF-8 bytes, and frequent neighbours were merged into longer tokens when the tokenizer was trained:
"the cat" -> "the", " cat". All 256 bytes are tokens themselves, so there is no text that cannot be written, and every
text comes back exactly. GPT-2, Radford et al. 2019, section 2.2.
"""

from __future__ import annotations

import hashlib
import json
import re
import secrets
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import tokenizers
from tokenizers import decoders, models, pre_tokenizers, trainers

SPECIAL_TOKENS = ("<|pad|>", "<|begin|>", "<|end|>", "<|user|>", "<|assistant|>")
"""Ids 0 to 4 of the lab's own tokenizers. They frame texts and conversations and have no text of their own."""

CHAT_TOKENS = ("<|user|>", "<|assistant|>")
"""Those that only a model of conversations has."""

LARGEST_FILE = 64 * 2**20  # bytes of a tokenizer's file; Llama 3's has 17 million, and reading takes ten times as much

REPLACEMENT = "\ufffd"  # what Unicode shows where bytes make no character

_SURROGATE = re.compile("[\ud800-\udfff]")


def replace_surrogates(text: str) -> str:
    """`text` with every surrogate, half a character that no UTF-8 can hold, replaced by U+FFFD."""
    return _SURROGATE.sub(REPLACEMENT, text)


def read_limited(path: Path) -> str:
    """A text file of a tokenizer. Raises `ValueError` if it is too large to be one, or no text."""
    if (size := path.stat().st_size) > LARGEST_FILE:  # guard: tokenizer-size
        raise ValueError(f"{path.name} is {size:,} bytes long; at most {LARGEST_FILE:,} can be right")
    try:
        return path.read_text(encoding="utf-8")
    except UnicodeDecodeError as wrong:
        raise ValueError(f"{path.name} is not a tokenizer that can be read: {wrong}") from None


class Tokenizer:
    """Turns text into ids and ids into text. Special tokens are never made from text, only from their ids."""

    def __init__(self, inner: tokenizers.Tokenizer) -> None:
        # Otherwise a user who types "<|end|>" would end their own turn.
        inner.encode_special_tokens = True  # guard: typed-markers
        # A foreign file may ask for cutting or padding; we want the whole text and nothing else.
        inner.no_truncation()
        inner.no_padding()
        self._inner = inner
        self._special_ids = {id: t.content for id, t in inner.get_added_tokens_decoder().items() if t.special}
        self._with_aliases: tuple[tokenizers.Tokenizer, dict[int, str]] | None = None  # made when first needed
        self._aliased: dict[int, int] = {}

    @classmethod
    def load(cls, path: str | Path) -> Tokenizer:
        """Read a `tokenizer.json`, ours or another model's. Raises `ValueError` if it is not one."""
        return cls(cls.read(path))

    @staticmethod
    def read(path: str | Path) -> tokenizers.Tokenizer:
        """The same, for those who still have something to add to what the file says."""
        try:
            return tokenizers.Tokenizer.from_str(read_limited(Path(path)))
        except ValueError:
            raise
        except Exception as wrong:  # the library raises bare Exception
            raise ValueError(f"{Path(path).name} is not a tokenizer that can be read: {wrong}") from None

    @classmethod
    def train(cls, texts: Iterable[str], vocab_size: int, special_tokens: Sequence[str] = SPECIAL_TOKENS) -> Tokenizer:
        """Learn merges from `texts` until there are `vocab_size` tokens (fewer if the texts give out first)."""
        least = len(special_tokens) + 256
        if vocab_size < least:
            raise ValueError(f"vocab_size is {vocab_size}; at least {least} are needed, one per byte and special token")
        inner = tokenizers.Tokenizer(models.BPE())
        inner.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
        inner.decoder = decoders.ByteLevel()
        trainer = trainers.BpeTrainer(
            vocab_size=vocab_size,
            special_tokens=list(special_tokens),
            initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),  # guard: every-byte
            show_progress=False,
        )
        inner.train_from_iterator((replace_surrogates(text) for text in texts), trainer)
        return cls(inner)

    def save(self, path: str | Path) -> None:
        """Write a `tokenizer.json` that the `tokenizers` library and `transformers` read."""
        Path(path).write_text(self._inner.to_str(pretty=True), encoding="utf-8", newline="\n")

    def with_chat_tokens(self) -> Tokenizer:
        """This tokenizer with, behind its other ids, those of the special tokens it lacks to frame conversations."""
        inner = tokenizers.Tokenizer.from_str(self._inner.to_str())
        missing = [name for name in SPECIAL_TOKENS if self.special(name) is None]
        inner.add_special_tokens([tokenizers.AddedToken(name, special=True) for name in missing])
        return Tokenizer(inner)

    @property
    def definition(self) -> dict[str, Any]:
        """What `save` writes, as a dictionary: the vocabulary, the merges, and how text is split before them."""
        return dict(json.loads(self._inner.to_str()))

    @property
    def sha256(self) -> str:
        """SHA-256 of what `save` writes: two tokenizers that have the same one give every text the same ids."""
        return hashlib.sha256(self._inner.to_str(pretty=True).encode("utf-8")).hexdigest()

    @property
    def vocab_size(self) -> int:
        """Number of tokens, special ones included."""
        return self._inner.get_vocab_size()

    @property
    def id_limit(self) -> int:
        """One more than the highest id. Ids may have gaps, and then it is more than `vocab_size`."""
        return max(self._inner.get_vocab().values(), default=-1) + 1

    def encode(self, text: str) -> list[int]:
        """Ids of plain text: nothing is added at either end, and a typed "<|end|>" is seven ordinary characters."""
        return self._inner.encode(replace_surrogates(text), add_special_tokens=False).ids

    def encode_many(self, texts: Iterable[str]) -> list[list[int]]:
        """`encode` for many texts at once, on all cores."""
        cleaned = [replace_surrogates(text) for text in texts]
        return [encoding.ids for encoding in self._inner.encode_batch_fast(cleaned, add_special_tokens=False)]

    def split_special(self, text: str) -> tuple[str | int, ...]:
        """A frame's text cut at the special tokens it names: "<s>[INST] " -> (1, "[INST] ")."""
        names = {name: id for id, name in self._special_ids.items()}
        longest_first = sorted(names, key=len, reverse=True)
        parts = re.split("(" + "|".join(map(re.escape, longest_first)) + ")", text) if names else [text]
        return tuple(names.get(part, part) for part in parts if part)

    def encode_framed(self, pieces: Sequence[str | int]) -> list[int]:
        """Ids of texts with special tokens, given as ids, among them, as any engine reads the whole.

        (1, "[INST] ", "Hi </s>", " [/INST]") becomes what "<s>[INST] Hi </s> [/INST]" is to the `tokenizers` library,
        only that the typed "</s>" stays text. Neighbouring texts are one text.
        """
        if all(isinstance(piece, str) for piece in pieces):
            return self.encode("".join(map(str, pieces)))
        framed, aliases = self._framed()
        text = "".join(aliases[piece] if isinstance(piece, int) else replace_surrogates(piece) for piece in pieces)
        return [self._aliased.get(id, id) for id in framed.encode(text, add_special_tokens=False).ids]

    def _framed(self) -> tuple[tokenizers.Tokenizer, dict[int, str]]:
        """The tokenizer with an alias for each special token, which nobody can guess and type.

        An alias counts as an ordinary added token, so that it is found where special tokens are not; what lies between
        aliases is read exactly as between special tokens.
        """
        if self._with_aliases is None:
            inner = tokenizers.Tokenizer.from_str(self._inner.to_str())
            inner.encode_special_tokens = True
            tokens, secret = self._inner.get_added_tokens_decoder(), secrets.token_hex(16)
            aliases = {id: f"<{secret} {id}>" for id in self._special_ids}
            for id, alias in aliases.items():
                sides = {"lstrip": tokens[id].lstrip, "rstrip": tokens[id].rstrip}
                inner.add_tokens([tokenizers.AddedToken(alias, normalized=False, special=False, **sides)])
                alias_id = inner.token_to_id(alias)
                assert alias_id is not None
                self._aliased[alias_id] = id
            self._with_aliases = inner, aliases
        return self._with_aliases

    def decode(self, ids: Sequence[int]) -> str:
        """Text of `ids`. Special tokens have none; bytes that make no character become U+FFFD."""
        return self._inner.decode(list(ids), skip_special_tokens=True)

    def token_text(self, id: int) -> str:
        """One token as a reader should see it: its text with the leading space, or a special token's name."""
        if id in self._special_ids:
            return self._special_ids[id]
        piece = self._inner.id_to_token(id)
        if piece is None:
            return f"<unused {id}>"  # models often have more rows than their tokenizer has tokens
        if piece.startswith("\u2581"):  # SentencePiece's sign for a space, which decoding alone would strip
            return piece.replace("\u2581", " ")
        return self._inner.decode([id])

    def special(self, name: str) -> int | None:
        """Id of the special token called `name`, such as "<|end|>"; None if this tokenizer has no such token."""
        id = self._inner.token_to_id(name)
        return id if id in self._special_ids else None

    def is_special(self, id: int) -> bool:
        """Whether `id` is a special token: one that text never becomes and that shows no text."""
        return id in self._special_ids

    def stream(self) -> StreamDecoder:
        """A decoder to which ids are given one by one, as a model makes them."""
        return StreamDecoder(self)


class StreamDecoder:
    """Decodes ids one at a time and holds text back while a character is incomplete.

    The pieces joined, with `flush` at the end, are exactly `decode` of all ids. An emoji's four bytes may come as
    three tokens: `push` gives "", "", and then the emoji.
    """

    def __init__(self, tokenizer: Tokenizer) -> None:
        self._tokenizer = tokenizer
        self._before: list[int] = []  # the last finished ids: some tokenizers treat a text's first token otherwise
        self._open: list[int] = []  # ids since then
        self._given = 0  # characters of the open ids' text that were handed out already

    def push(self, id: int) -> str:
        """The text that is certain now that `id` has come; "" while a character is incomplete."""
        if self._tokenizer.is_special(id):
            return ""
        self._open.append(id)
        text = self._open_text()
        certain = text.rstrip(REPLACEMENT)  # an unfinished character decodes to U+FFFD; guard: held-back
        piece = certain[self._given :]
        self._given = max(self._given, len(certain))
        if text and certain == text:
            self._before, self._open, self._given = self._open, [], 0
        return piece

    def flush(self) -> str:
        """What is still held back, at the end of the ids: bytes that never became a character, as U+FFFD."""
        piece = self._open_text()[self._given :]  # guard: last-bytes
        self._before, self._open, self._given = [], [], 0
        return piece

    def _open_text(self) -> str:
        before = self._tokenizer.decode(self._before)
        return self._tokenizer.decode(self._before + self._open)[len(before) :]
