"""Drills: every asked token can be looked up, nothing else helps, and they grow harder."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from litellama.data.lookup_drills import FEW_TOKENS, MOST_BETWEEN, ROWS, LookupDrillBatches
from litellama.tokenizer import Tokenizer
from litellama.training.dataset import tinytown_dataset
from litellama.training.initial_weights import new_model
from litellama.training.loop import train
from litellama.training.recipe import Recipe
from tests.conftest import TINY

STEPS = 200


@pytest.fixture
def drills(tokenizer: Tokenizer) -> LookupDrillBatches:
    return LookupDrillBatches(tokenizer, seed=3, steps=STEPS)


def rows(drills: LookupDrillBatches, step: int) -> list[tuple[list[int], list[bool]]]:
    """Ids and what is asked of each row, without its beginning and padding."""
    batch, found = drills[step], []
    for inputs, targets, weights in zip(batch.input_ids, batch.targets, batch.weights, strict=True):
        ids = [*inputs[:1].tolist(), *targets.tolist()]
        last = int(weights.nonzero()[-1]) + 1
        found.append((ids[1 : last + 1], (weights[:last] > 0).tolist()))
    return found


def test_they_repeat_and_say_backwards(drills: LookupDrillBatches) -> None:
    for ids, asked in rows(drills, 10)[0::4]:
        count = sum(asked)
        assert ids == [*ids[:count], drills.marks[0], *ids[:count]]
    for ids, asked in rows(drills, 10)[1::4]:
        count = sum(asked)
        assert ids == [*ids[:count], drills.marks[1], *ids[:count][::-1]]


@pytest.mark.parametrize("step", [0, STEPS - 1])
def test_each_pair_is_asked_once_and_can_be_found(drills: LookupDrillBatches, step: int) -> None:
    for kind in (2, 3):
        for ids, asked in rows(drills, step)[kind::4]:
            turn = ids.index(drills.marks[kind + 1])
            facts, questions = ids[:turn], ids[turn + 1 :]
            pair = facts.index(drills.marks[2])  # key, what stands between, value
            told = {facts[at]: facts[at + pair - 1] for at in range(0, len(facts), pair + 1)}
            said = {questions[at]: questions[at + pair - 1] for at in range(0, len(questions), pair)}
            assert said == (told if kind == 2 else {value: key for key, value in told.items()})
            assert [at for at, one in enumerate(asked) if one] == list(range(turn + pair, len(ids), pair))


def test_they_grow_harder(drills: LookupDrillBatches) -> None:
    assert drills.difficulty(0) == (FEW_TOKENS, 0)
    assert drills.difficulty(STEPS - 1) == (len(drills.ids), MOST_BETWEEN)
    steps = [drills.difficulty(step) for step in range(STEPS)]
    assert steps == sorted(steps)
    seen = Counter(id for ids, _ in rows(drills, 0) for id in ids)
    assert len(seen) <= FEW_TOKENS + 6
    assert set(drills.marks).isdisjoint(drills.fillers)
    assert set(drills.ids).isdisjoint({*drills.marks, *drills.fillers})


def test_no_special_token_is_drilled(drills: LookupDrillBatches, tokenizer: Tokenizer) -> None:
    for ids, _ in rows(drills, STEPS - 1):
        assert not any(tokenizer.is_special(id) for id in ids)


def test_a_batch_is_a_function_of_seed_and_step(drills: LookupDrillBatches, tokenizer: Tokenizer) -> None:
    again = LookupDrillBatches(tokenizer, seed=3, steps=STEPS)
    drills[7]
    assert torch.equal(again[8].input_ids, drills[8].input_ids)
    assert drills[8].input_ids.shape[0] == ROWS
    other = LookupDrillBatches(tokenizer, seed=4, steps=STEPS)[8]
    assert other.input_ids.shape != drills[8].input_ids.shape or not torch.equal(other.input_ids, drills[8].input_ids)


def test_stories_follow_the_drills_and_resume_is_the_same(tokenizer: Tokenizer, tmp_path: Path) -> None:
    config = replace(TINY, vocab_size=tokenizer.vocab_size, max_position_embeddings=512)
    recipe = Recipe(steps=4, bfloat16=False)
    course = tinytown_dataset(tokenizer, lookup_drills=2).batches(0, 2, 512)
    whole = list(train(recipe, new_model(config, 0), course, tmp_path / "whole"))
    lengths = [metrics.tokens_seen for metrics in whole]
    assert lengths[1] - lengths[0] == LookupDrillBatches(tokenizer, 0, 2)[1].tokens
    stream = train(recipe, new_model(config, 0), course, tmp_path / "cut")
    next(stream)
    stream.close()
    rest = list(train(recipe, new_model(config, 1), course, tmp_path / "cut", resume=True))
    assert [one.loss for one in rest] == [one.loss for one in whole[1:]]
    for name, field in (("drills", "lookup_drills"), ("exercises", "exercises")):
        with pytest.raises(ValueError, match=f"{name} is -1"):
            tinytown_dataset(tokenizer, **{field: -1})
