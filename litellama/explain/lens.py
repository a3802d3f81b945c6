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


@dataclass(frozen=True)
class LensTable:
    """Row 0 is the embedding, row l what stands after layer l; one column for each place asked for.

    `ids` and `probabilities` (L + 1, P, k): the likeliest next tokens. `entropy` (L + 1, P) in nats. `settled` (P): the
    first row from which on the likeliest token is the last layer's, to the end.
    """

    places: tuple[int, ...]
    ids: Tensor
    probabilities: Tensor
    entropy: Tensor
    settled: Tensor


@torch.inference_mode()
def logit_lens(model: LiteLlama, ids: Sequence[int], places: Sequence[int] | None = None, top: int = 5) -> LensTable:
    """Each layer's `top` likeliest next tokens at `places` (all, if none are named) of one text.

    Raises `ValueError` for an empty text, one longer than the model reads, or a place that is not in it.
    """
    if not ids or len(ids) > model.config.max_position_embeddings:
        raise ValueError(
            f"the text has {len(ids)} tokens; from 1 to {model.config.max_position_embeddings} can be read"
        )
    chosen = list(range(len(ids)) if places is None else places)
    if wrong := [place for place in chosen if not 0 <= place < len(ids)]:
        raise ValueError(f"place {wrong[0]} was asked for; the text's places go from 0 to {len(ids) - 1}")
    input_ids = torch.tensor([list(ids)], device=model.device)
    states = model(input_ids, last_only=True, output_hidden_states=True).hidden_states
    rows = [_row(model, state[0, chosen], top) for state in states]  # one layer's logits at a time: they are large
    best = torch.stack([found[0] for found in rows])  # (L + 1, P, k)
    same = (best[:, :, 0] == best[-1, :, 0]).flip(0).cumprod(0).flip(0)  # 1 where it stays the same to the end
    settled = len(rows) - same.sum(0)
    return LensTable(
        tuple(chosen),
        best,
        torch.stack([found[1] for found in rows]),
        torch.stack([found[2] for found in rows]),
        settled,
    )


def _row(model: LiteLlama, state: Tensor, top: int) -> tuple[Tensor, Tensor, Tensor]:
    """One layer's stream (P, E) -> ids (P, k), probabilities (P, k), entropy (P)."""
    logits = model.lm_head(model.model.norm(state))[..., : model.config.sampled_vocab_size]
    logs = logits.float().log_softmax(-1)  # (P, V)
    values, ids = logs.topk(min(top, logs.shape[-1]))
    return ids.cpu(), values.exp().cpu(), -(logs.exp() * logs).sum(-1).cpu()
