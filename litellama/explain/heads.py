"""What happens when a head is switched off, turned up or down, or made to say what it says of another text.

    N  versions side by side      L  layers      H  query heads of each      T  tokens      D  head_dim

A map shows where a head looks; only taking its output away shows whether the answer needs it. The weights are never
touched: a copy of the model's structure over the same weights does the changed runs, so that others can go on using it.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from litellama.explain.reading import Reading
from litellama.explain.scoring import Target
from litellama.model import LiteLlama

VERSIONS_AT_ONCE = 64


def with_heads(
    model: LiteLlama, scales: Tensor, patch: Tensor | None = None, patched: Tensor | None = None
) -> LiteLlama:
    """The same model with its heads' outputs multiplied by `scales` (N, L, H), one row for each text of the batch.

    Where `patched` (N, L, H) is true, a head gives what stands in `patch` (L, T, H, D) instead (see `head_outputs`).
    """
    shape = (model.config.num_hidden_layers, model.config.num_attention_heads)
    if tuple(scales.shape[1:]) != shape:
        raise ValueError(f"scales has shape {tuple(scales.shape)}; (N, {shape[0]}, {shape[1]}) was expected")
    copied = twin(model)
    for layer, projection in enumerate(_projections(copied)):

        def change(_: nn.Module, inputs: tuple[Tensor, ...], layer: int = layer) -> tuple[Tensor]:
            heads = inputs[0].unflatten(-1, (shape[1], -1))  # (N, T, H, D)
            heads = heads * scales[:, layer, None, :, None].to(heads)
            if patch is not None and patched is not None:
                chosen = patched[:, layer, None, :, None].to(heads.device)
                heads = torch.where(chosen, patch[layer].to(heads), heads)
            return (heads.flatten(-2),)

        projection.register_forward_pre_hook(change)
    return copied


def twin(model: LiteLlama) -> LiteLlama:
    """A copy of the modules, for hooks of its own, around the very same tensors."""
    shared: dict[int, Any] = {id(tensor): tensor for tensor in (*model.parameters(), *model.buffers())}
    return copy.deepcopy(model, shared)


def _projections(model: LiteLlama) -> list[nn.Module]:
    """Each layer's `o_proj`, whose input are the heads' outputs side by side."""
    return [
        model.get_submodule(f"model.layers.{layer}.self_attn.o_proj") for layer in range(model.config.num_hidden_layers)
    ]


@torch.inference_mode()
def head_outputs(model: LiteLlama, ids: Sequence[int]) -> Tensor:
    """What each head adds before the output projection mixes them, (L, T, H, D)."""
    found: list[Tensor] = []
    copied = twin(model)
    for projection in _projections(copied):
        projection.register_forward_pre_hook(lambda _, inputs: found.append(inputs[0][0]))
    copied(torch.tensor([list(ids)], device=model.device), last_only=True)
    return torch.stack(found).unflatten(-1, (model.config.num_attention_heads, -1))


@torch.inference_mode()
def scores_with_heads(
    model: LiteLlama,
    reading: Reading,
    target: Target,
    scales: Tensor,
    patch: Tensor | None = None,
    patched: Tensor | None = None,
) -> tuple[Tensor, Tensor]:
    """The target's score (N), as in `Scorer`, and whether greedy decoding would still give it (N), row by row."""
    device = model.device
    ids = torch.tensor(reading.ids[: target.end - 1], device=device)
    wanted = torch.tensor(reading.ids[target.start : target.end], device=device)
    scores, kept = [], []
    for start in range(0, len(scales), VERSIONS_AT_ONCE):
        rows = slice(start, start + VERSIONS_AT_ONCE)
        twin = with_heads(model, scales[rows], patch, None if patched is None else patched[rows])
        hidden, _, _ = twin.model(ids.expand(len(scales[rows]), -1), None, None, False)
        logits = twin.lm_head(hidden[:, target.start - 1 :])[..., : model.config.sampled_vocab_size].float()
        if target.instead is not None:
            scores.append(logits[:, 0, wanted[0]] - logits[:, 0, target.instead])
        else:
            logs = logits.log_softmax(-1)
            scores.append(logs.gather(-1, wanted.expand(len(logs), -1)[..., None])[..., 0].sum(-1))
        kept.append((logits.argmax(-1) == wanted).all(-1))
    return torch.cat(scores).cpu(), torch.cat(kept).cpu()


@dataclass(frozen=True)
class HeadEffects:
    """`score` of the text as it is; `effects` (L, H): how the score changes when each head alone is changed."""

    score: float
    effects: Tensor


def switch_off_each(model: LiteLlama, reading: Reading, target: Target) -> HeadEffects:
    """What the answer loses (below zero) or gains when each head alone is switched off."""
    layers, heads = model.config.num_hidden_layers, model.config.num_attention_heads
    scales = torch.ones(layers * heads + 1, layers, heads)
    for number in range(layers * heads):
        scales[number + 1, number // heads, number % heads] = 0
    scores, _ = scores_with_heads(model, reading, target, scales)
    return HeadEffects(scores[0].item(), (scores[1:] - scores[0]).view(layers, heads))


def patch_each(model: LiteLlama, reading: Reading, target: Target, other: Sequence[int]) -> HeadEffects:
    """What becomes of the answer when each head alone says what it says of `other`, a text of as many tokens.

    Activation patching (Vig et al. 2020; Meng et al. 2022): with a text that differs in one word only, the heads that
    carry that word show. Raises `ValueError` if the lengths differ, for then no place of one is a place of the other.
    """
    read = target.end - 1
    if len(other) < read:
        raise ValueError(f"the other text has {len(other)} tokens; patching needs {read}, as many as the first has")
    layers, heads = model.config.num_hidden_layers, model.config.num_attention_heads
    patched = torch.zeros(layers * heads + 1, layers, heads, dtype=torch.bool)
    for number in range(layers * heads):
        patched[number + 1, number // heads, number % heads] = True
    patch = head_outputs(model, other[:read])
    scores, _ = scores_with_heads(model, reading, target, torch.ones(patched.shape), patch, patched)
    return HeadEffects(scores[0].item(), (scores[1:] - scores[0]).view(layers, heads))


def smallest_set(model: LiteLlama, reading: Reading, target: Target) -> Iterator[Tensor]:
    """Switch heads off one after another, each time the one that the answer misses least, while greedy decoding still
    gives it. Yields which heads are left, (L, H) of bool, beginning with all of them; the last one is the set.

    Greedy, so a smaller set may exist; none can be had from this one by taking one more head away.
    """
    left = torch.ones(model.config.num_hidden_layers, model.config.num_attention_heads, dtype=torch.bool)
    yield left.clone()
    while left.any():
        places = left.nonzero()
        scales = left.float().repeat(len(places), 1, 1)
        for number, (layer, head) in enumerate(places.tolist()):
            scales[number, layer, head] = 0
        scores, kept = scores_with_heads(model, reading, target, scales)
        if not kept.any():
            return
        layer, head = places[int(scores.masked_fill(~kept, -torch.inf).argmax())].tolist()
        left[layer, head] = False
        yield left.clone()
