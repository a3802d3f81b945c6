"""The training loop: one generator that yields what happened in each step.

    model = new_model(config, seed=0)
    for metrics in train(plan, model, batches, folder):
        print(metrics.step, metrics.loss)

AdamW (Loshchilov & Hutter 2019) with warm-up, gradient clipping and bfloat16 products where the machine has them. The
data are a function of (seed, step) and the model has no dropout, so weights, moments and the step are all there is to
resume. The batch is the same whatever does the work: one thread, several, in one piece or in several after one another
(gradient accumulation), one process or those that `torchrun` started; the losses are the same up to rounding.
"""

from __future__ import annotations

import math
import time
from collections.abc import Generator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor, nn

from litellama.footprint.arithmetic import step_flops
from litellama.model import LiteLlama
from litellama.training.data import ANSWER, Batch, Batches
from litellama.training.objective import Objective, recompute
from litellama.training.optimizers import learning_rate, make_optimizers
from litellama.training.parallel import ALONE, Spread, World, as_number, shard
from litellama.training.replicas import Replicas
from litellama.training.state import load_state, save_state


@dataclass(frozen=True)
class Plan:
    """How a training goes on. `accumulate`: in so many pieces each batch is read; `threads` take shares of a piece side
    by side; `decay` is the last part of the steps, as a share, in which "wsd" lowers the rate; `spread` is what
    `torchrun`'s processes share; `recompute` saves memory for a third more work; `compile` is for GPUs."""

    steps: int
    learning_rate: float = 1e-3
    warmup_steps: int = 100
    optimizer: Literal["adamw", "muon"] = "adamw"
    schedule: Literal["cosine", "wsd"] = "cosine"
    decay: float = 0.45
    weight_decay: float = 0.05
    betas: tuple[float, float] = (0.9, 0.98)
    clip: float = 1.0
    save_every: int = 500
    device: str = "cpu"
    bfloat16: bool = True
    threads: int = 1
    accumulate: int = 1
    recompute: bool = False
    compile: bool = False
    spread: Spread = "ddp"

    def __post_init__(self) -> None:
        for name in ("steps", "save_every", "threads", "accumulate"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} is {getattr(self, name)}; at least 1 was expected")
        if not 0 < self.learning_rate < 1:
            raise ValueError(
                f"learning_rate is {self.learning_rate}; a number between 0 and 1 was expected, such as 1e-3"
            )
        for name, choices in (
            ("optimizer", ("adamw", "muon")), ("schedule", ("cosine", "wsd")), ("spread", ("ddp", "fsdp")),
        ):  # fmt: skip
            if getattr(self, name) not in choices:
                raise ValueError(f"{name} is {getattr(self, name)!r}; {' or '.join(map(repr, choices))} was expected")


@dataclass(frozen=True)
class Metrics:
    """One step. `loss` in nats per weighted token; `accuracy` is the share of tokens of full weight (in a chat, those
    of answers) guessed right; `flops` are the operations done, on all devices together."""

    step: int
    loss: float
    accuracy: float
    learning_rate: float
    gradient_norm: float
    tokens_seen: int
    seconds: float
    tokens_per_second: float
    flops_per_second: float


def train(
    plan: Plan, model: LiteLlama, batches: Batches, folder: Path, *, resume: bool = False, world: World = ALONE
) -> Generator[Metrics, None, None]:
    """Train what of `model` requires a gradient, step by step; the state is saved in `folder` every `save_every` steps,
    at the end, and when closed early.

    Raises `ValueError` for a training that cannot be resumed, `OSError` if the state cannot be saved, and
    `FloatingPointError`, before the update, when the loss is not a number any more.
    """
    model.to(plan.device).train()
    if plan.recompute:
        recompute(model)
    in_parts = plan.spread == "fsdp" and world.size > 1
    if in_parts:
        shard(model, world)
    everywhere = in_parts or plan.compile or plan.device.startswith("cuda")
    objective: nn.Module = Objective(model, bfloat16=plan.bfloat16, everywhere=everywhere)
    optimizers = make_optimizers(model, plan)
    progress: dict[str, Any] = {"step": 0, "tokens": 0, "seconds": 0.0}
    if resume:
        progress = load_state(folder, model, optimizers)
        if progress["step"] > plan.steps:
            raise ValueError(
                f"the training in {folder} has done {progress['step']} steps already; ask for more --steps"
            )
    if plan.compile:
        objective.compile()
    if world.size > 1 and not in_parts:
        objective = nn.parallel.DistributedDataParallel(objective)
    with Replicas(objective, plan.threads) as replicas:  # after loading: they share the memory the weights lie in now
        for step in range(progress["step"], plan.steps):
            metrics = _step(replicas, optimizers, batches[step], step, plan, progress, model, world)
            progress = {"step": step + 1, "tokens": metrics.tokens_seen, "seconds": metrics.seconds}
            if (step + 1) % plan.save_every == 0 or step + 1 == plan.steps:
                save_state(folder, model, optimizers, progress, world)
            try:
                yield metrics
            except GeneratorExit:  # closed between two steps, when all is consistent
                save_state(folder, model, optimizers, progress, world)
                raise


def _step(
    replicas: Replicas,
    optimizers: list[torch.optim.Optimizer],
    batch: Batch,
    step: int,
    plan: Plan,
    progress: dict[str, Any],
    model: LiteLlama,
    world: World,
) -> Metrics:
    began = time.perf_counter()
    total = batch.weights.sum().item()
    full = int((batch.weights == ANSWER).sum())
    rate = learning_rate(step, plan)
    for optimizer in optimizers:
        for group in optimizer.param_groups:
            group["lr"] = rate * group["scale"]
        optimizer.zero_grad()

    def loss_of(objective: nn.Module, share: Batch) -> tuple[Tensor, Tensor]:
        share = share.to(plan.device)
        loss, right = objective(share.input_ids, share.targets, share.weights, share.documents)
        return loss * world.size / total, right  # torch's engines take the mean over processes; we want the sum

    mine = batch.share(world.rank, world.size)
    loss, right = world.sum(
        replicas.backward([mine.share(number, plan.accumulate) for number in range(plan.accumulate)], loss_of)
    )
    loss /= world.size
    norm = as_number(nn.utils.clip_grad_norm_(model.parameters(), plan.clip))
    if not (math.isfinite(loss) and math.isfinite(norm)):
        raise FloatingPointError(
            f"the loss became {loss} and its gradient {norm} in step {step}; nothing was changed. "
            "Resume with a lower --learning-rate"
        )
    for optimizer in optimizers:
        optimizer.step()
    rows, length = batch.input_ids.shape
    seconds = time.perf_counter() - began
    return Metrics(
        step=step + 1,
        loss=loss,
        accuracy=right / max(1, full),
        learning_rate=rate,
        gradient_norm=norm,
        tokens_seen=int(progress["tokens"]) + batch.tokens,
        seconds=progress["seconds"] + seconds,
        tokens_per_second=batch.tokens / seconds,
        flops_per_second=step_flops(model.config, rows, length, int((batch.weights > 0).sum())) / seconds,
    )
