"""Whether a model fits: the bytes of its weights in each precision, and the memory that is free."""

from __future__ import annotations

import os
from pathlib import Path

import torch

from litellama.config import ModelConfig

BITS = {"float32": 32.0, "float16": 16.0, "bfloat16": 16.0, "int8": 8.25, "int4": 4.5}
"""Bits for each weight. Whole-number weights carry a 16-bit scale for each block of 64 (int8) or 32 (int4)."""


def weight_bytes(config: ModelConfig, precision: str = "float16") -> int:
    """Bytes of all weights. In whole-number precisions only the layers' matrices are stored so, the rest in 16 bits.

    Raises `ValueError` for an unknown precision.
    """
    if precision not in BITS:
        raise ValueError(f"there is no precision called {precision!r}; choose one of {', '.join(BITS)}")
    parts = config.parameters_by_part
    kept = max(BITS[precision], 16.0)
    bits = {"embedding": kept, "norms": kept, "head": kept}
    return round(sum(count * bits.get(part, BITS[precision]) for part, count in parts.items()) / 8)


def free_memory(device: torch.device | str = "cpu") -> int | None:
    """Bytes that can be had on `device`, on the CPU without swapping; None where nobody can say."""
    device = torch.device(device)
    if device.type == "cuda":  # what PyTorch holds but does not use can be had as well
        unused = torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
        return torch.cuda.mem_get_info(device)[0] + unused
    meminfo = Path("/proc/meminfo")
    if meminfo.exists():
        for line in meminfo.read_text(encoding="ascii").splitlines():
            if line.startswith("MemAvailable:"):
                return int(line.split()[1]) * 1024
    try:
        import psutil
    except ModuleNotFoundError:  # only the app needs it; without it, the memory there is has to do for the free one
        names = getattr(os, "sysconf_names", {})
        if not {"SC_PAGE_SIZE", "SC_PHYS_PAGES"} <= set(names):
            return None
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return int(psutil.virtual_memory().available)


def no_room(config: ModelConfig, precision: str, free: int | None) -> str | None:
    """Why the weights in `precision` can't be had with `free` bytes, and which one could; None if they can."""
    needed = weight_bytes(config, precision)
    if free is None or needed <= free:
        return None
    smaller = {name: weight_bytes(config, name) for name in BITS}
    fitting = [f"{name} ({_gigabytes(size)})" for name, size in smaller.items() if size <= min(free, needed - 1)]
    return f"its weights need {_gigabytes(needed)} of memory as {precision} and {_gigabytes(free)} are free; " + (
        f"what would fit: {', '.join(fitting)}" if fitting else "not even int4 would fit; choose a smaller model"
    )


def _gigabytes(count: int) -> str:
    return f"{count / 1e9:.2g} GB" if count < 10e9 else f"{count / 1e9:.0f} GB"
