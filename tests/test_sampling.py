"""Each setting does what its line says, for any logits."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from litellama.sampling import Sampling

FAIR = Sampling(temperature=1.0, top_p=1.0)
logit_lists = st.lists(st.floats(-50, 50), min_size=1, max_size=20).map(lambda values: torch.tensor(values))
samplings = st.builds(
    Sampling, temperature=st.floats(0, 10), top_k=st.integers(0, 25), top_p=st.floats(1e-6, 1), greedy=st.booleans()
)


@given(logit_lists, samplings)
def test_probabilities_are_probabilities_and_every_draw_is_possible(logits: Tensor, sampling: Sampling) -> None:
    probabilities = sampling.probabilities(logits)
    assert probabilities.shape == logits.shape
    assert (probabilities >= 0).all()
    assert math.isclose(probabilities.sum().item(), 1, rel_tol=1e-9)
    chosen = sampling.sample(logits, torch.Generator().manual_seed(0))
    assert probabilities[chosen] > 0


@given(logit_lists)
def test_greedy_is_temperature_zero_is_top_one(logits: Tensor) -> None:
    likeliest = int(logits.argmax())
    generator = torch.Generator().manual_seed(0)
    assert Sampling(greedy=True).sample(logits, generator) == likeliest
    assert Sampling(temperature=0).sample(logits, generator) == likeliest
    assert logits[Sampling(top_k=1).sample(logits, generator)] == logits.max()
    assert math.isclose(logits[Sampling(top_p=1e-9).sample(logits, generator)], logits.max(), abs_tol=1e-6)


def test_worked_example() -> None:
    logits = torch.tensor([0.5, 0.3, 0.15, 0.05]).log()
    close = {"atol": 1e-6, "rtol": 0}

    def check(sampling: Sampling, expected: list[float], used: tuple[int, ...] = ()) -> None:
        got = sampling.probabilities(logits, used)
        torch.testing.assert_close(got, torch.tensor(expected, dtype=torch.float64), **close)

    check(FAIR, [0.5, 0.3, 0.15, 0.05])
    check(Sampling(temperature=1, top_p=1, top_k=2), [0.625, 0.375, 0, 0])
    check(Sampling(temperature=1, top_p=0.5), [1, 0, 0, 0])  # the first alone reaches a half
    check(Sampling(temperature=1, top_p=0.51), [0.625, 0.375, 0, 0])  # and now it needs the second
    squares = [0.25, 0.09, 0.0225, 0.0025]
    check(Sampling(temperature=0.5, top_p=1), [square / sum(squares) for square in squares])
    # every logit is negative, so a penalty of 2 doubles it: the used token's 0.5 becomes 0.25 before scaling
    check(Sampling(temperature=1, top_p=1, repetition_penalty=2), [1 / 3, 0.4, 0.2, 1 / 15], used=(0, 0))


def test_penalty_makes_positive_and_negative_scores_less_likely() -> None:
    logits = torch.tensor([2.0, -2.0, 0.5])
    fair = FAIR.probabilities(logits)
    for used in (0, 1):
        assert Sampling(1.0, 0, 1.0, 1.5).probabilities(logits, [used])[used] < fair[used]


@pytest.mark.parametrize("temperature", [1e-300, 1e-9, 10])
def test_extreme_temperatures_stay_numbers(temperature: float) -> None:
    probabilities = Sampling(temperature=temperature).probabilities(torch.tensor([1.0, 5.0, 3.0], dtype=torch.bfloat16))
    assert probabilities.isfinite().all()
    assert probabilities.argmax() == 1


def test_draws_follow_the_probabilities_and_the_seed() -> None:
    logits = torch.tensor([0.6, 0.3, 0.1]).log()

    def draw(seed: int) -> list[int]:
        generator = torch.Generator().manual_seed(seed)
        return [FAIR.sample(logits, generator) for _ in range(2000)]

    counts = [draw(1).count(id) / 2000 for id in range(3)]
    assert counts == pytest.approx([0.6, 0.3, 0.1], abs=0.04)
    assert draw(1) == draw(1) != draw(2)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        *[("temperature", value) for value in (math.nan, math.inf, -0.1, 1e308, "0.7", None, True)],
        *[("top_p", value) for value in (math.nan, 0, 1.1, [0.5])],
        *[("top_k", value) for value in (-1, 2.5, math.nan, "3", True)],
        *[("repetition_penalty", value) for value in (math.nan, 0, -1, 1e9)],
        ("greedy", "yes"),
    ],
)
def test_impossible_settings_are_refused_by_name(name: str, value: Any) -> None:
    with pytest.raises(ValueError, match=f"{name} is "):
        Sampling(**{name: value})


@pytest.mark.parametrize("broken", [math.nan, math.inf])
def test_broken_logits_are_noticed(broken: float) -> None:
    for sampling in (Sampling(), Sampling(greedy=True)):
        with pytest.raises(ValueError, match="not numbers"):
            sampling.sample(torch.tensor([0.0, broken]), torch.Generator())


@pytest.mark.parametrize("top_p", [0.05, 0.5, 0.9, 0.999, 1 - 1e-12])
@pytest.mark.parametrize("spread", [0.0, 0.3, 3.0, 30.0])
def test_top_p_of_a_large_vocabulary_is_as_if_all_were_put_in_order(top_p: float, spread: float) -> None:
    """Flat or peaked, with many equals: the fewest that reach top-p, the lower id first among equals."""
    logits = torch.randn(5000, generator=torch.Generator().manual_seed(0)).mul(spread).round(decimals=1)
    found = Sampling(temperature=1.0, top_p=top_p).probabilities(logits)
    fair = logits.double().softmax(-1)
    order = sorted(range(len(fair)), key=lambda id: (-fair[id].item(), id))
    reached, kept = 0.0, []
    for id in order:
        if reached >= top_p:
            break
        kept.append(id)
        reached += fair[id].item()
    assert abs(int((found > 0).sum()) - len(kept)) <= 1, "the sums differ in their last digits"
    assert set(found.nonzero()[:, 0].tolist()) <= {*kept, order[min(len(kept), len(order) - 1)]}
    assert found.sum().item() == pytest.approx(1)
