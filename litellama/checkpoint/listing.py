"""Finding a checkpoint by what somebody calls it, and listing those there are."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from litellama.checkpoint.layout import CONFIG, GGUF, checkpoint_path, checkpoints_folder
from litellama.checkpoint.shape import model_config
from litellama.config import PRESETS, ModelConfig


def named_path(name: str | Path) -> Path:
    """Where the model lies that somebody names: a path that exists, or else a name in the checkpoints' folder."""
    path = Path(name)
    return checkpoints_folder() / path if not path.exists() and path.name == str(name) else path


def find_checkpoint(name: str | Path) -> Path:
    """The checkpoint that somebody names: a folder, a GGUF file, or the name that `list` shows.

    Raises `CheckpointError` if there is none.
    """
    return checkpoint_path(named_path(name))


def list_models(checkpoints_dir: str | Path | None = None) -> list[dict[str, Any]]:
    """Presets, then the checkpoints in a folder: name, kind, exact parameters, shape; `problem` if one is broken."""
    folder = checkpoints_folder() if checkpoints_dir is None else Path(checkpoints_dir)
    rows = [_row(name, "preset", config) for name, config in PRESETS.items()]
    folders = {path.parent for path in (*folder.glob(f"*/{CONFIG}"), *folder.glob(f"*/*{GGUF}"))}
    for path in sorted([*folders, *folder.glob(f"*{GGUF}")]):
        name = path.name
        if name.startswith("."):  # an unfinished save
            continue
        try:
            found = checkpoint_path(path)
            rows.append(_row(name, "checkpoint", model_config(found)) | {"folder": str(found)})
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
