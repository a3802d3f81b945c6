"""Converting a model's weights from PyTorch's pickles to safetensors, in a separate process (`pickle_process.py`).

The pickles are `pytorch_model.bin` of Hugging Face's folders, or `consolidated.00.pth` as Meta ships LLaMA 2. What that
process writes is checked like any other checkpoint before it gets its name.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Generator, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from litellama.checkpoint import meta_format
from litellama.checkpoint.layout import (
    CARD,
    CONFIG,
    MANIFEST,
    SENTENCEPIECE,
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
    with_name,
    write_file,
    write_json,
    write_manifest,
)
from litellama.checkpoint.pickle_process import META, TO
from litellama.checkpoint.tokenizers import TokenizerFiles, has_tokenizer, read_tokenizer
from litellama.checkpoint.weights import METAS, PICKLE, PICKLE_INDEX, SafetensorsWeights, read_model
from litellama.config import ModelConfig

COPIED = (".json", ".txt", ".jinja", ".md", ".model")  # what goes along to a new folder, beside licences
LICENCES = ("LICENSE", "LICENCE", "NOTICE")


@dataclass(frozen=True)
class ConvertedFile:
    """The file `name` is on the disk, the `number`th of `count` files."""

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
    if found := meta_format.shards(folder):
        required(folder / meta_format.PARAMS)
        return found
    raise CheckpointError(
        f"{folder.name} holds neither {PICKLE}, {PICKLE_INDEX} nor {METAS}; there is nothing to convert"
    )


def convert(folder: str | Path, out: str | Path | None = None) -> Iterator[ConvertedFile]:
    """Write safetensors and a manifest beside the pickles, or with config and tokenizer into a new folder `out`.

    A conversion that fails or is cut off leaves nothing behind. Raises `CheckpointError` for pickles that hold anything
    but weights, for weights that don't fit the config or aren't finite, and for too little room on the disk.
    """
    folder = existing_folder(Path(folder))
    sources = pickles(folder)
    with with_name(folder.name):
        model = _source(folder, sources)
    verify_manifest(folder)
    size, target = sum(path.stat().st_size for path in sources), Path(folder if out is None else out).absolute()
    if out is not None and target.exists():
        raise CheckpointError(f"there is a {target} already; choose a new folder")
    _check_room(target, size)
    if out is None:
        with _hidden_folder(folder) as new:
            yield from _write_weights(model, new)
            _move(new, folder, {PICKLE_INDEX, *(path.name for path in sources)})
        return
    with replacing_folder(target) as new:
        yield from _write_weights(model, new)
        for path in sorted(folder.iterdir()):
            if path.is_file() and path.name not in (MANIFEST, CARD, PICKLE_INDEX) and _goes_along(path):
                shutil.copyfile(path, new / path.name)
        write_manifest(new, sorted(files_read(new)))


@dataclass(frozen=True)
class _Source:
    """What is converted: pickles, their config.json (`values`, which is `config`), and into how many files. Of Meta's,
    config.json may have to be written, and the tokenizer to be copied into the folder."""

    pickles: list[Path]
    values: dict[str, Any]
    config: ModelConfig
    count: int
    is_metas: bool = False
    writes_config: bool = False
    tokenizer: Path | None = None


def _source(folder: Path, sources: list[Path]) -> _Source:
    if not meta_format.SHARD.fullmatch(sources[0].name):
        values = read_json(folder / CONFIG)
        return _Source(sources, values, ModelConfig.from_hf(values), len(sources))
    files, tokenizer = _metas_tokenizer(folder)
    has_config = (folder / CONFIG).is_file()
    values = read_json(folder / CONFIG) if has_config else meta_format.config_values(folder, files)
    config = ModelConfig.from_hf(values)
    count = len(meta_format.groups(config))
    return _Source(sources, values, config, count, is_metas=True, writes_config=not has_config, tokenizer=tokenizer)


def _metas_tokenizer(folder: Path) -> tuple[TokenizerFiles, Path | None]:
    """The tokenizer, and where it has to be copied from if it isn't in the folder."""
    if has_tokenizer(folder):
        return read_tokenizer(folder), None
    outside = folder.absolute().parent / SENTENCEPIECE  # Meta's download puts one beside the folders of all sizes
    if not outside.is_file():
        raise CheckpointError(
            f"neither {folder.name} nor the folder around it has a {SENTENCEPIECE}; Meta ships one with the model, so "
            f"copy it into {folder.name}"
        )
    return read_tokenizer(outside.parent), outside


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


def _write_weights(model: _Source, new: Path) -> Iterator[ConvertedFile]:
    """Have the pickles turned into files of `new`, and make sure that together they are the model."""
    places: dict[str, str] = {}
    count = model.count
    names = [WEIGHTS] if count == 1 else [f"model-{one:05}-of-{count:05}.safetensors" for one in range(1, count + 1)]
    with closing(_run(model, [new / name for name in names])) as done:
        for number, (name, weights) in enumerate(zip(names, done, strict=True), 1):
            places |= dict.fromkeys(weights, name)
            write_file(new / name, lambda path: None)  # it is written; now down to the disk
            yield ConvertedFile(name, number, count)
    if count > 1:
        size = sum(path.stat().st_size for path in new.iterdir())
        index = {"metadata": {"total_size": size}, "weight_map": dict(sorted(places.items()))}
        write_file(new / SHARD_INDEX, lambda path: write_json(path, index))
    if model.writes_config:
        write_file(new / CONFIG, lambda path: write_json(path, model.values))
    if model.tokenizer:
        shutil.copyfile(model.tokenizer, new / model.tokenizer.name)
    read_model(SafetensorsWeights(new), model.config, None)


def _move(new: Path, folder: Path, pickled: set[str]) -> None:
    """Give the files of `new` their names in `folder`, the one that makes it a model last, and then its manifest, which
    knows nothing of what was `pickled`: it may go now, and would only be hashed in vain."""
    names = sorted((path.name for path in new.iterdir()), key=lambda name: (name == SHARD_INDEX, name))
    for name in names:
        os.replace(new / name, folder / name)
    sync_folder(folder)
    write_manifest(folder, sorted((files_read(folder) | (read_manifest(folder) or {}).keys()) - pickled))


def _run(model: _Source, targets: list[Path]) -> Generator[list[str], None, None]:
    """Convert pickles in one process of its own; for each target, as it is done, the names of its weights."""
    paths = [str(Path(__file__).resolve().parents[2]), os.environ.get("PYTHONPATH", "")]
    sources, written = ([str(path.absolute()) for path in some] for some in (model.pickles, targets))
    if model.is_metas:
        told = [META, json.dumps(model.values), *sources, TO, *written]
        labels = [model.pickles[0]] * len(targets)
    else:
        told = [path for pair in zip(sources, written, strict=True) for path in pair]
        labels = model.pickles
    with subprocess.Popen(
        [sys.executable, "-m", "litellama.checkpoint.pickle_process", *told],
        env=os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, paths))},
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, encoding="utf-8",
    ) as process:  # fmt: skip
        try:
            assert process.stdout is not None
            for source in labels:
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
