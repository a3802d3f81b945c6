"""How often a model answers right, on documents that training never saw.

Each question is asked with the true conversation before it. An answer counts if greedy decoding gives exactly it, to
the last character and the end of the turn; one forward pass finds that out for all answers of a document, since greedy
decoding repeats the answer if and only if each of its tokens is the likeliest after those before it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch.nn import functional as F

from litellama.config import ModelConfig
from litellama.data.batches import ANSWER, Row, TokenBatch, collate, encode_row
from litellama.model import LiteLlama
from litellama.tinytown.corpus import Asked, Split, make_document
from litellama.tokenizer import Tokenizer

HELD_OUT_SPLITS: tuple[Split, ...] = ("combinations", "names", "tellings")
ROWS_AT_ONCE = 16


@dataclass(frozen=True)
class Judged:
    """One question and whether the model's answer to it is exactly right."""

    question: Asked
    split: Split
    right: bool


@dataclass(frozen=True)
class Score:
    """The evaluation's result; shares are between 0 and 1, `loss` is in nats per answer token."""

    loss: float
    answerable: float
    unanswerable: float
    outside: float
    talk: float
    kinds: dict[str, float]
    splits: dict[str, float]
    questions: int
    documents: int


def evaluate(model: LiteLlama, tokenizer: Tokenizer, documents: int = 1200, seed: int = 0) -> Iterator[int | Score]:
    """Ask about `documents` held-out documents: yields how many are done, and at last the `Score`.

    The documents depend on `seed` alone, so every model is asked the same, and a second run gives the same figures.
    """
    judged: list[Judged] = []
    losses: list[torch.Tensor] = []
    todo = _held_out(documents, seed)
    was_training = model.training
    model.eval()
    for start in range(0, len(todo), ROWS_AT_ONCE):
        _judge(model, tokenizer, todo[start : start + ROWS_AT_ONCE], judged, losses)
        yield min(start + ROWS_AT_ONCE, len(todo))
    model.train(was_training)
    yield _score(judged, torch.cat(losses).mean().item(), len(todo))


def held_out_batches(tokenizer: Tokenizer, shape: ModelConfig, documents: int, seed: int = 0) -> list[TokenBatch]:
    """The documents that `evaluate` asks about as batches for `perplexity.validation_loss`; short ones come first.

    `shape` is the model's, which the documents' answers about the model are true of.
    """
    rows = [encode_row(make_document(key, split, shape), tokenizer) for split, key in _held_out(documents, seed)]
    rows.sort(key=lambda row: len(row.ids))
    return [collate(rows[start : start + ROWS_AT_ONCE], pad_id=0) for start in range(0, len(rows), ROWS_AT_ONCE)]


def _held_out(documents: int, seed: int) -> list[tuple[Split, str]]:
    """Split and seed of each document; as many of each split."""
    keys = [(split, f"{seed}/{number}") for split in HELD_OUT_SPLITS for number in range(documents // 3)]
    if not keys:
        raise ValueError(f"{documents} documents were asked for; the evaluation takes at least 3")
    return sorted(keys)


def _judge(
    model: LiteLlama,
    tokenizer: Tokenizer,
    todo: list[tuple[Split, str]],
    judged: list[Judged],
    losses: list[torch.Tensor],
) -> None:
    made = [make_document(key, split, model.config) for split, key in todo]
    rows = [encode_row(document, tokenizer) for document in made]
    batch = collate(rows, pad_id=0)
    right, loss = _predict(model, batch)
    for number, (document, (split, _)) in enumerate(zip(made, todo, strict=True)):
        spans = _answer_spans(rows[number])
        for question in document.questions:
            start, end = spans[question.answer]
            # Targets stand one position before the ids they are the next of.
            good = end <= model.config.max_position_embeddings and bool(right[number, start - 1 : end - 1].all())
            judged.append(Judged(question, split, good))
    losses.append(loss)


@torch.no_grad()
def _predict(model: LiteLlama, batch: TokenBatch) -> tuple[torch.Tensor, torch.Tensor]:
    """Whether each target is the likeliest token, (B, T), and the loss of each answer token, (N,)."""
    logits = model(batch.input_ids.to(model.device)).logits.float().cpu()
    answers = batch.weights == ANSWER
    return logits.argmax(-1) == batch.targets, F.cross_entropy(
        logits[answers], batch.targets[answers], reduction="none"
    )


def _answer_spans(row: Row) -> dict[int, tuple[int, int]]:
    """For each message that is an answer, from which token to which it reaches, its <|end|> included."""
    spans: dict[int, tuple[int, int]] = {}
    for position, (message, weight) in enumerate(zip(row.messages, row.weights, strict=True)):
        if weight == ANSWER:
            spans[message] = (spans.get(message, (position, 0))[0], position + 1)
    return spans


def _score(judged: list[Judged], loss: float, documents: int) -> Score:
    def share(group: list[Judged]) -> float:
        return round(sum(item.right for item in group) / max(1, len(group)), 4)

    def in_category(category: str) -> list[Judged]:
        return [item for item in judged if item.question.category == category]

    answerable = in_category("answerable")
    kinds = Counter(item.question.kind for item in judged)
    return Score(
        loss=round(loss, 4),
        answerable=share(answerable),
        unanswerable=share(in_category("unanswerable")),
        outside=share(in_category("outside")),
        talk=share(in_category("talk")),
        kinds={kind: share([item for item in judged if item.question.kind == kind]) for kind in sorted(kinds)},
        splits={split: share([item for item in answerable if item.split == split]) for split in HELD_OUT_SPLITS},
        questions=len(judged),
        documents=documents,
    )
