"""The shape of a GGUF file's model: its metadata, read as `ModelConfig`."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from litellama.config import ModelConfig, RopeScaling
from litellama.model import rotary_frequencies

ARCHITECTURE = "llama"

USED = (
    "block_count", "context_length", "embedding_length", "feed_forward_length", "attention.head_count",
    "attention.head_count_kv", "attention.key_length", "attention.value_length", "attention.layer_norm_rms_epsilon",
    "rope.freq_base", "rope.dimension_count", "rope.scaling.type", "vocab_size",
)  # fmt: skip
"""Entries under "llama." that are used here."""

NEUTRAL: dict[str, tuple[Any, ...]] = {
    "expert_count": (0,), "expert_used_count": (0,), "expert_feed_forward_length": (0,), "attention.causal": (True,),
    "attention.sliding_window": (0,), "attention.scale": (0,), "attention.clamp_kqv": (0,), "logit_scale": (0, 1),
    "residual_scale": (0, 1), "embedding_scale": (0, 1), "rope.scaling.factor": (0, 1), "rope.scale_linear": (0, 1),
    "rope.scaling.attn_factor": (0, 1), "attention.max_alibi_bias": (0,),
    "tensor_data_layout": ("Meta AI original pth",), "use_parallel_residual": (False,),
}  # fmt: skip
"""Entries that change nothing if they have one of these values; other values are refused."""

HARMLESS = ("rope.scaling.original_context_length", "rope.scaling.finetuned", "rope.scaling.yarn_log_multiplier")
"""Entries that mean something only together with a kind of scaling that is refused."""

LLAMA3_CONTEXTS = tuple(2**power for power in range(4, 21))
"""Possible original contexts of Llama 3's scaling, to be tried: the file has only the scaling's result."""


def read_config(values: Mapping[str, Any], rows: int, tied: bool, factors: Tensor | None) -> ModelConfig:
    """The config that the metadata describe. `rows` of the embedding; `tied`: the file holds no head of its own;
    `factors` (head_dim / 2): by how much each rotary pair is slowed down, if the file says so.

    Raises `ValueError` for another architecture, an entry that is missing, wrong, or unknown: an unknown one may change
    what the model computes.
    """
    kind = values.get("general.architecture")
    if kind != ARCHITECTURE:
        raise ValueError(f"it holds a model of the architecture {kind!r}; only 'llama' can be opened")
    if (parts := values.get("split.count", 1)) not in (0, 1):
        raise ValueError(f"it is one of {parts} parts; join them first with llama.cpp's llama-gguf-split --merge")
    ours = {key.removeprefix("llama."): value for key, value in values.items() if key.startswith("llama.")}
    _check_known(ours)
    heads = _whole(ours, "attention.head_count")
    hidden = _whole(ours, "embedding_length")
    head_dim = _whole(ours, "attention.key_length", hidden // max(heads, 1))
    for name in ("attention.value_length", "rope.dimension_count"):
        if _whole(ours, name, head_dim) != head_dim:
            raise ValueError(
                f"llama.{name} is {ours[name]} and the heads are {head_dim} wide; the lab knows only equal"
            )
    if _whole(ours, "vocab_size", rows) != rows:
        raise ValueError(f"llama.vocab_size is {ours['vocab_size']} and the embedding has {rows} rows")
    config = ModelConfig(
        vocab_size=rows,
        hidden_size=hidden,
        intermediate_size=_whole(ours, "feed_forward_length"),
        num_hidden_layers=_whole(ours, "block_count"),
        num_attention_heads=heads,
        num_key_value_heads=_whole(ours, "attention.head_count_kv", heads),
        head_dim=head_dim,
        max_position_embeddings=_whole(ours, "context_length"),
        rms_norm_eps=_shortest(_real(ours, "attention.layer_norm_rms_epsilon")),
        rope_theta=_shortest(_real(ours, "rope.freq_base", 10_000.0)),
        tie_word_embeddings=tied,
    )
    return config if factors is None else replace(config, rope_scaling=rope_scaling(config, factors))


def rope_scaling(config: ModelConfig, factors: Tensor) -> RopeScaling | None:
    """Llama 3's scaling that slows the rotary pairs down by `factors` (head_dim / 2). Raises `ValueError` for factors
    that no such scaling gives."""
    if factors.shape != (config.head_dim // 2,) or not torch.isfinite(factors).all():
        raise ValueError(f"rope_freqs.weight has shape {tuple(factors.shape)}; ({config.head_dim // 2},) was expected")
    if torch.equal(factors, torch.ones_like(factors)):
        return None
    plain, factor = rotary_frequencies(replace(config, rope_scaling=None)), _shortest(float(factors.max()))
    for context in LLAMA3_CONTEXTS:
        scaling = RopeScaling(factor, 1.0, 4.0, context)  # Llama 3's own bounds
        slowed = plain / rotary_frequencies(replace(config, rope_scaling=scaling))
        if torch.allclose(slowed, factors, rtol=1e-4):
            return scaling
    raise ValueError("its rotary factors (rope_freqs.weight) are not those of Llama 3's scaling, the only one known")


def _check_known(ours: Mapping[str, Any]) -> None:
    scaling = ours.get("rope.scaling.type", "none")
    if scaling != "none":
        raise ValueError(f"llama.rope.scaling.type is {scaling!r}; only 'none' is known")
    for name, value in ours.items():
        if name in NEUTRAL and value not in NEUTRAL[name]:
            raise ValueError(f"llama.{name} is {value!r}, which a plain Llama does not have")
        if name not in NEUTRAL and name not in USED and name not in HARMLESS:
            raise ValueError(f"llama.{name} is {value!r}, and the lab does not know what that changes")


def _whole(values: Mapping[str, Any], name: str, default: int | None = None) -> int:
    value = values.get(name, default)
    if isinstance(value, list) and value and len(set(value)) == 1:  # one for each layer, and all are equal
        value = value[0]
    if type(value) is not int or not 0 < value < 2**31:
        raise ValueError(f"llama.{name} is {value!r}; a whole number above 0 was expected")
    return value


def _real(values: Mapping[str, Any], name: str, default: float | None = None) -> float:
    value = values.get(name, default)
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value < math.inf:
        raise ValueError(f"llama.{name} is {value!r}; a number above 0 was expected")
    return float(value)


def _shortest(value: float) -> float:
    """The shortest decimal number that the file's float32 stands for: 9.999999747378752e-06 is 1e-05."""
    return float(f"{value:.6g}")
