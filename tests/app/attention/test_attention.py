"""What the Attention tab is told is what the model did, to 16 bits; and it forgets when it holds too much."""

from __future__ import annotations

import base64
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor

from app.attention import service as looks
from app.attention.service import Look, Looks, look_at, move_window, overview, picture, roles_json
from app.common.strings import Problem
from app.session import Session
from litellama.checkpoint import open_checkpoint
from litellama.explain.attention import attention_maps, roles_in, rollout
from litellama.model import LiteLlama
from litellama.tokenizer import Tokenizer

QUESTION = "Tom found a red kite. Where is it?"


@pytest.fixture
def look(tiny_model: LiteLlama, tokenizer: Tokenizer) -> Look:
    (only,) = look_at(tiny_model, tokenizer, QUESTION)
    return only


def unpacked(text: str, dtype: torch.dtype) -> Tensor:
    return torch.frombuffer(bytearray(base64.b64decode(text)), dtype=dtype)


def test_a_large_model_shows_the_question_first(
    tiny_model: LiteLlama, tokenizer: Tokenizer, look: Look, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(looks, "QUICK", 1)
    question, whole = look_at(tiny_model, tokenizer, QUESTION)
    assert question.reading.ids == look.reading.ids[: look.reading.answer_start]
    assert whole.reading == look.reading


def test_the_overview_holds_every_head(look: Look, tiny_model: LiteLlama) -> None:
    shown = overview(look, tiny_model.config)
    assert (shown["layers"], shown["heads"], shown["groups"]) == (2, 4, 2)
    assert (shown["start"], shown["end"]) == (0, len(look.reading.ids))
    assert shown["tokens"] == list(look.reading.tokens)
    pictures = unpacked(shown["pictures"], torch.uint8).view(2, 4, shown["side"], shown["side"]) / 255
    torch.testing.assert_close(pictures.square(), look.maps.thumbnails(shown["side"]), atol=0.005, rtol=0)


@pytest.mark.parametrize("view", looks.VIEWS)
def test_a_map_is_the_models(look: Look, view: str) -> None:
    shown = picture(look, view, 1, 3)
    got = unpacked(shown["weights"], torch.uint16).to(torch.float32).view(shown["size"], -1) / 65535
    expected = {"head": look.maps.weights[1, 3], "layer": look.maps.by_layer[1], "rollout": rollout(look.maps)}[view]
    torch.testing.assert_close(got, expected, atol=1e-5, rtol=0)
    assert shown["before"] == []


def test_a_window_counts_what_lies_before_it(look: Look, tiny_model: LiteLlama) -> None:
    whole = attention_maps(tiny_model, look.reading.ids)
    moved = move_window(tiny_model, look, 10)
    shown = picture(moved, "head", 0, 2)
    assert shown["size"] == len(look.reading.ids) - 10
    torch.testing.assert_close(torch.tensor(shown["before"]), whole.weights[0, 2, 10:, :10].sum(-1), atol=1e-4, rtol=0)
    with pytest.raises(Problem, match="first token on"):
        picture(moved, "rollout", 0, 0)


def test_roles_come_with_their_scores(look: Look) -> None:
    rows = roles_json(roles_in(look.maps, look.reading))
    assert [len(row) for row in rows] == [4, 4]
    for one in (head for row in rows for head in row):
        assert one["role"] is None or one["score"] == max(one["scores"].values()) >= 0.4
        assert all(0 <= score <= 1 for score in one["scores"].values()), "what cannot be scored is left out, not NaN"


def test_bad_requests_are_sentences(look: Look, tiny_model: LiteLlama, tokenizer: Tokenizer) -> None:
    for view, layer, head in (("heads", 0, 0), ("head", 2, 0), ("head", -1, 0), ("head", True, 0), ("head", 0, None)):
        with pytest.raises(Problem, match="does not understand"):
            picture(look, view, layer, head)
    for start in (-1, 10**6, "0", None, True):
        with pytest.raises(Problem, match="does not understand"):
            move_window(tiny_model, look, start)
    with pytest.raises(Problem, match="longer than the model can read"):
        next(look_at(tiny_model, tokenizer, "the tree " * 400))


def test_looks_are_forgotten_before_they_fill_the_memory(look: Look) -> None:
    held = Looks(most_bytes=3 * look.bytes)
    for key in "abcd":
        held.keep(key, replace(look))
    with pytest.raises(Problem, match="Nothing has been looked at"):
        held.get("a")
    assert all(held.get(key) for key in "bcd")
    held.keep("b", look)
    held.get("c")
    held.keep("e", look)
    with pytest.raises(Problem):
        held.get("d")
    small = Looks(most_bytes=1)
    small.keep("a", look)
    assert small.get("a") is look, "the one being looked at is kept, however large"


def test_a_session_looks_and_looks_closer(tiny_checkpoint: Any) -> None:
    session = Session(open_checkpoint(tiny_checkpoint))
    with pytest.raises(Problem, match="Nothing has been looked at"):
        session.head("a", "head", 0, 0)
    first, second = session.look("a", QUESTION)
    assert first["roles"] is None
    assert len(second["roles"]) == 2
    (only,) = session.look("a", QUESTION)
    assert only["roles"] == second["roles"], "measured once"
    assert session.head("a", "head", 0, 0)["size"] == first["end"]
    session.leave("a")
    with pytest.raises(Problem):
        session.head("a", "head", 0, 0)
    with pytest.raises(Problem, match="empty"):
        list(session.look("a", "  "))
