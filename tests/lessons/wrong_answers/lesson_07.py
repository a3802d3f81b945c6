"""Wrong answers to lesson 7: (exercise, what is handed to `lesson.check`, a piece of the English sentence)."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import torch

from litellama.config import PRESETS, ModelConfig

FULL = PRESETS["litellama-460m"]
W = FULL.num_parameters
PLAN = {
    "gpu": "NVIDIA A100, 80 GB",
    "gpus": 8,
    "share": 0.4,
    "price": 2.0,
    "source": "a price list of today",
    "country": "Norway",
}


def counted(
    *, keys: str = "num_key_value_heads", wide: int = 2, narrow: int = 2, matrices: int = 3, norms: int = 2,
    last: int = 1, head: bool = True, tied: bool = True, embedding: int = 1, width: str = "", layers: bool = True,
    more: int = 0,
) -> Callable[[ModelConfig], int]:  # fmt: skip
    """A learner's function with a slip."""

    def parameters(c: ModelConfig) -> int:
        full = c.hidden_size if width else c.num_attention_heads * c.head_dim
        layer = c.hidden_size * (wide * full + narrow * getattr(c, keys) * c.head_dim)
        layer += matrices * c.hidden_size * c.intermediate_size + norms * c.hidden_size
        total = embedding * c.vocab_size * c.hidden_size + (c.num_hidden_layers if layers else 1) * layer
        total += last * c.hidden_size
        if head and not (tied and c.tie_word_embeddings):
            total += c.vocab_size * c.hidden_size
        return total + more

    return parameters


def hours(weights: int, tokens: int, rate: float, share: float) -> float:
    return 6 * weights * tokens / (rate * share) / 3600


WRONG: list[tuple[str, tuple[Any, ...], str]] = [
    ("7.1", (counted(keys="num_attention_heads"),), "fewer heads"),
    ("7.1", (counted(narrow=1),), "two matrices of the smaller width"),
    ("7.1", (counted(wide=1),), "two matrices of the full width"),
    ("7.1", (counted(width="hidden"),), "need not be as wide"),
    ("7.1", (counted(matrices=2),), "three matrices"),
    ("7.1", (counted(norms=0, last=0),), "norms are missing"),
    ("7.1", (counted(last=0),), "last norm"),
    ("7.1", (counted(norms=1),), "two norms"),
    ("7.1", (counted(head=False),), "One matrix"),
    ("7.1", (counted(tied=False),), "tied head"),
    ("7.1", (counted(embedding=0, tied=False),), "One matrix"),
    ("7.1", (counted(layers=False),), "one layer"),
    ("7.1", (counted(more=5),), "which is 5 too many"),
    ("7.1", (counted(more=-7),), "which is 7 too few"),
    ("7.1", (461_685_760,), "A function was expected"),
    ("7.1", (lambda config: "many",), "number was expected"),
    ("7.1", (lambda config: None,), "gives nothing back"),
    ("7.1", (lambda config: config.size,), "stopped with an error"),
    ("7.2", (16 * W,), "in bytes"),
    ("7.2", (16 * W / 2**30,), "GiB"),
    ("7.2", (4 * W / 1e9,), "weights alone"),
    ("7.2", (8 * W / 1e9,), "two moments are missing"),
    ("7.2", (12 * W / 1e9,), "there are four"),
    ("7.2", (128 * W / 1e9,), "gigabits"),
    ("7.2", (4 * W,), "4 bytes"),
    ("7.2", (460,), "Four numbers"),
    ("7.2", ("7.4 GB",), "number was expected"),
    ("7.3", (499_679 * 1024, 10), "192 rows"),
    ("7.3", (1e12, 1), "all three numbers"),
    ("7.3", (98_240_888_832, 0.098), "other way round"),
    ("7.3", (98_240_888_832, 2), "1e12"),
    ("7.3", (98_240_888_832, "ten"), "number was expected"),
    ("7.4", (lambda n, d, r, s: 3600 * hours(n, d, r, s),), "seconds"),
    ("7.4", (lambda n, d, r, s: 60 * hours(n, d, r, s),), "minutes"),
    ("7.4", (lambda n, d, r, s: hours(n, d, r, s) / 24,), "days"),
    ("7.4", (lambda n, d, r, s: hours(n, d, r, 1),), "full rate"),
    ("7.4", (lambda n, d, r, s: hours(n, d, r, 1 / s),), "divide by it"),
    ("7.4", (lambda n, d, r, s: hours(n, d, r, s) / 3,), "6 in all"),
    ("7.4", (lambda n, d, r, s: hours(n, d, r, s) / 6,), "6 is missing"),
    ("7.4", (lambda n, d, r, s: 1.0,), "your function gives"),
    ("7.4", (lambda n, d, r: 1.0,), "stopped with an error"),
    ("7.4", (572.0,), "A function was expected"),
    ("7.5", ("8 GPUs",), "needs these entries"),
    ("7.5", ({"gpu": "NVIDIA H100"},), "needs these entries"),
    ("7.5", (PLAN | {"gpus": ...},), 'no value for "gpus"'),
    ("7.5", (PLAN | {"gpus": 0.5},), "whole number"),
    ("7.5", (PLAN | {"gpus": "eight"},), "number was expected"),
    ("7.5", (PLAN | {"share": 1.0},), "not to be expected"),
    ("7.5", (PLAN | {"share": 40},), "not to be expected"),
    ("7.5", (PLAN | {"price": 0},), "one GPU for one hour"),
    ("7.5", (PLAN | {"source": ""},), "whose price"),
    ("7.5", (PLAN | {"gpu": "A100"},), "cannot be reckoned"),
    ("7.5", (PLAN | {"country": "Atlantis"},), "cannot be reckoned"),
    ("7.5", (PLAN | {"gpus": 1},), "more GPUs"),
    ("7.5", (PLAN | {"country": "Poland"},), "another country"),
    ("7.6", (math.log2(50_304),), "bits"),
    ("7.6", (math.log10(50_304),), "base 10"),
    ("7.6", (-math.log(50_304),), "sign"),
    ("7.6", (1 / 50_304,), "That is the probability"),
    ("7.6", (1.0,), "equally likely"),
    ("7.6", (float("nan"),), "number was expected"),
    ("7.7", (16 * PRESETS["llama2-70b"].num_parameters / 80e9,), "round up"),
    ("7.7", (13,), "does not fit"),
    ("7.7", (2,), "weights alone"),
    ("7.7", (4,), "weights alone"),
    ("7.7", (100,), "rounded up"),
    ("7.7", (True,), "number was expected"),
]
RIGHT: list[tuple[str, tuple[Any, ...]]] = [
    ("7.1", (counted(),)),
    ("7.1", (lambda config: torch.tensor(counted()(config), dtype=torch.long),)),
    ("7.2", (7.39,)),
    ("7.2", (np.float32(7.387),)),
    ("7.3", (98_240_888_832, 10.18)),
    ("7.3", (np.int64(98_240_888_832), 10.2)),
    ("7.4", (hours,)),
    ("7.4", (lambda n, d, r, s: torch.tensor(hours(n, d, r, s)),)),
    ("7.5", (PLAN,)),
    ("7.5", (PLAN | {"gpu": "NVIDIA H100", "gpus": 2.0, "country": "France", "price": 6},)),
    ("7.6", (10.83,)),
    ("7.7", (14.0,)),
]
"""Answers other than the source's own that must pass as well."""
