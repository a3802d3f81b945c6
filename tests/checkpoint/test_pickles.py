"""Pickles become safetensors once and apart; a harmful one harms nothing, and no fault leaves anything behind."""

from __future__ import annotations

import json
import os
import pickle
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import torch
from safetensors.torch import load_file

from litellama.__main__ import main
from litellama.checkpoint import CheckpointError, open_checkpoint, pickle_process
from litellama.checkpoint import pickles as conversion
from litellama.checkpoint.pickles import convert, pickles
from litellama.cli import convert as conversion_command
from tests.support.folders import llama2_config, llama2_tokenizer, write_folder

SMALL = {
    "hidden_size": 16, "intermediate_size": 24, "num_attention_heads": 4, "num_key_value_heads": 2, "vocab_size": 263,
    "num_hidden_layers": 2,
}  # fmt: skip
Capture = pytest.CaptureFixture[str]
EMBEDDING, HEAD = "model.embed_tokens.weight", "lm_head.weight"


def make(folder: Path, shards: int = 1, **changes: Any) -> Path:
    """A folder with pickles alone; its weights as `expected.pt` beside it."""
    write_folder(folder, llama2_config(**SMALL, **changes), llama2_tokenizer(), torch.float16, shards)
    places, weights = {}, {}
    for number, path in enumerate(sorted(folder.glob("*.safetensors")), 1):
        part = load_file(path)
        name = "pytorch_model.bin" if shards == 1 else f"pytorch_model-{number:05}-of-{shards:05}.bin"
        torch.save(part, folder / name)
        weights |= part
        places |= dict.fromkeys(part, name)
        path.unlink()
    (folder / "model.safetensors.index.json").unlink(missing_ok=True)
    if shards > 1:
        (folder / "pytorch_model.bin.index.json").write_text(json.dumps({"weight_map": places}), encoding="utf-8")
    torch.save(weights, folder.parent / "expected.pt")
    return folder


def same_weights(folder: Path) -> None:
    expected = torch.load(folder.parent / "expected.pt", weights_only=True)
    opened = open_checkpoint(folder, dtype=None)
    for name, weight in opened.model.named_parameters():
        assert weight.dtype == torch.float16
        assert torch.equal(weight, expected[name])
    assert opened.verified


def listing(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize("shards", [1, 3])
def test_beside_the_pickles(tmp_path: Path, shards: int) -> None:
    folder = make(tmp_path / "m", shards)
    before = listing(folder)
    with pytest.raises(CheckpointError, match="python -m litellama convert"):
        open_checkpoint(folder)
    news = list(convert(folder))
    assert [(one.number, one.count) for one in news] == [(number, shards) for number in range(1, shards + 1)]
    same_weights(folder)
    after = listing(folder)
    assert before.items() <= after.items(), "what was there is there as it was"
    added = {"manifest.json", *(one.name for one in news)} | ({"model.safetensors.index.json"} if shards > 1 else set())
    assert after.keys() - before.keys() == added
    with pytest.raises(CheckpointError, match=r"has model\.safetensors.* already; there is nothing to convert"):
        list(convert(folder))


@pytest.mark.parametrize("shards", [1, 2])
def test_into_a_new_folder_with_all_that_belongs_to_the_model(tmp_path: Path, shards: int) -> None:
    folder = make(tmp_path / "m", shards)
    for name in ("LICENSE.txt", "USE_POLICY.md", "LICENSE", "card.json", "modeling.py", "notes.pt"):
        (folder / name).write_text("{}", encoding="utf-8")
    before = listing(folder)
    list(convert(folder, tmp_path / "new"))
    assert listing(folder) == before
    weights = {"model.safetensors"} if shards == 1 else {
        "model.safetensors.index.json", "model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors",
    }  # fmt: skip
    others = {"config.json", "tokenizer.json", "manifest.json", "LICENSE.txt", "USE_POLICY.md", "LICENSE"}
    assert listing(tmp_path / "new").keys() == weights | others
    same_weights(tmp_path / "new")
    with pytest.raises(CheckpointError, match=r"there is a .*new already"):
        list(convert(folder, tmp_path / "new"))


def test_shared_old_and_computed_weights(tmp_path: Path) -> None:
    folder = make(tmp_path / "m", tie_word_embeddings=True)
    weights = torch.load(folder / "pytorch_model.bin", weights_only=True)
    weights[HEAD] = weights[EMBEDDING]  # the same memory, as PyTorch stores a tied head
    weights["model.layers.0.self_attn.rotary_emb.inv_freq"] = torch.ones(2)
    weights["model.norm.weight"] = torch.nn.Parameter(weights["model.norm.weight"])
    weights["model.layers.0.mlp.down_proj.weight"] = weights["model.layers.0.mlp.down_proj.weight"].t().contiguous().t()
    torch.save(weights, folder / "pytorch_model.bin", _use_new_zipfile_serialization=False)  # as before PyTorch 1.6
    list(convert(folder))
    same_weights(folder)


def test_a_manifest_that_was_there_is_checked_and_kept(tmp_path: Path) -> None:
    folder = make(tmp_path / "m")
    conversion.write_manifest(folder, ["config.json", "tokenizer.json", "pytorch_model.bin"])
    good = (folder / "pytorch_model.bin").read_bytes()
    (folder / "pytorch_model.bin").write_bytes(good[:-1] + b"x")
    with pytest.raises(CheckpointError, match=r"pytorch_model\.bin in m is not the file that was saved"):
        list(convert(folder))
    (folder / "pytorch_model.bin").write_bytes(good)
    list(convert(folder))
    names = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))["files"].keys()
    assert names == {"config.json", "tokenizer.json", "model.safetensors"}
    (folder / "pytorch_model.bin").unlink()
    same_weights(folder)


# --- What is refused -------------------------------------------------------------------------------------------------


class Harm(NamedTuple):
    """Unpickled, it creates a file."""

    file: str

    def __reduce__(self) -> tuple[Any, ...]:
        return os.system, (f"touch {self.file}",)


class Quiet(NamedTuple):
    """Unpickled, it creates a file with no other program's help."""

    file: str

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mknod, (self.file,)


def old_pickle(value: Any, path: Path) -> None:
    path.write_bytes(pickle.dumps(value, protocol=2))


@pytest.mark.parametrize("save", [torch.save, old_pickle])
@pytest.mark.parametrize("harm", [Harm, Quiet])
def test_a_malicious_pickle_is_refused_and_does_nothing(
    tmp_path: Path, save: Callable[[Any, Path], None], harm: Callable[[str], Any]
) -> None:
    folder, sign = make(tmp_path / "m"), tmp_path / "harm"
    save({"model.norm.weight": harm(str(sign))}, folder / "pytorch_model.bin")
    pickle.loads(pickle.dumps(harm(str(sign))))
    assert sign.exists(), "otherwise it would not be harmful"
    sign.unlink()
    before = listing(folder)
    with pytest.raises(CheckpointError, match=r"asks for \w+\.\w+, which no weights need, so it may be") as refusal:
        list(convert(folder))
    assert "\n" not in str(refusal.value)
    assert "weights_only" not in str(refusal.value), "torch's advice is to read it without protection"
    assert not sign.exists()
    assert listing(folder) == before
    assert sorted(path.name for path in tmp_path.iterdir()) == ["expected.pt", "m"]


def overwrite(name: str, change: Callable[[torch.Tensor], Any]) -> Callable[[Path], None]:
    def do(folder: Path) -> None:
        weights = torch.load(folder / "pytorch_model.bin", weights_only=True)
        torch.save(weights | {name: change(weights[name])}, folder / "pytorch_model.bin")

    return do


def content(change: Callable[[bytes], bytes]) -> Callable[[Path], None]:
    return lambda folder: (
        (folder / "pytorch_model.bin").write_bytes(change((folder / "pytorch_model.bin").read_bytes())) and None
    )


FAULTS: dict[str, tuple[Callable[[Path], None], str]] = {
    "cut short": (content(lambda all: all[:-100]), "it is damaged, or not what PyTorch writes"),
    "cut in half": (content(lambda all: all[: len(all) // 2]), "it is damaged, or not what PyTorch writes"),
    "empty": (content(lambda all: b""), "it is damaged, or not what PyTorch writes"),
    "a text": (content(lambda all: b"version https://git-lfs.github.com/spec/v1\n"), "it is damaged, or not"),
    "a newer pickle": (content(lambda all: pickle.dumps({"a": 1}, protocol=5)), "it is damaged, or not"),
    "a list": (lambda folder: torch.save([torch.ones(2)], folder / "pytorch_model.bin"), "holds no weights by name"),
    "numbers as names": (
        lambda folder: torch.save({3: torch.ones(2)}, folder / "pytorch_model.bin"), "holds no weights by name",
    ),
    "a number": (overwrite(HEAD, lambda weight: 3), "lm_head.weight in it is no plain tensor"),
    "sparse": (overwrite(HEAD, lambda weight: weight.float().to_sparse()), "lm_head.weight in it is no plain tensor"),
    "one number as a trillion": (
        overwrite(HEAD, lambda weight: torch.ones(1).expand(10**12)), "claims more numbers than there are",
    ),
}  # fmt: skip


@pytest.mark.filterwarnings("ignore:Detected pickle protocol")
@pytest.mark.parametrize(("break_it", "says"), FAULTS.values(), ids=FAULTS.keys())
def test_a_pickle_of_anything_but_weights_is_refused_in_words(
    tmp_path: Path, break_it: Callable[[Path], None], says: str
) -> None:
    """In this process, for its speed; the tests above and below are of the other one."""
    folder = make(tmp_path / "m")
    break_it(folder)
    answer = pickle_process.answer(str(folder / "pytorch_model.bin"), str(tmp_path / "new"))
    assert answer.keys() == {"problem"}
    assert says in answer["problem"]
    assert "\n" not in answer["problem"]
    assert not (tmp_path / "new").exists()


@pytest.mark.parametrize("in_place", [True, False])
@pytest.mark.parametrize(
    ("break_it", "says"),
    [
        (content(lambda all: all[:-100]), r"pytorch_model\.bin in m was not converted: it is damaged"),
        (overwrite(HEAD, lambda weight: weight[:5]), r"lm_head\.weight has shape \(5, 16\)"),
        (overwrite(HEAD, lambda weight: weight * torch.nan), "not finite"),
        (lambda folder: (folder / "config.json").unlink(), r"no file config\.json"),
    ],
)
def test_a_fault_leaves_nothing_behind(
    tmp_path: Path, break_it: Callable[[Path], None], says: str, in_place: bool
) -> None:
    folder = make(tmp_path / "m")
    break_it(folder)
    before = listing(folder)
    with pytest.raises(CheckpointError, match=says):
        list(convert(folder, None if in_place else tmp_path / "new"))
    assert listing(folder) == before
    assert sorted(path.name for path in tmp_path.iterdir()) == ["expected.pt", "m"]


def test_a_process_that_is_killed_is_told_of(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = make(tmp_path / "m")
    monkeypatch.setattr(conversion.sys, "executable", "/bin/false")
    with pytest.raises(CheckpointError, match="was not converted: the process that read it ended with status 1"):
        list(convert(folder))
    assert not (folder / "model.safetensors").exists()


def test_a_conversion_that_is_left_half_way_leaves_nothing(tmp_path: Path) -> None:
    folder = make(tmp_path / "m", shards=3)
    before = listing(folder)
    for out in (None, tmp_path / "new"):
        going = convert(folder, out)
        assert next(going).number == 1
        going.close()  # type: ignore[attr-defined]
        assert listing(folder) == before
    assert sorted(path.name for path in tmp_path.iterdir()) == ["expected.pt", "m"]


def test_a_disk_that_is_too_full_is_found_out_before(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = make(tmp_path / "m")
    usage = type("Usage", (), {"free": 100})()
    monkeypatch.setattr(conversion.shutil, "disk_usage", lambda path: usage)
    monkeypatch.setattr(conversion, "_run", lambda *_: pytest.fail("it began all the same"))
    with pytest.raises(CheckpointError, match="on the disk, where"):
        list(convert(folder))


def test_where_there_is_nothing_to_convert(tmp_path: Path) -> None:
    folder = make(tmp_path / "m", shards=2)
    (folder / "pytorch_model-00002-of-00002.bin").unlink()
    with pytest.raises(CheckpointError, match=r"no file pytorch_model-00002-of-00002\.bin"):
        pickles(folder)
    (folder / "pytorch_model.bin.index.json").unlink()
    with pytest.raises(CheckpointError, match="there is nothing to convert"):
        pickles(folder)


ACTS = (
    "open(harm, 'w')", "os.open(harm, os.O_WRONLY | os.O_CREAT)", "os.mkdir(harm)", "os.system('touch ' + harm)",
    "subprocess.run(['touch', harm])", "os.symlink('x', harm)", "os.rename(__file__, harm)", "os.remove(__file__)",
    "socket.socket()", "os.fork()", "os.execv('/bin/touch', ['touch', harm])",
)  # fmt: skip
PROGRAM = """
import os, socket, subprocess, sys
from litellama.checkpoint.pickle_process import confine
confine()
harm = sys.argv[1]
for act in sys.argv[2:]:
    try:
        exec(act)
    except PermissionError as refused:
        assert "it asks" in str(refused), act
    else:
        print("not refused:", act)
"""


def test_the_process_that_reads_pickles_can_do_nothing_else(tmp_path: Path) -> None:
    program = tmp_path / "program.py"
    program.write_text(PROGRAM, encoding="utf-8")
    root = str(Path(__file__).resolve().parents[2])
    ended = subprocess.run(
        [sys.executable, str(program), str(tmp_path / "harm"), *ACTS],
        env=os.environ | {"PYTHONPATH": root}, capture_output=True, text=True,
    )  # fmt: skip
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, "", "")
    assert [path.name for path in tmp_path.iterdir()] == ["program.py"]


def test_it_is_confined_before_the_first_pickle(monkeypatch: pytest.MonkeyPatch, capsys: Capture) -> None:
    done: list[object] = []
    monkeypatch.setattr(pickle_process, "confine", lambda: done.append("confined"))
    monkeypatch.setattr(pickle_process, "answer", lambda *pair: done.append(pair))
    pickle_process.main("a", "b", "c", "d")
    assert done == ["confined", ("a", "b"), ("c", "d")]
    assert capsys.readouterr().out == "null\nnull\n"


# --- The command -----------------------------------------------------------------------------------------------------


def command(capsys: Capture, *arguments: str) -> tuple[object, str, str]:
    with pytest.raises(SystemExit) as end:
        main(["convert", *arguments])
    captured = capsys.readouterr()
    return end.value.code, captured.out, captured.err


def test_the_command_asks_first(tmp_path: Path, capsys: Capture, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = make(tmp_path / "m")
    before = listing(folder)
    status, _, _ = command(capsys, str(folder))
    assert "no terminal to ask at; give --yes" in str(status)
    monkeypatch.setattr("sys.stdin.isatty", lambda: True, raising=False)
    for done in (False, True):
        monkeypatch.setattr(conversion_command.typer, "confirm", lambda *_, **__: done)  # noqa: B023
        status, out, err = command(capsys, str(folder))
        assert "are Python pickles, which can hold programs" in err
        assert (listing(folder) != before) == done
        if done:
            assert (status or 0, out.strip()) == (0, str(folder))
        else:
            assert "nothing was done" in str(status)
    same_weights(folder)


def test_the_command_says_what_is_wrong(tmp_path: Path, capsys: Capture) -> None:
    folder = make(tmp_path / "m")
    assert command(capsys, str(folder), "--yes", "--out", str(tmp_path / "new"))[0] in (None, 0)
    same_weights(tmp_path / "new")
    status, _, _ = command(capsys, str(folder), "--yes", "--out", str(tmp_path / "new"))
    assert str(status).startswith("litellama convert: there is a ")
    status, _, _ = command(capsys, "nowhere-at-all", "--yes")
    assert "there is no checkpoint folder" in str(status)
