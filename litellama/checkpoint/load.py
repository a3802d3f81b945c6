"""Opening a checkpoint: our own or anybody's Llama, a folder or a GGUF file. Everything is checked before it is used.

A foreign folder without manifest and card opens too, but unverified. If its config is wrong about the tokens that begin
and end a text, that is corrected, and the `note` says so.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import torch

from litellama.chat import choose_format
from litellama.chat.format import ChatFormat
from litellama.checkpoint.gguf.header import GGUFHeader, read_header
from litellama.checkpoint.gguf.tokenizer import read_tokenizer as read_gguf_tokenizer
from litellama.checkpoint.gguf.weights import GGUFWeights
from litellama.checkpoint.layout import (
    CARD,
    CONFIG,
    GENERATION,
    SHARD_INDEX,
    WEIGHTS,
    CheckpointError,
    checkpoint_path,
    read_json,
    read_json_if_there,
    shard_names,
    verifying,
    with_name,
)
from litellama.checkpoint.sampling_defaults import default_sampling
from litellama.checkpoint.shape import gguf_config, model_config
from litellama.checkpoint.special_tokens import Corrected, check_room_for_tokens, correct_special_tokens
from litellama.checkpoint.tokenizers import TokenizerFiles, has_tokenizer, read_tokenizer
from litellama.checkpoint.weights import METAS, SafetensorsWeights, WeightSource, read_model, weight_paths
from litellama.config import ModelConfig
from litellama.model import LiteLlama
from litellama.quantize import SIXTEEN_BITS
from litellama.sampling import Sampling
from litellama.tokenizer import Tokenizer

VERIFIED = "Every file matches the manifest that was written when this model was saved."
UNVERIFIED = "This folder has no manifest, so the lab could not verify that its files are the ones its makers wrote."
ONE_FILE = (
    "This model is one GGUF file without a manifest, so the lab could not verify that it is as its makers wrote it."
)


@dataclass(frozen=True)
class Opened:
    """A checkpoint in memory.

    `path` is its folder or its GGUF file. `verified`: whether every file matched the manifest; `note` says this to
    people, and also what was corrected (`corrected` as data). `chat_template` is the model's own, in Jinja.
    `refused_device`: the device that was asked for, if it computed other results than the CPU; then the model is on the
    CPU.
    """

    path: Path
    model: LiteLlama
    tokenizer: Tokenizer
    config: ModelConfig
    card: dict[str, Any] | None
    verified: bool
    note: str
    chat_template: str | None = None
    corrected: Corrected | None = None
    sampling: Sampling = field(default_factory=Sampling)
    """The settings of sampling that are used unless others are chosen."""
    refused_device: str | None = None

    @property
    def name(self) -> str:
        """Its name for people: its folder's, or its file's without the ending."""
        path = self.path.resolve()
        return path.name if path.is_dir() else path.stem

    @property
    def folder(self) -> Path:
        """The folder of its files."""
        return self.path.parent if self.path.is_file() else self.path

    @cached_property
    def chat_format(self) -> ChatFormat:
        """How conversations with this model are written. The first use runs its chat template, if any, in a process."""
        return choose_format(self.tokenizer, self.config, self.chat_template)


Choice = Callable[[ModelConfig, torch.dtype], str]
"""Chooses the precision by a model's shape and the type that most of its numbers are stored as."""


def open_checkpoint(
    path: str | Path,
    *,
    dtype: torch.dtype | None = torch.float32,
    device: torch.device | str = "cpu",
    precision: str | Choice | None = None,
) -> Opened:
    """Open our own or a foreign Llama, a folder or a GGUF file, ready to use, with weights as `dtype` on `device`.

    With `dtype` None, or the one they are stored as, the weights of a folder are memory-mapped: do not overwrite the
    file while the model is used (the lab itself always writes a new file). A `precision` of `litellama.quantize`
    replaces `dtype`. Raises `CheckpointError` for a missing or changed file, shapes that disagree with the config,
    weights that are not finite, or too little memory. Names, shapes and memory are checked before any weight is read.
    """
    path = checkpoint_path(Path(path))
    if path.is_file():
        return _open_file(path, dtype, device, precision)
    if (path / METAS).is_file() and not (path / CONFIG).is_file():
        weight_paths(path)  # raises and says what to do: Meta's folders have no config.json until they are converted
    with verifying(path) as verified:
        with with_name(path.name):
            config = model_config(path)
            files = read_tokenizer(path)
            generation = read_json_if_there(path / GENERATION)
            config, corrected = correct_special_tokens(config, generation, files)
        card = read_json(path / CARD) if (path / CARD).exists() else None
        model, chosen = _read_model(SafetensorsWeights(path), config, dtype, device, precision)
    said = [VERIFIED if verified else UNVERIFIED, *_remarks(config, corrected, chosen)]
    sampling = default_sampling(generation, config.num_parameters, files.chat_template is not None)
    return Opened(
        path, model, files.tokenizer, config, card, verified, " ".join(said), files.chat_template, corrected, sampling
    )  # fmt: skip


def _open_file(
    path: Path, dtype: torch.dtype | None, device: torch.device | str, precision: str | Choice | None
) -> Opened:
    """The same for a GGUF file, whose tokenizer's metadata says which tokens begin and end a text."""
    header, config, files = _described(path)
    model, chosen = _read_model(GGUFWeights(header, config.head_dim), config, dtype, device, precision)
    said = [ONE_FILE, *_remarks(config, None, chosen)]
    sampling = default_sampling({}, config.num_parameters, files.chat_template is not None)
    return Opened(
        path, model, files.tokenizer, config, None, False, " ".join(said), files.chat_template, sampling=sampling
    )  # fmt: skip


def check_gguf(path: Path) -> None:
    """Read a GGUF file without its weights. Raises `CheckpointError` if the lab could not open this model."""
    _described(path)


def _described(path: Path) -> tuple[GGUFHeader, ModelConfig, TokenizerFiles]:
    """A GGUF file's header, its config (with the special ids that the tokenizer names), and its tokenizer."""
    header = read_header(path)
    config = gguf_config(header)
    with with_name(path.name):
        files = read_gguf_tokenizer(header.values)
        check_room_for_tokens(config, files.tokenizer)
    config = replace(
        config, bos_token_id=files.bos_id, eos_token_ids=files.eos_ids, pad_token_id=files.pad_id,
        add_bos_token=files.add_bos is True, padding_rows=config.vocab_size - files.tokenizer.id_limit,
    )  # fmt: skip
    return header, config, files


def _read_model(
    source: WeightSource,
    config: ModelConfig,
    dtype: torch.dtype | None,
    device: torch.device | str,
    precision: str | Choice | None,
) -> tuple[LiteLlama, str | None]:
    """The model, and the precision that was chosen for it, if one was."""
    chosen = precision(config, source.dtype) if callable(precision) else precision
    if chosen == "float32":
        return read_model(source, config, torch.float32, device), None
    if chosen in SIXTEEN_BITS and torch.device(device).type != "cpu":  # a GPU computes in 16 bits throughout
        return read_model(source, config, getattr(torch, chosen), device), chosen
    return read_model(source, config, dtype, device, chosen), chosen


def _remarks(config: ModelConfig, corrected: Corrected | None, precision: str | None) -> list[str]:
    said = [str(corrected)] if corrected else []
    if rows := config.padding_rows:
        said.append(f"The last {rows} rows of its vocabulary belong to no token and are never chosen.")
    return [*said, f"Its weights rest in {precision}."] if precision else said


def is_whole(folder: Path) -> bool:
    """Whether a folder has all files that are needed: config, tokenizer and weights. True for a GGUF file."""
    if folder.is_file():
        return True
    try:
        shards = [WEIGHTS] if (folder / WEIGHTS).is_file() else shard_names(folder / SHARD_INDEX)
    except (CheckpointError, OSError):
        return False
    return has_tokenizer(folder) and all((folder / name).is_file() for name in [CONFIG, *shards])
