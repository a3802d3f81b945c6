"""Fine-tuning: a trained model learns some documents of one's own, with ordinary TinyTown between them.

    for event in fine_tuned(model, tokenizer, planted_documents(600, share=0.9), steps=100):
        ...                                                             Metrics of each step, at last the new model

Without the ordinary steps a model forgets what it could do (McCloskey & Cohen 1989: catastrophic interference).
"""

from __future__ import annotations

import copy
import random
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import closing
from pathlib import Path

import torch

from litellama.data.batches import TinyTownBatches, TokenBatch, collate, encode_row
from litellama.model import LiteLlama
from litellama.tinytown.corpus import TinyTownDocument
from litellama.tokenizer import Tokenizer
from litellama.training.loop import Metrics, train
from litellama.training.recipe import Recipe


class MixedBatches:
    """Batches of `documents`, over and over, in a new order each time. A share `ordinary` of the steps, spread evenly,
    reads TinyTown instead, in batches of a quarter as many rows, since its documents are long.

    Raises `ValueError` for no document, one longer than `max_length`, or a share outside 0 to 1.
    """

    def __init__(
        self, documents: Sequence[TinyTownDocument], tokenizer: Tokenizer, seed: int, rows: int, max_length: int,
        ordinary: float,
    ) -> None:  # fmt: skip
        if not 0 <= ordinary <= 1:
            raise ValueError(f"ordinary is {ordinary}; a share of the steps from 0 to 1 was expected")
        if not documents:
            raise ValueError("there is no document to learn from; give at least one")
        self._own = [encode_row(document, tokenizer) for document in documents]
        longest = max(len(row.ids) for row in self._own)
        if longest > max_length:
            raise ValueError(f"a document has {longest} tokens and the model reads {max_length} at once; shorten it")
        self._tinytown = TinyTownBatches(tokenizer, seed, max(1, rows // 4), max_length)
        self._seed, self._rows, self._ordinary = seed, rows, ordinary

    def __getitem__(self, step: int) -> TokenBatch:
        before, after = int(step * self._ordinary), int((step + 1) * self._ordinary)
        if after > before:
            return self._tinytown[before]
        first = (step - before) * self._rows
        chosen = [self._own[self._index(number)] for number in range(first, first + self._rows)]
        return collate(chosen, self._tinytown.pad_id)

    def _index(self, number: int) -> int:
        epoch, index = divmod(number, len(self._own))
        return random.Random(f"{self._seed}/{epoch}").sample(range(len(self._own)), len(self._own))[index]


def fine_tuned(
    model: LiteLlama,
    tokenizer: Tokenizer,
    documents: Sequence[TinyTownDocument],
    steps: int = 100,
    seed: int = 0,
    *,
    ordinary: float = 0.5,
    rows: int = 64,
    learning_rate: float = 6e-4,
) -> Iterator[Metrics | LiteLlama]:
    """Train a copy of `model`, which stays as it is: yields each step's `Metrics`, and at last the new model.

    The same seed gives the same model on the same machine. Raises `ValueError`, at once, for documents that cannot be
    learned from, and `FloatingPointError` if the training diverges.
    """
    batches = MixedBatches(documents, tokenizer, seed, rows, model.config.max_position_embeddings, ordinary)
    device = str(model.device)
    recipe = Recipe(
        steps=steps, learning_rate=learning_rate, warmup_steps=max(1, steps // 10), save_every=steps, device=device,
        threads=min(torch.get_num_threads(), rows) if device == "cpu" else 1,
    )  # fmt: skip
    return _train(copy.deepcopy(model), recipe, batches)


def _train(model: LiteLlama, recipe: Recipe, batches: MixedBatches) -> Iterator[Metrics | LiteLlama]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1 if recipe.threads > 1 else threads)  # as many replicas take a thread each
    try:
        with tempfile.TemporaryDirectory() as folder, closing(train(recipe, model, batches, Path(folder))) as stream:
            yield from stream
    finally:
        torch.set_num_threads(threads)
    yield model.eval()
