"""Folders of every age open as they are; what they get wrong about their tokens is put right, and said."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from litellama.chat import beginning_id, stop_ids
from litellama.checkpoint import CheckpointError, is_whole, open_checkpoint, save_checkpoint
from litellama.config import preset
from litellama.explain.heads import scores_with_heads
from litellama.explain.lens import logit_lens
from litellama.explain.scoring import Scorer, Target
from litellama.explain.tokenized_run import read_text
from litellama.explain.trace import trace_step
from litellama.generate import generate
from litellama.sampling import Sampling
from litellama.tokenizer import Tokenizer
from litellama.training.prepare import _opened_model
from litellama.training.recipe import Recipe
from tests.support.folders import GPT2, litellama_config, llama2_config, llama2_tokenizer, split_gpt2, write_folder

TINY = {"hidden_size": 16, "intermediate_size": 24, "num_attention_heads": 4, "num_hidden_layers": 1}
TEXTS = ("Q: What is the largest bird?\nA:", " naïve  llamas 🦙\r\n\t and <|endoftext|> typed", "", "don't 1234 !!??")
GPT2_TOKENIZER = Tokenizer.load(GPT2)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """LiteLlama's folder with few weights."""
    values = litellama_config() | TINY | {"num_key_value_heads": 2}
    return write_folder(tmp_path_factory.mktemp("made") / "lite", values, GPT2_TOKENIZER, torch.float16)


@pytest.fixture
def lite(made: Path, tmp_path: Path) -> Path:
    """The same, to be changed."""
    return Path(shutil.copytree(made, tmp_path / "lite"))


@pytest.fixture
def llama(tmp_path: Path) -> Path:
    """LLaMA 2's folder with few weights and words."""
    values = llama2_config(**TINY, num_key_value_heads=4, vocab_size=263)
    return write_folder(tmp_path / "llama", values, llama2_tokenizer(), shards=2)


def write(folder: Path, name: str, value: Any) -> None:
    (folder / name).write_text(value if isinstance(value, str) else json.dumps(value), encoding="utf-8")


def unmarked(folder: Path) -> None:
    """GPT-2's tokenizer.json as if none of its tokens were special."""
    values = json.loads((folder / "tokenizer.json").read_text(encoding="utf-8"))
    write(folder, "tokenizer.json", values | {"added_tokens": []})


# --- Tokens that begin and end a text --------------------------------------------------------------------------------


def test_the_preset_is_the_published_config() -> None:
    values = litellama_config()
    assert values["layernorm_epsilon"] == 1e-05
    assert preset("litellama-460m") == type(preset("litellama-460m")).from_hf(values)


def test_litellamas_trap_is_put_right_and_said(lite: Path) -> None:
    opened = open_checkpoint(lite)
    config = opened.config
    assert (config.bos_token_id, config.eos_token_ids, config.pad_token_id) == (50256, (50256,), 50256)
    assert opened.model.config is config
    assert stop_ids(opened.model, opened.tokenizer) == {50256}
    assert beginning_id(opened.model, opened.tokenizer) is None, "as transformers' tokenizer: GPT-2's text begins bare"
    assert 'names " (1), # (2), ! (0) as' in opened.note
    assert "takes <|endoftext|> (50256) instead" in opened.note
    assert "last 47 rows" in opened.note
    assert "could not verify" in opened.note
    assert opened.corrected is not None
    assert (opened.corrected.named, opened.corrected.instead) == ('" (1), # (2), ! (0)', "<|endoftext|> (50256)")


def test_right_ids_are_left_alone_and_nothing_is_said(llama: Path) -> None:
    opened = open_checkpoint(llama)
    assert (opened.config.bos_token_id, opened.config.eos_token_ids, opened.config.pad_token_id) == (1, (2,), None)
    assert beginning_id(opened.model, opened.tokenizer) == 1
    assert opened.note.count(".") == 1
    assert opened.corrected is None


def test_the_generation_config_adds_ends_and_has_the_same_trap(lite: Path, llama: Path) -> None:
    write(lite, "generation_config.json", {"bos_token_id": 1, "eos_token_id": 2, "pad_token_id": 0})
    assert open_checkpoint(lite).config.eos_token_ids == (50256,)
    write(llama, "generation_config.json", {"eos_token_id": [2, 1], "pad_token_id": 0, "temperature": 0.6})
    config = open_checkpoint(llama).config
    assert config.eos_token_ids == (2, 1)
    assert config.pad_token_id == 2, "<unk> is ordinary in this tokenizer"
    write(llama, "generation_config.json", {"eos_token_id": "</s>"})
    with pytest.raises(CheckpointError, match="llama: eos_token_id is '</s>'"):
        open_checkpoint(llama)


@pytest.mark.parametrize(
    "says",
    [
        {},
        {"special_tokens_map.json": {"eos_token": "<|endoftext|>", "bos_token": {"content": "<|endoftext|>"}}},
        {"tokenizer_config.json": {"eos_token": {"content": "<|endoftext|>", "lstrip": False}, "add_bos_token": False}},
        {"tokenizer_config.json": {"added_tokens_decoder": {"50256": {"content": "<|endoftext|>", "special": True}}}},
        {"added_tokens.json": {"<|endoftext|>": 50256}},
    ],
)
def test_the_end_of_text_is_special_whoever_says_so(lite: Path, says: dict[str, Any]) -> None:
    unmarked(lite)
    for name, value in says.items():
        write(lite, name, value)
    opened = open_checkpoint(lite)
    assert opened.config.eos_token_ids == (50256,)
    assert opened.tokenizer.special("<|endoftext|>") == 50256
    assert opened.tokenizer.decode([50256]) == ""
    assert 50256 not in opened.tokenizer.encode("<|endoftext|>"), "nobody ends a text by typing"


def test_tokens_that_other_files_add_get_their_own_ids(lite: Path) -> None:
    write(lite, "added_tokens.json", {"<tool>": 50257, "<far>": 60000})
    described = {"50258": {"content": "<|im_end|>", "special": True}, "x": {"content": "?"}, "3": None}
    write(lite, "tokenizer_config.json", {"added_tokens_decoder": described, "eos_token": "<|im_end|>"})
    opened = open_checkpoint(lite)
    assert opened.tokenizer.special("<|im_end|>") == 50258
    assert opened.tokenizer.special("<tool>") is None, "added, but nobody calls it special"
    assert opened.tokenizer.encode("<tool>") == [50257]
    assert opened.tokenizer.vocab_size == 50259
    assert opened.config.eos_token_ids == (50258,), "the folder's own word goes before the usual one"
    assert "last 45 rows" in opened.note


def test_a_named_token_that_is_in_no_vocabulary_is_passed_over(lite: Path) -> None:
    write(lite, "special_tokens_map.json", {"pad_token": "[PAD]", "additional_special_tokens": ["<a>", 3, None]})
    opened = open_checkpoint(lite)
    assert opened.tokenizer.special("[PAD]") is None
    assert opened.tokenizer.vocab_size == 50257


def test_without_any_special_token_there_is_no_end(tmp_path: Path) -> None:
    values = llama2_config(**TINY, num_key_value_heads=4, vocab_size=263, eos_token_id=[9, 900], pad_token_id=-1)
    folder = write_folder(tmp_path / "bare", values, llama2_tokenizer())
    content = json.loads((folder / "tokenizer.json").read_text(encoding="utf-8"))
    write(folder, "tokenizer.json", content | {"added_tokens": []})
    config = open_checkpoint(folder).config
    assert (config.bos_token_id, config.eos_token_ids, config.pad_token_id) == (None, (), None)
    assert "takes none instead" in open_checkpoint(folder).note


# --- Rows without a token --------------------------------------------------------------------------------------------


def test_rows_without_a_token_are_never_sampled_and_never_shown(lite: Path) -> None:
    """The head is changed so that the 47 rows are likeliest by far wherever one looks."""
    opened = open_checkpoint(lite)
    model, config = opened.model, opened.config
    assert config.sampled_vocab_size == 50257
    with torch.no_grad():
        model.lm_head.weight[50257:] = 0
        direction = model(torch.tensor([[5, 6]]), output_hidden_states=True).hidden_states[-1][0, -1]
        model.lm_head.weight[50257:] = 40 * model.model.norm(direction) / config.hidden_size
        model.lm_head.weight[:50257] *= 0.01
        assert int(model(torch.tensor([[5, 6]]), padding_rows=True).logits[0, -1].argmax()) >= 50257, (
            "otherwise this would test nothing"
        )
        assert model(torch.tensor([[5, 6]]), padding_rows=True).logits[0, -1].softmax(-1)[:50257].sum() < 0.01
    for sampling in (Sampling(greedy=True), Sampling(1.0, 0, 1.0), Sampling(2.0, 50, 0.9, 1.3)):
        for seed in range(5):
            first = next(generate(model, [5, 6], sampling=sampling, max_new_tokens=1, seed=seed, alternatives=100))
            assert first.id < 50257
            assert all(id < 50257 for id, _ in first.alternatives)
    every = next(generate(model, [5, 6], sampling=Sampling(), max_new_tokens=1, seed=0, alternatives=60_000))
    assert len(every.alternatives) == 50257
    assert sum(probability for _, probability in every.alternatives) == pytest.approx(1, abs=1e-4)
    table = logit_lens(model, [5, 6], top=60_000)
    assert table.ids.max() == 50256
    torch.testing.assert_close(table.probabilities.sum(-1), torch.ones(2, 2), atol=1e-3, rtol=0)
    assert len(trace_step(model, [5, 6], position=1, layer=0, head=0).logits) == 50257


def test_explanations_score_an_answer_as_it_was_drawn(lite: Path) -> None:
    """Rows without a token would otherwise take their share of each probability."""
    opened = open_checkpoint(lite)
    with torch.no_grad():
        opened.model.lm_head.weight[50257:] *= 9
    reading = read_text(opened.model, opened.tokenizer, "A llama is", max_new_tokens=1)
    step = next(generate(
        opened.model, reading.ids[: reading.answer_start], sampling=Sampling(greedy=True), max_new_tokens=1, seed=0
    ))  # fmt: skip
    target = Target(reading.answer_start, len(reading.ids))
    units = reading.units("word")
    kept = torch.ones(1, len(units), dtype=torch.bool)
    assert Scorer(opened.model, reading, target, units).scores(kept).exp().item() == pytest.approx(step.probability)
    scores, same = scores_with_heads(opened.model, reading, target, torch.ones(1, 1, 4))
    assert scores.exp().item() == pytest.approx(step.probability)
    assert same.tolist() == [True]
    with pytest.raises(ValueError, match="there is no token 50257; ids go from 0 to 50256"):
        Scorer(opened.model, reading, Target(target.start, target.end, instead=50257), units)


def test_training_that_adds_tokens_uses_rows_that_had_none(lite: Path, tmp_path: Path) -> None:
    """With <|begin|> and its like in 5 of the 47 rows, 42 are left, and the new tokens can be drawn."""
    opened = open_checkpoint(lite)
    recipe = Recipe(out=tmp_path / "out", start=lite, steps=1)
    model = _opened_model(recipe, opened, opened.tokenizer.with_chat_tokens())
    assert model.config.vocab_size == 50304
    assert model.config.padding_rows == 42
    assert model.config.sampled_vocab_size == 50262


def test_what_is_saved_of_it_is_right_from_then_on(lite: Path, tmp_path: Path) -> None:
    opened = open_checkpoint(lite)
    save_checkpoint(tmp_path / "own", opened.model, opened.tokenizer, card={}, dtype=torch.float16)
    values = json.loads((tmp_path / "own" / "config.json").read_text(encoding="utf-8"))
    assert values["eos_token_id"] == 50256
    assert "padding_rows" not in values
    again = open_checkpoint(tmp_path / "own")
    assert again.verified
    assert again.config.padding_rows == 47
    assert "names" not in again.note


# --- Tokenizers and templates of every age ---------------------------------------------------------------------------


def test_vocab_and_merges_are_the_same_tokenizer(lite: Path) -> None:
    (lite / "tokenizer.json").unlink()
    split_gpt2(lite)
    assert is_whole(lite)
    opened = open_checkpoint(lite)
    for text in TEXTS:
        assert opened.tokenizer.encode(text) == GPT2_TOKENIZER.encode(text)
        assert opened.tokenizer.decode(opened.tokenizer.encode(text)) == text
    assert opened.config.eos_token_ids == (50256,), "although no file says that <|endoftext|> is special"
    assert opened.tokenizer.vocab_size == 50257
    write(lite, "tokenizer_config.json", {"add_prefix_space": True})
    assert open_checkpoint(lite).tokenizer.encode("bird") == GPT2_TOKENIZER.encode(" bird")


@pytest.mark.parametrize(
    ("name", "content", "says"),
    [
        ("vocab.json", '{"a": 0}', "no byte-level vocabulary"),
        ("vocab.json", "[]", "no byte-level vocabulary"),
        ("vocab.json", "{", "lite: "),
        ("merges.txt", "#version: 0.2\nqqqq zzzz\n", "are not a tokenizer that can be read"),
        ("merges.txt", "a b c d\n", "are not a tokenizer that can be read"),
        ("merges.txt", None, "lite has no file tokenizer.json"),
    ],
)
def test_broken_vocabularies_are_refused(lite: Path, name: str, content: str | None, says: str) -> None:
    (lite / "tokenizer.json").unlink()
    split_gpt2(lite)
    if content is None:
        (lite / name).unlink()
        assert not is_whole(lite)
    else:
        write(lite, name, content)
    with pytest.raises(CheckpointError, match=says) as refusal:
        open_checkpoint(lite)
    assert "\n" not in str(refusal.value)


def test_what_is_no_sentencepiece_file_is_refused(llama: Path) -> None:
    (llama / "tokenizer.json").rename(llama / "tokenizer.model")
    with pytest.raises(CheckpointError, match=r"tokenizer\.model is not a SentencePiece model that can be used"):
        open_checkpoint(llama)


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        ({}, None),
        ({"tokenizer_config.json": {"chat_template": "T"}}, "T"),
        ({"tokenizer_config.json": {"chat_template": None}}, None),
        ({"chat_template.json": {"chat_template": "J"}, "tokenizer_config.json": {"chat_template": "T"}}, "J"),
        ({"chat_template.jinja": "{{ 'ü' }}", "chat_template.json": {"chat_template": "J"}}, "{{ 'ü' }}"),
        (
            {"tokenizer_config.json": {"chat_template": [
                {"name": "tools", "template": "A"}, {"name": "default", "template": "B"}, "?",
            ]}},
            "B",
        ),
        ({"tokenizer_config.json": {"chat_template": [{"name": "rag", "template": "A"}]}}, None),
        ({"tokenizer_config.json": {"chat_template": 7}}, None),
    ],
)  # fmt: skip
def test_the_chat_template_is_found_where_each_age_keeps_it(
    llama: Path, files: dict[str, Any], expected: str | None
) -> None:
    for name, value in files.items():
        write(llama, name, value)
    assert open_checkpoint(llama).chat_template == expected


# --- Manifests, wholeness --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["generation_config.json", "tokenizer_config.json", "added_tokens.json", "vocab.json"])
def test_a_file_that_is_read_must_be_in_the_manifest(tiny_checkpoint: Path, tmp_path: Path, name: str) -> None:
    copy = Path(shutil.copytree(tiny_checkpoint, tmp_path / "copy"))
    write(copy, name, {})
    with pytest.raises(CheckpointError, match=f"copy holds {name}, of which its manifest knows nothing"):
        open_checkpoint(copy)


def test_a_folder_is_whole_when_opening_would_find_every_file(lite: Path, llama: Path) -> None:
    assert is_whole(lite)
    assert is_whole(llama)
    (llama / "model-00002-of-00002.safetensors").rename(llama / "elsewhere")
    assert not is_whole(llama)
    with pytest.raises(CheckpointError, match=r"llama has no file model-00002-of-00002\.safetensors"):
        open_checkpoint(llama)
    write(llama, "model.safetensors.index.json", "{")
    assert not is_whole(llama)
    for name in ("config.json", "model.safetensors"):
        (lite / name).rename(lite / "away")
        assert not is_whole(lite)
        (lite / "away").rename(lite / name)


def mistral(values: dict[str, Any]) -> dict[str, Any]:
    return values | {"model_type": "mistral", "architectures": ["MistralForCausalLM"], "sliding_window": 4096}


def gpt2(_: dict[str, Any]) -> dict[str, Any]:
    return {
        "model_type": "gpt2",
        "architectures": ["GPT2LMHeadModel"],
        "n_embd": 768,
        "n_layer": 12,
        "vocab_size": 50257,
    }


def llama4(values: dict[str, Any]) -> dict[str, Any]:
    return {"model_type": "llama4", "architectures": ["Llama4ForConditionalGeneration"], "text_config": values}


@pytest.mark.parametrize(
    ("change", "says"), [(mistral, "'mistral' model"), (gpt2, "'gpt2' model"), (llama4, "'llama4' model")]
)
def test_other_architectures_are_named_and_refused(
    llama: Path, change: Callable[[dict[str, Any]], dict[str, Any]], says: str
) -> None:
    write(llama, "config.json", change(json.loads((llama / "config.json").read_text(encoding="utf-8"))))
    with pytest.raises(CheckpointError, match=f"llama: config.json describes a {says}; only 'llama' models"):
        open_checkpoint(llama)
