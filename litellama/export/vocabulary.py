"""A tokenizer as llama.cpp knows it: byte-level BPE ("gpt2") by its merges, SentencePiece's ("llama") by scores.

llama.cpp has no general reader of `tokenizer.json`; it has a name for each way of splitting text that it knows. So a
tokenizer is written only where one of these names means exactly the same, and refused otherwise.
"""

from __future__ import annotations

import functools
import json
from collections import defaultdict
from dataclasses import dataclass
from typing import Any

import tokenizers
from tokenizers import models

from litellama.checkpoint.gguf.tokenizer_splits import SPLITS
from litellama.checkpoint.score_merges import BYTE, CONTROL, NORMAL, SPACE, UNKNOWN, UNUSED, USER_DEFINED, byte_token
from litellama.tokenizer import Tokenizer

SENTENCEPIECE = {
    "type": "Sequence",
    "normalizers": [
        {"type": "Prepend", "prepend": SPACE},
        {"type": "Replace", "pattern": {"String": " "}, "content": SPACE},
    ],
}


@dataclass(frozen=True)
class Vocabulary:
    """Token texts by id with their kinds; `merges` in their order, or `scores`, of which the highest merges first."""

    model: str
    split: str
    tokens: list[str]
    kinds: list[int]
    merges: list[str]
    scores: list[float]
    unknown: int | None


def vocabulary(tokenizer: Tokenizer, rows: int) -> Vocabulary:
    """The tokens of `tokenizer` and, behind them, unused ones up to the model's `rows`.

    Raises `ValueError` for a tokenizer that llama.cpp would not follow to the same ids.
    """
    definition = tokenizer.definition
    model = definition["model"]
    if model["type"] != "BPE":
        raise ValueError(f"this tokenizer is of type {model['type']}; only byte-pair encoding can be written as GGUF")
    if (prefix := model.get("continuing_subword_prefix")) or (prefix := model.get("end_of_word_suffix")):
        raise ValueError(f"this tokenizer marks words with {prefix!r}, which llama.cpp does not")
    merges = [tuple(merge.split(" ")) if isinstance(merge, str) else tuple(merge) for merge in model["merges"]]
    tokens, kinds = _tokens_and_kinds(definition, rows)
    if model.get("byte_fallback"):
        _require_sentencepiece(definition)
        special = {token["content"] for token in definition["added_tokens"] if token["special"]}
        scores = _scores(tokens, merges, model["vocab"], special)
        return Vocabulary("llama", "default", tokens, kinds, [], scores, model["vocab"].get(model.get("unk_token")))
    split = _split(definition)
    return Vocabulary("gpt2", split, tokens, kinds, [" ".join(merge) for merge in merges], [], None)


def _tokens_and_kinds(definition: dict[str, Any], rows: int) -> tuple[list[str], list[int]]:
    model = definition["model"]
    texts = {id: text for text, id in model["vocab"].items()}
    added = {token["id"]: token for token in definition["added_tokens"]}
    texts |= {id: token["content"] for id, token in added.items()}
    kinds = dict.fromkeys(texts, NORMAL)
    kinds |= {id: CONTROL if token["special"] else USER_DEFINED for id, token in added.items()}
    if model.get("byte_fallback"):
        kinds |= {id: BYTE for byte in range(256) if (id := model["vocab"].get(byte_token(byte))) is not None}
    if (unknown := model["vocab"].get(model.get("unk_token"))) is not None:
        kinds[unknown] = UNKNOWN
    tokens = [texts.get(id, f"[PAD{id}]") for id in range(rows)]
    if len(set(tokens)) < rows:
        raise ValueError("this tokenizer has two tokens of the same text, which llama.cpp cannot tell apart")
    return tokens, [kinds.get(id, UNUSED) for id in range(rows)]


def _split(definition: dict[str, Any]) -> str:
    """llama.cpp's name for a byte-level tokenizer's way of splitting text."""
    found = _steps(definition["pre_tokenizer"])
    ignore_merges = bool(definition["model"].get("ignore_merges"))
    for name, rule in SPLITS.items():
        if rule.ignore_merges == ignore_merges and not definition["normalizer"] and found == _known_steps(name):
            return name
    raise ValueError(
        "this tokenizer splits text in a way that this export has no llama.cpp name for; GPT-2's, Llama 3's, SmolLM2's "
        "and LLaMA 2's are among those known"
    )


@functools.cache
def _known_steps(name: str) -> list[dict[str, Any]]:
    inner = tokenizers.Tokenizer(models.BPE())
    inner.pre_tokenizer = SPLITS[name].pre_tokenizer()
    return _steps(json.loads(inner.to_str())["pre_tokenizer"])


def _steps(before: dict[str, Any] | None) -> list[dict[str, Any]]:
    """A pre-tokenizer's steps, without what changes no id."""
    before = before or {}
    steps = before.get("pretokenizers", []) if before.get("type") == "Sequence" else [before]
    return [{key: value for key, value in step.items() if key != "trim_offsets"} for step in steps]


def _require_sentencepiece(definition: dict[str, Any]) -> None:
    if definition["normalizer"] != SENTENCEPIECE or definition["pre_tokenizer"]:
        raise ValueError(
            "this tokenizer falls back to bytes but puts spaces otherwise than LLaMA 2's original one, which llama.cpp "
            "would not follow to the same ids"
        )


def _scores(tokens: list[str], merges: list[tuple[str, ...]], vocab: dict[str, int], special: set[str]) -> list[float]:
    """A score for each token such that merging the best-scored neighbours first is merging in the order of `merges`.

    SentencePiece joins any two neighbours that make a token, by the token's score; a list of merges names the pairs. So
    the list must hold each pair that makes a token, and those of one token together, as lists made from scores do.
    """
    places: dict[str, list[int]] = defaultdict(list)
    for place, (left, right) in enumerate(merges):
        places[left + right].append(place)
    for token in vocab.keys() - special:
        pairs = sum(token[:cut] in vocab and token[cut:] in vocab for cut in range(1, len(token)))
        found = places.get(token, [])
        if len(found) != pairs or (found and found[-1] - found[0] != pairs - 1):
            raise ValueError(
                f"this tokenizer falls back to bytes, and the merges that make {token!r} are not SentencePiece's: "
                "llama.cpp would not follow them to the same ids"
            )
    return [-float(places[token][0] if token in places else len(merges)) for token in tokens]
