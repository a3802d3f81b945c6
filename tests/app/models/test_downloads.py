"""What a page may ask of a download: one of a short list, one at a time, only where the server allows it."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import huggingface_hub.constants as constants
import pytest
from fastapi import FastAPI
from starlette.testclient import TestClient

from app.common.strings import Problem, all_words
from app.launch.options import parse_options
from app.models import sources
from app.models.downloads import PROBLEMS, DownloadJob, Downloads
from app.models.sources import SUGGESTED_MODELS, HubSource, suggested_models
from app.server.app import LOOPBACK
from app.server.file_routes import UPLOADS, add_download_route, add_file_routes
from app.server.request_filter import RequestFilter
from app.train.upload_store import UploadStore
from litellama.checkpoint import open_checkpoint
from litellama.hub import fetch, stream
from litellama.hub.client import HubError
from litellama.hub.events import Received, Waiting
from litellama.hub.fetch import work_folder
from tests.browser.app_server import running_app
from tests.support.hub_server import REPO, Hub, running_hub

WEIGHTS = "model.safetensors"
OWN = "http://127.0.0.1:7860"
SENT = {"content-type": "application/json"}
JSON = SENT | {"origin": OWN}


@pytest.fixture
def hub(tiny_checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    names = ("config.json", "tokenizer.json", WEIGHTS)
    monkeypatch.setattr(stream, "sleep", lambda _: None)
    monkeypatch.setattr(constants, "HF_TOKEN_PATH", str(tmp_path / "no-token"))
    for name in ("HF_HUB_OFFLINE", "HF_TOKEN", "HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
    with running_hub({name: (tiny_checkpoint / name).read_bytes() for name in names}) as hub:
        monkeypatch.setenv("HF_ENDPOINT", hub.endpoint)
        yield hub


@pytest.fixture
def models(tmp_path: Path) -> Path:
    return tmp_path / "models"


@pytest.fixture
def downloads(models: Path) -> Iterator[Downloads]:
    downloads = Downloads(models)
    yield downloads
    downloads.close()


def until(downloads: Downloads, *states: str) -> dict[str, Any]:
    """What there is to see once the download is in one of the states."""
    ends = time.monotonic() + 30
    while (seen := downloads.act({"action": "see"}))["state"] not in states:
        assert time.monotonic() < ends, seen
        time.sleep(0.01)
    return seen


def ask(downloads: Downloads, repo: str = REPO) -> dict[str, Any]:
    downloads.act({"action": "ask", "repo": repo})
    return until(downloads, "asked", "there", "failed")


def key_of(downloads: Downloads, **sent: Any) -> str:
    with pytest.raises(Problem) as caught:
        downloads.act(sent)
    return caught.value.key


def test_nothing_is_asked_of_the_network_before_somebody_asks(downloads: Downloads, hub: Hub, models: Path) -> None:
    assert downloads.act({"action": "see"}) == {"state": "none"}
    assert (hub.requests, models.exists()) == ([], False)


def test_the_hub_is_asked_before_it_fetches(downloads: Downloads, hub: Hub, models: Path) -> None:
    seen = ask(downloads)
    size = sum(map(len, hub.files.values()))
    assert (seen["state"], seen["bytes"], seen["files"], seen["licence"]) == ("asked", size, 3, "MIT")
    assert (seen["replaces"], seen["conversion"], seen["kept"], seen["problem"]) == (False, False, 0, None)
    assert len(hub.requests) == 1
    assert not models.exists()
    downloads.act({"action": "start"})
    seen = until(downloads, "ended", "failed")
    assert (seen["state"], seen["done"], seen["name"]) == ("ended", size, "LiteLlama-460M-1T")
    assert open_checkpoint(models / seen["name"]).verified
    assert ask(downloads)["state"] == "there"
    hub.commit = "b" * 40
    assert ask(downloads)["replaces"]


@pytest.mark.parametrize(
    ("repo", "key"),
    [*((repo, "problem.request") for repo in ("", "  ", None, 5, [REPO], "a/" + "b" * 1000)),
     *((repo, "problem.source") for repo in (
         "gpt2", "a/b/c", "../up", "a/..", "https://evil.example/a/b", "/etc/passwd", "~/model.gguf", "model.gguf",
         "C:\\models\\x.gguf", "Grüße/x",
     ))],
)  # fmt: skip
def test_what_is_no_models_name(downloads: Downloads, hub: Hub, repo: object, key: str) -> None:
    assert key_of(downloads, action="ask", repo=repo) == key
    assert (hub.requests, downloads.act({"action": "see"})) == ([], {"state": "none"})


@pytest.mark.parametrize("typed", [f" {REPO} ", f"https://huggingface.co/{REPO}", f"https://huggingface.co/{REPO}/"])
def test_a_name_as_people_paste_it(downloads: Downloads, hub: Hub, typed: str) -> None:
    assert ask(downloads, typed)["repo"] == REPO


def test_any_name_of_the_hub(downloads: Downloads, hub: Hub) -> None:
    seen = ask(downloads, "somebody/another")
    assert (seen["state"], seen["title"]) == ("failed", "somebody/another")
    assert (seen["problem"]["key"], len(hub.requests)) == ("problem.hub_gone", 1)


def test_the_list_is_sourced() -> None:
    shown = {offer.repo: offer.to_json() for offer in SUGGESTED_MODELS}
    assert list(shown) == [REPO, "TinyLlama/TinyLlama-1.1B-Chat-v1.0", "meta-llama/Llama-2-7b-chat-hf"]
    first, *rest = suggested_models()
    assert (first["repo"], first["bytes"], first["licence"]) == ("smollm2", 92_871_040, "Apache-2.0")
    assert rest == list(shown.values())
    assert [one["bytes"] for one in shown.values()] == [923_371_520, 2_200_096_768, 13_476_831_232]
    assert [one["gated"] for one in shown.values()] == [False, False, True]
    assert [str(one["licence"])[:7] for one in shown.values()] == ["MIT", "Apache-", "LLAMA 2"]


def test_what_makes_no_sense(downloads: Downloads) -> None:
    for action in ("start", "cancel", "discard"):
        assert key_of(downloads, action=action) == "problem.no_download"
    assert key_of(downloads, action="fly") == "problem.request"
    assert key_of(downloads) == "problem.request"
    with pytest.raises(Problem):
        downloads.act("see")


def test_one_at_a_time(downloads: Downloads, hub: Hub) -> None:
    hub.faults[WEIGHTS] = {"slow": 0.05}
    ask(downloads)
    downloads.act({"action": "start"})
    assert key_of(downloads, action="ask", repo=SUGGESTED_MODELS[1].repo) == "problem.download_busy"
    assert key_of(downloads, action="start") == "problem.no_download"
    assert key_of(downloads, action="discard") == "problem.download_busy"


def test_stopped_gone_on_with_and_discarded(downloads: Downloads, hub: Hub, models: Path) -> None:
    hub.faults[WEIGHTS] = {"slow": 0.05}
    ask(downloads)
    downloads.act({"action": "start"})
    while downloads.act({"action": "see"})["done"] < 20_000:
        time.sleep(0.01)
    assert downloads.act({"action": "cancel"})["ending"]
    seen = until(downloads, "stopped")
    assert seen["kept"] >= 20_000
    assert not (models / seen["name"]).exists()
    hub.faults.clear()
    hub.requests.clear()
    downloads.act({"action": "start"})
    until(downloads, "ended")
    assert [one.range for one in hub.requests if one.server == "cdn"] != [None], "it went on in the middle"
    hub.commit, hub.files["config.json"] = "b" * 40, hub.files["config.json"] + b" "
    hub.faults["config.json"] = {"body": b"wrong"}
    ask(downloads)
    downloads.act({"action": "start"})
    assert until(downloads, "failed")["problem"]["key"] == "problem.hub_damaged"
    assert work_folder(models / seen["name"]).exists()
    assert downloads.act({"action": "discard"}) == {"state": "none"}
    assert [path.name for path in models.iterdir()] == [seen["name"]]
    assert open_checkpoint(models / seen["name"]).verified


def test_not_now(downloads: Downloads, hub: Hub) -> None:
    ask(downloads)
    assert downloads.act({"action": "cancel"}) == {"state": "none"}


def test_who_stops_the_asking_has_agreed_to_nothing(downloads: Downloads, hub: Hub) -> None:
    downloads.act({"action": "ask", "repo": REPO})
    assert downloads.act({"action": "cancel"}) == {"state": "none"}
    assert key_of(downloads, action="start") == "problem.no_download"


def test_too_little_room_is_said_before_the_question(
    downloads: Downloads, hub: Hub, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fetch, "free_room", lambda _: 1000)
    assert ask(downloads)["problem"]["key"] == "problem.hub_disk"


def test_a_refusal_is_a_sentence(downloads: Downloads, hub: Hub) -> None:
    hub.gated_for = "somebody"
    ask(downloads)
    downloads.act({"action": "start"})
    problem = until(downloads, "failed")["problem"]
    assert problem["key"] == "problem.hub_gated"
    assert f"{hub.endpoint}/{REPO}" in problem["english"]
    assert "HF_TOKEN" in problem["english"]


def test_every_kind_of_refusal_has_a_sentence(downloads: Downloads, hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    told = HubError.__doc__ or ""
    kinds = set(told.partition("`kind`:")[2].replace(" or ", ", ").strip(" .\n").replace("\n", " ").split(", "))
    assert {kind.strip() for kind in kinds} == set(PROBLEMS)
    for kind, key in PROBLEMS.items():

        def refuse(repo: str, kind: str = kind) -> None:
            raise HubError(kind, "in English")

        monkeypatch.setattr(sources, "look_up", refuse)
        problem = ask(downloads)["problem"]
        assert problem["key"] == key
        for words in all_words().values():
            words[key].format(**problem["values"])
    monkeypatch.setattr(sources, "look_up", lambda repo: 1 / 0)
    assert ask(downloads)["problem"]["key"] == "problem.hub_unexpected"


def test_a_pickle_is_converted(downloads: Downloads, hub: Hub, models: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    hub.files["pytorch_model.bin"] = hub.files.pop(WEIGHTS)
    converted: list[Path] = []
    monkeypatch.setattr(sources, "convert", converted.append)
    assert ask(downloads)["conversion"]
    downloads.act({"action": "start"})
    until(downloads, "ended")
    assert converted == [models / "LiteLlama-460M-1T"]
    assert ask(downloads)["state"] == "asked", "a conversion that was cut off is made up for"
    downloads.act({"action": "start"})
    until(downloads, "ended")
    assert len(converted) == 2


def test_the_server_ends_in_the_middle(downloads: Downloads, hub: Hub, models: Path) -> None:
    hub.faults[WEIGHTS] = {"slow": 0.05}
    ask(downloads)
    downloads.act({"action": "start"})
    while not downloads.act({"action": "see"})["done"]:
        time.sleep(0.01)
    downloads.close()
    assert downloads.act({"action": "see"})["state"] == "stopped"
    assert not (models / "LiteLlama-460M-1T").exists()


def test_speed_is_that_of_what_came_just_now() -> None:
    job = DownloadJob(HubSource(REPO, Path()))
    for second, total in ((0.0, 5_000), (0.5, 6_000), (1.0, 7_000), (2.0, 9_000)):
        job.record(Received("x", 0, total), second)
    assert (job.done, job.speed) == (9_000, 2_000.0), "what was there before has no speed"
    job.record(Waiting(9, "busy"), 3.0)
    job.record(Received("x", 0, 9_500), 60.0)
    job.record(Received("x", 0, 100), 61.0)  # begun anew
    assert (job.done, job.speed) == (100, 2_000.0)


# --- The route -------------------------------------------------------------------------------------------------------


@pytest.fixture
def client(models: Path) -> Iterator[TestClient]:
    app = FastAPI(openapi_url=None, docs_url=None, redoc_url=None)
    add_file_routes(app, models, UploadStore())
    add_download_route(app, Downloads(models))
    app.add_middleware(RequestFilter, hosts=LOOPBACK, uploads=UPLOADS)
    with TestClient(app, base_url=OWN) as client:
        yield client


def test_the_route_is_the_labs_own_pages(client: TestClient, hub: Hub) -> None:
    see = json.dumps({"action": "see"})
    assert client.post("/download.json", content=see, headers=JSON).json() == {"state": "none"}
    for other in ({"origin": "http://evil.example"}, {"origin": "null"}, {"host": "evil.example"}):
        assert client.post("/download.json", content=see, headers=JSON | other).status_code == 400
    ask = json.dumps({"action": "ask", "repo": REPO})
    for kind in ("text/plain", "application/x-www-form-urlencoded", ""):
        answer = client.post("/download.json", content=ask, headers={"content-type": kind})
        assert answer.json()["problem"]["key"] == "problem.request"
    assert client.get("/download.json").status_code == 405
    assert client.post("/download.json", content="{", headers=JSON).status_code == 422
    assert hub.requests == []


@pytest.mark.slow
@pytest.mark.parametrize("options", [(), ("--no-downloads",)])
def test_a_shared_server_has_neither_route_nor_button(
    tiny_checkpoint: Path, tmp_path: Path, options: tuple[str, ...]
) -> None:
    with running_app(tiny_checkpoint, tmp_path / "log", "--models", str(tmp_path), *options) as address:
        answer = httpx.post(f"{address}download.json", content=json.dumps({"action": "see"}), headers=SENT)
        assert (answer.status_code == 200) == (not options)
        assert ('"gated":true' in httpx.get(f"{address}config").text) == (not options)


def test_the_option(capsys: pytest.CaptureFixture[str]) -> None:
    assert not parse_options([]).no_downloads
    assert parse_options(["--no-downloads"]).no_downloads
