"""How the loss falls with a model's size and with what it reads: L(N, D) = E + A / N^alpha + B / D^beta.

    >>> law = fit(points)
    >>> law.loss(460e6, 1e12)

Hoffmann et al. 2022 ("Training compute-optimal large language models", Chinchilla), approach 3. As in their analysis,
N counts all parameters, embedding and head included (Kaplan et al. 2020 left those out), and D all tokens read. E is
what no model gets below on this text, A / N^alpha what a finite model adds to it, B / D^beta a finite training.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

DELTA = 1e-3
"""From this log residual on a run counts as an outlier, linearly instead of squared: the paper's."""

SIZES, BUDGETS, RUNS = 3, 3, 6
"""The fewest of each that say something about five constants."""

LEAST_EXPONENT, MOST_EXPONENT, GRID = 0.03, 2.5, 16
STARTS = 8
LEAST = 1e-3  # of the loss that each of the three terms begins with, where least squares would have it negative
ITERATIONS = 300
TINY = 1e-14
ERRORS = 2.0
STEEPEST = math.log(5)  # of an exponent; losses that jump once would have it grow for ever


@dataclass(frozen=True)
class Point:
    """One finished training: all parameters, tokens read, and the held-out loss at its end in nats per token."""

    parameters: float
    tokens: float
    loss: float

    def __post_init__(self) -> None:
        for name in ("parameters", "tokens", "loss"):
            value = getattr(self, name)
            if not (value > 0 and math.isfinite(value)):
                raise ValueError(f"{name} is {value}; a number above 0 was expected")


@dataclass(frozen=True)
class ScalingLaw:
    """The five constants, and `residual`, the runs' root mean square distance from the law as a share of the loss."""

    E: float
    A: float
    alpha: float
    B: float
    beta: float
    residual: float = 0.0

    def loss(self, parameters: float, tokens: float) -> float:
        """Nats per token that the law expects."""
        return self.E + self.A * parameters**-self.alpha + self.B * tokens**-self.beta

    def best_size(self, flops: float) -> tuple[float, float]:
        """Parameters and tokens that so many operations are best spent on, at six for each of both: the paper's
        equation 4."""
        ratio = (self.alpha * self.A / (self.beta * self.B)) ** (1 / (self.alpha + self.beta))
        parameters = ratio * (flops / 6) ** (self.beta / (self.alpha + self.beta))
        return parameters, flops / 6 / parameters


CHINCHILLA = ScalingLaw(E=1.69, A=406.4, alpha=0.34, B=410.7, beta=0.28)
"""As published (equation 10), for text and a vocabulary of their own; rounded, which large models feel."""


def fit(points: Sequence[Point]) -> ScalingLaw:
    """The law that lies closest to the runs: Huber's loss on log residuals, from the best of a grid of starts.

    Raises `ValueError` that says what is missing, for fewer than three sizes, three token budgets or six runs.
    """
    _check(points)
    (law,) = _fits(points, torch.ones(1, len(points), dtype=torch.float64))
    return law


def left_out(points: Sequence[Point]) -> list[ScalingLaw]:
    """The law, and behind it the law fitted again without each of the runs in turn. Raises `ValueError` as `fit`."""
    _check(points)
    count = len(points)
    kept = 1 - torch.eye(count, dtype=torch.float64)
    return _fits(points, torch.cat([torch.ones(1, count, dtype=torch.float64), kept]))


def spread(laws: Sequence[ScalingLaw], parameters: float, tokens: float) -> tuple[float, float]:
    """From where to where the loss may lie there, about two standard errors either way, by `left_out`'s laws: the
    jackknife (Tukey 1958), on the loss's logarithm. Whether the law itself goes on so far, no run here can say.

    Raises `ValueError` for fewer than two laws to compare.
    """
    if len(laws) < 3:
        raise ValueError(f"there are {len(laws)} laws; the law of all runs and those of left_out were expected")
    whole, *logs = (math.log(law.loss(parameters, tokens)) for law in laws)
    mean = sum(logs) / len(logs)
    error = math.sqrt((len(logs) - 1) / len(logs) * sum((log - mean) ** 2 for log in logs))
    return math.exp(whole - ERRORS * error), math.exp(whole + ERRORS * error)


# --- The fit ---------------------------------------------------------------------------------------------------------
#
# F = fits, S = starts, R = runs. Constants are the logarithms of E, A, B, alpha and beta, which keeps these positive,
# with A counted at the middle of the sizes and B at that of the budgets: at N = 1 they hang on the exponents by a hair.


def _check(points: Sequence[Point]) -> None:
    sizes, budgets = len({point.parameters for point in points}), len({point.tokens for point in points})
    for got, least, what in ((sizes, SIZES, "sizes"), (budgets, BUDGETS, "token budgets"), (len(points), RUNS, "runs")):
        if got < least:
            raise ValueError(
                f"there are {len(points)} runs of {sizes} sizes and {budgets} token budgets; the law has five "
                f"constants and takes at least {least} {what}, so train {least - got} more"
            )


def _fits(points: Sequence[Point], counted: Tensor) -> list[ScalingLaw]:
    """One law for each row of `counted` (F, R), 1 for a run that counts and 0 for one that does not."""
    table = torch.tensor([[p.parameters, p.tokens, p.loss] for p in points], dtype=torch.float64).log()
    middle = table[:, :2].mean(0)
    sizes, losses = table[:, :2] - middle, table[:, 2]
    starts = _starts(sizes, losses.exp())
    order = _huber(_residuals(starts, sizes, losses)[0], counted[:, None]).argsort(-1)  # (F, S)
    constants = _descend(starts[order[:, :STARTS]], sizes, losses, counted[:, None])
    residuals, _ = _residuals(constants, sizes, losses)
    best = _huber(residuals, counted[:, None]).argmin(-1)
    laws = []
    for number, place in enumerate(best.tolist()):
        floor, a, b, alpha, beta = constants[number, place].tolist()
        alpha, beta = math.exp(alpha), math.exp(beta)
        squares = residuals[number, place].square() * counted[number]
        laws.append(ScalingLaw(
            math.exp(floor), math.exp(a + alpha * middle[0].item()), alpha, math.exp(b + beta * middle[1].item()), beta,
            math.sqrt(squares.sum().item() / counted[number].sum().item()),
        ))  # fmt: skip
    return laws


def _residuals(constants: Tensor, sizes: Tensor, losses: Tensor) -> tuple[Tensor, Tensor]:
    """The law's log loss above the runs', (..., R), of constants (..., 5), and its slopes (..., R, 5)."""
    falls = constants[..., None, 3:].exp() * sizes  # (..., R, 2)
    terms = torch.cat([constants[..., None, :1].expand(*falls.shape[:-1], 1), constants[..., None, 1:3] - falls], -1)
    shares = terms.softmax(-1)  # of E, A / N^alpha and B / D^beta in the loss
    return terms.logsumexp(-1) - losses, torch.cat([shares, -shares[..., 1:] * falls], -1)


def _huber(residuals: Tensor, counted: Tensor) -> Tensor:
    distance = residuals.abs()
    cost = torch.where(distance < DELTA, distance**2 / 2, DELTA * (distance - DELTA / 2))
    return (cost * counted).sum(-1)


def _starts(sizes: Tensor, losses: Tensor) -> Tensor:
    """For every pair of exponents the best E, A and B by least squares, which is then linear: (S, 5)."""
    grid = torch.logspace(math.log10(LEAST_EXPONENT), math.log10(MOST_EXPONENT), GRID, dtype=torch.float64)
    exponents = torch.cartesian_prod(grid, grid)  # (S, 2)
    falls = torch.exp(-exponents[:, None] * sizes)  # (S, R, 2)
    terms = torch.cat([torch.ones_like(falls[..., :1]), falls], -1) / losses[:, None]
    ones = torch.ones(len(exponents), len(losses), 1, dtype=torch.float64)
    shares = torch.linalg.lstsq(terms, ones).solution[..., 0].clamp(LEAST * losses.mean())  # (S, 3)
    return torch.cat([shares, exponents], -1).log()


def _descend(constants: Tensor, sizes: Tensor, losses: Tensor, counted: Tensor) -> Tensor:
    """Levenberg and Marquardt's damped steps for all (F, S, 5) at once, outliers weighed down: where the paper's L-BFGS
    goes too, in a tenth of the time."""
    damping = torch.full(constants.shape[:-1], 1e-2, dtype=torch.float64)
    residuals, slopes = _residuals(constants, sizes, losses)
    cost = _huber(residuals, counted)
    for _ in range(ITERATIONS):
        weights = counted * (DELTA / residuals.abs().clamp(DELTA))  # (F, S, R)
        weighed = slopes.mT * weights[..., None, :]
        curvature = weighed @ slopes  # (F, S, 5, 5)
        curvature.diagonal(dim1=-2, dim2=-1).mul_(1 + damping[..., None]).add_(TINY)
        step = torch.linalg.solve(curvature, weighed @ residuals[..., None])[..., 0].clamp(-1, 1)
        tried = torch.cat([(constants - step)[..., :3], (constants - step)[..., 3:].clamp(max=STEEPEST)], -1)
        new_residuals, new_slopes = _residuals(tried, sizes, losses)
        new_cost = _huber(new_residuals, counted)
        better = new_cost < cost
        constants = torch.where(better[..., None], tried, constants)
        residuals = torch.where(better[..., None], new_residuals, residuals)
        slopes = torch.where(better[..., None, None], new_slopes, slopes)
        cost = torch.where(better, new_cost, cost)
        damping = torch.where(better, damping / 3, damping * 4).clamp(1e-9, 1e9)
    return constants
