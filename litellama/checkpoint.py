"""A checkpoint is a folder: opened with care, saved so that it is always whole.

    config.json        the shape, as Hugging Face writes it       tokenizer.json   the vocabulary
    model.safetensors  the weights, under Hugging Face's names    card.json        what made this model, for people
    manifest.json      size and SHA-256 of each of these files: one flipped bit is noticed

A foreign folder without manifest and card opens too, only unverified. Weights are safetensors alone, never a pickle,
which could run code.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from litellama.config import PRESETS, ModelConfig
from litellama.model import LiteLlama, empty_model, rotary_frequencies
from litellama.tokenizer import Tokenizer

CONFIG, WEIGHTS, TOKENIZER = "config.json", "model.safetensors", "tokenizer.json"
CARD, MANIFEST, SHARD_INDEX = "card.json", "manifest.json", "model.safetensors.index.json"
LARGEST_JSON = 100 * 2**20  # bytes; real ones are far smaller, and a forged one should not fill the memory


class CheckpointError(ValueError):
    """A checkpoint folder that cannot be trusted or understood, in one sentence."""


@dataclass(frozen=True)
class Opened:
    """A checkpoint in memory. `verified` is whether every file matched the manifest; `note` says so to people."""

    folder: Path
    model: LiteLlama
    tokenizer: Tokenizer
    config: ModelConfig
    card: dict[str, Any] | None
    verified: bool
    note: str


# --- Saving ----------------------------------------------------------------------------------------------------------


def save_checkpoint(
    folder: str | Path,
    model: LiteLlama,
    tokenizer: Tokenizer,
    *,
    card: dict[str, Any],
    dtype: torch.dtype = torch.float32,
) -> None:
    """Write a checkpoint, with the weights as `dtype`, so that `folder` is the old one or the new one, never a mixture.

    Everything goes to a new folder beside it first, down to the disk; then two renames swap them. Killed between the
    two, the old one stands under `previous_folder(folder)`, where `open_checkpoint` looks.
    """
    config = model.config.to_hf(str(dtype).removeprefix("torch."))
    weights = _weights_to_store(model, dtype)
    _replace_folder(
        Path(folder),
        {
            CONFIG: lambda path: write_json(path, config),
            WEIGHTS: lambda path: save_file(weights, path, metadata={"format": "pt"}),
            TOKENIZER: tokenizer.save,
            CARD: lambda path: write_json(path, card),
        },
    )


def replace_card(folder: str | Path, card: dict[str, Any]) -> None:
    """Write another card into one of the lab's own checkpoints, as whole and as safe as `save_checkpoint`.

    Raises `CheckpointError` for a folder that has no manifest, or does not match it.
    """
    folder = existing_folder(Path(folder))
    if not _verify_manifest(folder):
        raise CheckpointError(f"{folder.name} has no manifest; only the lab's own checkpoints have a card to replace")
    files: dict[str, Callable[[Path], None]] = {}
    for name in _read_json(folder / MANIFEST)["files"]:
        files[name] = partial(shutil.copyfile, folder / name)
    _replace_folder(folder, files | {CARD: lambda path: write_json(path, card)})


def _replace_folder(folder: Path, files: dict[str, Callable[[Path], None]]) -> None:
    """Write `files` (name -> what writes it) and their manifest to a new folder, and put that in `folder`'s place."""
    with replacing_folder(folder) as new:
        for name, write in files.items():
            write_file(new / name, write)
        prints = {name: fingerprint(new / name) for name in files}
        write_file(new / MANIFEST, lambda path: write_json(path, {"version": 1, "files": prints}))


@contextmanager
def replacing_folder(folder: Path) -> Iterator[Path]:
    """A new folder to be filled: it takes `folder`'s place if the block ends well, and is removed if it does not."""
    folder = folder.absolute()
    folder.parent.mkdir(parents=True, exist_ok=True)
    new = Path(tempfile.mkdtemp(prefix=f".{folder.name}.new-", dir=folder.parent))
    try:
        new.chmod(0o755)  # mkdtemp shuts others out
        yield new
        sync_folder(new)
        put_in_place(new, folder)
    finally:
        shutil.rmtree(new, ignore_errors=True)


def previous_folder(folder: Path) -> Path:
    """Where a checkpoint stands for the moment in which a new one takes its name."""
    return folder.parent / f".{folder.name}.previous"


def put_in_place(new: Path, folder: Path) -> None:
    previous = previous_folder(folder)
    if folder.exists():
        shutil.rmtree(previous, ignore_errors=True)
        folder.rename(previous)
    new.rename(folder)
    sync_folder(folder.parent)
    shutil.rmtree(previous, ignore_errors=True)


def _weights_to_store(model: LiteLlama, dtype: torch.dtype) -> dict[str, Tensor]:
    tied = {"lm_head.weight"} if model.config.tie_word_embeddings else set()  # the same numbers as the embedding
    weights = {name: weight for name, weight in model.state_dict().items() if name not in tied}
    weights = {name: weight.detach().to("cpu", dtype).contiguous() for name, weight in weights.items()}
    for name, weight in weights.items():
        if not torch.isfinite(weight).all():
            raise ValueError(f"{name} holds numbers that are not finite as {dtype}; this model is not worth saving")
    return weights


def write_file(path: Path, write: Callable[[Path], None]) -> None:
    """Have `write` write a file, and wait until the disk has it."""
    write(path)
    path.chmod(0o644)
    with open(path, "rb+") as file:
        os.fsync(file.fileno())


def write_json(path: Path, value: dict[str, Any]) -> None:
    """Write `value` as indented JSON. Raises `ValueError` for a number that is not finite, which JSON cannot hold."""
    text = json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False)
    path.write_text(text + "\n", encoding="utf-8", newline="\n")


def sync_folder(folder: Path) -> None:
    """Wait until the disk knows the names in `folder`."""
    if os.name == "nt":  # Windows keeps no such handle, and flushes names itself
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def fingerprint(path: Path) -> dict[str, Any]:
    """A file's size in bytes and its SHA-256, as a manifest lists them."""
    with open(path, "rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    return {"bytes": path.stat().st_size, "sha256": digest}


# --- Opening ---------------------------------------------------------------------------------------------------------


def open_checkpoint(
    folder: str | Path, *, dtype: torch.dtype = torch.float32, device: torch.device | str = "cpu"
) -> Opened:
    """Open our own or a foreign Llama folder, ready to use, with weights as `dtype` on `device`.

    Raises `CheckpointError` for a missing or changed file, shapes that disagree with the config, or weights that are
    not finite; names and shapes are compared before any weight is read.
    """
    folder = existing_folder(Path(folder))
    verified = _verify_manifest(folder)
    try:
        config = ModelConfig.from_hf(_read_json(folder / CONFIG))
        tokenizer = Tokenizer.load(_required(folder / TOKENIZER))
    except CheckpointError:
        raise
    except ValueError as wrong:
        raise CheckpointError(f"{folder.name}: {wrong}") from None
    if tokenizer.vocab_size > config.vocab_size:
        raise CheckpointError(
            f"{folder.name}: the tokenizer has {tokenizer.vocab_size} tokens but the model only {config.vocab_size}"
        )
    model = _load_model(folder, config, dtype, device)
    card = _read_json(folder / CARD) if (folder / CARD).exists() else None
    note = (
        "Every file matches the manifest that was written when this model was saved."
        if verified
        else "This folder has no manifest, so the lab could not verify that its files are the ones its makers wrote."
    )
    return Opened(folder, model, tokenizer, config, card, verified, note)


def existing_folder(folder: Path) -> Path:
    """`folder`, or where it stands if a save was killed. Raises `CheckpointError` if there is neither."""
    if folder.is_dir():
        return folder
    previous = previous_folder(folder.absolute())
    if previous.is_dir():  # a save was killed between its two renames
        return previous
    raise CheckpointError(f"there is no checkpoint folder {folder}; `python -m litellama list` shows those there are")


def _required(path: Path) -> Path:
    if not path.is_file():
        raise CheckpointError(f"{path.parent.name} has no file {path.name}; a checkpoint cannot be opened without it")
    return path


def _read_json(path: Path) -> dict[str, Any]:
    size = _required(path).stat().st_size
    if size > LARGEST_JSON:
        raise CheckpointError(f"{path.name} is {size:,} bytes long; at most {LARGEST_JSON:,} can be right")
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as wrong:
        raise CheckpointError(f"{path.name} in {path.parent.name} is not readable JSON ({wrong})") from None
    if not isinstance(value, dict):
        raise CheckpointError(f"{path.name} in {path.parent.name} holds a {type(value).__name__}, not an object")
    return value


def read_manifest(folder: Path) -> dict[str, Any] | None:
    """Each file's name -> its {"bytes", "sha256"} when it was saved; None if the folder has no manifest."""
    if not (folder / MANIFEST).exists():
        return None
    files = _read_json(folder / MANIFEST).get("files")
    if not isinstance(files, dict):
        raise CheckpointError(f"{MANIFEST} in {folder.name} lists no files; the download or the save was cut short")
    return files


def _verify_manifest(folder: Path) -> bool:
    """True if all files match the manifest, False if there is none; raises `CheckpointError` if one does not match."""
    files = read_manifest(folder)
    if files is None:
        return False
    used = {CONFIG, TOKENIZER, *(name for name in (CARD, SHARD_INDEX) if (folder / name).exists())}
    used |= {path.name for path in folder.glob("*.safetensors")}
    if unlisted := sorted(used - files.keys()):
        raise CheckpointError(f"{folder.name} holds {', '.join(unlisted)}, of which its manifest knows nothing")
    for name, expected in files.items():
        if Path(name).name != name:
            raise CheckpointError(f"the manifest in {folder.name} names {name!r}, which lies outside the folder")
        if fingerprint(_required(folder / name)) != expected:
            raise CheckpointError(
                f"{name} in {folder.name} is not the file that was saved: its size or SHA-256 differs from the "
                "manifest's; fetch or train the model again"
            )
    return True


def _load_model(folder: Path, config: ModelConfig, dtype: torch.dtype, device: torch.device | str) -> LiteLlama:
    files = _weight_files(folder)
    shapes = _stored_shapes(files)
    if len(shapes) < config.num_hidden_layers:  # before building the structure of a forged million layers
        raise CheckpointError(
            f"{folder.name}: the config has {config.num_hidden_layers} layers but only {len(shapes)} weights are stored"
        )
    model = empty_model(config)
    expected = {name: tuple(weight.shape) for name, weight in model.state_dict().items()}
    if config.tie_word_embeddings:
        del expected["lm_head.weight"]
    _compare_shapes(folder.name, expected, shapes)
    model.load_state_dict(_read_weights(files, expected, dtype, device), strict=False, assign=True)
    if config.tie_word_embeddings:
        model.lm_head.weight = model.model.embed_tokens.weight
    model.model.rotary = rotary_frequencies(config).to(device)  # never stored: the config determines it
    return model.eval()


def _weight_files(folder: Path) -> list[Path]:
    if (folder / WEIGHTS).is_file() or not (folder / SHARD_INDEX).is_file():
        return [_required(folder / WEIGHTS)]
    parts = _read_json(folder / SHARD_INDEX).get("weight_map")
    names = sorted(set(parts.values())) if isinstance(parts, dict) else []
    if not names or not all(isinstance(name, str) and Path(name).name == name for name in names):
        raise CheckpointError(f"{SHARD_INDEX} in {folder.name} does not say which file holds which weight")
    return [_required(folder / name) for name in names]


def _stored_shapes(files: list[Path]) -> dict[str, tuple[int, ...]]:
    """Shapes by name from the files' headers alone; weights of other engines' making that we compute are left out."""
    shapes: dict[str, tuple[int, ...]] = {}
    for path in files:
        with _open_weights(path) as stored:
            for name in stored.keys():  # noqa: SIM118 (a handle, not a dict)
                if not name.endswith("rotary_emb.inv_freq"):
                    shapes[name] = tuple(stored.get_slice(name).get_shape())
    return shapes


def _open_weights(path: Path) -> Any:
    try:
        return safe_open(path, framework="pt")
    except (SafetensorError, OSError) as wrong:
        raise CheckpointError(f"{path.name} in {path.parent.name} is not a sound safetensors file ({wrong})") from None


def _compare_shapes(folder: str, expected: dict[str, tuple[int, ...]], stored: dict[str, tuple[int, ...]]) -> None:
    if missing := [name for name in expected if name not in stored]:
        raise CheckpointError(f"{folder} lacks {len(missing)} weights that its config asks for, first {missing[0]}")
    if extra := [name for name in stored if name not in expected and name != "lm_head.weight"]:
        raise CheckpointError(f"{folder} holds {len(extra)} weights that its config has no place for, first {extra[0]}")
    for name, shape in expected.items():
        if stored[name] != shape:
            raise CheckpointError(f"{folder}: {name} has shape {stored[name]}, but the config asks for {shape}")


def _read_weights(
    files: list[Path], names: dict[str, tuple[int, ...]], dtype: torch.dtype, device: torch.device | str
) -> dict[str, Tensor]:
    weights = {}
    for path in files:
        with _open_weights(path) as stored:
            for name in names.keys() & set(stored.keys()):
                weight = stored.get_tensor(name)
                if not weight.is_floating_point():
                    raise CheckpointError(f"{name} in {path.name} is stored as {weight.dtype}; floats were expected")
                weights[name] = weight.to(device, dtype)
                if not torch.isfinite(weights[name]).all():
                    raise CheckpointError(f"{name} in {path.name} holds numbers that are not finite as {dtype}")
    return weights


# --- Listing ---------------------------------------------------------------------------------------------------------


def checkpoints_folder() -> Path:
    """`checkpoints/` in the current folder, or else beside the package in the lab's repository."""
    here = Path("checkpoints")
    return here if here.is_dir() else Path(__file__).resolve().parent.parent / "checkpoints"


def list_models(checkpoints_dir: str | Path | None = None) -> list[dict[str, Any]]:
    """Presets, then the checkpoints in a folder: name, kind, exact parameters, shape; `problem` if one is broken."""
    folder = checkpoints_folder() if checkpoints_dir is None else Path(checkpoints_dir)
    rows = [_row(name, "preset", config) for name, config in PRESETS.items()]
    for path in sorted(folder.glob("*/" + CONFIG)):
        name = path.parent.name
        if name.startswith("."):  # an unfinished save
            continue
        try:
            rows.append(_row(name, "checkpoint", ModelConfig.from_hf(_read_json(path))) | {"folder": str(path.parent)})
        except (OSError, ValueError) as wrong:
            rows.append({"name": name, "kind": "checkpoint", "parameters": None, "problem": str(wrong)})
    return rows


def _row(name: str, kind: str, config: ModelConfig) -> dict[str, Any]:
    return {
        "name": name,
        "kind": kind,
        "parameters": config.num_parameters,
        "layers": config.num_hidden_layers,
        "hidden_size": config.hidden_size,
        "vocab_size": config.vocab_size,
        "context_length": config.max_position_embeddings,
    }
