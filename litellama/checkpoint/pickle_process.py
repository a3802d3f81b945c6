"""The process that reads pickles and writes safetensors, and can do nothing else. Run by `pickles.py`.

A pickle is a program: reading one runs it, and it may do harm. So it is read in a separate process, by torch's
`weights_only`, which accepts tensors and nothing else. Besides, that process may open no socket, start no program and
write no file but the new weights.
"""

from __future__ import annotations

import json
import os
import re
import sys
from collections.abc import Iterator, Sequence
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import save_file
from torch import Tensor

from litellama.checkpoint import meta_format
from litellama.checkpoint.layout import CheckpointError
from litellama.checkpoint.weights import COMPUTED
from litellama.config import ModelConfig

META, TO = "--metas", "--to"


def main(*told: str) -> None:
    """Convert pickles to safetensors files: arguments are a source, its target, the next source ...; prints JSON lines.

    Several of Meta's files make one model. Then the arguments are META, the config, the sources, TO, and the targets.
    """
    confine()
    if told[0] == META:
        end = told.index(TO)
        answers = metas_answers(json.loads(told[1]), told[2:end], told[end + 1 :])
    else:
        answers = (answer(source, target) for source, target in zip(told[::2], told[1::2], strict=True))
    for one in answers:
        print(json.dumps(one), flush=True)


def answer(source: str, target: str) -> dict[str, Any]:
    """Turn one pickle into a safetensors file: {"names": [...]} of its weights, or {"problem": what is wrong}."""
    try:
        weights = _weights(_load(source))
        save_file(weights, target, metadata={"format": "pt"})
    except Exception as wrong:  # a forged file may make a reader raise anything
        return {"problem": _in_words(wrong)}
    return {"names": sorted(weights)}


def metas_answers(values: dict[str, Any], sources: Sequence[str], targets: Sequence[str]) -> Iterator[dict[str, Any]]:
    """The same for a model whose slices lie in `sources`: an answer for each of `targets`, or a problem and no more."""
    try:
        parts = [_weights(_load(source)) for source in sources]
        for weights, target in zip(meta_format.merged(parts, ModelConfig.from_hf(values)), targets, strict=True):
            save_file(weights, target, metadata={"format": "pt"})
            yield {"names": sorted(weights)}
    except Exception as wrong:  # as above
        yield {"problem": _in_words(wrong)}


def confine() -> None:
    """Forbid this process, once and for all, to open sockets, start programs, and write files from Python."""
    sys.dont_write_bytecode = True
    sys.addaudithook(_refuse)


def _refuse(event: str, details: tuple[Any, ...]) -> None:
    if re.match(
        r"socket\.|subprocess\.|os\.(exec|fork|spawn|posix_spawn|system|startfile|remove|rename|mkdir|rmdir|link|symlink"
        r"|truncate|chmod|chown|putenv|kill)", event
    ):  # fmt: skip
        raise PermissionError(f"it asks for {event}")
    if event == "open" and isinstance(details[2], int) and details[2] & (os.O_WRONLY | os.O_RDWR | os.O_CREAT):
        raise PermissionError("it asks to write a file")


class _Refused(ValueError):
    """What a pickle holds that no model needs, in words for people."""


def _load(source: str) -> object:
    try:
        return torch.load(source, map_location="cpu", weights_only=True, mmap=True)
    except RuntimeError as wrong:
        if "mmap can only be used with files saved with" not in str(wrong):
            raise
        return torch.load(source, map_location="cpu", weights_only=True)  # written before PyTorch 1.6


def _weights(loaded: object) -> dict[str, Tensor]:
    """The tensors, each with memory of its own, but for those that the config determines."""
    if not isinstance(loaded, dict) or not all(isinstance(name, str) for name in loaded):
        raise _Refused("it holds no weights by name")
    weights: dict[str, Tensor] = {}
    for name, value in loaded.items():
        if not isinstance(value, Tensor) or value.layout != torch.strided or value.is_quantized:
            raise _Refused(f"{name} in it is no plain tensor")
        if value.untyped_storage().nbytes() < value.nbytes:  # one number that claims to be a million
            raise _Refused(f"{name} in it claims more numbers than there are")
        if not name.endswith(COMPUTED):
            weights[name] = value.detach().contiguous()
    owners: dict[int, str] = {}
    for name, weight in weights.items():
        if owners.setdefault(weight.untyped_storage().data_ptr(), name) != name:
            weights[name] = weight.clone()  # a head that is the embedding's own memory
    return weights


def _in_words(wrong: Exception) -> str:
    """One sentence; never torch's own, which advises to read the file without protection."""
    if found := re.search(r"unsupported global:? (?:global )?([\w.]+)", str(wrong), re.IGNORECASE):
        return f"it asks for {found[1]}, which no weights need, so it may be harmful; nothing of it was run"
    if isinstance(wrong, _Refused | CheckpointError | PermissionError | SafetensorError | MemoryError):
        return str(wrong) or "there is too little memory"
    return "it is damaged, or not what PyTorch writes as weights"


if __name__ == "__main__":
    main(*sys.argv[1:])
