"""The weights to be exported, one at a time: those of a mapped file take no memory until they are used."""

from __future__ import annotations

import torch
from torch import Tensor

from litellama.checkpoint import Opened


def weights_to_store(opened: Opened) -> dict[str, Tensor]:
    """The weights by name, without a tied head, which is the embedding."""
    tied = {"lm_head.weight"} if opened.config.tie_word_embeddings else set()
    return {name: weight.detach() for name, weight in opened.model.state_dict().items() if name not in tied}


def converted(name: str, weight: Tensor, dtype: torch.dtype) -> Tensor:
    """One weight as `dtype`, in one piece of memory. Raises `ValueError` if it has numbers that `dtype` cannot hold."""
    stored = weight.to("cpu", dtype).contiguous()
    if not torch.stack(stored.aminmax()).isfinite().all():
        raise ValueError(f"{name} holds numbers that are not finite as {dtype}; choose bfloat16 or float32")
    return stored
