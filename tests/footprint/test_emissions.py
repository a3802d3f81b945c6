"""What replies and trainings cost: the published figures lie where the lab's formulas put them."""

from __future__ import annotations

from dataclasses import replace

import pytest

from litellama.config import preset
from litellama.footprint.arithmetic import decode_bound, prefill_flops
from litellama.footprint.devices import all_devices, device
from litellama.footprint.emissions import (
    KWH,
    LEAST_POWER,
    LEAST_SPEED,
    break_even,
    device_energy,
    emissions,
    equivalents,
    grids,
    pues,
    training_energy,
)
from litellama.footprint.facts import fact
from litellama.footprint.scores import TASKS, chance, scores

MEASURED = "5-4-inference-energy-measured."
A100 = "NVIDIA A100, 80 GB"


@pytest.mark.parametrize("size", ["7b", "13b"])
def test_what_others_measured_lies_in_the_estimates_range(size: str) -> None:
    """Joules for each token, GPU only, batch 1, on an A100 (ML.ENERGY): within, and not at the edge."""
    start = f"{MEASURED}llama-2-{size}-chat."
    tokens = round(fact(start + "tokens-per-response-a100-batch-1").number)
    energy = device_energy(preset(f"llama2-{size}"), device(A100), "float16", 50, tokens)
    assert energy is not None
    assert energy.low * 1.2 < fact(start + "energy-per-response-a100-batch-1").number < energy.high / 1.2
    assert energy.low < energy.joules < energy.high
    assert not energy.measured


@pytest.mark.parametrize("size", ["7b", "13b"])
def test_the_box_holds_what_was_measured(size: str) -> None:
    """Watts drawn and speed reached, from the same measurement."""
    start = f"{MEASURED}llama-2-{size}-chat."
    speed = fact(start + "speed-a100-batch-1").number
    watts = speed * fact(start + "energy-per-generated-token-a100-batch-1").number
    chip = device(A100)
    assert chip.watts is not None
    assert LEAST_POWER < watts / chip.watts < 1
    bound = decode_bound(preset(f"llama2-{size}"), chip, "float16", 400)
    assert LEAST_SPEED < speed / bound.tokens_per_second < 1


def test_a_worked_example_on_a_board() -> None:
    """A Raspberry Pi 5: 17.1 GB/s and 8 W. 923 MB of weights, read once for the prompt and once for each token."""
    small = replace(preset("litellama-460m"), max_position_embeddings=1024)
    board = device("Raspberry Pi 5, 8 GB")
    energy = device_energy(small, board, "float16", 10, 20)
    assert energy is not None
    looked_up = 2 * 50304 * 1024
    seconds = (923_371_520 + 20 * (923_371_520 - looked_up + 30 * 12_288)) / 17.1e9
    assert energy.low == pytest.approx(0.4 * 8 * seconds, rel=1e-3)
    assert energy.high == pytest.approx(4 * 8 * seconds, rel=1e-3)


def test_a_long_prompt_costs_its_operations() -> None:
    """On a device that says how fast it computes, reading at once is bound by that, not by memory."""
    seven, chip = preset("llama2-7b"), device("NVIDIA T4")
    short, long = (device_energy(seven, chip, "int8", prompt, 1) for prompt in (1, 2000))
    assert short is not None
    assert long is not None
    assert chip.flops is not None
    assert chip.watts is not None
    assert long.low >= LEAST_POWER * chip.watts * prefill_flops(seven, 2000) / chip.flops
    assert long.low > 2 * short.low


def test_replies_given_at_once_share_the_weights() -> None:
    alone, eight = (device_energy(preset("llama2-7b"), device("NVIDIA H100"), "float16", 50, 100, n) for n in (1, 8))
    assert alone is not None
    assert eight is not None
    assert alone.joules / 8 < eight.joules < alone.joules / 6


def test_no_figure_for_what_does_not_fit_or_is_not_known() -> None:
    assert device_energy(preset("llama2-70b"), device(A100), "float16", 50, 100) is None
    silent = replace(device(A100), watts=None)
    assert device_energy(preset("llama2-7b"), silent, "float16", 50, 100) is None


def test_training_follows_metas_own_calculation() -> None:
    """GPU hours x watts x PUE 1.1 x 0.385 kg/kWh gives the tonnes that the paper states."""
    for size, stated in (("7b", 31.22), ("13b", 62.44), ("70b", 291.42)):
        training = training_energy(f"llama2-{size}")
        assert training is not None
        assert not training.estimated
        assert training.joules / KWH * 0.385 / 1000 == pytest.approx(stated, abs=0.02)


def test_what_nobody_published_has_a_range() -> None:
    small, tiny = training_energy("litellama-460m"), training_energy("tinyllama-1.1b")
    assert small is not None
    assert tiny is not None
    assert small.estimated
    assert small.low < small.joules == 273 * KWH < small.high
    assert tiny.joules == pytest.approx(34_560 * 400 * 3600 * 1.1)
    assert training_energy("litellama-5m") is None


def test_the_labs_own_training_by_its_card() -> None:
    training = training_energy("tinytown", {"hours": 2.0, "machine": "4 cores of AMD EPYC, Linux"})
    assert training is not None
    assert training.low / KWH == pytest.approx(4 * 2 * 3.75 / 1000)
    assert training.high / KWH == pytest.approx(4 * 2 * 12 / 1000)
    assert training_energy("tinytown", {"hours": 2.0, "machine": "one NVIDIA H100"}) is None
    assert training_energy("tinytown", {"machine": "4 cores"}) is None


def test_use_outgrows_training() -> None:
    assert break_even(100.0, 4.0) == 25


def test_grids_and_buildings() -> None:
    assert emissions(3.6e6, 380.9, 1.1) == pytest.approx(418.99)
    assert grids()["Germany"].number == 380.9
    assert len(grids()) >= 30
    assert 1 <= min(one.number for one in pues().values()) <= max(one.number for one in pues().values()) < 2


def test_everyday_things_have_the_range_of_their_sources() -> None:
    phone, kettle, car = equivalents()
    assert (phone.low / KWH, phone.high / KWH) == pytest.approx((0.012, 0.022))
    assert kettle.low / KWH == pytest.approx(0.12)
    assert (car.low, car.high, car.unit) == (120, 251, "g")
    assert all(one.facts for one in (phone, kettle, car))


def test_scores_stand_above_chance_and_grow_with_size() -> None:
    above = [one.above_chance for one in scores()]
    assert above == sorted(above)
    assert next(one.model for one in scores()) == "litellama-460m"
    assert {chance(task).number for task in TASKS} == {25.0}
    with pytest.raises(ValueError, match="no fact"):
        chance("TruthfulQA")


def test_there_are_devices_for_every_purse() -> None:
    devices = all_devices()
    assert len(devices) >= 16
    assert len({one.name for one in devices}) == len(devices)
    assert devices[0].memory <= 4e9
    assert devices[-1].memory >= 141e9
