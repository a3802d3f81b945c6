"""How much faster the lab trains than transformers' Trainer: the same shape, the same weights, the same random ids.

    python -m tests.benchmarks.training [preset] [rounds]

Each step reads 32 rows of 256 ids and predicts every next one: forward, backward, clipping, fused AdamW, bfloat16 where
the machine multiplies in it, on all cores. Each side uses the cores as it does by default: Trainer in every operation,
the lab's small models one thread for each core. In turn; the first round and the first steps of each warm up. Only an
idle machine gives a fair ratio: threads that wait for one another in every operation, as Trainer's do, lose far more to
other programs than threads with rows of their own. Needs transformers and accelerate (extra `bench`).
"""

from __future__ import annotations

import statistics
import sys
import tempfile
import time
import warnings
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from transformers import LlamaConfig, LlamaForCausalLM, PrinterCallback, Trainer, TrainerCallback, TrainingArguments

from litellama.config import ModelConfig, preset
from litellama.data.batches import ANSWER, Batch
from litellama.footprint.machine import SMALL_TO_TRAIN, has_bfloat16, machine
from litellama.model import LiteLlama
from litellama.training.loop import train
from litellama.training.objective import Objective
from litellama.training.recipe import Recipe

ROWS, CONTEXT = 32, 256
WARM_UP, STEPS = 2, 6


def main() -> None:
    name = sys.argv[1] if len(sys.argv) > 1 else "litellama-5m"
    rounds = int(sys.argv[2]) if len(sys.argv) > 2 else 5
    config = replace(preset(name), max_position_embeddings=CONTEXT)
    cores = torch.get_num_threads()
    torch.manual_seed(0)
    rows = torch.randint(0, config.vocab_size, ((WARM_UP + STEPS) * ROWS, CONTEXT + 1))
    theirs = LlamaForCausalLM(LlamaConfig(**config.to_hf("float32")))
    ours = LiteLlama(config)
    ours.load_state_dict(theirs.state_dict())
    check_same_work(ours, theirs, rows[:ROWS])
    speeds: dict[str, list[float]] = {"the lab": [], "transformers' Trainer": []}
    for number in range(rounds + 1):
        seconds = lab_seconds(ours, config, rows, cores), trainer_seconds(theirs, rows, cores)
        if number:  # the first one warms up
            for who, measured in zip(speeds, seconds, strict=True):
                speeds[who].append(STEPS * ROWS * CONTEXT / measured)
    print(f"tokens per second of training {name} at {CONTEXT} ids, {ROWS} rows, measured on {machine('cpu')}, ", end="")
    print(f"{'bfloat16' if has_bfloat16('cpu') else 'float32'}, {cores} threads, {rounds} rounds in turn")
    for who, values in speeds.items():
        print(f"{who:24} {statistics.median(values):9,.0f}   ({min(values):,.0f} to {max(values):,.0f})")
    ratios = [one / other for one, other in zip(*speeds.values(), strict=True)]
    print(f"{'ratio, round by round':24} {statistics.median(ratios):9.2f}   ({min(ratios):.2f} to {max(ratios):.2f})")


def check_same_work(ours: LiteLlama, theirs: LlamaForCausalLM, rows: Tensor) -> None:
    """Both must find the same loss, or the comparison would be of two different things."""
    with torch.no_grad():
        batch = as_batch(rows)
        objective = Objective(ours, bfloat16=False, everywhere=False)
        total, _ = objective(batch.input_ids, batch.targets, batch.weights)
        targets = rows[:, 1:].contiguous()
        loss = theirs(input_ids=rows[:, :-1], labels=targets, shift_labels=targets).loss
    torch.testing.assert_close(total / targets.numel(), loss)


def as_batch(rows: Tensor) -> Batch:
    return Batch(rows[:, :-1], rows[:, 1:], torch.full(rows[:, 1:].shape, ANSWER))


def lab_seconds(model: LiteLlama, config: ModelConfig, rows: Tensor, cores: int) -> float:
    small = config.num_parameters <= SMALL_TO_TRAIN
    torch.set_num_threads(1 if small else cores)
    recipe = Recipe(
        steps=WARM_UP + STEPS, bfloat16=has_bfloat16("cpu"), threads=cores if small else 1, save_every=1_000_000
    )
    ends = []
    with tempfile.TemporaryDirectory() as folder:
        batches = [as_batch(some) for some in rows.split(ROWS)]
        stream = train(recipe, model, batches, Path(folder))
        for _ in range(WARM_UP + STEPS - 1):  # the last one would also save the state
            next(stream)
            ends.append(time.perf_counter())
    return (ends[-1] - ends[WARM_UP - 1]) * STEPS / (STEPS - 1)


class Clock(TrainerCallback):
    """Notes when each of Trainer's steps ends."""

    def __init__(self) -> None:
        self.ends: list[float] = []

    def on_step_end(self, *args: Any, **named: Any) -> None:
        self.ends.append(time.perf_counter())


def trainer_seconds(model: LlamaForCausalLM, rows: Tensor, cores: int) -> float:
    torch.set_num_threads(cores)
    clock = Clock()
    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        arguments = TrainingArguments(
            output_dir=folder, use_cpu=True, bf16=has_bfloat16("cpu"), optim="adamw_torch_fused", max_grad_norm=1.0,
            per_device_train_batch_size=ROWS, max_steps=WARM_UP + STEPS, learning_rate=1e-3, weight_decay=0.05,
            save_strategy="no", eval_strategy="no", logging_strategy="no", report_to="none", disable_tqdm=True,
            dataloader_pin_memory=False,
        )  # fmt: skip
        examples = [{"input_ids": row[:-1], "labels": row[:-1]} for row in rows]
        trainer = Trainer(model, arguments, train_dataset=examples, callbacks=[clock])
        trainer.remove_callback(PrinterCallback)
        trainer.train()
    return clock.ends[-1] - clock.ends[WARM_UP - 1]


if __name__ == "__main__":
    main()
