"""The Intervene tab behind the page: all heads on is the model, and what cannot be done gets a sentence."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from app.common.strings import Problem
from app.server.services import Services
from litellama.checkpoint import open_checkpoint

QUESTION = "Tom found a red kite. Where is it?"


@pytest.fixture
def services(tiny_checkpoint: Path) -> Services:
    return Services(open_checkpoint(tiny_checkpoint))


def last(work: Iterator[dict[str, Any]]) -> dict[str, Any]:
    return list(work)[-1]


def test_no_head_off_is_the_model_itself(services: Services) -> None:
    begun = services.intervene.begin("a", QUESTION)
    assert (begun["layers"], begun["heads"], begun["groups"]) == (2, 4, 2)
    for (text, share), (first, before) in zip(begun["now"], begun["before"], strict=False):
        assert text == first
        assert share == pytest.approx(before, abs=2e-4)
    again = services.intervene.change("a", [])
    assert again["now"] == begun["now"]
    every = [[layer, head] for layer in range(2) for head in range(4)]
    assert services.intervene.change("a", every)["now"] != begun["now"]
    assert services.intervene.change("a", [])["now"] == begun["now"], "the model itself was not changed"


def test_heads_can_speak_louder(services: Services) -> None:
    begun = services.intervene.begin("a", QUESTION)
    all_heads = [[layer, head] for layer in range(2) for head in range(4)]
    assert services.intervene.change("a", all_heads, 1) == {name: begun[name] for name in ("now", "before")}
    louder = services.intervene.change("a", all_heads, 2.5)
    assert louder["before"] != begun["before"]
    assert louder["before"] != services.intervene.change("a", all_heads, 0)["before"]
    for strength in (-1, 3.5, "1", None, True, float("nan")):
        with pytest.raises(Problem, match="does not understand"):
            services.intervene.change("a", [], strength)


def test_worth_patch_and_the_fewest(services: Services) -> None:
    services.intervene.begin("a", QUESTION)
    worth = last(services.intervene.worth("a"))
    assert [len(row) for row in worth["effects"]] == [4, 4]
    same = last(services.intervene.patch("a", QUESTION))
    assert max(abs(effect) for row in same["effects"] for effect in row) < 1e-3
    other = last(services.intervene.patch("a", QUESTION.replace("red", "der")))
    assert max(abs(effect) for row in other["effects"] for effect in row) > 1e-3
    few = last(services.intervene.few("a"))
    assert few["state"] == "done"
    begun = services.intervene.change("a", [])
    left = services.intervene.change("a", few["off"])
    length = len(begun["before"])
    assert [text for text, _ in left["now"]][:length] == [text for text, _ in begun["now"]][:length]


@pytest.mark.parametrize("action", ["few", "worth", "patch"])
def test_work_on_every_head_can_be_cancelled(services: Services, action: str) -> None:
    services.intervene.begin("a", QUESTION)
    more = [QUESTION] if action == "patch" else []
    work: Iterator[dict[str, Any]] = getattr(services.intervene, action)("a", *more)
    assert next(work)["state"] == "running"
    services.intervene.cancel("a")
    assert [news["state"] for news in work] == ["stopped"]


def test_bad_requests_are_sentences(services: Services) -> None:
    with pytest.raises(Problem, match="No text has been read"):
        last(services.intervene.worth("a"))
    services.intervene.begin("a", QUESTION)
    for off in (None, "0,0", [[0]], [[0, 9]], [[-1, 0]], [[True, 0]], [["0", 0]], [[0, 0]] * 99):
        with pytest.raises(Problem, match="does not understand"):
            services.intervene.change("a", off)
    with pytest.raises(Problem, match="patching needs as many"):
        last(services.intervene.patch("a", QUESTION + " And why was it there?"))
    with pytest.raises(Problem, match="longer than the model can read"):
        last(services.intervene.patch("a", "the tree " * 400))
    services.lifecycle.forget("a")
    with pytest.raises(Problem):
        last(services.intervene.worth("a"))
