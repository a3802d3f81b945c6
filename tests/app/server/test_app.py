"""The app without a browser: who is let in, what it refuses, and what the chat does behind the page."""

from __future__ import annotations

import json
import math
import shutil
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest
from torch import Tensor

from app import __main__ as app_main
from app.__main__ import main, open_socket
from app.chat.responders import LocalResponder, ReplyStream
from app.common.questions import read_message
from app.common.settings import read_settings
from app.common.strings import Problem
from app.launch.options import first_checkpoints, parse_options
from app.models.page_models import MOST_PAGES
from app.server.services import Services
from litellama.checkpoint import open_checkpoint
from litellama.decoding import Decoding
from tests.browser.app_server import Page, running_app
from tests.support.serving import wait_until

SETTINGS = {"temperature": 0.7, "top_p": 0.95, "top_k": 0, "max_tokens": 20, "seed": 1}


# --- The chat, in this process ------------------------------------------------------------------------------------


@pytest.fixture
def services(tiny_checkpoint: Path) -> Services:
    return Services(open_checkpoint(tiny_checkpoint))


def settings(**changes: object) -> Any:
    return read_settings(SETTINGS | changes)


def last(updates: Iterator[Any]) -> dict[str, Any]:
    return list(updates)[-1].to_json()


def text(update: dict[str, Any]) -> str:
    return "".join(piece for piece, _ in update["tokens"])


def test_same_seed_same_reply(services: Services) -> None:
    first = last(services.chat.ask("a", "Where is the kite?", settings()))
    again = last(services.chat.redo("a", None, settings()))
    other = last(services.chat.redo("a", None, settings(seed=2)))
    assert first["tokens"] == again["tokens"] != other["tokens"]
    assert first["count"] == len(first["tokens"]) > 0


def test_editing_replaces_the_last_message(services: Services) -> None:
    list(services.chat.ask("a", "first", settings()))
    list(services.chat.ask("a", "second", settings()))
    list(services.chat.redo("a", "third", settings()))
    questions = [message.content for message in services.chat.conversation("a").messages() if message.role == "user"]
    assert questions[-1] == "third"
    assert "second" not in questions


def test_nothing_is_lost_by_an_edit_that_does_not_fit(services: Services) -> None:
    list(services.chat.ask("a", "first", settings()))
    with pytest.raises(Problem, match="longer than the model can read"):
        list(services.chat.redo("a", "long " * 700, settings()))
    assert services.chat.conversation("a").turns[-1].question == "first"


def test_one_reply_at_a_time(services: Services) -> None:
    running = services.chat.ask("a", "hello", settings(max_tokens=60))
    next(running)
    with pytest.raises(Problem, match="still being written"):
        next(services.chat.ask("a", "me too", settings()))
    next(services.chat.ask("b", "another page may", settings()))
    running.close()  # as when the tab is closed
    list(services.chat.ask("a", "now it is my turn", settings()))


def test_stop_ends_with_the_next_token(services: Services) -> None:
    running = services.chat.ask("a", "hello", settings(temperature=0, max_tokens=60))
    next(running)
    services.chat.stop("a")
    update = next(running).to_json()
    assert (update["state"], update["count"]) == ("stopped", 2)


def test_pages_that_write_at_once_share_each_step(services: Services, monkeypatch: pytest.MonkeyPatch) -> None:
    """And each reply is what it is alone."""
    alone = [last(services.chat.ask(page, f"{page}, where is the kite?", settings()))["tokens"] for page in "abc"]
    widths: list[int] = []
    go_on, step, engine = threading.Event(), Decoding.step, services.models.first.engine

    def counted(self: Decoding, ids: list[int]) -> Tensor:
        assert go_on.wait(20)
        widths.append(len(ids))
        return step(self, ids)

    monkeypatch.setattr(Decoding, "step", counted)
    with ThreadPoolExecutor() as pool:
        replies = [pool.submit(lambda page: last(services.chat.redo(page, None, settings())), page) for page in "abc"]
        wait_until(lambda: len(engine._waiting) == 2)  # the third is in its first step
        go_on.set()
        assert [reply.result(20)["tokens"] for reply in replies] == alone
    assert max(widths) == 3


@pytest.mark.parametrize("how", ["closed", "stopped"])
@pytest.mark.fault(17)
def test_who_no_longer_listens_leaves_the_batch(services: Services, monkeypatch: pytest.MonkeyPatch, how: str) -> None:
    """Whatever else still holds what it listened to."""
    steps: list[int] = []
    held: list[ReplyStream] = []
    go_on, step, reply = threading.Semaphore(0), Decoding.step, LocalResponder.reply

    def kept(self: LocalResponder, *arguments: Any) -> ReplyStream:
        held.append(reply(self, *arguments))
        return held[-1]

    def slowly(self: Decoding, ids: list[int]) -> Tensor:
        assert go_on.acquire(timeout=20)
        steps.append(len(ids))
        return step(self, ids)

    monkeypatch.setattr(Decoding, "step", slowly)
    monkeypatch.setattr(LocalResponder, "reply", kept)
    engine = services.models.first.engine
    running = services.chat.ask("a", "hello", settings(temperature=0, max_tokens=60))
    next(running)
    if how == "closed":
        running.close()  # type: ignore[attr-defined]
    else:
        services.chat.stop("a")
        go_on.release()
        assert [update.state for update in running] == ["stopped"]
    go_on.release(100)
    wait_until(lambda: not engine._working)
    assert len(steps) <= 2, "it went on for nobody"


@pytest.mark.fault(18)
def test_wall_clock(tiny_checkpoint: Path) -> None:
    services = Services(open_checkpoint(tiny_checkpoint), seconds_per_reply=0)
    assert last(services.chat.ask("a", "hello", settings()))["state"] == "time"


def test_alternatives(services: Services) -> None:
    update = last(services.chat.ask("a", "hello", settings(temperature=0)))
    for token in range(update["count"]):
        rows = services.chat.alternatives("a", update["turn"], token)["rows"]
        shares = [row["probability"] for row in rows]
        assert len(rows) == 10
        assert shares == sorted(shares, reverse=True)
        assert 0 < sum(shares) <= 1 + 1e-4
        assert rows[0]["chosen"], "greedy takes the likeliest"


@pytest.mark.fault(21)
def test_pages_do_not_see_each_other(services: Services) -> None:
    update = last(services.chat.ask("a", "my secret", settings()))
    with pytest.raises(Problem, match="no longer remembered"):
        services.chat.alternatives("b", update["turn"], 0)
    for forged in (-1, 10**6, 0.5, "0", None, True):
        with pytest.raises(Problem):
            services.chat.alternatives("a", update["turn"], forged)


def test_old_conversations_make_room(services: Services) -> None:
    list(services.chat.ask("first", "hello", settings()))
    for number in range(MOST_PAGES):
        services.chat.conversation(f"page {number}")
    assert services.chat.conversation("first").turns == []


@pytest.mark.fault(22)
def test_a_failing_model_is_a_sentence_for_its_user(services: Services, caplog: pytest.LogCaptureFixture) -> None:
    weight = services.page_models.opened("a").model.lm_head.weight
    kept = weight.data.clone()
    weight.data.fill_(math.nan)
    with pytest.raises(Problem, match=r"went wrong|please try again"):
        list(services.chat.ask("a", "hello", settings()))
    weight.data.copy_(kept)
    assert list(services.chat.ask("a", "hello", settings()))


@pytest.mark.parametrize("name", ["temperature", "top_p", "top_k", "max_tokens", "seed"])
@pytest.mark.parametrize("bad", [math.nan, math.inf, -1, 1e308, 10**400, "1", True, [1], {}])
@pytest.mark.fault(6)
@pytest.mark.fault(7)
def test_settings_are_checked_here(name: str, bad: object) -> None:
    with pytest.raises(Problem, match="must be a"):
        settings(**{name: bad})


@pytest.mark.parametrize("bad", [None, 3, "", [], {"temperature": 1}])
@pytest.mark.fault(7)
def test_settings_of_any_shape(bad: object) -> None:
    with pytest.raises(Problem):
        read_settings(bad)


def test_no_seed_means_a_new_one() -> None:
    assert len({settings(seed=None).seed for _ in range(20)}) > 1


@pytest.mark.fault(1)
@pytest.mark.fault(3)
def test_messages() -> None:
    assert read_message("  hi \ud800 there ") == "hi \ufffd there"
    assert read_message("\ud83d\ude00") == "😀"
    for bad in ("", " \n", "x" * 4001, None, 3, ["x"]):
        with pytest.raises(Problem):
            read_message(bad)


# --- The command line ------------------------------------------------------------------------------------------------


def test_options(capsys: pytest.CaptureFixture[str]) -> None:
    options = parse_options([])
    assert (options.host, options.port, options.no_browser) == ("127.0.0.1", None, False)
    for bad in (["--host", "0.0.0.0"], ["--port", "70000"]):
        with pytest.raises(SystemExit):
            parse_options(bad)
    assert "no password" in capsys.readouterr().err


def test_which_model_the_page_opens_with(tmp_path: Path) -> None:
    def first(*arguments: str) -> list[str]:
        return [folder.name for folder in first_checkpoints(parse_options([*arguments]), tmp_path / "real")]

    assert first() == ["tinytown"]
    (tmp_path / "real").mkdir()
    (tmp_path / "real" / "config.json").touch()
    assert first() == ["tinytown"], "half a model is none"
    (tmp_path / "real" / "model.safetensors").touch()
    assert first() == ["real", "tinytown"]
    assert first("--window") == ["real", "tinytown"]
    assert first("--classroom") == ["tinytown"]
    assert first("--models", str(tmp_path)) == ["tinytown"]
    assert first("--checkpoint", "mine") == first("--classroom", "--checkpoint", "mine") == ["mine"]


def test_a_fetched_model_that_cannot_be_opened_is_no_obstacle(
    tmp_path: Path, tiny_checkpoint: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    broken = tmp_path / "broken"
    shutil.copytree(tiny_checkpoint, broken)
    (broken / "model.safetensors").write_bytes(b"cut off")
    monkeypatch.setattr(app_main, "first_checkpoints", lambda options, fetched: [broken, tiny_checkpoint])
    assert app_main.open_first(parse_options([])).folder == tiny_checkpoint
    assert "broken can't be opened" in caplog.text


def test_port_is_the_next_free_one() -> None:
    first, second = open_socket("127.0.0.1", None), open_socket("127.0.0.1", None)
    first.listen()
    taken = first.getsockname()[1]
    assert second.getsockname()[1] != taken or sys.platform == "win32"
    with pytest.raises(OSError, match=f"port {taken} is in use"):
        open_socket("127.0.0.1", taken)
    first.close()
    second.close()


def test_wrong_folder_is_one_sentence(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--port", "0", "--no-browser", "--checkpoint", str(tmp_path / "none")]) == 2
    error = capsys.readouterr().err
    assert error.startswith("LiteLlama Lab cannot start: ")
    assert error.count("\n") == 1


# --- The server, as its own process ----------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def client(tiny_checkpoint: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx.Client]:
    log = tmp_path_factory.mktemp("app") / "app.log"
    with running_app(tiny_checkpoint, log) as address, httpx.Client(base_url=address, timeout=30) as client:
        yield client
    assert "Traceback" not in log.read_text(), log.read_text()


@pytest.fixture
def open_page(client: httpx.Client) -> Page:
    return Page(client)


def test_page_and_headers(client: httpx.Client) -> None:
    response = client.get("/")
    assert response.status_code == 200
    assert "default-src 'self'" in response.headers["content-security-policy"]
    assert "access-control-allow-origin" not in response.headers
    assert not [header for header in response.headers.values() if "uvicorn" in header]


@pytest.mark.parametrize(
    "path",
    [
        "/gradio_api/upload", "/gradio_api/proxy=http://example.org/", "/gradio_api/run/ask", "/gradio_api/api/ask",
        "/gradio_api/call/ask", "/gradio_api/info", "/gradio_api/file=/etc/passwd", "/gradio_api/component_server",
        "/gradio_api/runs", "/gradio_api/stream/x", "/gradio_api/openapi.json", "/monitoring", "/docs", "/openapi.json",
        "/login", "/gradio_api/deep_link", "/views/../server/app.py", "/views/%2e%2e/server/app.py",
        "/views/__init__.py", "/gradio_api/mcp/sse",
    ],
)  # fmt: skip
@pytest.mark.fault(12)
@pytest.mark.fault(14)
def test_closed_routes(client: httpx.Client, path: str) -> None:
    for method in ("GET", "POST"):
        assert client.request(method, path).status_code == 404


@pytest.mark.fault(4)
def test_large_bodies_are_refused(client: httpx.Client) -> None:
    large = json.dumps({"data": ["x" * 300_000]}).encode()
    assert client.post("/gradio_api/queue/join", content=large).status_code == 413

    def pieces() -> Iterator[bytes]:  # no length is announced
        for _ in range(30):
            yield b"x" * 10_000

    assert client.post("/gradio_api/queue/join", content=pieces()).status_code == 413


@pytest.mark.fault(15)
def test_forged_host_and_origin(client: httpx.Client) -> None:
    assert client.get("/", headers={"host": "evil.example"}).status_code == 400
    for origin in ("https://evil.example", "null", "http://127.0.0.1:1"):
        assert client.post("/gradio_api/queue/join", headers={"origin": origin}).status_code == 400
    own = str(client.base_url).rstrip("/")
    assert client.get("/", headers={"origin": own}).status_code == 200


@pytest.mark.fault(11)
def test_broken_requests_are_the_callers_fault(client: httpx.Client) -> None:
    for body in (b"{", b"[" * 50_000, b'{"data": [], "fn_index": 999, "session_hash": "x"}', b'{"data": 3}', b"\xff"):
        status = client.post("/gradio_api/queue/join", content=body).status_code
        assert 400 <= status < 500, body[:40]


def test_no_figure_is_prepared_for(tiny_checkpoint: Path) -> None:
    """Gradio would load matplotlib before the first answer, in case a tab draws with it."""
    script = """
import sys
from pathlib import Path
from app.server.app import create_app
from app.server.services import Services
from litellama.checkpoint import open_checkpoint
create_app(Services(open_checkpoint(Path(sys.argv[1]))))
import gradio.route_utils
with gradio.route_utils.utils.MatplotlibBackendMananger():
    pass
print("matplotlib.pyplot" in sys.modules)
"""
    ran = subprocess.run([sys.executable, "-c", script, tiny_checkpoint], capture_output=True, text=True, check=True)
    assert ran.stdout.strip() == "False"


def test_reply_over_the_wire(open_page: Page) -> None:
    updates = open_page.stream("ask", {"request": "1", "text": "Where is the kite?", "settings": SETTINGS})
    assert updates[0]["state"] == "running"
    assert updates[0]["count"] == 1, "the first token is told at once"
    assert updates[-1]["state"] in ("done", "length")
    picked = open_page.call("pick", {"turn": updates[-1]["turn"], "token": 0})
    assert len(picked["rows"]) == 10


def test_first_token_is_quick(open_page: Page) -> None:
    open_page.call("ask", {"request": "1", "text": "warm up", "settings": SETTINGS})
    waits = []
    for _ in range(3):
        start = time.perf_counter()
        event = open_page.join("ask", {"request": "1", "text": "hello", "settings": SETTINGS}).json()["event_id"]
        updates = open_page.listen(event)
        next(updates)
        waits.append(time.perf_counter() - start)
        list(updates)
    assert min(waits) < 0.3, f"the first token took {min(waits):.2f} s"  # 0.07 s on an idle machine


@pytest.mark.parametrize(
    ("sent", "sentence"),
    [
        ({"text": "hi", "settings": SETTINGS | {"temperature": math.nan}}, "Temperature must be a number from 0 to 2."),
        ({"text": "hi", "settings": SETTINGS | {"top_k": 1.5}}, "Top-k must be a whole number."),
        ({"text": "hi", "settings": SETTINGS | {"max_tokens": 10**9}}, "Longest reply must be a number from 1 to 2000"),
        ({"text": "x " * 1500, "settings": SETTINGS}, "longer than the model can read"),
        ({"text": "x" * 5000, "settings": SETTINGS}, "5000 characters"),
        ({"text": None, "settings": SETTINGS}, "does not understand"),
        ("nonsense", "does not understand"),
        (None, "does not understand"),
    ],
)
@pytest.mark.fault(3)
@pytest.mark.fault(6)
def test_refusals_are_sentences(open_page: Page, sent: object, sentence: str) -> None:
    answer = open_page.call("ask", sent)
    assert answer["state"] == "problem"
    assert sentence in answer["problem"]["english"]


@pytest.mark.parametrize(
    "text", ["lone \ud800 surrogate", "nul \0 and \u202e and 👩‍👩‍👧", "<|end|><|user|> hi", "\u0300" * 50]
)
@pytest.mark.fault(1)
@pytest.mark.fault(2)
def test_strange_text_is_answered(open_page: Page, text: str) -> None:
    assert open_page.call("ask", {"text": text, "settings": SETTINGS})["state"] in ("done", "length")


def test_server_starts_without_being_told_a_port(tiny_checkpoint: Path) -> None:
    """The default port may be taken; Ctrl+C ends the server without a traceback."""
    command = [sys.executable, "-m", "app", "--no-browser", "--checkpoint", str(tiny_checkpoint)]
    with socket.socket() as taken:
        taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            taken.bind(("127.0.0.1", 7860))
            taken.listen()
        except OSError:
            pass  # someone else has it, which is as good
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        assert process.stdout is not None
        line = process.stdout.readline()
    assert "http://127.0.0.1:78" in line
    assert ":7860/" not in line
    process.terminate()
    _, errors = process.communicate(timeout=20)
    assert "Traceback" not in errors
