"""A checkpoint's folder: the names of its files, safe reading of JSON, the manifest, and replacing a whole folder.

config.json        the shape, as Hugging Face writes it       tokenizer.json   the vocabulary
model.safetensors  the weights, under Hugging Face's names    card.json        what made this model, for people
manifest.json      size and SHA-256 of each of these files: one flipped bit is noticed

A GGUF file (`checkpoint.gguf`) is a checkpoint too: shape, tokenizer and weights in one file, no manifest and card.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

CONFIG, WEIGHTS, TOKENIZER = "config.json", "model.safetensors", "tokenizer.json"
CARD, MANIFEST, SHARD_INDEX = "card.json", "manifest.json", "model.safetensors.index.json"
GGUF = ".gguf"
GENERATION, VOCAB, MERGES = "generation_config.json", "vocab.json", "merges.txt"
TOKENIZER_CONFIG, SPECIAL_TOKENS_MAP, ADDED_TOKENS = (
    "tokenizer_config.json", "special_tokens_map.json", "added_tokens.json",
)  # fmt: skip
SENTENCEPIECE = "tokenizer.model"
TEMPLATE, TEMPLATE_JSON = "chat_template.jinja", "chat_template.json"

READ = (
    CONFIG, TOKENIZER, CARD, SHARD_INDEX, GENERATION, VOCAB, MERGES, TOKENIZER_CONFIG, SPECIAL_TOKENS_MAP, ADDED_TOKENS,
    TEMPLATE, TEMPLATE_JSON,
)  # fmt: skip
"""Files that are read besides the weights. If there is a manifest, it must list those that exist."""

LARGEST_JSON = 100 * 2**20  # bytes; real files are far smaller, and a forged one must not fill the memory


class CheckpointError(ValueError):
    """A checkpoint folder that cannot be trusted or understood, in one sentence."""


@contextmanager
def with_name(name: str) -> Iterator[None]:
    """While this is open, a `ValueError` becomes a `CheckpointError` that begins with the checkpoint's name."""
    try:
        yield
    except CheckpointError:
        raise
    except ValueError as wrong:
        raise CheckpointError(f"{name}: {wrong}") from None


# --- Files -----------------------------------------------------------------------------------------------------------


def checkpoints_folder() -> Path:
    """`checkpoints/` in the current folder, or else the one of the lab's repository."""
    here = Path("checkpoints")
    return here if here.is_dir() else Path(__file__).resolve().parents[2] / "checkpoints"


def existing_folder(folder: Path) -> Path:
    """`folder`, or where it is if a save was killed. Raises `CheckpointError` if there is neither."""
    if folder.is_dir():
        return folder
    previous = previous_folder(folder.absolute())
    if previous.is_dir():  # a save was killed between its two renames; guard: previous-folder
        return previous
    raise CheckpointError(f"there is no checkpoint folder {folder}; `python -m litellama list` shows those there are")


def checkpoint_path(path: Path) -> Path:
    """What to open for `path`: a checkpoint's folder, a GGUF file, or the only GGUF file in a folder without a config.

    Raises `CheckpointError` if there is none of these, or a folder holds several GGUF files.
    """
    if path.suffix.lower() == GGUF and path.is_file():
        return path
    folder = existing_folder(path)
    files = [] if (folder / CONFIG).exists() else sorted(folder.glob(f"*{GGUF}"))
    if len(files) > 1:
        raise CheckpointError(f"{folder.name} holds {len(files)} GGUF files; name one of them, such as {files[0]}")
    return files[0] if files else folder


def previous_folder(folder: Path) -> Path:
    """Where the old checkpoint is for the moment in which a new one takes its name."""
    return folder.parent / f".{folder.name}.previous"


def required(path: Path) -> Path:
    """`path`, if there is such a file. Raises `CheckpointError`."""
    if not path.is_file():
        raise CheckpointError(f"{path.parent.name} has no file {path.name}; a checkpoint cannot be opened without it")
    return path


def read_json(path: Path) -> dict[str, Any]:
    """The JSON object in a file of this folder. Raises `CheckpointError` for a huge file and for anything else."""
    size = required(path).stat().st_size
    if size > LARGEST_JSON:
        raise CheckpointError(f"{path.name} is {size:,} bytes long; at most {LARGEST_JSON:,} can be right")
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as wrong:
        raise CheckpointError(f"{path.name} in {path.parent.name} is not readable JSON ({wrong})") from None
    if not isinstance(value, dict):
        raise CheckpointError(f"{path.name} in {path.parent.name} holds a {type(value).__name__}, not an object")
    return value


def read_json_if_there(path: Path) -> dict[str, Any]:
    """The same, and {} where there is no such file."""
    return read_json(path) if path.is_file() else {}


def shard_names(index: Path) -> list[str]:
    """The files that an index of shards names. Raises `CheckpointError` for an index that names other folders."""
    parts = read_json(index).get("weight_map")
    names = list(parts.values()) if isinstance(parts, dict) else []
    if not names or not all(isinstance(name, str) and Path(name).name == name for name in names):
        raise CheckpointError(f"{index.name} in {index.parent.name} does not say which file holds which weight")
    return sorted(set(names))


def write_json(path: Path, value: dict[str, Any]) -> None:
    """Write `value` as indented JSON. Raises `ValueError` for a number that is not finite, which JSON cannot hold."""
    text = json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False)
    path.write_text(text + "\n", encoding="utf-8", newline="\n")


def write_file(path: Path, write: Callable[[Path], None]) -> None:
    """Write a file by calling `write`, and wait until it is on the disk."""
    write(path)
    path.chmod(0o644)
    with open(path, "rb+") as file:
        os.fsync(file.fileno())


def sync_folder(folder: Path) -> None:
    """Wait until the names of the files in `folder` are on the disk."""
    if os.name == "nt":  # Windows has no such handle, and writes names to the disk itself
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


@contextmanager
def replacing_folder(folder: Path) -> Iterator[Path]:
    """A new folder to be filled. If the block ends without an error it replaces `folder`; otherwise it is removed."""
    folder = folder.absolute()
    folder.parent.mkdir(parents=True, exist_ok=True)
    new = Path(tempfile.mkdtemp(prefix=f".{folder.name}.new-", dir=folder.parent))
    try:
        new.chmod(0o755)  # mkdtemp makes it readable for its owner only
        yield new
        sync_folder(new)
        put_in_place(new, folder)
    finally:
        shutil.rmtree(new, ignore_errors=True)  # guard: no-half-folder


def put_in_place(new: Path, folder: Path) -> None:
    """Rename `new` to `folder`, and remove the folder that had this name, if there was one."""
    previous = previous_folder(folder)
    if folder.exists():
        shutil.rmtree(previous, ignore_errors=True)
        folder.rename(previous)
    new.rename(folder)
    sync_folder(folder.parent)
    shutil.rmtree(previous, ignore_errors=True)


# --- Manifest --------------------------------------------------------------------------------------------------------


def fingerprint(path: Path) -> dict[str, Any]:
    """A file's size in bytes and its SHA-256, as a manifest lists them."""
    with open(path, "rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    return {"bytes": path.stat().st_size, "sha256": digest}  # guard: manifest-hash


def write_manifest(folder: Path, names: Iterable[str]) -> dict[str, Any]:
    """Write the manifest of these files of `folder`. Returns it: name -> fingerprint."""
    files = {name: fingerprint(folder / name) for name in names}
    write_file(folder / MANIFEST, lambda path: write_json(path, {"version": 1, "files": files}))
    return files


def read_manifest(folder: Path) -> dict[str, Any] | None:
    """Each file's name -> its {"bytes", "sha256"} when it was saved; None if the folder has no manifest."""
    if not (folder / MANIFEST).exists():
        return None
    files = read_json(folder / MANIFEST).get("files")
    if not isinstance(files, dict):
        raise CheckpointError(f"{MANIFEST} in {folder.name} lists no files; the download or the save was cut short")
    return files


def files_read(folder: Path) -> set[str]:
    """Names of the files in `folder` that opening it may read."""
    names = {name for name in READ if (folder / name).exists()} | {path.name for path in folder.glob("*.safetensors")}
    if TOKENIZER not in names and not {VOCAB, MERGES} <= names and (folder / SENTENCEPIECE).exists():
        names.add(SENTENCEPIECE)  # it is read only if there is no other tokenizer
    return names


def verify_manifest(folder: Path) -> bool:
    """True if all files match the manifest, False if there is none; raises `CheckpointError` if one does not match."""
    with verifying(folder) as listed:
        return listed


@contextmanager
def verifying(folder: Path) -> Iterator[bool]:
    """The same, while the block runs: it is given whether there is a manifest, and may read the files meanwhile.

    A file that does not match raises `CheckpointError` at the block's end, in place of any error of the block itself.
    """
    files = read_manifest(folder)
    if files is None:
        yield False
        return
    if unlisted := sorted(files_read(folder) - files.keys()):
        raise CheckpointError(f"{folder.name} holds {', '.join(unlisted)}, of which its manifest knows nothing")
    if outside := [name for name in files if Path(name).name != name]:
        raise CheckpointError(f"the manifest in {folder.name} names {outside[0]!r}, which lies outside the folder")
    paths = [required(folder / name) for name in files]
    with ThreadPoolExecutor() as pool:  # hashing releases the GIL, so threads help
        prints = [pool.submit(fingerprint, path) for path in paths]
        try:
            yield True
        finally:
            for path, found in zip(paths, prints, strict=True):
                if found.result() != files[path.name]:
                    raise CheckpointError(
                        f"{path.name} in {folder.name} is not the file that was saved: its size or SHA-256 differs "
                        "from the manifest's; fetch or train the model again"
                    ) from None
