"""Weights from files to a model: memory-mapped if their type stays the same, else converted a few rows at a time.

What a file says of itself is compared with the config before anything large is allocated. The pages of a mapped weight
come into memory when they are first used, so opening takes little more time than reading the file once.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from litellama.checkpoint.layout import SHARD_INDEX, WEIGHTS, CheckpointError, required, shard_names
from litellama.checkpoint.memory import free_memory, no_room
from litellama.config import ModelConfig
from litellama.model import LiteLlama, empty_model, rotary_frequencies
from litellama.quantize import MatrixRows, quantize_weights

PICKLE, PICKLE_INDEX = "pytorch_model.bin", "pytorch_model.bin.index.json"
METAS = "consolidated.00.pth"  # the first of the files in which Meta ships LLaMA 2
COMPUTED = "rotary_emb.inv_freq"  # stored by older engines; the config determines it
READERS = 2  # weights that are read at once
AT_ONCE = 2**19  # numbers that are converted together

DTYPES = {"F64": torch.float64, "F32": torch.float32, "F16": torch.float16, "BF16": torch.bfloat16}


class WeightSource(Protocol):
    """The stored weights of a model, by Hugging Face's names. `name` is the model's, for people; `dtype` is the type
    that most of its numbers are stored as."""

    name: str

    @property
    def dtype(self) -> torch.dtype: ...

    def file_of(self, name: str) -> str:
        """The name of the file that holds a weight."""

    def shapes_of(self, names: Mapping[str, tuple[int, ...]]) -> dict[str, tuple[int, ...]]:
        """The shapes of all weights there are; `names` are those that are asked for."""

    def rows(self, name: str, start: int, end: int) -> Tensor:
        """Rows `start` to `end` of a weight, or of its numbers if it has one dimension, as floats on the CPU."""

    def mapped(self, name: str, dtype: torch.dtype) -> Tensor | None:
        """The whole weight, memory-mapped, if it is stored as `dtype`."""


def read_model(
    source: WeightSource,
    config: ModelConfig,
    dtype: torch.dtype | None,
    device: torch.device | str = "cpu",
    precision: str | None = None,
) -> LiteLlama:
    """The model whose weights `source` has, as `dtype` (None: as most of them are stored) on `device`.

    With a `precision` (`quantize.py`) the matrices go straight into it, a few rows at a time, so that there need only
    be room for what they become. Raises `CheckpointError` for files that are not sound, weights that the config doesn't
    ask for or that aren't finite, and for too little memory.
    """
    device = torch.device(device)
    count = len(source.shapes_of({}))
    if count < config.num_hidden_layers:  # before building the structure of a forged million layers
        raise CheckpointError(
            f"{source.name}: the config has {config.num_hidden_layers} layers but only {count} weights are stored"
        )
    model = empty_model(config)
    expected = {name: tuple(weight.shape) for name, weight in model.state_dict().items()}
    if config.tie_word_embeddings:
        del expected["lm_head.weight"]
    _compare(source.name, expected, source.shapes_of(expected))  # guard: matching-shapes
    dtype = dtype or source.dtype
    if problem := no_room(config, precision or str(dtype).removeprefix("torch."), free_memory(device)):
        raise CheckpointError(f"{source.name} was not opened: {problem}")
    _read_weights(source, model, expected, dtype, device, precision)
    model.model.rotary = rotary_frequencies(config).to(device)  # never stored: the config determines it
    return model.eval()


def _read_weights(
    source: WeightSource,
    model: LiteLlama,
    expected: dict[str, tuple[int, ...]],
    dtype: torch.dtype,
    device: torch.device,
    precision: str | None,
) -> None:
    """Fill the empty `model`: with a `precision` norms as float32 and matrices in it, otherwise all as `dtype`."""
    names = [name for name, shape in expected.items() if precision is None or len(shape) == 1]
    kind = torch.float32 if precision else dtype
    with ThreadPoolExecutor(READERS) as pool:  # what turns quantized numbers into floats works on one core
        read = pool.map(lambda name: _whole(source, name, expected[name], kind, device), names)
        model.load_state_dict(dict(zip(names, read, strict=True)), strict=False, assign=True)
    if precision is not None:
        quantize_weights(model, precision, lambda name: _matrix(source, name, expected[name], device))
    elif model.config.tie_word_embeddings:
        model.lm_head.weight = model.model.embed_tokens.weight


def _compare(where: str, expected: dict[str, tuple[int, ...]], stored: dict[str, tuple[int, ...]]) -> None:
    if missing := [name for name in expected if name not in stored]:
        raise CheckpointError(f"{where} lacks {len(missing)} weights that its config asks for, first {missing[0]}")
    if extra := [name for name in stored if name not in expected and name != "lm_head.weight"]:
        raise CheckpointError(f"{where} holds {len(extra)} weights that its config has no place for, first {extra[0]}")
    for name, shape in expected.items():
        if stored[name] != shape:
            raise CheckpointError(f"{where}: {name} has shape {stored[name]}, but the config asks for {shape}")


def _whole(source: WeightSource, name: str, shape: tuple[int, ...], dtype: torch.dtype, device: torch.device) -> Tensor:
    """One weight as `dtype` on `device`."""
    weight = source.mapped(name, dtype)
    if weight is not None:
        weight = weight.to(device)  # on the CPU still the file's own pages
        _check_finite(source, name, weight)
        return weight
    weight = torch.empty(shape, dtype=dtype, device=device)
    rows = max(1, AT_ONCE // (weight.numel() // shape[0]))
    for start in range(0, shape[0], rows):
        part = weight[start : start + rows]
        part.copy_(source.rows(name, start, start + len(part)))
        _check_finite(source, name, part)
    return weight


def _matrix(source: WeightSource, name: str, shape: tuple[int, ...], device: torch.device) -> MatrixRows:
    """One matrix for `quantize_weights`."""

    def whole(dtype: torch.dtype) -> Tensor | None:
        weight = source.mapped(name, dtype)
        if weight is not None:
            _check_finite(source, name, weight)
            weight = weight.to(device)
        return weight

    return MatrixRows(
        (shape[0], shape[1]), lambda start, end: _finite_rows(source, name, start, end).to(device),
        whole, device,
    )  # fmt: skip


def _finite_rows(source: WeightSource, name: str, start: int, end: int) -> Tensor:
    rows = source.rows(name, start, end).float()
    _check_finite(source, name, rows)
    return rows


def _check_finite(source: WeightSource, name: str, weight: Tensor) -> None:
    if not _is_finite(weight):  # guard: finite-weights
        raise CheckpointError(f"{name} in {source.file_of(name)} holds numbers that are not finite as {weight.dtype}")


def _is_finite(weight: Tensor) -> bool:
    # One pass without a copy, 20 times as fast as `isfinite`: NaN is both extremes of what holds one.
    return bool(torch.stack(weight.aminmax()).isfinite().all())


# --- Safetensors -----------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Stored:
    """One weight as its file's header describes it; its bytes begin at `begin`."""

    path: Path
    kind: str
    shape: tuple[int, ...]
    begin: int


class SafetensorsWeights:
    """The weights of a folder's safetensors files. Raises `CheckpointError` for files that are not sound."""

    def __init__(self, folder: Path) -> None:
        self.name = folder.name
        self._stored: dict[str, _Stored] = {}
        self._open: dict[Path, Any] = {}
        for path in weight_paths(folder):
            self._open[path] = _open(path)  # which checks all that is believed below; guard: checked-header
            for name, one in _read_header(path).items():
                if name in self._stored:
                    first = self._stored[name].path.name
                    raise CheckpointError(f"{folder.name} holds {name} twice, in {first} and {path.name}")
                self._stored[name] = one

    def file_of(self, name: str) -> str:
        return self._stored[name].path.name

    def shapes_of(self, names: Mapping[str, tuple[int, ...]]) -> dict[str, tuple[int, ...]]:
        for name in names.keys() & self._stored.keys():
            if (kind := self._stored[name].kind) not in DTYPES:
                raise CheckpointError(
                    f"{self.name}: {name} is stored as {kind}; one of {', '.join(DTYPES)} was expected, "
                    "that is, weights that are not quantised"
                )
        return {name: one.shape for name, one in self._stored.items()}

    @property
    def dtype(self) -> torch.dtype:
        """The type that most numbers are stored as; float32 for float64, in which nobody computes."""
        counts: Counter[str] = Counter()
        for one in self._stored.values():
            counts[one.kind] += torch.Size(one.shape).numel()
        dtype = DTYPES[counts.most_common(1)[0][0]]
        return torch.float32 if dtype == torch.float64 else dtype

    def rows(self, name: str, start: int, end: int) -> Tensor:
        """Read rather than mapped: mapped pages would take memory in addition to the converted weights."""
        stored = self._stored[name]
        kind, shape = DTYPES[stored.kind], (end - start, *stored.shape[1:])
        row = torch.Size(stored.shape[1:]).numel() * kind.itemsize
        content = bytearray((end - start) * row)
        with open(stored.path, "rb", buffering=0) as file:
            file.seek(stored.begin + start * row)
            _fill(file, memoryview(content))
        return torch.frombuffer(content, dtype=kind).view(shape)

    def mapped(self, name: str, dtype: torch.dtype) -> Tensor | None:
        stored = self._stored[name]
        if DTYPES[stored.kind] != dtype:
            return None
        weight: Tensor = self._open[stored.path].get_tensor(name)
        return weight


def weight_paths(folder: Path) -> list[Path]:
    """The safetensors files that hold a folder's weights. Raises `CheckpointError` if there are none or one is missing.

    Pickles are refused, since reading one can run code; `python -m litellama convert` converts them in a safe process.
    """
    if (folder / WEIGHTS).is_file():
        return [folder / WEIGHTS]
    if (folder / SHARD_INDEX).is_file():
        return [required(folder / name) for name in shard_names(folder / SHARD_INDEX)]
    # guard: no-pickles
    if pickle := next((name for name in (PICKLE, PICKLE_INDEX, METAS) if (folder / name).is_file()), None):
        raise CheckpointError(
            f"{folder.name} has its weights only as a pickle ({pickle}), a format that can run code when it is read; "
            f"`python -m litellama convert {folder}` turns it into safetensors, once"
        )
    return [required(folder / WEIGHTS)]


def _open(path: Path) -> Any:
    """Raises `CheckpointError` unless the file's header fits the file: no gaps, overlaps, or bytes left over."""
    try:
        return safe_open(path, framework="pt")
    except (SafetensorError, OSError) as wrong:
        raise CheckpointError(f"{path.name} in {path.parent.name} is not a sound safetensors file ({wrong})") from None


def _read_header(path: Path) -> dict[str, _Stored]:
    with open(path, "rb") as file:
        length = int.from_bytes(file.read(8), "little")
        header = json.loads(file.read(length))
    return {
        name: _Stored(path, entry["dtype"], tuple(entry["shape"]), 8 + length + entry["data_offsets"][0])
        for name, entry in header.items()
        if name != "__metadata__" and not name.endswith(COMPUTED)
    }


def _fill(file: Any, view: memoryview) -> None:
    while view:
        count = file.readinto(view)
        if not count:
            raise CheckpointError(f"{Path(file.name).name} was cut short while it was read; open the model again")
        view = view[count:]
