"""A folder is opened only when it is whole and honest, and a save leaves the old or the new one, never a mixture."""

from __future__ import annotations

import json
import shutil
import struct
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import AutoTokenizer, LlamaConfig, LlamaForCausalLM

from litellama.checkpoint import CheckpointError, list_models, open_checkpoint, save_checkpoint
from litellama.checkpoint import layout as folder_module
from litellama.checkpoint import save as checkpoint
from litellama.checkpoint import weights as weight_files
from litellama.checkpoint.layout import previous_folder
from litellama.config import PRESETS, RopeScaling
from litellama.model import LiteLlama
from litellama.tokenizer import Tokenizer
from tests.conftest import TINY, random_model

IDS = torch.tensor([[1, 3, 80, 90, 2, 4, 200, 7]])
LLAMA3 = RopeScaling(factor=8.0, low_freq_factor=1.0, high_freq_factor=4.0, original_max_position_embeddings=32)


def save(folder: Path, model: LiteLlama, tokenizer: Tokenizer, **changes: Any) -> Path:
    save_checkpoint(folder, model, tokenizer, **({"card": {"name": "a test"}} | changes))
    return folder


@pytest.fixture
def copy(tmp_path: Path, tiny_checkpoint: Path) -> Path:
    """The tiny checkpoint, to be broken."""
    return Path(shutil.copytree(tiny_checkpoint, tmp_path / "copy"))


@pytest.mark.parametrize("tied", [True, False])
@torch.no_grad()
def test_what_is_saved_is_what_opens(tmp_path: Path, tokenizer: Tokenizer, tied: bool) -> None:
    model = random_model(replace(TINY, tie_word_embeddings=tied, rope_scaling=LLAMA3, eos_token_ids=(2, 3)))
    opened = open_checkpoint(save(tmp_path / "new" / "model", model, tokenizer))
    assert opened.verified
    assert opened.card == {"name": "a test"}
    assert opened.config == model.config
    assert opened.tokenizer.encode("Tom 🦙") == tokenizer.encode("Tom 🦙")
    assert torch.equal(opened.model(IDS).logits, model(IDS).logits)
    assert (opened.model.lm_head.weight is opened.model.model.embed_tokens.weight) == tied
    assert sum(weight.numel() for weight in opened.model.parameters()) == model.config.num_parameters
    assert not opened.model.training


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
@torch.no_grad()
def test_weights_are_kept_in_sixteen_bits_and_open_in_any(
    tmp_path: Path, tiny_model: LiteLlama, tokenizer: Tokenizer, dtype: torch.dtype
) -> None:
    folder = save(tmp_path / "model", tiny_model, tokenizer, dtype=dtype)
    stored = load_file(folder / "model.safetensors")
    assert {weight.dtype for weight in stored.values()} == {dtype}
    assert "lm_head.weight" not in stored, "a tied head is stored once"
    for wanted in (torch.float32, dtype):
        opened = open_checkpoint(folder, dtype=wanted).model
        assert {weight.dtype for weight in opened.parameters()} == {wanted}
        assert opened.model.rotary.dtype == torch.float32  # sixteen bits cannot tell far positions apart
        torch.testing.assert_close(opened(IDS).logits.float(), tiny_model(IDS).logits, atol=0.2, rtol=0)


@pytest.mark.parametrize("change", [{}, {"tie_word_embeddings": False, "rope_theta": 5e5, "rope_scaling": LLAMA3}])
@torch.no_grad()
def test_transformers_opens_our_folder_and_computes_the_same(
    tmp_path: Path, tokenizer: Tokenizer, change: dict[str, Any]
) -> None:
    model = random_model(replace(TINY, bos_token_id=1, eos_token_ids=(2,), **change))
    folder = save(tmp_path / "model", model, tokenizer)
    theirs = LlamaForCausalLM.from_pretrained(folder)
    torch.testing.assert_close(theirs(IDS).logits, model(IDS).logits, atol=1e-4, rtol=0)
    assert AutoTokenizer.from_pretrained(folder).encode(" the kite", add_special_tokens=False) == tokenizer.encode(
        " the kite"
    )


@pytest.mark.parametrize("tied", [True, False])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("shard_size", ["1GB", "40KB"])
@torch.no_grad()
def test_we_open_a_folder_that_transformers_wrote(
    tmp_path: Path, tokenizer: Tokenizer, tied: bool, dtype: torch.dtype, shard_size: str
) -> None:
    rope = {"rope_type": "llama3", "rope_theta": 5e4} | vars(LLAMA3)
    config = LlamaConfig(
        vocab_size=333, hidden_size=48, intermediate_size=80, num_hidden_layers=3, num_attention_heads=6,
        num_key_value_heads=2, head_dim=16, max_position_embeddings=256, rms_norm_eps=1e-4, rope_parameters=rope,
        tie_word_embeddings=tied, initializer_range=0.2,
    )  # fmt: skip
    theirs = LlamaForCausalLM(config).eval().to(dtype)
    theirs.save_pretrained(tmp_path / "foreign", max_shard_size=shard_size)
    assert (tmp_path / "foreign" / "model.safetensors").exists() == (shard_size == "1GB")
    tokenizer.save(tmp_path / "foreign" / "tokenizer.json")
    opened = open_checkpoint(tmp_path / "foreign")
    assert not opened.verified
    assert "could not verify" in opened.note
    assert opened.card is None
    # read again rather than widened: narrowing the model rounded its rotary buffer too, which the file does not hold
    expected = LlamaForCausalLM.from_pretrained(tmp_path / "foreign", dtype=torch.float32)(IDS).logits
    assert expected.std() > 0.1
    torch.testing.assert_close(opened.model(IDS, padding_rows=True).logits, expected, atol=1e-4, rtol=0)


@torch.no_grad()
def test_rotary_buffers_and_a_stored_tied_head_of_older_files_are_passed_over(copy: Path) -> None:
    expected = open_checkpoint(copy).model(IDS).logits
    weights = load_file(copy / "model.safetensors")
    weights["lm_head.weight"] = weights["model.embed_tokens.weight"].clone()
    weights["model.layers.0.self_attn.rotary_emb.inv_freq"] = torch.ones(4)
    save_file(weights, copy / "model.safetensors")
    (copy / "manifest.json").unlink()
    assert torch.equal(open_checkpoint(copy).model(IDS).logits, expected)


@pytest.mark.parametrize("name", ["model.safetensors", "config.json", "tokenizer.json", "card.json"])
@pytest.mark.fault(24)
def test_one_flipped_bit_anywhere_is_noticed(copy: Path, name: str) -> None:
    content = bytearray((copy / name).read_bytes())
    content[-9] ^= 1
    (copy / name).write_bytes(content)
    with pytest.raises(CheckpointError, match=f"{name} in copy is not the file that was saved"):
        open_checkpoint(copy)


@pytest.mark.parametrize("name", ["model.safetensors", "config.json", "tokenizer.json", "card.json"])
def test_a_file_that_makes_no_sense_is_first_of_all_not_the_one_that_was_saved(copy: Path, name: str) -> None:
    (copy / name).write_bytes(b"{")
    with pytest.raises(CheckpointError, match=f"{name} in copy is not the file that was saved") as refusal:
        open_checkpoint(copy)
    assert refusal.value.__suppress_context__


@pytest.mark.parametrize("name", ["model.safetensors", "config.json", "tokenizer.json", "card.json"])
def test_a_missing_file_is_named(copy: Path, name: str) -> None:
    (copy / name).unlink()
    with pytest.raises(CheckpointError, match=f"copy has no file {name}"):
        open_checkpoint(copy)


def rewrite_config(**changes: Any) -> Callable[[Path], None]:
    def break_it(folder: Path) -> None:
        values = json.loads((folder / "config.json").read_text())
        (folder / "config.json").write_text(json.dumps(values | changes))

    return break_it


def rewrite_weight(name: str, change: Callable[[torch.Tensor], torch.Tensor | None]) -> Callable[[Path], None]:
    def break_it(folder: Path) -> None:
        weights = load_file(folder / "model.safetensors")
        changed = change(weights.pop(name))
        save_file(weights if changed is None else weights | {name: changed}, folder / "model.safetensors")

    return break_it


def rewrite_bytes(name: str, change: Callable[[bytes], bytes]) -> Callable[[Path], None]:
    return lambda folder: (folder / name).write_bytes(change((folder / name).read_bytes())) and None


NORM = "model.norm.weight"
FAULTS: dict[str, tuple[Callable[[Path], None], str]] = {
    "wrong hidden size": (
        rewrite_config(hidden_size=64),
        r"has shape \(320, 32\), but the config asks for \(320, 64\)",
    ),
    "one layer too many": (rewrite_config(num_hidden_layers=3), "lacks 9 weights .* first model.layers.2."),
    "one layer too few": (rewrite_config(num_hidden_layers=1), "holds 9 weights .* first model.layers.1."),
    "a forged billion layers": (rewrite_config(num_hidden_layers=10**9), "1000000000 layers but only"),
    "a forged huge vocabulary": (rewrite_config(vocab_size=10**12), "config asks for"),
    "a vocabulary below the tokenizer's": (rewrite_config(vocab_size=300), "320 tokens but the model only 300"),
    "untied without a head": (rewrite_config(tie_word_embeddings=False), "lacks 1 weights .* lm_head.weight"),
    "another architecture": (rewrite_config(model_type="gpt2"), "gpt2"),
    "weight missing": (rewrite_weight(NORM, lambda weight: None), f"lacks 1 weights .* {NORM}"),
    "not a number": (rewrite_weight(NORM, lambda weight: weight * torch.nan), "not finite"),
    "integers": (rewrite_weight(NORM, lambda weight: weight.int()), "stored as I32"),
    "config not JSON": (rewrite_bytes("config.json", lambda content: content[:50]), "not readable JSON"),
    "config too deep": (rewrite_bytes("config.json", lambda content: b"[" * 10**5), "not readable JSON"),
    "config a list": (rewrite_bytes("config.json", lambda content: b"[1]"), "holds a list"),
    "tokenizer broken": (rewrite_bytes("tokenizer.json", lambda content: b"{}"), "not a tokenizer"),
    "weights truncated": (rewrite_bytes("model.safetensors", lambda content: content[:-100]), "not a sound"),
    "weights with a tail": (rewrite_bytes("model.safetensors", lambda content: content + b"x"), "not a sound"),
    "weights a pickle": (rewrite_bytes("model.safetensors", lambda content: b"\x80\x04K\x01."), "not a sound"),
    "header too long": (
        rewrite_bytes("model.safetensors", lambda content: struct.pack("<Q", 2**60) + content[8:]),
        "not a sound",
    ),
}


@pytest.mark.parametrize(("break_it", "says"), FAULTS.values(), ids=FAULTS.keys())
@pytest.mark.fault(23)
@pytest.mark.fault(25)
def test_a_broken_folder_is_refused_in_one_sentence(copy: Path, break_it: Callable[[Path], None], says: str) -> None:
    (copy / "manifest.json").unlink()  # as in a foreign folder, where no hash would notice
    break_it(copy)
    with pytest.raises(CheckpointError, match=says) as refusal:
        open_checkpoint(copy)
    assert "\n" not in str(refusal.value)


def test_shapes_are_compared_before_any_weight_is_read(copy: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (copy / "manifest.json").unlink()
    rewrite_config(hidden_size=64)(copy)

    def too_early(*_: Any) -> None:
        raise AssertionError("weights were read although the shapes disagree")

    monkeypatch.setattr(weight_files, "_read_weights", too_early)
    with pytest.raises(CheckpointError, match="has shape"):
        open_checkpoint(copy)


@pytest.mark.parametrize(
    ("manifest", "says"),
    [
        ({}, "lists no files"),
        ({"files": {}}, "its manifest knows nothing"),
        ({"files": {"../secret": {}}}, "its manifest knows nothing"),
    ],
)
def test_a_strange_manifest_is_refused(copy: Path, manifest: dict[str, Any], says: str) -> None:
    (copy / "manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(CheckpointError, match=says):
        open_checkpoint(copy)


def test_a_manifest_cannot_point_outside_its_folder(copy: Path) -> None:
    manifest = json.loads((copy / "manifest.json").read_text())
    manifest["files"]["../secret"] = {"bytes": 1, "sha256": ""}
    (copy / "manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(CheckpointError, match="outside the folder"):
        open_checkpoint(copy)


def test_weights_added_later_are_not_trusted(copy: Path) -> None:
    shutil.copy(copy / "model.safetensors", copy / "model-00001-of-00002.safetensors")
    with pytest.raises(CheckpointError, match=r"model-00001-of-00002\.safetensors"):
        open_checkpoint(copy)


def test_no_folder_no_checkpoint(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="there is no checkpoint folder"):
        open_checkpoint(tmp_path / "nowhere")


def test_saving_again_replaces_and_leaves_nothing_behind(
    tmp_path: Path, tiny_model: LiteLlama, tokenizer: Tokenizer
) -> None:
    for number in (1, 2):
        save(tmp_path / "model", tiny_model, tokenizer, card={"number": number})
        assert open_checkpoint(tmp_path / "model").card == {"number": number}
    assert [path.name for path in tmp_path.iterdir()] == ["model"]
    names = {"config.json", "model.safetensors", "tokenizer.json", "manifest.json", "card.json"}
    assert {path.name for path in (tmp_path / "model").iterdir()} == names


class Killed(BaseException):
    """Stands for the end of the process at this point."""


@pytest.mark.parametrize("point", range(7))
@pytest.mark.fault(27)
def test_a_save_killed_at_any_step_leaves_the_old_checkpoint(
    tmp_path: Path, tiny_model: LiteLlama, tokenizer: Tokenizer, monkeypatch: pytest.MonkeyPatch, point: int
) -> None:
    """Points 0 to 4 lie before each file, 5 before the swap, 6 between its two renames."""
    folder = save(tmp_path / "model", tiny_model, tokenizer, card={"number": 1})
    rename, write, written = Path.rename, checkpoint.write_file, 0

    def write_or_die(path: Path, how: Callable[[Path], None]) -> None:
        nonlocal written
        if written == point:
            raise Killed
        written += 1
        write(path, how)

    def rename_or_die(source: Path, target: Path) -> Path:
        if point == 5 or source != folder:
            raise Killed
        return rename(source, target)

    with monkeypatch.context() as patch:
        patch.setattr(checkpoint, "write_file", write_or_die)
        patch.setattr(folder_module, "write_file", write_or_die)  # of the manifest
        patch.setattr(Path, "rename", rename_or_die)
        patch.setattr(shutil, "rmtree", lambda *_, **__: None)  # a killed process does not tidy up either
        with pytest.raises(Killed):
            save(folder, tiny_model, tokenizer, card={"number": 2})
    assert open_checkpoint(folder).card == {"number": 1}
    assert previous_folder(folder).exists() == (point == 6)
    assert [row["name"] for row in list_models(tmp_path) if row["kind"] == "checkpoint"] in (["model"], [])
    save(folder, tiny_model, tokenizer, card={"number": 3})
    assert open_checkpoint(folder).card == {"number": 3}


def test_a_broken_model_is_not_saved_over_a_good_one(
    tmp_path: Path, tiny_model: LiteLlama, tokenizer: Tokenizer
) -> None:
    folder = save(tmp_path / "model", tiny_model, tokenizer)
    with torch.no_grad():
        tiny_model.model.norm.weight[0] = torch.inf
    with pytest.raises(ValueError, match=r"model\.norm\.weight holds numbers that are not finite"):
        save(folder, tiny_model, tokenizer)
    assert open_checkpoint(folder).verified
    assert [path.name for path in tmp_path.iterdir()] == ["model"]


def test_a_config_that_may_not_be_read_does_not_end_the_list(
    tmp_path: Path, tiny_checkpoint: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("good", "shut"):
        shutil.copytree(tiny_checkpoint, tmp_path / name)
    read = Path.read_text

    def read_unless_shut(path: Path, **how: str) -> str:
        if path.parent.name == "shut":
            raise PermissionError(f"{path} is not yours")
        return read(path, **how)

    monkeypatch.setattr(Path, "read_text", read_unless_shut)
    rows = {row["name"]: row for row in list_models(tmp_path) if row["kind"] == "checkpoint"}
    assert rows["good"]["parameters"] == TINY.num_parameters
    assert "is not yours" in rows["shut"]["problem"]


def test_listing_names_presets_checkpoints_and_what_is_broken(tmp_path: Path, tiny_checkpoint: Path) -> None:
    shutil.copytree(tiny_checkpoint, tmp_path / "good")
    (tmp_path / "bad").mkdir()
    (tmp_path / "bad" / "config.json").write_text("{}")
    rows = {row["name"]: row for row in list_models(tmp_path)}
    assert list(rows) == [*PRESETS, "bad", "good"]
    assert rows["llama2-7b"]["kind"] == "preset"
    assert rows["llama2-7b"]["parameters"] == 6_738_415_616
    assert rows["good"]["kind"] == "checkpoint"
    assert rows["good"]["parameters"] == TINY.num_parameters
    assert rows["bad"]["parameters"] is None
    assert "no entry" in rows["bad"]["problem"]
