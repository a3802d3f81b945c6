"""A model from elsewhere on this machine, added to the models: a GGUF file, or a folder in Hugging Face's layout.

If both places are on one disk, its files become hard links. That takes no time and no room, and the model stays when
the original is deleted or moved (a symbolic link would break). Otherwise they are copied. The original is not changed.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from litellama.checkpoint.layout import (
    CONFIG,
    GGUF,
    MANIFEST,
    CheckpointError,
    files_read,
    read_manifest,
    replacing_folder,
    sync_folder,
)
from litellama.checkpoint.load import is_whole
from litellama.checkpoint.shape import model_config
from litellama.hub.client import HubError
from litellama.hub.events import DownloadEvent, DownloadFinished, DownloadStarted, Received

BLOCK = 16 * 2**20
ROOM_LEFT = 64 * 2**20  # bytes that copying leaves free
TEXTS = ("README.md", "LICENSE", "LICENSE.txt", "USE_POLICY.md")


@dataclass(frozen=True)
class LocalModel:
    """What was found at `path`: its files and their bytes, where they would go, and whether they would be copied."""

    path: Path
    files: tuple[Path, ...]
    target: Path
    bytes: int
    copied: bool

    @property
    def is_file(self) -> bool:
        return self.path.is_file()


def find_local(typed: str, models: Path) -> LocalModel:
    """The model that lies at `typed`, as it would be added to the folder `models`. Raises `HubError`."""
    try:
        path = Path(typed.strip().strip("\"'")).expanduser()
        path = (path.parent if path.name == CONFIG else path).resolve(strict=True)
    except (OSError, RuntimeError, ValueError):
        raise HubError("local", "there is no such file or folder on this machine") from None
    target = models.absolute() / path.name
    if path == target:
        raise HubError("exists", f"{path.name} is among the models already")
    if target.exists():
        raise HubError("exists", f"{target} is there already; rename one of the two")
    try:
        files = _gguf(path) if path.is_file() else _checkpoint(path)
        size = sum(file.stat().st_size for file in files)
        return LocalModel(path, files, target, size, copied=not _on_one_disk(path, models))
    except CheckpointError as wrong:
        raise HubError("local", str(wrong)) from None
    except OSError as wrong:
        raise HubError("local", f"it cannot be read ({wrong.strerror})") from None


def add_local(model: LocalModel) -> Generator[DownloadEvent, None, None]:
    """Add it to the models, with events of the progress; it appears whole or not at all. Close it to cancel.

    Raises `HubError`.
    """
    models = model.target.parent
    try:
        models.mkdir(parents=True, exist_ok=True)
        yield DownloadStarted(len(model.files), model.bytes, 0)
        if model.copied and shutil.disk_usage(models).free < model.bytes + ROOM_LEFT:
            raise HubError("room", f"{model.bytes / 1e9:.2f} GB are needed at {models}; make room and try again")
        done = 0
        if model.is_file:
            with _begun(models / f".{model.path.name}.adding") as new:
                yield from _bring(model.path, new, done)
                new.rename(model.target)
            sync_folder(models)
        else:
            with replacing_folder(model.target) as folder:
                for file in model.files:
                    yield from _bring(file, folder / file.name, done)
                    done += file.stat().st_size
    except OSError as error:
        raise HubError("room", f"it could not be brought to {models}: {error.strerror or error}") from None
    yield DownloadFinished(model.target)


def _gguf(path: Path) -> tuple[Path, ...]:
    if path.suffix.lower() != GGUF:
        raise CheckpointError("a .gguf file was expected, or a folder with config.json, tokenizer and safetensors")
    model_config(path)  # its header can be read, and is that of a Llama
    return (path,)


def _checkpoint(folder: Path) -> tuple[Path, ...]:
    """The files that opening reads, those that the manifest names, and the licence."""
    if not (folder / CONFIG).is_file():
        raise CheckpointError(f"the folder has no {CONFIG}; a model in Hugging Face's layout was expected")
    try:
        model_config(folder)
    except ValueError as wrong:
        raise CheckpointError(str(wrong)) from None
    if not is_whole(folder):
        if any(folder.glob("pytorch_model*.bin")):
            raise CheckpointError(
                "it has its weights as a pickle only; `python -m litellama convert FOLDER` turns them into safetensors"
            )
        raise CheckpointError("its tokenizer or some of its weights are missing")
    names = (
        files_read(folder) | set(read_manifest(folder) or {}) | {name for name in TEXTS if (folder / name).is_file()}
    )
    names |= {MANIFEST} if (folder / MANIFEST).is_file() else set()
    if any(Path(name).name != name for name in names):
        raise CheckpointError("its manifest names files outside the folder")
    return tuple(folder / name for name in sorted(names))


def _on_one_disk(path: Path, models: Path) -> bool:
    there = next(place for place in (models.absolute(), *models.absolute().parents) if place.exists())
    return path.stat().st_dev == there.stat().st_dev


def _bring(source: Path, new: Path, before: int) -> Iterator[DownloadEvent]:
    """Make `new` a hard link to `source`, or a copy where that is impossible. A symbolic link is followed first."""
    source = source.resolve()
    size = source.stat().st_size
    try:
        os.link(source, new)
    except OSError:  # another disk, or one without hard links
        done = 0
        with open(source, "rb") as old, open(new, "wb") as file:
            while block := old.read(BLOCK):
                file.write(block)
                done += len(block)
                yield Received(source.name, done, before + done)
            file.flush()
            os.fsync(file.fileno())
    yield Received(source.name, size, before + size)


@contextmanager
def _begun(path: Path) -> Iterator[Path]:
    """`path` for a new file, which is removed unless the block gives it another name."""
    path.unlink(missing_ok=True)
    try:
        yield path
    finally:
        path.unlink(missing_ok=True)
