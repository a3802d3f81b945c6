"""What a folder's files say of its tokens: flags, roles, and tokens that only a template knows to be special."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import tokenizers
from tokenizers import AddedToken
from transformers import AutoTokenizer

from litellama.checkpoint.gguf.tokenizer import read_tokenizer as read_gguf_tokenizer
from litellama.checkpoint.tokenizers import read_tokenizer
from tests.support.gguf_files import byte_level

CHATML = "{% for m in messages %}<|im_start|>{{ m['content'] }}<|im_end|>{% endfor %}"


def write(folder: Path, added: list[AddedToken], settings: dict[str, Any]) -> Path:
    inner = tokenizers.Tokenizer.from_str(json.dumps(read_gguf_tokenizer(byte_level("gpt-2")).tokenizer.definition))
    inner.add_tokens(added)
    folder.mkdir(exist_ok=True)
    inner.save(str(folder / "tokenizer.json"))
    for name, value in {
        "tokenizer_config.json": {"tokenizer_class": "PreTrainedTokenizerFast"} | settings,
        "config.json": {"model_type": "llama"},
    }.items():
        (folder / name).write_text(json.dumps(value), encoding="utf-8")
    return folder


@pytest.mark.parametrize("said_twice", [True, False])
@pytest.mark.parametrize("flag", ["rstrip", "lstrip", "single_word"])
def test_a_tokens_flags_outlive_its_being_declared_special(tmp_path: Path, flag: str, said_twice: bool) -> None:
    """Phi-3's <|user|> takes the spaces behind it away: in its template a line break follows it, in its ids none."""
    user = AddedToken("<|user|>", normalized=False, special=True, **{flag: True})
    folder = write(tmp_path / "m", [user], {"additional_special_tokens": ["<|user|>"]})
    if said_twice:
        id = str(len(byte_level("gpt-2")["tokenizer.ggml.tokens"]))
        entry = {"content": "<|user|>", "special": True, "normalized": False} | {
            name: name == flag for name in ("lstrip", "rstrip", "single_word")
        }
        settings = {"tokenizer_class": "PreTrainedTokenizerFast", "added_tokens_decoder": {id: entry}}
        (folder / "tokenizer_config.json").write_text(json.dumps(settings), encoding="utf-8")
    tokenizer = read_tokenizer(folder).tokenizer
    theirs = AutoTokenizer.from_pretrained(folder)
    text = "Hi \n <|user|>\n Who is it?"
    ids = theirs(text, add_special_tokens=False)["input_ids"]
    assert tokenizer.encode_framed(tokenizer.split_special(text)) == ids
    plain = write(tmp_path / "plain", [AddedToken("<|user|>", normalized=False, special=True)], {})
    without = read_tokenizer(plain).tokenizer
    if flag != "single_word":
        assert len(without.encode_framed(without.split_special(text))) > len(ids), "otherwise the flag would not matter"
    tokenizer.save(tmp_path / "saved.json")
    saved = {one["content"]: one for one in json.loads((tmp_path / "saved.json").read_text("utf-8"))["added_tokens"]}
    assert saved["<|user|>"][flag] is True


def test_turn_marks_that_nobody_called_special_are_never_made_from_text(tmp_path: Path) -> None:
    marks = [AddedToken(mark, normalized=False, special=False) for mark in ("<|turn|>", "<think>", "<|unheard|>")]
    template = CHATML.replace("<|im_start|>", "<|turn|>") + "<think>"
    tokenizer = read_tokenizer(write(tmp_path / "m", marks, {"chat_template": template})).tokenizer
    assert [tokenizer.special(one.content) is not None for one in marks] == [True, False, False]
    id = tokenizer.special("<|turn|>")
    assert id not in tokenizer.encode("I write <|turn|> myself")
    assert id in tokenizer.encode_framed(tokenizer.split_special("<|turn|>Hi"))
    without = read_tokenizer(write(tmp_path / "m", marks, {})).tokenizer
    assert without.special("<|turn|>") is None, "no template frames anything by it"


def test_roles_become_ids(tmp_path: Path) -> None:
    said = {"bos_token": "<|im_start|>", "eos_token": {"content": "<|im_end|>"}, "pad_token": "no such token"}
    files = read_tokenizer(write(tmp_path / "m", [], said | {"add_bos_token": True}))
    assert (files.bos_id, files.eos_ids, files.pad_id, files.add_bos) == (1, (2,), None, True)
    files = read_tokenizer(write(tmp_path / "m", [], {}))
    assert (files.bos_id, files.eos_ids, files.pad_id, files.add_bos) == (None, (), None, None)
