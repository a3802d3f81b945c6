"""A record's costs become the energy of a text: what LLaMA 2 7B would have taken for it."""

from __future__ import annotations

from dataclasses import replace

import pytest

from litellama.footprint.measurements import ModelCosts, text_energy
from litellama.footprint.meter import Energy
from tests.conftest import COSTS, METHODS, RECORD

WRITTEN, READ = COSTS.decode, COSTS.prefill


def test_worked_example() -> None:
    assert text_energy(RECORD, "llama2-7b", 256, 10) == Energy(328.0, 164.0, 656.0, METHODS, False)


def test_reading_and_writing_add_up() -> None:
    """No tokens take nothing, and two texts take the sum of both."""
    parts = [text_energy(RECORD, "llama2-7b", *tokens) for tokens in ((100, 7), (28, 3), (128, 10), (0, 0))]
    joules = [part.joules for part in parts if part is not None]
    assert joules[0] + joules[1] == pytest.approx(joules[2])
    assert joules[3] == 0


def test_what_the_record_does_not_say_is_none() -> None:
    assert text_energy(RECORD, "llama2-13b", 10, 10) is None
    for costs in (ModelCosts(replace(WRITTEN, energy=None), READ), ModelCosts(WRITTEN, replace(READ, energy=None))):
        assert text_energy(replace(RECORD, models={"llama2-7b": costs}), "llama2-7b", 10, 10) is None


def test_measured_only_if_both_were() -> None:
    measured = replace(WRITTEN, energy=Energy(20.0, 19.0, 21.0, "RAPL", True))
    mixed = text_energy(replace(RECORD, models={"x": ModelCosts(measured, READ)}), "x", 128, 1)
    assert mixed is not None
    assert (mixed.measured, mixed.method) == (False, f"RAPL + {METHODS}")
