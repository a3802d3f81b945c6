"""GGUF files for tests: another file's model again with its weights in any kind, or with anything wrong with it."""

from __future__ import annotations

import struct
from pathlib import Path
from typing import Any

import gguf
import numpy as np
import torch

from litellama.checkpoint import Opened
from litellama.checkpoint.gguf.header import BLOCKS, read_header
from litellama.checkpoint.gguf.weights import GGUFWeights
from litellama.export.gguf_file import write_gguf

SCALES = {"Q2_K": (80, 82), "Q3_K": (108,), "Q4_K": (0, 2), "Q5_K": (0, 2), "Q6_K": (208,)}
"""Where a block's 16-bit scales stand, in kinds that the library gguf reads and does not write."""

SPREADS = {"Q2_K": 13.0, "Q3_K": 44.0, "Q4_K": 218.0, "Q5_K": 440.0, "Q6_K": 1400.0}
"""About how far the numbers of a random block are spread with scales of 1."""


def write_kind(opened: Opened, path: Path, kind: str) -> Path:
    """The model as a file whose matrices are of `kind`; those in `SCALES` with random numbers in their blocks."""
    whole = path.with_suffix(".whole.gguf")
    for _ in write_gguf(opened, whole, "F32"):
        pass
    header = read_header(whole)
    tensors: dict[str, tuple[str, np.ndarray[Any, Any]]] = {}
    for name, one in header.tensors.items():
        numbers = GGUFWeights(header, 1).stored_rows(one, 0, one.shape[0]).numpy()
        plain = len(one.shape) == 1 or (kind in SCALES and not name.startswith("blk."))  # or all texts would be alike
        tensors[name] = ("F32", numbers) if plain else (kind, _packed(numbers, kind, len(tensors)))
    write(path, dict(header.values), tensors)
    whole.unlink()
    return path


def write(path: Path, values: dict[str, Any], tensors: dict[str, tuple[str, np.ndarray[Any, Any]]]) -> None:
    """A file with this metadata and these tensors: name -> (kind, numbers, or bytes with a row of the tensor each)."""
    writer = gguf.GGUFWriter(path, "llama")
    for key, value in values.items():
        if key != "general.architecture" and not key.startswith("GGUF."):
            _add(writer, key, value)
    for name, (kind, numbers) in tensors.items():
        raw = None if numbers.dtype == np.float32 else gguf.GGMLQuantizationType[kind]
        writer.add_tensor(name, numbers, raw_dtype=raw)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def _add(writer: Any, key: str, value: Any) -> None:
    if isinstance(value, bool):
        writer.add_bool(key, value)
    elif isinstance(value, str):
        writer.add_string(key, value)
    elif isinstance(value, list):
        writer.add_array(key, value)
    elif isinstance(value, float):
        writer.add_float32(key, value)
    else:
        writer.add_uint32(key, value)


def _packed(numbers: np.ndarray[Any, Any], kind: str, seed: int) -> np.ndarray[Any, Any]:
    if kind == "F32":
        return numbers
    if kind not in SCALES:
        return np.asarray(gguf.quants.quantize(numbers, gguf.GGMLQuantizationType[kind]))
    weights, size = BLOCKS[kind]
    blocks = numbers.size // weights
    random = np.random.default_rng(seed)
    content = random.integers(0, 256, (blocks, size), dtype=np.uint8)
    spread = float(numbers.std()) / SPREADS[kind]
    for at in SCALES[kind]:
        scales = random.choice([-spread, spread], (blocks, 1)).astype(np.float16)
        content[:, at : at + 2] = scales.view(np.uint8)
    return content.reshape(numbers.shape[0], -1)


def edited(path: Path, at: int, value: int, packed: str = "<Q") -> Path:
    """The file with another number at byte `at`."""
    content = bytearray(path.read_bytes())
    content[at : at + struct.calcsize(packed)] = struct.pack(packed, value)
    path.write_bytes(content)
    return path


def greatest_difference(first: torch.Tensor, second: torch.Tensor) -> float:
    return float((first - second).abs().max())
