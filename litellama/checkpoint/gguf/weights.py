"""A GGUF file's weights by Hugging Face's names, turned into floats a few rows at a time."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
from torch import Tensor

from litellama.checkpoint.gguf.header import GGUFHeader, StoredTensor
from litellama.checkpoint.gguf.library import library
from litellama.checkpoint.gguf.names import FACTORS, gguf_name, pair_halves, turns
from litellama.checkpoint.layout import CheckpointError

DTYPES = {"F32": torch.float32, "F16": torch.float16, "BF16": torch.bfloat16}


class GGUFWeights:
    """The weights of one file, as `litellama.checkpoint.weights.WeightSource` asks for them."""

    def __init__(self, header: GGUFHeader, head_dim: int) -> None:
        self.name = header.path.name
        self.header, self.head_dim = header, head_dim

    def file_of(self, name: str) -> str:
        return self.name

    def shapes_of(self, names: Mapping[str, tuple[int, ...]]) -> dict[str, tuple[int, ...]]:
        """Shapes of those weights of `names` that the file holds, and of all others under llama.cpp's names."""
        ours = {gguf_name(name): name for name in names}
        tensors = {name: one for name, one in self.header.tensors.items() if name != FACTORS}
        return {ours.get(name, name): one.shape for name, one in tensors.items()}

    @property
    def dtype(self) -> torch.dtype:
        """The type that most numbers are stored as; for quantized ones float16, the type of their scales."""
        kind = max(self.header.tensors.values(), key=lambda one: one.nbytes).kind
        return DTYPES.get(kind, torch.float16)

    def rows(self, name: str, start: int, end: int) -> Tensor:
        """Rows `start` to `end` of a weight, or of its numbers if it has one dimension, as float32."""
        stored = self.header.tensors[gguf_name(name)]
        if not turns(name):
            return self.stored_rows(stored, start, end)
        first = start // self.head_dim * self.head_dim  # rows change places within a head
        last = -(-end // self.head_dim) * self.head_dim
        return pair_halves(self.stored_rows(stored, first, last), self.head_dim)[start - first : end - first]

    def stored_rows(self, stored: StoredTensor, start: int, end: int) -> Tensor:
        """The same of one of the file's tensors, in the file's own order."""
        if len(stored.shape) == 1:
            return _floats(self.header, stored, 0, 1)[0, start:end]
        return _floats(self.header, stored, start, end)

    def mapped(self, name: str, dtype: torch.dtype) -> Tensor | None:
        """None: nothing of a GGUF file is used in place."""
        return None


def rotary_factors(header: GGUFHeader) -> Tensor | None:
    """By how much each rotary pair is slowed down, (D / 2); None where the file does not say."""
    stored = header.tensors.get(FACTORS)
    return None if stored is None else _floats(header, stored, 0, 1)[0]


def _floats(header: GGUFHeader, stored: StoredTensor, start: int, end: int) -> Tensor:
    """Rows of a tensor as float32. Read rather than mapped: mapped pages would need memory beside the floats."""
    size = (end - start) * stored.row_bytes
    with open(header.path, "rb", buffering=0) as file:
        file.seek(stored.begin + start * stored.row_bytes)
        content = file.read(size)
    if len(content) < size:
        raise CheckpointError(f"{header.path.name} was cut short while it was read; open the model again")
    if stored.kind in DTYPES:
        return torch.frombuffer(bytearray(content), dtype=DTYPES[stored.kind]).view(end - start, -1).float()
    gguf = library()
    packed = np.frombuffer(content, np.uint8).reshape(end - start, -1)
    with np.errstate(all="ignore"):  # numbers that are not finite are told of by whoever asked
        found = gguf.quants.dequantize(packed, gguf.GGMLQuantizationType[stored.kind])
    return torch.from_numpy(np.ascontiguousarray(found, np.float32))
