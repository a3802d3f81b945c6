"""A model as a folder in Hugging Face's layout, which `transformers` opens by itself and other engines read too."""

from __future__ import annotations

import json
import struct
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from litellama.checkpoint import CONFIG, Opened, write_file, write_json
from litellama.checkpoint.layout import TOKENIZER, TOKENIZER_CONFIG, WEIGHTS
from litellama.config import ModelConfig
from litellama.export.prompt_format import chat_template, special_ids, special_token_names
from litellama.export.weights import converted, weights_to_store

GENERATION_CONFIG = "generation_config.json"

PRECISIONS = {"float32": torch.float32, "float16": torch.float16, "bfloat16": torch.bfloat16}

_STORED_AS = {torch.float32: "F32", torch.float16: "F16", torch.bfloat16: "BF16"}  # safetensors' names


def write_hf(opened: Opened, folder: Path, dtype: torch.dtype) -> Iterator[int]:
    """Fill `folder` with everything but a README, one weight in memory at a time; yields each weight's bytes.

    Raises `ValueError` for weights that are not finite as `dtype`.
    """
    config = corrected_config(opened).to_hf(str(dtype).removeprefix("torch."))
    write_file(folder / CONFIG, lambda path: write_json(path, config))
    write_file(folder / GENERATION_CONFIG, lambda path: write_json(path, generation_config(opened)))
    write_file(folder / TOKENIZER, opened.tokenizer.save)
    write_file(folder / TOKENIZER_CONFIG, lambda path: write_json(path, tokenizer_config(opened)))
    yield from _write_weights(folder / WEIGHTS, weights_to_store(opened), dtype)


def corrected_config(opened: Opened) -> ModelConfig:
    """The model's config with the special ids that are really used."""
    ids = special_ids(opened)
    named = tuple(id for id in opened.config.eos_token_ids if id in ids.eos)
    return replace(opened.config, bos_token_id=ids.bos, eos_token_ids=named or ids.eos[:1], pad_token_id=ids.pad)


def generation_config(opened: Opened) -> dict[str, Any]:
    """The tokens that end a reply, as `generate` and vLLM's server read them: the same as in the lab."""
    ids = special_ids(opened)
    values = {"bos_token_id": ids.bos, "eos_token_id": list(ids.eos) or None}
    pad = ids.pad if ids.pad is not None or not ids.eos else ids.eos[0]
    return {**values, "pad_token_id": pad}


def tokenizer_config(opened: Opened) -> dict[str, Any]:
    """What `AutoTokenizer` needs beside `tokenizer.json`: special tokens by name, the form of a conversation."""
    values: dict[str, Any] = {
        "tokenizer_class": "PreTrainedTokenizerFast",
        **special_token_names(opened),
        "model_max_length": opened.config.max_position_embeddings,
        # transformers 4 would add a third, which its `generate` refuses.
        "model_input_names": ["input_ids", "attention_mask"],
        "padding_side": "left",  # generation goes on at the right
        "clean_up_tokenization_spaces": False,
    }
    if template := chat_template(opened):
        values["chat_template"] = template
    return values


def _write_weights(path: Path, weights: dict[str, Tensor], dtype: torch.dtype) -> Iterator[int]:
    """Write one safetensors file, weight by weight: the library's `save_file` needs all weights converted first."""
    header: dict[str, Any] = {"__metadata__": {"format": "pt"}}
    end = 0
    for name, weight in weights.items():
        start, end = end, end + weight.numel() * dtype.itemsize
        header[name] = {"dtype": _STORED_AS[dtype], "shape": list(weight.shape), "data_offsets": [start, end]}
    described = json.dumps(header).encode("utf-8")
    described += b" " * (-len(described) % 8)
    with open(path, "wb") as file:
        file.write(struct.pack("<Q", len(described)) + described)
        for name, weight in weights.items():
            stored = converted(name, weight, dtype)
            stored.view(torch.uint8).numpy().tofile(file)
            yield stored.nbytes
    write_file(path, lambda _: None)


def hf_bytes(opened: Opened, dtype: torch.dtype) -> int:
    """How large the folder becomes: its weights; the rest adds little."""
    return sum(weight.numel() for weight in weights_to_store(opened).values()) * dtype.itemsize
