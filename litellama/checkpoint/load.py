"""Opening a checkpoint: our own or anybody's Llama, a folder or a GGUF file, checked throughout before it is used.

A foreign folder without manifest and card opens too, only unverified. What its files get wrong about the tokens that
begin and end a text is put right, and said.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any

import torch

from litellama.chat import choose_format
from litellama.chat.format import ChatFormat
from litellama.checkpoint.gguf.header import GGUFHeader, read_header
from litellama.checkpoint.gguf.names import gguf_name
from litellama.checkpoint.gguf.shape import read_config
from litellama.checkpoint.gguf.tokenizer import read_tokenizer as read_gguf_tokenizer
from litellama.checkpoint.gguf.weights import GGUFWeights, rotary_factors
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
)
from litellama.checkpoint.sampling_defaults import default_sampling
from litellama.checkpoint.tokenizers import TokenizerFiles, has_tokenizer, read_tokenizer
from litellama.checkpoint.weights import METAS, SafetensorsWeights, WeightSource, read_model, weight_paths
from litellama.config import ModelConfig, token_ids
from litellama.model import LiteLlama
from litellama.quantize import SIXTEEN_BITS
from litellama.sampling import Sampling
from litellama.tokenizer import Tokenizer

VERIFIED = "Every file matches the manifest that was written when this model was saved."
UNVERIFIED = "This folder has no manifest, so the lab could not verify that its files are the ones its makers wrote."
ONE_FILE = (
    "This model is one GGUF file without a manifest, so the lab could not verify that it is as its makers wrote it."
)
ENDS = ("<|endoftext|>", "</s>", "<|end|>")  # what ends a text where the folder doesn't name it


@dataclass(frozen=True)
class Corrected:
    """Tokens that a config names as the beginning, end or filling of texts although they are ordinary text, and what
    the lab takes instead (None if the tokenizer has nothing for it), both as people read them: `# (2)`."""

    named: str
    instead: str | None

    def __str__(self) -> str:
        return (
            f"Its config names {self.named} as the tokens that begin, end or fill up a text, but in its vocabulary "
            f"they are ordinary text; the lab takes {self.instead or 'none'} instead."
        )


@dataclass(frozen=True)
class Opened:
    """A checkpoint in memory. `path` is its folder or its GGUF file. `verified` is whether every file matched the
    manifest; `note` says so to people, and what was put right, of which `corrected` holds the parts. `chat_template` is
    the model's own, in Jinja. `refused_device` is one that was asked for but gave other results than the CPU, on which
    the model lies instead."""

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
    """How it is sampled where nobody says otherwise."""
    refused_device: str | None = None

    @property
    def name(self) -> str:
        """What people call it: its folder's name, or its file's without the ending."""
        path = self.path.resolve()
        return path.name if path.is_dir() else path.stem

    @property
    def folder(self) -> Path:
        """Where its files lie."""
        return self.path.parent if self.path.is_file() else self.path

    @cached_property
    def chat_format(self) -> ChatFormat:
        """How this model is spoken to. The first look at it runs the chat template, if there is one, in a process."""
        return choose_format(self.tokenizer, self.config, self.chat_template)


Choice = Callable[[ModelConfig, torch.dtype], str]
"""Which precision a model of this shape is opened in, whose numbers are mostly stored as this type."""


def open_checkpoint(
    path: str | Path,
    *,
    dtype: torch.dtype | None = torch.float32,
    device: torch.device | str = "cpu",
    precision: str | Choice | None = None,
) -> Opened:
    """Open our own or a foreign Llama, a folder or a GGUF file, ready to use, with weights as `dtype` on `device`.

    With `dtype` None, or the one they are stored as, the weights of a folder are the file's own pages, mapped into
    memory: so don't overwrite it meanwhile (whoever saves here puts a new file in its place). A `precision` of
    `litellama.quantize` takes the place of `dtype`. Raises `CheckpointError` for a missing or changed file, shapes that
    disagree with the config, weights that are not finite, or too little memory; names, shapes and memory are looked at
    before any weight is read.
    """
    path = checkpoint_path(Path(path))
    if path.is_file():
        return _open_file(path, dtype, device, precision)
    if (path / METAS).is_file() and not (path / CONFIG).is_file():
        weight_paths(path)  # raises what to do: Meta's folders have no config.json before they are converted
    with verifying(path) as verified:
        try:
            config = ModelConfig.from_hf(read_json(path / CONFIG))
            files = read_tokenizer(path)
            generation = read_json_if_there(path / GENERATION)
            config, corrected = _put_right(config, generation, files)
        except CheckpointError:
            raise
        except ValueError as wrong:
            raise CheckpointError(f"{path.name}: {wrong}") from None
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
    """The same for a GGUF file. What begins and ends texts is said by its tokenizer's metadata alone."""
    header, config, files = _described(path)
    model, chosen = _read_model(GGUFWeights(header, config.head_dim), config, dtype, device, precision)
    said = [ONE_FILE, *_remarks(config, None, chosen)]
    sampling = default_sampling({}, config.num_parameters, files.chat_template is not None)
    return Opened(
        path, model, files.tokenizer, config, None, False, " ".join(said), files.chat_template, sampling=sampling
    )  # fmt: skip


def check_gguf(path: Path) -> None:
    """Read all of a GGUF file but its weights. Raises `CheckpointError` if it can't be a model that the lab opens."""
    _described(path)


def _described(path: Path) -> tuple[GGUFHeader, ModelConfig, TokenizerFiles]:
    """A GGUF file's header, its config with what its tokenizer says of the ends of texts, and that tokenizer."""
    header = read_header(path)
    try:
        config = gguf_config(header)
        files = read_gguf_tokenizer(header.values)
        _check_room_for_tokens(config, files.tokenizer)
    except CheckpointError:
        raise
    except ValueError as wrong:
        raise CheckpointError(f"{path.name}: {wrong}") from None
    config = replace(
        config, bos_token_id=files.bos_id, eos_token_ids=files.eos_ids, pad_token_id=files.pad_id,
        add_bos_token=files.add_bos is True, padding_rows=config.vocab_size - files.tokenizer.id_limit,
    )  # fmt: skip
    return header, config, files


def gguf_config(header: GGUFHeader) -> ModelConfig:
    """The shape of a GGUF file's model. Raises `ValueError` for another architecture, and for what is missing."""
    embedding = header.tensors.get(gguf_name("model.embed_tokens.weight"))
    rows = 0 if embedding is None else embedding.shape[0]
    tied = gguf_name("lm_head.weight") not in header.tensors
    return read_config(header.values, rows, tied, rotary_factors(header))


def config_of(path: Path) -> ModelConfig:
    """The shape of the checkpoint at `path`, a folder or a GGUF file, without anything else of it being opened."""
    if path.is_dir():
        return ModelConfig.from_hf(read_json(path / CONFIG))
    there = path.stat()
    return _gguf_config(path, there.st_size, there.st_mtime_ns)


@lru_cache(maxsize=64)
def _gguf_config(path: Path, size: int, written: int) -> ModelConfig:
    """Cached, since a header with its vocabulary takes a tenth of a second, and models are listed often."""
    try:
        return gguf_config(read_header(path))
    except CheckpointError:
        raise
    except ValueError as wrong:
        raise CheckpointError(f"{path.name}: {wrong}") from None


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
    """Whether a folder has the files that opening needs: config, tokenizer and all its safetensors. A GGUF file has."""
    if folder.is_file():
        return True
    try:
        shards = [WEIGHTS] if (folder / WEIGHTS).is_file() else shard_names(folder / SHARD_INDEX)
    except (CheckpointError, OSError):
        return False
    return has_tokenizer(folder) and all((folder / name).is_file() for name in [CONFIG, *shards])


def _put_right(
    config: ModelConfig, generation: dict[str, Any], files: TokenizerFiles
) -> tuple[ModelConfig, Corrected | None]:
    """The config with ids that the tokenizer agrees with, and what was wrong.

    LiteLlama's says that id 1 begins a text, 2 ends it and 0 fills it up, as in LLaMA's vocabulary; in GPT-2's, which
    it has, these are `"`, `#` and `!`, and a reply would end at a number sign. Only a token that text never becomes can
    have such a part.
    """
    tokenizer = files.tokenizer
    _check_room_for_tokens(config, tokenizer)
    bos = _first(config.bos_token_id, *token_ids(generation, "bos_token_id"))
    pad = _first(config.pad_token_id, *token_ids(generation, "pad_token_id"))
    ends = tuple(dict.fromkeys([*config.eos_token_ids, *token_ids(generation, "eos_token_id")]))
    named = dict.fromkeys(id for id in (bos, *ends, pad) if id is not None)
    wrong = [id for id in named if not tokenizer.is_special(id)]
    corrected = None
    if wrong:
        end = _special_id(files, "eos_token")
        bos = _special_id(files, "bos_token") if bos in wrong else bos
        pad = _special_id(files, "pad_token") if pad in wrong else pad
        ends = tuple(id for id in ends if id not in wrong) or (() if end is None else (end,))
        named_wrongly = ", ".join(_shown(tokenizer, id) for id in wrong)
        corrected = Corrected(named_wrongly, None if end is None else _shown(tokenizer, end))
    rows = config.vocab_size - tokenizer.id_limit
    put_right = replace(
        config, bos_token_id=bos, eos_token_ids=ends, pad_token_id=pad, padding_rows=rows,
        add_bos_token=files.add_bos is not False,
    )  # fmt: skip
    return put_right, corrected


def _check_room_for_tokens(config: ModelConfig, tokenizer: Tokenizer) -> None:
    if tokenizer.id_limit > config.vocab_size:
        raise ValueError(f"the tokenizer has {tokenizer.id_limit} tokens but the model only {config.vocab_size}")


def _first(*ids: int | None) -> int | None:
    return next((id for id in ids if id is not None), None)


def _shown(tokenizer: Tokenizer, id: int) -> str:
    return f"{tokenizer.token_text(id)} ({id})"


def _special_id(files: TokenizerFiles, role: str) -> int | None:
    """The id of the token that the folder's tokenizer files name for `role`, or else of a usual end of text."""
    names = [name for name in (files.roles.get(role), *ENDS) if name is not None]
    return _first(*(files.tokenizer.special(name) for name in names))
