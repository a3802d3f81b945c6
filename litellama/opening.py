"""Opening a checkpoint: our own or anybody's Llama folder, checked throughout before it is used.

A foreign folder without manifest and card opens too, only unverified. What its files get wrong about the tokens that
begin and end a text is put right, and said.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import torch

from litellama.chat import choose_form
from litellama.chat_forms import Form
from litellama.config import ModelConfig, token_ids
from litellama.folder import (
    CARD,
    CONFIG,
    GENERATION,
    SHARD_INDEX,
    WEIGHTS,
    CheckpointError,
    existing_folder,
    read_json,
    read_json_if_there,
    shard_names,
    verifying,
)
from litellama.model import LiteLlama
from litellama.tokenizer import Tokenizer
from litellama.tokenizer_files import TokenizerFiles, has_tokenizer, read_tokenizer
from litellama.weight_files import read_model

VERIFIED = "Every file matches the manifest that was written when this model was saved."
UNVERIFIED = "This folder has no manifest, so the lab could not verify that its files are the ones its makers wrote."
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
    """A checkpoint in memory. `verified` is whether every file matched the manifest; `note` says so to people, and what
    was put right, of which `corrected` holds the parts. `chat_template` is the folder's own, in Jinja. `refused_device`
    is one that was asked for but gave other results than the CPU, on which the model lies instead."""

    folder: Path
    model: LiteLlama
    tokenizer: Tokenizer
    config: ModelConfig
    card: dict[str, Any] | None
    verified: bool
    note: str
    chat_template: str | None = None
    corrected: Corrected | None = None
    refused_device: str | None = None

    @cached_property
    def form(self) -> Form:
        """How this model is spoken to. The first look at it runs the chat template, if there is one, in a process."""
        return choose_form(self.tokenizer, self.config, self.chat_template)


def open_checkpoint(
    folder: str | Path,
    *,
    dtype: torch.dtype | None = torch.float32,
    device: torch.device | str = "cpu",
    precision: str | None = None,
) -> Opened:
    """Open our own or a foreign Llama folder, ready to use, with weights as `dtype` on `device`.

    With `dtype` None, or the one they are stored as, the weights are the file's own pages, mapped into memory: so don't
    overwrite it meanwhile (whoever saves here puts a new file in its place). Raises `CheckpointError` for a missing or
    changed file, shapes that disagree with the config, weights that are not finite, or too little memory (`precision`:
    for what they will rest in, if that is less); names, shapes and memory are looked at before any weight is read.
    """
    folder = existing_folder(Path(folder))
    with verifying(folder) as verified:
        try:
            config = ModelConfig.from_hf(read_json(folder / CONFIG))
            files = read_tokenizer(folder)
            config, corrected = _put_right(config, read_json_if_there(folder / GENERATION), files)
        except CheckpointError:
            raise
        except ValueError as wrong:
            raise CheckpointError(f"{folder.name}: {wrong}") from None
        card = read_json(folder / CARD) if (folder / CARD).exists() else None
        model = read_model(folder, config, dtype, device, precision)
    said = [VERIFIED if verified else UNVERIFIED]
    said += [str(corrected)] if corrected else []
    if rows := config.padding_rows:
        said.append(f"The last {rows} rows of its vocabulary belong to no token and are never chosen.")
    note = " ".join(said)
    return Opened(folder, model, files.tokenizer, config, card, verified, note, files.chat_template, corrected)


def is_whole(folder: Path) -> bool:
    """Whether a folder has the files that opening needs: config, tokenizer and all its safetensors."""
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
    if tokenizer.id_limit > config.vocab_size:
        raise ValueError(f"the tokenizer has {tokenizer.id_limit} tokens but the model only {config.vocab_size}")
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
    return replace(config, bos_token_id=bos, eos_token_ids=ends, pad_token_id=pad, padding_rows=rows), corrected


def _first(*ids: int | None) -> int | None:
    return next((id for id in ids if id is not None), None)


def _shown(tokenizer: Tokenizer, id: int) -> str:
    return f"{tokenizer.token_text(id)} ({id})"


def _special_id(files: TokenizerFiles, role: str) -> int | None:
    """The id of the token that the folder's tokenizer files name for `role`, or else of a usual end of text."""
    names = [name for name in (files.roles.get(role), *ENDS) if name is not None]
    return _first(*(files.tokenizer.special(name) for name in names))
