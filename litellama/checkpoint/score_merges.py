"""SentencePiece's byte-pair encoding, in which a token's score says when it is made, as a tokenizer with merges.

SentencePiece joins, among all neighbours that make a token, the pair whose token has the best score. A list of merges
names pairs in their order: so every pair that makes a token gets a place, by the token's score. Where two pairs of the
same token overlap, the list decides by the pair and SentencePiece by which stands first; no real text is known for it.
Kudo and Richardson 2018, https://arxiv.org/abs/1808.06226.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import tokenizers
from tokenizers import AddedToken, decoders, models, normalizers

NORMAL, UNKNOWN, CONTROL, USER_DEFINED, UNUSED, BYTE = 1, 2, 3, 4, 5, 6
"""The kinds of tokens, numbered alike by SentencePiece and llama.cpp. Plain text never becomes a control token."""

SPACE = "\u2581"  # SentencePiece's sign for a space

MADE_BY_MERGES = (NORMAL, UNUSED)


def byte_token(byte: int) -> str:
    """0x0A -> "<0x0A>" """
    return f"<0x{byte:02X}>"


def from_scores(
    texts: Sequence[str],
    scores: Sequence[float],
    kinds: Sequence[int],
    *,
    space_prefix: bool,
    byte_fallback: bool = True,
) -> tokenizers.Tokenizer:
    """A tokenizer of tokens with these texts, scores and kinds, their ids being their places.

    `space_prefix`: a space is put before every text, which decoding takes away again. `byte_fallback`: a character that
    no token has becomes its bytes, and otherwise the unknown token. Raises `ValueError` for scores that are no numbers,
    bytes that are missing, and texts that occur twice.
    """
    if (wrong := next((id for id, score in enumerate(scores) if not math.isfinite(score)), None)) is not None:
        raise ValueError(f"the score of token {wrong} is {scores[wrong]}, not a number that can be compared")
    ids = {text: id for id, text in enumerate(texts)}
    if len(ids) < len(texts):
        twice = next(text for id, text in enumerate(texts) if ids[text] != id)
        raise ValueError(f"two of its tokens have the same text {twice!r}")
    if byte_fallback and (missing := [byte for byte in range(256) if byte_token(byte) not in ids]):
        raise ValueError(f"it has no token for {len(missing)} of the 256 bytes, first {byte_token(missing[0])}")
    unknown = next((text for text, kind in zip(texts, kinds, strict=True) if kind == UNKNOWN), None)
    inner = tokenizers.Tokenizer(
        models.BPE(
            ids, _merges(texts, scores, kinds, ids), unk_token=unknown, fuse_unk=True, byte_fallback=byte_fallback
        )
    )
    # Spaces are put before every stretch of text between special tokens, as in LLaMA 2's own tokenizer.json.
    spaces: list[normalizers.Normalizer] = [normalizers.Prepend(SPACE)] if space_prefix else []
    inner.normalizer = normalizers.Sequence([*spaces, normalizers.Replace(" ", SPACE)])
    steps = [decoders.Replace(SPACE, " "), decoders.ByteFallback(), decoders.Fuse()]
    inner.decoder = decoders.Sequence([*steps, *([decoders.Strip(" ", 1, 0)] if space_prefix else [])])
    add_tokens(inner, texts, kinds)
    return inner


def add_tokens(inner: tokenizers.Tokenizer, texts: Sequence[str], kinds: Sequence[int]) -> None:
    """Tell a tokenizer which of its tokens are special (text never becomes them), and which are taken out of a text
    before anything else."""
    special = [text for text, kind in zip(texts, kinds, strict=True) if kind in (UNKNOWN, CONTROL)]
    whole = [text for text, kind in zip(texts, kinds, strict=True) if kind == USER_DEFINED]
    inner.add_special_tokens([AddedToken(text, normalized=False, special=True) for text in special])
    inner.add_tokens([AddedToken(text, normalized=False, special=False) for text in whole])


def _merges(
    texts: Sequence[str], scores: Sequence[float], kinds: Sequence[int], ids: dict[str, int]
) -> list[tuple[str, str]]:
    """All pairs of tokens that make a token: best score first, then by the ids of the two, as transformers orders them.

    ["a", "b", "ab"] with scores [-1, -2, -3] -> [("a", "b")]
    """
    pieces = {text: id for text, id in ids.items() if kinds[id] in MADE_BY_MERGES}
    found: list[tuple[float, int, int, int]] = []
    for text, id in pieces.items():
        for cut in range(1, len(text)):
            left = pieces.get(text[:cut])
            if left is not None and (right := pieces.get(text[cut:])) is not None:
                found.append((-scores[id], id, left, right))
    return [(texts[left], texts[right]) for _, _, left, right in sorted(found)]
