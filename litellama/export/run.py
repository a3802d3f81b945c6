"""One export from start to end. The new folder appears whole, or not at all."""

from __future__ import annotations

import errno
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open

from litellama.checkpoint import Opened, open_checkpoint, replacing_folder, sync_folder, write_file
from litellama.checkpoint.gguf.header import read_header
from litellama.checkpoint.gguf.weights import GGUFWeights
from litellama.checkpoint.layout import checkpoint_path
from litellama.export import gguf_file, hf_folder
from litellama.export.prompt_format import modelfile
from litellama.export.readme import write_readme

FORMATS = ("hf", "gguf")
SPARE = 64 * 2**20  # bytes of room beyond the weights: vocabulary, names, what else is written meanwhile


@dataclass(frozen=True)
class ExportProgress:
    """How far an export is: bytes of weights written, and how many there will be."""

    bytes: int
    of: int


def export(checkpoint: str | Path, out: str | Path, format: str, dtype: str | None = None) -> Iterator[ExportProgress]:
    """Write `checkpoint` to the new folder `out`: "hf" for transformers, vLLM and SGLang, "gguf" for llama.cpp, Ollama.

    `dtype` is the stored precision (float32, float16 or bfloat16; for gguf also q8_0 or q4_0), without it the one the
    checkpoint has. Raises `ValueError`, before anything is written, for what cannot be exported, and `OSError` if the
    disk fails; then nothing is left of `out`.
    """
    if format not in FORMATS:
        raise ValueError(f"there is no format {format!r}; choose hf or gguf")
    known = hf_folder.PRECISIONS if format == "hf" else gguf_file.PRECISIONS
    if dtype is not None and dtype not in known:
        raise ValueError(f"{format} does not store {dtype!r}; choose one of {', '.join(known)}")
    out = Path(out).resolve()
    if out.exists() and not (out.is_dir() and not any(out.iterdir())):
        raise ValueError(f"{out} exists and is not empty; name a new folder")
    source = checkpoint_path(Path(checkpoint)).resolve()
    if out.is_relative_to(source):
        raise ValueError(f"{out} lies inside the checkpoint; name a folder outside of it")
    stored = stored_dtype(source)
    opened = open_checkpoint(source, dtype=stored)
    dtype = dtype or str(stored).removeprefix("torch.")
    with replacing_folder(out) as new:
        yield from _write(opened, new, format, dtype)


def stored_dtype(source: Path) -> torch.dtype:
    """The type that stores all weights of a checkpoint exactly, by its files' headers. For quantized weights it is
    float16, which stores their scales exactly, and the weights to three digits."""
    if source.is_file():
        return GGUFWeights(read_header(source), 1).dtype
    found = set()
    for path in sorted(source.glob("*.safetensors")):
        try:
            with safe_open(path, framework="pt") as stored:
                found |= {stored.get_slice(name).get_dtype() for name in stored.keys()}  # noqa: SIM118 (a handle)
        except (SafetensorError, OSError):
            continue  # opening it will say what is wrong
    narrow = {"F16": torch.float16, "BF16": torch.bfloat16}
    return narrow.get(found.pop(), torch.float32) if len(found) == 1 else torch.float32


def _write(opened: Opened, new: Path, format: str, dtype: str) -> Iterator[ExportProgress]:
    file = None
    if format == "hf":
        total = hf_folder.hf_bytes(opened, hf_folder.PRECISIONS[dtype])
        steps = hf_folder.write_hf(opened, new, hf_folder.PRECISIONS[dtype])
    else:
        precision = gguf_file.PRECISIONS[dtype]
        total = gguf_file.gguf_bytes(opened, precision)
        file = new / f"{opened.name}-{precision}.gguf"
        steps = gguf_file.write_gguf(opened, file, precision)
    _require_room(new, total)
    done = 0
    for size in steps:
        done += size
        yield ExportProgress(done, total)
    if file is not None:
        write_file(file, lambda _: None)
        write_file(new / "Modelfile", lambda path: _write_text(path, modelfile(opened, file.name)))
    write_readme(opened, new, None if file is None else file.name)
    sync_folder(new)


def _write_text(path: Path, text: str) -> None:
    path.write_text(text, encoding="utf-8", newline="\n")


def _require_room(folder: Path, needed: int) -> None:
    free = shutil.disk_usage(folder).free
    if free < needed + SPARE:
        raise OSError(
            errno.ENOSPC, f"the export needs {(needed + SPARE) / 1e9:.2f} GB and the disk has {free / 1e9:.2f} GB free"
        )
