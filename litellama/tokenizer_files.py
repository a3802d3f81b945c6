"""A folder's tokenizer, whatever its age: tokenizer.json, or GPT-2's vocab.json and merges.txt, and what stands beside.

Which tokens are special, what a chat looks like, and which token ends a text are told by up to six more files, each of
which may be missing; what they say is added up here.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import tokenizers
from tokenizers import AddedToken, decoders, models, pre_tokenizers

from litellama.folder import (
    ADDED_TOKENS,
    MERGES,
    SPECIAL_TOKENS_MAP,
    TEMPLATE,
    TEMPLATE_JSON,
    TOKENIZER,
    TOKENIZER_CONFIG,
    VOCAB,
    CheckpointError,
    read_json_if_there,
    required,
)
from litellama.tokenizer import Tokenizer, read_limited

SENTENCEPIECE = "tokenizer.model"
ROLES = ("bos_token", "eos_token", "unk_token", "pad_token")
ALWAYS_SPECIAL = "<|endoftext|>"
"""GPT-2's end of text: old folders don't say anywhere that it is special, since GPT-2's own code knew."""


@dataclass(frozen=True)
class TokenizerFiles:
    """What a folder's tokenizer files say. `roles`: such as "eos_token" -> "</s>"; `chat_template` is Jinja."""

    tokenizer: Tokenizer
    roles: dict[str, str]
    chat_template: str | None


def has_tokenizer(folder: Path) -> bool:
    """Whether `read_tokenizer` finds the files it needs."""
    return (folder / TOKENIZER).is_file() or ((folder / VOCAB).is_file() and (folder / MERGES).is_file())


def read_tokenizer(folder: Path) -> TokenizerFiles:
    """Raises `CheckpointError` for a folder without a tokenizer, `ValueError` for one that can't be read."""
    settings = read_json_if_there(folder / TOKENIZER_CONFIG)
    special_map, added = read_json_if_there(folder / SPECIAL_TOKENS_MAP), read_json_if_there(folder / ADDED_TOKENS)
    if (folder / TOKENIZER).is_file():
        inner = Tokenizer.read(folder / TOKENIZER)
    elif (folder / VOCAB).is_file() and (folder / MERGES).is_file():
        inner = _from_merges(folder, add_prefix_space=settings.get("add_prefix_space") is True)
    else:
        raise _missing(folder)
    roles = {
        role: content
        for role in ROLES
        if (content := _content(settings.get(role)) or _content(special_map.get(role))) is not None
    }
    numbered = _numbered(settings, added)
    special = {
        *roles.values(), *_listed(settings), *_listed(special_map), ALWAYS_SPECIAL,
        *(content for content, entry in numbered.values() if isinstance(entry, dict) and entry.get("special") is True),
    }  # fmt: skip
    for id, (content, _) in sorted(numbered.items()):
        if inner.token_to_id(content) is None and id == inner.get_vocab_size():  # another id would not be its own
            inner.add_tokens([AddedToken(content, normalized=False)])
    known = sorted(content for content in special if inner.token_to_id(content) is not None)
    inner.add_special_tokens([AddedToken(content, normalized=False, special=True) for content in known])
    return TokenizerFiles(Tokenizer(inner), roles, _chat_template(folder, settings))


def _from_merges(folder: Path, add_prefix_space: bool) -> tokenizers.Tokenizer:
    """GPT-2's own two files: each token's id, and which neighbours were joined, in order."""
    vocabulary = json.loads(read_limited(folder / VOCAB))
    if not isinstance(vocabulary, dict) or not set(pre_tokenizers.ByteLevel.alphabet()) <= vocabulary.keys():
        raise ValueError(f"{VOCAB} is no byte-level vocabulary like GPT-2's; a {TOKENIZER} is needed")
    read_limited(folder / MERGES)
    try:
        inner = tokenizers.Tokenizer(models.BPE.from_file(str(folder / VOCAB), str(folder / MERGES)))
    except Exception as wrong:  # the library raises bare Exception
        raise ValueError(f"{VOCAB} and {MERGES} are not a tokenizer that can be read: {wrong}") from None
    inner.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=add_prefix_space)
    inner.decoder = decoders.ByteLevel()
    return inner


def _missing(folder: Path) -> CheckpointError:
    if (folder / SENTENCEPIECE).is_file():
        return CheckpointError(
            f"{folder.name} has its tokenizer only as {SENTENCEPIECE}, SentencePiece's own format, which the lab does "
            f"not read; put {TOKENIZER} from the model's repository beside it, or write it by `python -c \"from "
            "transformers import AutoTokenizer as T; T.from_pretrained('.').save_pretrained('.')\"` in that folder, "
            "which needs transformers and sentencepiece"
        )
    try:
        required(folder / TOKENIZER)
    except CheckpointError as missing:
        return missing
    raise AssertionError("the file was missing a moment ago")


def _content(value: object) -> str | None:
    """A token in one of its two spellings: "</s>" or {"content": "</s>", "lstrip": false, ...}."""
    content = value.get("content") if isinstance(value, dict) else value
    return content if isinstance(content, str) and content else None


def _listed(values: dict[str, Any]) -> list[str]:
    """Further special tokens, which transformers 5 may also give names."""
    found: list[str] = []
    for entry in ("additional_special_tokens", "extra_special_tokens"):
        listed = values.get(entry)
        listed = list(listed.values()) if isinstance(listed, dict) else listed
        found += [content for one in listed or [] if (content := _content(one))] if isinstance(listed, list) else []
    return found


def _numbered(settings: dict[str, Any], added: dict[str, Any]) -> dict[int, tuple[str, object]]:
    """Tokens whose ids are given: id -> (content, what is said of it)."""
    found: dict[int, tuple[str, object]] = {id: (name, None) for name, id in added.items() if type(id) is int}
    decoder = settings.get("added_tokens_decoder")
    for id, entry in decoder.items() if isinstance(decoder, dict) else ():
        if id.isdecimal() and len(id) < 10 and (content := _content(entry)):
            found[int(id)] = (content, entry)
    return found


def _chat_template(folder: Path, settings: dict[str, Any]) -> str | None:
    """From the newest place to the oldest: a file of its own, JSON of its own, an entry of the tokenizer's settings."""
    if (folder / TEMPLATE).is_file():
        return read_limited(folder / TEMPLATE)
    template = read_json_if_there(folder / TEMPLATE_JSON).get("chat_template") or settings.get("chat_template")
    if isinstance(template, list):  # several by name
        named = {str(one.get("name")): one.get("template") for one in template if isinstance(one, dict)}
        template = named.get("default")
    return template if isinstance(template, str) and template else None
