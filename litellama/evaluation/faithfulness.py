"""How far each explanation can be trusted, measured where the truth is known.

A TinyTown question comes with the words of the story that its answer rests on. So for every method:

    pointing      how often its top word is one of those (the pointing game, Zhang et al. 2018)
    deletion_auc  how much of the answer's probability is left while the story's words are blanked out from its top word
                  down, averaged over the way (RISE, Petsiuk et al. 2018); lower is better

Only questions that the model answers rightly are asked: why a wrong answer came about has no known truth.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch

from litellama.evaluation.exact_match import HELD_OUT_SPLITS
from litellama.explain.attribution import METHODS, attribute, finished
from litellama.explain.scoring import Scorer, ScoringProgress, Target, deletion_curve
from litellama.explain.tokenized_run import TokenizedRun, Unit, read_chat
from litellama.model import LiteLlama
from litellama.tinytown.corpus import make_document
from litellama.tokenizer import Tokenizer

MOST_TRIES = 20  # documents looked at for each question wanted


@dataclass(frozen=True)
class Case:
    """A question the model answers rightly: its reading, the story's words, and which of them the answer rests on."""

    kind: str
    reading: TokenizedRun
    words: tuple[Unit, ...]
    evidence: frozenset[int]

    @property
    def target(self) -> Target:
        return Target(self.reading.answer_start, len(self.reading.ids))


@dataclass(frozen=True)
class MethodFaithfulness:
    """One method over all questions: shares between 0 and 1, seconds per answer."""

    pointing: float
    deletion_auc: float
    seconds: float


@dataclass(frozen=True)
class Faithfulness:
    """`methods`, and `chance`: the share of words that are evidence, which blind pointing hits."""

    questions: int
    chance: float
    methods: dict[str, MethodFaithfulness]

    def to_json(self) -> dict[str, Any]:
        methods = {
            name: {
                "pointing": round(m.pointing, 4),
                "deletion_auc": round(m.deletion_auc, 4),
                "seconds": round(m.seconds, 4),
            }
            for name, m in self.methods.items()
        }
        return {"questions": self.questions, "chance": round(self.chance, 4), "methods": methods}


def measure_faithfulness(
    model: LiteLlama, tokenizer: Tokenizer, questions: int = 500, seed: int = 0, methods: Sequence[str] = METHODS
) -> Iterator[ScoringProgress | Faithfulness]:
    """Ask held-out questions and try every method on each: yields how far it is, and at last the `Faithfulness`.

    Raises `ValueError` if the model answers too few questions rightly for there to be anything to explain.
    """
    if questions < 1:
        raise ValueError(f"{questions} questions were asked for; at least 1 is needed")
    if wrong := [name for name in methods if name not in METHODS]:
        raise ValueError(f"there is no method called {wrong[0]!r}; choose among {', '.join(METHODS)}")
    found: dict[str, list[MethodFaithfulness]] = {name: [] for name in methods}
    chances: list[float] = []
    for case in cases(model, tokenizer, questions, seed):
        chances.append(len(case.evidence) / len(case.words))
        for name in methods:
            found[name].append(judge(model, case, name, seed=len(chances)))
        yield ScoringProgress(len(chances), questions, 0.0)
    if len(chances) < questions:
        raise ValueError(
            f"the model answered only {len(chances)} of the held-out TinyTown questions rightly, and {questions} were "
            "asked for; ask for fewer, or choose a model that was trained on TinyTown"
        )
    yield Faithfulness(questions, _mean(chances), {name: _average(each) for name, each in found.items()})


def cases(model: LiteLlama, tokenizer: Tokenizer, count: int, seed: int = 0) -> Iterator[Case]:
    """Up to `count` questions asked right after their story, with known evidence, which the model answers rightly."""
    given = 0
    for number in range(count * MOST_TRIES):
        split = HELD_OUT_SPLITS[number % len(HELD_OUT_SPLITS)]
        case = _case(model, tokenizer, f"trust/{seed}/{number}", split)
        if case is not None:
            yield case
            given += 1
            if given == count:
                return


def _case(model: LiteLlama, tokenizer: Tokenizer, key: str, split: Any) -> Case | None:
    document = make_document(key, split, model.config)
    first = document.questions[0] if document.questions else None
    if first is None or first.category != "answerable" or first.story != 0 or first.answer != 1 or not first.evidence:
        return None
    question, answer = document.messages[0], document.messages[1].content
    try:
        reading = read_chat(model, tokenizer, [question], answer=answer, max_new_tokens=1)
    except ValueError:  # longer than the model reads
        return None
    if not _answers(model, tokenizer, reading):
        return None
    begins = reading.text.index(question.content)
    words = reading.units("word", reading.positions_in(begins, begins + document.story_length))
    words = tuple(word for word in words if any(map(str.isalnum, reading.text_of(word))))
    positions = {
        position for start, end in first.evidence for position in reading.positions_in(begins + start, begins + end)
    }
    evidence = frozenset(number for number, word in enumerate(words) if positions & set(word))
    return Case(first.kind, reading, words, evidence) if evidence else None


@torch.inference_mode()
def _answers(model: LiteLlama, tokenizer: Tokenizer, reading: TokenizedRun) -> bool:
    """Whether greedy decoding gives exactly this answer and ends it: each token is the likeliest at its position."""
    ends = tokenizer.special("<|end|>")
    ids = [*reading.ids, *([] if ends is None else [ends])]
    logits = model(torch.tensor([ids], device=model.device)).logits[0]
    return logits[reading.answer_start - 1 : -1].argmax(-1).tolist() == ids[reading.answer_start :]


def judge(model: LiteLlama, case: Case, method: str, seed: int = 0) -> MethodFaithfulness:
    """One method on one question."""
    found = finished(attribute(model, case.reading, case.target, method, case.words, seed))
    order = found.scores.argsort(descending=True, stable=True)
    curve = deletion_curve(Scorer(model, case.reading, case.target, case.words), order)
    return MethodFaithfulness(float(int(order[0]) in case.evidence), curve.mean().item(), found.seconds)


def _average(each: Sequence[MethodFaithfulness]) -> MethodFaithfulness:
    return MethodFaithfulness(
        *(_mean([getattr(one, name) for one in each]) for name in ("pointing", "deletion_auc", "seconds"))
    )


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)
