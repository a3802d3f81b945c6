"""The walk through one step: its numbers are the model's own, and every formula holds between them."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from app.common.strings import Problem
from app.server.services import Services
from litellama.checkpoint import open_checkpoint
from litellama.config import ModelConfig
from litellama.explain.trace import STAGES, trace_step, vectors
from litellama.model import LiteLlama
from litellama.sampling import Sampling
from tests.conftest import TINY, random_model

IDS = [5, 9, 17, 5, 60, 3, 9, 200]
QUESTION = "Tom found a red kite. Where is it?"


@pytest.fixture
def odd_model() -> LiteLlama:
    """Three layers, an untied head, and heads that together are wider than the stream."""
    config: ModelConfig = replace(
        TINY, num_hidden_layers=3, head_dim=12, num_attention_heads=6, num_key_value_heads=3, tie_word_embeddings=False
    )
    return random_model(config, seed=4)


@pytest.mark.parametrize(("place", "layer", "head"), [(7, 0, 0), (5, 1, 3), (0, 2, 5)])
def test_its_numbers_are_those_of_the_run(odd_model: LiteLlama, place: int, layer: int, head: int) -> None:
    walk = trace_step(odd_model, IDS, position=place, layer=layer, head=head)
    with torch.inference_mode():
        whole = odd_model(torch.tensor([IDS]), output_attentions=True, output_hidden_states=True)
    torch.testing.assert_close(walk.weights, whole.attentions[layer][0, head, place, : place + 1])
    torch.testing.assert_close(walk.entering, whole.hidden_states[layer][0, place])
    torch.testing.assert_close(walk.leaving, whole.hidden_states[layer + 1][0, place])
    torch.testing.assert_close(walk.logits, whole.logits[0, place], rtol=1e-4, atol=1e-5)
    assert walk.group == head // 2
    assert all(numbers.isfinite().all() for numbers in vectors(walk).values())


def test_every_station_follows_from_the_one_before(odd_model: LiteLlama) -> None:
    place, layer = 6, 1
    heads = [trace_step(odd_model, IDS, position=place, layer=layer, head=head) for head in range(6)]
    walk, block = heads[4], odd_model.model.layers[layer]
    close = torch.testing.assert_close
    with torch.inference_mode():
        root = torch.sqrt(walk.entering.square().mean() + odd_model.config.rms_norm_eps)
        close(walk.normed, walk.entering / root * block.input_layernorm.weight)  # type: ignore[union-attr]
        for before, after, position in ((walk.query, walk.query_turned, place), (walk.keys[2], walk.keys_turned[2], 2)):
            first, second = before.chunk(2)
            turned = torch.complex(first, second) * torch.polar(torch.ones(6), walk.angles * position)
            close(after, torch.cat((turned.real, turned.imag)))
        close(walk.scores, walk.keys_turned @ walk.query_turned / math.sqrt(12))
        close(walk.weights, walk.scores.exp() / walk.scores.exp().sum())
        close(walk.mixed, sum(w * v for w, v in zip(walk.weights, walk.values, strict=True)))
        close(walk.attended, sum(one.head_written for one in heads), rtol=1e-4, atol=1e-5)
        close(walk.between, walk.entering + walk.attended)
        close(walk.hidden, walk.gate * walk.gate.sigmoid() * walk.up)
        close(walk.leaving, walk.between + walk.written)
        close(walk.logits, odd_model.lm_head.weight @ walk.final)
        close(walk.attention_size[layer], walk.attended.norm())
        close(walk.feed_forward_size[layer], walk.written.norm())
        close(walk.stream_size[layer + 1], walk.leaving.norm())


def test_the_model_is_left_as_it_was(tiny_model: LiteLlama) -> None:
    trace_step(tiny_model, IDS, position=3, layer=0, head=0)
    assert not any(module._forward_hooks for module in tiny_model.modules())


@pytest.mark.parametrize(
    ("ids", "place", "layer", "head", "says"),
    [([], 0, 0, 0, "the text has 0 tokens"), ([1] * 200, 0, 0, 0, "the text has 200 tokens"),
     (IDS, 8, 0, 0, "place 8"), (IDS, -1, 0, 0, "place -1"), (IDS, 0, 2, 0, "layer 2"), (IDS, 0, 0, 4, "head 4")],
)  # fmt: skip
def test_what_is_not_there_is_refused(
    tiny_model: LiteLlama, ids: list[int], place: int, layer: int, head: int, says: str
) -> None:
    with pytest.raises(ValueError, match=says):
        trace_step(tiny_model, ids, position=place, layer=layer, head=head)


def test_each_station_names_a_line_that_is_there() -> None:
    assert len({station.name for station in STAGES}) == len(STAGES)
    package = Path(__file__).parents[2] / "litellama"
    for station in STAGES:
        file, number, text = station.line()
        assert (package / file).read_text(encoding="utf-8").splitlines()[number - 1].strip() == text
        assert station.code in text
    with pytest.raises(LookupError, match="out of date"):
        replace(STAGES[0], code="no such line").line()


def test_the_tab_walks_from_place_to_place(tiny_checkpoint: Path) -> None:
    services = Services(open_checkpoint(tiny_checkpoint))
    first = services.step.trace("a", {"text": QUESTION})
    assert first["place"] >= first["answer_start"] - 1
    assert [guess["came"] for guess in first["guesses"]].count(True) == 1
    assert json.loads(json.dumps(first)) == first
    for temperature, column in zip(first["temperatures"], range(9), strict=False):
        logits = services.page_models.opened("a").model(torch.tensor([_ids(services)])).logits[0, first["place"]]
        expected = Sampling(temperature=temperature, top_p=1).probabilities(logits)
        for guess in first["guesses"]:
            assert guess["shares"][column] == pytest.approx(float(expected[guess["id"]]), abs=1e-4)
    other = services.step.trace("a", {"place": 2, "layer": 1, "head": 3})
    assert (other["place"], other["layer"], other["head"], other["group"]) == (2, 1, 3, 1)
    assert len(other["numbers"]["scores"]) == 3
    assert len(other["values"]) == 3
    last = services.step.trace("a", {"place": len(first["tokens"]) - 1})
    assert not any(guess["came"] for guess in last["guesses"]), "nothing came after the last token"
    services.lifecycle.forget("a")
    with pytest.raises(Problem, match="No text has been read"):
        services.step.trace("a", {"place": 2})


def test_bad_requests_are_sentences(tiny_checkpoint: Path) -> None:
    services = Services(open_checkpoint(tiny_checkpoint))
    services.step.trace("a", {"text": QUESTION})
    for sent in (
        {"place": "1"},
        {"place": True},
        {"place": -1},
        {"place": 999},
        {"layer": 2},
        {"head": 4},
        {"layer": None},
    ):
        with pytest.raises(Problem, match="does not understand"):
            services.step.trace("a", sent)
    with pytest.raises(Problem, match="The message is empty"):
        services.step.trace("a", {"text": " "})


def _ids(services: Services) -> list[int]:
    return list(services.step._readings.get("a").ids)
