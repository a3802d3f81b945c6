"""The Compare tab behind the page: every number is a formula's or a fact's, and says which."""

from __future__ import annotations

import json
from typing import Any

import pytest

from app.comparison import FIRST, MODELS, PRECISIONS, choices, weigh
from app.words import Problem, all_words
from litellama.config import preset
from litellama.footprint.arithmetic import decode_bound, decode_flops, weight_bytes
from litellama.footprint.devices import device
from litellama.footprint.facts import all_facts

KINDS = {"computed", "published", "derived", "estimated", "chosen"}


def figures(found: Any) -> list[dict[str, Any]]:
    """All numbers of a tree, wherever they stand."""
    if isinstance(found, dict) and "kind" in found:
        return [found]
    if isinstance(found, dict):
        return [one for value in found.values() for one in figures(value)]
    return [one for value in found for one in figures(value)] if isinstance(found, list) else []


def everything() -> list[dict[str, Any]]:
    return [
        weigh(FIRST | {"precision": precision, "device": name, "batch": batch})
        for precision in PRECISIONS for name in choices()["devices"] for batch in (1, 64)
    ]  # fmt: skip


def test_no_number_is_without_its_label() -> None:
    words, facts = all_words()["en"], {(one.source.url, one.value) for one in all_facts().values()}
    for found in everything():
        shown = figures(found)
        assert len(shown) >= 6 * len(MODELS) + 2
        for one in shown:
            assert one["kind"] in KINDS
            words[one["how"]].format(**one["values"])  # every blank of the sentence is filled
            if one["how"] == "compare.how_published":
                assert (one["source"]["url"], one["value"]) in facts
            else:
                assert one["kind"] in ("computed", "chosen")
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
    found = weigh(FIRST | {"device": "NVIDIA H100", "batch": 64, "context": 512})
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
    assert weigh(FIRST)["models"][0]["whole_context"] is False
    assert by_name["llama2-13b"]["weights"]["value"] == weight_bytes(preset("llama2-13b"), "float16")


def test_it_can_be_sent() -> None:
    assert json.loads(json.dumps(weigh(FIRST))) == weigh(FIRST)


@pytest.mark.parametrize(
    "wrong",
    [{"precision": "int3"}, {"device": "abacus"}, {"device": None}, {"context": 0}, {"context": 5000}, {"batch": 65},
     {"batch": 1.5}, {"batch": True}, {"context": "128"}],
)  # fmt: skip
def test_bad_requests_are_sentences(wrong: dict[str, Any]) -> None:
    with pytest.raises(Problem, match="does not understand"):
        weigh(FIRST | wrong)
