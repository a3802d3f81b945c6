"""What happens when a head is switched off, turned up or down, or made to say what it says of another text.

    N  versions side by side      L  layers      H  query heads of each      T  tokens      D  head_dim

A map shows where a head looks; only taking its output away shows whether the answer needs it. The weights are never
touched: a copy of the model's structure over the same weights does the changed runs, so that others can go on using it.
"""

from __future__ import annotations

import copy
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from litellama.explain.scoring import TOKENS_AT_ONCE, ScoringProgress, Target
from litellama.explain.tokenized_run import TokenizedRun
from litellama.model import LiteLlama
from litellama.quantize import is_quantized

LEAD = 0.1
"""In logits: by so much a token leads where weights are quantized. Their products differ by less between a batch and
one token at a time, so that what stays here stays when the answer is written."""

SINGLY = 40
"""With so many heads left or fewer, a search for the smallest set switches them off one after another."""


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
    copied(torch.tensor([list(ids)], device=model.device), logits_to_keep=1)
    return torch.stack(found).unflatten(-1, (model.config.num_attention_heads, -1))


@dataclass(frozen=True)
class Scored:
    """Some versions' row numbers, their scores as in `Scorer`, and whether greedy decoding would still give the target
    (n each)."""

    rows: Tensor
    scores: Tensor
    stays: Tensor


@torch.inference_mode()
def iter_scores(
    model: LiteLlama,
    reading: TokenizedRun,
    target: Target,
    scales: Tensor,
    patch: Tensor | None = None,
    patched: Tensor | None = None,
) -> Iterator[Scored]:
    """The target's score in each version of the model (see `with_heads`), batch by batch of about `TOKENS_AT_ONCE`
    tokens.

    Below its first changed layer a version is the model itself. So each batch begins there, with the states that one
    run of the model gave; versions that begin in the same layer go together.
    """
    layers, device = model.config.num_hidden_layers, model.device
    ids = torch.tensor([reading.ids[: target.end - 1]], device=device)
    common = scales.amax(0)  # the scales that most versions share
    changed = (scales != common).any(-1)  # (N, L)
    if patched is not None:
        changed |= patched.any(-1)
    first = torch.where(changed.any(-1), changed.int().argmax(-1), layers)  # (N)
    states = with_heads(model, common[None])(ids, logits_to_keep=1, output_hidden_states=True).hidden_states
    for rows in first.argsort(stable=True).split(max(1, TOKENS_AT_ONCE // ids.shape[1])):
        start = int(first[rows].min())
        versions = with_heads(model, scales[rows], patch, None if patched is None else patched[rows])
        versions.model.layers = versions.model.layers[start:]
        entering = states[start].expand(len(rows), -1, -1)
        logits = versions(entering, logits_to_keep=target.end - target.start).logits.float()
        yield Scored(rows, *_score(logits, reading, target, LEAD if is_quantized(model) else 0))


def _score(logits: Tensor, reading: TokenizedRun, target: Target, lead: float) -> tuple[Tensor, Tensor]:
    """From the logits (N, answer, V) where the target's tokens are predicted: its scores, and whether it stays (N),
    each token by `lead` likelier than any other."""
    wanted = torch.tensor(reading.ids[target.start : target.end], device=logits.device)
    chosen = logits.gather(-1, wanted.expand(len(logits), -1)[..., None])[..., 0]  # (N, answer)
    if target.instead is not None:
        scores = chosen[:, 0] - logits[:, 0, target.instead]
    else:
        scores = (chosen - logits.logsumexp(-1)).sum(-1)
    others = logits.scatter(-1, wanted.expand(len(logits), -1)[..., None], -torch.inf).amax(-1)
    return scores.cpu(), (chosen - others >= lead).all(-1).cpu()


def scores_with_heads(
    model: LiteLlama,
    reading: TokenizedRun,
    target: Target,
    scales: Tensor,
    patch: Tensor | None = None,
    patched: Tensor | None = None,
) -> tuple[Tensor, Tensor]:
    """All versions' scores (N), and whether greedy decoding would still give the target (N)."""
    scores, stays = torch.empty(len(scales)), torch.empty(len(scales), dtype=torch.bool)
    for found in iter_scores(model, reading, target, scales, patch, patched):
        scores[found.rows], stays[found.rows] = found.scores, found.stays
    return scores, stays


# --- What each head is worth -----------------------------------------------------------------------------------------


@dataclass(frozen=True)
class HeadEffects:
    """`score` of the text as it is; `effects` (L, H): how the score changes when each head alone is changed."""

    score: float
    effects: Tensor


Work = Iterator[ScoringProgress | HeadEffects]


def iter_switch_off_each(model: LiteLlama, reading: TokenizedRun, target: Target) -> Work:
    """What the answer loses (below zero) or gains when each head alone is switched off. Close it to cancel."""
    one_each = _one_each(model)
    yield from _effects(model, one_each, iter_scores(model, reading, target, (~one_each).float()))


def iter_patch_each(model: LiteLlama, reading: TokenizedRun, target: Target, other: Sequence[int]) -> Work:
    """What becomes of the answer when each head alone says what it says of `other`, a text of as many tokens.

    Activation patching (Vig et al. 2020; Meng et al. 2022): with a text that differs in one word only, the heads that
    carry that word show. Raises `ValueError` if the lengths differ, since then their positions do not correspond.
    """
    read = target.end - 1
    if len(other) < read:
        raise ValueError(f"the other text has {len(other)} tokens; patching needs {read}, as many as the first has")
    patched = _one_each(model)
    patch = head_outputs(model, other[:read])
    yield from _effects(model, patched, iter_scores(model, reading, target, torch.ones(patched.shape), patch, patched))


def switch_off_each(model: LiteLlama, reading: TokenizedRun, target: Target) -> HeadEffects:
    """`iter_switch_off_each`, run to its end."""
    return _finished(iter_switch_off_each(model, reading, target))


def patch_each(model: LiteLlama, reading: TokenizedRun, target: Target, other: Sequence[int]) -> HeadEffects:
    """`iter_patch_each`, run to its end."""
    return _finished(iter_patch_each(model, reading, target, other))


def _one_each(model: LiteLlama) -> Tensor:
    """A version without a change, then for each head one in which it alone is marked: (1 + L * H, L, H) of bool."""
    layers, heads = model.config.num_hidden_layers, model.config.num_attention_heads
    marked = torch.eye(layers * heads, dtype=torch.bool).view(-1, layers, heads)
    return torch.cat((torch.zeros_like(marked[:1]), marked))


def _effects(model: LiteLlama, versions: Tensor, work: Iterator[Scored]) -> Work:
    scores, done, began = torch.empty(len(versions)), 0, time.perf_counter()
    for found in work:
        scores[found.rows] = found.scores
        done += len(found.rows)
        yield ScoringProgress(done, len(scores), (time.perf_counter() - began) / done * (len(scores) - done))
    yield HeadEffects(scores[0].item(), (scores[1:] - scores[0]).view(versions.shape[1:]))


def _finished(work: Work) -> HeadEffects:
    for news in work:
        if isinstance(news, HeadEffects):
            return news
    raise RuntimeError("the work ended without a result")


# --- The fewest heads ------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class HeadSearch:
    """How far a search is: the heads that are `left`, (L, H) of bool, and in its present round how many of them were
    `tried`, out of `to_try`."""

    left: Tensor
    tried: int
    to_try: int


def search_smallest_set(model: LiteLlama, reading: TokenizedRun, target: Target) -> Iterator[HeadSearch]:
    """Switch off ever more heads while greedy decoding still gives the target; the last state's `left` is the set.

    In each round heads are switched off one at a time, and the one that the answer misses least goes. With more than
    `SINGLY` left, a round leaves out those without which the answer changed before, and up to a quarter go at once, the
    least missed first: as many, by halving, as the answer stays without. The last round tries every head of the set:
    the answer changed with each, so none can be left out. Greedy, so a smaller set may exist. Close it to cancel.
    """
    left = torch.ones(model.config.num_hidden_layers, model.config.num_attention_heads, dtype=torch.bool)
    needed = torch.zeros_like(left)
    while left.any():
        count = int(left.sum())
        if count <= SINGLY or torch.equal(left, left & needed):
            needed.fill_(False)
        heads = (left & ~needed).nonzero()
        yield HeadSearch(left.clone(), 0, len(heads))
        scores, stays, tried = torch.empty(len(heads)), torch.empty(len(heads), dtype=torch.bool), 0
        for found in iter_scores(model, reading, target, _without(left, heads[:, None])):
            scores[found.rows], stays[found.rows] = found.scores, found.stays
            tried += len(found.rows)
            yield HeadSearch(left.clone(), tried, len(heads))
        if not stays.any():
            if len(heads) == count:
                return
            needed.fill_(False)  # with fewer heads left, perhaps they no longer are
            continue
        needed[tuple(heads[~stays].T)] = True
        least_missed = heads[scores.masked_fill(~stays, -torch.inf).argsort(descending=True, stable=True)]
        size = 1 if count <= SINGLY else min(int(stays.sum()), count // 4)
        while size > 1 and not _stays(model, reading, target, _without(left, least_missed[None, :size])):
            size //= 2
        left = _without(left, least_missed[None, :size])[0].bool()
    yield HeadSearch(left, 0, 0)


def smallest_set(model: LiteLlama, reading: TokenizedRun, target: Target) -> Iterator[Tensor]:
    """The sets that `search_smallest_set` goes through, (L, H) of bool, beginning with all heads."""
    last = None
    for state in search_smallest_set(model, reading, target):
        if last is None or not torch.equal(state.left, last):
            yield state.left
        last = state.left


def _without(left: Tensor, groups: Tensor) -> Tensor:
    """For each group of heads (N, n, 2), the scales (L, H) of those that are left without it: (N, L, H)."""
    scales = left.float().repeat(len(groups), 1, 1)
    scales[torch.arange(len(groups))[:, None], groups[..., 0], groups[..., 1]] = 0
    return scales


def _stays(model: LiteLlama, reading: TokenizedRun, target: Target, scales: Tensor) -> bool:
    return bool(scores_with_heads(model, reading, target, scales)[1].item())
