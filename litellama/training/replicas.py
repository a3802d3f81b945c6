"""Data parallelism by threads: each takes some rows of the batch through its own replica; all share the weights.

A small model's operations are too small to be shared out among cores one by one: on two cores, two threads with half a
batch each train 1.4 times as fast as one with both cores in every operation (tests/benchmarks/train_threads.py).
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

from torch import Tensor

from litellama.model import LiteLlama
from litellama.training.data import Batch


class Replicas:
    """`count` views of one model: the same memory for weights, but a gradient of their own."""

    def __init__(self, model: LiteLlama, count: int) -> None:
        self.models = [model, *(_share(model) for _ in range(count - 1))]
        self._pool = ThreadPoolExecutor(count)

    def backward(self, batch: Batch, loss_of: Callable[[LiteLlama, Batch], tuple[Tensor, int]]) -> tuple[float, int]:
        """Leave the gradient of the summed loss in the first model; returns that sum and the sum of the counts.

        Rows are dealt out in turn, so the shares are alike in length, and summed in order, so a run can be repeated.
        """

        def work(number: int) -> tuple[float, int]:
            loss, count = loss_of(self.models[number], batch.share(number, len(self.models)))
            loss.backward()
            return loss.item(), count

        done = list(self._pool.map(work, range(len(self.models))))
        for replica in self.models[1:]:
            for mine, theirs in zip(self.models[0].parameters(), replica.parameters(), strict=True):
                if not mine.requires_grad:  # frozen around LoRA
                    continue
                assert mine.grad is not None
                assert theirs.grad is not None
                mine.grad += theirs.grad
                theirs.grad = None
        return sum(loss for loss, _ in done), sum(count for _, count in done)

    def __enter__(self) -> Replicas:
        return self

    def __exit__(self, *error: object) -> None:
        self._pool.shutdown()


def _share(model: LiteLlama) -> LiteLlama:
    replica = copy.deepcopy(model)
    for mine, theirs in zip(model.parameters(), replica.parameters(), strict=True):
        theirs.data = mine.data
    return replica
