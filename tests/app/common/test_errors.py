"""When things break: one sentence with a number for who asked, one line with the same number for the log, and on."""

from __future__ import annotations

import logging
import re
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest
import torch

from app.common.errors import as_problem, is_out_of_memory
from app.common.strings import Problem
from tests.browser.app_server import ROOT, Page, running_app, server_of

SETTINGS = {"temperature": 0, "top_p": 1, "top_k": 0, "max_tokens": 12, "seed": 1}
QUESTION = {"request": "1", "text": "Tom has a ball. Where is the ball?", "settings": SETTINGS}


def failed(error: Exception) -> Exception:
    try:
        raise error
    except Exception as raised:
        return raised


@pytest.mark.parametrize(
    ("error", "key"),
    [
        (ValueError("secret"), "problem.unexpected"), (RuntimeError("the shapes differ"), "problem.unexpected"),
        (MemoryError(), "problem.no_memory"), (torch.OutOfMemoryError("CUDA out of memory"), "problem.no_memory"),
        (RuntimeError("can't start new thread"), "problem.no_memory"),
        (OSError(12, "Cannot allocate memory: not enough memory"), "problem.no_memory"),
    ],
)  # fmt: skip
def test_one_line_and_one_sentence_bear_the_same_number(
    error: Exception, key: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    problem = as_problem(failed(error), "a request")
    assert problem.key == key
    (line,) = caplog.messages
    assert line.startswith(f"[{problem.values['number']}] a request failed: {type(error).__name__}")
    assert f"{problem.values['number']}." in str(problem)
    assert "\n" not in line
    assert "tests/app/common/test_errors.py" in line, "where it happened"


@pytest.mark.fault(22)
def test_what_may_quote_a_user_is_not_logged(caplog: pytest.LogCaptureFixture) -> None:
    as_problem(failed(KeyError("what somebody typed")), "a request")
    as_problem(failed(RuntimeError("what the machine\nsays")), "a request")
    assert "somebody typed" not in caplog.text
    assert "what the machine says" in caplog.text


def test_a_foreseen_problem_is_handed_on_and_not_logged(caplog: pytest.LogCaptureFixture) -> None:
    problem = Problem("problem.empty")
    assert as_problem(problem, "a request") is problem
    assert not caplog.messages
    assert not is_out_of_memory(problem)


# --- A real server, whose memory and files are taken from it ---------------------------------------------------------


@pytest.fixture
def served(tmp_path: Path) -> Iterator[tuple[httpx.Client, psutil.Process, Path]]:
    """A caller of the app, its process, and the folder of its models: TinyTown, and another called `second`."""
    models, log = tmp_path / "models", tmp_path / "app.log"
    for name in ("tinytown", "second"):
        shutil.copytree(ROOT / "checkpoints" / "tinytown", models / name)
    options = ("--models", str(models))
    with (
        running_app(models / "tinytown", log, *options) as address,
        httpx.Client(base_url=address, timeout=60) as client,
    ):
        yield client, server_of(address), tmp_path
    assert "Traceback" not in log.read_text()


def numbered(folder: Path, problem: dict[str, Any]) -> str:
    """The one line of the log that bears a problem's number."""
    lines = (folder / "app.log").read_text().splitlines()
    (line,) = [line for line in lines if f"[{problem['values']['number']}]" in line]
    return line


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="only Linux takes memory away from a running process")
def test_without_memory_there_are_sentences_and_with_it_everything_is_as_before(
    served: tuple[httpx.Client, psutil.Process, Path],
) -> None:
    client, server, folder = served
    page = Page(client)
    before = page.call("ask", QUESTION)
    long = {"request": "2", "text": "Tom hid a red ball under the bed. " * 40}
    assert "problem" not in page.call("look", long | {"text": "Tom has a ball."})
    unlimited = (psutil.RLIM_INFINITY, psutil.RLIM_INFINITY)
    refused = []
    try:
        for spare in (16, 8, 4):  # MiB; what lies free inside the process is not known
            server.rlimit(psutil.RLIMIT_AS, (server.memory_info().vms + spare * 2**20, psutil.RLIM_INFINITY))
            told = page.call("look", long)
            if "problem" in told:
                chat = Page(client).call("ask", QUESTION)  # which needs less, and may still have it
                refused = [answer["problem"] for answer in (told, chat) if "problem" in answer]
                break
    finally:
        server.rlimit(psutil.RLIMIT_AS, unlimited)
    assert refused
    for problem in refused:
        assert problem["key"] == "problem.no_memory"
        assert re.search("memory", numbered(folder, problem), re.IGNORECASE)
    assert "problem" not in page.call("look", long)
    assert page.call("redo", {**QUESTION, "text": None})["tokens"] == before["tokens"], "its talk was not lost"


def test_a_model_that_is_broken_and_mended_is_opened_without_a_restart(
    served: tuple[httpx.Client, psutil.Process, Path],
) -> None:
    client, _, folder = served
    weights = folder / "models" / "second" / "model.safetensors"
    whole = weights.read_bytes()
    weights.write_bytes(whole[: len(whole) // 2])
    told = client.post("/model.json", params={"name": "second"}).json()
    assert told["name"] == "tinytown", "the page goes on with the first model"
    assert told["problem"]["key"] == "problem.model_broken"
    assert "second" in numbered(folder, told["problem"])
    page = Page(client)
    asked = page.call("ask", QUESTION | {"model": "second"})
    assert asked["problem"]["key"] == "problem.model_broken"
    assert page.call("ask", QUESTION)["state"] in ("done", "length")
    weights.write_bytes(whole)
    told = client.post("/model.json", params={"name": "second"}).json()
    assert (told["name"], told["problem"]) == ("second", None)
    assert page.call("ask", QUESTION | {"model": "second"})["state"] in ("done", "length")


def test_a_route_that_fails_says_so(tiny_checkpoint: Path, caplog: pytest.LogCaptureFixture) -> None:
    from starlette.applications import Starlette
    from starlette.requests import Request
    from starlette.responses import Response
    from starlette.routing import Route
    from starlette.testclient import TestClient

    from app.server.request_filter import RequestFilter

    async def broken(request: Request) -> Response:
        raise ZeroDivisionError

    app = Starlette(routes=[Route("/facts.json", broken)])
    app.add_middleware(RequestFilter, hosts=("testserver",), uploads={})
    answer = TestClient(app).get("/facts.json")
    assert answer.status_code == 500
    problem = answer.json()["problem"]
    assert f"[{problem['values']['number']}]" in caplog.text
