"""Weights from safetensors files to a model: by memory map where their type is kept, piece by piece where it changes.

What a file says of itself is compared with the config before anything large is allocated. A mapped weight is the file's
own pages: they come into memory when they are looked at, and opening costs little more than looking once.
"""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from litellama.config import ModelConfig
from litellama.folder import SHARD_INDEX, WEIGHTS, CheckpointError, required, shard_names
from litellama.memory import free_memory, no_room
from litellama.model import LiteLlama, empty_model, rotary_frequencies

PICKLE, PICKLE_INDEX = "pytorch_model.bin", "pytorch_model.bin.index.json"
COMPUTED = "rotary_emb.inv_freq"  # stored by older engines; the config determines it
AT_ONCE = 2**21  # numbers that are converted together

DTYPES = {"F64": torch.float64, "F32": torch.float32, "F16": torch.float16, "BF16": torch.bfloat16}


@dataclass(frozen=True)
class _Stored:
    """One weight as its file's header describes it; its bytes begin at `begin`."""

    path: Path
    kind: str
    shape: tuple[int, ...]
    begin: int


def read_model(
    folder: Path,
    config: ModelConfig,
    dtype: torch.dtype | None,
    device: torch.device | str = "cpu",
    precision: str | None = None,
) -> LiteLlama:
    """The model whose weights lie in `folder`, as `dtype` (None: as most of them are stored) on `device`.

    `precision` is what they will rest in later, if that is less: there need only be room for that, since mapped pages
    give way. Raises `CheckpointError` for files that are not sound, weights that the config doesn't ask for or that
    aren't finite, and for too little memory.
    """
    stored: dict[str, _Stored] = {}
    for path in weight_paths(folder):
        for name, one in _read_header(path).items():
            if name in stored:
                raise CheckpointError(f"{folder.name} holds {name} twice, in {stored[name].path.name} and {path.name}")
            stored[name] = one
    if len(stored) < config.num_hidden_layers:  # before building the structure of a forged million layers
        raise CheckpointError(
            f"{folder.name}: the config has {config.num_hidden_layers} layers but only {len(stored)} weights are stored"
        )
    model = empty_model(config)
    expected = {name: tuple(weight.shape) for name, weight in model.state_dict().items()}
    if config.tie_word_embeddings:
        del expected["lm_head.weight"]
    _compare(folder.name, expected, stored)
    wanted = {name: stored[name] for name in expected}
    dtype = dtype or _prevalent(wanted)
    if problem := no_room(config, precision or str(dtype).removeprefix("torch."), free_memory(device)):
        raise CheckpointError(f"{folder.name} was not opened: {problem}")
    model.load_state_dict(_read_weights(wanted, dtype, torch.device(device)), strict=False, assign=True)
    if config.tie_word_embeddings:
        model.lm_head.weight = model.model.embed_tokens.weight
    model.model.rotary = rotary_frequencies(config).to(device)  # never stored: the config determines it
    return model.eval()


def weight_paths(folder: Path) -> list[Path]:
    """The safetensors files that hold a folder's weights. Raises `CheckpointError` if there are none or one is missing.

    Pickles are no weights: reading one can run code, so `python -m litellama convert` does that once and apart.
    """
    if (folder / WEIGHTS).is_file():
        return [folder / WEIGHTS]
    if (folder / SHARD_INDEX).is_file():
        return [required(folder / name) for name in shard_names(folder / SHARD_INDEX)]
    if pickle := next((name for name in (PICKLE, PICKLE_INDEX) if (folder / name).is_file()), None):
        raise CheckpointError(
            f"{folder.name} has its weights only as a pickle ({pickle}), a format that can run code when it is read; "
            f"`python -m litellama convert {folder}` turns it into safetensors, once"
        )
    return [required(folder / WEIGHTS)]


# --- Headers ---------------------------------------------------------------------------------------------------------


def _open(path: Path) -> Any:
    """Raises `CheckpointError` unless the file's header fits the file: no gaps, overlaps, or bytes left over."""
    try:
        return safe_open(path, framework="pt")
    except (SafetensorError, OSError) as wrong:
        raise CheckpointError(f"{path.name} in {path.parent.name} is not a sound safetensors file ({wrong})") from None


def _read_header(path: Path) -> dict[str, _Stored]:
    with _open(path):  # which checks all that is believed below
        pass
    with open(path, "rb") as file:
        length = int.from_bytes(file.read(8), "little")
        header = json.loads(file.read(length))
    return {
        name: _Stored(path, entry["dtype"], tuple(entry["shape"]), 8 + length + entry["data_offsets"][0])
        for name, entry in header.items()
        if name != "__metadata__" and not name.endswith(COMPUTED)
    }


def _compare(folder: str, expected: dict[str, tuple[int, ...]], stored: dict[str, _Stored]) -> None:
    if missing := [name for name in expected if name not in stored]:
        raise CheckpointError(f"{folder} lacks {len(missing)} weights that its config asks for, first {missing[0]}")
    if extra := [name for name in stored if name not in expected and name != "lm_head.weight"]:
        raise CheckpointError(f"{folder} holds {len(extra)} weights that its config has no place for, first {extra[0]}")
    for name, shape in expected.items():
        if stored[name].shape != shape:
            raise CheckpointError(f"{folder}: {name} has shape {stored[name].shape}, but the config asks for {shape}")
        if stored[name].kind not in DTYPES:
            raise CheckpointError(
                f"{folder}: {name} is stored as {stored[name].kind}; one of {', '.join(DTYPES)} was expected, "
                "that is, weights that are not quantised"
            )


def _prevalent(stored: dict[str, _Stored]) -> torch.dtype:
    """The type that most numbers are stored as; nobody computes in float64."""
    counts: Counter[str] = Counter()
    for one in stored.values():
        counts[one.kind] += torch.Size(one.shape).numel()
    dtype = DTYPES[counts.most_common(1)[0][0]]
    return torch.float32 if dtype == torch.float64 else dtype


# --- Weights ---------------------------------------------------------------------------------------------------------


def _read_weights(stored: dict[str, _Stored], dtype: torch.dtype, device: torch.device) -> dict[str, Tensor]:
    weights: dict[str, Tensor] = {}
    for path in {one.path for one in stored.values()}:
        with _open(path) as mapped:
            for name, one in stored.items():
                if one.path != path:
                    continue
                if device.type == "cpu" and DTYPES[one.kind] != dtype:
                    weights[name] = _converted(one, dtype)
                else:
                    weights[name] = mapped.get_tensor(name).to(device, dtype)  # on the CPU the file's own pages
                if not _is_finite(weights[name]):
                    raise CheckpointError(f"{name} in {path.name} holds numbers that are not finite as {dtype}")
    return weights


def _converted(stored: _Stored, dtype: torch.dtype) -> Tensor:
    """A weight as another type. Read rather than mapped: mapped pages would count beside what they are turned into."""
    weight = torch.empty(stored.shape, dtype=dtype)
    kind = DTYPES[stored.kind]
    buffer = bytearray(min(AT_ONCE, weight.numel()) * kind.itemsize)
    with open(stored.path, "rb", buffering=0) as file:
        file.seek(stored.begin)
        for part in weight.flatten().split(AT_ONCE):
            view = memoryview(buffer)[: part.numel() * kind.itemsize]
            _fill(file, view)
            part.copy_(torch.frombuffer(view, dtype=kind))
    return weight


def _fill(file: Any, view: memoryview) -> None:
    while view:
        count = file.readinto(view)
        if not count:
            raise CheckpointError(f"{Path(file.name).name} was cut short while it was read; open the model again")
        view = view[count:]


def _is_finite(weight: Tensor) -> bool:
    # One pass without a copy, 20 times as fast as `isfinite`: NaN is both extremes of what holds one.
    return bool(torch.stack(weight.aminmax()).isfinite().all())
