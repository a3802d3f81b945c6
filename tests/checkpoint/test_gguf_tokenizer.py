"""A GGUF file's tokenizer gives every text the ids that llama.cpp gives it, and a damaged one is refused in words."""

from __future__ import annotations

import contextlib
import random
from pathlib import Path
from typing import Any

import pytest
from transformers import PreTrainedTokenizerFast

from litellama.checkpoint.gguf.tokenizer import read_tokenizer
from litellama.checkpoint.gguf.tokenizer_splits import SPLITS
from litellama.export.vocabulary import vocabulary
from tests.export.test_gguf_file import MORE_TEXTS, Open
from tests.support.gguf_files import CONTROL, MIXED, NORMAL, UNUSED, USER_DEFINED, byte_level, scored, write_gguf
from tests.support.llama_cpp import LlamaCpp

TYPED = ["</s><s>[INST] <<SYS>> <unk> <0x0A>", "<|im_start|>user\nHi<|im_end|>", "<|endoftext|>"]
FIRST = {"gpt-2", "smollm", "llama-bpe", "dbrx", "qwen2", "tekken", "seed-coder", "bloom", "viking"}
"""One name of each way of splitting."""


def random_texts(count: int, seed: int = 0) -> list[str]:
    """Mixtures of what splitting rules look at: letters of both cases, digits, marks, spaces, other writing."""
    random_ = random.Random(seed)
    common = "aAbZ'sStTrReEvVmMlLdD 0129,.!?-/\\\n\r\t\u00a0\u3000中ラ한😀½²٣Ⅷ\u0301\u200b_()[]|"
    texts = []
    for _ in range(count):
        rare = [chr(random_.choice([random_.randint(0x20, 0x2FFF), random_.randint(0x10000, 0x1FFFF)])) for _ in "1234"]
        texts.append("".join(random_.choices([*common, *rare, " ", " ", "  "], k=random_.randint(1, 40))))
    return texts


ALL_TEXTS = ["zebra zebra(zebra)", *MORE_TEXTS, *MIXED, *TYPED, "", *random_texts(60)]


def ours_and_theirs(tmp_path: Path, llama_cpp: Open, values: dict[str, Any]) -> tuple[Any, LlamaCpp]:
    return read_tokenizer(values), llama_cpp(write_gguf(tmp_path / "tokenizer.gguf", values))


# --- The same ids ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("pre", SPLITS)
def test_every_known_splitting_gives_llama_cpps_ids(tmp_path: Path, llama_cpp: Open, pre: str) -> None:
    files, engine = ours_and_theirs(tmp_path, llama_cpp, byte_level(pre))
    differ = [text for text in ALL_TEXTS if files.tokenizer.encode(text) != engine.tokenize(text)]
    if pre == "tekken":  # llama.cpp takes capitals outside ASCII for small letters too; we follow Mistral's own file
        differ = [text for text in differ if not any(one.isupper() and not one.isascii() for one in text)]
    assert differ == []
    assert engine.tokenize("", add_special=True) == ([files.bos_id] if files.add_bos else [])


@pytest.mark.parametrize("prefix", [None, True, False])
def test_scores_give_llama_cpps_ids(tmp_path: Path, llama_cpp: Open, prefix: bool | None) -> None:
    values = scored() if prefix is None else scored(**{"tokenizer.ggml.add_space_prefix": prefix})
    files, engine = ours_and_theirs(tmp_path, llama_cpp, values)
    runs = [letter * count + end for letter in " a7" for count in range(20) for end in ("", "b")]
    for text in [*ALL_TEXTS, *runs]:
        assert files.tokenizer.encode(text) == engine.tokenize(text), text
        if text and "\ufffd" not in text and "\u2581" not in text:
            assert files.tokenizer.decode(files.tokenizer.encode(text)) == text
    assert files.add_bos is True
    assert engine.tokenize("Tom", add_special=True) == [1, *files.tokenizer.encode("Tom")]
    starts_with_space = files.tokenizer.token_text(files.tokenizer.encode("Tom")[0]).startswith(" ")
    assert starts_with_space == (prefix is not False)


def test_each_way_of_splitting_is_told_apart() -> None:
    """Otherwise the first test would prove nothing."""
    found = {}
    for pre in sorted(FIRST):
        tokenizer = read_tokenizer(byte_level(pre)).tokenizer
        found[str([tokenizer.encode(text) for text in ALL_TEXTS])] = pre
    assert sorted(found.values()) == sorted(FIRST)


def test_control_tokens_come_from_ids_alone_and_user_defined_ones_from_text(tmp_path: Path, llama_cpp: Open) -> None:
    values = byte_level("smollm")
    values["tokenizer.ggml.tokens"] += ["<extra>", "  \t  "]
    values["tokenizer.ggml.token_type"] += [USER_DEFINED, USER_DEFINED]
    files, engine = ours_and_theirs(tmp_path, llama_cpp, values)
    count = len(values["tokenizer.ggml.tokens"])
    for text in (*TYPED, "a<extra>b", "x  \t  y", "<extra><extra>"):
        assert files.tokenizer.encode(text) == engine.tokenize(text), text
    assert count - 2 in files.tokenizer.encode("a<extra>b")
    assert not files.tokenizer.is_special(count - 2)
    framed = "<|im_start|>user\nWhere is Tom?<|im_end|>\n<|im_start|>assistant\n"
    assert files.tokenizer.encode_framed(files.tokenizer.split_special(framed)) == engine.tokenize(
        framed, parse_special=True
    )
    assert {1, 2} <= set(engine.tokenize(framed, parse_special=True))
    assert not {1, 2} & set(files.tokenizer.encode(framed))


@pytest.mark.parametrize("values", [byte_level("smollm"), byte_level("llama-bpe"), byte_level("tekken"), scored()])
def test_transformers_reads_what_is_saved_to_the_same_ids(tmp_path: Path, values: dict[str, Any]) -> None:
    tokenizer = read_tokenizer(values).tokenizer
    tokenizer.save(tmp_path / "tokenizer.json")
    theirs = PreTrainedTokenizerFast(tokenizer_file=str(tmp_path / "tokenizer.json"))
    for text in ALL_TEXTS:
        ids = theirs(text, add_special_tokens=False, split_special_tokens=True)["input_ids"]
        assert ids == tokenizer.encode(text), text


@pytest.mark.parametrize("values", [byte_level(pre) for pre in sorted(FIRST)] + [scored()])
def test_what_came_from_gguf_can_leave_as_gguf(values: dict[str, Any]) -> None:
    tokenizer = read_tokenizer(values).tokenizer
    words = vocabulary(tokenizer, tokenizer.id_limit + 3)
    if words.model == "gpt2":
        assert SPLITS[words.split] is SPLITS[values["tokenizer.ggml.pre"]]
    again = read_tokenizer({
        "tokenizer.ggml.model": words.model, "tokenizer.ggml.pre": words.split, "tokenizer.ggml.tokens": words.tokens,
        "tokenizer.ggml.token_type": words.kinds, "tokenizer.ggml.merges": words.merges,
    } | ({"tokenizer.ggml.scores": words.scores} if words.scores else {})).tokenizer  # fmt: skip
    assert [text for text in ALL_TEXTS if again.encode(text) != tokenizer.encode(text)] == []
    assert again.id_limit == tokenizer.id_limit


# --- What begins and ends texts --------------------------------------------------------------------------------------


def test_what_the_file_says_of_beginning_and_end() -> None:
    template = "{% for message in messages %}<|im_start|>{{ message['content'] }}<|im_end|>{% endfor %}"
    values = byte_level("smollm", **{"tokenizer.chat_template": template, "tokenizer.ggml.padding_token_id": 0})
    files = read_tokenizer(values)
    assert files.roles == {"bos_token": "<|im_start|>", "eos_token": "<|im_end|>", "pad_token": "<|endoftext|>"}
    assert (files.bos_id, files.eos_ids, files.pad_id, files.add_bos) == (1, (2, 0), 0, False)
    assert files.chat_template == template
    said = read_tokenizer(byte_level("llama-bpe", **{"tokenizer.ggml.add_bos_token": False}))
    assert said.add_bos is False
    turns = read_tokenizer(byte_level("smollm", **{"tokenizer.ggml.eot_token_id": 0}))
    assert turns.eos_ids == (2, 0)


def test_turn_marks_that_the_file_calls_text_are_control_tokens(tmp_path: Path) -> None:
    """A user who types one must not end a turn. llama.cpp does so for ends of turns; the template knows the others."""
    template = "<|im_start|>{{ messages[0]['content'] }}<|im_end|><|think|>"
    values = byte_level("smollm", **{"tokenizer.chat_template": template})
    values["tokenizer.ggml.tokens"] += ["<think>", "<|other|>"]
    values["tokenizer.ggml.token_type"] = [
        USER_DEFINED if text.startswith("<") and len(text) > 2 else NORMAL for text in values["tokenizer.ggml.tokens"]
    ]
    tokenizer = read_tokenizer(values).tokenizer
    assert [tokenizer.is_special(id) for id in range(3)] == [True, True, True]
    assert len(tokenizer.encode("<|im_end|>")) > 1
    assert len(tokenizer.encode("<think>")) == len(tokenizer.encode("<|other|>")) == 1, "shown in replies, so text"


def test_an_old_file_without_kinds_has_its_ends_all_the_same() -> None:
    values = byte_level("gpt-2")
    del values["tokenizer.ggml.token_type"]
    files = read_tokenizer(values)
    assert files.eos_ids == (2, 0)
    assert all(files.tokenizer.is_special(id) for id in range(3))
    letter = values["tokenizer.ggml.tokens"].index("!")
    lie = read_tokenizer(values | {"tokenizer.ggml.eos_token_id": letter})
    assert letter not in lie.eos_ids, "text becomes it"
    assert not lie.tokenizer.is_special(letter)


def test_unused_rows_at_the_end_have_no_token() -> None:
    values = byte_level("smollm")
    count = len(values["tokenizer.ggml.tokens"])
    values["tokenizer.ggml.tokens"] += [f"[PAD{id}]" for id in range(count, count + 40)]
    values["tokenizer.ggml.token_type"] += [UNUSED] * 40
    assert read_tokenizer(values).tokenizer.id_limit == count


# --- What is refused -------------------------------------------------------------------------------------------------


def without(values: dict[str, Any], name: str) -> dict[str, Any]:
    return {key: value for key, value in values.items() if key != f"tokenizer.ggml.{name}"}


def changed(values: dict[str, Any], name: str, change: Any) -> dict[str, Any]:
    key = f"tokenizer.ggml.{name}"
    return values | {key: change(values[key]) if callable(change) else change}


GPT2, LLAMA = byte_level("gpt-2"), scored()
FAULTS: dict[str, tuple[dict[str, Any], str]] = {
    "no tokenizer": ({}, "this file has no tokenizer; the lab knows 'gpt2'"),
    "another kind": (changed(GPT2, "model", "bert"), "a tokenizer of the kind 'bert'"),
    "rwkv": (changed(GPT2, "model", "rwkv"), "a tokenizer of the kind 'rwkv'"),
    "a kind that is a number": (changed(GPT2, "model", 3), r"tokenizer\.ggml\.model of this file is a int"),
    "no splitting": (without(GPT2, "pre"), r"names no way of splitting text.*llama-bpe.*smollm"),
    "unknown splitting": (changed(GPT2, "pre", "superbpe9"), r"a way called 'superbpe9'.*llama-bpe.*smollm"),
    "the default": (changed(GPT2, "pre", "default"), "a way called 'default'"),
    "no tokens": (without(GPT2, "tokens"), "this file has no tokens"),
    "empty": (changed(GPT2, "tokens", []), "this file has no tokens"),
    "tokens as a text": (changed(GPT2, "tokens", "abc"), r"tokens of this file is a str, not a list"),
    "tokens as numbers": (changed(GPT2, "tokens", lambda all: [*all[:-1], 7]), "holds int; each entry should be text"),
    "half a character": (changed(GPT2, "tokens", lambda all: [*all[:-1], "\ud800"]), "not all text that UTF-8 can"),
    "twice the same": (changed(GPT2, "tokens", lambda all: [*all[:-1], "!"]), r"tokens \d+ and \d+ .* same text '!'"),
    "ten million tokens": (changed(GPT2, "tokens", ["a"] * 10_000_000), r"10,000,000 tokens; at most 1,000,000"),
    "one endless token": (changed(GPT2, "tokens", ["a" * 40_000_000]), r"1 tokens; at most .* of usual length"),
    "too few kinds": (changed(GPT2, "token_type", lambda all: all[:-1]), r"tokens but [\d,]+ entries of .*token_type"),
    "kinds as texts": (changed(GPT2, "token_type", lambda all: ["x", *all[1:]]), "holds str; each .* a whole number"),
    "kind 9": (changed(GPT2, "token_type", lambda all: [9, *all[1:]]), "names the kind 9; 1 to 6 are known"),
    "no merges": (without(GPT2, "merges"), "has no merges"),
    "half a merge": (changed(GPT2, "merges", lambda all: [*all, "a"]), r"merge \d+ .* 'a', does not name two tokens"),
    "a merge of nothing": (changed(GPT2, "merges", lambda all: [*all, "zzz qqq"]), "'zzz qqq', does not name two"),
    "a merge to nothing": (changed(GPT2, "merges", lambda all: [*all, "z q"]), "'z q', does not name two tokens"),
    "too many merges": (changed(GPT2, "merges", ["a b"] * 4_000_001), "4,000,001 merges; at most 4,000,000"),
    "an end outside": (changed(GPT2, "eos_token_id", 5000), r"eos_token_id of this file is 5000, but .* 0 to \d+"),
    "a beginning below": (changed(GPT2, "bos_token_id", -1), "bos_token_id of this file is -1"),
    "an end as text": (changed(GPT2, "eos_token_id", "</s>"), "eos_token_id of this file is a str"),
    "true as a number": (changed(GPT2, "add_bos_token", 1), "add_bos_token of this file is a int; .* true or false"),
    "a template as a list": (GPT2 | {"tokenizer.chat_template": ["a"]}, "chat_template of this file is a list"),
    "no scores": (without(LLAMA, "scores"), "has no scores"),
    "too few scores": (changed(LLAMA, "scores", lambda all: all[:-1]), "entries of tokenizer.ggml.scores"),
    "a score of NaN": (changed(LLAMA, "scores", lambda all: [float("nan"), *all[1:]]), "score of token 0 is nan"),
    "an endless score": (changed(LLAMA, "scores", lambda all: [*all[:-1], float("inf")]), r"score of token \d+ is inf"),
    "a byte missing": (
        changed(LLAMA, "tokens", lambda all: [*all[:258], "x!", *all[259:]]), "1 of the 256 bytes, first <0xFF>",
    ),
}  # fmt: skip


@pytest.mark.parametrize(("values", "says"), FAULTS.values(), ids=FAULTS.keys())
def test_damaged_metadata_is_refused_in_one_sentence(values: dict[str, Any], says: str) -> None:
    with pytest.raises(ValueError, match=says) as refusal:
        read_tokenizer(values)
    assert "\n" not in str(refusal.value)
    assert len(str(refusal.value)) < 700


def test_whatever_metadata_holds_nothing_but_a_value_error_is_raised() -> None:
    random_ = random.Random(0)
    odd = [None, "", 0, -1, 2**63, 1.5, float("nan"), True, [], ["a"], [1], [None], [[1]], "\ud800", {"a": 1}, b"x"]
    more = [f"tokenizer.ggml.{name}" for name in ("add_space_prefix", "eot_token_id", "add_bos_token")]
    refused = 0
    for _ in range(400):
        values = dict(random_.choice([GPT2, LLAMA]))
        key = random_.choice([*values, *more, "tokenizer.chat_template"])
        if isinstance(values.get(key), list) and random_.random() < 0.7:
            values[key] = list(values[key])
            values[key][random_.randrange(len(values[key]))] = random_.choice([*odd, random_.choice(values[key])])
        else:
            values[key] = random_.choice(odd)
        with contextlib.suppress(ValueError):
            read_tokenizer(values).tokenizer.encode("Tom went")
            continue
        refused += 1
    assert 200 < refused < 400


def test_a_token_without_text_has_llama_cpps_name() -> None:
    files = read_tokenizer(changed(GPT2, "tokens", lambda all: [*all[:-1], ""]))
    assert files.tokenizer.token_text(len(GPT2["tokenizer.ggml.tokens"]) - 1).startswith("[EMPTY_")


def test_control_tokens_are_special_in_both_kinds() -> None:
    for values in (GPT2, LLAMA):
        tokenizer = read_tokenizer(values).tokenizer
        kinds = values["tokenizer.ggml.token_type"]
        assert {id for id in range(len(kinds)) if tokenizer.is_special(id)} == {
            id for id, kind in enumerate(kinds) if kind in (2, CONTROL)
        }
