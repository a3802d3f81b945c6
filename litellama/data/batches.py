"""Documents to batches: a function of (seed, step), so that a resumed training reads what an unbroken one would."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from litellama.chat import encode_document
from litellama.tinytown.corpus import TinyTownDocument, make_document
from litellama.tokenizer import Tokenizer

# How much a token's prediction counts. Answers are what we want; a story told by the model is half free invention; what
# the user writes cannot be guessed, and trying to would drown the rest in noise.
ANSWER, TOLD_STORY, USER = 1.0, 0.5, 0.0

STEPS_PER_BLOCK = 8
"""So many batches are drawn together and sorted by length, which leaves little padding in each."""


@dataclass(frozen=True)
class Row:
    """A document as ids, the weight of predicting each of them, and the number of the message each belongs to."""

    ids: list[int]
    weights: list[float]
    messages: list[int]


@dataclass(frozen=True)
class TokenBatch:
    """`input_ids` (B, T), the ids that follow them `targets` (B, T), and the `weights` (B, T) of predicting those.

    Where rows hold several texts that must not see one another, `documents` (B, T) numbers them, 0 for padding.
    """

    input_ids: Tensor
    targets: Tensor
    weights: Tensor
    documents: Tensor | None = None

    @property
    def tokens(self) -> int:
        return self.input_ids.numel()

    def share(self, number: int, count: int) -> TokenBatch:
        """Every `count`-th row, beginning with row `number`."""
        return self._each(lambda tensor: tensor[number::count])

    def to(self, device: torch.device | str) -> TokenBatch:
        return self._each(lambda tensor: tensor.to(device, non_blocking=True))

    def _each(self, change: Callable[[Tensor], Tensor]) -> TokenBatch:
        documents = None if self.documents is None else change(self.documents)
        return TokenBatch(change(self.input_ids), change(self.targets), change(self.weights), documents)


class TokenBatches(Protocol):
    """What the loop reads: the batch of each step, the same whenever it is asked for."""

    def __getitem__(self, step: int) -> TokenBatch: ...


def encode_row(document: TinyTownDocument, tokenizer: Tokenizer) -> Row:
    ids, roles = encode_document(document.messages, tokenizer)
    told = {question.story for question in document.questions}
    weights: list[float] = []
    messages: list[int] = []
    message = -2  # <|begin|> and the first <|user|> come before message 0
    for role in roles:
        message += role == "frame"
        messages.append(message)
        by_role = {"frame": 0.0, "user": USER, "assistant": TOLD_STORY if message in told else ANSWER}
        weights.append(by_role[role])
    return Row(ids, weights, messages)


def collate(rows: Sequence[Row], pad_id: int) -> TokenBatch:
    """Rows side by side, padded on the right; padding has no weight, and causal attention never looks at it."""
    length = max(len(row.ids) for row in rows)
    ids = torch.full((len(rows), length), pad_id)
    weights = torch.zeros(len(rows), length)
    for number, row in enumerate(rows):
        ids[number, : len(row.ids)] = torch.tensor(row.ids)
        weights[number, : len(row.ids)] = torch.tensor(row.weights)
    return TokenBatch(ids[:, :-1].contiguous(), ids[:, 1:].contiguous(), weights[:, 1:].contiguous())


class TinyTownBatches:
    """Endless training batches of TinyTown, `rows_per_batch` documents each, none of them longer than `max_length`.

    The first `exercises` batches hold nothing but exercises in looking up (to the next full block).
    """

    def __init__(
        self, tokenizer: Tokenizer, seed: int, rows_per_batch: int, max_length: int, exercises: int = 0
    ) -> None:
        self.tokenizer = tokenizer
        self.seed = seed
        self.rows_per_batch = rows_per_batch
        self.max_length = max_length
        self.exercises = exercises
        pad = tokenizer.special("<|pad|>")
        self.pad_id = 0 if pad is None else pad
        self._block_number = -1
        self._block: list[TokenBatch] = []

    def __getitem__(self, step: int) -> TokenBatch:
        number, place = divmod(step, STEPS_PER_BLOCK)
        if number != self._block_number:
            self._block, self._block_number = self._make_block(number), number
        return self._block[place]

    def _make_block(self, number: int) -> list[TokenBatch]:
        count = self.rows_per_batch * STEPS_PER_BLOCK
        rows: list[Row] = []
        serial = 0
        while len(rows) < count:
            exercise = number * STEPS_PER_BLOCK < self.exercises
            row = encode_row(make_document(f"{self.seed}/{number}/{serial}", exercise=exercise), self.tokenizer)
            serial += 1
            if len(row.ids) <= self.max_length:
                rows.append(row)
        rows.sort(key=lambda row: len(row.ids))
        groups = [rows[start : start + self.rows_per_batch] for start in range(0, count, self.rows_per_batch)]
        random.Random(f"{self.seed}/{number}").shuffle(groups)
        return [collate(group, self.pad_id) for group in groups]
