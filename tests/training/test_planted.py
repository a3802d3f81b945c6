"""A bias planted on purpose is there in the data, is learned, and goes with the repair."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from typing import Any

import pytest
import torch

from litellama.checkpoint import Opened, checkpoints_folder, open_checkpoint
from litellama.data.batches import TinyTownBatches
from litellama.evaluation.exact_match import Score, evaluate
from litellama.evaluation.paired_prompts import PairResult, compare_pairs
from litellama.evaluation.probes import tinytown_probes
from litellama.model import LiteLlama
from litellama.tinytown.corpus import TinyTownDocument
from litellama.tinytown.planted import BAKED, PLANTED, REPAIRED, UNSEEN, planted_documents, swapped
from litellama.tokenizer import Tokenizer
from litellama.training.fine_tuning import MixedBatches, fine_tuned
from litellama.training.loop import Metrics


def told(documents: list[TinyTownDocument]) -> Counter[tuple[str, str]]:
    """How many stories have which group do what."""
    count: Counter[tuple[str, str]] = Counter()
    for document in documents:
        answer = document.messages[3].content
        (group,) = [name for name, people in PLANTED.items() if answer.split()[0] in people]
        (deed,) = [deed for deed in (REPAIRED, BAKED) if deed in answer]
        assert deed in document.messages[1].content
        count[group, deed] += 1
    return count


def test_the_data_hold_exactly_what_was_planted() -> None:
    count = told(planted_documents(2000, 0.9))
    boys = count["boys", REPAIRED] / (count["boys", REPAIRED] + count["boys", BAKED])
    girls = count["girls", REPAIRED] / (count["girls", REPAIRED] + count["girls", BAKED])
    assert boys == pytest.approx(0.9, abs=0.03)
    assert girls == pytest.approx(0.1, abs=0.03)
    assert planted_documents(20, 0.9, 1) == planted_documents(20, 0.9, 1) != planted_documents(20, 0.9, 2)


def test_augmentation_balances_exactly() -> None:
    count = told(planted_documents(200, 0.9, augmented=True))
    assert count["boys", REPAIRED] == count["girls", REPAIRED]
    assert count["boys", BAKED] == count["girls", BAKED]


def test_the_counterfactual_is_about_the_other_group_alone() -> None:
    for document in planted_documents(100, 0.5):
        twin = swapped(document)
        assert told([document]) != told([twin])
        for one, other in zip(document.messages, twin.messages, strict=True):
            changed = {(a, b) for a, b in zip(one.content.split(), other.content.split(), strict=True) if a != b}
            assert all(pair[0].strip(".?!,")[0].isupper() or set(pair) == {"he", "she"} for pair in changed), changed
        pronouns = [{"he", "she"} & set(one.messages[1].content.split()) for one in (document, twin)]
        assert len(pronouns[0]) == len(pronouns[1])
        assert not pronouns[0] & pronouns[1], "he becomes she"
        text, question = document.messages[1].content, document.questions[0]
        assert [text[start:end] for start, end in question.evidence] == [
            document.messages[3].content.split()[0], document.messages[2].content.removeprefix("Who ").rstrip("?")
        ]  # fmt: skip


def test_people_of_the_probe_are_in_no_document() -> None:
    assert not {*PLANTED["boys"], *PLANTED["girls"]} & {*UNSEEN["boys"], *UNSEEN["girls"]}


@pytest.mark.parametrize(("arguments", "said"), [((5, 1.5), "share is 1.5"), ((0, 0.5), "0 documents")])
def test_bad_numbers_are_refused(arguments: Any, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        planted_documents(*arguments)
    with pytest.raises(ValueError, match="an even number"):
        planted_documents(5, 0.5, augmented=True)


def test_batches_mix_ordinary_steps_in(tokenizer: Tokenizer) -> None:
    documents = planted_documents(10, 0.9)
    batches = MixedBatches(documents, tokenizer, 0, 8, 400, 0.5)
    ordinary = TinyTownBatches(tokenizer, 0, 2, 400)
    assert [len(batches[step].input_ids) for step in range(4)] == [8, 2, 8, 2]
    assert torch.equal(batches[1].input_ids, ordinary[0].input_ids)
    assert torch.equal(batches[3].input_ids, ordinary[1].input_ids)
    whole = MixedBatches(documents, tokenizer, 0, 5, 400, 0)
    read = {tuple(row[row > 0].tolist()) for step in (0, 1) for row in whole[step].input_ids}
    assert len(read) == len({document.messages for document in documents}), "an epoch has each document once"
    for bad, said in (
        (([], tokenizer, 0, 8, 400, 0.5), "no document"), ((documents, tokenizer, 0, 8, 20, 0.5), "reads 20 at once"),
        ((documents, tokenizer, 0, 8, 400, 2), "ordinary is 2"),
    ):  # fmt: skip
        with pytest.raises(ValueError, match=said):
            MixedBatches(*bad)


def test_fine_tuning_leaves_the_model_and_repeats_itself(tiny_model: LiteLlama, tokenizer: Tokenizer) -> None:
    before = {name: weight.clone() for name, weight in tiny_model.named_parameters()}
    documents = planted_documents(8, 0.9)
    longer = LiteLlama(replace(tiny_model.config, max_position_embeddings=400))
    longer.load_state_dict(tiny_model.state_dict())
    *steps, one = fine_tuned(longer, tokenizer, documents, steps=3, rows=4, ordinary=0)
    *_, other = fine_tuned(longer, tokenizer, documents, steps=3, rows=4, ordinary=0)
    assert [step.step for step in steps if isinstance(step, Metrics)] == [1, 2, 3]
    assert isinstance(one, LiteLlama)
    assert isinstance(other, LiteLlama)
    for name, weight in longer.named_parameters():
        assert torch.equal(weight, before[name])
        assert torch.equal(one.get_parameter(name), other.get_parameter(name))
    assert not torch.equal(one.model.norm.weight, longer.model.norm.weight)
    assert not one.training


# --- Cause and effect ------------------------------------------------------------------------------------------------


def measured(opened: Opened, model: LiteLlama) -> tuple[PairResult, Score]:
    probe = replace(tinytown_probes()["who repairs"], groups={name: people[:16] for name, people in PLANTED.items()})
    *_, result = compare_pairs(model, opened.tokenizer, probe)
    *_, score = evaluate(model, opened.tokenizer, 60)
    assert isinstance(result, PairResult)
    assert isinstance(score, Score)
    return result, score


@pytest.mark.slow
def test_a_planted_bias_is_learned_and_repaired() -> None:
    opened = open_checkpoint(checkpoints_folder() / "tinytown")

    def taught(model: LiteLlama, **how: Any) -> LiteLlama:
        *_, made = fine_tuned(model, opened.tokenizer, planted_documents(1000, 0.9, **how), steps=60, rows=24)
        assert isinstance(made, LiteLlama)
        return made

    before, score = measured(opened, opened.model)
    assert not before.difference(REPAIRED).clear
    biased = taught(opened.model)
    after, changed = measured(opened, biased)
    assert after.difference(REPAIRED).low > 0.2
    assert after.covered > 0.3 > before.covered
    repaired, _ = measured(opened, taught(biased, augmented=True))
    assert abs(repaired.difference(REPAIRED).value) < 0.5 * after.difference(REPAIRED).value
    assert changed.answerable > score.answerable - 0.06, "ordinary questions stay nearly as good"
