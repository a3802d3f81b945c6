"""Checkpoints: folders and files to models and back. Weights are safetensors or GGUF, never a pickle (it may run code).

`layout` says what lies in a folder, `load` opens a folder or a GGUF file and checks it, `save` writes and lists.
"""

from litellama.checkpoint.layout import (
    CARD,
    CONFIG,
    GGUF,
    MANIFEST,
    SHARD_INDEX,
    TOKENIZER,
    WEIGHTS,
    CheckpointError,
    checkpoint_path,
    checkpoints_folder,
    existing_folder,
    fingerprint,
    previous_folder,
    read_manifest,
    replacing_folder,
    sync_folder,
    write_file,
    write_json,
)
from litellama.checkpoint.load import Opened, is_whole, open_checkpoint
from litellama.checkpoint.save import find_checkpoint, list_models, replace_card, save_checkpoint, save_copy

__all__ = [
    "CARD", "CONFIG", "GGUF", "MANIFEST", "SHARD_INDEX", "TOKENIZER", "WEIGHTS", "CheckpointError", "Opened",
    "checkpoint_path", "checkpoints_folder", "existing_folder", "find_checkpoint", "fingerprint", "is_whole",
    "list_models", "open_checkpoint", "previous_folder", "read_manifest", "replace_card", "replacing_folder",
    "save_checkpoint", "save_copy", "sync_folder", "write_file", "write_json",
]  # fmt: skip
