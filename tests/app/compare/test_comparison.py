"""The Compare tab behind the page: every number is a formula's, a fact's or a measurement's, and says which."""

from __future__ import annotations

import json
from typing import Any

import pytest

from app.common.strings import Problem, all_words
from app.compare import service as comparison
from app.compare.service import BY_DEVICE, FIRST, LIMITS, MODELS, PRECISIONS, choices, compare, every_fact
from litellama.config import preset
from litellama.footprint.arithmetic import decode_bound, decode_flops, weight_bytes
from litellama.footprint.bench import Cost
from litellama.footprint.devices import device
from litellama.footprint.emissions import KWH, device_energy, grids, pues, training_energy
from litellama.footprint.facts import all_facts
from litellama.footprint.measurements import ModelCosts, Record, text_energy
from litellama.footprint.meter import Energy

ESTIMATES = {
    f"compare.how_{way}"
    for way in ("record", "device", "times", "emissions", "gpu_hours", "operations", "core_hours", "training_emissions",
                "break_even", "everyday")
}  # fmt: skip
KINDS = {"computed", "published", "derived", "estimated", "measured", "chosen"}
HERE = "a machine, 2026-11-23"
CARD = {"hours": 1.5, "machine": "2 cores of AMD EPYC"}


def figures(found: Any) -> list[dict[str, Any]]:
    """All numbers of a tree, wherever they stand."""
    if isinstance(found, dict) and "kind" in found:
        return [found]
    if isinstance(found, dict):
        return [one for value in found.values() for one in figures(value)]
    return [one for value in found for one in figures(value)] if isinstance(found, list) else []


def everything() -> list[dict[str, Any]]:
    asked = [
        {"precision": precision, "device": name, "batch": batch}
        for precision in PRECISIONS for name in choices()["devices"] for batch in (1, 64)
    ]  # fmt: skip
    asked += [{"basis": key} for key in choices()["bases"]]
    asked += [{"country": country, "pue": pue} for country in grids() for pue in ("none", "Meta fleet")]
    return [compare(FIRST | one, CARD) for one in asked]


@pytest.fixture(autouse=True)
def a_record(monkeypatch: pytest.MonkeyPatch) -> Record:
    """This machine has been measured, by a sensor."""

    def costs(joules: float) -> ModelCosts:
        written, read = (Energy(one, one * 0.95, one * 1.05, "RAPL", True) for one in (joules, 5 * joules))
        return ModelCosts(Cost(0.1, 0.02, written, 2), Cost(0.5, 0.02, read, 2), error=0.03)

    models = {"litellama-460m": costs(1.5), "llama2-7b": costs(20.0)}
    record = Record("a machine", "2026-11-23", "2.13.0", "bfloat16", 256, 128, models)
    monkeypatch.setattr(comparison, "records", lambda: [record])
    return record


def test_no_number_is_without_its_label() -> None:
    words, facts = all_words()["en"], {(one.source.url, one.value) for one in all_facts().values()}
    for found in everything():
        shown = figures(found)
        assert len(shown) >= 6 * len(MODELS) + 2
        for one in shown:
            assert one["kind"] in KINDS
            words[one["how"]].format(**one["values"])  # every blank of the sentence is filled
            if one["how"] == "compare.how_published":
                assert one["sources"]
                scales = (1, 1e6, FIRST["answer"])  # tonnes in grams, a token's joules for a whole answer
                assert any((one["sources"][0]["url"], one["value"] / scale) in facts for scale in scales)
            elif one["kind"] in ("estimated", "measured"):
                assert one["how"] in ESTIMATES
                if one["value"] is not None and "low" in one:
                    assert one["low"] <= one["value"] <= one["high"]
            elif one["kind"] == "derived":
                assert one.get("sources") or one["how"] == "compare.how_above"
            else:
                assert one["kind"] in ("computed", "chosen", "published")
                assert one["kind"] != "published" or one["sources"]
        for model in found["models"]:  # and what stands beside the figures is a name or the length of text
            assert set(model) - {"key", "label", "context", "whole_context"} == {
                "parameters", "weights", "cache", "total", "fits", "speed",
            }  # fmt: skip


def test_the_sentences_say_how_the_numbers_came_about() -> None:
    for found in everything():
        for model in found["models"]:
            parts = model["parameters"]["values"]
            assert sum(parts.values()) == model["parameters"]["value"]
            cache = model["cache"]["values"]
            product = 2 * cache["layers"] * cache["groups"] * cache["width"] * cache["bytes"]
            assert product * cache["context"] * cache["batch"] == model["cache"]["value"]
            assert model["weights"]["value"] + model["cache"]["value"] == model["total"]["value"]
            if model["weights"]["how"] == "compare.how_weights":
                bits = model["weights"]["values"]["bits"]
                assert model["parameters"]["value"] * bits / 8 == model["weights"]["value"]
            assert model["fits"]["value"] == (model["total"]["value"] <= 0.9e9 * model["fits"]["values"]["memory"])
            assert (model["speed"]["value"] is not None) == model["fits"]["value"]


def test_the_highest_speed_is_the_bound() -> None:
    found = compare(FIRST | {"device": "NVIDIA H100", "batch": 64, "context": 512})
    by_name = {model["key"]: model for model in found["models"]}
    seven, chip = preset("llama2-7b"), device("NVIDIA H100")
    bound = decode_bound(seven, chip, "float16", 512, 64)
    assert by_name["llama2-7b"]["speed"]["value"] == pytest.approx(bound.tokens_per_second)
    assert by_name["llama2-7b"]["speed"]["how"] == "compare.how_by_memory"
    small = by_name["litellama-460m"]["speed"]
    if small["how"] == "compare.how_by_compute":
        assert small["value"] == pytest.approx(chip.flops / decode_flops(preset("litellama-460m"), 512))
    assert by_name["llama2-70b"]["speed"]["value"] is None
    assert by_name["tinytown"]["context"] == 512
    assert compare(FIRST)["models"][0]["whole_context"] is False
    assert by_name["llama2-13b"]["weights"]["value"] == weight_bytes(preset("llama2-13b"), "float16")


def test_a_reply_costs_what_the_record_or_the_device_says(a_record: Record) -> None:
    by_record = {
        one["key"]: one for one in compare(FIRST | {"basis": HERE, "prompt": 64, "answer": 10})["costs"]["models"]
    }
    expected = text_energy(a_record, "llama2-7b", 64, 10)
    assert expected is not None
    seven = by_record["llama2-7b"]
    assert seven["reply"]["value"] == pytest.approx(expected.joules)
    assert seven["thousand"]["value"] == pytest.approx(1000 * expected.joules)
    assert seven["times"]["value"] == pytest.approx(expected.joules / by_record["litellama-460m"]["reply"]["value"])
    assert seven["reply"]["methods"] == ["chat.method_rapl"]
    assert seven["published"]["value"] == pytest.approx(4.35 * 10, rel=0.01), "per token, for all that are written"
    assert seven["reply"]["checked"] == 0.03

    asked = {"device": "NVIDIA H100", "batch": 8, "prompt": 64, "answer": 10, "basis": BY_DEVICE}
    by_device = {one["key"]: one for one in compare(FIRST | asked)["costs"]["models"]}
    other = device_energy(preset("llama2-7b"), device("NVIDIA H100"), "float16", 64, 10, 8)
    assert other is not None
    assert by_device["llama2-7b"]["reply"]["value"] == pytest.approx(other.joules)
    assert by_device["llama2-70b"]["reply"] is None, "it does not fit"


def test_a_year_and_the_training(a_record: Record) -> None:
    asked = FIRST | {"basis": HERE, "replies": 5000, "country": "France", "pue": "Meta fleet"}
    rows = {one["key"]: one for one in compare(asked, CARD)["costs"]["models"]}
    seven, training = rows["llama2-7b"], training_energy("llama2-7b")
    assert training is not None
    year = 5000 * seven["reply"]["value"]
    assert seven["year"]["value"] == pytest.approx(year)
    assert seven["co2"]["value"] == pytest.approx(year / KWH * grids()["France"].number * pues()["Meta fleet"].number)
    assert seven["training"]["value"] == training.joules
    assert seven["training"]["kind"] == "derived"
    assert seven["training_co2"]["value"] == pytest.approx(training.joules / KWH * grids()["France"].number)
    assert seven["training_stated"]["value"] == pytest.approx(31.22e6)
    assert seven["break_even"]["value"] == pytest.approx(training.joules / seven["reply"]["value"])
    assert rows["tinytown"]["training"]["kind"] == "estimated"
    assert rows["tinytown"]["training"]["low"] == pytest.approx(2 * 1.5 * 3.75 * 3600)
    assert {one["key"]: one for one in compare(asked)["costs"]["models"]}["tinytown"]["training"] is None


def test_what_they_can_do_is_published() -> None:
    found = compare(FIRST)
    scores = {one["key"]: one for one in found["scores"]}
    assert scores["llama2-70b"]["tasks"]["MMLU"]["value"] == 69.83
    assert found["chance"]["MMLU"]["value"] == 25
    counted = [scores["llama2-7b"]["tasks"][task]["value"] - 25 for task in found["chance"]]
    assert scores["llama2-7b"]["above"]["value"] == pytest.approx(sum(counted) / 3)
    assert "TruthfulQA" not in found["chance"]


def test_every_fact_can_be_looked_up() -> None:
    rows = every_fact()
    assert len(rows) == len(all_facts())
    assert json.loads(json.dumps(rows)) == rows
    assert all(one["source"]["url"].startswith("http") and one["kind"] in KINDS for one in rows)


def test_it_can_be_sent() -> None:
    assert json.loads(json.dumps(compare(FIRST))) == compare(FIRST)


@pytest.mark.parametrize(
    "wrong",
    [{"precision": "int3"}, {"device": "abacus"}, {"device": None}, {"context": 0}, {"context": 5000}, {"batch": 65},
     {"batch": 1.5}, {"batch": True}, {"context": "128"}, {"basis": "elsewhere"}, {"basis": None},
     {"country": "Atlantis"}, {"pue": 1.1}, {"replies": LIMITS["replies"] + 1}, {"answer": 0}, {"prompt": [1]}],
)  # fmt: skip
def test_bad_requests_are_sentences(wrong: dict[str, Any]) -> None:
    with pytest.raises(Problem, match="does not understand"):
        compare(FIRST | wrong)
