"""The weights that leave, one at a time: a model's own may lie in a mapped file and need no memory of their own."""

from __future__ import annotations

import torch
from torch import Tensor

from litellama.checkpoint import Opened


def weights_to_store(opened: Opened) -> dict[str, Tensor]:
    """The weights by name; a tied head is the embedding again, and is left out."""
    tied = {"lm_head.weight"} if opened.config.tie_word_embeddings else set()
    return {name: weight.detach() for name, weight in opened.model.state_dict().items() if name not in tied}


def converted(name: str, weight: Tensor, dtype: torch.dtype) -> Tensor:
    """One weight as `dtype`, in one piece of memory. Raises `ValueError` if that holds it no longer."""
    stored = weight.to("cpu", dtype).contiguous()
    if not torch.stack(stored.aminmax()).isfinite().all():
        raise ValueError(f"{name} holds numbers that are not finite as {dtype}; choose bfloat16 or float32")
    return stored
