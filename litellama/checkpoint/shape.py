"""The shape of a checkpoint's model, read without its weights: from `config.json`, or from a GGUF file's header."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

from litellama.checkpoint.gguf.header import GGUFHeader, read_header
from litellama.checkpoint.gguf.names import gguf_name
from litellama.checkpoint.gguf.shape import read_config
from litellama.checkpoint.gguf.weights import rotary_factors
from litellama.checkpoint.layout import CONFIG, read_json, with_name
from litellama.config import ModelConfig


def model_config(path: Path) -> ModelConfig:
    """The shape of the checkpoint at `path`, a folder or a GGUF file. Raises `ValueError`."""
    if path.is_dir():
        return ModelConfig.from_hf(read_json(path / CONFIG))
    file = path.stat()
    return _cached_gguf_config(path, file.st_size, file.st_mtime_ns)


def gguf_config(header: GGUFHeader) -> ModelConfig:
    """The shape of a GGUF file's model. Raises `CheckpointError` for another architecture, and for what is missing."""
    embedding = header.tensors.get(gguf_name("model.embed_tokens.weight"))
    rows = 0 if embedding is None else embedding.shape[0]
    tied = gguf_name("lm_head.weight") not in header.tensors
    with with_name(header.path.name):
        return read_config(header.values, rows, tied, rotary_factors(header))


@lru_cache(maxsize=64)
def _cached_gguf_config(path: Path, size: int, modified: int) -> ModelConfig:
    """Cached, since a header with its vocabulary takes a tenth of a second, and models are listed often."""
    return gguf_config(read_header(path))
