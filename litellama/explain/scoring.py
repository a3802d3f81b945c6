"""How likely an answer is when parts of the prompt are blanked out: the one question that every attribution asks.

    N  changed versions of the text      U  units (tokens, words or sentences)      T  tokens read      E  hidden_size

A blanked token keeps its position, but its embedding is replaced by the mean of all embeddings: a word that is no word.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from litellama.explain.tokenized_run import TokenizedRun, Unit
from litellama.model import KVCache, LiteLlama

DELETION_STEPS = 10
TOKENS_AT_ONCE = 512
"""So many tokens go through the model side by side: enough to keep a core busy, and few enough that the versions in a
chunk share a long beginning (measured by tests/benchmarks/attribution.py)."""


@dataclass(frozen=True)
class Target:
    """The part of the answer to be explained: the tokens from position `start` to `end`, or, with `instead`, why the
    token at `start` rather than the token with that id ("why red rather than blue?")."""

    start: int
    end: int
    instead: int | None = None


@dataclass(frozen=True)
class ScoringProgress:
    """How much of the work is done, both in texts read, and how many seconds the rest will take."""

    done: int
    total: int
    seconds_left: float


class Scorer:
    """Scores changed versions of one text.

    The score is the log-probability of the target's tokens, in nats; with `instead` the difference of two
    log-probabilities, which is the difference of the two logits. Raises `ValueError` for a target that is not in the
    answer, or a prompt without a word.
    """

    def __init__(self, model: LiteLlama, reading: TokenizedRun, target: Target, units: Sequence[Unit]) -> None:
        _check(model, reading, target, units)
        self.model = model
        self.reading = reading
        self.target = target
        self.units = tuple(units)
        device = model.device
        ids = torch.tensor(reading.ids, device=device)
        self._wanted = ids[target.start : target.end]
        with torch.no_grad():
            table = model.model.embed_tokens.weight
            self.embeddings = table[ids[: target.end - 1]]  # (T, E): the last token is predicted, not read
            tokens = table[: model.config.sampled_vocab_size]  # without rows that no token has
            self.baseline = tokens.float().mean(0).to(table.dtype)  # (E)
            self._cache = KVCache(model.config, 1, len(self.embeddings), table.dtype, device)
            model(self.embeddings[None], cache=self._cache, logits_to_keep=1)

    @property
    def blank(self) -> Tensor:
        """The text with every unit blanked out, (T, E)."""
        blank = self.embeddings.clone()
        blank[[position for unit in self.units for position in unit]] = self.baseline
        return blank

    def score(self, embeddings: Tensor, cache: KVCache | None = None) -> Tensor:
        """Scores (N) of texts given as embeddings (N, T, E), or as what stands behind the cache; differentiable."""
        answer = self.target.end - self.target.start
        logits = self.model(embeddings, cache=cache, logits_to_keep=answer).logits.float()  # (N, answer, V)
        if self.target.instead is not None:
            return logits[:, 0, self._wanted[0]] - logits[:, 0, self.target.instead]
        chosen = logits.gather(-1, self._wanted.expand(len(logits), -1)[..., None])[..., 0]
        return (chosen - logits.logsumexp(-1)).sum(-1)

    def chunk(self) -> int:
        """How many versions of this text go side by side."""
        return max(1, TOKENS_AT_ONCE // len(self.embeddings))

    @torch.inference_mode()
    def iter_scores(self, kept: Tensor) -> Iterator[tuple[Tensor, Tensor]]:
        """Scores of versions that keep some units, `kept` (N, U) of bool, and blank out the others.

        Yields (which rows, their scores), chunk by chunk. What stands before the first blanked token is the same as in
        the text itself, so its keys and values are taken from there and not computed again; versions that share the
        longest beginnings go together.
        """
        begins = torch.tensor([unit[0] for unit in self.units])
        last = self.target.start - 1  # the first position whose prediction counts must be computed in any case
        changed_from = torch.where(kept, last, begins).min(-1).values  # (N)
        order = changed_from.argsort(descending=True, stable=True)
        for rows in order.split(self.chunk()):
            past = int(changed_from[rows].min())
            embeddings = self.embeddings.repeat(len(rows), 1, 1)
            for number, row in enumerate(rows):
                blanked = [
                    position for unit, keep in zip(self.units, kept[row], strict=True) if not keep for position in unit
                ]
                embeddings[number, blanked] = self.baseline
            cache = KVCache(self.model.config, len(rows), len(self.embeddings), embeddings.dtype, embeddings.device)
            cache.keys[:, :, :, :past] = self._cache.keys[:, :, :, :past]
            cache.values[:, :, :, :past] = self._cache.values[:, :, :, :past]
            cache.length = past
            yield rows, self.score(embeddings[:, past:], cache).cpu()

    def ends(self) -> tuple[float, float]:
        """The scores of the text as it is and of the blank one, between which every explanation moves."""
        whole, blank = self.scores(torch.tensor([[True], [False]]).expand(2, len(self.units))).tolist()
        return whole, blank

    def scores(self, kept: Tensor) -> Tensor:
        """Scores (N) of versions that keep some units, `kept` (N, U) of bool."""
        scores = torch.empty(len(kept))
        for rows, found in self.iter_scores(kept):
            scores[rows] = found
        return scores


def deletion_curve(scorer: Scorer, order: Tensor) -> Tensor:
    """What is left of the answer's probability, as a share of the whole text's, while units are blanked out in `order`:
    `DELETION_STEPS` + 1 values, from none blanked to all. A share can exceed 1 where blanking helps.

    One minus its mean is the order's comprehensiveness (DeYoung et al. 2020, "ERASER")."""
    return _curve(scorer, order, blank_first=True)


def sufficiency_curve(scorer: Scorer, order: Tensor) -> Tensor:
    """What is there of the answer's probability, as a share of the whole text's, while ever more units are shown, in
    `order`, to a text that was blank: `DELETION_STEPS` + 1 values, from none shown to all."""
    return _curve(scorer, order, blank_first=False)


def _curve(scorer: Scorer, order: Tensor, blank_first: bool) -> Tensor:
    count = len(order)
    kept = torch.full((DELETION_STEPS + 2, count), blank_first)
    for step in range(DELETION_STEPS + 1):
        kept[step, order[: round(step * count / DELETION_STEPS)]] = not blank_first
    kept[-1] = True  # the whole text, which the others are shares of
    scores = scorer.scores(kept)
    return (scores[:-1] - scores[-1]).exp()


def rank_correlation(one: Tensor, other: Tensor) -> float:
    """Spearman's: 1 if two methods put the units into the same order, 0 if their orders have nothing in common."""
    ranks = torch.stack([scores.argsort(stable=True).argsort().double() for scores in (one, other)])
    ranks -= ranks.mean(-1, keepdim=True)
    size = ranks.norm(dim=-1).prod()
    return float(ranks.prod(0).sum() / size) if size > 0 else 1.0


def _check(model: LiteLlama, reading: TokenizedRun, target: Target, units: Sequence[Unit]) -> None:
    if not reading.answer:
        raise ValueError("the model answered without a word; there is no answer to explain")
    if not reading.answer_start <= target.start < target.end <= len(reading.ids):
        raise ValueError(
            f"tokens {target.start} to {target.end} are to be explained; the answer's tokens go from "
            f"{reading.answer_start} to {len(reading.ids)}"
        )
    if target.instead is not None and not 0 <= target.instead < model.config.sampled_vocab_size:
        raise ValueError(f"there is no token {target.instead}; ids go from 0 to {model.config.sampled_vocab_size - 1}")
    if not units:
        raise ValueError("the prompt has no words that the answer could rest on")
    if any(not 0 <= position < target.start for unit in units for position in unit):
        raise ValueError("an answer can rest only on what stands before it; choose units from the prompt")
