"""A training's state on disk: weights, the optimizer's moments and where it stands, in one file, whole or absent."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open
from safetensors.torch import save_file

from litellama.model import LiteLlama

STATE = "state.safetensors"
MOMENTS = ("exp_avg", "exp_avg_sq")


def save_state(folder: Path, model: LiteLlama, optimizer: torch.optim.AdamW, progress: dict[str, Any]) -> None:
    """Write the state beside the old one and put it in its place in one step, so that a killed save loses nothing."""
    folder.mkdir(parents=True, exist_ok=True)
    tensors = {}
    for name, parameter in model.named_parameters():
        tensors[f"weight/{name}"] = parameter.detach().contiguous()
        for moment in MOMENTS:
            tensors[f"{moment}/{name}"] = optimizer.state[parameter][moment].contiguous()
    new = folder / f".{STATE}.new"
    save_file(tensors, new, metadata={"progress": json.dumps(progress)})
    with open(new, "rb") as file:
        os.fsync(file.fileno())
    os.replace(new, folder / STATE)


def load_state(folder: Path, model: LiteLlama, optimizer: torch.optim.AdamW) -> dict[str, Any]:
    """Bring model and optimizer back to where they were saved; returns the progress noted with them."""
    path = folder / STATE
    if not path.exists():
        raise ValueError(f"there is no training to resume in {folder}; start it without --resume")
    with safe_open(path, framework="pt") as file:
        progress: dict[str, Any] = json.loads(file.metadata()["progress"])
        names = set(file.keys())
        for name, parameter in model.named_parameters():
            if f"weight/{name}" not in names or file.get_slice(f"weight/{name}").get_shape() != list(parameter.shape):
                raise ValueError(f"the training in {folder} is of a model of another shape; give its --preset")
            parameter.data.copy_(file.get_tensor(f"weight/{name}"))
            moments = {moment: file.get_tensor(f"{moment}/{name}").to(parameter.device) for moment in MOMENTS}
            optimizer.state[parameter] = {"step": torch.tensor(float(progress["step"])), **moments}
    return progress
