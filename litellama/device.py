"""Which device a model runs on: chosen by name, described in words, and checked where results cannot be relied on."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from litellama.model import KVCache, LiteLlama

AUTO = "auto"
KINDS = ("cpu", "cuda", "mps")
HELP = "cpu, cuda, cuda:1 (the second GPU), mps (Apple); auto takes the best that works here."
CHECKED = ("mps",)
"""Kinds of device whose results are compared with the CPU's when a model is opened: on `mps`, PyTorch has given wrong
ones without an error (https://github.com/TransformerLensOrg/TransformerLens/issues/1178)."""

NOISE = 0.1
"""How far logits may lie from the CPU's, as a share of their own size. In 16 bits they differ by some hundredths (0.02
in SmolLM2-135M); wrong ones differ by about 1."""

CHECK_TEXT = "The capital of France is Paris, and the capital of Italy is"
ALONE = 3  # tokens of the check that are read one by one, as when a model writes


def choose_device(name: str) -> torch.device:
    """The device called `auto`, `cpu`, `cuda`, `cuda:1` or `mps`. Raises `ValueError` for one that is not here."""
    if name == AUTO:
        return next((device for device in map(torch.device, ("cuda:0", "mps")) if _works(device)), torch.device("cpu"))
    kind, colon, number = name.partition(":")
    if kind not in KINDS or (colon and not (kind == "cuda" and number.isdecimal())):
        raise ValueError(f"--device is {name!r}; one of {AUTO}, cpu, cuda, cuda:1, mps was expected")
    if kind == "cuda":
        count = torch.cuda.device_count() if torch.cuda.is_available() else 0
        if not count:
            raise ValueError(f"--device is {name}, but PyTorch finds no CUDA GPU here; choose cpu or {AUTO}")
        if int(number or 0) >= count:
            raise ValueError(f"--device is {name}, but the GPUs here go from cuda:0 to cuda:{count - 1}")
        return torch.device("cuda", int(number or 0))
    if kind == "mps" and not torch.backends.mps.is_available():
        raise ValueError(f"--device is mps, but PyTorch finds no Apple GPU here; choose cpu or {AUTO}")
    return torch.device(kind)


def _works(device: torch.device) -> bool:
    """Whether the device is here and multiplies two small matrices rightly."""
    if not (torch.cuda.is_available() if device.type == "cuda" else torch.backends.mps.is_available()):
        return False
    try:
        return bool((torch.ones(8, 8, device=device) @ torch.ones(8, 8, device=device) == 8).all())
    except (RuntimeError, AssertionError):  # a driver or a GPU that is too old for this PyTorch
        return False


def device_name(device: torch.device | str) -> str:
    """What people call the device: `NVIDIA H200 (cuda:0)`."""
    device = torch.device(device)
    if device.type == "cuda":
        return f"{torch.cuda.get_device_name(device)} ({device})"
    return {"cpu": "CPU", "mps": "Apple GPU (mps)"}.get(device.type, str(device))


def sixteen_bits(device: torch.device | str) -> str:
    """`bfloat16`, or `float16` on a GPU that has no bfloat16."""
    device = torch.device(device)
    if device.type == "cuda":
        return "bfloat16" if torch.cuda.get_device_capability(device) >= (8, 0) else "float16"
    try:
        ones = torch.ones(8, 8, dtype=torch.bfloat16, device=device)
        return "bfloat16" if bool((ones @ ones == 8).all()) else "float16"
    except (RuntimeError, TypeError):
        return "float16"


def synchronize(device: torch.device | str) -> None:
    """Wait until the device has done what it was given, as a clock must; a CPU already has."""
    kind = torch.device(device).type
    if kind == "cuda":
        torch.cuda.synchronize(device)
    elif kind == "mps":
        torch.mps.synchronize()


# --- Comparing two devices -------------------------------------------------------------------------------------------


def agrees(model: LiteLlama, reference: LiteLlama, ids: Sequence[int]) -> bool:
    """Whether `model` gives the logits of `reference`, the same model on the CPU, up to the noise of 16 bits."""
    return logit_difference(model, reference, ids) <= NOISE


def logit_difference(model: LiteLlama, reference: LiteLlama, ids: Sequence[int]) -> float:
    """How far the logits of two models lie apart on `ids`, as a share of the second one's size (infinite if they are
    not numbers). The last tokens are read one by one, through the cache."""
    found, wanted = (_logits(one, ids) for one in (model, reference))
    wanted = wanted - wanted.mean(-1, keepdim=True)
    difference = float((found - found.mean(-1, keepdim=True) - wanted).norm() / wanted.norm().clamp(min=1e-12))
    return difference if difference == difference else float("inf")


@torch.inference_mode()
def _logits(model: LiteLlama, ids: Sequence[int]) -> Tensor:
    """Logits (T, V) on the CPU, in float64."""
    cache = KVCache(model.config, 1, len(ids), model.dtype, model.device)
    read = torch.tensor([list(ids)], device=model.device)
    first = max(1, len(ids) - ALONE)
    parts = [read[:, :first], *read[:, first:].split(1, dim=1)]
    logits = torch.cat([model(part, cache=cache).logits[0] for part in parts])
    return logits.to("cpu", torch.float64)
