"""Whether an explanation can be trusted is measured on questions whose evidence is known, with chance beside it."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import torch

from litellama.checkpoint import checkpoints_folder, open_checkpoint
from litellama.cli.faithfulness import trust as trust_command
from litellama.evaluation.faithfulness import Case, Faithfulness, cases, judge, measure_faithfulness
from litellama.explain.attribution import METHODS
from litellama.model import LiteLlama
from litellama.tokenizer import Tokenizer

EMBEDDED = checkpoints_folder() / "tinytown"


@pytest.fixture(scope="module")
def some_cases() -> list[Case]:
    opened = open_checkpoint(EMBEDDED)
    return list(cases(opened.model, opened.tokenizer, 20))


def test_evidence_lies_in_the_story(some_cases: list[Case]) -> None:
    assert len(some_cases) == 20
    for case in some_cases:
        story = " ".join(case.reading.text_of(word).strip() for word in case.words)
        assert 0 < len(case.evidence) < len(case.words), story
        assert "?" not in story, "the question is no part of the story"
        answer = case.reading.text_of(case.reading.answer)
        said = {case.reading.text_of(case.words[number]).strip() for number in case.evidence}
        if case.kind in ("who has", "where who", "colour", "weather"):
            assert any(word in answer for word in said), (story, said, answer)


def test_the_cases_are_answered_rightly(some_cases: list[Case]) -> None:
    model = open_checkpoint(EMBEDDED).model
    for case in some_cases[:5]:
        with torch.no_grad():
            logits = model(torch.tensor([case.reading.ids])).logits[0]
        for place in case.reading.answer:
            assert logits[place - 1].argmax() == case.reading.ids[place]


def test_a_method_that_knows_the_truth_would_always_point_at_it(
    some_cases: list[Case], monkeypatch: pytest.MonkeyPatch
) -> None:
    from litellama.explain import attribution

    case = some_cases[0]
    truth = torch.tensor([float(number in case.evidence) for number in range(len(case.words))])
    model = open_checkpoint(EMBEDDED).model
    for sign, pointing in ((1, 1.0), (-1, 0.0)):
        monkeypatch.setitem(attribution._WORK, "random", lambda scorer, seed, sign=sign: iter((1, sign * truth)))
        result = judge(model, case, "random")
        assert result.pointing == pointing
        assert result.deletion_auc >= 0


def test_the_table_is_complete_and_repeats_itself(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    opened = open_checkpoint(EMBEDDED)
    *_, first = measure_faithfulness(opened.model, opened.tokenizer, 4, methods=("ablation", "random"))
    *_, again = measure_faithfulness(opened.model, opened.tokenizer, 4, methods=("ablation", "random"))
    assert isinstance(first, Faithfulness)
    assert isinstance(again, Faithfulness)
    for name, method in first.methods.items():
        assert (method.pointing, method.deletion_auc) == (
            again.methods[name].pointing,
            again.methods[name].deletion_auc,
        )

    folder = tmp_path / "copy"
    shutil.copytree(EMBEDDED, folder)
    trust_command(folder, questions=2, as_json=True, save=True, seed=0)
    table = json.loads(capsys.readouterr().out)
    assert table["questions"] == 2
    assert list(table["methods"]) == list(METHODS)
    assert all(set(method) == {"pointing", "deletion_auc", "seconds"} for method in table["methods"].values())
    copy = open_checkpoint(folder)
    assert copy.verified, "a new card comes with a new manifest"
    assert copy.card is not None
    assert copy.card["trust"]["methods"] == table["methods"]
    assert copy.card["steps"] == (opened.card or {})["steps"], "the rest of the card stays"


def test_a_model_that_knows_no_answer_gets_a_sentence(tiny_model: LiteLlama, tokenizer: Tokenizer) -> None:
    with pytest.raises(ValueError, match="answered only 0"):
        list(measure_faithfulness(tiny_model, tokenizer, 1))
    with pytest.raises(ValueError, match="at least 1"):
        next(measure_faithfulness(tiny_model, tokenizer, 0))
    with pytest.raises(ValueError, match="no method called 'magic'"):
        next(measure_faithfulness(tiny_model, tokenizer, 1, methods=["magic"]))
