"""What the Attention tab is told is what the model did, to 16 bits; and it forgets when it holds too much."""

from __future__ import annotations

import base64
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor

from app.attention import service as attention_service
from app.attention.service import TextMaps, maps_store, move_window, overview, picture, read_and_look, roles_json
from app.common.strings import Problem
from app.server.services import Services
from litellama.checkpoint import open_checkpoint
from litellama.explain.attention import attention_maps, roles_in, rollout
from litellama.model import LiteLlama
from litellama.tokenizer import Tokenizer

QUESTION = "Tom found a red kite. Where is it?"


@pytest.fixture
def look(tiny_model: LiteLlama, tokenizer: Tokenizer) -> TextMaps:
    (only,) = read_and_look(tiny_model, tokenizer, QUESTION)
    return only


def unpacked(text: str, dtype: torch.dtype) -> Tensor:
    return torch.frombuffer(bytearray(base64.b64decode(text)), dtype=dtype)


def test_a_large_model_shows_the_question_first(
    tiny_model: LiteLlama, tokenizer: Tokenizer, look: TextMaps, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(attention_service, "QUICK", 1)
    question, whole = read_and_look(tiny_model, tokenizer, QUESTION)
    assert question.reading.ids == look.reading.ids[: look.reading.answer_start]
    assert whole.reading == look.reading


def test_the_overview_holds_every_head(look: TextMaps, tiny_model: LiteLlama) -> None:
    shown = overview(look, tiny_model.config)
    assert (shown["layers"], shown["heads"], shown["groups"]) == (2, 4, 2)
    assert (shown["start"], shown["end"]) == (0, len(look.reading.ids))
    assert shown["tokens"] == list(look.reading.tokens)
    pictures = unpacked(shown["pictures"], torch.uint8).view(2, 4, shown["side"], shown["side"]) / 255
    torch.testing.assert_close(pictures.square(), look.maps.thumbnails(shown["side"]), atol=0.005, rtol=0)


@pytest.mark.parametrize("view", attention_service.VIEWS)
def test_a_map_is_the_models(look: TextMaps, view: str) -> None:
    shown = picture(look, view, 1, 3)
    got = unpacked(shown["weights"], torch.uint16).to(torch.float32).view(shown["size"], -1) / 65535
    expected = {"head": look.maps.weights[1, 3], "layer": look.maps.by_layer[1], "rollout": rollout(look.maps)}[view]
    torch.testing.assert_close(got, expected, atol=1e-5, rtol=0)
    assert shown["before"] == []


def test_a_window_counts_what_lies_before_it(look: TextMaps, tiny_model: LiteLlama) -> None:
    whole = attention_maps(tiny_model, look.reading.ids)
    moved = move_window(tiny_model, look, 10)
    shown = picture(moved, "head", 0, 2)
    assert shown["size"] == len(look.reading.ids) - 10
    torch.testing.assert_close(torch.tensor(shown["before"]), whole.weights[0, 2, 10:, :10].sum(-1), atol=1e-4, rtol=0)
    with pytest.raises(Problem, match="first token on"):
        picture(moved, "rollout", 0, 0)


def test_roles_come_with_their_scores(look: TextMaps) -> None:
    rows = roles_json(roles_in(look.maps, look.reading))
    assert [len(row) for row in rows] == [4, 4]
    for one in (head for row in rows for head in row):
        assert one["role"] is None or one["score"] == max(one["scores"].values()) >= 0.4
        assert all(0 <= score <= 1 for score in one["scores"].values()), "what cannot be scored is left out, not NaN"


def test_bad_requests_are_sentences(look: TextMaps, tiny_model: LiteLlama, tokenizer: Tokenizer) -> None:
    for view, layer, head in (("heads", 0, 0), ("head", 2, 0), ("head", -1, 0), ("head", True, 0), ("head", 0, None)):
        with pytest.raises(Problem, match="does not understand"):
            picture(look, view, layer, head)
    for start in (-1, 10**6, "0", None, True):
        with pytest.raises(Problem, match="does not understand"):
            move_window(tiny_model, look, start)
    with pytest.raises(Problem, match="longer than the model can read"):
        next(read_and_look(tiny_model, tokenizer, "the tree " * 400))


def test_maps_are_forgotten_before_they_fill_the_memory(look: TextMaps) -> None:
    stored = maps_store(most_bytes=3 * look.bytes)
    for page in "abcd":
        stored.put(page, replace(look))
    assert stored.get("a") is None
    assert all(stored.get(page) for page in "bcd")
    stored.put("b", look)
    stored.get("c")
    stored.put("e", look)
    assert stored.get("d") is None
    small = maps_store(most_bytes=1)
    small.put("a", look)
    assert small.get("a") is look, "the one being looked at stays, however large"


def test_a_page_looks_and_looks_closer(tiny_checkpoint: Any) -> None:
    services = Services(open_checkpoint(tiny_checkpoint))
    with pytest.raises(Problem, match="Nothing has been looked at"):
        services.attention.head("a", "head", 0, 0)
    first, second = services.attention.look("a", QUESTION)
    assert first["roles"] is None
    assert len(second["roles"]) == 2
    (only,) = services.attention.look("a", QUESTION)
    assert only["roles"] == second["roles"], "measured once"
    assert services.attention.head("a", "head", 0, 0)["size"] == first["end"]
    services.lifecycle.forget("a")
    with pytest.raises(Problem):
        services.attention.head("a", "head", 0, 0)
    with pytest.raises(Problem, match="empty"):
        list(services.attention.look("a", "  "))
