"""The training loop: one generator that yields what happened in each step.

    model = new_model(config, seed=0)
    for metrics in train(recipe, model, batches, folder):
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
from typing import Any

import torch
from torch import Tensor, nn

from litellama.data.batches import ANSWER, TokenBatch, TokenBatches
from litellama.footprint.arithmetic import step_flops
from litellama.model import LiteLlama
from litellama.training.objective import Objective, recompute
from litellama.training.optimizers import learning_rate, make_optimizers
from litellama.training.parallel import ALONE, World, as_number, shard
from litellama.training.recipe import Recipe
from litellama.training.replicas import Replicas
from litellama.training.state import load_state, save_state


@dataclass(frozen=True)
class Metrics:
    """One step. `loss` in nats per weighted token; `accuracy` is the share of tokens of full weight (in a chat, those
    of answers) guessed right; `seconds` and `tokens_seen` since the first step; operations and tokens
    per second are those of all devices together."""

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
    recipe: Recipe, model: LiteLlama, batches: TokenBatches, folder: Path, *, resume: bool = False, world: World = ALONE
) -> Generator[Metrics, None, None]:
    """Train what of `model` requires a gradient, step by step; the state is saved in `folder` every `save_every` steps,
    at the end, and when closed early.

    Raises `ValueError` for a training that cannot be resumed, `OSError` if the state cannot be saved, and
    `FloatingPointError`, before the update, when the loss is not a number any more.
    """
    steps = recipe.total_steps
    model.to(recipe.device).train()
    if recipe.recompute:
        recompute(model)
    in_parts = recipe.spread == "fsdp" and world.size > 1
    if in_parts:
        shard(model, world)
    everywhere = in_parts or recipe.compile or torch.device(recipe.device).type != "cpu"
    objective: nn.Module = Objective(model, bfloat16=recipe.uses_bfloat16, everywhere=everywhere)
    optimizers = make_optimizers(model, recipe)
    progress: dict[str, Any] = {"step": 0, "tokens": 0, "seconds": 0.0}
    if resume:
        progress = load_state(folder, model, optimizers)
        if progress["step"] > steps:
            raise ValueError(
                f"the training in {folder} has done {progress['step']} steps already; ask for more --steps"
            )
    if recipe.compile:
        objective.compile()
    if world.size > 1 and not in_parts:
        objective = nn.parallel.DistributedDataParallel(objective)
    with Replicas(objective, recipe.threads) as replicas:  # after loading: they share the memory the weights lie in now
        for step in range(progress["step"], steps):
            metrics = _step(replicas, optimizers, batches[step], step, recipe, progress, model, world)
            progress = {"step": step + 1, "tokens": metrics.tokens_seen, "seconds": metrics.seconds}
            if (step + 1) % recipe.save_every == 0 or step + 1 == steps:
                save_state(folder, model, optimizers, progress, world)
            try:
                yield metrics
            except GeneratorExit:  # closed between two steps, when all is consistent
                save_state(folder, model, optimizers, progress, world)
                raise


def _step(
    replicas: Replicas,
    optimizers: list[torch.optim.Optimizer],
    batch: TokenBatch,
    step: int,
    recipe: Recipe,
    progress: dict[str, Any],
    model: LiteLlama,
    world: World,
) -> Metrics:
    began = time.perf_counter()
    total = batch.weights.sum().item()
    full = int((batch.weights == ANSWER).sum())
    rate = learning_rate(step, recipe)
    for optimizer in optimizers:
        for group in optimizer.param_groups:
            group["lr"] = rate * group["scale"]
        optimizer.zero_grad()

    def loss_of(objective: nn.Module, share: TokenBatch) -> tuple[Tensor, Tensor]:
        share = share.to(recipe.device)
        loss, right = objective(share.input_ids, share.targets, share.weights, share.documents)
        return loss * world.size / total, right  # torch's engines take the mean over processes; we want the sum

    mine = batch.share(world.rank, world.size)
    loss, right = world.sum(
        replicas.backward([mine.share(number, recipe.accumulate) for number in range(recipe.accumulate)], loss_of)
    )
    loss /= world.size
    norm = as_number(nn.utils.clip_grad_norm_(model.parameters(), recipe.clip))
    if not (math.isfinite(loss) and math.isfinite(norm)):  # guard: finite-loss
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
