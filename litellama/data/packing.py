"""Rows of tokens from a corpus, and batches of such rows: all of it a function of (seed, step).

    windows  |..the end <|end|><|begin|> Once upon..|   stretches of equal length of all texts one behind the other
    packed   |<|begin|> A .. <|end|><|begin|> B ..  |   whole documents, which do not see one another, padded

An epoch has each row once, in an order of its own. Windows begin elsewhere in each epoch. Which documents share a
packed row never changes: none of them sees the others, and so all epochs have equally many rows.
"""

from __future__ import annotations

from bisect import bisect_right
from typing import Protocol

import numpy as np
import torch
from numpy.random import PCG64, Generator, SeedSequence
from numpy.typing import NDArray

from litellama.data.batches import TokenBatch
from litellama.data.shard_files import Positions, TokenStore

Spans = NDArray[np.int64]
"""From where to where documents reach, (N, 2)."""


class Rows(Protocol):
    """All rows of an epoch. A key stands for a row."""

    count: int

    def shuffled(self, rng: Generator) -> NDArray[np.int64]: ...

    def batch(self, keys: NDArray[np.int64]) -> TokenBatch: ...


class WindowRows:
    """Windows of `length` tokens onto the spans one behind the other, the last followed by the first again.

    A key is the place where a window begins. In an epoch each token is predicted once, except for the few left over
    when the windows are full. A corpus shorter than a row has one row, as long as itself.
    """

    def __init__(self, store: TokenStore, spans: Spans, length: int) -> None:
        self.store = store
        self.total = int((spans[:, 1] - spans[:, 0]).sum())
        if self.total < 2:
            raise ValueError(f"there are {self.total} tokens to train on; at least 2 are needed, so add some text")
        self.length = min(length, self.total - 1)
        self.count = self.total // self.length
        joined = np.flatnonzero(spans[1:, 0] != spans[:-1, 1]) + 1  # the spans before which a gap lies
        starts, stops = spans[np.concatenate(([0], joined)), 0], spans[np.concatenate((joined - 1, [-1])), 1]
        self._places = np.concatenate(([0], np.cumsum(stops - starts)[:-1]))  # where each stretch begins here
        self._shifts = starts - self._places  # and how far on it lies in the store

    def shuffled(self, rng: Generator) -> NDArray[np.int64]:
        return rng.integers(self.total) + self.length * rng.permutation(self.count)

    def batch(self, keys: NDArray[np.int64]) -> TokenBatch:
        places = (keys[:, None] + np.arange(self.length + 1)) % self.total  # (B, T + 1)
        positions = places + self._shifts[np.searchsorted(self._places, places, side="right") - 1]
        ids = torch.from_numpy(self.store.ids(positions))
        weights = torch.from_numpy(self.store.weights(positions[:, 1:]))
        return TokenBatch(ids[:, :-1].contiguous(), ids[:, 1:].contiguous(), weights)


class PackedRows:
    """Documents packed into rows of at most `length` tokens; a longer one is cut, each of its tokens predicted once.

    A key is a row's number. A document's last token is predicted, but nothing is predicted from it.
    """

    def __init__(self, store: TokenStore, spans: Spans, length: int, pad_id: int) -> None:
        self.store, self.pad_id = store, pad_id
        inputs = spans[:, 1] - spans[:, 0] - 1
        pieces = -(-inputs // length)
        before = length * _ranges(np.zeros_like(pieces), pieces)
        self.starts = np.repeat(spans[:, 0], pieces) + before
        self.lengths = np.minimum(np.repeat(inputs, pieces) - before, length)
        if not len(self.lengths):
            raise ValueError("there is no document of at least 2 tokens to train on; add some text")
        # Neighbours in the corpus are often alike, and would share a row if they were equally long.
        mixed = Generator(PCG64(0)).permutation(len(self.lengths))
        order, self.borders = pack(self.lengths[mixed], length)
        self.order = mixed[order]
        self.count = len(self.borders) - 1

    def shuffled(self, rng: Generator) -> NDArray[np.int64]:
        return rng.permutation(self.count)

    def batch(self, keys: NDArray[np.int64]) -> TokenBatch:
        counts = self.borders[keys + 1] - self.borders[keys]  # documents in each row
        pieces = self.order[_ranges(self.borders[keys], counts)]
        lengths = self.lengths[pieces]
        numbers = np.repeat(_ranges(np.ones_like(counts), counts), lengths)
        rows = np.repeat(np.repeat(np.arange(len(keys)), counts), lengths)
        filled = np.bincount(rows, minlength=len(keys))
        at = rows, _ranges(np.zeros_like(filled), filled)
        positions = _ranges(self.starts[pieces], lengths)
        shape = len(keys), int(filled.max())
        ids, targets = np.full(shape, self.pad_id, np.int64), np.full(shape, self.pad_id, np.int64)
        weights, documents = np.zeros(shape, np.float32), np.zeros(shape, np.int64)
        ids[at], targets[at] = self.store.ids(positions), self.store.ids(positions + 1)
        weights[at], documents[at] = self.store.weights(positions + 1), numbers
        return TokenBatch(*(torch.from_numpy(values) for values in (ids, targets, weights, documents)))


def pack(lengths: NDArray[np.int64], room: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Which documents go into which row: all of them in a new order, and at which of these each row begins, and ends.

    Each row in turn takes the longest document that still fits, which is first-fit decreasing (Johnson 1973):
    [3, 9, 6, 1], 10 -> [1, 3], [2, 0], that is [1, 3, 2, 0] and [0, 2, 4].
    """
    waiting: dict[int, list[int]] = {}
    for number, length in enumerate(lengths.tolist()):
        waiting.setdefault(length, []).append(number)
    available = sorted(waiting)
    order: list[int] = []
    borders = [0]
    while available:
        left = room
        while fitting := bisect_right(available, left):
            length = available[fitting - 1]
            order.append(waiting[length].pop())
            left -= length
            if not waiting[length]:
                del available[fitting - 1]
        borders.append(len(order))
    return np.array(order, np.int64), np.array(borders, np.int64)


def _ranges(starts: NDArray[np.int64], counts: NDArray[np.int64]) -> Positions:
    """[5, 20], [3, 2] -> [5, 6, 7, 20, 21]"""
    return np.repeat(starts - np.cumsum(counts) + counts, counts) + np.arange(counts.sum())


class CorpusBatches:
    """Endless batches of `rows_per_batch` rows; the batch of a step is the same whenever it is asked for."""

    def __init__(self, rows: Rows, seed: int, rows_per_batch: int) -> None:
        self.rows, self.seed, self.rows_per_batch = rows, seed, rows_per_batch
        self._epoch = -1
        self._keys = np.empty(0, np.int64)

    @property
    def steps_per_epoch(self) -> float:
        return self.rows.count / self.rows_per_batch

    def __getitem__(self, step: int) -> TokenBatch:
        numbers = np.arange(step * self.rows_per_batch, (step + 1) * self.rows_per_batch)
        epochs, places = np.divmod(numbers, self.rows.count)
        keys = [self._shuffled(int(epoch))[places[epochs == epoch]] for epoch in np.unique(epochs)]
        return self.rows.batch(np.concatenate(keys))

    def _shuffled(self, epoch: int) -> NDArray[np.int64]:
        if epoch != self._epoch:
            rng = Generator(PCG64(SeedSequence([self.seed, epoch])))
            self._keys, self._epoch = self.rows.shuffled(rng), epoch
        return self._keys


def in_order(
    store: TokenStore, spans: Spans, length: int, rows_per_batch: int, pad_id: int, *, separate: bool
) -> list[TokenBatch]:
    """Each row once, as little changed as can be from one corpus to the next: what a model is judged by.

    Windows are shortened a little, so that they come out even.
    """
    total = int((spans[:, 1] - spans[:, 0]).sum())
    if total < 2:
        return []
    rows: WindowRows | PackedRows
    if separate:
        rows = PackedRows(store, spans, length, pad_id)
        keys = np.arange(rows.count)
    else:
        count = -(-(total - 1) // length)
        rows = WindowRows(store, spans, (total - 1) // count)
        keys = rows.length * np.arange(count)
    return [rows.batch(keys[start : start + rows_per_batch]) for start in range(0, len(keys), rows_per_batch)]
