"""A corpus as token ids on disk: tokenised once, then read through memory maps, as much of it as a batch asks for.

Every twentieth conversation, every twentieth short text and the last twentieth of each long one are held out: training
never sees them. manifest.json says what the folder holds and which tokenizer made it, with size and SHA-256 of each of
the files that `shard_files` describes.
"""

from __future__ import annotations

import json
from collections.abc import Generator, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from litellama.checkpoint import replacing_folder, write_file, write_json
from litellama.data.batches import TokenBatch
from litellama.data.documents import Item, Kind
from litellama.data.encoding import encode
from litellama.data.packing import CorpusBatches, PackedRows, Spans, WindowRows, in_order
from litellama.data.shard_files import (
    ENDS,
    Positions,
    ShardWriter,
    TokenStore,
    check_file,
    map_array,
    shard_name,
    token_dtype,
)
from litellama.tokenizer import Tokenizer

VERSION, MANIFEST = 1, "manifest.json"
SHARD_TOKENS = 2**24
PROGRESS_TOKENS = 2**16  # after so many tokens the progress is told

TWENTIETH = 20
FIRST_HELD_OUT = 10  # of each twenty documents, counted from 0: a corpus of eleven has one already
LONG = 200 * TWENTIETH  # tokens; a twentieth of a shorter text would be too little to judge by
HELD_OUT_TOKENS = 2**16


@dataclass(frozen=True)
class ShardProgress:
    """How much of a corpus is tokenised."""

    documents: int
    tokens: int


@dataclass(frozen=True)
class Shards:
    """A tokenised corpus. `tokens` counts all ids, `wanted` those to be learned, `held_out_tokens` those held out,
    of which there are none in a corpus of ten short documents or fewer."""

    folder: Path
    kind: Kind
    source: str
    documents: int
    tokens: int
    wanted: int
    held_out_tokens: int
    pad_id: int
    store: TokenStore
    ends: Positions

    @property
    def epoch_tokens(self) -> int:
        """Tokens that training goes through in an epoch."""
        return self.tokens - self.held_out_tokens

    def batches(self, seed: int, rows_per_batch: int, length: int, *, separate: bool | None = None) -> CorpusBatches:
        """Endless training batches of rows of at most `length` tokens, a function of (seed, step).

        `separate` (by default for conversations) packs whole documents into rows, in which they do not see one
        another; otherwise rows are windows onto all documents one behind the other. Raises `ValueError` for sizes that
        make no sense, and for a corpus without two tokens to train on.
        """
        _check_sizes(rows_per_batch, length)
        training, _ = split(self.ends, self.kind)
        if self._is_separate(separate):
            return CorpusBatches(PackedRows(self.store, training, length, self.pad_id), seed, rows_per_batch)
        return CorpusBatches(WindowRows(self.store, training, length), seed, rows_per_batch)

    def held_out(
        self, rows_per_batch: int, length: int, *, separate: bool | None = None, tokens: int = HELD_OUT_TOKENS
    ) -> list[TokenBatch]:
        """The first `tokens` held-out tokens in a fixed order, in rows as in training; empty if none is held out."""
        _check_sizes(rows_per_batch, length)
        _, held_out = split(self.ends, self.kind)
        before = np.cumsum(held_out[:, 1] - held_out[:, 0]) - (held_out[:, 1] - held_out[:, 0])
        room = np.maximum(tokens - before, 0)
        held_out[:, 1] = np.minimum(held_out[:, 1], held_out[:, 0] + room)
        spans = held_out[room > 0]
        return in_order(self.store, spans, length, rows_per_batch, self.pad_id, separate=self._is_separate(separate))

    def _is_separate(self, separate: bool | None) -> bool:
        return self.kind == "chat" if separate is None else separate


def _check_sizes(rows_per_batch: int, length: int) -> None:
    if rows_per_batch < 1 or length < 1:
        raise ValueError(f"rows_per_batch is {rows_per_batch} and length {length}; at least 1 of each was expected")


def split(ends: Positions, kind: Kind) -> tuple[Spans, Spans]:
    """From where to where each document's ids for training reach, (N, 2), and those held out, (M, 2).

    A text of 5,000 tokens gives 4,750 and 250; the eleventh of each twenty short ones is held out whole.
    """
    starts = np.concatenate(([0], ends[:-1]))
    lengths = ends - starts
    long = (lengths > LONG) if kind == "text" else np.zeros(len(ends), np.bool_)
    borders = np.where(long, ends - lengths // TWENTIETH, ends)
    whole = np.flatnonzero(~long)[FIRST_HELD_OUT::TWENTIETH]
    borders[whole] = starts[whole]
    training, held_out = np.stack((starts, borders), 1), np.stack((borders, ends), 1)
    return training[borders > starts], held_out[ends > borders]


# --- Writing ---------------------------------------------------------------------------------------------------------


def write_shards(
    items: Iterable[Item], tokenizer: Tokenizer, folder: Path, *, source: str, shard_tokens: int = SHARD_TOKENS
) -> Generator[ShardProgress | Shards, None, None]:
    """Tokenise a corpus into `folder`: yields the progress now and then, and at last the `Shards`.

    What stands in `folder` stays until all is written, and for good if this is closed or fails. Raises `ValueError` for
    a corpus without documents, one that mixes texts and conversations, or conversations and a foreign tokenizer.
    """
    with replacing_folder(folder) as new:
        writer = ShardWriter(new, token_dtype(tokenizer.vocab_size), shard_tokens)
        kinds: set[Kind] = set()
        told = 0
        for stretch in encode(items, tokenizer):
            kinds.add(stretch.kind)
            if len(kinds) > 1:
                raise ValueError(f"{source} mixes texts and conversations; prepare each in a folder of its own")
            writer.add(stretch.ids, stretch.wanted, ends=stretch.ends)
            if writer.tokens - told >= PROGRESS_TOKENS:
                told = writer.tokens
                yield ShardProgress(writer.documents, writer.tokens)
        if not writer.tokens:
            raise ValueError(f"{source} holds not a single document; give a corpus with something to learn")
        writer.finish()
        manifest = _manifest(writer, kinds.pop(), source, tokenizer)
        write_file(new / MANIFEST, lambda path: write_json(path, manifest))
    yield open_shards(folder, tokenizer, verify=False)


def _manifest(writer: ShardWriter, kind: Kind, source: str, tokenizer: Tokenizer) -> dict[str, Any]:
    _, held_out = split(writer.ends, kind)
    return {
        "version": VERSION,
        "kind": kind,
        "source": source,
        "tokenizer": tokenizer.sha256,
        "documents": writer.documents,
        "tokens": writer.tokens,
        "wanted": writer.wanted_tokens if kind == "chat" else writer.tokens,
        "held_out": int((held_out[:, 1] - held_out[:, 0]).sum()),
        "shard_tokens": writer.shard_tokens,
        "files": writer.files,
    }


# --- Opening ---------------------------------------------------------------------------------------------------------


def open_shards(folder: Path, tokenizer: Tokenizer, *, verify: bool = True) -> Shards:
    """Open what `write_shards` wrote; `verify` reads every file through and compares its SHA-256.

    Raises `ValueError` if there is nothing, or if it is not whole, was changed, or made with another tokenizer.
    """
    if not (folder / MANIFEST).is_file():
        raise ValueError(f"there is no prepared corpus in {folder}; prepare it first")
    try:
        return _open(folder, tokenizer, verify)
    except (OSError, KeyError, TypeError, ValueError) as wrong:
        told = f"{MANIFEST} has no entry {wrong}" if isinstance(wrong, KeyError) else wrong
        raise ValueError(
            f"the prepared corpus in {folder} cannot be used: {told}; delete this folder and prepare the corpus again"
        ) from None


def _open(folder: Path, tokenizer: Tokenizer, verify: bool) -> Shards:
    manifest = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
    if manifest["version"] != VERSION or manifest["kind"] not in ("text", "chat"):
        raise ValueError(f"it is {manifest['kind']!r} of version {manifest['version']}, which is not known here")
    if manifest["tokenizer"] != tokenizer.sha256:
        raise ValueError("it was made with another tokenizer than the one given")
    tokens, shard_tokens = manifest["tokens"], manifest["shard_tokens"]
    dtypes = {"tokens": token_dtype(tokenizer.vocab_size)}
    if manifest["kind"] == "chat":
        dtypes["wanted"] = np.dtype(np.bool_)
    shards: dict[str, list[NDArray[Any]]] = {"tokens": [], "wanted": []}
    for name, dtype in dtypes.items():
        for number, start in enumerate(range(0, tokens, shard_tokens)):
            path = check_file(folder, shard_name(name, number), manifest["files"], verify)
            shards[name].append(map_array(path, dtype, min(shard_tokens, tokens - start)))
    ends = np.array(map_array(check_file(folder, ENDS, manifest["files"], verify), np.dtype(np.int64), None))
    if len(ends) != manifest["documents"] or (np.diff(ends, prepend=0) <= 0).any() or ends[-1] != tokens:
        raise ValueError(f"the documents that {ENDS} tells of are not those of the manifest")
    store = TokenStore(shards["tokens"], shards["wanted"], shard_tokens)
    return Shards(
        folder, manifest["kind"], manifest["source"], len(ends), tokens, manifest["wanted"], manifest["held_out"],
        tokenizer.special("<|pad|>") or 0, store, ends,
    )  # fmt: skip
