"""`run` as a newcomer meets it: real subprocesses in a small copy of the project, with real pip and a real index."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from importlib.machinery import SourceFileLoader
from importlib.util import module_from_spec, spec_from_loader
from pathlib import Path

import pytest

from tests.tools.wheels import make_index, make_wheel

ROOT = Path(__file__).resolve().parents[1]
NOWHERE = "http://127.0.0.1:9"  # the discard port: a connection is refused at once

pytestmark = pytest.mark.skipif(os.name != "posix", reason="fake programs on the PATH are shell scripts here")

PIXI_TOML = """
[environments]
default = { features = [] }
app = ["app"]

[tasks]
plain = "python show.py plain"

[tasks.app]
description = "the app of this copy"
cmd = ["python", "show.py", "app"]
default-environment = "app"

[tasks.both]
description = "two commands"
depends-on = ["plain", "app"]
default-environment = "app"

[tasks._first]
cmd = "python show.py first"

[tasks.after]
description = "needs another one first"
cmd = "python show.py after"
depends-on = "_first"
"""

PYPROJECT = """
[build-system]
requires = []
build-backend = "wheels"
backend-path = ["backend"]

[project]
name = "small-copy"
version = "1.0"
dependencies = ["torch"]
optional-dependencies = { app = ["window>=1"] }
"""

# Prints what it was given and what it finds installed, as one JSON line.
SHOW = """
import importlib.metadata as metadata, json, sys
names = sorted(d.metadata["Name"] for d in metadata.distributions() if d.metadata["Name"] not in ("pip", "setuptools"))
print(json.dumps({"arguments": sys.argv[1:], "installed": {name: metadata.version(name) for name in names}}))
"""


class Copy:
    """A project folder with the real `run` in it, and a clean environment to call it with."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder / "project copy"  # a space in the path is everyday life on Windows and macOS
        (self.folder / "backend").mkdir(parents=True)
        shutil.copy(ROOT / "run", self.folder / "run")
        shutil.copy(ROOT / "tests" / "tools" / "wheels.py", self.folder / "backend" / "wheels.py")
        self.write("pixi.toml", PIXI_TOML)
        self.write("pyproject.toml", PYPROJECT)
        self.write("requirements.txt", "# pins\ntorch==1.0\nwindow==1.5\n")
        self.write("show.py", SHOW)
        self.programs = folder / "programs"
        self.programs.mkdir()
        self.index = f"{NOWHERE}/simple"
        self.cpu_index = f"{NOWHERE}/cpu"
        self.python_path = ""

    def write(self, name: str, text: str) -> None:
        (self.folder / name).write_text(text, encoding="utf-8")

    def add_program(self, name: str, script: str) -> None:
        program = self.programs / name
        program.write_text(f"#!/bin/sh\n{script}\n", encoding="utf-8")
        program.chmod(0o755)

    def run(self, *arguments: str, **changes: str) -> subprocess.CompletedProcess[str]:
        own = ("PIP_", "PYTHON", "LITELLAMA_", "PYTEST_", "COV_")
        environment = {name: value for name, value in os.environ.items() if not name.startswith(own)}
        environment = {name: value for name, value in environment.items() if not name.lower().endswith("_proxy")}
        environment |= {
            "PATH": f"{self.programs}:/usr/bin:/bin",
            "PIP_CONFIG_FILE": os.devnull,
            "PIP_INDEX_URL": self.index,
            "PIP_RETRIES": "0",
            "PIP_NO_CACHE_DIR": "1",
            "LITELLAMA_TORCH_CPU_INDEX": self.cpu_index,
            "PYTHONPATH": self.python_path,
            **changes,
        }
        command = [sys.executable, str(self.folder / "run"), *arguments]
        done = subprocess.run(
            command, cwd=self.folder.parent, env=environment, capture_output=True, text=True, timeout=240, check=False
        )
        assert "Traceback" not in done.stderr, done.stderr
        return done


@pytest.fixture
def copy(tmp_path: Path) -> Copy:
    made = Copy(tmp_path)
    made.add_program("nvidia-smi", "exit 9")  # whatever this machine has, the copy sees no GPU
    return made


def sentence(done: subprocess.CompletedProcess[str]) -> str:
    """The one line in which `run` says what is wrong, which must be its last and must start so."""
    assert done.returncode != 0
    last = done.stderr.strip().splitlines()[-1]
    assert last.startswith("run: "), done.stderr
    return last


def shown(done: subprocess.CompletedProcess[str]) -> list[dict]:
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


# --- what it says ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("asked", [[], ["--help"], ["-h"]])
def test_without_a_task_it_lists_them(copy: Copy, asked: list[str]) -> None:
    done = copy.run(*asked)
    assert done.returncode == 0
    for name, description in [("plain", ""), ("app", "the app of this copy"), ("both", "two commands")]:
        assert re.search(rf"^  {name}\s+{description}$", done.stdout, re.MULTILINE), done.stdout
    assert "_first" not in done.stdout
    assert not (copy.folder / ".venv").exists()


def test_the_projects_own_tasks_are_listed(copy: Copy) -> None:
    shutil.copy(ROOT / "pixi.toml", copy.folder / "pixi.toml")
    listed = re.findall(r"^  (\w+)  +\S", copy.run().stdout, re.MULTILINE)
    assert listed == ["app", "models", "lab", "train", "test", "lint"]


def test_unknown_task(copy: Copy) -> None:
    said = sentence(copy.run("ap"))
    assert "'ap'" in said
    assert "plain, app, both, after" in said
    assert not (copy.folder / ".venv").exists()


def test_options_for_a_task_that_only_stands_for_others(copy: Copy) -> None:
    assert "--fix" in sentence(copy.run("both", "--fix"))


# --- pixi ------------------------------------------------------------------------------------------------------------

RECORD = 'if [ "$1" = --version ]; then echo "{version}"; else echo "$PWD"; printf "<%s>" "$@"; exit 7; fi'


def test_hands_over_to_pixi(copy: Copy) -> None:
    copy.add_program("pixi", RECORD.format(version="pixi 0.77.0"))
    done = copy.run("app", "--port", "80 80", "$HOME")
    assert done.stdout == f"{copy.folder}\n<run><app><--port><80 80><$HOME>"
    assert done.returncode == 7
    assert not (copy.folder / ".venv").exists()


@pytest.mark.parametrize(
    "script",
    [RECORD.format(version="pixi, version 1.2.0"), RECORD.format(version=""), "exit 2", "echo pixi 1.0; exit 2"],
)
def test_an_unrelated_pixi_is_left_aside(copy: Copy, script: str) -> None:
    """`pip install pixi` brings a downloader of pictures; handing over to it would do who knows what."""
    copy.add_program("pixi", script)
    assert "'no-such-task'" in sentence(copy.run("no-such-task"))


def test_no_models_is_for_the_task_that_fetches_them(copy: Copy) -> None:
    copy.add_program("pixi", RECORD.format(version="pixi 0.77.0").replace('"$PWD"', '"models: $LITELLAMA_NO_MODELS"'))
    assert copy.run("app", "--no-models", "--port", "80").stdout == "models: 1\n<run><app><--port><80>"
    assert copy.run("app", "--port", "80").stdout == "models: \n<run><app><--port><80>"


def test_the_app_fetches_its_model_first() -> None:
    """Real tasks, planned by the real `run`: options go to the app alone."""
    loader = SourceFileLoader("run_itself", str(ROOT / "run"))
    spec = spec_from_loader("run_itself", loader)
    assert spec is not None
    script = module_from_spec(spec)
    sys.modules["run_itself"] = script  # where its dataclass looks
    loader.exec_module(script)
    tasks = script.read_tasks(ROOT / "pixi.toml")
    commands = [command for _, command in script.plan(tasks, "app", ["--port", "80"])]
    assert commands == [["python", "-m", "litellama.hub.packaged"], ["python", "-m", "app", "--port", "80"]]


def test_pixi_can_be_declined(copy: Copy) -> None:
    copy.add_program("pixi", RECORD.format(version="pixi 0.77.0"))
    assert "'no-such-task'" in sentence(copy.run("no-such-task", LITELLAMA_NO_PIXI="1"))


# --- what can be missing ---------------------------------------------------------------------------------------------


def old_python(copy: Copy) -> None:
    """Make the interpreter believe, before `run` starts, that it is Python 3.9."""
    site = copy.folder / "site"
    site.mkdir()
    (site / "sitecustomize.py").write_text("import sys; sys.version_info = (3, 9, 6, 'final', 0)\n")
    copy.python_path = str(site)


def test_an_old_python_is_told_so(copy: Copy) -> None:
    old_python(copy)
    said = sentence(copy.run("app", PATH=str(copy.programs)))
    assert "needs Python 3.11 or newer and this is 3.9" in said


def test_an_old_python_finds_a_newer_one(copy: Copy) -> None:
    old_python(copy)
    copy.add_program("python3.14", "exit 1")  # a shim of a version manager that holds no such version
    copy.add_program("python3.12", '[ "$1" = -c ] || printf "<%s>" "$@"')
    done = copy.run("app", "--port", "1", PATH=f"{copy.programs}")
    assert done.stdout == f"<{copy.folder / 'run'}><app><--port><1>"


def test_an_old_python_is_enough_for_pixi(copy: Copy) -> None:
    old_python(copy)
    copy.add_program("pixi", RECORD.format(version="pixi 0.77.0"))
    assert copy.run("app").stdout.endswith("<run><app>")


@pytest.mark.parametrize("missing", ["venv", "ensurepip"])
def test_missing_venv_module(copy: Copy, missing: str) -> None:
    """Debian ships Python without ensurepip, and slim images without venv."""
    site = copy.folder / "site"
    site.mkdir()
    raising = f'raise ModuleNotFoundError("No module named {missing!r}")'
    (site / "venv.py").write_text(raising)
    copy.python_path = str(site)
    said = sentence(copy.run("plain"))
    assert "venv module" in said
    assert f"apt install python3.{sys.version_info[1]}-venv" in said


def test_full_disk(copy: Copy) -> None:
    site = copy.folder / "site"
    site.mkdir()
    (site / "venv.py").write_text("import errno; raise OSError(errno.ENOSPC, 'No space left on device')")
    copy.python_path = str(site)
    assert "disk is full" in sentence(copy.run("plain"))


def test_missing_pixi_toml(copy: Copy) -> None:
    (copy.folder / "pixi.toml").unlink()
    assert "pixi.toml" in sentence(copy.run("app"))


# --- installing, for real --------------------------------------------------------------------------------------------


class _Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def server(tmp_path: Path) -> Iterator[str]:
    """Serves `tmp_path` / "indexes"; gives its address."""
    folder = tmp_path / "indexes"
    folder.mkdir()
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(_Quiet, directory=str(folder))) as running:
        thread = threading.Thread(target=running.serve_forever, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{running.server_port}"
        running.shutdown()
        thread.join()


@pytest.mark.slow
def test_a_first_start_and_the_next_ones(copy: Copy, server: str, tmp_path: Path) -> None:
    wheels, indexes = tmp_path / "wheels", tmp_path / "indexes"
    wheels.mkdir()
    packages = [("torch", "1.0"), ("torch", "2.0"), ("window", "1.5"), ("window", "1.6"), ("window", "1.7")]
    make_index(indexes / "ordinary", [make_wheel(wheels, name, version) for name, version in packages])

    # Offline: a sentence, and nothing that a later run would take for an installation.
    assert "could not reach the package index" in sentence(copy.run("plain"))

    # Online, where the index of CPU builds can't be reached: the ordinary build, in the pinned version.
    copy.index = f"{server}/ordinary"
    done = copy.run("plain", "--port", "80 80", "$HOME")
    assert shown(done) == [
        {"arguments": ["plain", "--port", "80 80", "$HOME"], "installed": {"small-copy": "1.0", "torch": "1.0"}}
    ]
    assert "going on with the ordinary build" in done.stderr

    # Nothing has changed, so nothing is asked of any index: it may as well be gone.
    copy.index = f"{NOWHERE}/simple"
    assert "nstalling" not in copy.run("plain").stderr
    first, second = shown(copy.run("after", "more"))
    assert (first["arguments"], second["arguments"]) == (["first"], ["after", "more"])

    # Another task needs more, which is added; the CPU build is preferred now that its index answers.
    make_index(indexes / "cpu", [make_wheel(wheels, "torch", "1.0+cpu")])
    copy.write("requirements.txt", "torch==1.0\nwindow==1.6\n")
    copy.index, copy.cpu_index = f"{server}/ordinary", f"{server}/cpu"
    plain, app = shown(copy.run("both"))
    assert app["installed"]["window"] == "1.6"
    assert (plain["arguments"], app["arguments"]) == (["plain"], ["app"])

    # Changed pins are installed by whichever task comes first, for all that is installed.
    copy.write("requirements.txt", "torch==1.0\nwindow==1.7\n")
    assert shown(copy.run("plain"))[0]["installed"]["window"] == "1.7"

    # An installation cut off half-way left no Python worth the name: it is made anew, here with the CPU build.
    for name in (".venv/bin/python", ".venv/bin/python3"):
        (copy.folder / name).unlink()
    assert shown(copy.run("plain"))[0]["installed"] == {"small-copy": "1.0", "torch": "1.0+cpu", "window": "1.7"}

    # So is one whose folder was moved, for the programs in it know their folder by heart.
    copy.folder = copy.folder.rename(copy.folder.with_name("moved"))
    assert shown(copy.run("plain"))[0]["installed"] == {"small-copy": "1.0", "torch": "1.0+cpu", "window": "1.7"}
    assert "project copy" not in (copy.folder / ".venv" / "bin" / "activate").read_text(encoding="utf-8")

    # With a GPU the ordinary build is wanted, whatever the other index offers.
    shutil.rmtree(copy.folder / ".venv")
    copy.add_program("nvidia-smi", 'echo "GPU 0: NVIDIA H100 (UUID: GPU-0)"')
    assert shown(copy.run("plain"))[0]["installed"]["torch"] == "1.0"

    # A version that no index has: said in words.
    copy.write("requirements.txt", "torch==3.0\n")
    assert "no build of torch" in sentence(copy.run("plain"))
