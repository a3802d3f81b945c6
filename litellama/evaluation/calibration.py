"""Does 80 % sure mean right in 80 of 100 cases?

A model is calibrated if, of all answers it holds to be p likely, a share p is right. The expected calibration error is
the mean distance between the two over bins of confidence, each weighing as much as it holds answers (Naeini et al.
2015; Guo et al. 2017, https://arxiv.org/abs/1706.04599); the Brier score is the mean of (confidence - right)^2 (Brier
1950).

TinyTown is asked held-out questions. Its confidence in an answer is the product of the probabilities of the answer's
tokens, the <|end|> included: the probability that it says exactly this. An answer is right if it is exactly right, so
the two speak of the same event. `per_token` is their geometric mean, which does not fall with the answer's length.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import torch

from litellama.chat import beginning_id
from litellama.data.batches import ANSWER, Row, collate, encode_row
from litellama.evaluation.exact_match import HELD_OUT_SPLITS
from litellama.evaluation.statistics import Interval, wilson
from litellama.generate import generate
from litellama.model import LiteLlama
from litellama.sampling import Sampling
from litellama.tinytown.corpus import Asked, TinyTownDocument, make_document
from litellama.tinytown.talk import OUTSIDE, UNANSWERABLE
from litellama.tokenizer import Tokenizer

BINS = 10
ROWS_AT_ONCE = 16
ANSWER_TOKENS = 80


@dataclass(frozen=True)
class Answered:
    """One question, the model's likeliest answer to it, and how sure the model was: `confidence` is the probability of
    exactly this answer, `per_token` the geometric mean of its tokens' probabilities."""

    kind: str
    category: str
    answer: str
    expected: str
    confidence: float
    per_token: float
    right: bool


@dataclass(frozen=True)
class Bin:
    """The answers held to be from `low` to `high` likely: how many, how sure the model was of them on average, and the
    share that is right with its 95 % interval (Wilson). An empty one has `confidence` and `right` None."""

    low: float
    high: float
    count: int
    confidence: float | None
    right: Interval | None


@dataclass(frozen=True)
class Reliability:
    """Calibration of `count` answers: `error` is the expected calibration error, `right` the share of right answers,
    `confidence` their mean; a mean confidence above the share is overconfidence."""

    bins: tuple[Bin, ...]
    count: int
    error: float
    brier: float
    confidence: float
    right: Interval

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


@dataclass(frozen=True)
class Calibration:
    """What asking TinyTown found. `invented`: of the questions the story leaves open, the share answered as if it did
    not (hallucination); `withheld`: of those it answers, the share declined. `reliability` is of all `answers` to
    questions about stories."""

    reliability: Reliability
    invented: Interval
    withheld: Interval
    answers: tuple[Answered, ...]

    def to_json(self) -> dict[str, Any]:
        """Everything as plain data but the single answers."""
        return {name: value for name, value in asdict(self).items() if name != "answers"}


def reliability(confidences: Sequence[float], right: Sequence[bool], bins: int = BINS) -> Reliability:
    """Judge pairs of a confidence, 0 to 1, and whether it was right, in `bins` of equal width.

    reliability([0.9, 0.9], [True, False]) has one bin with 2 answers, 0.9 sure and 0.5 right: its error is 0.4.
    Raises `ValueError` for no pairs, lists of different lengths, or a confidence that is no probability.
    """
    if len(confidences) != len(right) or not confidences:
        raise ValueError(
            f"there are {len(confidences)} confidences and {len(right)} results; as many of each were expected"
        )
    if bins < 1:
        raise ValueError(f"bins is {bins}; at least 1 was expected")
    if bad := [one for one in confidences if not 0 <= one <= 1 + 1e-6]:  # a comparison that not-a-number fails as well
        raise ValueError(f"a confidence is {bad[0]}; a probability from 0 to 1 was expected")
    held: list[list[tuple[float, bool]]] = [[] for _ in range(bins)]
    pairs = list(zip(confidences, right, strict=True))
    for confidence, good in pairs:
        held[min(bins - 1, int(confidence * bins))].append((confidence, good))
    made = tuple(_bin(number / bins, (number + 1) / bins, inside) for number, inside in enumerate(held))
    error = sum(
        one.count / len(pairs) * abs(one.confidence - one.right.value)
        for one in made
        if one.confidence is not None and one.right is not None
    )
    brier = sum((confidence - good) ** 2 for confidence, good in pairs) / len(pairs)
    return Reliability(
        made, len(pairs), error, brier, sum(confidences) / len(pairs), wilson(sum(map(bool, right)), len(pairs))
    )


def _bin(low: float, high: float, inside: list[tuple[float, bool]]) -> Bin:
    if not inside:
        return Bin(low, high, 0, None, None)
    mean = sum(confidence for confidence, _ in inside) / len(inside)
    return Bin(low, high, len(inside), mean, wilson(sum(good for _, good in inside), len(inside)))


# --- Any model: the next token ---------------------------------------------------------------------------------------


@torch.inference_mode()
def next_token_reliability(model: LiteLlama, tokenizer: Tokenizer, text: str, bins: int = BINS) -> Reliability:
    """Calibration on any text: how sure the model is of the token it holds for likeliest, and whether that one comes.

    Read in stretches as long as the model reads at once. Raises `ValueError` for a text of fewer than 2 tokens.
    """
    first = beginning_id(model, tokenizer)
    opening = [] if first is None else [first]
    ids = tokenizer.encode(text)
    length = model.config.max_position_embeddings
    if len(ids) < 2:
        raise ValueError(f"the text has {len(ids)} tokens; at least 2 are needed, and hundreds to say anything")
    confidences: list[float] = []
    right: list[bool] = []
    for start in range(0, len(ids), length - 1):
        part = [*opening, *ids[start : start + length - 1]]
        if len(part) < 2:
            continue
        read = torch.tensor([part], device=model.device)
        logits = model(read[:, :-1]).logits[0]
        shares, predicted = logits.float().softmax(-1).max(-1)
        confidences += shares.clamp(max=1).tolist()
        right += (predicted == read[0, 1:]).tolist()
    return reliability(confidences, right, bins)


# --- TinyTown's questions --------------------------------------------------------------------------------------------


def examine_calibration(
    model: LiteLlama, tokenizer: Tokenizer, documents: int = 240, seed: int = 0
) -> Iterator[int | Calibration]:
    """Ask the questions of `documents` held-out documents of TinyTown, each with the true conversation before it:
    yields how many documents are done, and at last the `Calibration`. The same seed asks the same questions.

    Raises `ValueError` for fewer than 3 documents, and a model that was not trained on the lab's conversations.
    """
    if documents < 3:
        raise ValueError(f"{documents} documents were asked for; the measurement takes at least 3")
    if tokenizer.special("<|assistant|>") is None:
        raise ValueError(
            "this model knows no conversations in the lab's form; only TinyTown can be asked these questions"
        )
    return _examine(model, tokenizer, documents, seed)


def _examine(model: LiteLlama, tokenizer: Tokenizer, documents: int, seed: int) -> Iterator[int | Calibration]:
    todo = [
        make_document(f"{seed}/{number}", split, model.config)
        for number in range(-(-documents // len(HELD_OUT_SPLITS)))
        for split in HELD_OUT_SPLITS
    ][:documents]
    found: list[Answered] = []
    for start in range(0, len(todo), ROWS_AT_ONCE):
        chunk = todo[start : start + ROWS_AT_ONCE]
        found += _answers(model, tokenizer, chunk)
        yield min(start + ROWS_AT_ONCE, len(todo))
    yield _judged(found)


def _judged(found: list[Answered]) -> Calibration:
    of_stories = [one for one in found if one.category in ("answerable", "unanswerable")]
    if not of_stories:
        raise ValueError("no document held a question that fits into what the model reads; ask for more documents")
    silent = [one for one in of_stories if one.category == "unanswerable"]
    told = [one for one in of_stories if one.category == "answerable"]
    return Calibration(
        reliability([one.confidence for one in of_stories], [one.right for one in of_stories]),
        wilson(sum(not _declined(one.answer) for one in silent), len(silent)),
        wilson(sum(_declined(one.answer) for one in told), len(told)),
        tuple(of_stories),
    )


def _declined(answer: str) -> bool:
    return answer in (UNANSWERABLE, OUTSIDE)


@torch.inference_mode()
def _answers(model: LiteLlama, tokenizer: Tokenizer, documents: list[TinyTownDocument]) -> list[Answered]:
    """The model's answers to all questions. Where the right answer is its likeliest one, one pass tells how likely;
    else the model has to be heard."""
    rows = [encode_row(document, tokenizer) for document in documents]
    batch = collate(rows, pad_id=0)
    logits = model(batch.input_ids.to(model.device)).logits.float()
    best = logits.max(-1)
    logs = (best.values - logits.logsumexp(-1)).cpu()  # (B, T): of the likeliest token
    right = best.indices.cpu() == batch.targets
    found = []
    for number, (document, row) in enumerate(zip(documents, rows, strict=True)):
        for question in document.questions:
            start, end = _span(row, question.answer)
            if end > model.config.max_position_embeddings:
                continue
            if bool(right[number, start - 1 : end - 1].all()):
                text = document.messages[question.answer].content
                found.append(_answered(question, text, text, logs[number, start - 1 : end - 1].tolist()))
            else:
                found.append(_heard(model, tokenizer, document, question, row.ids[:start]))
    return found


def _span(row: Row, message: int) -> tuple[int, int]:
    """From which token to which an answer reaches, its <|end|> included."""
    positions = [
        position
        for position, (number, weight) in enumerate(zip(row.messages, row.weights, strict=True))
        if number == message and weight == ANSWER
    ]
    return positions[0], positions[-1] + 1


def _heard(
    model: LiteLlama, tokenizer: Tokenizer, document: TinyTownDocument, question: Asked, prompt: list[int]
) -> Answered:
    expected = document.messages[question.answer].content
    end = tokenizer.special("<|end|>")
    ids: list[int] = []
    logs: list[float] = []
    for step in generate(model, prompt, sampling=Sampling(temperature=0), max_new_tokens=ANSWER_TOKENS, seed=0):
        logs.append(math.log(max(step.probability, 1e-30)))
        if step.id == end:
            break
        ids.append(step.id)
    return _answered(question, tokenizer.decode(ids).strip(), expected, logs)


def _answered(question: Asked, answer: str, expected: str, logs: list[float]) -> Answered:
    total = sum(logs)
    return Answered(
        question.kind, question.category, answer, expected, min(1.0, math.exp(total)),
        min(1.0, math.exp(total / max(1, len(logs)))), answer == expected,
    )  # fmt: skip
