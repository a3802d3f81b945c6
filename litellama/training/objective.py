"""What training lowers: the cross-entropy of the tokens that count, and how many of them were guessed right."""

from __future__ import annotations

from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.checkpoint import checkpoint

from litellama.data.batches import ANSWER
from litellama.model import LiteLlama

AT_ONCE = 512  # rows of logits


class HeadLoss(torch.autograd.Function):
    """Head and cross-entropy in one, some rows at a time, the gradient formed on the way there.

    d loss / d logits = weight * (softmax(logits) - one_hot(target)) needs nothing from the way back but a factor, so
    the logits, by far the largest tensors of a small model's step, are never all there, nor passed over again.
    (As Cut Cross-Entropy, Wijmans et al. 2024, without its kernels.)
    """

    @staticmethod
    def forward(ctx: Any, hidden: Tensor, head: Tensor, targets: Tensor, weights: Tensor) -> tuple[Tensor, Tensor]:
        """hidden (N, E), head (V, E), targets and weights (N) -> the losses, weighted and summed; the right guesses."""
        narrow = head.to(hidden.dtype)
        hidden_gradient = torch.empty_like(hidden)
        head_gradient = torch.zeros_like(head) if ctx.needs_input_grad[1] else None
        loss, right = hidden.new_zeros((), dtype=torch.float32), targets.new_zeros(())
        for h, out, target, weight in zip(
            hidden.split(AT_ONCE), hidden_gradient.split(AT_ONCE), targets.split(AT_ONCE), weights.split(AT_ONCE),
            strict=True,
        ):  # fmt: skip
            logits = (h @ narrow.T).float()  # (n, V)
            most, guess = logits.max(-1)
            right += ((guess == target) & (weight == ANSWER)).sum()
            chosen = logits.gather(-1, target[:, None])[:, 0]
            shares = logits.sub_(most[:, None]).exp_()
            total = shares.sum(-1)
            loss += ((total.log() + most - chosen) * weight).sum()
            shares.mul_((weight / total)[:, None]).scatter_add_(-1, target[:, None], -weight[:, None])
            gradient = shares.to(hidden.dtype)
            torch.mm(gradient, narrow, out=out)
            if head_gradient is not None:
                head_gradient += gradient.T @ h
        ctx.save_for_backward(hidden_gradient, head_gradient)
        ctx.mark_non_differentiable(right)
        return loss, right

    @staticmethod
    def backward(ctx: Any, factor: Tensor, _: Tensor) -> tuple[Tensor, Tensor | None, None, None]:
        hidden_gradient, head_gradient = ctx.saved_tensors
        head_gradient = None if head_gradient is None else head_gradient * factor
        return hidden_gradient * factor.to(hidden_gradient.dtype), head_gradient, None, None


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
                logits = self.model(input_ids, document_ids=documents, padding_rows=True).logits
                logits = logits.flatten(0, 1).float()  # (B * T, V)
                targets, weights = targets.flatten(), weights.flatten()
            else:
                wanted = weights > 0
                # On a CPU the explicit products train faster than the fused kernel's backward at these lengths.
                explicit = input_ids.device.type == "cpu"
                hidden = self.model(
                    input_ids, document_ids=documents, logits_to_keep=0, output_attentions=explicit
                ).final
                dtype = torch.bfloat16 if self.in_bfloat16 else torch.float32
                loss, right = HeadLoss.apply(
                    hidden[wanted].to(dtype), self.model.lm_head.weight, targets[wanted], weights[wanted]
                )
                return loss, right
        losses = F.cross_entropy(logits, targets, reduction="none")
        right = (logits.detach().argmax(-1) == targets) & (weights == ANSWER)
        return (losses * weights).sum(), right.sum()


def recompute(model: LiteLlama) -> None:
    """Activation checkpointing (Chen et al. 2016): keep each block's input only, and run it again on the way back.

    A third more operations, and memory for the activations of one block instead of all.
    """
    for layer in model.model.layers:
        layer.forward = partial(checkpoint, layer.forward, use_reentrant=False)
