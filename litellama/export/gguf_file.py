"""A model as one GGUF file, which llama.cpp, Ollama and LM Studio read: weights, shape and tokenizer together.

The format: https://github.com/ggml-org/ggml/blob/master/docs/gguf.md. Names and kinds are those of llama.cpp's
architecture "llama".
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import torch
from torch import Tensor

from litellama.checkpoint import Opened
from litellama.checkpoint.gguf.library import library
from litellama.checkpoint.gguf.names import FACTORS, gguf_name, pair_neighbours, turns
from litellama.config import ModelConfig
from litellama.export.prompt_format import chat_template, special_ids
from litellama.export.vocabulary import vocabulary
from litellama.export.weights import converted, weights_to_store
from litellama.model import rotary_frequencies

BLOCK = 32  # weights that share one scale in Q8_0 and Q4_0

PRECISIONS = {"float32": "F32", "float16": "F16", "bfloat16": "BF16", "q8_0": "Q8_0", "q4_0": "Q4_0"}
"""What `--dtype` calls them -> what llama.cpp does."""

DTYPES = {"F32": torch.float32, "F16": torch.float16, "BF16": torch.bfloat16}

BITS = {"F32": 32, "F16": 16, "BF16": 16, "Q8_0": 8.5, "Q4_0": 4.5}


def write_gguf(opened: Opened, path: Path, precision: str) -> Iterator[int]:
    """Write a model as one GGUF file, one weight in memory at a time; yields the bytes of each weight written.

    Raises `ValueError` for a `precision` (a name of llama.cpp's) that does not fit the model's shape or numbers, a
    tokenizer that llama.cpp does not know, and where the library gguf is missing.
    """
    gguf = library()
    config = opened.config
    weights = weights_to_store(opened)
    kinds = {name: _kind(name, weight, precision, config) for name, weight in weights.items()}
    factors = rotary_factors(config)
    writer = gguf.GGUFWriter(path, "llama")
    try:
        _describe(writer, opened, precision, gguf)
        for name, weight in weights.items():
            kind = gguf.GGMLQuantizationType[kinds[name]]
            size = _bytes(weight, kinds[name])
            writer.add_tensor_info(gguf_name(name), tuple(weight.shape), np.dtype(np.float32), size, kind)
        if factors is not None:
            writer.add_tensor_info(FACTORS, factors.shape, factors.dtype, factors.nbytes)
        writer.write_header_to_file()
        writer.write_kv_data_to_file()
        writer.write_ti_data_to_file()
        for name, weight in weights.items():
            if turns(name):
                weight = pair_neighbours(weight, config.head_dim)
            content = _content(name, weight, kinds[name], gguf)
            writer.write_tensor_data(content)
            yield content.nbytes
        if factors is not None:
            writer.write_tensor_data(factors)
    finally:
        writer.close()


def gguf_bytes(opened: Opened, precision: str) -> int:
    """About how large the file becomes: its weights; names and vocabulary add little."""
    weights = weights_to_store(opened)
    return sum(_bytes(weight, _kind(name, weight, precision, opened.config)) for name, weight in weights.items())


def rotary_factors(config: ModelConfig) -> np.ndarray[Any, np.dtype[np.float32]] | None:
    """By how much each rotary pair is slowed down, (D / 2,); None where none is. llama.cpp divides by these."""
    if config.rope_scaling is None:
        return None
    exponents = torch.arange(0, config.head_dim, 2, dtype=torch.float32) / config.head_dim
    plain = 1.0 / config.rope_theta**exponents
    return np.asarray((plain / rotary_frequencies(config)).numpy(), dtype=np.float32)


def _kind(name: str, weight: Tensor, precision: str, config: ModelConfig) -> str:
    """How one weight is stored. Norms stay whole, and the head keeps 8 bits where the rest has 4."""
    if weight.dim() == 1:
        return "F32"
    if precision in ("Q8_0", "Q4_0") and weight.shape[-1] % BLOCK:
        asked = precision.lower()
        raise ValueError(
            f"{name} has rows of {weight.shape[-1]} weights; {asked} stores {BLOCK} at once; choose float16"
        )
    head = "model.embed_tokens.weight" if config.tie_word_embeddings else "lm_head.weight"
    return "Q8_0" if precision == "Q4_0" and name == head else precision


def _bytes(weight: Tensor, kind: str) -> int:
    return round(weight.numel() * BITS[kind] / 8)


def _content(name: str, weight: Tensor, kind: str, gguf: ModuleType) -> np.ndarray[Any, Any]:
    """One weight's numbers as they stand in the file."""
    stored = converted(name, weight, DTYPES.get(kind, torch.float32))
    if kind in DTYPES:  # numpy has no bfloat16, and need not know what it writes
        return np.asarray(stored.view(torch.uint8).numpy())
    return np.asarray(gguf.quants.quantize(stored.numpy(), gguf.GGMLQuantizationType[kind]))


def _describe(writer: Any, opened: Opened, precision: str, gguf: ModuleType) -> None:
    """The file's facts: whose model it is, its shape, its tokenizer."""
    config, card = opened.config, opened.card or {}
    writer.add_type("model")
    writer.add_name(opened.name)
    if card.get("licence"):
        writer.add_license(str(card["licence"]))
    kind = precision if precision == "F32" else f"MOSTLY_{precision}"
    writer.add_file_type(gguf.LlamaFileType["ALL_F32" if precision == "F32" else kind])
    writer.add_quantization_version(gguf.GGML_QUANT_VERSION)
    writer.add_vocab_size(config.vocab_size)
    writer.add_context_length(config.max_position_embeddings)
    writer.add_embedding_length(config.hidden_size)
    writer.add_block_count(config.num_hidden_layers)
    writer.add_feed_forward_length(config.intermediate_size)
    writer.add_head_count(config.num_attention_heads)
    writer.add_head_count_kv(config.num_key_value_heads)
    writer.add_key_length(config.head_dim)
    writer.add_value_length(config.head_dim)
    writer.add_rope_dimension_count(config.head_dim)
    writer.add_rope_freq_base(config.rope_theta)
    writer.add_layer_norm_rms_eps(config.rms_norm_eps)
    _describe_tokenizer(writer, opened)


def _describe_tokenizer(writer: Any, opened: Opened) -> None:
    words, ids = vocabulary(opened.tokenizer, opened.config.vocab_size), special_ids(opened)
    if not ids.eos:
        raise ValueError("this tokenizer has no special token that ends a text, which llama.cpp cannot do without")
    writer.add_tokenizer_model(words.model)
    writer.add_tokenizer_pre(words.split)
    writer.add_token_list(words.tokens)
    writer.add_token_types(words.kinds)
    if words.model == "llama":
        writer.add_token_scores(words.scores)
        writer.add_add_space_prefix(True)
        if words.unknown is not None:
            writer.add_unk_token_id(words.unknown)
    else:
        writer.add_token_merges(words.merges)
    # llama.cpp takes some id of its own where one is not named: GPT-2's end of text begins texts as well.
    writer.add_bos_token_id(ids.eos[0] if ids.bos is None else ids.bos)
    writer.add_eos_token_id(ids.eos[0])
    if ids.pad is not None:
        writer.add_pad_token_id(ids.pad)
    writer.add_add_bos_token(ids.bos is not None)
    writer.add_add_eos_token(False)
    if template := chat_template(opened):
        writer.add_chat_template(template)
