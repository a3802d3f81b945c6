"""The Intervene tab behind the page: all heads on is the model, and what cannot be done gets a sentence."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from app.common.strings import Problem
from app.session import Session
from litellama.checkpoint import open_checkpoint

QUESTION = "Tom found a red kite. Where is it?"


@pytest.fixture
def session(tiny_checkpoint: Path) -> Session:
    return Session(open_checkpoint(tiny_checkpoint))


def act(session: Session, action: object, **sent: object) -> dict[str, Any]:
    return list(session.intervene("a", action, sent))[-1]


def test_no_head_off_is_the_model_itself(session: Session) -> None:
    begun = act(session, "begin", text=QUESTION)
    assert (begun["layers"], begun["heads"], begun["groups"]) == (2, 4, 2)
    for (text, share), (first, before) in zip(begun["now"], begun["before"], strict=False):
        assert text == first
        assert share == pytest.approx(before, abs=2e-4)
    again = act(session, "change", off=[])
    assert again["now"] == begun["now"]
    every = [[layer, head] for layer in range(2) for head in range(4)]
    assert act(session, "change", off=every)["now"] != begun["now"]
    assert act(session, "change", off=[])["now"] == begun["now"], "the model itself was not changed"


def test_heads_can_speak_louder(session: Session) -> None:
    begun = act(session, "begin", text=QUESTION)
    all_heads = [[layer, head] for layer in range(2) for head in range(4)]
    assert act(session, "change", off=all_heads, strength=1) == {name: begun[name] for name in ("now", "before")}
    louder = act(session, "change", off=all_heads, strength=2.5)
    assert louder["before"] != begun["before"]
    assert louder["before"] != act(session, "change", off=all_heads, strength=0)["before"]
    for strength in (-1, 3.5, "1", None, True, float("nan")):
        with pytest.raises(Problem, match="does not understand"):
            act(session, "change", off=[], strength=strength)


def test_worth_patch_and_the_fewest(session: Session) -> None:
    act(session, "begin", text=QUESTION)
    worth = act(session, "worth")
    assert [len(row) for row in worth["effects"]] == [4, 4]
    same = act(session, "patch", other=QUESTION)
    assert max(abs(effect) for row in same["effects"] for effect in row) < 1e-3
    other = act(session, "patch", other=QUESTION.replace("red", "der"))
    assert max(abs(effect) for row in other["effects"] for effect in row) > 1e-3
    few = act(session, "few")
    assert few["state"] == "done"
    begun = act(session, "change", off=[])
    left = act(session, "change", off=few["off"])
    length = len(begun["before"])
    assert [text for text, _ in left["now"]][:length] == [text for text, _ in begun["now"]][:length]


@pytest.mark.parametrize("action", ["few", "worth", "patch"])
def test_work_on_every_head_can_be_cancelled(session: Session, action: str) -> None:
    act(session, "begin", text=QUESTION)
    work: Iterator[dict[str, Any]] = session.intervene("a", action, {"other": QUESTION})
    assert next(work)["state"] == "running"
    session.cancel_explaining("a")
    assert [news["state"] for news in work] == ["stopped"]


def test_bad_requests_are_sentences(session: Session) -> None:
    with pytest.raises(Problem, match="No text has been read"):
        act(session, "worth")
    act(session, "begin", text=QUESTION)
    for off in (None, "0,0", [[0]], [[0, 9]], [[-1, 0]], [[True, 0]], [["0", 0]], [[0, 0]] * 99):
        with pytest.raises(Problem, match="does not understand"):
            act(session, "change", off=off)
    with pytest.raises(Problem, match="does not understand"):
        act(session, "explode")
    with pytest.raises(Problem, match="patching needs as many"):
        act(session, "patch", other=QUESTION + " And why was it there?")
    with pytest.raises(Problem, match="longer than the model can read"):
        act(session, "patch", other="the tree " * 400)
    session.leave("a")
    with pytest.raises(Problem):
        act(session, "worth")
