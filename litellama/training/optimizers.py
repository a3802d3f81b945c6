"""Steps and their size: AdamW or Muon, and the learning rate's way from first to last."""

from __future__ import annotations

import math

import torch
from torch import nn

from litellama.training.recipe import Recipe

# Tried on TinyTown: 1 and 1.5 train steadily, at 4 the loss settles a third higher.
MUON_SCALE = 1.5


def learning_rate(step: int, recipe: Recipe) -> float:
    """Linear warm-up, then half a cosine to a tenth, or ("wsd": warm-up, stable, decay) flat, then a line to zero."""
    steps = recipe.total_steps
    if step < recipe.warmup_steps:
        return recipe.learning_rate * (step + 1) / recipe.warmup_steps
    if recipe.schedule == "cosine":
        done = (step - recipe.warmup_steps) / max(1, steps - recipe.warmup_steps)
        return recipe.learning_rate * (0.55 + 0.45 * math.cos(math.pi * min(1.0, done)))
    left = (steps - step) / max(1.0, steps * recipe.decay)
    return recipe.learning_rate * min(1.0, max(0.0, left))


def make_optimizers(model: nn.Module, recipe: Recipe) -> list[torch.optim.Optimizer]:
    """AdamW for all that is trained, or ("muon") Muon for the blocks' matrices (Jordan et al. 2024) and AdamW for the
    rest.

    Only matrices decay: norms and embeddings keep the size the data give them. Each group's `scale` multiplies the
    schedule's rate: Muon's steps, of one size in all directions, may be larger.
    """
    matrices: list[nn.Parameter] = []
    others: list[nn.Parameter] = []
    for name, parameter in model.named_parameters():
        if parameter.requires_grad:
            is_matrix = parameter.dim() > 1 and "embed" not in name and "lm_head" not in name
            (matrices if is_matrix else others).append(parameter)
    decaying = {"params": matrices, "weight_decay": recipe.weight_decay, "scale": 1.0}
    keeping = {"params": others, "weight_decay": 0.0, "scale": 1.0}
    if recipe.optimizer == "adamw":
        groups = [group for group in (decaying, keeping) if group["params"]]
        return [torch.optim.AdamW(groups, betas=recipe.betas, fused=True)]
    muon = torch.optim.Muon([{**decaying, "scale": MUON_SCALE}], adjust_lr_fn="match_rms_adamw")
    return [muon, *([torch.optim.AdamW([keeping], betas=recipe.betas, fused=True)] if others else [])]
