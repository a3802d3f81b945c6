"""Which precision a model is opened in: what was asked for, or the quickest sensible one for this machine."""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path

import torch
from torch.nn import functional as F

from litellama.checkpoint.load import Opened, open_checkpoint
from litellama.checkpoint.memory import free_memory, weight_bytes
from litellama.config import ModelConfig
from litellama.device import CHECK_TEXT, CHECKED, agrees, device_name, sixteen_bits
from litellama.quantize import PRECISIONS, WHOLE_NUMBERS, kernel_works

AUTO = "auto"
ONE_THREAD_UP_TO = 50_000_000  # parameters; up to here a second thread costs more than it saves
EXACT = 200_000_000
"""Parameters, up to which a model is opened in float32: quick enough, and 16 bits would decide what it says where two
tokens are almost equally likely, as "The" and "L" are in SmolLM2-135M's answer to "What is the capital of France?"."""

SHARE_OF_FREE = 0.8


def open_for_use(path: str | Path, precision: str = AUTO, device: torch.device | str = "cpu") -> Opened:
    """Open a checkpoint, a folder or a GGUF file, on `device`, with its weights stored in `precision` (`quantize.py`).

    On a device that may compute wrongly, its result for a short text is compared with the CPU's. If they differ, the
    CPU is used.

    Raises `CheckpointError` as `open_checkpoint`, and `ValueError` for an unknown precision.
    """
    if precision not in (AUTO, *PRECISIONS):
        raise ValueError(f"precision is {precision!r}; one of {AUTO}, {', '.join(PRECISIONS)} was expected")
    opened = _open_on(torch.device(device), path, precision)
    if opened.model.device.type not in CHECKED:
        return opened
    on_cpu = _open_on(torch.device("cpu"), path, precision)
    ids = opened.tokenizer.encode(CHECK_TEXT)[: opened.config.max_position_embeddings]
    if agrees(opened.model, on_cpu.model, ids):
        return opened
    refused = device_name(opened.model.device)
    said = f"It runs on the CPU, because the {refused} gave other results on a short text."
    return replace(on_cpu, note=f"{on_cpu.note} {said}", refused_device=refused)


def _open_on(device: torch.device, path: str | Path, precision: str) -> Opened:
    missing = []  # precisions that the device has no product for

    def choose(config: ModelConfig, stored: torch.dtype) -> str:
        chosen = choose_precision(config, free_memory(device), device) if precision == AUTO else precision
        if precision == AUTO and chosen == "float16" and stored == torch.bfloat16:
            return "bfloat16"  # whose largest numbers float16 cannot hold; ask for float16 to try it
        if chosen in WHOLE_NUMBERS and not kernel_works(chosen, device):
            missing.append(chosen)
            return sixteen_bits(device)
        return chosen

    opened = open_checkpoint(path, device=device, precision=choose)
    if not missing:
        return opened
    said = f"PyTorch has no product with {missing[0]} weights for {device}, so 16 bits are used."
    return replace(opened, note=f"{opened.note} {said}")


def choose_precision(config: ModelConfig, free: int | None, device: torch.device | str = "cpu") -> str:
    """float32 for a small model; for others the quicker kind of 16 bits, or fewer bits if `free` bytes are too few."""
    if config.num_parameters <= EXACT:
        return "float32"
    device = torch.device(device)
    choices = [quickest_16_bits() if device.type == "cpu" else sixteen_bits(device), "int8", "int4"]
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
