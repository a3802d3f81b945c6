"""Weights are mapped, not copied; what does not fit is refused before memory is taken for it."""

from __future__ import annotations

import gc
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
import pytest
import torch
from safetensors.torch import load_file, save_file

from litellama.checkpoint import CheckpointError, open_checkpoint, save_checkpoint
from litellama.checkpoint import weights as weight_files
from litellama.checkpoint.memory import free_memory, no_room
from litellama.config import ModelConfig
from litellama.tokenizer import Tokenizer
from litellama.training.lora import add_lora, merge_lora
from tests.conftest import TINY, random_model
from tests.support.folders import GPT2, litellama_config, llama2_config, llama2_tokenizer, write_folder

ROOT = Path(__file__).resolve().parents[2]
SMALL = {
    "hidden_size": 16,
    "intermediate_size": 24,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "vocab_size": 263,
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return write_folder(tmp_path / "llama", llama2_config(**SMALL, num_hidden_layers=2), llama2_tokenizer(), shards=2)


# --- Types and maps --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("stored", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
@pytest.mark.parametrize("wanted", [torch.float16, torch.bfloat16, torch.float32, None])
def test_every_weight_is_exactly_what_the_file_holds(
    tmp_path: Path, stored: torch.dtype, wanted: torch.dtype | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(weight_files, "AT_ONCE", 100)  # many pieces, the last one shorter
    values = llama2_config(**SMALL, num_hidden_layers=2, tie_word_embeddings=True)
    folder = write_folder(tmp_path / "m", values, llama2_tokenizer(), stored, shards=2)
    opened = open_checkpoint(folder, dtype=wanted).model
    files = {name: weight for path in folder.glob("*.safetensors") for name, weight in load_file(path).items()}
    assert files.keys() == {name for name, _ in opened.named_parameters()}
    for name, weight in opened.named_parameters():
        assert weight.dtype == (wanted or (torch.float32 if stored == torch.float64 else stored))
        assert torch.equal(weight, files[name].to(weight.dtype)), name
    assert opened.lm_head.weight is opened.model.embed_tokens.weight
    assert opened.model.rotary.dtype == torch.float32


def test_as_stored_means_as_most_numbers_are_stored(folder: Path) -> None:
    for path in folder.glob("*.safetensors"):
        weights = load_file(path)
        kept = {name: weight if name.endswith("norm.weight") else weight.half() for name, weight in weights.items()}
        save_file(kept, path)
    opened = open_checkpoint(folder, dtype=None).model
    assert {weight.dtype for weight in opened.parameters()} == {torch.float16}


def test_a_mapped_model_may_be_trained_and_its_file_stays(folder: Path) -> None:
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    opened = open_checkpoint(folder)
    with torch.no_grad():
        opened.model.lm_head.weight.add_(1)
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before
    assert not torch.equal(open_checkpoint(folder).model.lm_head.weight, opened.model.lm_head.weight)


def test_a_mapped_model_survives_its_own_replacement(tiny_checkpoint: Path, tmp_path: Path) -> None:
    copy = Path(shutil.copytree(tiny_checkpoint, tmp_path / "copy"))
    opened = open_checkpoint(copy, dtype=None)
    before = opened.model.lm_head.weight.clone()
    save_checkpoint(copy, random_model(opened.config, seed=9), opened.tokenizer, card={})
    assert torch.equal(opened.model.lm_head.weight, before)


PEAK = """
import sys, torch
from pathlib import Path
from litellama.checkpoint import open_checkpoint

def held(what):
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(what))

before = held("VmRSS")
opened = open_checkpoint(sys.argv[1], dtype=getattr(torch, sys.argv[2], None))
weights = sum(weight.nbytes for weight in opened.model.parameters())
print((held("VmHWM") - before) / weights, weights)
"""


def peak(folder: Path, dtype: str) -> tuple[float, int]:
    """Most memory held while opening, as a multiple of the weights' bytes, in a fresh process; and these bytes.

    Read from /proc: `ru_maxrss` of a new process begins at what its parent held when it started it.
    """
    if not Path("/proc/self/status").exists():
        pytest.skip("only Linux tells how much memory a process held at most")
    ended = subprocess.run(
        [sys.executable, "-c", PEAK, str(folder), dtype], cwd=ROOT, capture_output=True, text=True, check=True
    )
    ratio, weights = ended.stdout.split()
    return float(ratio), int(weights)


@pytest.mark.parametrize("dtype", ["none", "float16", "float32", "bfloat16"])
def test_opening_takes_hardly_more_memory_than_the_weights(tmp_path: Path, dtype: str) -> None:
    values = llama2_config(
        hidden_size=512, intermediate_size=4096, num_attention_heads=8, num_hidden_layers=10, vocab_size=20_000
    )  # of one large weight, and of many
    folder = write_folder(tmp_path / "m", values | {"num_key_value_heads": 8}, llama2_tokenizer(), torch.float16)
    ratio, weights = peak(folder, dtype)
    assert weights == ModelConfig.from_hf(values | {"num_key_value_heads": 8}).num_parameters * (
        4 if dtype == "float32" else 2
    )
    assert 0.9 < ratio <= 1.15
    shutil.rmtree(folder)


@pytest.mark.slow
def test_litellama_itself_opens_by_memory_map(tmp_path: Path) -> None:
    """About 0.92 GB on the disk and 1.85 GB of memory."""
    folder = write_folder(tmp_path / "lite", litellama_config(), Tokenizer.load(GPT2), torch.float16)
    try:
        for dtype, size in (("none", 2), ("bfloat16", 2), ("float32", 4)):
            ratio, weights = peak(folder, dtype)
            assert weights == 461_685_760 * size
            assert 0.9 < ratio <= 1.15, dtype
        opened = open_checkpoint(folder, dtype=None)
        assert {weight.dtype for weight in opened.model.parameters()} == {torch.float16}
        del opened
        gc.collect()
    finally:
        shutil.rmtree(folder)


# --- What is refused -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("bad", [torch.nan, torch.inf, -torch.inf])
@pytest.mark.parametrize("at", [0, 1000, -1])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, None])
@pytest.mark.fault(25)
def test_one_number_that_is_not_finite_is_found(folder: Path, bad: float, at: int, dtype: torch.dtype | None) -> None:
    path = folder / "model-00001-of-00002.safetensors"
    weights = load_file(path)
    weights["model.embed_tokens.weight"].view(-1)[at] = bad
    save_file(weights, path)
    with pytest.raises(CheckpointError, match=r"model\.embed_tokens\.weight in model-00001-of-00002.* not finite as"):
        open_checkpoint(folder, dtype=dtype)


def test_what_is_too_large_for_the_type_asked_for_is_not_finite(folder: Path) -> None:
    path = folder / "model-00002-of-00002.safetensors"
    weights = load_file(path)
    weights["model.norm.weight"][3] = 70_000
    save_file(weights, path)
    open_checkpoint(folder, dtype=torch.bfloat16)
    with pytest.raises(CheckpointError, match=r"model\.norm\.weight .* not finite as torch\.float16"):
        open_checkpoint(folder, dtype=torch.float16)


def header(change: Callable[[dict[str, Any]], Any]) -> Callable[[bytes], bytes]:
    """Rewrite a safetensors file's header and leave its data."""

    def rewrite(content: bytes) -> bytes:
        length = int.from_bytes(content[:8], "little")
        values = json.loads(content[8 : 8 + length])
        change(values)
        text = json.dumps(values).encode()
        return len(text).to_bytes(8, "little") + text + content[8 + length :]

    return rewrite


NORM, HEAD = "model.norm.weight", "lm_head.weight"
FAULTS: dict[str, tuple[Callable[[bytes], bytes], str]] = {
    "cut in the header": (lambda content: content[:60], "not a sound"),
    "cut in the data": (lambda content: content[:-2], "not a sound"),
    "bytes left over": (lambda content: content + b"\0" * 8, "not a sound"),
    "empty": (lambda content: b"", "not a sound"),
    "a header of a petabyte": (lambda content: (2**50).to_bytes(8, "little") + content[8:], "not a sound"),
    "overlapping weights": (
        header(lambda values: values[NORM].update(data_offsets=values[HEAD]["data_offsets"][:1] * 2)),
        "not a sound",
    ),
    "beyond the end": (header(lambda values: values[NORM].update(data_offsets=[0, 2**40])), "not a sound"),
    "a shape of a trillion": (header(lambda values: values[NORM].update(shape=[10**12])), "not a sound"),
    "a negative shape": (header(lambda values: values[NORM].update(shape=[-16])), "not a sound"),
    "another shape": (header(lambda values: values[NORM].update(shape=[4, 4])), r"shape \(4, 4\), .* for \(16,\)"),
    "an unknown type": (header(lambda values: values[NORM].update(dtype="F31")), "not a sound"),
    "whole numbers": (header(lambda values: values[NORM].update(dtype="I32")), r"stored as I32; one of F64, F32"),
    "another name": (header(lambda values: values.update(x=values.pop(NORM))), f"lacks 1 weights .* {NORM}"),
    "a weight too many": (
        header(lambda values: values.update(x={"dtype": "F32", "shape": [0], "data_offsets": [0, 0]})),
        "holds 1 weights that its config has no place for, first x",
    ),
    "twice": (
        header(lambda values: values.update({"model.embed_tokens.weight": {
            "dtype": "F32", "shape": [0], "data_offsets": [0, 0],
        }})),
        "holds model.embed_tokens.weight twice, in model-00001-of-00002.safetensors and model-00002",
    ),
}  # fmt: skip


@pytest.mark.parametrize(("change", "says"), FAULTS.values(), ids=FAULTS.keys())
@pytest.mark.fault(23)
def test_a_file_that_is_not_what_it_says_is_refused_unread(
    folder: Path, change: Callable[[bytes], bytes], says: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = folder / "model-00002-of-00002.safetensors"
    path.write_bytes(change(path.read_bytes()))

    def too_early(*_: Any) -> None:
        raise AssertionError("weights were read although a header is wrong")

    monkeypatch.setattr(weight_files, "_read_weights", too_early)
    with pytest.raises(CheckpointError, match=says) as refusal:
        open_checkpoint(folder)
    assert "\n" not in str(refusal.value)


@pytest.mark.parametrize("index", [{}, {"weight_map": {}}, {"weight_map": {"a": "../b"}}, {"weight_map": {"a": 3}}])
def test_an_index_that_leads_nowhere_is_refused(folder: Path, index: dict[str, Any]) -> None:
    (folder / "model.safetensors.index.json").write_text(json.dumps(index), encoding="utf-8")
    with pytest.raises(CheckpointError, match="does not say which file holds which weight"):
        open_checkpoint(folder)


def test_a_file_that_shrinks_while_it_is_read_is_noticed(folder: Path) -> None:
    source = weight_files.SafetensorsWeights(folder)
    rows = source.shapes_of({})[HEAD][0]
    (folder / "model-00002-of-00002.safetensors").write_bytes(b"")
    with pytest.raises(CheckpointError, match=r"model-00002-of-00002\.safetensors was cut short while it was read"):
        source.rows(HEAD, 0, rows)


@pytest.mark.parametrize("name", ["pytorch_model.bin", "pytorch_model.bin.index.json"])
@pytest.mark.fault(23)
def test_a_pickle_is_never_opened_but_the_way_out_is_named(folder: Path, name: str) -> None:
    for path in folder.glob("model*"):
        path.unlink()
    (folder / name).write_bytes(b"cos\nsystem\n(S'echo harm'\ntR.")
    with pytest.raises(CheckpointError, match=rf"only as a pickle \({name}\).*`python -m litellama convert .*llama`"):
        open_checkpoint(folder)


# --- Room ------------------------------------------------------------------------------------------------------------


def test_too_little_memory_is_said_before_any_is_taken(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def too_early(*_: Any) -> None:
        raise AssertionError("weights were read although there is no room for them")

    needed = 4 * ModelConfig.from_hf(json.loads((folder / "config.json").read_text())).num_parameters
    monkeypatch.setattr(weight_files, "free_memory", lambda device: needed - 1)
    with monkeypatch.context() as patch:
        patch.setattr(weight_files, "_read_weights", too_early)
        with pytest.raises(
            CheckpointError, match=r"llama was not opened: its weights need .* as float32 and .* are free"
        ):
            open_checkpoint(folder)
    assert open_checkpoint(folder, dtype=torch.bfloat16).model.lm_head.weight.dtype == torch.bfloat16
    monkeypatch.setattr(weight_files, "free_memory", lambda device: needed)
    open_checkpoint(folder)
    monkeypatch.setattr(weight_files, "free_memory", lambda device: None)
    open_checkpoint(folder)


def test_the_sentence_says_what_would_fit() -> None:
    config = ModelConfig.from_hf(llama2_config())  # 6,738,415,616 weights
    assert no_room(config, "float32", 27_000_000_000) is None
    assert no_room(config, "float32", None) is None
    sixteen = "float16 (13 GB), bfloat16 (13 GB), "
    needs = "its weights need 27 GB of memory as float32 and "
    says = no_room(config, "float32", 20_000_000_000)
    assert says == needs + f"20 GB are free; what would fit: {sixteen}int8 (7.2 GB), int4 (4.2 GB)"
    assert no_room(config, "float32", 5 * 10**9) == needs + "5 GB are free; what would fit: int4 (4.2 GB)"
    assert no_room(config, "float32", 10**9) == (
        needs + "1 GB are free; not even int4 would fit; choose a smaller model"
    )
    says = no_room(config, "float16", 8_000_000_000)
    assert says == (
        "its weights need 13 GB of memory as float16 and 8 GB are free; what would fit: int8 (7.2 GB), int4 (4.2 GB)"
    )


def test_free_memory_is_this_machines(monkeypatch: pytest.MonkeyPatch) -> None:
    told = psutil.virtual_memory().available
    if Path("/proc/meminfo").exists():
        monkeypatch.setitem(sys.modules, "psutil", None)  # Linux does without
    assert free_memory() == pytest.approx(told, rel=0.2)


def test_where_linux_tells_nothing_others_are_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Path, "exists", lambda path: False)  # as on a Mac: no /proc/meminfo
    told = psutil.virtual_memory()
    assert free_memory() == pytest.approx(told.available, rel=0.2)
    monkeypatch.setitem(sys.modules, "psutil", None)  # not installed
    if hasattr(os, "sysconf"):
        assert free_memory() == told.total
    monkeypatch.setattr(os, "sysconf_names", {}, raising=False)  # as on Windows
    assert free_memory() is None


# --- Saving ----------------------------------------------------------------------------------------------------------


def test_a_model_with_lora_on_it_is_not_saved_as_a_whole_one(tmp_path: Path, tokenizer: Tokenizer) -> None:
    model = add_lora(random_model(TINY), rank=2)
    with pytest.raises(ValueError, match=r"LoRA still on it; call merge_lora"):
        save_checkpoint(tmp_path / "model", model, tokenizer, card={})
    assert list(tmp_path.iterdir()) == []
    save_checkpoint(tmp_path / "model", merge_lora(model), tokenizer, card={})
