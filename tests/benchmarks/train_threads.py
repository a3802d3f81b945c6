"""How should a small model's training use the cores: in every operation, or one thread with some rows for each core?

    python -m tests.benchmarks.train_threads

Both ways train the `tinytown` preset on the same batches, interleaved; printed are tokens per second, median and range.
"""

from __future__ import annotations

import statistics
import time

import torch

from litellama.config import preset
from litellama.data.batches import TinyTownBatches, TokenBatch
from litellama.footprint.machine import has_bfloat16, machine
from litellama.model import LiteLlama
from litellama.tinytown.corpus import make_document
from litellama.tokenizer import Tokenizer
from litellama.training.objective import Objective
from litellama.training.replicas import Replicas

ROUNDS = 5
STEPS = 4


def main() -> None:
    config = preset("tinytown")
    texts = (" " + m.content for number in range(3000) for m in make_document(f"tokenizer/{number}").messages)
    batches = TinyTownBatches(Tokenizer.train(texts, config.vocab_size), 0, 32, config.max_position_embeddings)
    cores = torch.get_num_threads()
    objective = Objective(LiteLlama(config), bfloat16=has_bfloat16("cpu"), everywhere=False)
    ways = {f"{cores} threads in every operation": (1, cores), f"{cores} threads with rows of their own": (cores, 1)}
    replicas = {name: Replicas(objective, count) for name, (count, _) in ways.items()}
    speeds: dict[str, list[float]] = {name: [] for name in ways}
    for round_number in range(ROUNDS + 1):
        for name, (_, inside) in ways.items():
            torch.set_num_threads(inside)
            speed = measure(replicas[name], [batches[step] for step in range(STEPS)])
            if round_number:  # the first one warms up
                speeds[name].append(speed)
    print(f"tokens per second, measured on {machine('cpu')}")
    for name, values in speeds.items():
        print(f"{name:38} {statistics.median(values):8,.0f}   ({min(values):,.0f} to {max(values):,.0f})")
    first, second = (statistics.median(values) for values in speeds.values())
    print(f"ratio {second / first:.2f}")


def measure(replicas: Replicas, batches: list[TokenBatch]) -> float:
    """Tokens per second of forward and backward passes."""
    began = time.perf_counter()
    for batch in batches:
        replicas.modules[0].zero_grad()
        replicas.backward([batch], lambda objective, one: objective(one.input_ids, one.targets, one.weights))
    return sum(batch.tokens for batch in batches) / (time.perf_counter() - began)


if __name__ == "__main__":
    main()
