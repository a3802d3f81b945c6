"""Machines a class may have, from a small board to a data centre's GPU, as their makers and testers describe them."""

from __future__ import annotations

from litellama.footprint.arithmetic import Device
from litellama.footprint.facts import Fact, fact

GIGA, TERA = 1e9, 1e12
_PREFIX = "4-hardware."

# name: memory in GB (a number where the buyer chooses, else a fact), then the facts of bandwidth, operations, watts.
_DEVICES: dict[str, tuple[float | str, str, str | None, str | None]] = {
    **{
        f"Raspberry Pi 5, {size} GB": (
            size, "raspberry-pi-5.memory-bandwidth", None, "raspberry-pi-5.power-under-cpu-load",
        )
        for size in (4, 8)
    },
    **{
        f"Laptop, Core i7-1355U, {size} GB": (
            size, f"laptop-cpu-intel-core-i7-1355u.memory-bandwidth-{kind}", None,
            "laptop-cpu-intel-core-i7-1355u.base-power",
        )
        for size, kind in ((8, "ddr5-5200-dual-channel"), (16, "ddr5-5200-dual-channel"), (32, "lpddr5-6400"))
    },
    "Apple M2, 8 GB": (8, "apple-m2.memory-bandwidth", "apple-m2.gpu-fp32", "apple-m2.tdp"),
    "Apple M2, 24 GB": ("apple-m2.memory", "apple-m2.memory-bandwidth", "apple-m2.gpu-fp32", "apple-m2.tdp"),
    "NVIDIA T4": ("nvidia-t4.memory", "nvidia-t4.memory-bandwidth", "nvidia-t4.fp16-tensor-dense", "nvidia-t4.tdp"),
    "NVIDIA L4": (
        "nvidia-l4.memory", "nvidia-l4.memory-bandwidth", "nvidia-l4.bf16-fp16-tensor-dense", "nvidia-l4.tdp",
    ),
    "NVIDIA RTX 3060, 12 GB": (
        "nvidia-geforce-rtx-3060-12gb.memory", "nvidia-geforce-rtx-3060-12gb.memory-bandwidth",
        "nvidia-geforce-rtx-3060-12gb.fp16-tensor-dense", "nvidia-geforce-rtx-3060-12gb.board-power",
    ),
    "NVIDIA RTX 4090": (
        "nvidia-geforce-rtx-4090.memory", "nvidia-geforce-rtx-4090.memory-bandwidth",
        "nvidia-geforce-rtx-4090.bf16-fp16-tensor-dense", "nvidia-geforce-rtx-4090.board-power",
    ),
    "AMD EPYC 9654, 384 GB": (384, "amd-epyc-9654.memory-bandwidth", None, "amd-epyc-9654.tdp"),
    **{
        f"NVIDIA {name}": (
            f"{id}.memory", f"{id}.memory-bandwidth", f"{id}.bf16-fp16-tensor-dense", f"{id}.tdp",
        )
        for name, id in (
            ("A100, 40 GB", "nvidia-a100-40gb-sxm"), ("A100, 80 GB", "nvidia-a100-80gb-sxm"),
            ("H100", "nvidia-h100-sxm"), ("H200", "nvidia-h200-sxm"),
        )
    },
}  # fmt: skip


def facts_of(name: str) -> dict[str, Fact]:
    """The facts behind a device: those there are of memory, bandwidth, flops and watts. Raises `ValueError`."""
    if name not in _DEVICES:
        raise ValueError(f"there is no device called {name!r}; choose one of {'; '.join(_DEVICES)}")
    parts = zip(("memory", "bandwidth", "flops", "watts"), _DEVICES[name], strict=True)
    return {part: fact(_PREFIX + id) for part, id in parts if isinstance(id, str)}


def device(name: str) -> Device:
    """The device of this name. Raises `ValueError` that lists the names there are."""
    facts = facts_of(name)
    chosen = _DEVICES[name][0]
    memory = chosen if isinstance(chosen, int | float) else facts["memory"].number
    return Device(
        name=name,
        memory=memory * GIGA,
        bandwidth=facts["bandwidth"].number * GIGA,
        flops=facts["flops"].number * TERA if "flops" in facts else None,
        watts=facts["watts"].number if "watts" in facts else None,
    )


def all_devices() -> list[Device]:
    """From the least memory to the most."""
    return sorted((device(name) for name in _DEVICES), key=lambda one: one.memory)
