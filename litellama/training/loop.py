"""The training loop: one generator that yields what happened in each step.

    for metrics in train(plan, tokenizer, folder):
        print(metrics.step, metrics.loss)

AdamW (Loshchilov & Hutter 2019) with warm-up, gradient clipping and bfloat16 products where the machine has them. The
data are a function of (seed, step) and the model has no dropout, so weights, moments and the step are all there is to
resume.
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
from torch.nn import functional as F

from litellama.config import ModelConfig
from litellama.model import LiteLlama
from litellama.tokenizer import Tokenizer
from litellama.training.data import ANSWER, Batch, TinyTownBatches
from litellama.training.drills import DrillBatches
from litellama.training.replicas import Replicas
from litellama.training.state import load_state, save_state

# Tried on TinyTown: 1 and 1.5 train steadily, at 4 the loss settles a third higher.
MUON_SCALE = 1.5


@dataclass(frozen=True)
class Plan:
    """What a training is to do. The first `drills` of its `steps` are look-up drills, the next `exercises` look-up
    exercises in words, the rest stories and talk; `decay` is the last part of the steps, as a share, in which "wsd"
    lowers the rate; `threads` take their shares of each batch side by side."""

    config: ModelConfig
    steps: int
    seed: int = 0
    drills: int = 0
    exercises: int = 0
    rows_per_batch: int = 32
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

    def __post_init__(self) -> None:
        if not 1 <= self.threads <= self.rows_per_batch:
            raise ValueError(
                f"threads is {self.threads}; from 1 to rows_per_batch, {self.rows_per_batch}, was expected"
            )
        if self.steps < 1 or self.rows_per_batch < 1 or self.save_every < 1:
            raise ValueError("steps, rows_per_batch and save_every must each be at least 1")
        for name in ("drills", "exercises"):
            if getattr(self, name) < 0:
                raise ValueError(f"{name} is {getattr(self, name)}; a number of steps was expected, 0 for none")
        if not 0 < self.learning_rate < 1:
            raise ValueError(
                f"learning_rate is {self.learning_rate}; a number between 0 and 1 was expected, such as 1e-3"
            )
        if self.optimizer not in ("adamw", "muon"):
            raise ValueError(f"optimizer is {self.optimizer!r}; 'adamw' or 'muon' was expected")
        if self.schedule not in ("cosine", "wsd"):
            raise ValueError(f"schedule is {self.schedule!r}; 'cosine' or 'wsd' was expected")


@dataclass(frozen=True)
class Metrics:
    """One step. `loss` in nats per weighted token; `answer_accuracy` is the share of answer tokens guessed right."""

    step: int
    loss: float
    answer_accuracy: float
    learning_rate: float
    gradient_norm: float
    tokens_seen: int
    seconds: float
    tokens_per_second: float


def learning_rate(step: int, plan: Plan) -> float:
    """Linear warm-up, then half a cosine to a tenth, or ("wsd": warm-up, stable, decay) flat, then a line to zero."""
    if step < plan.warmup_steps:
        return plan.learning_rate * (step + 1) / plan.warmup_steps
    if plan.schedule == "cosine":
        done = (step - plan.warmup_steps) / max(1, plan.steps - plan.warmup_steps)
        return plan.learning_rate * (0.55 + 0.45 * math.cos(math.pi * min(1.0, done)))
    left = (plan.steps - step) / max(1.0, plan.steps * plan.decay)
    return plan.learning_rate * min(1.0, max(0.0, left))


def initialise(model: LiteLlama, seed: int) -> None:
    """Normal weights; what writes into the residual stream is zero, so every block begins as "do nothing".

    Embeddings have a deviation of 0.02, matrices of 1 / sqrt(inputs): queries and keys then differ enough from the
    first step on for looks to be told apart. With 0.02 throughout, a model of hidden size 192 did not leave the
    sentences' frame in 360 steps.
    """
    generator = torch.Generator().manual_seed(seed)
    for name, parameter in model.named_parameters():
        with torch.no_grad():
            if parameter.dim() == 1:
                parameter.fill_(1.0)
            elif name.endswith(("o_proj.weight", "down_proj.weight")):
                parameter.zero_()
            else:
                deviation = 0.02 if "embed" in name else parameter.shape[1] ** -0.5
                parameter.copy_(torch.empty(parameter.shape).normal_(0, deviation, generator=generator))


def make_optimizers(model: LiteLlama, plan: Plan) -> list[torch.optim.Optimizer]:
    """AdamW for everything, or ("muon") Muon for the blocks' matrices (Jordan et al. 2024) and AdamW for the rest.

    Only matrices decay: norms and embeddings keep the size the data give them. Each group's `scale` multiplies the
    schedule's rate: Muon's steps, of one size in all directions, may be larger.
    """
    matrices: list[nn.Parameter] = []
    others: list[nn.Parameter] = []
    for name, parameter in model.named_parameters():
        is_matrix = parameter.dim() > 1 and "embed" not in name and "lm_head" not in name
        (matrices if is_matrix else others).append(parameter)
    decaying = {"params": matrices, "weight_decay": plan.weight_decay, "scale": 1.0}
    keeping = {"params": others, "weight_decay": 0.0, "scale": 1.0}
    if plan.optimizer == "adamw":
        return [torch.optim.AdamW([decaying, keeping], betas=plan.betas, fused=True)]
    muon = torch.optim.Muon([{**decaying, "scale": MUON_SCALE}], adjust_lr_fn="match_rms_adamw")
    return [muon, torch.optim.AdamW([keeping], betas=plan.betas, fused=True)]


def weighted_loss(model: LiteLlama, batch: Batch, bfloat16: bool) -> tuple[Tensor, int]:
    """The batch's cross-entropy, weighted and summed, and how many answer tokens were the model's first choice.

    The head and the loss, a large part of a small model's work, are computed only where a weight asks for them.
    """
    device = batch.input_ids.device
    wanted = batch.weights > 0
    # On a CPU the explicit products train faster than the fused kernel's backward at these lengths.
    with torch.autocast(device.type, dtype=torch.bfloat16, enabled=bfloat16):
        hidden, _, _ = model.model(batch.input_ids, batch.documents, None, device.type == "cpu")
        logits = model.lm_head(hidden[wanted]).float()  # (N, V)
    targets, weights = batch.targets[wanted], batch.weights[wanted]
    losses = F.cross_entropy(logits, targets, reduction="none")
    answers = weights == ANSWER
    return (losses * weights).sum(), int((logits[answers].argmax(-1) == targets[answers]).sum())


def train(
    plan: Plan, tokenizer: Tokenizer, folder: Path, *, resume: bool = False, model: LiteLlama | None = None
) -> Generator[Metrics, None, None]:
    """Train, step by step; the state is saved in `folder` every `save_every` steps, at the end, and when closed early.

    Raises `ValueError` for a plan that cannot be resumed and `FloatingPointError`, before the update, when the loss is
    not a number any more. Pass `model` to have the trained weights at hand.
    """
    model = model or LiteLlama(plan.config)
    model.to(plan.device).train()
    initialise(model, plan.seed)
    optimizers = make_optimizers(model, plan)
    progress: dict[str, Any] = {"step": 0, "tokens": 0, "seconds": 0.0}
    if resume:
        progress = load_state(folder, model, optimizers)
    drills = DrillBatches(tokenizer, plan.seed, plan.drills)
    longest = plan.config.max_position_embeddings
    stories = TinyTownBatches(tokenizer, plan.seed, plan.rows_per_batch, longest, plan.exercises)
    with Replicas(model, plan.threads) as replicas:  # after loading: the views share the memory the weights lie in now
        for step in range(progress["step"], plan.steps):
            batch = drills[step] if step < plan.drills else stories[step - plan.drills]
            metrics = _step(replicas, optimizers, batch, step, plan, progress)
            progress = {"step": step + 1, "tokens": metrics.tokens_seen, "seconds": metrics.seconds}
            if (step + 1) % plan.save_every == 0 or step + 1 == plan.steps:
                save_state(folder, model, optimizers, progress)
            try:
                yield metrics
            except GeneratorExit:  # closed between two steps, when all is consistent
                save_state(folder, model, optimizers, progress)
                raise


def _step(
    replicas: Replicas,
    optimizers: list[torch.optim.Optimizer],
    batch: Batch,
    step: int,
    plan: Plan,
    progress: dict[str, Any],
) -> Metrics:
    began = time.perf_counter()
    total = batch.weights.sum().item()
    answers = int((batch.weights == ANSWER).sum())
    rate = learning_rate(step, plan)
    for optimizer in optimizers:
        for group in optimizer.param_groups:
            group["lr"] = rate * group["scale"]
        optimizer.zero_grad()

    def share_of_loss(model: LiteLlama, share: Batch) -> tuple[Tensor, int]:
        loss, right = weighted_loss(model, share.to(plan.device), plan.bfloat16)
        return loss / total, right

    loss, right = replicas.backward(batch, share_of_loss)
    if not math.isfinite(loss):
        raise FloatingPointError(
            f"the loss became {loss} in step {step}; nothing was changed. Resume with a lower --learning-rate"
        )
    norm = nn.utils.clip_grad_norm_(replicas.models[0].parameters(), plan.clip)
    for optimizer in optimizers:
        optimizer.step()
    seconds = time.perf_counter() - began
    return Metrics(
        step=step + 1,
        loss=loss,
        answer_accuracy=right / max(1, answers),
        learning_rate=rate,
        gradient_norm=norm.item(),
        tokens_seen=int(progress["tokens"]) + batch.tokens,
        seconds=progress["seconds"] + seconds,
        tokens_per_second=batch.tokens / seconds,
    )
