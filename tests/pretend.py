"""`python -m tests.pretend [PATH ...]`: each path of `device_paths` on the CPU and on a device that is not the CPU.

Prints one JSON document, path -> what went wrong, empty if nothing did. In a process of its own, for PyTorch has to
know the device before its first gradient.
"""

from __future__ import annotations

import json
import os
import sys
import traceback
import warnings

import numpy as np
import torch

from litellama.checkpoint import checkpoints_folder
from litellama.opening import open_checkpoint
from tests.device_paths import PATHS, numbers
from tests.devices import accelerator, register

TOLERANCE = 1e-4
LOOSE, LOOSELY = ("opening", "bench", "low_rank_training", "fine_tuning"), 1e-2
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


def main(names: list[str]) -> None:
    register()
    torch.set_num_threads(1)
    warnings.simplefilter("error")
    print(json.dumps({name: difference(name) for name in names or PATHS}), flush=True)
    os._exit(0)  # PyTorch's own thread for this device does not know how to end


if __name__ == "__main__":
    main(sys.argv[1:])
