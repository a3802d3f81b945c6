"""Checkpoints: folders and files to models and back. Weights are safetensors or GGUF, never a pickle (it may run code).

`open_checkpoint` opens any of them, `save_checkpoint` writes one, `list_models` and `find_checkpoint` find them. Which
files lie in a folder, and how files are written safely, says `layout`.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from litellama.checkpoint.layout import (
    CARD,
    CONFIG,
    GGUF,
    MANIFEST,
    CheckpointError,
    checkpoints_folder,
    fingerprint,
    replacing_folder,
    sync_folder,
    write_file,
    write_json,
)

if TYPE_CHECKING:
    from litellama.checkpoint.listing import find_checkpoint, list_models, named_path
    from litellama.checkpoint.load import Opened, is_whole, open_checkpoint
    from litellama.checkpoint.save import replace_card, save_checkpoint, save_copy

__all__ = [
    "CARD", "CONFIG", "GGUF", "MANIFEST", "CheckpointError", "Opened", "checkpoints_folder", "find_checkpoint",
    "fingerprint", "is_whole", "list_models", "named_path", "open_checkpoint", "replace_card", "replacing_folder",
    "save_checkpoint", "save_copy", "sync_folder", "write_file", "write_json",
]  # fmt: skip

_NEED_TORCH = {
    "listing": ("find_checkpoint", "list_models", "named_path"),
    "load": ("Opened", "is_whole", "open_checkpoint"),
    "save": ("replace_card", "save_checkpoint", "save_copy"),
}


def __getattr__(name: str) -> Any:
    """Import torch only for what needs it: `./run app` looks for SmolLM2's folder first, which should take no time."""
    for module, names in _NEED_TORCH.items():
        if name in names:
            return getattr(import_module(f"{__name__}.{module}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
