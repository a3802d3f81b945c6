"""Data parallelism by threads: each takes some rows of the batch through its own replica; all share the weights.

A small model's operations are too small to be shared out among cores one by one: on two cores, two threads with half a
batch each train 1.4 times as fast as one with both cores in every operation (tests/benchmarks/train_threads.py).
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor

from torch import Tensor, nn

from litellama.data.batches import TokenBatch


class Replicas:
    """`count` views of one module: the same memory for weights, but a gradient of their own."""

    def __init__(self, module: nn.Module, count: int) -> None:
        self.modules = [module, *(_share(module) for _ in range(count - 1))]
        self._pool = ThreadPoolExecutor(count)

    def backward(
        self, batches: Sequence[TokenBatch], loss_of: Callable[[nn.Module, TokenBatch], tuple[Tensor, Tensor]]
    ) -> tuple[float, float]:
        """Leave the gradient of the losses' sum, over all `batches`, in the first module; returns that sum and the
        sum of the counts. Only one batch's activations are held at a time (gradient accumulation).

        Rows are dealt out in turn, so the shares are alike in length, and summed in order, so a run can be repeated.
        """

        def work(number: int) -> tuple[float, float]:
            total = right = 0.0
            for batch in batches:
                share = batch.share(number, len(self.modules))
                if len(share.input_ids):
                    loss, count = loss_of(self.modules[number], share)
                    loss.backward()
                    total, right = total + loss.item(), right + count.item()
            return total, right

        done = list(self._pool.map(work, range(len(self.modules))))
        for replica in self.modules[1:]:
            for mine, theirs in zip(self.modules[0].parameters(), replica.parameters(), strict=True):
                if theirs.grad is not None:
                    mine.grad = theirs.grad if mine.grad is None else mine.grad.add_(theirs.grad)
                    theirs.grad = None
        return sum(loss for loss, _ in done), sum(count for _, count in done)

    def __enter__(self) -> Replicas:
        return self

    def __exit__(self, *error: object) -> None:
        self._pool.shutdown()


def _share(module: nn.Module) -> nn.Module:
    replica = copy.deepcopy(module)
    for mine, theirs in zip(module.parameters(), replica.parameters(), strict=True):
        theirs.data = mine.data
    return replica
