"""How the loss falls with a model's size and with what it reads: L(N, D) = E + A / N^alpha + B / D^beta.

    >>> law = fit(points)
    >>> law.loss(460e6, 1e12)

Hoffmann et al. 2022 ("Training compute-optimal large language models", Chinchilla), approach 3. As in their analysis,
N counts all parameters, embedding and head included (Kaplan et al. 2020 left those out), and D all tokens read. E is
what no model gets below on this text, A / N^alpha what a finite model adds to it, B / D^beta a finite training.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

DELTA = 1e-3
"""From this log residual on a run counts as an outlier, linearly instead of squared: the paper's."""

SIZES, BUDGETS, RUNS = 3, 3, 6
"""The fewest of each that say something about five constants."""

EXPONENTS = torch.logspace(math.log10(0.03), math.log10(2.5), 16, dtype=torch.float64)
STARTS, REFIT_STARTS = 4, 2
LEAST = 1e-3  # of the loss that each of the three terms begins with, where least squares would have it negative
ITERATIONS = 200
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
    """The law that lies closest to the runs: Huber's loss on log residuals, by L-BFGS from several starts.

    Raises `ValueError` that says what is missing, for fewer than three sizes, three token budgets or six runs.
    """
    sizes, budgets = len({point.parameters for point in points}), len({point.tokens for point in points})
    for got, least, what in ((sizes, SIZES, "sizes"), (budgets, BUDGETS, "token budgets"), (len(points), RUNS, "runs")):
        if got < least:
            raise ValueError(
                f"there are {len(points)} runs of {sizes} sizes and {budgets} token budgets; the law has five "
                f"constants and takes at least {least} {what}, so train {least - got} more"
            )
    return _fit(points)


def left_out(points: Sequence[Point]) -> list[ScalingLaw]:
    """The law, and behind it the law fitted again without each of the runs in turn. Raises `ValueError` as `fit`."""
    others = (_fit([*points[:number], *points[number + 1 :]], REFIT_STARTS) for number in range(len(points)))
    return [fit(points), *others]


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


def _fit(points: Sequence[Point], starts_kept: int = STARTS) -> ScalingLaw:
    """In the logarithms of all constants, which keeps them positive. A is counted at the middle of the sizes and B at
    that of the budgets: at N = 1 they would hang on the exponents by a thread."""
    table = torch.tensor([[p.parameters, p.tokens, p.loss] for p in points], dtype=torch.float64).log()
    middle = table[:, :2].mean(0)  # (2,)
    sizes, losses = table[:, :2] - middle, table[:, 2]  # (R, 2), (R,)

    def residuals(constants: Tensor) -> Tensor:
        """The law's log loss above the runs', (..., R), of log (E, A, B, alpha, beta), (..., 5)."""
        terms = constants[..., None, 1:3] - constants[..., None, 3:].clamp(max=STEEPEST).exp() * sizes  # (..., R, 2)
        floor = constants[..., None, :1].expand(*terms.shape[:-1], 1)
        return torch.cat([floor, terms], -1).logsumexp(-1) - losses

    def huber(constants: Tensor) -> Tensor:
        distance = residuals(constants).abs()
        return torch.where(distance < DELTA, distance**2 / 2, DELTA * (distance - DELTA / 2)).sum(-1) / DELTA**2

    starts = _starts(sizes, losses.exp())
    best = starts[huber(starts).argsort()[:starts_kept]]
    found = [_descend(huber, start) for start in best]
    closest = min(found, key=lambda constants: huber(constants).item())
    residual = residuals(closest).square().mean().sqrt().item()
    floor, a, b, alpha, beta = closest.tolist()
    alpha, beta = (math.exp(min(steepness, STEEPEST)) for steepness in (alpha, beta))
    at_one = (a + alpha * middle[0].item(), b + beta * middle[1].item())
    return ScalingLaw(math.exp(floor), math.exp(at_one[0]), alpha, math.exp(at_one[1]), beta, residual)


def _starts(sizes: Tensor, losses: Tensor) -> Tensor:
    """For every pair of exponents the best E, A and B by least squares, which is then linear: (S, 5) logarithms."""
    alpha, beta = (grid.flatten() for grid in torch.meshgrid(EXPONENTS, EXPONENTS, indexing="ij"))
    falls = torch.exp(-torch.stack([alpha, beta], -1)[:, None] * sizes)  # (S, R, 2)
    terms = torch.cat([torch.ones_like(falls[..., :1]), falls], -1) / losses[:, None]
    ones = torch.ones(len(alpha), len(losses), 1, dtype=losses.dtype)
    shares = torch.linalg.lstsq(terms, ones).solution[..., 0].clamp(LEAST * losses.mean())  # (S, 3)
    return torch.cat([shares, alpha[:, None], beta[:, None]], -1).log()


def _descend(huber: Callable[[Tensor], Tensor], start: Tensor) -> Tensor:
    constants = start.clone().requires_grad_()
    optimizer = torch.optim.LBFGS(
        [constants], max_iter=ITERATIONS, history_size=20, tolerance_grad=1e-9, tolerance_change=1e-12,
        line_search_fn="strong_wolfe",
    )  # fmt: skip

    def closure() -> Tensor:
        optimizer.zero_grad()
        loss = huber(constants)
        loss.backward()
        return loss

    optimizer.step(closure)
    return constants.detach()
