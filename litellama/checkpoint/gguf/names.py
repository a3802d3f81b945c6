"""llama.cpp's names of the weights, and its order of the rows of q_proj and k_proj."""

from __future__ import annotations

from torch import Tensor

FACTORS = "rope_freqs.weight"
"""By how much each rotary pair is slowed down (D / 2), where one is: no weight, but stored like one."""

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


def turns(name: str) -> bool:
    """Whether a weight's rows stand in another order there: those that rotary positions turn."""
    return name.endswith(("q_proj.weight", "k_proj.weight"))


def pair_neighbours(weight: Tensor, head_dim: int) -> Tensor:
    """The rows of q_proj or k_proj (heads * D, E) in llama.cpp's order, whose rotary pairs stand side by side.

    Here x_i turns with x_{i+D/2}; there x_2i with x_{2i+1}. Scores are sums over a head, so the order is free. Meta's
    own files have that order too.
    """
    rows, size = weight.shape
    return weight.view(rows // head_dim, 2, head_dim // 2, size).transpose(1, 2).reshape(rows, size)


def pair_halves(weight: Tensor, head_dim: int) -> Tensor:
    """The reverse of `pair_neighbours`: rows (heads * D, E) in the order of `model.py` and of Hugging Face."""
    rows, size = weight.shape
    return weight.view(rows // head_dim, head_dim // 2, 2, size).transpose(1, 2).reshape(rows, size)
