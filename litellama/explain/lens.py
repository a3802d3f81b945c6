"""The logit lens: what the model would answer if it stopped after each layer (nostalgebraist 2020, "interpreting GPT").

The residual stream has one meaning throughout, since every layer only adds to it; so the final norm and the head can be
put behind any layer. What a middle layer "believes" is thereby read with the last layer's eyes: a useful view, not a
proof that the model uses it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from litellama.model import LiteLlama

ROWS_AT_ONCE = 256  # vectors whose logits, one for each token of the vocabulary, are held together


@dataclass(frozen=True)
class LensTable:
    """Row 0 is the embedding, row l what stands after layer l; one column for each position asked for.

    `ids` and `probabilities` (L + 1, P, k): the likeliest next tokens. `settled` (P): the first row from which on the
    likeliest token is the last layer's, to the end.
    """

    positions: tuple[int, ...]
    ids: Tensor
    probabilities: Tensor
    settled: Tensor


@torch.inference_mode()
def logit_lens(model: LiteLlama, ids: Sequence[int], positions: Sequence[int] | None = None, top: int = 5) -> LensTable:
    """Each layer's `top` likeliest next tokens at `positions` (all, if none are named) of one text.

    Raises `ValueError` for an empty text, one longer than the model reads, or a position that is not in it.
    """
    if not ids or len(ids) > model.config.max_position_embeddings:
        raise ValueError(
            f"the text has {len(ids)} tokens; from 1 to {model.config.max_position_embeddings} can be read"
        )
    chosen = list(range(len(ids)) if positions is None else positions)
    if wrong := [position for position in chosen if not 0 <= position < len(ids)]:
        raise ValueError(f"place {wrong[0]} was asked for; the text's places go from 0 to {len(ids) - 1}")
    input_ids = torch.tensor([list(ids)], device=model.device)
    states = model(input_ids, logits_to_keep=1, output_hidden_states=True).hidden_states
    stream = torch.stack([state[0, chosen] for state in states])  # (L + 1, P, E)
    rows = [_predictions(model, part, top) for part in stream.flatten(0, 1).split(ROWS_AT_ONCE)]
    best, probabilities = (torch.cat(parts).view(*stream.shape[:2], -1) for parts in zip(*rows, strict=True))
    same = (best[:, :, 0] == best[-1, :, 0]).flip(0).cumprod(0).flip(0)  # 1 where it stays the same to the end
    return LensTable(tuple(chosen), best, probabilities, len(best) - same.sum(0))


def _predictions(model: LiteLlama, stream: Tensor, top: int) -> tuple[Tensor, Tensor]:
    """Some of the stream's vectors (N, E) -> the likeliest tokens' ids and probabilities (N, k)."""
    logits = model.logits(model.model.norm(stream)).float()  # (N, V)
    values, ids = logits.topk(min(top, logits.shape[-1]))
    return ids.cpu(), (values - logits.logsumexp(-1, keepdim=True)).exp().cpu()
