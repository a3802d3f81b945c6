"""`python -m tests.support.pretend [PATH ...]`: each path of `device_paths` on the CPU and on one that is not the CPU.

Prints one JSON document, path -> what went wrong, empty if nothing did. In a process of its own, for PyTorch has to
know the device before its first gradient.
"""

from __future__ import annotations

import json
import os
import sys
import traceback
import warnings
from dataclasses import replace
from unittest.mock import patch

import numpy as np
import torch

from litellama.checkpoint import checkpoints_folder, precision
from litellama.checkpoint.load import open_checkpoint
from litellama.checkpoint.precision import open_for_use
from tests.benchmarks import device as device_benchmark
from tests.support import devices
from tests.support.device_paths import PATHS, numbers
from tests.support.devices import accelerator, register

TOLERANCE = 1e-4
LOOSE, LOOSELY = ("opening", "opening_gguf", "bench", "low_rank_training", "fine_tuning"), 1e-2
"""Where 8 and 4 bits, or Adam's first steps, make more of the last digits: sums come in another order there."""


def difference(name: str) -> str:
    """What is wrong with a path on the pretended device; empty if it gives the CPU's numbers."""
    folder = checkpoints_folder() / "tinytown"
    try:
        wanted = numbers(PATHS[name](open_checkpoint(folder)))
        with accelerator() as device:
            found = numbers(PATHS[name](open_checkpoint(folder, device=device)))
        near = LOOSELY if name in LOOSE else TOLERANCE
        np.testing.assert_allclose(found, wanted, rtol=near, atol=near)
    except Exception:  # told, and the next path is tried
        return traceback.format_exc()
    return ""


def refused() -> str:
    """What is wrong with how a model is opened on a device that has to be checked; empty if nothing is."""
    folder = checkpoints_folder() / "tinytown"
    try:
        with accelerator() as device, patch.object(precision, "CHECKED", (device.type,)):
            assert open_for_use(folder, device=device).model.device == device, "it computes as the CPU does"
            with patch.object(devices, "WRONG", {"aten::silu"}):
                opened = open_for_use(folder, device=device)
            assert opened.model.device.type == "cpu"
            assert opened.refused_device == "pretend:0"
            assert "It runs on the CPU, because the pretend:0 gave other results" in opened.note
    except Exception:
        return traceback.format_exc()
    return ""


def benchmark() -> str:
    """What is wrong with the script for GPUs (`benchmarks.device`) on a device that is not the CPU."""
    sizes = device_benchmark.Sizes(quick=True)
    try:
        with accelerator() as device:
            for part in (device_benchmark.agreement, device_benchmark.quantized):
                told = part(device, sizes)
                assert "disagree" not in told, told
            model = device_benchmark.random_model(sizes.shape, device, torch.bfloat16)
            device_benchmark.lab_speed(model, list(range(16)), sizes)
            device_benchmark.together_speed(model, sizes)
            shape = replace(sizes.shape, max_position_embeddings=sizes.length)
            rows = torch.randint(0, shape.vocab_size, (sizes.steps * sizes.rows, sizes.length + 1), device="cpu")
            device_benchmark.lab_steps(shape, device, rows, sizes, False, False)
    except Exception:
        return traceback.format_exc()
    return ""


SPECIAL = {"refused": refused, "benchmark": benchmark}


def main(names: list[str]) -> None:
    register()
    torch.set_num_threads(1)
    warnings.simplefilter("error")
    told = {name: SPECIAL[name]() if name in SPECIAL else difference(name) for name in names or (*SPECIAL, *PATHS)}
    print(json.dumps(told), flush=True)
    os._exit(0)  # PyTorch's own thread for this device does not know how to end


if __name__ == "__main__":
    main(sys.argv[1:])
