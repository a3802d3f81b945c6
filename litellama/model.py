"""The Llama model, to be read from top to bottom: each class uses only what stands above it.

Shapes, here and everywhere in the lab:
    B  batch (sequences side by side)           E  hidden_size
    T  new tokens of this call                  H  num_attention_heads, the query heads
    S  tokens attended to (cached + new)        G  num_key_value_heads; H / G query heads share one
    V  tokens (vocab_size, or fewer)            D  head_dim

Weights carry Hugging Face's Llama names, so a LiteLlama, TinyLlama or LLaMA 2 folder loads without a map.
LLaMA 2: Touvron et al. 2023, https://arxiv.org/abs/2307.09288.
"""

from __future__ import annotations

import copy
import math
import mmap
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from litellama.config import ModelConfig


class RMSNorm(nn.Module):
    """y = x / sqrt(mean(x^2) + eps) * weight: LayerNorm without the mean and the bias (Zhang & Sennrich 2019)."""

    def __init__(self, size: int, eps: float) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(size))
        self.eps = eps

    def forward(self, x: Tensor) -> Tensor:
        # In float32: the square of a 16-bit activation can overflow, and the mean loses digits.
        wide = x.float()
        wide = wide * torch.rsqrt(wide.square().mean(-1, keepdim=True) + self.eps)
        return self.weight * wide.to(x.dtype)


def rotary_frequencies(config: ModelConfig) -> Tensor:
    """Angle in radians by which pair i turns per position: theta^(-2i/D), shape (D / 2,). RoFormer, Su et al. 2021.

    With Llama 3's scaling, slow pairs (whose full turn is longer than the original context) turn `factor` times slower,
    fast ones stay, and those between are blended.
    """
    # On the CPU even inside `torch.device("meta")`: these are numbers of the config, not weights to be loaded.
    exponents = torch.arange(0, config.head_dim, 2, dtype=torch.float32, device="cpu") / config.head_dim
    frequencies = 1.0 / config.rope_theta**exponents
    scaling = config.rope_scaling
    if scaling is None:
        return frequencies
    turns = scaling.original_max_position_embeddings * frequencies / (2 * math.pi)  # full turns within the old context
    keep = (turns - scaling.low_freq_factor) / (scaling.high_freq_factor - scaling.low_freq_factor)
    keep = keep.clamp(0, 1)  # 1: fast pair, untouched; 0: slow pair, fully rescaled
    return keep * frequencies + (1 - keep) * frequencies / scaling.factor


def rotary_tables(frequencies: Tensor, positions: Tensor) -> tuple[Tensor, Tensor]:
    """Cosine and sine of every pair's angle at `positions` (B, T): two tables of shape (B, 1, T, D)."""
    angles = positions[:, :, None].float() * frequencies  # (B, T, D/2)
    angles = torch.cat((angles, angles), dim=-1)[:, None]  # (B, 1, T, D): the same for every head
    return angles.cos(), angles.sin()


def rotate(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    """Turn each pair (x_i, x_{i+D/2}) of `x` (B, H, T, D) by its position's angle.

    Only differences of positions survive in a query-key product, which is why the embedding is called relative.
    Pairs lie half a head apart, as in Hugging Face's weights (Meta's own files pair neighbours).
    """
    first, second = x.chunk(2, dim=-1)
    return x * cos.to(x.dtype) + torch.cat((-second, first), dim=-1) * sin.to(x.dtype)


def _blank(shape: tuple[int, ...], dtype: torch.dtype, device: torch.device | str) -> Tensor:
    """Zeros that take memory only where they are written to; `torch.zeros` writes all of them."""
    if torch.device(device).type != "cpu":
        return torch.zeros(shape, dtype=dtype, device=device)
    try:
        memory = mmap.mmap(-1, math.prod(shape) * dtype.itemsize)
    except OSError as error:
        raise MemoryError(f"no memory for a cache of the shape {shape}") from error
    if hasattr(mmap, "MADV_NOHUGEPAGE"):  # with huge pages, one token of one head would take 2 MB
        memory.madvise(mmap.MADV_NOHUGEPAGE)
    return torch.frombuffer(memory, dtype=dtype).view(shape)


class KVCache:
    """Keys and values of the tokens already read, so that each new token costs one step instead of a full re-read.

    One pair of tensors (B, G, max_length, D) per layer, allocated once; the first `length` positions are filled.
    """

    def __init__(
        self,
        config: ModelConfig,
        batch_size: int,
        max_length: int,
        dtype: torch.dtype = torch.float32,
        device: torch.device | str = "cpu",
    ) -> None:
        shape = (config.num_hidden_layers, batch_size, config.num_key_value_heads, max_length, config.head_dim)
        self.keys, self.values = _blank(shape, dtype, device), _blank(shape, dtype, device)
        self.length = 0

    @property
    def max_length(self) -> int:
        return self.keys.shape[3]

    def row(self, index: int, length: int) -> KVCache:
        """One sequence of the batch, of which `length` tokens are read: a cache that shares this one's memory."""
        row = copy.copy(self)
        row.keys, row.values, row.length = self.keys[:, index : index + 1], self.values[:, index : index + 1], length
        return row

    def extend(self, layer: int, keys: Tensor, values: Tensor) -> tuple[Tensor, Tensor]:
        """Write one layer's new keys and values (B, G, T, D) behind the old; return all so far (B, G, S, D)."""
        end = self.length + keys.shape[2]
        if end > self.max_length:
            raise ValueError(f"the cache holds {self.max_length} tokens and {end} were asked for; make a longer one")
        self.keys[layer, :, :, self.length : end] = keys
        self.values[layer, :, :, self.length : end] = values
        return self.keys[layer, :, :, :end], self.values[layer, :, :, :end]


def attend(query: Tensor, key: Tensor, value: Tensor, mask: Tensor | None) -> Tensor:
    """The fast path: softmax(Q K^T / sqrt(D)) V in one fused call. `mask` None means plain causal."""
    if query.shape[2] == 1:
        # One token's query heads of a group can ask their shared key head as if they were several tokens: on a CPU
        # that is many times as fast as having each shared head repeated.
        grouped = query.reshape(len(query), key.shape[1], -1, query.shape[3])  # (B, G, H/G, D)
        return F.scaled_dot_product_attention(grouped, key, value, attn_mask=mask).reshape(query.shape)
    return F.scaled_dot_product_attention(query, key, value, attn_mask=mask, is_causal=mask is None, enable_gqa=True)


def attend_explicitly(query: Tensor, key: Tensor, value: Tensor, mask: Tensor | None) -> tuple[Tensor, Tensor]:
    """The same step by step, which gives the weights (B, H, T, S) as well (Vaswani et al. 2017, section 3.2.1)."""
    batch, heads, new, size = query.shape
    groups, total = key.shape[1:3]
    if mask is None:
        mask = torch.ones(new, total, dtype=torch.bool, device=query.device).tril()
    forbidden = torch.zeros(mask.shape, dtype=query.dtype, device=query.device).masked_fill(~mask, -torch.inf)
    # The query heads of a group stand below one another and so meet their shared key head in one product.
    query = (query / math.sqrt(size)).reshape(batch, groups, -1, size)  # (B, G, H/G * T, D)
    scores = (query @ key.transpose(-2, -1)).view(batch, heads, new, total) + forbidden
    weights = scores.softmax(dim=-1)  # (B, H, T, S)
    mixed = weights.view(batch, groups, -1, total) @ value  # (B, G, H/G * T, D)
    return mixed.view(batch, heads, new, size), weights


class Attention(nn.Module):
    """Grouped-query self-attention with rotary positions."""

    def __init__(self, config: ModelConfig, layer: int) -> None:
        super().__init__()
        self.layer = layer
        self.head_dim = config.head_dim
        self.q_proj = nn.Linear(config.hidden_size, config.num_attention_heads * config.head_dim, bias=False)
        self.k_proj = nn.Linear(config.hidden_size, config.num_key_value_heads * config.head_dim, bias=False)
        self.v_proj = nn.Linear(config.hidden_size, config.num_key_value_heads * config.head_dim, bias=False)
        self.o_proj = nn.Linear(config.num_attention_heads * config.head_dim, config.hidden_size, bias=False)

    def forward(
        self, x: Tensor, cos: Tensor, sin: Tensor, mask: Tensor | None, cache: KVCache | None, explicit: bool
    ) -> tuple[Tensor, Tensor | None]:
        """x (B, T, E) -> the mixed values (B, T, E), and the weights (B, H, T, S) when `explicit`."""
        batch, new, _ = x.shape
        query, key, value = (
            projection(x).view(batch, new, -1, self.head_dim).transpose(1, 2)  # (B, H or G, T, D)
            for projection in (self.q_proj, self.k_proj, self.v_proj)
        )
        query, key = rotate(query, cos, sin), rotate(key, cos, sin)
        if cache is not None:
            key, value = cache.extend(self.layer, key, value)  # (B, G, S, D)
        weights = None
        if explicit:
            mixed, weights = attend_explicitly(query, key, value, mask)
        else:
            mixed = attend(query, key, value, mask)
        return self.o_proj(mixed.transpose(1, 2).reshape(batch, new, -1)), weights


class FeedForward(nn.Module):
    """SwiGLU: down(silu(gate(x)) * up(x)) (Shazeer 2020)."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.gate_proj = nn.Linear(config.hidden_size, config.intermediate_size, bias=False)
        self.up_proj = nn.Linear(config.hidden_size, config.intermediate_size, bias=False)
        self.down_proj = nn.Linear(config.intermediate_size, config.hidden_size, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        return self.down_proj(F.silu(self.gate_proj(x)) * self.up_proj(x))


class Block(nn.Module):
    """One layer: attention moves information between tokens, the feed-forward works on each token alone."""

    def __init__(self, config: ModelConfig, layer: int) -> None:
        super().__init__()
        self.input_layernorm = RMSNorm(config.hidden_size, config.rms_norm_eps)
        self.self_attn = Attention(config, layer)
        self.post_attention_layernorm = RMSNorm(config.hidden_size, config.rms_norm_eps)
        self.mlp = FeedForward(config)

    def forward(
        self, x: Tensor, cos: Tensor, sin: Tensor, mask: Tensor | None, cache: KVCache | None, explicit: bool
    ) -> tuple[Tensor, Tensor | None]:
        mixed, weights = self.self_attn(self.input_layernorm(x), cos, sin, mask, cache, explicit)
        h = x + mixed
        return h + self.mlp(self.post_attention_layernorm(h)), weights


@dataclass(frozen=True)
class Output:
    """What one forward pass gives.

    `logits` (B, T, V), one for each token of the tokenizer: some models have more rows, which no token stands for.
    `final` (B, T, E): the residual stream after the final norm, which the head reads. Empty unless asked for:
    `attentions`, per layer (B, H, T, S); `hidden_states`, the residual stream (B, T, E) before the first layer and
    after each one (the last before the final norm).
    """

    logits: Tensor
    final: Tensor
    attentions: tuple[Tensor, ...]
    hidden_states: tuple[Tensor, ...]


class Decoder(nn.Module):
    """Embedding, the stack of blocks, the final norm: everything but the head."""

    rotary: Tensor

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        # Uniform like the linear layers: nn.Embedding's own normal_ makes `empty_model` load torch's compiler.
        embeddings = torch.empty(config.vocab_size, config.hidden_size).uniform_(-0.03, 0.03)
        self.embed_tokens = nn.Embedding.from_pretrained(embeddings, freeze=False)
        self.layers = nn.ModuleList(Block(config, layer) for layer in range(config.num_hidden_layers))
        self.norm = RMSNorm(config.hidden_size, config.rms_norm_eps)
        self.register_buffer("rotary", rotary_frequencies(config), persistent=False)

    def forward(
        self, inputs: Tensor, labels: list[Tensor], cache: KVCache | None, explicit: bool
    ) -> tuple[Tensor, list[Tensor], list[Tensor]]:
        """inputs: ids (B, T) or embeddings (B, T, E) -> normed states (B, T, E), attention weights, residual stream."""
        x = self.embed_tokens(inputs) if inputs.dim() == 2 else inputs
        positions, mask = _positions_and_mask(x, labels, cache.length if cache else 0)
        cos, sin = rotary_tables(self.rotary, positions)
        attentions, hidden_states = [], [x]
        for layer in self.layers:
            x, weights = layer(x, cos, sin, mask, cache, explicit)
            hidden_states.append(x)
            if weights is not None:
                attentions.append(weights)
        if cache is not None:
            cache.length += x.shape[1]
        return self.norm(x), attentions, hidden_states


def _positions_and_mask(x: Tensor, labels: list[Tensor], past: int) -> tuple[Tensor, Tensor | None]:
    """Each new token's position (B, T), and who may be attended to: (B, 1, T, S) or (T, S), None for plain causal.

    `labels` are (B, S) each: a token sees those earlier ones whose labels are its own.
    """
    new, device = x.shape[1], x.device
    seen = torch.ones(new, past + new, dtype=torch.bool, device=device).tril(diagonal=past)
    if not labels:
        positions = torch.arange(past, past + new, device=device)[None]  # (1, T)
        return positions, None if past == 0 else seen
    for label in labels:  # padding sees padding: over nothing, softmax would be NaN
        seen = seen & (label[:, past:, None] == label[:, None])  # (B, T, S)
    return seen.sum(-1) - 1, seen[:, None]


class LiteLlama(nn.Module):
    """The whole language model: ids in, a score for every possible next token out."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.config = config
        self.model = Decoder(config)
        self.lm_head = nn.Linear(config.hidden_size, config.vocab_size, bias=False)
        if config.tie_word_embeddings:
            self.lm_head.weight = self.model.embed_tokens.weight

    @property
    def device(self) -> torch.device:
        return self.model.norm.weight.device

    @property
    def dtype(self) -> torch.dtype:
        """Of the activations; the matrices may be stored in a smaller form (`quantize.py`)."""
        return self.model.norm.weight.dtype

    def forward(
        self,
        inputs: Tensor,
        *,
        attention_mask: Tensor | None = None,
        document_ids: Tensor | None = None,
        cache: KVCache | None = None,
        logits_to_keep: int | Tensor | None = None,
        padding_rows: bool = False,
        output_attentions: bool = False,
        output_hidden_states: bool = False,
    ) -> Output:
        """Read `inputs`, ids (B, T) or embeddings (B, T, E), after what `cache` holds.

        Cached and new tokens together have an `attention_mask` (B, S), 1 for real ones and 0 for padding, and where
        a row holds several texts `document_ids` (B, S): a token sees its own text alone. `logits_to_keep`: only of the
        last n positions (B, n, V), or of those where a mask (B, T) is true (N, V). `padding_rows` adds the logits that
        no token has, as the training loss needs them. Attentions take the explicit softmax path, all else the fused.
        """
        labels = [label for label in (attention_mask, document_ids) if label is not None]
        final, attentions, hidden_states = self.model(inputs, labels, cache, output_attentions)
        if isinstance(logits_to_keep, Tensor):
            kept = final[logits_to_keep]
        else:
            kept = final if logits_to_keep is None else final[:, final.shape[1] - logits_to_keep :]
        logits = self.lm_head(kept) if padding_rows else self.logits(kept)
        return Output(logits, final, tuple(attentions), tuple(hidden_states) if output_hidden_states else ())

    def logits(self, final: Tensor) -> Tensor:
        """States after the final norm (..., E) -> a score for each token (..., V)."""
        return self.lm_head(final)[..., : self.config.sampled_vocab_size]


def empty_model(config: ModelConfig) -> LiteLlama:
    """The model's structure without memory behind its weights (torch's meta device): to count, inspect or load into."""
    with torch.device("meta"):
        return LiteLlama(config)
