"""Which precision a model is opened in: what was asked for, or the quickest sensible one for this machine."""

from __future__ import annotations

import time
from pathlib import Path

import torch
from torch.nn import functional as F

from litellama.config import ModelConfig
from litellama.memory import free_memory, weight_bytes
from litellama.opening import Opened, open_checkpoint
from litellama.quantize import PRECISIONS

AUTO = "auto"
SMALL = 50_000_000  # parameters; below, float32 is quick enough and exact
SHARE_OF_FREE = 0.8


def open_for_use(path: str | Path, precision: str = AUTO) -> Opened:
    """Open a checkpoint, a folder or a GGUF file, to talk to it and look into it, with its weights resting in
    `precision` (`quantize.py`).

    Raises `CheckpointError` as `open_checkpoint`, and `ValueError` for an unknown precision.
    """
    if precision not in (AUTO, *PRECISIONS):
        raise ValueError(f"precision is {precision!r}; one of {AUTO}, {', '.join(PRECISIONS)} was expected")
    return open_checkpoint(path, precision=_automatic if precision == AUTO else precision)


def _automatic(config: ModelConfig, stored: torch.dtype) -> str:
    chosen = choose_precision(config, free_memory())
    if chosen == "float16" and stored == torch.bfloat16:
        return "bfloat16"  # whose largest numbers float16 cannot hold; ask for float16 to try it
    return chosen


def choose_precision(config: ModelConfig, free: int | None) -> str:
    """float32 for a small model; for others the quicker kind of 16 bits, or fewer bits if `free` bytes are too few."""
    if config.num_parameters < SMALL:
        return "float32"
    choices = [quickest_16_bits(), "int8", "int4"]
    fitting = [name for name in choices if free is None or weight_bytes(config, name) <= SHARE_OF_FREE * free]
    return fitting[0] if fitting else choices[0]  # opening it then says how much is missing


def quickest_16_bits(rows: int = 4096, columns: int = 1024, tries: int = 7) -> str:
    """float16 or bfloat16: the one in which a matrix and one new token are multiplied sooner here, by trying it.

    It differs by a factor of two in either direction from one processor to the next.
    """
    seconds = {}
    for name in ("float16", "bfloat16"):
        dtype = getattr(torch, name)
        matrix, x = torch.ones(rows, columns, dtype=dtype), torch.ones(1, columns, dtype=dtype)
        taken = []
        for _ in range(tries):
            start = time.perf_counter()
            F.linear(x, matrix)
            taken.append(time.perf_counter() - start)
        seconds[name] = min(taken)
    return min(seconds, key=lambda name: seconds[name])
