"""A download from a hub on loopback: whole and verified or not there, whatever the server and the network do."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx2
import huggingface_hub.constants as constants
import pytest

from litellama.__main__ import main
from litellama.checkpoint import list_models, open_checkpoint
from litellama.cli import download as commands
from litellama.hub import client as client
from litellama.hub import fetch, listing, stream
from litellama.hub.client import BUSY, HubError
from litellama.hub.events import (
    Discarded,
    DownloadEvent,
    DownloadFinished,
    DownloadStarted,
    Received,
    Verifying,
    Waiting,
)
from litellama.hub.fetch import discard, folder_state, gigabytes, work_folder
from litellama.hub.fetch import fetch as fetch_model
from litellama.hub.listing import Listing, look_up
from tests.support.hub_server import COMMIT, REPO, Hub, running_hub

ROOT = Path(__file__).resolve().parents[2]
WEIGHTS = "model.safetensors"
TOKEN = "hf_LiteLlamaSecret"
OTHER = "b" * 40
Capture = pytest.CaptureFixture[str]


@pytest.fixture
def content(tiny_checkpoint: Path) -> dict[str, bytes]:
    """What a repository of a model holds, wanted and not."""
    files = {name: (tiny_checkpoint / name).read_bytes() for name in ("config.json", "tokenizer.json", WEIGHTS)}
    unwanted = (".gitattributes", "pytorch_model.bin", "onnx/model.onnx", "model.py", "card.json", "manifest.json")
    return files | {"README.md": b"# A card\n", "LICENSE.txt": b"Do what you like.\n"} | dict.fromkeys(unwanted, b"x")


@pytest.fixture(autouse=True)
def waits(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[float]:
    """Nobody's token, no proxy, no waiting; the seconds that would have been waited."""
    waited: list[float] = []
    monkeypatch.setattr(stream, "sleep", waited.append)
    monkeypatch.setattr(listing, "sleep", waited.append)
    monkeypatch.setattr(constants, "HF_TOKEN_PATH", str(tmp_path / "no-token"))
    for name in "HF_HUB_OFFLINE HF_TOKEN HUGGING_FACE_HUB_TOKEN HTTP_PROXY http_proxy ALL_PROXY all_proxy".split():
        monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(tmp_path)
    return waited


@pytest.fixture
def hub(content: dict[str, bytes], monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    with running_hub(content) as hub:
        monkeypatch.setenv("HF_ENDPOINT", hub.endpoint)
        yield hub


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "checkpoints" / "LiteLlama-460M-1T"


@pytest.fixture
def old(hub: Hub, folder: Path) -> dict[str, bytes]:
    """An earlier commit of the model, in its place; what it consists of."""
    list(fetch_model(look_up(REPO), folder))
    hub.commit = OTHER
    hub.files = hub.files | {"README.md": b"# A newer card\n", WEIGHTS: hub.files[WEIGHTS] + b" "}
    hub.requests.clear()
    return contents(folder)


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def get(hub: Hub, folder: Path) -> list[DownloadEvent]:
    return list(fetch_model(look_up(hub.repo), folder))


def error_of(act: Callable[[], object]) -> HubError:
    with pytest.raises(HubError) as caught:
        act()
    assert TOKEN not in str(caught.value)
    return caught.value


def of(kind: type, events: list[DownloadEvent]) -> list[Any]:
    return [event for event in events if isinstance(event, kind)]


def half(hub: Hub) -> int:
    return len(hub.files[WEIGHTS]) // 2


# --- What is there ---------------------------------------------------------------------------------------------------


def test_a_listing_says_what_is_needed_and_nothing_else(hub: Hub) -> None:
    found = look_up(REPO)
    assert (found.repo, found.commit, found.name) == (REPO, COMMIT, "LiteLlama-460M-1T")
    names = ["LICENSE.txt", "README.md", "config.json", "tokenizer.json", WEIGHTS]
    assert sorted(file.name for file in found.files) == sorted(names)
    assert [file.bytes for file in found.files] == sorted(len(hub.files[name]) for name in names)
    assert found.bytes == sum(len(hub.files[name]) for name in names)
    (weights,) = [file for file in found.files if file.name == WEIGHTS]
    assert weights.hash == hashlib.sha256(hub.files[WEIGHTS]).hexdigest()
    assert (found.licence, found.licence_link) == ("MIT", f"{hub.endpoint}/{REPO}/blob/{COMMIT}/LICENSE.txt")
    assert not found.needs_conversion
    (asked,) = hub.requests
    assert "torch" not in asked.agent, "what is installed here is nobody's business"
    assert look_up(REPO, COMMIT).commit == COMMIT


@pytest.mark.parametrize(
    ("more", "less", "taken"),
    [
        ({"model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors", "model.safetensors.index.json"},
         {WEIGHTS}, {"model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors",
                     "model.safetensors.index.json"}),
        ({"model-00001-of-00002.safetensors", "model.safetensors.index.json", "consolidated.safetensors"}, set(),
         {WEIGHTS}),
        (set(), {WEIGHTS}, {"pytorch_model.bin"}),
        ({"pytorch_model-00001-of-00001.bin", "pytorch_model.bin.index.json", "training_args.bin", "optimizer.bin"},
         {WEIGHTS, "pytorch_model.bin"}, {"pytorch_model-00001-of-00001.bin", "pytorch_model.bin.index.json"}),
    ],
)  # fmt: skip
def test_weights_are_taken_once_and_pickles_only_for_want_of_better(
    hub: Hub, more: set[str], less: set[str], taken: set[str]
) -> None:
    hub.files = {name: data for name, data in hub.files.items() if name not in less} | dict.fromkeys(more, b"data")
    found = look_up(REPO)
    weights = {file.name for file in found.files if "model" in file.name or file.name.endswith(("safetensors", "bin"))}
    assert weights == taken
    assert found.needs_conversion == (not any(name.endswith("safetensors") for name in taken))


def test_all_files_of_a_tokenizer_are_taken(hub: Hub) -> None:
    more = {"vocab.json", "merges.txt", "tokenizer_config.json", "special_tokens_map.json", "added_tokens.json",
            "chat_template.jinja", "generation_config.json", "USE_POLICY.md", "LICENSE"}  # fmt: skip
    hub.files = {name: data for name, data in hub.files.items() if name != "tokenizer.json"} | dict.fromkeys(more, b"1")
    assert more <= {file.name for file in look_up(REPO).files}


@pytest.mark.parametrize(
    ("card", "name", "link"),
    [
        ({"license": "llama2"}, "LLaMA 2 Community Licence", "https://ai.meta.com/llama/license/"),
        ({"license": "apache-2.0"}, "Apache 2.0", "https://www.apache.org/licenses/LICENSE-2.0"),
        ({"license": "other", "license_name": "sour-grapes"}, "sour-grapes", None),
        ({"license": "bigscience-\x1b[31mopenrail"}, "bigscience-[31mopenrail", None),
        ({}, "not stated on its card", None),
        (None, "not stated on its card", None),
    ],
)
def test_the_licence_is_the_cards(hub: Hub, card: dict[str, Any], name: str, link: str | None) -> None:
    hub.card = card
    del hub.files["LICENSE.txt"]
    found = look_up(REPO)
    assert (found.licence, found.licence_link) == (name, link or f"{hub.endpoint}/{REPO}")


@pytest.mark.parametrize(
    "name",
    ["../x.safetensors", "/etc/x.json", "a/../../x", "a\\..\\x", "C:x", "a//b", "", "x\n.json", "..", "\\\\s\\x"],
)
def test_names_that_lead_elsewhere(hub: Hub, folder: Path, name: str) -> None:
    hub.more_siblings = [{"rfilename": name, "size": 1, "blobId": "a" * 40}]
    assert error_of(lambda: look_up(REPO)).kind == "content"
    assert not folder.parent.exists()


@pytest.mark.parametrize(
    "sibling",
    [
        {"rfilename": "config.json", "size": 1, "blobId": "a" * 40},
        {"rfilename": "Vocab.json", "size": 1, "blobId": "a" * 40},
        {"rfilename": "vocab.json", "size": 1}, {"rfilename": "vocab.json", "blobId": "a" * 40},
        {"rfilename": "vocab.json", "size": -1, "blobId": "a" * 40},
        {"rfilename": "vocab.json", "size": 1, "blobId": "../a"},
        {"rfilename": "vocab.json", "size": 1, "lfs": {"size": 1, "sha256": "a" * 40, "pointerSize": 1}},
        {"size": 1}, {"rfilename": 5}, {"rfilename": "vocab.json", "lfs": 7},
        "vocab.json", None,
    ],
)  # fmt: skip
def test_listings_that_make_no_sense(hub: Hub, sibling: Any) -> None:
    hub.more_siblings = [sibling]
    if isinstance(sibling, dict) and sibling.get("rfilename") == "Vocab.json":  # another file, which nobody needs
        assert "Vocab.json" not in [file.name for file in look_up(REPO).files]
    else:
        assert error_of(lambda: look_up(REPO)).kind == "content"


@pytest.mark.parametrize("body", [b"", b"<html>welcome to the hotel</html>", b"[]", b"{}", b'{"id": "x", "sha": 5}'])
def test_what_answers_is_no_hub(hub: Hub, body: bytes) -> None:
    hub.listing_faults = [{"body": body}]
    assert error_of(lambda: look_up(REPO)).kind == "content"


@pytest.mark.parametrize(
    ("gone", "words"),
    [("config.json", "no config.json"), ("tokenizer.json", "no tokenizer.json"), (WEIGHTS, "weights")],
)
def test_repositories_that_hold_no_llama(hub: Hub, gone: str, words: str) -> None:
    hub.files = {name: data for name, data in hub.files.items() if name not in (gone, "pytorch_model.bin")}
    error = error_of(lambda: look_up(REPO))
    assert (error.kind, words in str(error)) == ("content", True)


def test_a_commit_is_needed(hub: Hub) -> None:
    hub.commit = "main"
    assert error_of(lambda: look_up(REPO)).kind == "content"


# --- Who may ask, and whom -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "name", ["LiteLlama", "a/b/c", "../b", "a/..", "a b/c", "https://huggingface.co/a/b", "a/b.", ""]
)
def test_names_that_are_none_ask_nobody(hub: Hub, name: str) -> None:
    assert error_of(lambda: look_up(name)).kind == "not_found"
    assert hub.requests == []


@pytest.mark.parametrize("token", [None, TOKEN])
def test_there_is_no_such_repository(hub: Hub, token: str | None, monkeypatch: pytest.MonkeyPatch) -> None:
    if token:
        monkeypatch.setenv("HF_TOKEN", token)
    error = error_of(lambda: look_up("ahxt/LiteLama-460M-1T"))
    assert error.kind == "not_found"
    assert "check the name" in str(error)
    error = error_of(lambda: look_up(REPO, "v9"))
    assert (error.kind, "--revision" in str(error)) == ("revision", True)


def test_gated_without_a_token(hub: Hub, folder: Path) -> None:
    hub.gated_for = TOKEN
    error = error_of(lambda: get(hub, folder))
    page = f"{hub.endpoint}/{REPO}"
    assert error.kind == "gated"
    for words in ("accept its licence", page, f"{hub.endpoint}/settings/tokens", "HF_TOKEN"):
        assert words in str(error)
    assert not folder.exists()


def test_gated_with_a_token_that_may_not(hub: Hub, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    hub.gated_for = "another"
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    error = error_of(lambda: get(hub, folder))
    assert (error.kind, "approval" in str(error)) == ("gated", True)


def test_the_listing_may_be_gated_too(hub: Hub) -> None:
    hub.listing_faults = [{"status": 401, "code": "GatedRepo", "message": "restricted"}]
    assert error_of(lambda: look_up(REPO)).kind == "gated"
    hub.listing_faults = [{"status": 403}]
    assert error_of(lambda: look_up(REPO)).kind == "gated"


def test_a_wrong_token(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    hub.listing_faults = [{"status": 401, "code": "", "message": ""}]
    assert error_of(lambda: look_up(REPO)).kind == "token"


def test_gated_with_the_right_token(
    hub: Hub, folder: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("DEBUG")
    hub.gated_for = TOKEN
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    get(hub, folder)
    at = {server: [one.authorization for one in hub.requests if one.server == server] for server in ("hub", "cdn")}
    assert set(at["hub"]) == {f"Bearer {TOKEN}"}
    assert at["cdn"] == [None], "where the hub sends us on to, the token does not go"
    assert TOKEN not in caplog.text
    assert TOKEN not in "".join(map(str, contents(folder).values()))


def test_the_listings_token_stays_at_home_too(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    hub.listing_faults = [{"location": f"{hub.cdn}/api/models/{REPO}"}] * 9
    assert error_of(lambda: look_up(REPO)).kind == "network"
    assert {(one.server, one.authorization) for one in hub.requests} == {("hub", f"Bearer {TOKEN}"), ("cdn", None)}


def test_a_token_may_be_kept_back(hub: Hub, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    monkeypatch.setattr(constants, "HF_HUB_DISABLE_IMPLICIT_TOKEN", True)
    get(hub, folder)
    assert {one.authorization for one in hub.requests} == {None}


def test_offline_is_offline(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    error = error_of(lambda: look_up(REPO))
    assert (error.kind, "HF_HUB_OFFLINE" in str(error)) == ("offline", True)
    assert hub.requests == []


def test_without_the_library(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    error = error_of(lambda: look_up(REPO))
    assert (error.kind, '".[hub]"' in str(error)) == ("library", True)


def test_nothing_of_it_is_loaded_before_it_is_asked_for() -> None:
    code = "import sys, litellama.cli.download; print([m for m in ('huggingface_hub', 'httpx2') if m in sys.modules])"
    found = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "[]"


# --- No network, or a poor one ---------------------------------------------------------------------------------------


def test_no_connection(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        monkeypatch.setenv("HF_ENDPOINT", f"http://127.0.0.1:{closed.getsockname()[1]}")
        error = error_of(lambda: look_up(REPO))
    assert (error.kind, "check the network" in str(error)) == ("network", True)
    monkeypatch.setenv("HF_ENDPOINT", "http://nowhere.invalid")
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: (_ for _ in ()).throw(socket.gaierror(-2, "unknown")))
    error = error_of(lambda: look_up(REPO))
    assert (error.kind, "nowhere.invalid" in str(error)) == ("network", True)
    assert not folder.parent.exists()


@pytest.mark.parametrize("status", BUSY)
def test_a_busy_listing_is_asked_again(hub: Hub, status: int, waits: list[float]) -> None:
    hub.listing_faults = [{"status": status}, {"status": status}]
    assert look_up(REPO).commit == COMMIT
    assert waits == [1, 2]
    hub.listing_faults = [{"status": status}] * 9
    assert error_of(lambda: look_up(REPO)).kind == "busy"
    assert len(hub.listing_faults) == 5, "a limited number of times"


def test_a_busy_server_is_waited_for(hub: Hub, folder: Path, waits: list[float]) -> None:
    hub.faults[WEIGHTS] = [{"status": 429, "headers": {"retry-after": "7"}}, {"status": 503}]
    events = get(hub, folder)
    assert [event.seconds for event in of(Waiting, events)] == [7, 6, 5, 4, 3, 2, 1, 4, 3, 2, 1]
    assert waits == [1] * 11
    assert open_checkpoint(folder).verified


@pytest.mark.parametrize(("fault", "kind"), [({"status": 503}, "busy"), ({"status": 403}, "network")])
def test_and_not_for_ever(hub: Hub, folder: Path, fault: dict[str, Any], kind: str) -> None:
    """A CDN's 403 is a link that is too old, and no licence's matter."""
    hub.faults["README.md" if kind == "busy" else WEIGHTS] = fault
    error = error_of(lambda: get(hub, folder))
    assert (error.kind, folder.exists()) == (kind, False)
    assert len(hub.asked("README.md" if kind == "busy" else WEIGHTS, "hub" if kind == "busy" else "cdn")) <= 12


@pytest.mark.fault(26)
def test_a_cut_goes_on_where_it_was(hub: Hub, folder: Path) -> None:
    hub.faults[WEIGHTS] = [{"cut": half(hub)}, {"cut": 1000}]
    events = get(hub, folder)
    assert hub.asked(WEIGHTS) == [None, f"bytes={half(hub)}-", f"bytes={half(hub) + 1000}-"]
    assert contents(folder)[WEIGHTS] == hub.files[WEIGHTS]
    totals = [event.total for event in of(Received, events)]
    assert totals == sorted(totals)
    assert totals[-1] == look_up(REPO).bytes
    assert of(Discarded, events) == []
    assert isinstance(events[-1], DownloadFinished)


def test_an_end_that_says_nothing_is_a_cut_as_well(hub: Hub, folder: Path) -> None:
    hub.faults[WEIGHTS] = [{"cut": half(hub), "unsaid": True}]
    get(hub, folder)
    assert hub.asked(WEIGHTS) == [None, f"bytes={half(hub)}-"]
    assert open_checkpoint(folder).verified


@pytest.mark.fault(26)
def test_a_server_that_ignores_range_begins_anew(hub: Hub, folder: Path) -> None:
    end = len(hub.files[WEIGHTS]) - 1
    hub.faults[WEIGHTS] = [{"cut": end}, {"ignore_range": True, "slow": 0.001}]
    events = get(hub, folder)
    assert hub.asked(WEIGHTS) == [None, f"bytes={end}-"]
    assert contents(folder)[WEIGHTS] == hub.files[WEIGHTS]
    totals = [event.total for event in of(Received, events)]
    assert totals != sorted(totals), "what is shown goes back too"
    assert totals[-1] == look_up(REPO).bytes


@pytest.mark.fault(26)
def test_another_range_than_asked_for_is_not_added(hub: Hub, folder: Path) -> None:
    hub.faults[WEIGHTS] = [{"cut": half(hub)}, {"shifted": 5}]
    get(hub, folder)
    assert hub.asked(WEIGHTS) == [None, f"bytes={half(hub)}-", None]
    assert open_checkpoint(folder).verified


def test_a_server_that_cuts_and_ignores_range_for_ever(hub: Hub, folder: Path) -> None:
    hub.faults[WEIGHTS] = {"cut": half(hub), "ignore_range": True}
    assert error_of(lambda: get(hub, folder)).kind == "network"
    assert not folder.exists()


# --- Wrong files -----------------------------------------------------------------------------------------------------


def wrong(hub: Hub, how: str) -> dict[str, Any]:
    right = hub.files[WEIGHTS]
    bodies = {"hash": bytes([right[0] ^ 1]) + right[1:], "short": right[:-1], "long": right + b"x"}
    return {"body": bodies[how.removesuffix(", unsaid")], "unsaid": how.endswith("unsaid")}


@pytest.mark.parametrize("how", ["hash", "short", "long", "long, unsaid"])
@pytest.mark.fault(26)
def test_a_wrong_file_is_fetched_once_more(hub: Hub, folder: Path, how: str) -> None:
    hub.faults[WEIGHTS] = [wrong(hub, how)]
    events = get(hub, folder)
    (discarded,) = of(Discarded, events)
    assert (discarded.name, hub.asked(WEIGHTS)) == (WEIGHTS, [None, None])
    assert open_checkpoint(folder).verified


@pytest.mark.parametrize("how", ["hash", "short", "long", "long, unsaid"])
@pytest.mark.fault(26)
def test_and_twice_wrong_is_given_up(hub: Hub, folder: Path, how: str, old: dict[str, bytes]) -> None:
    hub.faults[WEIGHTS] = wrong(hub, how)
    error = error_of(lambda: get(hub, folder))
    assert (error.kind, WEIGHTS in str(error)) == ("damaged", True)
    assert hub.asked(WEIGHTS) == [None, None]
    assert contents(folder) == old
    assert not list((work_folder(folder) / "parts").iterdir())


def test_a_small_wrong_file_is_noticed_as_well(hub: Hub, folder: Path) -> None:
    right = hub.files["config.json"]
    hub.faults["config.json"] = {"body": right.replace(b"2", b"3")}
    assert error_of(lambda: get(hub, folder)).kind == "damaged"
    assert not folder.exists()


@pytest.mark.parametrize(
    "fault", [{"redirect": "ftp://127.0.0.1/x"}, {"redirect": "file:///etc/passwd"}, {"redirect": "http://[bad"},
              {"redirect": f"/{REPO}/resolve/{COMMIT}/{WEIGHTS}"}],
)  # fmt: skip
def test_ways_that_are_not_gone(hub: Hub, folder: Path, fault: dict[str, str]) -> None:
    hub.faults[WEIGHTS] = fault
    assert error_of(lambda: get(hub, folder)).kind == "content"
    assert not folder.exists()


def test_never_from_https_to_http() -> None:
    assert client.led_on("https://a/b", "/c") == "https://a/c"
    assert client.led_on("http://a/b", "https://d/c") == "https://d/c"
    assert error_of(lambda: client.led_on("https://a/b", "http://a/c")).kind == "content"


# --- In its place ----------------------------------------------------------------------------------------------------


def test_what_was_fetched_opens_verified_and_says_whence_it_is(hub: Hub, folder: Path) -> None:
    events = get(hub, folder)
    opened = open_checkpoint(folder)
    assert opened.verified
    assert opened.card is not None
    assert opened.card["name"] == "LiteLlama-460M-1T"
    told = opened.card["hub"]
    assert (told["repo"], told["commit"], told["licence"], told["from"]) == (REPO, COMMIT, "MIT", hub.endpoint)
    assert sorted(contents(folder)) == sorted(
        ["LICENSE.txt", "README.md", "card.json", "config.json", "manifest.json", WEIGHTS, "tokenizer.json"]
    )
    assert [path.name for path in folder.parent.iterdir()] == [folder.name]
    assert events[0] == DownloadStarted(5, look_up(REPO).bytes, 0)
    assert events[-1] == DownloadFinished(folder)
    (row,) = [row for row in list_models(folder.parent) if row["kind"] == "checkpoint"]
    assert row["name"] == folder.name


def test_it_is_hidden_until_it_is_whole(hub: Hub, folder: Path) -> None:
    hub.faults[WEIGHTS] = [{"cut": half(hub)}]
    for event in fetch_model(look_up(REPO), folder):
        if not isinstance(event, DownloadFinished):
            assert not folder.exists()
            assert not [row for row in list_models(folder.parent) if row["kind"] == "checkpoint"]
    assert folder.exists()


def test_the_same_again_fetches_nothing(hub: Hub, folder: Path) -> None:
    get(hub, folder)
    hub.requests.clear()
    found = look_up(REPO)
    assert folder_state(found, folder) == "same"
    assert list(fetch_model(found, folder)) == [DownloadFinished(folder)]
    assert len(hub.requests) == 1


def test_another_commit_takes_the_place_and_fetches_what_changed(hub: Hub, folder: Path, old: dict[str, bytes]) -> None:
    found = look_up(REPO)
    assert folder_state(found, folder) == "other_commit"
    for event in fetch_model(found, folder):
        assert isinstance(event, DownloadFinished) or contents(folder) == old
    new = contents(folder)
    assert (new["README.md"], new[WEIGHTS]) == (hub.files["README.md"], hub.files[WEIGHTS])
    assert json.loads(new["card.json"])["hub"]["commit"] == OTHER
    assert len(hub.asked(WEIGHTS)) == 1
    assert hub.asked("tokenizer.json", "hub") == [], "it is the same file still"
    assert [path.name for path in folder.parent.iterdir()] == [folder.name]


@pytest.mark.parametrize("card", [None, b"", b"[]", b'{"hub": 1}', b'{"hub": {"repo": "meta-llama/LiteLlama"}}'])
def test_other_folders_are_not_touched(hub: Hub, folder: Path, card: bytes | None) -> None:
    folder.mkdir(parents=True)
    (folder / "notes.txt").write_text("mine")
    if card is not None:
        (folder / "card.json").write_bytes(card)
    before = contents(folder)
    error = error_of(lambda: get(hub, folder))
    assert (error.kind, "--to" in str(error)) == ("exists", True)
    assert contents(folder) == before


def test_a_later_process_goes_on(hub: Hub, folder: Path) -> None:
    found = look_up(REPO)
    for event in (running := fetch_model(found, folder)):
        if isinstance(event, Received) and event.name == WEIGHTS:
            break
    running.close()
    kept = len(hub.files[WEIGHTS])
    (part,) = (work_folder(folder) / "parts").iterdir()
    part.write_bytes(hub.files[WEIGHTS][: kept // 3])
    hub.requests.clear()
    events = list(fetch_model(found, folder))
    assert events[0] == DownloadStarted(5, found.bytes, found.bytes - kept + kept // 3)
    assert len(of(Verifying, events)) == 5
    assert [one.range for one in hub.requests] == [f"bytes={kept // 3}-"] * 2, "what was there is not fetched again"
    assert open_checkpoint(folder).verified


def test_what_an_earlier_process_left_is_believed_only_by_its_hash(hub: Hub, folder: Path) -> None:
    found = look_up(REPO)
    work = work_folder(folder)
    (work / "files").mkdir(parents=True)
    (work / "parts").mkdir()
    (work / "files" / "config.json").write_bytes(b"x" * len(hub.files["config.json"]))
    (work / "files" / "sitecustomize.py").write_text("harm")
    (work / "parts" / f"{WEIGHTS}.{'0' * 16}").write_bytes(b"of another commit")
    part = work / "parts" / f"{WEIGHTS}.{hashlib.sha256(hub.files[WEIGHTS]).hexdigest()[:16]}"
    part.write_bytes(b"x" * half(hub))  # not how the file begins
    events = list(fetch_model(found, folder))
    assert [event.name for event in of(Discarded, events)] == [WEIGHTS]
    assert open_checkpoint(folder).verified
    assert "sitecustomize.py" not in contents(folder)


def test_a_part_that_is_too_long_begins_anew(hub: Hub, folder: Path) -> None:
    part = work_folder(folder) / "parts" / f"{WEIGHTS}.{hashlib.sha256(hub.files[WEIGHTS]).hexdigest()[:16]}"
    part.parent.mkdir(parents=True)
    part.write_bytes(hub.files[WEIGHTS] + b"x")
    assert of(Discarded, get(hub, folder)) == []
    assert hub.asked(WEIGHTS) == [None]


def test_two_at_once_do_not_mix(hub: Hub, folder: Path) -> None:
    running = fetch_model(look_up(REPO), folder)
    next(running)
    assert error_of(lambda: get(hub, folder)).kind == "locked"
    assert isinstance(list(running)[-1], DownloadFinished)


def test_what_is_kept_can_be_discarded(hub: Hub, folder: Path) -> None:
    hub.faults[WEIGHTS] = wrong(hub, "hash")
    error_of(lambda: get(hub, folder))
    assert work_folder(folder).is_dir()
    discard(folder)
    assert list(folder.parent.iterdir()) == []


# --- The disk --------------------------------------------------------------------------------------------------------


def test_too_little_room_is_said_before_anything_is_fetched(
    hub: Hub, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = look_up(REPO)
    monkeypatch.setattr(fetch, "ROOM_LEFT", 0)
    monkeypatch.setattr(fetch, "free_room", lambda _: found.bytes - 1)
    error = error_of(lambda: list(fetch_model(found, folder)))
    assert (error.kind, "GB are free" in str(error)) == ("disk", True)
    assert len(hub.requests) == 1
    monkeypatch.setattr(fetch, "free_room", lambda _: found.bytes)
    assert isinstance(list(fetch_model(found, folder))[-1], DownloadFinished)


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EIO])
def test_a_disk_that_fills_up(
    hub: Hub, folder: Path, old: dict[str, bytes], number: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    append = stream.PartialFile.append

    def full(part: stream.PartialFile, block: bytes) -> None:
        if part.file.name == WEIGHTS:
            append(part, block[:100])
            raise OSError(number, os.strerror(number))
        append(part, block)

    with monkeypatch.context() as patch:
        patch.setattr(stream.PartialFile, "append", full)
        error = error_of(lambda: get(hub, folder))
    assert (error.kind, "full" in str(error)) == ("disk", number == errno.ENOSPC)
    assert contents(folder) == old
    assert isinstance(get(hub, folder)[-1], DownloadFinished)
    assert hub.asked(WEIGHTS) == [None, "bytes=100-"]


def test_a_disk_that_fails_at_the_last_moment(
    hub: Hub, folder: Path, old: dict[str, bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> None:
        raise OSError(errno.EIO, "broken")

    with monkeypatch.context() as patch:
        patch.setattr(fetch, "put_in_place", broken)
        assert error_of(lambda: get(hub, folder)).kind == "disk"
    assert contents(folder) == old
    hub.requests.clear()
    get(hub, folder)
    assert json.loads(contents(folder)["card.json"])["hub"]["commit"] == OTHER
    assert len(hub.requests) == 1, "all of it had come"


# --- The command -----------------------------------------------------------------------------------------------------


def run(*arguments: str) -> tuple[int | str, Any]:
    try:
        main(["download", *arguments])
    except SystemExit as end:
        return end.code or 0
    return 0


def test_the_command_shows_and_fetches(hub: Hub, capsys: Capture, tmp_path: Path) -> None:
    hub.card = {"license": "llama2"}
    assert run(REPO, "--to", str(tmp_path / "models"), "--yes", "--json") == 0
    said = capsys.readouterr()
    told = json.loads(said.out)
    assert told | {"bytes": 0} == {
        "folder": str(tmp_path / "models" / "LiteLlama-460M-1T"), "repo": REPO, "commit": COMMIT, "bytes": 0,
        "files": 5, "licence": "LLaMA 2 Community Licence", "fetched": True,
    }  # fmt: skip
    for words in ("5 files", "LLaMA 2 Community Licence", "LICENSE.txt", "GB as the hub states"):
        assert words in said.err
    assert run(REPO, "--to", str(tmp_path / "models")) == 0, "there is nothing to agree to"
    assert "is there already" in capsys.readouterr().out


def test_the_command_asks(hub: Hub, capsys: Capture, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "checkpoints").mkdir()
    assert "add --yes" in str(run(REPO)), "a script has agreed to nothing"
    answers = iter(["", "n", "maybe", EOFError, "y"])

    def answered(*_: object, **__: object) -> str:
        answer = next(answers)
        if isinstance(answer, str):
            return answer
        raise answer

    monkeypatch.setattr(sys, "stdin", type("Terminal", (), {"isatty": lambda self: True})())
    monkeypatch.setattr("rich.console.Console.input", answered)
    for _ in range(4):
        assert run(REPO) == "litellama download: nothing was fetched"
        assert list((tmp_path / "checkpoints").iterdir()) == []
    assert run(REPO) == 0
    assert open_checkpoint(tmp_path / "checkpoints" / "LiteLlama-460M-1T").verified
    assert capsys.readouterr().out.strip().endswith("LiteLlama-460M-1T")


def test_the_command_offers_a_newer_revision(hub: Hub, old: dict[str, bytes], capsys: Capture) -> None:
    assert "add --yes" in str(run(REPO))
    assert "another commit" in capsys.readouterr().err
    assert run(REPO, "--yes") == 0
    assert run(REPO, "--revision", OTHER) == 0
    assert "is there already" in capsys.readouterr().out


def test_a_pickle_is_told_and_converted(
    hub: Hub, capsys: Capture, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    del hub.files[WEIGHTS]
    converted: list[Path] = []
    monkeypatch.setattr(commands, "convert", converted.append)
    assert run(REPO, "--to", str(tmp_path), "--yes") == 0
    assert converted == [tmp_path / "LiteLlama-460M-1T"]
    assert "pickle" in capsys.readouterr().err
    assert "pytorch_model.bin" in contents(tmp_path / "LiteLlama-460M-1T")
    hub.requests.clear()
    assert run(REPO, "--to", str(tmp_path)) == 0, "a conversion that was cut off is made up for"
    assert (len(converted), len(hub.requests)) == (2, 1)


def test_a_conversion_that_fails_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ended = subprocess.CompletedProcess([], 1, "", "some words\nerror: this pickle holds code\n")
    asked: list[list[str]] = []
    monkeypatch.setattr(subprocess, "run", lambda command, **_: asked.append(command) or ended)
    error = error_of(lambda: fetch.convert(tmp_path / "model"))
    assert (error.kind, str(error).endswith("this pickle holds code")) == ("conversion", True)
    assert asked[0][1:] == ["-m", "litellama", "convert", str(tmp_path / "model"), "--yes"]


def test_mistakes_are_one_sentence(hub: Hub, capsys: Capture) -> None:
    sentence = str(run("ahxt/none", "--yes"))
    assert sentence.startswith("litellama download: there is no ahxt/none on 127.0.0.1")
    assert "\n" not in sentence


def test_control_c_keeps_what_came(hub: Hub, capsys: Capture, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def interrupted(*_: object) -> Iterator[DownloadEvent]:
        yield DownloadStarted(1, 1, 0)
        raise KeyboardInterrupt

    monkeypatch.setattr(commands, "fetch", interrupted)
    assert run(REPO, "--to", str(tmp_path), "--yes") == 130
    assert f"goes on with {tmp_path / '.LiteLlama-460M-1T.download'}" in capsys.readouterr().err
    monkeypatch.setattr(commands, "look_up", lambda *_: list(interrupted()))
    assert run(REPO, "--to", str(tmp_path), "--yes") == 130, "also before anything is known"


def test_killed_in_the_middle_and_run_again(hub: Hub, folder: Path, tmp_path: Path) -> None:
    """SIGKILL gives a process no moment to tidy up."""
    hub.faults[WEIGHTS] = {"slow": 0.1}
    command = [sys.executable, "-m", "litellama", "download", REPO, "--to", str(folder.parent), "--yes", "--json"]
    environment = {**os.environ, "HF_HOME": str(tmp_path / "home"), "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    with open(tmp_path / "errors.txt", "w", encoding="utf-8") as errors:
        first = subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=errors)
    parts = work_folder(folder) / "parts"
    while not any(path.stat().st_size > 1000 for path in parts.glob(f"{WEIGHTS}.*")):
        assert first.poll() is None, (tmp_path / "errors.txt").read_text(encoding="utf-8")
        time.sleep(0.01)
    first.send_signal(signal.SIGKILL)
    first.wait()
    assert not folder.exists()
    hub.faults.clear()
    hub.requests.clear()
    second = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    assert json.loads(second.stdout)["fetched"]
    begun = [one.range for one in hub.requests if one.server == "cdn"]
    assert len(begun) == 1
    assert begun[0] is not None
    assert [one for one in hub.requests if "agent-harnesses" in one.path] == []
    assert open_checkpoint(folder).verified
    assert [path.name for path in folder.parent.iterdir()] == [folder.name]


# --- Small things ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("count", "shown"),
    [(923_400_000, "0.92"), (13_476_831_232, "13.5"), (2_200_000_000, "2.20"), (1_234_567, "0.0012")],
)
def test_gigabytes(count: int, shown: str) -> None:
    assert gigabytes(count) == shown


def test_a_hash_is_gits_or_sha256s() -> None:
    """The empty blob's and "hello\\n"'s names are known to everybody who uses git."""
    for content, name in ((b"", "e69de29bb2d1d6434b8b29ae775ad8c2e48c5391"),
                          (b"hello\n", "ce013625030ba8dba906f756967f9e9ca394464a")):  # fmt: skip
        digest = stream.empty_digest(listing.HubFile("x", len(content), None, name))
        digest.update(content)
        assert digest.hexdigest() == name
    digest = stream.empty_digest(listing.HubFile("x", 0, "a" * 64, "b" * 40))
    assert digest.hexdigest() == hashlib.sha256().hexdigest()


def test_listings_that_are_made_by_hand_have_a_page() -> None:
    one = Listing("a/b", "main", COMMIT, "https://hub", "MIT", "https://x", ())
    assert (one.page, one.bytes, one.needs_conversion) == ("https://hub/a/b", 0, True)
    assert issubclass(httpx2.ConnectError, httpx2.HTTPError)
