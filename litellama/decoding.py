"""One new token for each of several texts at once: `model.py`'s arithmetic again, in as few calls as it takes.

A new token needs every weight once and little arithmetic, so several texts that go on together cost hardly more than
one, and what is left of the time goes into the many small operations between the matrices. Here they are written out
for exactly this case. `model.py` reads the prompts; a test holds that both say the same.

Each text has a slot of one cache. The slots in use always stand in front, so that a step works on a slice and copies
nothing: when a text is over, the last slot takes its place.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from litellama.model import Block, KVCache, LiteLlama, RMSNorm, rotary_tables
from litellama.quantize import QuantizedLinear


@torch.inference_mode()
def read_tokens(model: LiteLlama, ids: Sequence[int], cache: KVCache) -> Tensor:
    """Read `ids` after what `cache` holds, all in one pass: the logits (V) of the token that follows."""
    return model(torch.tensor([list(ids)], device=model.device), cache=cache, logits_to_keep=1).logits[0, -1]


class Decoding:
    """The texts that one model is going on with, at most `slots` at once of at most `max_length` tokens each."""

    def __init__(self, model: LiteLlama, slots: int, max_length: int) -> None:
        self.model = model
        self.cache = KVCache(model.config, slots, max_length, model.dtype, model.device)
        self.lengths: list[int] = []
        """Tokens read so far in each slot in use."""
        size = model.config.head_dim
        positions = torch.arange(max_length, device=model.device)[None]
        cos, sin = (table[0, 0, :, None].to(model.dtype) for table in rotary_tables(model.model.rotary, positions))
        # `rotate` swaps the halves of a head and turns the sign of one: here the sign stands in the table.
        sign = torch.ones(size, device=model.device, dtype=model.dtype)
        sign[: size // 2] = -1
        self._cos, self._sin = cos, sin * sign  # (max_length, 1, D)
        self._eps = torch.full((1,), model.config.rms_norm_eps, device=model.device)
        self.hooked = is_hooked(model)

    def open(self) -> int:
        """Take a free slot; its number is how many were in use. Raises `ValueError` if there is none."""
        if len(self.lengths) == self.cache.keys.shape[1]:
            raise ValueError(f"all {len(self.lengths)} slots are in use; close one first")
        self.lengths.append(0)
        return len(self.lengths) - 1

    @torch.inference_mode()
    def close(self, slot: int) -> None:
        """Free a slot. The last one in use takes its number, unless it was the last."""
        last = len(self.lengths) - 1
        if slot != last:
            length = self.lengths[last]
            for part in (self.cache.keys, self.cache.values):
                part[:, slot, :, :length] = part[:, last, :, :length]
            self.lengths[slot] = length
        del self.lengths[last]

    @torch.inference_mode()
    def read(self, slot: int, ids: Sequence[int]) -> Tensor:
        """Read `ids` behind what the slot holds, all in one pass: the scores (V) of the token that follows."""
        cache = self.cache.row(slot, self.lengths[slot])
        logits = read_tokens(self.model, ids, cache)
        self.lengths[slot] = cache.length
        return logits

    @torch.inference_mode()
    def fill(self, slot: int, read: KVCache) -> None:
        """Put into an empty slot what was read of one text elsewhere."""
        end = read.length
        self.cache.keys[:, slot, :, :end] = read.keys[:, 0, :, :end]
        self.cache.values[:, slot, :, :end] = read.values[:, 0, :, :end]
        self.lengths[slot] = end

    @torch.inference_mode()
    def step(self, ids: Sequence[int]) -> Tensor:
        """Read one token in each slot in use, ids[i] in slot i: the scores (slots in use, V) of those that follow."""
        if len(ids) != len(self.lengths):
            raise ValueError(f"{len(ids)} tokens were given for {len(self.lengths)} slots in use; give one for each")
        if max(self.lengths) >= self.cache.max_length:
            raise ValueError(f"a slot is full with {self.cache.max_length} tokens; close it before the next step")
        if self.hooked:  # hooks are only called by the model's own forward
            return torch.stack([self.read(slot, [id]) for slot, id in enumerate(ids)])
        model, device = self.model, self.model.device
        x = model.model.embed_tokens(torch.tensor(list(ids), device=device))  # (N, E)
        positions = _Positions(self.lengths, self._cos, self._sin, device)
        for index, layer in enumerate(model.model.layers):
            assert isinstance(layer, Block)
            x = self._through(layer, index, x, positions)
        self.lengths = [length + 1 for length in self.lengths]
        logits = _multiply(_normed(x, model.model.norm, self._eps), model.lm_head)
        return logits[:, : model.config.sampled_vocab_size]

    def _through(self, layer: Block, index: int, x: Tensor, positions: _Positions) -> Tensor:
        """x (N, E) through one block."""
        attention, rows = layer.self_attn, len(x)
        size = attention.head_dim
        h = _normed(x, layer.input_layernorm, self._eps)
        heads = _multiply_all(h, attention, ("q_proj", "k_proj", "v_proj")).view(rows, -1, size)  # (N, H + 2 G, D)
        groups = self.cache.keys.shape[2]
        turned = heads[:, :-groups]  # queries and keys, (N, H + G, D)
        turned = torch.addcmul(turned * positions.cos, turned.roll(size // 2, -1), positions.sin)
        keys, values = self.cache.keys[index], self.cache.values[index]  # (slots, G, max_length, D)
        positions.write(keys, turned[:, -groups:])
        positions.write(values, heads[:, -groups:])
        query = turned[:, :-groups].view(rows, groups, -1, size)  # a group's query heads share its key head
        end = positions.end
        mixed = F.scaled_dot_product_attention(
            query, keys[:rows, :, :end], values[:rows, :, :end], attn_mask=positions.mask
        )  # (N, G, H / G, D)
        x = x + _multiply(mixed.reshape(rows, -1), attention.o_proj)
        h = _normed(x, layer.post_attention_layernorm, self._eps)
        gate, up = _multiply_all(h, layer.mlp, ("gate_proj", "up_proj")).chunk(2, dim=-1)
        return x + _multiply(F.silu(gate).mul_(up), layer.mlp.down_proj)


def is_hooked(model: nn.Module) -> bool:
    """Whether any module has hooks, by which somebody looks on or interferes (and FSDP brings its parts of the weights
    together)."""
    return any(module._forward_hooks or module._forward_pre_hooks for module in model.modules())


class _Positions:
    """Where each row's new token stands: its rotary angles, its position in the cache, and what it may attend to."""

    def __init__(self, lengths: Sequence[int], cos: Tensor, sin: Tensor, device: torch.device) -> None:
        self.end = max(lengths) + 1
        self.mask: Tensor | None = None
        if len(lengths) == 1:
            self.rows: Any = 0
            self.positions: Any = lengths[0]
            self.cos, self.sin = cos[lengths[0]], sin[lengths[0]]
            return
        self.positions = torch.tensor(list(lengths), device=device)
        self.rows = torch.arange(len(lengths), device=device)
        self.cos, self.sin = cos[self.positions], sin[self.positions]  # (N, 1, D)
        if min(lengths) < max(lengths):
            behind = torch.arange(self.end, device=device) > self.positions[:, None]
            self.mask = torch.zeros(behind.shape, dtype=cos.dtype, device=device).masked_fill_(behind, -torch.inf)
            self.mask = self.mask[:, None, None]  # (N, 1, 1, S)

    def write(self, cache: Tensor, new: Tensor) -> None:
        """Put each row's `new` (N, G, D) into a layer's cache (slots, G, max_length, D)."""
        cache[self.rows, :, self.positions] = new[0] if isinstance(self.rows, int) else new


def _normed(x: Tensor, norm: RMSNorm, eps: Tensor) -> Tensor:
    """x (N, E) through a norm; `eps` (1) is the norm's own, as a tensor."""
    length = torch.linalg.vector_norm(x, dim=-1, keepdim=True, dtype=torch.float32)
    factor = torch.addcmul(eps, length, length, value=1 / x.shape[1]).rsqrt_()  # 1 / sqrt(eps + mean of the squares)
    return (x * factor).to(x.dtype) * norm.weight


def _multiply(x: Tensor, linear: nn.Module) -> Tensor:
    """x (N, in) -> (N, out), without the detour through the module's own call."""
    if isinstance(linear, QuantizedLinear):
        return linear.multiply(x)
    if type(linear) is nn.Linear:
        return F.linear(x, linear.weight)
    result: Tensor = linear(x)  # somebody put something else there, such as LoRA
    return result


def _multiply_all(x: Tensor, part: nn.Module, names: tuple[str, ...]) -> Tensor:
    """x by several matrices, the results side by side: in one product where they rest in one piece."""
    joined = getattr(part, "joined", None)
    if joined is not None:
        return _multiply(x, joined)
    return torch.cat([_multiply(x, getattr(part, name)) for name in names], dim=-1)
