"""The tokenizer that a GGUF file describes in its metadata, giving every text the ids that llama.cpp gives it.

Two of llama.cpp's kinds are known: "gpt2", byte-level byte-pair encoding by merges, and "llama", SentencePiece's by
scores. https://github.com/ggml-org/ggml/blob/master/docs/gguf.md and llama.cpp's src/llama-vocab.cpp
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import tokenizers
from tokenizers import decoders, models

from litellama.checkpoint.gguf.tokenizer_splits import SPLITS
from litellama.checkpoint.score_merges import (
    BYTE,
    CONTROL,
    NORMAL,
    UNKNOWN,
    UNUSED,
    USER_DEFINED,
    add_tokens,
    from_scores,
)
from litellama.checkpoint.tokenizers import TokenizerFiles, frames_turns
from litellama.tokenizer import Tokenizer

MOST_TOKENS, MOST_MERGES, MOST_CHARACTERS = 1_000_000, 4_000_000, 32_000_000
"""More than any model has; a forged file must not fill the memory."""

ROLES = {"bos": "bos_token", "eos": "eos_token", "unknown": "unk_token", "padding": "pad_token"}

ENDS = (
    "<|eot_id|>", "<|im_end|>", "<|end|>", "<end_of_turn>", "<|endoftext|>", "</s>", "<|eom_id|>", "<EOT>",
    "<|end_of_text|>", "<\uff5cend\u2581of\u2581sentence\uff5c>",
)  # fmt: skip
"""Tokens that end a reply whatever the file says, as in llama.cpp."""

_ARRAYS = {"tokens": str, "token_type": int, "scores": float, "merges": str}
_NAMES = {str: "text", int: "a whole number", float: "a number", bool: "true or false"}


def read_tokenizer(values: Mapping[str, Any]) -> TokenizerFiles:
    """The tokenizer of a GGUF file whose metadata is `values`, arrays as lists.

    Raises `ValueError` for kinds of tokenizers and ways of splitting text that aren't known here, and for damaged ones.
    """
    model = _one(values, "tokenizer.ggml.model", str)
    if model not in ("gpt2", "llama"):
        found = "no tokenizer" if model is None else f"a tokenizer of the kind {model!r}"
        raise ValueError(f"this file has {found}; the lab knows 'gpt2' (byte-level) and 'llama' (SentencePiece)")
    texts = _texts(values)
    kinds = _array(values, "token_type", len(texts)) or [NORMAL] * len(texts)
    if strange := set(kinds) - {NORMAL, UNKNOWN, CONTROL, USER_DEFINED, UNUSED, BYTE}:
        raise ValueError(f"token_type of this file's tokenizer names the kind {min(strange)}; 1 to 6 are known")
    template = _one(values, "tokenizer.chat_template", str) or None
    kinds = [
        CONTROL if kind == USER_DEFINED and frames_turns(text, template) else kind
        for text, kind in zip(texts, kinds, strict=True)
    ]
    named = {part: _id(values, part, len(texts)) for part in ("bos", "eos", "eot", "eom", "unknown", "padding")}
    if model == "gpt2":
        inner, kinds, add_bos = _byte_level(values, texts, kinds, named)
    else:
        inner, kinds, add_bos = _sentencepiece(values, texts, kinds)
    ends = [named["eos"], named["eot"], named["eom"], *(inner.token_to_id(end) for end in ENDS)]
    return TokenizerFiles(
        tokenizer=Tokenizer(inner),
        roles={role: texts[id] for part, role in ROLES.items() if (id := named[part]) is not None},
        chat_template=template,
        bos_id=named["bos"],
        eos_ids=tuple(dict.fromkeys(id for id in ends if id is not None and kinds[id] == CONTROL)),
        pad_id=named["padding"],
        add_bos=add_bos if (said := _one(values, "tokenizer.ggml.add_bos_token", bool)) is None else said,
    )


def _byte_level(
    values: Mapping[str, Any], texts: list[str], kinds: list[int], named: dict[str, int | None]
) -> tuple[tokenizers.Tokenizer, list[int], bool]:
    """The tokenizer, its tokens' kinds with those that the file leaves unsaid, and whether texts begin with BOS."""
    name = _one(values, "tokenizer.ggml.pre", str)
    rule = SPLITS.get(name or "")
    if rule is None:
        found = "names no way of splitting text" if name is None else f"splits text in a way called {name!r}"
        raise ValueError(
            f"this file's tokenizer {found} (tokenizer.ggml.pre); the lab knows {', '.join(sorted(SPLITS))}"
        )
    ids = {text: id for id, text in enumerate(texts)}
    merges = _pairs(_array(values, "merges"), ids)
    made = {left + right for left, right in merges}
    # Old files mark no token; those that begin or end a text are special unless plain text becomes them.
    unmarked = {texts[id] for id in named.values() if id is not None and kinds[id] == NORMAL and len(texts[id]) > 1}
    kinds = [
        CONTROL if text in unmarked - made or (text in ENDS and text not in made) else kind
        for text, kind in zip(texts, kinds, strict=True)
    ]
    if (used := _used(kinds)) < len(texts):
        ids = {text: id for text, id in ids.items() if id < used}
        merges = [pair for pair in merges if {*pair, "".join(pair)} <= ids.keys()]
    inner = tokenizers.Tokenizer(models.BPE(ids, merges, ignore_merges=rule.ignore_merges))
    inner.pre_tokenizer = rule.pre_tokenizer()
    inner.decoder = decoders.ByteLevel()
    add_tokens(inner, texts[:used], kinds[:used])
    return inner, kinds, rule.add_bos


def _sentencepiece(
    values: Mapping[str, Any], texts: list[str], kinds: list[int]
) -> tuple[tokenizers.Tokenizer, list[int], bool]:
    scores = _array(values, "scores", len(texts))
    if scores is None:
        raise ValueError("this file's tokenizer has no scores, without which SentencePiece's tokens can't be made")
    kinds = [CONTROL if text in ENDS and kind != BYTE else kind for text, kind in zip(texts, kinds, strict=True)]
    prefix = _one(values, "tokenizer.ggml.add_space_prefix", bool)
    used = _used(kinds)
    try:
        inner = from_scores(texts[:used], scores[:used], kinds[:used], space_prefix=prefix is not False)
    except ValueError as wrong:
        raise ValueError(f"this file's tokenizer can't be used: {wrong}") from None
    return inner, kinds, True


def _used(kinds: list[int]) -> int:
    """How many tokens there are without the unused ones at the end, which only fill the model's rows."""
    return next((id + 1 for id in reversed(range(len(kinds))) if kinds[id] != UNUSED), 0)


# --- Metadata --------------------------------------------------------------------------------------------------------


def _texts(values: Mapping[str, Any]) -> list[str]:
    texts: list[str] | None = _array(values, "tokens")
    if not texts:
        raise ValueError("this file has no tokens (tokenizer.ggml.tokens), so it is not a model that can be spoken to")
    if len(texts) > MOST_TOKENS or sum(map(len, texts)) > MOST_CHARACTERS:
        raise ValueError(f"this file has {len(texts):,} tokens; at most {MOST_TOKENS:,} of usual length can be right")
    try:
        "".join(texts).encode("utf-8")
    except UnicodeEncodeError:
        raise ValueError("the tokens of this file are not all text that UTF-8 can hold") from None
    texts = [text or f"[EMPTY_{id}]" for id, text in enumerate(texts)]  # llama.cpp's name for a token without text
    if len(set(texts)) < len(texts):
        last = {text: id for id, text in enumerate(texts)}
        id = next(id for id, text in enumerate(texts) if last[text] != id)
        raise ValueError(f"tokens {id} and {last[texts[id]]} of this file have the same text {texts[id]!r}")
    return texts


def _array(values: Mapping[str, Any], name: str, length: int | None = None) -> Any:
    """A list of the tokenizer's, checked; None where the file has none."""
    found, kind = values.get(f"tokenizer.ggml.{name}"), _ARRAYS[name]
    if found is None:
        return None
    if not isinstance(found, list):
        raise ValueError(f"tokenizer.ggml.{name} of this file is a {type(found).__name__}, not a list")
    if length is not None and len(found) != length:
        raise ValueError(f"this file has {length:,} tokens but {len(found):,} entries of tokenizer.ggml.{name}")
    allowed = (int, float) if kind is float else (kind,)
    if wrong := set(map(type, found)) - set(allowed):
        strange = ", ".join(sorted(one.__name__ for one in wrong))
        raise ValueError(f"tokenizer.ggml.{name} of this file holds {strange}; each entry should be {_NAMES[kind]}")
    return found


def _one(values: Mapping[str, Any], key: str, kind: type) -> Any:
    found = values.get(key)
    if found is not None and type(found) is not kind:
        raise ValueError(f"{key} of this file is a {type(found).__name__}; it should be {_NAMES[kind]}")
    return found


def _id(values: Mapping[str, Any], part: str, count: int) -> int | None:
    key = f"tokenizer.ggml.{part}_token_id"
    id: int | None = _one(values, key, int)
    if id is not None and not 0 <= id < count:
        raise ValueError(f"{key} of this file is {id}, but its tokens are 0 to {count - 1}")
    return id


def _pairs(merges: list[str] | None, ids: dict[str, int]) -> list[tuple[str, str]]:
    """["Ġ t", ...] -> [("Ġ", "t"), ...], each token of which there is."""
    if merges is None:
        raise ValueError("this file's tokenizer has no merges, without which byte-level tokens can't be made")
    if len(merges) > MOST_MERGES:
        raise ValueError(f"this file's tokenizer has {len(merges):,} merges; at most {MOST_MERGES:,} can be right")
    pairs = []
    for place, merge in enumerate(merges):
        cut = merge.find(" ", 1)  # a token may begin with a space
        left, right = merge[:cut], merge[cut + 1 :]
        if cut < 0 or left not in ids or right not in ids or left + right not in ids:
            raise ValueError(f"merge {place} of this file, {merge[:80]!r}, does not name two tokens that make a third")
        pairs.append((left, right))
    return pairs
