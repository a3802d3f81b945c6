"""A folder's tokenizer, whatever its age: tokenizer.json, GPT-2's vocab.json and merges.txt, or SentencePiece's file.

Up to six more files say which tokens are special, what a chat looks like, and which token ends a text. Each of them may
be missing; what they say is combined here.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import tokenizers
from tokenizers import AddedToken, decoders, models, pre_tokenizers

from litellama.checkpoint.layout import (
    ADDED_TOKENS,
    MERGES,
    SENTENCEPIECE,
    SPECIAL_TOKENS_MAP,
    TEMPLATE,
    TEMPLATE_JSON,
    TOKENIZER,
    TOKENIZER_CONFIG,
    VOCAB,
    read_json_if_there,
    required,
)
from litellama.checkpoint.sentencepiece import read_sentencepiece
from litellama.tokenizer import Tokenizer, read_limited

ROLES = ("bos_token", "eos_token", "unk_token", "pad_token")
TURN_MARK = re.compile("<[|\uff5c].+[|\uff5c]>")
ALWAYS_SPECIAL = "<|endoftext|>"
"""GPT-2's end of text. Old folders do not say that it is special, because GPT-2's own code knew it."""


@dataclass(frozen=True)
class TokenizerFiles:
    """What a folder's tokenizer files, or a GGUF file's metadata, say.

    `roles`: such as "eos_token" -> "</s>"; `chat_template` is Jinja. `bos_id` begins texts, if `add_bos` (None: they
    don't say whether it does); each of `eos_ids` ends a reply, the text's own end first; `pad_id` fills texts up.
    """

    tokenizer: Tokenizer
    roles: dict[str, str]
    chat_template: str | None
    bos_id: int | None = None
    eos_ids: tuple[int, ...] = ()
    pad_id: int | None = None
    add_bos: bool | None = None


def has_tokenizer(folder: Path) -> bool:
    """Whether `read_tokenizer` finds the files it needs."""
    return (folder / TOKENIZER).is_file() or _has_merges(folder) or (folder / SENTENCEPIECE).is_file()


def read_tokenizer(folder: Path) -> TokenizerFiles:
    """Raises `CheckpointError` for a folder without a tokenizer, `ValueError` for one that can't be read."""
    settings = read_json_if_there(folder / TOKENIZER_CONFIG)
    special_map, added = read_json_if_there(folder / SPECIAL_TOKENS_MAP), read_json_if_there(folder / ADDED_TOKENS)
    inner, roles = _vocabulary(folder, add_prefix_space=settings.get("add_prefix_space") is True)
    for role in ROLES:
        if (content := _content(settings.get(role)) or _content(special_map.get(role))) is not None:
            roles[role] = content
    template = _chat_template(folder, settings)
    numbered = _numbered(settings, added)
    for id, (content, entry) in sorted(numbered.items()):
        if inner.token_to_id(content) is None and id == inner.get_vocab_size():  # another id would not be its own
            inner.add_tokens([_declared(content, entry, special=False)])
    there = {token.content: token for token in inner.get_added_tokens_decoder().values()}
    said = {content: entry for content, entry in numbered.values() if isinstance(entry, dict)}
    special = {
        *roles.values(), *_listed(settings), *_listed(special_map), ALWAYS_SPECIAL,
        *(content for content, entry in said.items() if entry.get("special") is True),
        *(content for content in there if frames_turns(content, template)),
    }  # fmt: skip
    known = sorted(content for content in special if inner.token_to_id(content) is not None)
    inner.add_special_tokens([_declared(one, said.get(one) or there.get(one), special=True) for one in known])
    ids = {role: named for role, content in roles.items() if (named := inner.token_to_id(content)) is not None}
    add_bos = settings.get("add_bos_token")
    return TokenizerFiles(
        tokenizer=Tokenizer(inner),
        roles=roles,
        chat_template=template,
        bos_id=ids.get("bos_token"),
        eos_ids=(ids["eos_token"],) if "eos_token" in ids else (),
        pad_id=ids.get("pad_token"),
        add_bos=add_bos if isinstance(add_bos, bool) else None,
    )


def frames_turns(content: str, template: str | None) -> bool:
    """Whether a chat template writes this added token around turns. Then typed text must not become it, even if its
    makers forgot to call it special. Tokens such as <think>, which replies show, do not count."""
    return template is not None and content in template and TURN_MARK.fullmatch(content) is not None


def _has_merges(folder: Path) -> bool:
    return (folder / VOCAB).is_file() and (folder / MERGES).is_file()


def _vocabulary(folder: Path, add_prefix_space: bool) -> tuple[tokenizers.Tokenizer, dict[str, str]]:
    """The tokenizer from its main file, and the roles of its tokens if that file says them."""
    if (folder / TOKENIZER).is_file():
        return Tokenizer.read(folder / TOKENIZER), {}
    if _has_merges(folder):
        return _from_merges(folder, add_prefix_space), {}
    if (folder / SENTENCEPIECE).is_file():
        model = read_sentencepiece(folder / SENTENCEPIECE)
        return model.tokenizer(), dict(model.roles)
    required(folder / TOKENIZER)
    raise AssertionError("the file was missing a moment ago")


def _declared(content: str, said: object, *, special: bool) -> AddedToken:
    """A token with the flags that a file (a dictionary) or the tokenizer itself (an `AddedToken`) gives it.

    `rstrip`, which Phi-3 uses, drops spaces after the token; without the flag, the ids would differ.
    """
    names = ("lstrip", "rstrip", "single_word")
    flags = {name: said.get(name) if isinstance(said, dict) else getattr(said, name, False) for name in names}
    return AddedToken(
        content, normalized=False, special=special, **{name: flag is True for name, flag in flags.items()}
    )


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
    """The chat template: from a file of its own, else from JSON, else from the tokenizer's settings."""
    if (folder / TEMPLATE).is_file():
        return read_limited(folder / TEMPLATE)
    template = read_json_if_there(folder / TEMPLATE_JSON).get("chat_template") or settings.get("chat_template")
    if isinstance(template, list):  # several by name
        named = {str(one.get("name")): one.get("template") for one in template if isinstance(one, dict)}
        template = named.get("default")
    return template if isinstance(template, str) and template else None
