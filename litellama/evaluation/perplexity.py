"""How well a model predicts text that its training never saw."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch.nn import functional as F

from litellama.data.batches import TokenBatch
from litellama.model import LiteLlama
from litellama.tokenizer import Tokenizer


@dataclass(frozen=True)
class ValidationLoss:
    """`loss` in nats per wanted token, of which there are `tokens`; `perplexity` is exp(loss).

    `bits_per_byte` is the loss in bits over the bytes of the text that these tokens spell. Unlike the others it can be
    compared between vocabularies: a large one has fewer tokens to guess, each of them harder.
    """

    loss: float
    perplexity: float
    tokens: int
    bits_per_byte: float | None


@torch.no_grad()
def validation_loss(
    model: LiteLlama,
    batches: Sequence[TokenBatch],
    device: torch.device | str | None = None,
    tokenizer: Tokenizer | None = None,
) -> ValidationLoss:
    """Judge `model`, which lies on `device` (None: ask it), by what `Shards.held_out` gives; bits per byte take the
    `tokenizer`.

    Raises `ValueError` if nothing is held out.
    """
    loss, tokens, text_bytes = 0.0, 0, 0
    was_training = model.training
    model.eval()
    for batch in batches:
        loss += _summed_loss(model, batch.to(model.device if device is None else device))
        tokens += int((batch.weights > 0).sum())
        text_bytes += 0 if tokenizer is None else _bytes(batch, tokenizer)
    model.train(was_training)
    if not tokens:
        raise ValueError("nothing is held out, since the corpus is too small; there is nothing to judge the model by")
    mean = loss / tokens
    return ValidationLoss(mean, math.exp(mean), tokens, loss / math.log(2) / text_bytes if text_bytes else None)


def text_loss(model: LiteLlama, ids: Sequence[int]) -> ValidationLoss:
    """Judge `model` by one text: by all of its `ids` but the first. Raises `ValueError` for fewer than 2."""
    text = torch.tensor([list(ids)], device="cpu")
    weights = torch.ones_like(text[:, 1:], dtype=torch.float32)
    return validation_loss(model, [TokenBatch(text[:, :-1], text[:, 1:], weights)])


def _summed_loss(model: LiteLlama, batch: TokenBatch) -> float:
    wanted = batch.weights > 0
    logits = model(batch.input_ids, document_ids=batch.documents).logits[wanted].float()  # (N, V)
    return F.cross_entropy(logits, batch.targets[wanted], reduction="sum").item()


def _bytes(batch: TokenBatch, tokenizer: Tokenizer) -> int:
    """Bytes of the text that the wanted tokens spell."""
    rows = zip(batch.targets, batch.weights, strict=True)
    return sum(len(tokenizer.decode(targets[weights > 0].tolist()).encode("utf-8")) for targets, weights in rows)
