"""The shape of a model: exact counts, both spellings of config.json, and what is refused."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from litellama.config import PRESETS, ModelConfig, RopeScaling, preset
from litellama.model import empty_model
from tests.conftest import TINY

PUBLISHED = {
    "litellama-460m": 461_685_760,
    "llama2-7b": 6_738_415_616,
    "llama2-13b": 13_015_864_320,
    "llama2-70b": 68_976_648_192,
    "tinyllama-1.1b": 1_100_048_384,
}


@pytest.mark.parametrize("name", PUBLISHED)
def test_presets_have_the_published_number_of_parameters(name: str) -> None:
    assert preset(name).num_parameters == PUBLISHED[name]


@pytest.mark.parametrize("name", PRESETS)
def test_arithmetic_counts_what_the_model_has(name: str) -> None:
    model = empty_model(preset(name))
    assert all(weight.is_meta for weight in model.parameters()), "counting must not allocate"
    assert sum(weight.numel() for weight in model.parameters()) == preset(name).num_parameters


def test_the_ladder_climbs() -> None:
    ladder = [preset(f"litellama-{size}").num_parameters for size in ("1m", "5m", "15m", "42m", "110m", "460m")]
    assert ladder == sorted(ladder)
    assert preset("tinytown").num_parameters <= 10_000_000


def test_an_unknown_preset_is_answered_with_the_names_there_are() -> None:
    with pytest.raises(ValueError, match="tinytown"):
        preset("tinytwon")


@st.composite
def configs(draw: st.DrawFn) -> ModelConfig:
    key_value_heads, group = draw(st.integers(1, 3)), draw(st.integers(1, 3))
    scaling = RopeScaling(
        draw(st.floats(1, 32)), draw(st.floats(0.5, 2)), draw(st.floats(3, 8)), draw(st.integers(8, 8192))
    )
    return ModelConfig(
        vocab_size=draw(st.integers(1, 50)), hidden_size=draw(st.integers(1, 40)),
        intermediate_size=draw(st.integers(1, 60)), num_hidden_layers=draw(st.integers(1, 4)),
        num_attention_heads=key_value_heads * group, num_key_value_heads=key_value_heads,
        head_dim=2 * draw(st.integers(1, 8)), max_position_embeddings=draw(st.integers(1, 4096)),
        rope_theta=draw(st.floats(1, 1e6)), rope_scaling=draw(st.sampled_from([None, scaling])),
        tie_word_embeddings=draw(st.booleans()), bos_token_id=draw(st.none() | st.integers(0, 9)),
        eos_token_ids=tuple(draw(st.lists(st.integers(0, 9), max_size=3))),
    )  # fmt: skip


@given(configs())
def test_any_config_counts_right_and_survives_config_json(config: ModelConfig) -> None:
    assert sum(weight.numel() for weight in empty_model(config).parameters()) == config.num_parameters
    assert ModelConfig.from_hf(json.loads(json.dumps(config.to_hf("float32")))) == config


OLD: dict[str, Any] = {
    "model_type": "llama", "vocab_size": 100, "hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2,
    "num_attention_heads": 4, "max_position_embeddings": 64, "rms_norm_eps": 1e-5, "hidden_act": "silu",
}  # fmt: skip


def test_the_oldest_spelling_means_multi_head_attention_with_hidden_over_heads() -> None:
    config = ModelConfig.from_hf(OLD)
    assert (config.num_key_value_heads, config.head_dim, config.rope_theta) == (4, 8, 10_000.0)


def test_rotary_settings_are_found_in_their_old_and_new_place() -> None:
    scaling = {
        "rope_type": "llama3", "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0,
        "original_max_position_embeddings": 32,
    }  # fmt: skip
    old = ModelConfig.from_hf(OLD | {"rope_theta": 5e5, "rope_scaling": scaling})
    new = ModelConfig.from_hf(OLD | {"rope_parameters": {"rope_theta": 5e5, **scaling}})
    assert old == new
    assert old.rope_theta == 5e5
    assert old.rope_scaling == RopeScaling(8.0, 1.0, 4.0, 32)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"model_type": "mistral"}, "mistral"),
        ({"attention_bias": True}, "attention_bias"),
        ({"hidden_act": "gelu"}, "gelu"),
        ({"rope_scaling": {"type": "linear", "factor": 2.0}}, "linear"),
        ({"vocab_size": "many"}, "vocab_size"),
        ({"num_attention_heads": 0}, "wrong kind"),
        ({"num_key_value_heads": 3}, "shared out evenly"),
        ({"rope_parameters": [1]}, r"\[1\] as rope_parameters; an object with named values"),
        ({"rope_scaling": "linear"}, "'linear' as rope_scaling; an object"),
        ({"rope_parameters": {"rope_type": "yarn", "factor": 4.0}}, "yarn"),
        ({"rope_parameters": {"rope_type": "llama3"}}, "no entry 'factor'"),
        ({"rope_theta": -1}, "rope_theta"),
        ({"rms_norm_eps": float("nan")}, "rms_norm_eps"),
        ({"rms_norm_eps": [1]}, "wrong kind"),
        ({"hidden_size": "32"}, "wrong kind"),
        ({"eos_token_id": "</s>"}, "eos_token_id is '</s>'; the id of a token"),
        ({"eos_token_id": [2, [3]]}, "eos_token_id"),
        ({"bos_token_id": True}, "bos_token_id"),
        ({"quantization_config": {"quant_method": "gptq"}}, "quantised"),
        ({"architectures": ["LlamaForSequenceClassification"]}, "only LlamaForCausalLM"),
        ({"model_type": "llama4"}, "llama4"),
        ({"padding": 1, "model_type": ["llama"]}, "llama"),
    ],
)
def test_what_the_model_cannot_do_is_refused_by_name(change: dict[str, Any], says: str) -> None:
    with pytest.raises(ValueError, match=says):
        ModelConfig.from_hf(OLD | change)


@pytest.mark.parametrize(
    "change",
    [
        {"rope_scaling": None, "pretraining_tp": 2, "head_dim": None, "num_key_value_heads": None, "use_cache": True},
        {"rope_parameters": {"rope_type": "default", "rope_theta": 10_000.0}, "rope_scaling": None},
        {"rope_scaling": {"rope_type": "default"}, "rope_theta": 10_000},
        {"torch_dtype": "float16", "layernorm_epsilon": 0.5, "architectures": ["LLaMAForCausalLM"]},
        {"dtype": "bfloat16", "architectures": ["LlamaForCausalLM"], "attention_bias": False, "mlp_bias": None},
        {"bos_token_id": None, "eos_token_id": None, "pad_token_id": -1},
    ],
)
def test_spellings_of_all_ages_and_strange_entries_change_nothing(change: dict[str, Any]) -> None:
    assert ModelConfig.from_hf(OLD | change) == ModelConfig.from_hf(OLD)


def test_the_first_llamas_named_or_left_out_their_context() -> None:
    first = {name: value for name, value in OLD.items() if name != "max_position_embeddings"}
    assert ModelConfig.from_hf(first | {"max_sequence_length": 99}).max_position_embeddings == 99
    assert ModelConfig.from_hf(first).max_position_embeddings == 2048


def test_ends_of_text_may_be_one_or_many() -> None:
    assert ModelConfig.from_hf(OLD | {"eos_token_id": 2}).eos_token_ids == (2,)
    assert ModelConfig.from_hf(OLD | {"eos_token_id": [5, 6]}).eos_token_ids == (5, 6)
    assert ModelConfig.from_hf(OLD | {"eos_token_id": -1}).eos_token_ids == ()


def test_a_missing_entry_is_named() -> None:
    values = {name: value for name, value in OLD.items() if name != "hidden_size"}
    with pytest.raises(ValueError, match="hidden_size"):
        ModelConfig.from_hf(values)


@pytest.mark.parametrize(
    "change", [{"rope_theta": 0.0}, {"head_dim": 7}, {"vocab_size": 0}, {"num_hidden_layers": True}]
)
def test_impossible_shapes_are_refused(change: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=next(iter(change))):
        replace(TINY, **change)
