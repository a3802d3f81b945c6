"""What every head looked at, and what each head does.

    L  layers      H  query heads of each      W  tokens that look (the window)      S  tokens that can be looked at

A map is not an explanation: that a head looks at a word doesn't prove that the answer rests on it (Jain & Wallace 2019,
"Attention is not Explanation"); `trust` measures how often it does.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from litellama.explain.tokenized_run import TokenizedRun, Unit
from litellama.model import KVCache, LiteLlama
from litellama.tokenizer import Tokenizer

LONGEST_WINDOW = 512
"""So many tokens' maps are made at once; of a longer text, a window."""

ROLES = ("previous token", "first token", "same token", "induction", "current word")
ROLE_THRESHOLD = 0.4
"""A head has a role when it puts at least this share of its attention there."""

PROBE_LENGTH, PROBES = 40, 8


@dataclass(frozen=True)
class AttentionMaps:
    """`weights` (L, H, W, S): how much token `start` + w of the text looked at token s; each row sums to 1."""

    weights: Tensor
    start: int

    @property
    def by_layer(self) -> Tensor:
        """The heads' mean in each layer, (L, W, S)."""
        return self.weights.float().mean(1)

    def thumbnails(self, size: int) -> Tensor:
        """Each head's map of the window, at most `size` x `size`: (L, H, w, w). A pixel is the largest weight it
        covers, since a mean would let a sharp head's single line fade away."""
        window = self.weights[..., self.start :].float()
        layers, heads, length, _ = window.shape
        side = min(size, length)
        return F.adaptive_max_pool2d(window.reshape(1, layers * heads, length, length), side).view(
            layers, heads, side, side
        )


@torch.inference_mode()
def attention_maps(model: LiteLlama, ids: Sequence[int], start: int = 0, end: int | None = None) -> AttentionMaps:
    """The maps of tokens `start` to `end` of one text, looking at everything before them as well.

    What stands before the window is read with the fast path into the cache, so a window costs little more than itself.

    Raises `ValueError` for an empty text or window, one longer than `LONGEST_WINDOW`, or more than the model reads.
    """
    end = min(len(ids), start + LONGEST_WINDOW) if end is None else end
    if not 0 <= start < end <= len(ids):
        raise ValueError(f"a window from {start} to {end} was asked for; the text has {len(ids)} tokens")
    if end - start > LONGEST_WINDOW:
        raise ValueError(f"a window of {end - start} tokens was asked for; at most {LONGEST_WINDOW} are shown at once")
    if end > model.config.max_position_embeddings:
        raise ValueError(
            f"the text has {end} tokens and the model reads at most {model.config.max_position_embeddings} at once"
        )
    input_ids = torch.tensor([list(ids[:end])], device=model.device)
    cache = None
    if start:
        cache = KVCache(model.config, 1, end, model.dtype, model.device)
        model(input_ids[:, :start], cache=cache, logits_to_keep=1)
    output = model(input_ids[:, start:], cache=cache, output_attentions=True, logits_to_keep=1)
    weights = torch.empty(len(output.attentions), *output.attentions[0].shape[1:], dtype=torch.float32, device="cpu")
    for layer, attention in enumerate(output.attentions):
        weights[layer] = attention[0]
    return AttentionMaps(weights, start)


def rollout(maps: AttentionMaps) -> Tensor:
    """How much of each token's final state comes from which input token, if attention alone moved information: (S, S).

    Layer by layer, half of a token stays itself (the residual stream) and half is its heads' mean look at the others.
    Abnar & Zuidema 2020, "Quantifying Attention Flow in Transformers". Needs maps from the text's beginning.
    """
    if maps.start:
        raise ValueError("rollout follows information from the first token on; give maps whose window starts there")
    itself = torch.eye(maps.weights.shape[-1], device=maps.weights.device)
    mixed = itself
    for layer in maps.by_layer:
        mixed = (0.5 * layer + 0.5 * itself) @ mixed
    return mixed


# --- Roles -----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class HeadRoles:
    """`scores` (role -> (L, H)): the share of a head's attention that goes where the role says; NaN if it never can."""

    scores: dict[str, Tensor]

    def role(self, layer: int, head: int) -> tuple[str | None, float]:
        """The role of the highest score and that score; None as the role if it lies below `ROLE_THRESHOLD`."""
        found = {name: float(score[layer, head].nan_to_num(0)) for name, score in self.scores.items()}
        best = max(found, key=lambda name: found[name])
        return (best if found[best] >= ROLE_THRESHOLD else None), found[best]


def role_scores(maps: AttentionMaps, ids: Sequence[int], words: Sequence[Unit]) -> dict[str, Tensor]:
    """For each role, the mean share of attention, (L, H), over the tokens for which the role says where to look:

    previous token  the token before            first token   the text's first token
    same token      earlier ones equal to it    induction     those that followed earlier ones equal to it
    current word    itself and its word's earlier tokens, but for the one just before, which has a role of its own
    """
    if maps.start:
        raise ValueError("roles are scored on maps whose window starts at the text's first token")
    length, device = maps.weights.shape[-1], maps.weights.device
    tokens = torch.tensor(list(ids[:length]), device=device)
    earlier = torch.ones(length, length, dtype=torch.bool, device=device).tril(-1)
    equal = (tokens[:, None] == tokens) & earlier
    followed = F.pad(equal[:, :-1], (1, 0))  # column j: the token before j equals the row's token, earlier
    followed &= earlier
    own_word = torch.zeros(length, length, dtype=torch.bool, device=device)
    for word in words:
        for position in word:
            if position < length:
                own_word[position, [other for other in word if other <= position and other != position - 1]] = True
    first = torch.zeros(length, length, dtype=torch.bool, device=device)
    first[2:, 0] = True  # for the second token, the first is the previous one too
    targets = {
        "previous token": torch.ones(length - 1, dtype=torch.bool, device=device).diag(-1),
        "first token": first,
        "same token": equal,
        "induction": followed,
        "current word": own_word,
    }
    return {name: _mean_share(maps.weights, target) for name, target in targets.items()}


def _mean_share(weights: Tensor, target: Tensor) -> Tensor:
    """The attention (L, H, T, T) that falls on `target` (T, T), averaged over the rows that have a target: (L, H)."""
    rows = target.any(-1)
    if not rows.any():
        return torch.full(weights.shape[:2], torch.nan, device=weights.device)
    return (weights[:, :, rows] * target[rows]).sum(-1).mean(-1)


def head_roles(model: LiteLlama, tokenizer: Tokenizer, seed: int = 0) -> HeadRoles:
    """What each head does on random tokens repeated once, a text without meaning in which only the form can guide it.

    Repeated random tokens are how induction heads were found (Olsson et al. 2022, "In-context Learning and Induction
    Heads"). The scores are means over `PROBES` texts of twice `PROBE_LENGTH` tokens.
    """
    ordinary = [id for id in range(min(tokenizer.vocab_size, model.config.vocab_size)) if not tokenizer.is_special(id)]
    opening = tokenizer.special("<|begin|>")
    first = model.config.bos_token_id if opening is None else opening
    length = min(PROBE_LENGTH, (model.config.max_position_embeddings - 1) // 2)
    generator = torch.Generator().manual_seed(seed)
    found: dict[str, list[Tensor]] = {name: [] for name in ROLES}
    for _ in range(PROBES):
        positions = torch.randint(len(ordinary), (length,), generator=generator, device="cpu")
        drawn = [ordinary[position] for position in positions]
        ids = ([] if first is None else [first]) + drawn * 2
        words = _probe_words(ids, tokenizer)
        for name, score in role_scores(attention_maps(model, ids), ids, words).items():
            found[name].append(score)
    return HeadRoles({name: torch.stack(scores).nanmean(0) for name, scores in found.items()})


def _probe_words(ids: Sequence[int], tokenizer: Tokenizer) -> list[Unit]:
    """Tokens without a space before them go on with the word before."""
    words: list[list[int]] = []
    for position, id in enumerate(ids):
        goes_on = words and not tokenizer.is_special(id) and tokenizer.token_text(id)[:1].isalnum()
        if goes_on and not tokenizer.is_special(ids[position - 1]):
            words[-1].append(position)
        else:
            words.append([position])
    return [tuple(word) for word in words]


def roles_in(maps: AttentionMaps, reading: TokenizedRun) -> HeadRoles:
    """The same scores on the user's own text, in which some roles may have no opportunity."""
    return HeadRoles(role_scores(maps, reading.ids, reading.units("word", range(len(reading.ids)))))
