"""A training's state on disk: weights, the optimizers' moments and where it stands, in one file, whole or absent."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open
from safetensors.torch import save_file

from litellama.model import LiteLlama

STATE = "state.safetensors"
WEIGHT = "weight"


def save_state(
    folder: Path, model: LiteLlama, optimizers: Sequence[torch.optim.Optimizer], progress: dict[str, Any]
) -> None:
    """Write the state beside the old one and put it in its place in one step, so that a killed save loses nothing."""
    folder.mkdir(parents=True, exist_ok=True)
    tensors = {}
    for name, parameter in model.named_parameters():
        tensors[f"{WEIGHT}/{name}"] = parameter.detach().contiguous()
        for optimizer in optimizers:
            for entry, value in optimizer.state.get(parameter, {}).items():
                tensors[f"{entry}/{name}"] = value.contiguous()
    new = folder / f".{STATE}.new"
    save_file(tensors, new, metadata={"progress": json.dumps(progress)})
    with open(new, "rb") as file:
        os.fsync(file.fileno())
    os.replace(new, folder / STATE)


def load_state(folder: Path, model: LiteLlama, optimizers: Sequence[torch.optim.Optimizer]) -> dict[str, Any]:
    """Bring model and optimizers back to where they were saved; returns the progress noted with them."""
    path = folder / STATE
    if not path.exists():
        raise ValueError(f"there is no training to resume in {folder}; start it without --resume")
    with safe_open(path, framework="pt") as file:
        progress: dict[str, Any] = json.loads(file.metadata()["progress"])
        names = list(file.keys())
        for name, parameter in model.named_parameters():
            weight = f"{WEIGHT}/{name}"
            if weight not in names or file.get_slice(weight).get_shape() != list(parameter.shape):
                raise ValueError(f"the training in {folder} is of a model of another shape; give its --preset")
            parameter.data.copy_(file.get_tensor(weight))
            entries = {key.removesuffix(f"/{name}"): key for key in names if key.endswith(f"/{name}") and key != weight}
            moments = {entry: file.get_tensor(key) for entry, key in entries.items()}
            for optimizer in optimizers:
                if any(parameter is one for group in optimizer.param_groups for one in group["params"]):
                    optimizer.state[parameter] = {
                        entry: value.to(parameter.device) if value.dim() else value for entry, value in moments.items()
                    }
    return progress
