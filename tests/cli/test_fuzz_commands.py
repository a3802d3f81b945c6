"""Every command with any options and any files: it does its work or says in a sentence why not, and stays in place."""

from __future__ import annotations

import importlib.machinery
import importlib.util
import io
import os
import re
import shutil
import sys
import tempfile
from collections.abc import Callable, Sequence
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import typer
from hypothesis import given
from hypothesis import strategies as st

from app.__main__ import main as app_main
from lessons.__main__ import cli as lessons_cli
from litellama.checkpoint.archive import pack
from litellama.cli.main import app as litellama_app
from litellama.cli.main import main as litellama_main
from tests.support.arbitrary import NASTY, bodies, examples, harmed
from tests.support.confined import confined

ROOT = Path(__file__).resolve().parents[2]

# What each command is given before anything is added to it: such that it ends within a moment, by its smallest work or
# by refusing. A new command is to be added here: a test below finds it. In braces: what `Place` prepares.
COMMANDS: dict[str, tuple[str, ...]] = {
    "chat": (
        "--checkpoint {tiny} --max-new-tokens 3", "--checkpoint {broken} --max-new-tokens 3", "--checkpoint {any}",
    ),
    "generate": (
        "--checkpoint {tiny} --max-new-tokens 3 --prompt {any}",
        "--checkpoint {tiny} --max-new-tokens 3 --prompt-ids {any}",
        "--checkpoint {broken} --max-new-tokens 3 --prompt Hi", "--checkpoint {any} --prompt Hi",
    ),
    "list": ("",),
    "train": (
        "--plan", "--plan --preset {any} --gpu {any} --country {any}", "--steps 1", "--out {new} --corpus {none}",
        "--out {new} --from {empty} --corpus tinytown", "--out {new} --tokenizer {file} --corpus {none}",
        "--out {empty} --resume --corpus {none}",
    ),
    "evaluate": ("{broken} --documents 3", "{tiny} --documents 3", "{any} --documents 3"),
    "sweep": ("--corpus {none} --out {new}", "--corpus {none} --out {new} --sizes {any} --tokens-per-size {any}"),
    "trust": ("{broken} --questions 0", "{empty} --questions {any}", "{any}"),
    "probe": ("{broken} --probe {any}", "{tiny} --probe {any}", "{any}"),
    "compare": ("", "--models {any}"),
    "export": (
        "{broken} --format hf --out {new}", "{tiny} --format hf --out {new}", "{tiny} --format {any} --out {new}",
        "{any} --format gguf --out {new}",
    ),
    "convert": ("{broken} --yes", "{any} --yes", "{empty} --out {new}"),
    "pack": ("{broken} --out {new}", "{tiny} --out {new}", "{any} --out {new}"),
    "unpack": ("{zip} --into {new}", "{file} --into {new}", "{any} --into {new}"),
    "download": ("{any} --yes --to {new}", "nobody/nothing --yes --to {new} --revision {any}"),
    "bench": (
        "{broken} --new-tokens 2 --rounds 1", "{tiny} --new-tokens 2 --rounds 1 --precisions {any}",
        "{tiny} --new-tokens 2 --rounds 1 --precisions float32 --text {file}", "{any} --new-tokens 2 --rounds 1",
    ),
    "doctor": ("",),
}  # fmt: skip
LESSONS: dict[str, tuple[str, ...]] = {
    "lab": ("--help",),  # or JupyterLab would be opened
    "build": ("{any}",),  # or the notebooks would be written anew
    "sheet": ("{csv} --out {new}", "{file} --out {new}", "{any} --out {new}"),
}
NOT_ADDED = {"--measure"}  # takes minutes
SHEET = b"pupil,exercise,tries,solved\nMia,1.2,3,2026-11-23\nTom,1.10,1,\n"

# An argument holds no NUL, and bytes that are no text come as half characters of one kind.
NUMBERS = ("0", "-1", "1", "nan", "inf", "-inf", "1e308", "9" * 20, "9" * 400, "0.5", "1_000", "٣", "1,2,3", "1,,2")
OTHERS = ("\udcff", "--", "-", "--help", "~", ".", "..", "/", "/dev/null", "a/b", "int4", "gguf", "\n", "tiny", "hf")
arguments = st.one_of(
    st.sampled_from([text.replace("\0", "") for text in NASTY if not re.search("[\ud800-\udfff]", text)]),
    st.sampled_from((*NUMBERS, *OTHERS)),
    st.text(st.characters(exclude_characters="\0", exclude_categories=("Cs",)), max_size=12),
)


@dataclass
class Ended:
    """How a command ended."""

    status: int
    out: str
    err: str


def run(main: Callable[[Sequence[str]], Any], line: Sequence[str], typed: str = "") -> Ended:
    """Run a command in this process as a terminal would."""
    out = io.TextIOWrapper(io.BytesIO(), "utf-8", "surrogateescape", write_through=True)
    err = io.TextIOWrapper(io.BytesIO(), "utf-8", "backslashreplace", write_through=True)
    before, sys.stdin = sys.stdin, io.StringIO(typed)
    try:
        with redirect_stdout(out), redirect_stderr(err):
            status = main(line)
            status = status if isinstance(status, int) else 0
    except SystemExit as end:
        status = 0 if end.code is None else end.code if isinstance(end.code, int) else 1
        if isinstance(end.code, str):
            err.write(end.code)
    finally:
        sys.stdin = before
    told = [stream.buffer.getvalue().decode("utf-8", "replace") for stream in (out, err)]  # type: ignore[attr-defined]
    return Ended(status, *told)


def check(ended: Ended, *, quiet: bool = False) -> None:
    assert ended.status in (0, 1, 2, 130), ended
    assert "Traceback" not in ended.out + ended.err, ended
    if ended.status:
        assert ended.err.strip() or quiet, "it says nothing of why"


@dataclass
class Place:
    """A folder in which a command runs, with what it may be given."""

    folder: Path
    data: st.DataObject
    tiny: Path

    def filled(self, line: str) -> list[str]:
        return [self._word(word) for word in line.split()]

    def _word(self, word: str) -> str:
        found = re.fullmatch(r"\{(\w+)\}", word)
        return str(getattr(self, f"_{found[1]}")()) if found else word

    def _any(self) -> str:
        return str(self.data.draw(arguments, label="argument"))

    def _tiny(self) -> Path:
        return self.tiny

    def _new(self) -> Path:
        return self.folder / "new"

    def _none(self) -> Path:
        return self.folder / "not-there.txt"

    def _empty(self) -> Path:
        """A folder with a configuration of some kind, and nothing else."""
        folder = self.folder / "empty"
        folder.mkdir(exist_ok=True)
        (folder / "config.json").write_bytes(self.data.draw(bodies, label="config.json"))
        return folder

    def _broken(self) -> Path:
        """A checkpoint of which one file is harmed or holds something else."""
        folder = self.folder / "broken"
        shutil.copytree(self.tiny, folder)
        name = self.data.draw(st.sampled_from(sorted(path.name for path in folder.iterdir())), label="harmed")
        sound = (folder / name).read_bytes()
        (folder / name).write_bytes(self.data.draw(st.one_of(harmed(sound), bodies), label="with"))
        if self.data.draw(st.booleans(), label="without a manifest"):  # which would notice it at once
            (folder / "manifest.json").unlink(missing_ok=True)
        return folder

    def _file(self) -> Path:
        name = "file" + self.data.draw(st.sampled_from((".txt", ".json", ".jsonl", ".md", ".zip", ".csv", "")))
        (self.folder / name).write_bytes(self.data.draw(bodies, label="file"))
        return self.folder / name

    def _zip(self) -> Path:
        packed = io.BytesIO()
        pack(self.tiny, packed)
        (self.folder / "model.zip").write_bytes(self.data.draw(harmed(packed.getvalue()), label="zip"))
        return self.folder / "model.zip"

    def _csv(self) -> Path:
        (self.folder / "progress.csv").write_bytes(self.data.draw(harmed(SHEET), label="csv"))
        return self.folder / "progress.csv"


def options_of(command: Any) -> list[tuple[str, bool]]:
    """A command's options, and whether each stands alone."""
    return [
        (name, bool(one.is_flag))
        for one in command.params
        if one.param_type_name == "option"
        for name in (*one.opts, *one.secondary_opts)
        if name not in NOT_ADDED
    ]


def tried(
    data: st.DataObject, tiny: Path, main: Callable[[Sequence[str]], Any], before: list[str], lines: tuple[str, ...],
    options: list[tuple[str, bool]],
) -> Ended:  # fmt: skip
    """Run one of `lines` with some of `options` added, in a folder of its own that it may not leave."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name).resolve()
        line = data.draw(st.sampled_from(lines), label="line")
        words = [*before, *Place(folder, data, tiny).filled(line)]
        free = [option for option in options if option[0] not in words and option[0] != "--help"]
        for option, alone in data.draw(st.lists(st.sampled_from(free), max_size=2), label="options") if free else []:
            words += [option] if alone else [option, data.draw(arguments, label="value")]
        typed = data.draw(st.lists(arguments, max_size=2), label="typed")
        kept, temporary = Path.cwd(), tempfile.tempdir
        os.chdir(folder)
        tempfile.tempdir = str(folder)
        try:
            with confined(folder) as guard:
                ended = run(main, words, "\n".join(typed))
        finally:
            os.chdir(kept)
            tempfile.tempdir = temporary
    assert guard.tried == []
    return ended


@pytest.fixture(autouse=True)
def nowhere(monkeypatch: pytest.MonkeyPatch) -> None:
    """The hub is a port of this machine at which nobody answers."""
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    monkeypatch.delenv("HF_HUB_OFFLINE", raising=False)
    monkeypatch.setattr(sys, "dont_write_bytecode", True)


litellama_group: Any = typer.main.get_command(litellama_app)
lessons_group: Any = typer.main.get_command(lessons_cli)


def lessons_main(line: Sequence[str]) -> None:
    lessons_cli(args=list(line))


def test_every_command_is_among_those_tried() -> None:
    assert set(COMMANDS) == set(litellama_group.list_commands(None))
    assert set(LESSONS) == set(lessons_group.list_commands(None))


@pytest.mark.parametrize("command", sorted(COMMANDS))
@given(data=st.data())
@examples(12)
def test_any_command_of_the_lab_ends_in_a_sentence(tiny_checkpoint: Path, command: str, data: st.DataObject) -> None:
    options = options_of(litellama_group.get_command(None, command))
    ended = tried(data, tiny_checkpoint, litellama_main, [command], COMMANDS[command], options)
    check(ended, quiet=command == "doctor")


@pytest.mark.parametrize("command", sorted(LESSONS))
@given(data=st.data())
@examples(12)
def test_any_command_of_the_lessons_ends_in_a_sentence(
    tiny_checkpoint: Path, command: str, data: st.DataObject
) -> None:
    options = [] if command == "lab" else options_of(lessons_group.get_command(None, command))
    check(tried(data, tiny_checkpoint, lessons_main, [command], LESSONS[command], options))


@pytest.mark.parametrize(
    "rows",
    [
        "Mia,1.2,3,2026-11-23\nTom,1.10,1,", "Mia,1.2", "Mia,1.2,3,,,", "Mia,one,3,", "Mia,1.2,-1,", "Mia,1..2,1,",
        "Mia,\u0663,1,", "Mia,1.2,\u0663,", '"' + "x" * 200_000, "Mia,1.2,1,\0", "Mia,1." + "9" * 5000 + ",1,",
    ],
)  # fmt: skip
def test_a_sheet_with_any_rows_ends_in_a_sentence(tmp_path: Path, rows: str) -> None:
    (tmp_path / "progress.csv").write_text(f"pupil,exercise,tries,solved\n{rows}\n", encoding="utf-8")
    ended = run(lessons_main, ["sheet", str(tmp_path / "progress.csv"), "--out", str(tmp_path / "class.csv")])
    check(ended)


def test_a_class_sheet_leaves_out_what_somebody_did_not_try(tmp_path: Path) -> None:
    (tmp_path / "progress.csv").write_bytes(SHEET)
    run(lessons_main, ["sheet", str(tmp_path / "progress.csv"), "--out", str(tmp_path / "class.csv")])
    assert (tmp_path / "class.csv").read_text() == "pupil,solved,1.2,1.10\nMia,1,3,\nTom,0,,-\n"


@given(line=st.lists(arguments, max_size=3))
@examples(40)
def test_what_is_no_command_ends_in_a_sentence(line: list[str]) -> None:
    for main in (litellama_main, lessons_main):
        check(run(main, ["no-command", *line]))


# --- The app ---------------------------------------------------------------------------------------------------------

APP = (
    "--no-browser --port 0 --checkpoint {empty}", "--no-browser --port 0 --checkpoint {any}",
    "--no-browser --port {any} --checkpoint {empty}",
)  # fmt: skip


def app_options() -> list[tuple[str, bool]]:
    """From the app's own help, which names each with what it takes."""
    shown = run(app_main, ["--help"]).out
    found = re.findall(r"^  (--[\w-]+)(?: ([A-Z_]+))?", shown, re.MULTILINE)
    assert len(found) > 8, shown
    return [(name, not value) for name, value in found]


@given(data=st.data())
@examples(40)
def test_any_option_of_the_app_ends_in_a_sentence(tiny_checkpoint: Path, data: st.DataObject) -> None:
    """Its model cannot be opened, so it never begins to serve."""
    ended = tried(data, tiny_checkpoint, app_main, [], APP, app_options())
    check(ended)
    assert ended.status == 2 or "--help" in ended.out


# --- run -------------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def script() -> ModuleType:
    loader = importlib.machinery.SourceFileLoader("run_script", str(ROOT / "run"))
    spec = importlib.util.spec_from_loader("run_script", loader)
    assert spec is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["run_script"] = module
    loader.exec_module(module)
    return module


@given(name=arguments, options=st.lists(arguments, max_size=3))
@examples(100)
def test_any_task_is_planned_or_refused_in_a_sentence(script: ModuleType, name: str, options: list[str]) -> None:
    tasks = script.read_tasks(ROOT / "pixi.toml")
    for wanted in (name, *tasks):
        try:
            steps = script.plan(tasks, wanted, options)
        except script.Problem as problem:
            steps = [(None, [str(problem)])]
        assert all(word for _, command in steps for word in command[:1])
