"""The machine that this runs on: its name, its highest speed, and the most memory that this process used."""

from __future__ import annotations

import os
import platform
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import torch

from litellama.device import device_name, sixteen_bits
from litellama.footprint.devices import all_devices

ROWS_SHARED_UP_TO = (
    30_000_000  # parameters; below, whole rows are shared out among the cores, and not single operations
)
SIDE = 1024
PRODUCTS = 12


@dataclass(frozen=True)
class Peak:
    """Operations per second that a device could do at best, and how that is known."""

    flops: float
    how: str


def machine(device: torch.device | str) -> str:
    """What the figures were measured on, in words."""
    device = torch.device(device)
    if device.type == "cuda":
        return f"one {torch.cuda.get_device_name(device)}, torch {torch.__version__}"
    name = platform.processor() or platform.machine()
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        names = [
            line.partition(":")[2].strip() for line in cpuinfo.read_text().splitlines() if line.startswith("model name")
        ]
        name = names[0] if names else name
    here = "" if device.type == "cpu" else f"{device_name(device)}, "
    return f"{here}{os.cpu_count()} cores of {name}, {platform.system()}, torch {torch.__version__}"


def has_bfloat16(device: torch.device | str) -> bool:
    """Whether products in bfloat16 are done in hardware; emulated ones would be slower than float32."""
    if torch.device(device).type != "cpu":
        return sixteen_bits(device) == "bfloat16"
    return bool(torch.cpu._is_avx512_bf16_supported())


def peak(device: str, bfloat16: bool) -> Peak:
    """The speed that model FLOP utilisation is a share of: a GPU's published one for dense 16-bit products if the lab
    knows the GPU; else the best of a few large products of matrices here, on all cores, which takes a moment."""
    if device.startswith("cuda"):
        name = torch.cuda.get_device_name(device)
        for known in all_devices():
            if known.flops is not None and known.name.split(",")[0] in name:
                return Peak(known.flops, f"published by the maker of {known.name}")
    threads = torch.get_num_threads()
    torch.set_num_threads(len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1)
    a, b = torch.ones(2, SIDE, SIDE, device=device, dtype=torch.bfloat16 if bfloat16 else torch.float32)
    seconds = []
    for _ in range(PRODUCTS):
        began = time.perf_counter()
        (a @ b)[0, 0].item()  # which waits for it
        seconds.append(time.perf_counter() - began)
    torch.set_num_threads(threads)
    return Peak(2 * SIDE**3 / min(seconds), f"measured: the best of {PRODUCTS} products of {SIDE} x {SIDE} matrices")


def peak_memory(device: str) -> int | None:
    """Most bytes that this process used so far, of the GPU's memory or of the machine's; None if unknown."""
    if device.startswith("cuda"):
        return torch.cuda.max_memory_allocated(device)
    if sys.platform == "win32":
        return None
    import resource

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
