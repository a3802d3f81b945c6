"""A model's weights from PyTorch's pickles (`pytorch_model.bin`) to safetensors: once, and in a process of their own.

A pickle is a program that builds what it holds, and may build harm instead. So another process reads it, with torch's
`weights_only`, which knows tensors and nothing else; besides, that process may open no socket, start no program and
write no file but the new weights. What it writes is checked like any other checkpoint before it gets its name.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Generator, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import save_file
from torch import Tensor

from litellama.config import ModelConfig
from litellama.folder import (
    CARD,
    CONFIG,
    MANIFEST,
    SHARD_INDEX,
    WEIGHTS,
    CheckpointError,
    existing_folder,
    files_read,
    read_json,
    read_manifest,
    replacing_folder,
    required,
    shard_names,
    sync_folder,
    verify_manifest,
    write_file,
    write_json,
    write_manifest,
)
from litellama.weight_files import COMPUTED, PICKLE, PICKLE_INDEX, SafetensorsWeights, read_model

COPIED = (".json", ".txt", ".jinja", ".md", ".model")  # what goes along to a new folder, beside licences
LICENCES = ("LICENSE", "LICENCE", "NOTICE")


@dataclass(frozen=True)
class Written:
    """News of a conversion: `name` is on the disk, the `number`th of `count` files."""

    name: str
    number: int
    count: int


def pickles(folder: str | Path) -> list[Path]:
    """The pickles that hold a folder's weights. Raises `CheckpointError` if there are none, or nothing to convert."""
    folder = existing_folder(Path(folder))
    if done := [name for name in (WEIGHTS, SHARD_INDEX) if (folder / name).is_file()]:
        raise CheckpointError(f"{folder.name} has {done[0]} already; there is nothing to convert")
    if (folder / PICKLE).is_file():
        return [folder / PICKLE]
    if (folder / PICKLE_INDEX).is_file():
        return [required(folder / name) for name in shard_names(folder / PICKLE_INDEX)]
    raise CheckpointError(f"{folder.name} holds neither {PICKLE} nor {PICKLE_INDEX}; there is nothing to convert")


def convert(folder: str | Path, out: str | Path | None = None) -> Iterator[Written]:
    """Write safetensors and a manifest beside the pickles, or with config and tokenizer into a new folder `out`.

    A conversion that fails or is cut off leaves nothing behind. Raises `CheckpointError` for pickles that hold anything
    but weights, for weights that don't fit the config or aren't finite, and for too little room on the disk.
    """
    folder = existing_folder(Path(folder))
    sources = pickles(folder)
    config = ModelConfig.from_hf(read_json(folder / CONFIG))
    verify_manifest(folder)
    size, target = sum(path.stat().st_size for path in sources), Path(folder if out is None else out).absolute()
    if out is not None and target.exists():
        raise CheckpointError(f"there is a {target} already; choose a new folder")
    _check_room(target, size)
    if out is None:
        with _hidden_folder(folder) as new:
            yield from _write_weights(sources, config, new)
            _move(new, folder, {PICKLE_INDEX, *(path.name for path in sources)})
        return
    with replacing_folder(target) as new:
        yield from _write_weights(sources, config, new)
        for path in sorted(folder.iterdir()):
            if path.is_file() and path.name not in (MANIFEST, CARD, PICKLE_INDEX) and _goes_along(path):
                shutil.copyfile(path, new / path.name)
        write_manifest(new, sorted(files_read(new)))


def _goes_along(path: Path) -> bool:
    return path.suffix in COPIED or path.name.upper().startswith(LICENCES)


def _check_room(target: Path, size: int) -> None:
    there = next(parent for parent in (target, *target.parents) if parent.exists())
    if (free := shutil.disk_usage(there).free) < size:
        raise CheckpointError(f"the new weights take {size / 1e9:.1f} GB on the disk, where {free / 1e9:.1f} are free")


@contextmanager
def _hidden_folder(folder: Path) -> Iterator[Path]:
    new = Path(tempfile.mkdtemp(prefix=".converting-", dir=folder))
    try:
        yield new
    finally:
        shutil.rmtree(new, ignore_errors=True)


def _write_weights(sources: list[Path], config: ModelConfig, new: Path) -> Iterator[Written]:
    """Have each pickle turned into a file of `new`, and make sure that together they are the model."""
    places: dict[str, str] = {}
    count = len(sources)
    names = [WEIGHTS] if count == 1 else [f"model-{one:05}-of-{count:05}.safetensors" for one in range(1, count + 1)]
    with closing(_run(sources, [new / name for name in names])) as done:
        for number, (name, weights) in enumerate(zip(names, done, strict=True), 1):
            places |= dict.fromkeys(weights, name)
            write_file(new / name, lambda path: None)  # it is written; now down to the disk
            yield Written(name, number, count)
    if count > 1:
        size = sum(path.stat().st_size for path in new.iterdir())
        index = {"metadata": {"total_size": size}, "weight_map": dict(sorted(places.items()))}
        write_file(new / SHARD_INDEX, lambda path: write_json(path, index))
    read_model(SafetensorsWeights(new), config, None)


def _move(new: Path, folder: Path, pickled: set[str]) -> None:
    """Give the files of `new` their names in `folder`, the one that makes it a model last, and then its manifest, which
    knows nothing of what was `pickled`: it may go now, and would only be hashed in vain."""
    names = sorted((path.name for path in new.iterdir()), key=lambda name: (name == SHARD_INDEX, name))
    for name in names:
        os.replace(new / name, folder / name)
    sync_folder(folder)
    write_manifest(folder, sorted((files_read(folder) | (read_manifest(folder) or {}).keys()) - pickled))


def _run(sources: list[Path], targets: list[Path]) -> Generator[list[str], None, None]:
    """Convert pickles in one process of its own; for each, as it is done, the names of its weights."""
    paths = [str(Path(__file__).resolve().parent.parent), os.environ.get("PYTHONPATH", "")]
    pairs = [str(path.absolute()) for pair in zip(sources, targets, strict=True) for path in pair]
    with subprocess.Popen(
        [sys.executable, "-m", "litellama.conversion", *pairs],
        env=os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, paths))},
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, encoding="utf-8",
    ) as process:  # fmt: skip
        try:
            assert process.stdout is not None
            for source in sources:
                line = process.stdout.readline()
                if not line:
                    line = json.dumps({"problem": f"the process that read it ended with status {process.wait()}"})
                answer: dict[str, Any] = json.loads(line)
                if "problem" in answer:
                    where = f"{source.name} in {source.parent.name}"
                    raise CheckpointError(f"{where} was not converted: {answer['problem']}")
                yield answer["names"]
        finally:
            process.kill()


# --- In the other process --------------------------------------------------------------------------------------------


def main(*pairs: str) -> None:
    """Turn pickles into safetensors files, `pairs` being one path of each by turns; for each print a line of JSON."""
    confine()
    for source, target in zip(pairs[::2], pairs[1::2], strict=True):
        print(json.dumps(answer(source, target)), flush=True)


def answer(source: str, target: str) -> dict[str, Any]:
    """Turn one pickle into a safetensors file: {"names": [...]} of its weights, or {"problem": what is wrong}."""
    try:
        weights = _weights(_load(source))
        save_file(weights, target, metadata={"format": "pt"})
    except Exception as wrong:  # whatever a forged file may make a reader raise, it is told the same way
        return {"problem": _in_words(wrong)}
    return {"names": sorted(weights)}


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
        if value.untyped_storage().nbytes() < value.nbytes:  # one number given out as a million, to fill the memory
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
    if isinstance(wrong, _Refused | PermissionError | SafetensorError | MemoryError):
        return str(wrong) or "there is too little memory"
    return "it is damaged, or not what PyTorch writes as weights"


if __name__ == "__main__":
    main(*sys.argv[1:])
