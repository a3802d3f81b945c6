"""The scaling law: constants come back from losses made with them, the paper's figures, and what is refused."""

from __future__ import annotations

import math
import random
from collections.abc import Sequence
from dataclasses import replace

import pytest

from litellama.scaling.law import CHINCHILLA, Point, ScalingLaw, fit, left_out, spread

PAPER_SIZES, PAPER_BUDGETS = (7e7, 4e8, 2e9, 1.6e10), (5e9, 2e10, 1e11, 5e11)  # the paper's own range
SMALL_SIZES, SMALL_BUDGETS = (2.5e5, 6.5e5, 1.5e6, 3.8e6), (5e5, 1e6, 2e6, 4e6)


def made(
    sizes: Sequence[float] = PAPER_SIZES, budgets: Sequence[float] = PAPER_BUDGETS, noise: float = 0.0, seed: int = 0
) -> list[Point]:
    """Runs of a world in which Chinchilla's law holds, each loss off by about `noise` of it."""
    chance = random.Random(seed)
    return [
        Point(size, budget, CHINCHILLA.loss(size, budget) * math.exp(chance.gauss(0, noise)))
        for size in sizes
        for budget in budgets
    ]


def test_the_papers_own_figures() -> None:
    """By hand: Gopher 1.69 + 0.052 + 0.251; and table 2: N grows as C^0.46, D as C^0.54."""
    assert CHINCHILLA.loss(280e9, 300e9) == pytest.approx(1.993, abs=1e-3)
    assert CHINCHILLA.loss(70e9, 1.4e12) == pytest.approx(1.937, abs=1e-3)
    (small, few), (large, many) = CHINCHILLA.best_size(1e21), CHINCHILLA.best_size(1e23)
    assert math.log(large / small, 100) == pytest.approx(0.46, abs=0.01)
    assert math.log(many / few, 100) == pytest.approx(0.54, abs=0.01)


def test_the_best_size_is_the_best() -> None:
    flops = 1e20
    parameters, tokens = CHINCHILLA.best_size(flops)
    assert 6 * parameters * tokens == pytest.approx(flops)
    for factor in (0.9, 1.1):
        assert CHINCHILLA.loss(parameters * factor, tokens / factor) > CHINCHILLA.loss(parameters, tokens)


@pytest.mark.parametrize(("sizes", "budgets"), [(PAPER_SIZES, PAPER_BUDGETS), (SMALL_SIZES, SMALL_BUDGETS)])
def test_constants_come_back(sizes: Sequence[float], budgets: Sequence[float]) -> None:
    law = fit(made(sizes, budgets))
    for name in ("E", "A", "alpha", "B", "beta"):
        assert getattr(law, name) == pytest.approx(getattr(CHINCHILLA, name), rel=0.01), name
    assert law.residual < 1e-4


def test_with_noise_the_law_comes_back() -> None:
    """E and the losses do within a few percent; A and B only together with their exponents, as the losses show."""
    sizes, budgets = [7e7 * 2.2**step for step in range(8)], [5e9 * 2.2**step for step in range(7)]
    for seed in range(3):
        law = fit(made(sizes, budgets, noise=0.01, seed=seed))
        assert pytest.approx(CHINCHILLA.E, rel=0.05) == law.E
        assert law.alpha == pytest.approx(CHINCHILLA.alpha, rel=0.15)
        assert law.beta == pytest.approx(CHINCHILLA.beta, rel=0.15)
        assert 0.004 < law.residual < 0.016
        for parameters, tokens in ((7e7, 5e9), (1e9, 1e11), (7e10, 1.4e12)):
            assert law.loss(parameters, tokens) == pytest.approx(CHINCHILLA.loss(parameters, tokens), rel=0.04)


def test_one_run_that_went_wrong_does_not_lead_the_fit_astray() -> None:
    points = made()
    points[5] = replace(points[5], loss=points[5].loss * 1.3)
    law = fit(points)
    assert law.loss(1e9, 1e11) == pytest.approx(CHINCHILLA.loss(1e9, 1e11), rel=0.01)


def test_doubt_grows_with_distance() -> None:
    laws = left_out(made(SMALL_SIZES[1:], SMALL_BUDGETS[1:], noise=0.003, seed=1))
    assert len(laws) == 1 + 9
    widths = []
    for factor in (1, 10, 100, 1000):
        low, high = spread(laws, 1.5e6 * factor, 2e6 * factor)
        assert low <= laws[0].loss(1.5e6 * factor, 2e6 * factor) <= high
        widths.append(high / low)
    assert widths == sorted(widths)
    assert widths[-1] > 1.5 > 1.1 > widths[0]


def test_the_range_is_the_jackknifes() -> None:
    """Flat laws of 2, and without each run of 1, 2 and 4: logs 0, l, 2l, whose mean is l; 2/3 (l^2 + 0 + l^2)."""
    flat = [ScalingLaw(E=loss, A=0.0, alpha=1.0, B=0.0, beta=1.0) for loss in (2, 1, 2, 4)]
    error = math.log(2) * math.sqrt(4 / 3)
    assert spread(flat, 1e9, 1e9) == pytest.approx((2 * math.exp(-2 * error), 2 * math.exp(2 * error)))
    with pytest.raises(ValueError, match="left_out"):
        spread(flat[:1], 1e9, 1e9)


@pytest.mark.parametrize(
    ("points", "problem"),
    [
        (made(PAPER_SIZES[:2]), r"2 sizes and 4 token budgets; .* at least 3 sizes, so train 1 more"),
        (made(budgets=PAPER_BUDGETS[:1]), "at least 3 token budgets, so train 2 more"),
        (made()[0:15:5], "at least 6 runs, so train 3 more"),
        ([], "0 runs of 0 sizes"),
    ],
)
def test_too_few_runs_are_refused(points: list[Point], problem: str) -> None:
    with pytest.raises(ValueError, match=problem):
        fit(points)


@pytest.mark.parametrize("loss", [0.0, -1.0, math.nan, math.inf])
def test_a_loss_that_is_none_is_refused(loss: float) -> None:
    with pytest.raises(ValueError, match="a number above 0 was expected"):
        Point(1e6, 1e6, loss)


def test_losses_that_do_not_fall_give_a_law_all_the_same() -> None:
    """Nothing overflows where the data say nothing about the exponents, or one size makes all the difference."""
    sizes, budgets = SMALL_SIZES[:3], SMALL_BUDGETS[:3]
    flat = fit([Point(size, budget, 3.0) for size in sizes for budget in budgets])
    assert flat.loss(1e6, 1e6) == pytest.approx(3.0, rel=0.01)
    jump = fit([Point(size, budget, 3.0 if size < 5e5 else 1.0) for size in sizes for budget in budgets])
    assert math.isfinite(jump.loss(7e9, 2e12))
    assert jump.loss(2.5e5, 1e6) == pytest.approx(3.0, rel=0.05)
