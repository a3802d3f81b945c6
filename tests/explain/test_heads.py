"""Changing a head changes what that head did and nothing else, and leaves the model as it was."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from litellama.chat import Message
from litellama.explain import heads
from litellama.explain.heads import (
    head_outputs,
    patch_each,
    scores_with_heads,
    search_smallest_set,
    smallest_set,
    switch_off_each,
    with_heads,
)
from litellama.explain.scoring import Scorer, Target
from litellama.explain.tokenized_run import TokenizedRun, read_chat
from litellama.model import LiteLlama
from litellama.tokenizer import Tokenizer
from tests.explain.test_explain import BEGIN, KINDS, hand_made_model

ALL = torch.ones(1, 2, 4)


@pytest.fixture
def reading(tiny_model: LiteLlama, tokenizer: Tokenizer) -> TokenizedRun:
    return read_chat(tiny_model, tokenizer, [Message("user", "Tom found a red kite. Where is it?")], max_new_tokens=6)


def target(reading: TokenizedRun) -> Target:
    return Target(reading.answer_start, len(reading.ids))


@torch.no_grad()
def test_all_heads_on_is_the_model_itself(tiny_model: LiteLlama, reading: TokenizedRun) -> None:
    ids = torch.tensor([reading.ids])
    expected = tiny_model(ids).logits
    torch.testing.assert_close(with_heads(tiny_model, ALL)(ids).logits, expected, atol=1e-5, rtol=1e-5)
    with_heads(tiny_model, ALL * 0)(ids)
    assert torch.equal(tiny_model(ids).logits, expected), "the model itself keeps its heads"
    assert with_heads(tiny_model, ALL).lm_head.weight is tiny_model.lm_head.weight, "and its weights are not copied"
    patch = head_outputs(tiny_model, reading.ids)
    patched = with_heads(tiny_model, ALL, patch, torch.ones(1, 2, 4, dtype=torch.bool))
    torch.testing.assert_close(patched(ids).logits, expected, atol=1e-5, rtol=1e-5)


@torch.no_grad()
def test_a_head_switched_off_is_one_whose_output_weights_are_zero(tiny_model: LiteLlama, reading: TokenizedRun) -> None:
    effects = switch_off_each(tiny_model, reading, target(reading))
    score = Scorer(tiny_model, reading, target(reading), reading.units("word")).score
    embeddings = tiny_model.model.embed_tokens(torch.tensor(reading.ids[:-1]))[None]
    assert effects.score == pytest.approx(score(embeddings).item(), abs=1e-4)
    size = tiny_model.config.head_dim
    for layer, head in ((0, 1), (1, 3)):
        weight = tiny_model.model.layers[layer].self_attn.o_proj.weight
        kept = weight.clone()
        weight[:, head * size : (head + 1) * size] = 0
        off = score(embeddings).item()
        weight.copy_(kept)
        assert effects.effects[layer, head].item() == pytest.approx(off - effects.score, abs=1e-4)


@torch.no_grad()
def test_patching_from_the_same_text_changes_nothing(tiny_model: LiteLlama, reading: TokenizedRun) -> None:
    same = patch_each(tiny_model, reading, target(reading), reading.ids)
    torch.testing.assert_close(same.effects, torch.zeros(2, 4), atol=1e-4, rtol=0)
    other = [*reading.ids[:5], 7, *reading.ids[6:]]
    assert patch_each(tiny_model, reading, target(reading), other).effects.abs().max() > 1e-3
    with pytest.raises(ValueError, match="patching needs"):
        patch_each(tiny_model, reading, target(reading), other[:4])
    with pytest.raises(ValueError, match="was expected"):
        with_heads(tiny_model, torch.ones(1, 3, 4))


def test_the_two_heads_that_carry_induction_are_found() -> None:
    """In the hand-made model only the previous-token head and the induction head matter, once the latter speaks."""
    model = hand_made_model()
    second = model.model.layers[1].self_attn
    with torch.no_grad():
        codes = [*range(3, 8), *range(11, 16)]
        for kind, code in enumerate(codes):
            second.v_proj.weight[code, kind] = 1  # what stands where the head looks ...
            second.o_proj.weight[kind, code] = 40  # ... is written into the stream, louder than the current token
        model.lm_head.weight[:KINDS, :KINDS] = torch.eye(KINDS)
    ids = (BEGIN, 3, 1, 4, 0, 5, 9, 2, 6, 3, 1, 4, 0, 5)
    offsets = tuple((place, place + 1) for place in range(len(ids)))
    reading = TokenizedRun(ids, 10, ("x",) * len(ids), offsets, "x" * len(ids), frozenset())
    assert scores_with_heads(model, reading, target(reading), ALL)[1].item(), "it goes on with the pattern"
    *_, left = smallest_set(model, reading, target(reading))
    assert left.nonzero().tolist() == [[0, 0], [1, 0]]


@pytest.mark.parametrize("singly", [0, 3, 5])
def test_no_head_of_the_set_can_be_left_out_however_it_was_found(
    tiny_model: LiteLlama, reading: TokenizedRun, monkeypatch: pytest.MonkeyPatch, singly: int
) -> None:
    monkeypatch.setattr(heads, "SINGLY", singly)
    *states, last = search_smallest_set(tiny_model, reading, target(reading))
    assert all(state.tried <= state.to_try for state in states)
    left = [int(state.left.sum()) for state in (*states, last)]
    assert left == sorted(left, reverse=True)
    one_less = last.left.float().repeat(left[-1], 1, 1)
    for version, (layer, head) in enumerate(last.left.nonzero().tolist()):
        one_less[version, layer, head] = 0
    both = torch.cat((last.left.float()[None], one_less))
    assert scores_with_heads(tiny_model, reading, target(reading), both)[1].tolist() == [True] + [False] * left[-1]


@torch.no_grad()
def test_versions_begin_where_they_change_and_are_the_whole_models(
    tiny_model: LiteLlama, reading: TokenizedRun
) -> None:
    """Batches that begin in different layers, against every version run from the embedding on."""
    generator = torch.Generator().manual_seed(1)
    scales = torch.ones(9, 2, 4)
    scales[1:5, 1] = torch.rand(4, 4, generator=generator) * 2
    scales[5:7] = torch.rand(2, 2, 4, generator=generator)
    patched = torch.zeros(9, 2, 4, dtype=torch.bool)
    patched[7, 1, 2] = patched[8, 0, 1] = True
    patch = head_outputs(tiny_model, [*reading.ids[:5], 7, *reading.ids[6:]])[:, : len(reading.ids) - 1]
    scores, _ = scores_with_heads(tiny_model, reading, target(reading), scales, patch, patched)
    ids, wanted = torch.tensor([reading.ids[:-1]] * 9), torch.tensor(reading.ids[reading.answer_start :])
    logits = with_heads(tiny_model, scales, patch, patched)(ids).logits[:, reading.answer_start - 1 :].log_softmax(-1)
    expected = logits[:, torch.arange(len(wanted)), wanted].sum(-1)
    torch.testing.assert_close(scores, expected, atol=1e-4, rtol=1e-4)


def test_a_smallest_set_still_answers(tiny_model: LiteLlama, reading: TokenizedRun) -> None:
    sets = list(smallest_set(tiny_model, reading, target(reading)))
    assert [int(one.sum()) for one in sets] == list(range(8, 8 - len(sets), -1))
    _, kept = scores_with_heads(tiny_model, reading, target(reading), sets[-1][None].float())
    assert kept.item()
    contrast = replace(target(reading), end=reading.answer_start + 1, instead=9)
    scores, _ = scores_with_heads(tiny_model, reading, contrast, ALL)
    logits = tiny_model(torch.tensor([reading.ids])).logits[0, reading.answer_start - 1]
    assert scores.item() == pytest.approx((logits[reading.ids[reading.answer_start]] - logits[9]).item(), abs=1e-4)
