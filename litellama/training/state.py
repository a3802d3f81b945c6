"""A training's state on disk: what it takes to go on as if nothing had happened, whatever happens.

    NAME-training/
      state-00001000/
        part-0.safetensors   weights and the optimizers' moments that process 0 held (its rows of each, if it shares)
        state.json           how far the training is; size and SHA-256 of each part; written last
      state-00001500/

A state is built in a folder of its own and gets its name when the disk has all of it, so a save that is killed, or
finds the disk full, leaves the states before it as they were. The two newest are kept: if one is damaged later, the
other is taken. No pickles (torch's distributed checkpoints have one), and any number of processes can read what any
other number wrote. The data are a function of (seed, step) and the model has no dropout, so no random state is needed.
"""

from __future__ import annotations

import json
import logging
import os
import re
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from litellama.checkpoint import fingerprint, sync_folder
from litellama.training.parallel import ALONE, World, is_shared_out, local_rows

WEIGHT = "weight"
PROGRESS = "state.json"
KEPT = 2

log = logging.getLogger(__name__)


class StateError(ValueError):
    """No state to go on from, or one that cannot be used, in one sentence."""


def states(folder: Path) -> list[Path]:
    """The whole states in `folder`, the newest first."""
    found = (path for path in folder.glob("state-*") if re.fullmatch(r"state-\d+", path.name))
    return sorted((path for path in found if (path / PROGRESS).is_file()), reverse=True)


def save_state(
    folder: Path,
    model: nn.Module,
    optimizers: Sequence[torch.optim.Optimizer],
    progress: dict[str, Any],
    world: World = ALONE,
) -> None:
    """Save what is trained of `model`, and `progress`, whose "step" names the state. All processes call it together.

    Raises `OSError` if the disk will not have it; the earlier states are then as they were.
    """
    target = folder / f"state-{progress['step']:08}"
    if (target / PROGRESS).is_file():
        return  # saved at this step already
    new = folder / f".{target.name}.new"
    part = f"part-{world.rank}.safetensors"
    problem: str | None = None
    if world.is_first:
        shutil.rmtree(new, ignore_errors=True)
        new.mkdir(parents=True)
    world.wait()
    try:
        rows, tensors = _mine(model, optimizers, world)
        written = {}
        if tensors:
            save_file(tensors, new / part, metadata={"rows": json.dumps(rows)})
            _sync_file(new / part)
            written = {part: fingerprint(new / part)}
    except (OSError, SafetensorError) as error:
        problem, written = str(error), {}
    told = world.gather({"problem": problem, "written": written})
    problem = next((one["problem"] for one in told if one["problem"]), None)
    if problem is None and world.is_first:
        parts = {name: print for one in told for name, print in one["written"].items()}
        try:
            _finish(new, target, {"version": 1, "progress": progress, "parts": parts})
        except OSError as error:
            problem = str(error)
    problem = next((one for one in world.gather(problem) if one), None)
    if problem is not None:
        shutil.rmtree(new, ignore_errors=True)  # guard: no-half-state
        before = states(folder)
        kept = f"the state of step {int(before[0].name[6:])} is intact" if before else "there is no earlier state"
        raise OSError(f"the state could not be saved in {folder} ({problem}); {kept}. Make room and --resume")
    if world.is_first:
        for old in states(folder)[KEPT:]:
            shutil.rmtree(old, ignore_errors=True)


def load_state(folder: Path, model: nn.Module, optimizers: Sequence[torch.optim.Optimizer]) -> dict[str, Any]:
    """Bring model and optimizers back to the newest state that is whole; returns the progress saved with it.

    Raises `StateError` if there is none, or if it is of another model.
    """
    found = states(folder)
    if not found:
        raise StateError(f"there is no training to resume in {folder}; start it without --resume")
    for state in found:
        try:
            manifest = json.loads((state / PROGRESS).read_text(encoding="utf-8"))
            parts = [state / name for name in manifest["parts"]]
            damaged = [part.name for part in parts if fingerprint(part) != manifest["parts"][part.name]]
        except (OSError, ValueError, KeyError, TypeError) as error:
            damaged = [str(error)]
        if damaged:  # guard: damaged-state
            log.warning("%s is damaged (%s); the state before it is taken", state, ", ".join(damaged))
            continue
        _load(parts, model, optimizers, folder)
        progress: dict[str, Any] = manifest["progress"]
        return progress
    raise StateError(f"every state in {folder} is damaged; start again without --resume, into another folder")


def _finish(new: Path, target: Path, manifest: dict[str, Any]) -> None:
    (new / PROGRESS).write_text(json.dumps(manifest, indent=1) + "\n", encoding="utf-8", newline="\n")
    _sync_file(new / PROGRESS)
    sync_folder(new)
    shutil.rmtree(target, ignore_errors=True)  # only ever one that lacks its manifest
    new.rename(target)
    sync_folder(target.parent)


def _sync_file(path: Path) -> None:
    with open(path, "rb+") as file:
        os.fsync(file.fileno())


def _entries(
    model: nn.Module, optimizers: Sequence[torch.optim.Optimizer]
) -> Iterator[tuple[str, nn.Parameter, dict[str, Any]]]:
    """Each trained parameter with the dictionary of its optimizer's moments."""
    for name, parameter in model.named_parameters():
        for optimizer in optimizers if parameter.requires_grad else ():
            if any(parameter is one for group in optimizer.param_groups for one in group["params"]):
                yield name, parameter, optimizer.state[parameter]


def _mine(
    model: nn.Module, optimizers: Sequence[torch.optim.Optimizer], world: World
) -> tuple[dict[str, tuple[int, list[int]]], dict[str, Tensor]]:
    """This process's rows of all weights and moments; and of each tensor, its first row and the shape of the whole.

    What every process holds alike, the first one saves.
    """
    rows: dict[str, tuple[int, list[int]]] = {}
    tensors: dict[str, Tensor] = {}
    for name, parameter, moments in _entries(model, optimizers):
        for entry, value in ((WEIGHT, parameter), *moments.items()):
            key = f"{entry}/{name}"
            first, local = local_rows(value.detach())
            if local.numel() and (is_shared_out(value) or world.is_first):
                rows[key] = first, list(value.shape)
                tensors[key] = local.contiguous().to("cpu")  # guard: exact-state
    return rows, tensors


def _load(parts: list[Path], model: nn.Module, optimizers: Sequence[torch.optim.Optimizer], folder: Path) -> None:
    stored = [safe_open(part, framework="pt") for part in parts]
    places: dict[str, list[tuple[int, Any]]] = {}  # of each tensor, the parts that hold rows of it
    shapes: dict[str, list[int]] = {}
    for file in stored:
        for key, (first, shape) in json.loads(file.metadata()["rows"]).items():
            places.setdefault(key, []).append((first, file))  # guard: every-part
            shapes[key] = shape
    names: dict[str, list[str]] = {}  # of each parameter, the entries there are
    for key in shapes:
        entry, _, name = key.partition("/")
        names.setdefault(name, []).append(entry)
    for name, parameter, moments in _entries(model, optimizers):
        if shapes.get(f"{WEIGHT}/{name}") != list(parameter.shape):
            raise StateError(f"the training in {folder} is of a model of another shape; give its --preset")
        for entry in names[name]:
            key = f"{entry}/{name}"
            if entry == WEIGHT:
                with torch.no_grad():
                    _read_rows(key, places[key], local_rows(parameter.detach()))
            elif not shapes[key]:  # a number, such as AdamW's count of steps, the same for all
                moments[entry] = places[key][0][1].get_tensor(key).to(parameter.device)
            else:
                moments[entry] = torch.zeros_like(parameter)
                _read_rows(key, places[key], local_rows(moments[entry]))


def _read_rows(key: str, places: list[tuple[int, Any]], wanted: tuple[int, Tensor]) -> None:
    """Fill the tensor `wanted`, which begins with row `wanted[0]` of the whole, from the parts that hold its rows."""
    begin, local = wanted
    end = begin + len(local)
    for first, file in places:
        rows = file.get_slice(key)
        low, high = max(begin, first), min(end, first + rows.get_shape()[0])
        if low < high:
            local[low - begin : high - begin] = rows[low - first : high - first].to(local.device)
