"""What a GGUF file says of itself: its metadata, and where each tensor lies.

    magic "GGUF", version, number of tensors, number of entries
    entries    key, type, value                        such as llama.block_count = 30, or the list of all tokens
    tensors    name, shape, kind, offset of its bytes
    padding, then the bytes of the tensors

Everything that a header claims is compared with the size of the file before memory is taken for it. The library gguf
has a reader too; it checks little of this and takes 3 s for the entries of a vocabulary of 49,152 tokens, where this
one takes 0.1 s. Source: https://github.com/ggml-org/ggml/blob/master/docs/gguf.md
"""

from __future__ import annotations

import math
import mmap
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from litellama.checkpoint.layout import CheckpointError

MAGIC = b"GGUF"
VERSIONS = (2, 3)
LARGEST_HEADER = 512 * 2**20  # bytes; Llama 3's has 8 million
MOST_TENSORS = 100_000
MOST_ENTRIES = 10_000
LONGEST_NAME = 1_000  # bytes of a key or a tensor's name
MOST_DIMENSIONS = 4
DEFAULT_ALIGNMENT = 32

STRING, ARRAY = 8, 9
SCALARS = {
    0: "<B", 1: "<b", 2: "<H", 3: "<h", 4: "<I", 5: "<i", 6: "<f", 7: "<?", 10: "<Q", 11: "<q", 12: "<d",
}  # fmt: skip
"""Type of an entry -> how its number is packed."""

BLOCKS = {
    "F32": (1, 4), "F16": (1, 2), "BF16": (1, 2),
    "Q4_0": (32, 18), "Q4_1": (32, 20), "Q5_0": (32, 22), "Q5_1": (32, 24), "Q8_0": (32, 34),
    "Q2_K": (256, 84), "Q3_K": (256, 110), "Q4_K": (256, 144), "Q5_K": (256, 176), "Q6_K": (256, 210),
}  # fmt: skip
"""Kind of tensor -> how many weights stand together in a block, and the bytes of a block."""

KINDS = {
    0: "F32", 1: "F16", 2: "Q4_0", 3: "Q4_1", 6: "Q5_0", 7: "Q5_1", 8: "Q8_0", 9: "Q8_1", 10: "Q2_K", 11: "Q3_K",
    12: "Q4_K", 13: "Q5_K", 14: "Q6_K", 15: "Q8_K", 16: "IQ2_XXS", 17: "IQ2_XS", 18: "IQ3_XXS", 19: "IQ1_S",
    20: "IQ4_NL", 21: "IQ3_S", 22: "IQ2_S", 23: "IQ4_XS", 24: "I8", 25: "I16", 26: "I32", 27: "I64", 28: "F64",
    29: "IQ1_M", 30: "BF16", 34: "TQ1_0", 35: "TQ2_0", 39: "MXFP4",
}  # fmt: skip
"""Number of a kind in the file -> its name, also of those that cannot be read here, for the refusal."""


@dataclass(frozen=True)
class StoredTensor:
    """One tensor of the file: `shape` as PyTorch has it, rows first; its bytes begin at `begin`."""

    name: str
    kind: str
    shape: tuple[int, ...]
    begin: int

    @property
    def row_bytes(self) -> int:
        """Bytes of one row, which is the whole tensor if it has one dimension."""
        weights, size = BLOCKS[self.kind]
        return self.shape[-1] // weights * size

    @property
    def nbytes(self) -> int:
        return math.prod(self.shape[:-1]) * self.row_bytes


@dataclass(frozen=True)
class GGUFHeader:
    """`values` are the metadata by key, with lists for arrays; `tensors` by their names in the file."""

    path: Path
    values: dict[str, Any]
    tensors: dict[str, StoredTensor]


def read_header(path: str | Path) -> GGUFHeader:
    """Read a file's header. Raises `CheckpointError` for a file that is no GGUF file, was cut short, or lies."""
    path = Path(path)
    size = path.stat().st_size
    if size < 24:
        raise CheckpointError(f"{path.name} is {size} bytes long, too short for a GGUF file; fetch it again")
    with open(path, "rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
        try:
            return _Reader(path, content).header()
        except _Wrong as wrong:
            raise CheckpointError(f"{path.name} is not a sound GGUF file: {wrong}; fetch it again") from None


class _Wrong(Exception):
    """What is wrong with the file, as the middle of a sentence."""


class _Reader:
    """Reads a header from front to back and never past the end of the file."""

    def __init__(self, path: Path, content: mmap.mmap) -> None:
        self.path, self.content = path, content
        self.at, self.end = 0, min(len(content), LARGEST_HEADER)

    def header(self) -> GGUFHeader:
        if self.take(len(MAGIC)) != MAGIC:
            raise CheckpointError(f"{self.path.name} is not a GGUF file; it does not begin with those four letters")
        version = self.number("<I")
        if version & 0xFFFF == 0:
            raise CheckpointError(f"{self.path.name} was written for big-endian machines, which the lab does not read")
        if version not in VERSIONS:
            raise CheckpointError(f"{self.path.name} is GGUF of version {version}; 2 and 3 are known")
        tensors, entries = self.number("<Q"), self.number("<Q")
        if tensors > MOST_TENSORS or entries > MOST_ENTRIES:
            raise _Wrong(f"it claims {tensors:,} tensors and {entries:,} entries of metadata")
        values = self.entries(entries)
        described = [self.tensor() for _ in range(tensors)]
        alignment = values.get("general.alignment", DEFAULT_ALIGNMENT)
        if type(alignment) is not int or not 8 <= alignment <= 2**20 or alignment & (alignment - 1):
            raise _Wrong(f"its tensors are aligned to {alignment!r} bytes")
        start = -(-self.at // alignment) * alignment
        return GGUFHeader(self.path, values, self.placed(described, start, alignment))

    def take(self, count: int) -> bytes:
        if count > self.end - self.at:
            raise _Wrong("its header ends before it is complete")
        self.at += count
        return self.content[self.at - count : self.at]

    def number(self, packed: str) -> Any:
        return struct.unpack(packed, self.take(struct.calcsize(packed)))[0]

    def text(self, longest: int = LARGEST_HEADER) -> str:
        length = self.number("<Q")
        if length > longest:
            raise _Wrong(f"it holds a name of {length:,} bytes")
        # A token may be half a character in careless files; a name may not, but then it is simply unknown.
        return self.take(length).decode("utf-8", "replace")

    def entries(self, count: int) -> dict[str, Any]:
        values: dict[str, Any] = {}
        for _ in range(count):
            key = self.text(LONGEST_NAME)
            if key in values:
                raise _Wrong(f"it says {key} twice")
            values[key] = self.value(self.number("<I"))
        return values

    def value(self, kind: int) -> Any:
        if kind == STRING:
            return self.text()
        if kind in SCALARS:
            return self.number(SCALARS[kind])
        if kind != ARRAY:
            raise _Wrong(f"it holds a value of the unknown type {kind}")
        kind, count = self.number("<I"), self.number("<Q")
        if kind == STRING:
            if count > (self.end - self.at) // 8:  # a text takes eight bytes at least
                raise _Wrong(f"it claims a list of {count:,} texts")
            return self.texts(count)
        if kind not in SCALARS:
            raise _Wrong(f"it holds a list of the unknown type {kind}")
        packed = np.dtype(SCALARS[kind])
        if count > (self.end - self.at) // packed.itemsize:
            raise _Wrong(f"it claims a list of {count:,} numbers")
        return np.frombuffer(self.take(count * packed.itemsize), dtype=packed).tolist()

    def texts(self, count: int) -> list[str]:
        """As `text`, many times in one loop: a vocabulary and its merges are hundreds of thousands."""
        content, at, end, unpack = self.content, self.at, self.end, struct.Struct("<Q").unpack_from
        found = []
        for _ in range(count):
            length = unpack(content, at)[0] if end - at >= 8 else end
            at += 8
            if length > end - at:
                raise _Wrong("its header ends before it is complete")
            found.append(content[at : at + length].decode("utf-8", "replace"))
            at += length
        self.at = at
        return found

    def tensor(self) -> tuple[str, list[int], int, int]:
        """One tensor's description: name, shape with the row's length first, kind, offset."""
        name, dimensions = self.text(LONGEST_NAME), self.number("<I")
        if not 1 <= dimensions <= MOST_DIMENSIONS:
            raise _Wrong(f"{name} has {dimensions:,} dimensions")
        return name, [self.number("<Q") for _ in range(dimensions)], self.number("<I"), self.number("<Q")

    def placed(
        self, described: list[tuple[str, list[int], int, int]], start: int, alignment: int
    ) -> dict[str, StoredTensor]:
        """The tensors by name, with their places in the file, which they must fit into without overlapping."""
        tensors: dict[str, StoredTensor] = {}
        for name, sizes, number, offset in described:
            kind = KINDS.get(number, f"number {number}")
            if kind not in BLOCKS:
                raise CheckpointError(
                    f"{self.path.name}: {name} is stored as {kind}, which the lab does not read; one of "
                    f"{', '.join(BLOCKS)} was expected, so choose another of the model's files"
                )
            if name in tensors:
                raise _Wrong(f"it holds {name} twice")
            if min(sizes) < 1 or max(sizes) > 2**40 or math.prod(sizes) > 2**48:
                raise _Wrong(f"{name} has the sizes {sizes}")
            if sizes[0] % BLOCKS[kind][0]:
                raise _Wrong(f"{name} has rows of {sizes[0]} weights, and {kind} stores {BLOCKS[kind][0]} together")
            if offset % alignment:
                raise _Wrong(f"{name} does not begin where tensors may")
            tensors[name] = StoredTensor(name, kind, tuple(reversed(sizes)), start + offset)
        before = start
        for one in sorted(tensors.values(), key=lambda one: one.begin):
            if one.begin < before:
                raise _Wrong(f"{one.name} overlaps another tensor")
            before = one.begin + one.nbytes
            if before > len(self.content):
                raise _Wrong(f"{one.name} ends at byte {before:,}, and the file has {len(self.content):,}")
        return tensors
