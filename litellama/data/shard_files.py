"""The files in which a tokenised corpus lies, and how to read ids from them by their position in the whole.

tokens-00000.npy   the ids of all documents one behind the other, 16 bits each where the vocabulary allows,
                   cut into files of `shard_tokens` ids (the last one is shorter); a document may go on in the next
wanted-00000.npy   for conversations: which of these ids the assistant wrote, and are to be learned
ends.npy           where each document ends, counted from the first id of all
"""

from __future__ import annotations

from array import array
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from litellama.checkpoint import fingerprint, write_file

Array = NDArray[Any]
Positions = NDArray[np.int64]

ENDS = "ends.npy"


def shard_name(kind: str, number: int) -> str:
    """ "tokens", 3 -> "tokens-00003.npy" """
    return f"{kind}-{number:05}.npy"


def token_dtype(vocab_size: int) -> np.dtype[Any]:
    return np.dtype(np.uint16 if vocab_size <= 2**16 else np.uint32)


class ShardWriter:
    """Collects ids until a file is full and writes it; `files` lists what was written as a manifest does."""

    def __init__(self, folder: Path, dtype: np.dtype[Any], shard_tokens: int) -> None:
        self.folder, self.dtype, self.shard_tokens = folder, dtype, shard_tokens
        self.files: dict[str, dict[str, Any]] = {}
        self.tokens = self.wanted_tokens = self.written = 0
        self._ends = array("q")
        self._waiting: dict[str, list[Array]] = {"tokens": [], "wanted": []}

    @property
    def documents(self) -> int:
        return len(self._ends)

    @property
    def ends(self) -> Positions:
        return np.array(self._ends, np.int64)

    def add(self, ids: Sequence[int], wanted: Sequence[bool], *, ends: bool) -> None:
        """Ids of the document under way, for conversations with which of them are `wanted`; `ends` it with them."""
        self._waiting["tokens"].append(np.array(ids, self.dtype))
        if wanted:
            self._waiting["wanted"].append(np.array(wanted, np.bool_))
            self.wanted_tokens += sum(wanted)
        self.tokens += len(ids)
        if ends:
            self._ends.append(self.tokens)
        while self.tokens - self.written >= self.shard_tokens:
            self._write_shard(self.shard_tokens)

    def finish(self) -> None:
        """Write what is left. A document that has not ended yet does so here."""
        if not self._ends or self._ends[-1] < self.tokens:
            self._ends.append(self.tokens)
        if self.tokens > self.written:
            self._write_shard(self.tokens - self.written)
        self._write(ENDS, self.ends)

    def _write_shard(self, count: int) -> None:
        number = self.written // self.shard_tokens
        for kind, waiting in self._waiting.items():
            if waiting:
                together = np.concatenate(waiting)
                self._write(shard_name(kind, number), together[:count])
                waiting[:] = [together[count:]]
        self.written += count

    def _write(self, name: str, values: Array) -> None:
        write_file(self.folder / name, partial(np.save, arr=values, allow_pickle=False))
        self.files[name] = fingerprint(self.folder / name)


class TokenStore:
    """Ids, and whether they are to be learned, by position; `wanted` is empty for texts, where all are."""

    def __init__(self, tokens: Sequence[Array], wanted: Sequence[Array], shard_tokens: int) -> None:
        self._tokens, self._wanted, self._shard_tokens = tokens, wanted, shard_tokens

    def ids(self, positions: Positions) -> NDArray[np.int64]:
        """The ids at `positions`, of any shape."""
        return self._gather(self._tokens, positions, np.dtype(np.int64))

    def weights(self, positions: Positions) -> NDArray[np.float32]:
        """1 for ids that are to be learned, 0 for the others."""
        if not self._wanted:
            return np.ones(positions.shape, np.float32)
        return self._gather(self._wanted, positions, np.dtype(np.float32))

    def _gather(self, shards: Sequence[Array], positions: Positions, dtype: np.dtype[Any]) -> Array:
        numbers, places = np.divmod(positions, self._shard_tokens)
        found = np.empty(positions.shape, dtype)
        for number in np.unique(numbers):
            here = numbers == number
            found[here] = shards[number][places[here]]
        return found


def check_file(folder: Path, name: str, files: dict[str, dict[str, Any]], verify: bool) -> Path:
    """The path of a file that is as `files` lists it: in size, and where `verify`, in SHA-256.

    Raises `ValueError` if it is not.
    """
    path = folder / name
    if not path.is_file():
        raise ValueError(f"{name} is missing")
    same = fingerprint(path) == files[name] if verify else path.stat().st_size == files[name]["bytes"]
    if not same:
        raise ValueError(f"{name} is not the file that was written: its size or SHA-256 differs from the manifest's")
    return path


def map_array(path: Path, dtype: np.dtype[Any], length: int | None) -> Array:
    """A file's numbers, which come into memory when they are looked at. Raises `ValueError` for other ones."""
    array = np.load(path, mmap_mode="r", allow_pickle=False)
    if array.dtype != dtype or array.ndim != 1 or length not in (None, len(array)):
        raise ValueError(f"{path.name} holds {array.dtype} of shape {array.shape}; {dtype} of ({length},) was expected")
    return np.asarray(array)
