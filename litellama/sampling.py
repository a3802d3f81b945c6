"""From logits to the next id: greedy, temperature, top-k, top-p, repetition penalty.

Randomness is an explicit `torch.Generator`, so the same seed gives the same text.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

CANDIDATES = 128  # tokens looked at first for top-p


@dataclass(frozen=True)
class Sampling:
    """How to choose the next token. Every truncation is off at its neutral value.

    temperature          divides the logits; below 1 bolder choices get rarer, 0 always takes the likeliest token
    top_k                keep only the k likeliest tokens; 0 keeps all
    top_p                keep the likeliest tokens that together reach this share (Holtzman et al. 2020); 1 keeps all
    repetition_penalty   makes tokens that were used already less likely (Keskar et al. 2019); 1 changes nothing
    greedy               always take the likeliest token
    """

    temperature: float = 0.7
    top_k: int = 0
    top_p: float = 0.95
    repetition_penalty: float = 1.0
    greedy: bool = False

    def __post_init__(self) -> None:
        _check_number("temperature", self.temperature, 0 <= _number(self.temperature) <= 10, "from 0 to 10")
        _check_number("top_p", self.top_p, 0 < _number(self.top_p) <= 1, "above 0 and up to 1")
        penalty = self.repetition_penalty
        _check_number("repetition_penalty", penalty, 0.1 <= _number(penalty) <= 10, "from 0.1 to 10")
        if not isinstance(self.top_k, int) or isinstance(self.top_k, bool) or self.top_k < 0:
            raise ValueError(f"top_k is {self.top_k!r}; a whole number was expected, 0 to keep all tokens")
        if not isinstance(self.greedy, bool):
            raise ValueError(f"greedy is {self.greedy!r}; True or False was expected")

    def probabilities(self, logits: Tensor, used: Sequence[int] = ()) -> Tensor:
        """Probability of each next token, in float64, from one position's `logits` (V); `used` are the ids so far.

        Raises `ValueError` if a logit is not a number, which is what a broken model gives.
        """
        scores = self._penalized(logits, used)
        if self.greedy or self.temperature == 0:
            return torch.zeros_like(scores).index_fill_(0, scores.argmax(), 1.0)
        scores = (scores - scores.max()) / self.temperature  # at most 0: no temperature can make it overflow
        if 0 < self.top_k < len(scores):
            kept = scores.topk(self.top_k).indices  # exactly k, also among equals
            scores = torch.full_like(scores, -math.inf).index_copy_(0, kept, scores[kept])
        probabilities = scores.softmax(-1)
        return probabilities if self.top_p == 1 else _nucleus(probabilities, self.top_p)

    def sample(self, logits: Tensor, generator: torch.Generator, used: Sequence[int] = ()) -> int:
        """Draw the next id from `probabilities`; `generator` must live on the CPU."""
        if self.greedy or self.temperature == 0:
            return int(self._penalized(logits, used).argmax())
        return int(torch.multinomial(self.probabilities(logits, used), 1, generator=generator))

    def _penalized(self, logits: Tensor, used: Sequence[int]) -> Tensor:
        scores = logits.detach().to("cpu", torch.float64)
        if scores.isnan().any() or scores.max().isinf():
            raise ValueError("the model's scores are not numbers; its weights are broken or its precision is too low")
        if self.repetition_penalty == 1 or not used:
            return scores
        ids = torch.tensor(sorted(set(used)), device=scores.device)
        old = scores[ids]  # dividing makes a positive score smaller, multiplying a negative one
        penalized = torch.where(old > 0, old / self.repetition_penalty, old * self.repetition_penalty)
        return scores.index_copy(0, ids, penalized)


def _nucleus(probabilities: Tensor, top_p: float) -> Tensor:
    """Only the fewest likeliest tokens whose probabilities reach `top_p`, scaled back to a sum of 1."""
    # They are mostly among a few; to put all 50,304 tokens of LiteLlama in order took a sixth of a token's time.
    least = probabilities.topk(min(CANDIDATES, len(probabilities))).values[-1]
    candidates = (probabilities >= least).nonzero()[:, 0]  # equals are all in or all out
    if probabilities[candidates].sum() < top_p:
        candidates = torch.arange(len(probabilities), device=probabilities.device)
    ordered, positions = probabilities[candidates].sort(descending=True, stable=True)
    ids = candidates[positions]
    reached_before = ordered.cumsum(-1) - ordered  # what the likelier ones have together; 0 for the first, so it stays
    kept = torch.where(reached_before < top_p, ordered, 0.0)
    return torch.zeros_like(probabilities).index_copy_(0, ids, kept / kept.sum())


def _number(value: object) -> float:
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else math.nan


def _check_number(name: str, value: object, fits: bool, expected: str) -> None:
    if not fits:  # comparisons with NaN are false, so NaN is refused as well
        raise ValueError(f"{name} is {value!r}; a number {expected} was expected")
