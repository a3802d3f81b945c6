"""What training lowers: the cross-entropy of the tokens that count, and how many of them were guessed right."""

from __future__ import annotations

from functools import partial

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.checkpoint import checkpoint

from litellama.model import LiteLlama
from litellama.training.data import ANSWER


class Objective(nn.Module):
    """The model with its loss, as one module: what torch compiles, and what its engines spread over processes.

    `everywhere` computes the head at all places, in operations of fixed shapes, as GPUs and compilers want it;
    otherwise, on CPUs, only where a weight asks for it: the head is a large part of a small model's work.
    """

    def __init__(self, model: LiteLlama, *, bfloat16: bool, everywhere: bool) -> None:
        super().__init__()
        self.model = model
        self.in_bfloat16 = bfloat16
        self.everywhere = everywhere

    def forward(
        self, input_ids: Tensor, targets: Tensor, weights: Tensor, documents: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        """A batch (B, T) -> its losses, weighted and summed, and how many tokens of full weight were guessed right."""
        with torch.autocast(input_ids.device.type, dtype=torch.bfloat16, enabled=self.in_bfloat16):
            if self.everywhere:
                logits = self.model(input_ids, attention_mask=documents).logits.flatten(0, 1).float()  # (B * T, V)
                targets, weights = targets.flatten(), weights.flatten()
            else:
                wanted = weights > 0
                # On a CPU the explicit products train faster than the fused kernel's backward at these lengths.
                hidden, _, _ = self.model.model(input_ids, documents, None, input_ids.device.type == "cpu")
                logits = self.model.lm_head(hidden[wanted]).float()  # (N, V)
                targets, weights = targets[wanted], weights[wanted]
        losses = F.cross_entropy(logits, targets, reduction="none")
        right = (logits.detach().argmax(-1) == targets) & (weights == ANSWER)
        return (losses * weights).sum(), right.sum()


def recompute(model: LiteLlama) -> None:
    """Activation checkpointing (Chen et al. 2016): keep each block's input only, and run it again on the way back.

    A third more operations, and memory for the activations of one block instead of all.
    """
    for layer in model.model.layers:
        layer.forward = partial(checkpoint, layer.forward, use_reentrant=False)
