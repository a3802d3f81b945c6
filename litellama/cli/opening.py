"""A command's model, opened by the name that its user gave."""

from __future__ import annotations

from pathlib import Path

import torch

from litellama.checkpoint import Opened, find_checkpoint, open_checkpoint
from litellama.checkpoint.precision import ONE_THREAD_UP_TO, open_for_use
from litellama.cli.terminal import note
from litellama.device import choose_device, device_name
from litellama.footprint.machine import ROWS_SHARED_UP_TO


def open_to_generate(checkpoint: str, precision: str, device: str) -> Opened:
    """Open a checkpoint in the precision that suits this machine, and say what was opened."""
    opened = open_for_use(find_checkpoint(checkpoint), precision, choose_device(device))
    if opened.config.num_parameters <= ONE_THREAD_UP_TO:
        torch.set_num_threads(1)
    note(f"{opened.name}: {opened.config.num_parameters:,} parameters. {opened.note} "
         f"Device: {device_name(opened.model.device)}.")  # fmt: skip
    return opened


def open_to_measure(checkpoint: str | Path, device: str) -> Opened:
    """Open a checkpoint in float32, in which a measurement is the same everywhere."""
    opened = open_checkpoint(find_checkpoint(checkpoint), device=choose_device(device))
    if opened.config.num_parameters <= ROWS_SHARED_UP_TO:
        torch.set_num_threads(1)  # a second thread costs a small model more than it saves
    return opened
