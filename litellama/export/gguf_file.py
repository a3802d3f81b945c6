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
from litellama.config import ModelConfig
from litellama.export.frame import chat_template, frame
from litellama.export.vocabulary import vocabulary
from litellama.model import rotary_frequencies

BLOCK = 32  # weights that share one scale in Q8_0 and Q4_0

PRECISIONS = {"float32": "F32", "float16": "F16", "bfloat16": "BF16", "q8_0": "Q8_0", "q4_0": "Q4_0"}
"""What `--dtype` calls them -> what llama.cpp does."""

BITS = {"F32": 32, "F16": 16, "BF16": 16, "Q8_0": 8.5, "Q4_0": 4.5}

_OUTSIDE = {
    "model.embed_tokens.weight": "token_embd.weight",
    "model.norm.weight": "output_norm.weight",
    "lm_head.weight": "output.weight",
}
_INSIDE = {
    "input_layernorm": "attn_norm", "self_attn.q_proj": "attn_q", "self_attn.k_proj": "attn_k",
    "self_attn.v_proj": "attn_v", "self_attn.o_proj": "attn_output", "post_attention_layernorm": "ffn_norm",
    "mlp.gate_proj": "ffn_gate", "mlp.up_proj": "ffn_up", "mlp.down_proj": "ffn_down",
}  # fmt: skip


def gguf_name(name: str) -> str:
    """llama.cpp's name of a weight: model.layers.3.mlp.up_proj.weight -> blk.3.ffn_up.weight"""
    if name in _OUTSIDE:
        return _OUTSIDE[name]
    _, _, layer, part = name.removesuffix(".weight").split(".", 3)
    return f"blk.{layer}.{_INSIDE[part]}.weight"


def pair_neighbours(weight: Tensor, head_dim: int) -> Tensor:
    """The rows of q_proj or k_proj (heads * D, E) in llama.cpp's order, whose rotary pairs stand side by side.

    Here x_i turns with x_{i+D/2}; there x_2i with x_{2i+1}. Scores are sums over a head, so the order is free.
    """
    rows, size = weight.shape
    return weight.view(rows // head_dim, 2, head_dim // 2, size).transpose(1, 2).reshape(rows, size)


def write_gguf(opened: Opened, path: Path, precision: str) -> Iterator[int]:
    """Write a model as one GGUF file, one weight in memory at a time; yields the bytes of each weight written.

    Raises `ValueError` for a `precision` (a name of llama.cpp's) that does not fit the model's shape or numbers, a
    tokenizer that llama.cpp does not know, and where the library gguf is missing.
    """
    gguf = _library()
    config = opened.config
    kinds = {stored: _kind(stored, shape, precision, config) for stored, shape in _shapes(opened).items()}
    writer = gguf.GGUFWriter(path, "llama")
    try:
        _describe(writer, opened, precision, gguf)
        for stored, kind in kinds.items():
            shape = _shapes(opened)[stored]
            size = round(int(np.prod(shape)) * BITS[kind] / 8)
            writer.add_tensor_info(
                gguf_name(stored), shape, np.dtype(np.float32), size, gguf.GGMLQuantizationType[kind]
            )
        factors = rotary_factors(config)
        if factors is not None:
            writer.add_tensor_info("rope_freqs.weight", factors.shape, factors.dtype, factors.nbytes)
        writer.write_header_to_file()
        writer.write_kv_data_to_file()
        writer.write_ti_data_to_file()
        weights = opened.model.state_dict()
        for stored, kind in kinds.items():
            weight = weights[stored]
            if stored.endswith(("q_proj.weight", "k_proj.weight")):
                weight = pair_neighbours(weight, config.head_dim)
            content = _content(weight, kind, stored, gguf)
            writer.write_tensor_data(content)
            yield content.nbytes
        if factors is not None:
            writer.write_tensor_data(factors)
    finally:
        writer.close()


def gguf_bytes(opened: Opened, precision: str) -> int:
    """About how large the file becomes: its weights; names and vocabulary add little."""
    shapes = _shapes(opened)
    return sum(
        round(int(np.prod(shape)) * BITS[_kind(name, shape, precision, opened.config)] / 8)
        for name, shape in shapes.items()
    )


def rotary_factors(config: ModelConfig) -> np.ndarray[Any, np.dtype[np.float32]] | None:
    """By how much each rotary pair is slowed down, (D / 2,); None where none is. llama.cpp divides by these."""
    if config.rope_scaling is None:
        return None
    exponents = torch.arange(0, config.head_dim, 2, dtype=torch.float32) / config.head_dim
    plain = 1.0 / config.rope_theta**exponents
    return np.asarray((plain / rotary_frequencies(config)).numpy(), dtype=np.float32)


def _library() -> ModuleType:
    try:
        import gguf
    except ModuleNotFoundError:
        raise ValueError(
            "GGUF files are written by the library gguf, which is not installed here; install it by: "
            "python -m pip install gguf"
        ) from None
    return gguf


def _shapes(opened: Opened) -> dict[str, tuple[int, ...]]:
    """Shapes by name of the weights to be written; a tied head is the embedding again."""
    tied = {"lm_head.weight"} if opened.config.tie_word_embeddings else set()
    return {name: tuple(w.shape) for name, w in opened.model.state_dict().items() if name not in tied}


def _kind(name: str, shape: tuple[int, ...], precision: str, config: ModelConfig) -> str:
    """How one weight is stored. Norms stay whole, and the head keeps 8 bits where the rest has 4."""
    if len(shape) == 1:
        return "F32"
    if precision in ("Q8_0", "Q4_0") and shape[-1] % BLOCK:
        raise ValueError(
            f"{name} has rows of {shape[-1]} weights, and {precision.lower()} stores them by {BLOCK}; choose float16"
        )
    head = "model.embed_tokens.weight" if config.tie_word_embeddings else "lm_head.weight"
    return "Q8_0" if precision == "Q4_0" and name == head else precision


def _content(weight: Tensor, kind: str, name: str, gguf: ModuleType) -> np.ndarray[Any, Any]:
    """One weight's numbers as they stand in the file."""
    if kind in ("F32", "F16", "BF16"):
        dtype = {"F32": torch.float32, "F16": torch.float16, "BF16": torch.bfloat16}[kind]
        stored = weight.detach().to(dtype).contiguous()
        if not torch.isfinite(stored).all():
            raise ValueError(f"{name} holds numbers that are too large for {kind}; choose bfloat16 or float32")
        return np.asarray((stored.view(torch.int16) if kind == "BF16" else stored).numpy())
    whole = weight.detach().float().contiguous().numpy()
    return np.asarray(gguf.quants.quantize(whole, gguf.GGMLQuantizationType[kind]))


def _describe(writer: Any, opened: Opened, precision: str, gguf: ModuleType) -> None:
    """The file's facts: whose model it is, its shape, its tokenizer."""
    config, card = opened.config, opened.card or {}
    writer.add_type("model")
    writer.add_name(opened.folder.name)
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
    words, ids = vocabulary(opened.tokenizer, opened.config.vocab_size), frame(opened)
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
