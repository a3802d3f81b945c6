"""A GGUF file opens as a model: every kind of weights, as llama.cpp reads it, and nothing that is unsound."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from litellama.__main__ import main
from litellama.checkpoint import CheckpointError, Opened, find_checkpoint, list_models, open_checkpoint, save_checkpoint
from litellama.checkpoint.gguf.header import BLOCKS, read_header
from litellama.checkpoint.gguf.names import pair_halves, pair_neighbours
from litellama.checkpoint.gguf.shape import read_config, rope_scaling
from litellama.checkpoint.gguf.weights import GGUFWeights
from litellama.checkpoint.precision import open_for_use
from litellama.config import RopeScaling
from litellama.export.gguf_file import rotary_factors
from litellama.model import LiteLlama
from litellama.quantize import PRECISIONS
from litellama.tokenizer import Tokenizer
from tests.conftest import TINY, random_model
from tests.export.test_export import LLAMA3, TINYTOWN, leave
from tests.export.test_gguf_file import only_file
from tests.support.gguf_writing import edited, write, write_kind
from tests.support.llama_cpp import LlamaCpp

WIDE = replace(TINY, hidden_size=256, intermediate_size=512, head_dim=32, num_attention_heads=8, vocab_size=320)
"""K-quants store 256 weights of a row together."""


@pytest.fixture(scope="session")
def wide(tmp_path_factory: pytest.TempPathFactory, tokenizer: Tokenizer) -> Opened:
    folder = tmp_path_factory.mktemp("wide") / "wide"
    model = random_model(replace(WIDE, vocab_size=tokenizer.vocab_size, tie_word_embeddings=False))
    for name, weight in model.named_parameters():
        if weight.dim() == 2:
            weight.data *= 0.3 if "embed" not in name else 1
    save_checkpoint(folder, model, tokenizer, card={})
    return open_checkpoint(folder)


@pytest.fixture(scope="session")
def town(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """TinyTown as one float32 file."""
    return only_file(leave(TINYTOWN, tmp_path_factory.mktemp("town") / "out", "gguf", "float32"))


@pytest.fixture
def file(town: Path, tmp_path: Path) -> Path:
    """A copy of that to be damaged."""
    return Path(shutil.copyfile(town, tmp_path / "town.gguf"))


@torch.no_grad()
def logits(model: LiteLlama, ids: list[int]) -> torch.Tensor:
    return model(torch.tensor([ids])).logits[0]


# --- The same model --------------------------------------------------------------------------------------------------


def test_what_was_exported_comes_back_exactly(town: Path) -> None:
    ours, back = open_checkpoint(TINYTOWN), open_checkpoint(town)
    assert back.config == ours.config
    assert (back.verified, back.card, back.chat_format.kind) == (False, None, "chat")
    for (name, weight), (_, again) in zip(ours.model.named_parameters(), back.model.named_parameters(), strict=True):
        assert torch.equal(weight, again), name
    text = "Tom hid a red ball under the bed. Where is the ball? <|end|> Größe 😀"
    assert back.tokenizer.encode(text) == ours.tokenizer.encode(text)
    assert back.tokenizer.special("<|end|>") == ours.tokenizer.special("<|end|>")


def test_rows_change_places_and_back() -> None:
    weight = torch.arange(24.0).view(12, 2)
    assert torch.equal(pair_halves(pair_neighbours(weight, 6), 6), weight)


@pytest.mark.parametrize("kind", list(BLOCKS))
def test_every_kind_of_weights_is_read_as_llama_cpp_reads_it(kind: str, wide: Opened, tmp_path: Path) -> None:
    """llama.cpp multiplies quantized weights by activations of 8 bits, so what is likely next is compared."""
    file = write_kind(wide, tmp_path / f"{kind}.gguf", kind)
    opened = open_checkpoint(file)
    ids = wide.tokenizer.encode("Tom went to the park. He found a red kite near the old tree.")[:24]
    ours = logits(opened.model, ids).log_softmax(-1)
    with LlamaCpp(file) as engine:
        theirs = engine.log_probabilities(ids)
    divergence = (ours.exp() * (ours - theirs)).sum(-1)
    assert divergence.mean() < (1e-6 if kind == "F32" else 0.01), "mean KL divergence in nats"
    shuffled = (ours.roll(1, 0).exp() * (ours.roll(1, 0) - theirs)).sum(-1)
    assert shuffled.mean() > 50 * divergence.mean(), "the positions' distributions differ, so the bound says something"


@pytest.mark.parametrize("precision", PRECISIONS)
def test_a_file_goes_straight_into_each_precision(precision: str, wide: Opened, tmp_path: Path) -> None:
    file = write_kind(wide, tmp_path / "w.gguf", "Q4_1")
    floats, ids = open_checkpoint(file), list(range(5, 40))
    direct = open_for_use(file, precision).model
    folder = tmp_path / "folder"
    save_checkpoint(folder, floats.model, floats.tokenizer, card={})
    by_way_of_a_folder = open_for_use(folder, precision).model
    assert torch.equal(logits(direct, ids), logits(by_way_of_a_folder, ids))


def test_llama3s_factors_are_recognised(tmp_path: Path) -> None:
    config = replace(TINY, head_dim=16, rope_scaling=LLAMA3)
    factors = torch.from_numpy(rotary_factors(config))
    assert rope_scaling(replace(config, rope_scaling=None), factors) == LLAMA3
    assert rope_scaling(config, torch.ones(8)) is None
    big = replace(config, head_dim=64, rope_theta=500_000.0, rope_scaling=RopeScaling(32.0, 1.0, 4.0, 8192))
    assert rope_scaling(big, torch.from_numpy(rotary_factors(big))) == big.rope_scaling
    with pytest.raises(ValueError, match="not those of Llama 3's scaling"):
        rope_scaling(config, factors.flip(0) + 1)
    with pytest.raises(ValueError, match="has shape"):
        rope_scaling(config, torch.ones(3))


# --- Wherever a folder can be named ----------------------------------------------------------------------------------


def test_a_file_is_found_by_path_by_name_and_in_a_folder(
    town: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "checkpoints" / "mine").mkdir(parents=True)
    shutil.copyfile(town, tmp_path / "checkpoints" / "a.gguf")
    shutil.copyfile(town, tmp_path / "checkpoints" / "mine" / "b.gguf")
    monkeypatch.chdir(tmp_path)
    assert find_checkpoint(town) == town
    assert find_checkpoint("a.gguf").name == "a.gguf"
    assert find_checkpoint("mine").name == "b.gguf"
    rows = {row["name"]: row for row in list_models() if row["kind"] == "checkpoint"}
    assert {name: row["parameters"] for name, row in rows.items()} == dict.fromkeys(("a.gguf", "mine"), 2_951_616)
    assert Path(rows["mine"]["folder"]).name == "b.gguf"
    shutil.copyfile(town, tmp_path / "checkpoints" / "mine" / "c.gguf")
    with pytest.raises(CheckpointError, match="holds 2 GGUF files; name one of them"):
        find_checkpoint("mine")


def test_every_command_takes_a_file(town: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    main_without_exit(["generate", "--checkpoint", str(town), "--prompt", "Who are you?", "--greedy", "--json"])
    said = capsys.readouterr().out
    main_without_exit(["generate", "--checkpoint", str(TINYTOWN), "--prompt", "Who are you?", "--greedy", "--json"])
    without_speed = [text.split('"tokens_per_second"')[0] for text in (said, capsys.readouterr().out)]
    assert without_speed[0] == without_speed[1]
    main_without_exit(["bench", str(town), "--precisions", "float32", "--rounds", "1", "--new-tokens", "2", "--json"])
    assert '"perplexity": ' in capsys.readouterr().out
    main_without_exit(["export", str(town), "--format", "hf", "--out", str(tmp_path / "hf")])
    again = open_checkpoint(tmp_path / "hf")
    assert torch.equal(again.model.lm_head.weight, open_checkpoint(TINYTOWN).model.lm_head.weight)
    assert replace(again.config, eos_token_ids=()) == replace(open_checkpoint(TINYTOWN).config, eos_token_ids=())


def main_without_exit(arguments: list[str]) -> None:
    with suppress(SystemExit):  # a failure has printed nothing that the tests look for
        main(arguments)


# --- What is not sound -----------------------------------------------------------------------------------------------

TENSORS, ENTRIES = 8, 16  # where a header says how many there are


def cut(count: int) -> Callable[[Path], object]:
    return lambda path: path.write_bytes(path.read_bytes()[:count])


def described(name: str, at: int, value: int, packed: str = "<Q") -> Callable[[Path], object]:
    """Another number in a tensor's description, `at` bytes behind its name: dimensions, sizes, kind, offset."""

    def change(path: Path) -> None:
        edited(path, path.read_bytes().index(name.encode()) + len(name) + at, value, packed)

    return change


UNSOUND: dict[str, tuple[Callable[[Path], object], str]] = {
    "empty": (cut(0), "0 bytes long, too short"),
    "another format": (lambda path: path.write_bytes(b"PK\x03\x04" + b"\0" * 100), "is not a GGUF file"),
    "version 1": (lambda path: edited(path, 4, 1, "<I"), "is GGUF of version 1; 2 and 3 are known"),
    "big-endian": (lambda path: edited(path, 4, 3 << 24, "<I"), "big-endian"),
    "cut in the metadata": (cut(300), "its header ends before it is complete"),
    "cut in a list": (cut(3000), "claims a list of"),
    "cut in the weights": (cut(1_000_000), "ends at byte .*, and the file has 1,000,000"),
    "a quintillion tensors": (lambda path: edited(path, TENSORS, 2**60), "claims 1,152,921,504,606,846,976 tensors"),
    "a quintillion entries": (lambda path: edited(path, ENTRIES, 2**60), "entries of metadata"),
    "a key of a petabyte": (lambda path: edited(path, 24, 2**50), "holds a name of"),
    "too many dimensions": (described("blk.0.attn_q.weight", 0, 9, "<I"), "has 9 dimensions"),
    "a row of nothing": (described("blk.0.attn_q.weight", 4, 0), "has the sizes"),
    "a row of an exabyte": (described("blk.0.attn_q.weight", 4, 2**39), "ends at byte|has the sizes"),
    "one row more": (described("blk.0.attn_q.weight", 12, 193), "overlaps another tensor"),
    "another shape": (described("blk.0.attn_q.weight", 12, 64), "has shape .*but the config asks for"),
    "an unknown kind": (described("blk.0.attn_q.weight", 20, 77, "<I"), "is stored as number 77"),
    "a kind that is not read": (described("blk.0.attn_q.weight", 20, 19, "<I"), "is stored as IQ1_S.*Q4_K.*choose"),
    "beyond the end": (described("blk.0.attn_q.weight", 24, 2**40), "ends at byte"),
    "not aligned": (described("blk.0.attn_q.weight", 24, 33), "does not begin where tensors may"),
    "another name": (lambda path: path.write_bytes(path.read_bytes().replace(b"blk.0.attn_q", b"blk.0.attn_z")),
                     "lacks 1 weights .*q_proj"),
    "not a number": (lambda path: path.write_bytes(path.read_bytes()[:-4] + b"\0\0\xc0\x7f"), "not finite"),
}  # fmt: skip


@pytest.mark.parametrize("what", UNSOUND)
def test_an_unsound_file_is_refused_in_one_sentence(what: str, file: Path) -> None:
    change, says = UNSOUND[what]
    change(file)
    with pytest.raises(CheckpointError, match=says) as refusal:
        open_checkpoint(file)
    assert "\n" not in str(refusal.value)
    assert file.name in str(refusal.value)


def test_nothing_is_allocated_for_a_lie(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A list that claims more entries than the file has bytes, and an embedding with more rows."""
    content = file.read_bytes()
    at = content.index(b"tokenizer.ggml.tokens") + len("tokenizer.ggml.tokens") + 8
    edited(file, at, 2**40)
    with pytest.raises(CheckpointError, match="claims a list of 1,099,511,627,776 texts"):
        open_checkpoint(file)


CHANGES: list[tuple[dict[str, Any], str]] = [
    ({"general.architecture": "qwen2"}, "architecture 'qwen2'; only 'llama'"),
    ({"llama.block_count": 7}, "lacks 9 weights"),
    ({"llama.block_count": 5}, "holds 9 weights that its config has no place for"),
    ({"llama.block_count": 10**9}, "has 1000000000 layers but only"),
    ({"llama.block_count": "six"}, "block_count is 'six'"),
    ({"llama.embedding_length": None}, "embedding_length is None"),
    ({"llama.attention.head_count": 5}, "shared out evenly|wide"),
    ({"llama.attention.key_length": 16}, "value_length is 32 and the heads are 16 wide"),
    ({"llama.rope.scaling.type": "yarn"}, r"rope\.scaling\.type is 'yarn'"),
    ({"llama.rope.scaling.factor": 4.0}, r"rope\.scaling\.factor is 4\.0"),
    ({"llama.expert_count": 8}, "expert_count is 8"),
    ({"llama.attention.something_new": 3}, "something_new is 3, and the lab does not know what that changes"),
    ({"llama.vocab_size": 12}, "vocab_size is 12 and the embedding has"),
    ({"split.count": 3}, "one of 3 parts"),
    ({"tokenizer.ggml.pre": "of-tomorrow"}, "'of-tomorrow'.*llama-bpe"),
    ({"tokenizer.ggml.model": "bert"}, "'bert'"),
    ({"tokenizer.ggml.tokens": ["a", "b"]}, "token_type|merge"),
]


@pytest.mark.parametrize(
    ("change", "says"), CHANGES, ids=lambda value: next(iter(value)) if isinstance(value, dict) else ""
)
def test_what_the_metadata_say_is_obeyed_or_refused(
    change: dict[str, Any], says: str, file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    header = read_header(file)
    values = {key: value for key, value in (header.values | change).items() if value is not None}
    monkeypatch.setattr("litellama.checkpoint.load.read_header", lambda _: replace(header, values=values))
    with pytest.raises(CheckpointError, match=says) as refusal:
        open_checkpoint(file)
    assert "\n" not in str(refusal.value)


def test_entries_that_change_nothing_are_let_pass() -> None:
    values = {
        "general.architecture": "llama", "general.name": "anything", "llama.block_count": 2, "llama.context_length": 64,
        "llama.embedding_length": 32, "llama.feed_forward_length": 64, "llama.attention.head_count": 4,
        "llama.attention.head_count_kv": [2, 2], "llama.attention.layer_norm_rms_epsilon": 9.999999747378752e-06,
        "llama.expert_count": 0, "llama.attention.causal": True, "llama.rope.scaling.type": "none",
    }  # fmt: skip
    assert read_config(values, 320, True, None) == replace(TINY, max_position_embeddings=64)


def test_a_listing_says_what_is_wrong_with_a_file(file: Path) -> None:
    cut(300)(file)
    [row] = [row for row in list_models(file.parent) if row["kind"] == "checkpoint"]
    assert "its header ends before it is complete" in row["problem"]


def test_a_file_with_a_head_of_its_own_uses_it(wide: Opened, tmp_path: Path) -> None:
    opened = open_checkpoint(write_kind(wide, tmp_path / "w.gguf", "F32"))
    assert not opened.config.tie_word_embeddings
    assert torch.equal(opened.model.lm_head.weight, wide.model.lm_head.weight)


def test_a_weight_that_is_no_llamas_is_refused(file: Path, wide: Opened, tmp_path: Path) -> None:
    header = read_header(write_kind(wide, tmp_path / "w.gguf", "F32"))
    read = GGUFWeights(header, 1).stored_rows
    tensors = {name: ("F32", read(one, 0, one.shape[0]).numpy()) for name, one in header.tensors.items()}
    tensors["blk.0.attn_q.bias"] = ("F32", tensors["blk.0.attn_norm.weight"][1])
    write(tmp_path / "bias.gguf", header.values, tensors)
    with pytest.raises(
        CheckpointError, match=r"holds 1 weights that its config has no place for, first blk.0.attn_q.bias"
    ):
        open_checkpoint(tmp_path / "bias.gguf")
