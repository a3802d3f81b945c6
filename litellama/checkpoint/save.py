"""Saving a checkpoint: a folder that is always whole, the old one or the new one."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from torch import Tensor

from litellama.checkpoint.layout import (
    CARD,
    CONFIG,
    MANIFEST,
    TOKENIZER,
    TOKENIZER_CONFIG,
    WEIGHTS,
    CheckpointError,
    existing_folder,
    read_json,
    replacing_folder,
    verify_manifest,
    write_file,
    write_json,
    write_manifest,
)
from litellama.checkpoint.load import Opened
from litellama.model import LiteLlama
from litellama.tokenizer import Tokenizer


def save_checkpoint(
    folder: str | Path,
    model: LiteLlama,
    tokenizer: Tokenizer,
    *,
    card: dict[str, Any],
    dtype: torch.dtype = torch.float32,
    texts: Mapping[str, str] | None = None,
) -> None:
    """Write a checkpoint with the weights as `dtype`. `folder` is the old one or the new one, never a mixture.

    `texts` are further files, name -> content. Everything is written to a new folder first, and is on the disk before
    two renames swap the folders. If the process is killed between the two, the old checkpoint is in
    `previous_folder(folder)`, where `open_checkpoint` finds it.
    """
    if any(".lora_A." in name for name in model.state_dict()):
        raise ValueError("this model has LoRA still on it; call merge_lora(model) first, or save_adapter for it alone")
    config = model.config.to_hf(str(dtype).removeprefix("torch."))
    weights = _weights_to_store(model, dtype)
    _replace_folder(
        Path(folder),
        {
            CONFIG: lambda path: write_json(path, config),
            WEIGHTS: lambda path: save_file(weights, path, metadata={"format": "pt"}),
            TOKENIZER: tokenizer.save,
            CARD: lambda path: write_json(path, card),
            **{name: partial(_write_text, content=content) for name, content in (texts or {}).items()},
        },
    )


def save_copy(
    folder: str | Path,
    opened: Opened,
    *,
    card: dict[str, Any],
    dtype: torch.dtype,
    texts: Mapping[str, str] | None = None,
) -> None:
    """Write an opened model, such as a GGUF file's, as one of the lab's own checkpoints, its chat template included."""
    tokenizer, config = opened.tokenizer, opened.config
    named = {"bos_token": config.bos_token_id, "pad_token": config.pad_token_id}
    named["eos_token"] = next(iter(config.eos_token_ids), None)
    settings: dict[str, Any] = {
        "tokenizer_class": "PreTrainedTokenizerFast",
        **{role: tokenizer.token_text(id) for role, id in named.items() if id is not None},
        "add_bos_token": config.add_bos_token,
        "model_max_length": config.max_position_embeddings,
        "clean_up_tokenization_spaces": False,
    }
    if opened.chat_template is not None:
        settings["chat_template"] = opened.chat_template
    described = {TOKENIZER_CONFIG: json.dumps(settings, indent=2, ensure_ascii=False) + "\n"}
    save_checkpoint(folder, opened.model, tokenizer, card=card, dtype=dtype, texts=described | dict(texts or {}))


def replace_card(folder: str | Path, card: dict[str, Any]) -> None:
    """Write another card into one of the lab's own checkpoints, as safely as `save_checkpoint`.

    Raises `CheckpointError` for a folder that has no manifest, or does not match it.
    """
    folder = existing_folder(Path(folder))
    if not verify_manifest(folder):
        raise CheckpointError(f"{folder.name} has no manifest; only the lab's own checkpoints have a card to replace")
    files: dict[str, Callable[[Path], None]] = {}
    for name in read_json(folder / MANIFEST)["files"]:
        files[name] = partial(shutil.copyfile, folder / name)
    _replace_folder(folder, files | {CARD: lambda path: write_json(path, card)})


def _replace_folder(folder: Path, files: dict[str, Callable[[Path], None]]) -> None:
    """Write `files` (name -> what writes it) and their manifest to a new folder, and put that in `folder`'s place."""
    with replacing_folder(folder) as new:
        for name, write in files.items():
            write_file(new / name, write)
        write_manifest(new, files)


def _write_text(path: Path, content: str) -> None:
    path.write_text(content, encoding="utf-8", newline="\n")


def _weights_to_store(model: LiteLlama, dtype: torch.dtype) -> dict[str, Tensor]:
    tied = {"lm_head.weight"} if model.config.tie_word_embeddings else set()  # the same tensor as the embedding
    weights = {name: weight for name, weight in model.state_dict().items() if name not in tied}
    weights = {name: weight.detach().to("cpu", dtype).contiguous() for name, weight in weights.items()}
    for name, weight in weights.items():
        if not torch.isfinite(weight).all():
            raise ValueError(f"{name} holds numbers that are not finite as {dtype}; this model is not worth saving")
    return weights
