"""How sure a measured number is: intervals and chances, from plain numbers and seeded randomness.

R  times drawn anew      T  templates      W  words of a group      C  continuations
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.random import PCG64, Generator
from numpy.typing import NDArray

Values = NDArray[np.float64]

DRAWS = 2000
LEVEL = 0.95
FEWEST_SPLITS = 20
"""Ways to split the words into two groups below which no chance is given: it could never be under 5 %."""


@dataclass(frozen=True)
class Interval:
    """A measured value, and between what bounds it may as well lie; None where there was nothing to judge that by."""

    value: float
    low: float | None
    high: float | None


def wilson(successes: int, total: int) -> Interval:
    """A share and its 95 % interval (Wilson 1927): 8 of 10 -> 0.8, 0.49 to 0.943. Of nothing: all of 0 to 1.

    Unlike share +- 1.96 standard errors it never leaves 0 to 1, and does not shrink to nothing at 0 of 10.
    """
    if not 0 <= successes <= total:
        raise ValueError(f"{successes} of {total} is no share; a number from 0 to the total was expected")
    if not total:
        return Interval(0.0, 0.0, 1.0)
    z, share = 1.959964, successes / total
    middle = (share + z * z / (2 * total)) / (1 + z * z / total)
    half = z / (1 + z * z / total) * math.sqrt(share * (1 - share) / total + z * z / (4 * total * total))
    return Interval(share, max(0.0, middle - half), min(1.0, middle + half))


def bootstrap_mean(values: Any, seed: int = 0) -> Interval:
    """The mean of `values` (N) with its 95 % percentile interval (Efron & Tibshirani 1993, chapter 13)."""
    numbers = np.asarray(values, dtype=np.float64)
    if numbers.ndim != 1 or not len(numbers):
        raise ValueError(f"values have shape {numbers.shape}; a list of at least one number was expected")
    if len(numbers) == 1:
        return Interval(float(numbers[0]), None, None)
    drawn = _drawn(Generator(PCG64(seed)), len(numbers)) @ numbers
    return interval(float(numbers.mean()), drawn)


def interval(value: float, drawn: Values) -> Interval:
    """`value` between the percentiles that hold 95 % of what came out when the sample was drawn anew."""
    low, high = np.quantile(drawn, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return Interval(value, float(low), float(high))


def resampled(groups: dict[str, Values], seed: int) -> dict[str, Values]:
    """The means (R, C) that each group (T, W, C) would have with other words and templates, drawn with replacement from
    those there are. Templates are drawn once for all groups: each group is asked in the same words."""
    rng = Generator(PCG64(seed))
    templates = _drawn(rng, len(next(iter(groups.values()))))  # (R, T)
    means = {}
    for name, values in groups.items():
        over_templates = np.tensordot(templates, values, 1)  # (R, W, C)
        means[name] = (_drawn(rng, values.shape[1])[:, :, None] * over_templates).sum(1)
    return means


def _drawn(rng: Generator, count: int) -> Values:
    """How much each of `count` items weighs in each of the samples drawn with replacement, (R, count)."""
    return rng.multinomial(count, np.full(count, 1 / count), DRAWS) / count


def permutation_chance(one: Values, other: Values, seed: int) -> float | None:
    """The chance that a difference of means at least this large, up or down, comes about when words (W, of each group)
    are dealt to the groups at random; counted over `DRAWS` deals and the true one (Phipson & Smyth 2010). None for so
    few words that it could not be small."""
    if math.comb(len(one) + len(other), len(one)) < FEWEST_SPLITS:
        return None
    rng = Generator(PCG64(seed))
    both = np.concatenate([one, other])
    dealt = rng.permuted(np.tile(both, (DRAWS, 1)), axis=1)
    differences = np.abs(dealt[:, : len(one)].mean(1) - dealt[:, len(one) :].mean(1))
    as_large = int((differences >= abs(one.mean() - other.mean()) - 1e-12).sum())
    return (1 + as_large) / (1 + DRAWS)
