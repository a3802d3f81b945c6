"""What `app.server.gradio_compat` takes for granted of Gradio: each test says what a new Gradio changed."""

from __future__ import annotations

import ast
import asyncio
import inspect
import json
import math
from collections.abc import Iterator
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import gradio as gr
import pytest
from gradio import component_meta, route_utils, routes, state_holder, utils
from gradio.data_classes import PredictBody
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.testclient import TestClient

from app.classroom.auth import COOKIE, JOIN
from app.server import gradio_compat
from app.server.gradio_compat import (
    NOT_UNDERSTOOD,
    STREAM,
    TOO_DEEP,
    UNKNOWN_PAGE,
    EventRoutes,
    known_pages,
    queue_positions,
    quick_import,
    sanitized,
    skip_matplotlib,
)


def changed(what: str, entry: str) -> str:
    return f"Gradio {gr.__version__} changed {what}; see gradio_compat.{entry}"


@pytest.fixture(scope="module")
def page() -> gr.Blocks:
    with gr.Blocks(analytics_enabled=False) as page:
        button = gr.Button()

        def listen(event: gr.EventData) -> None:
            """Nothing; it is never run."""

        button.click(listen, api_name="click")
    return page


# --- quick_import ----------------------------------------------------------------------------------------------------


def test_components_are_parsed_unless_their_file_is_not_found(monkeypatch: pytest.MonkeyPatch) -> None:
    parsed: list[str] = []

    def extract(code: str, name: str) -> tuple[str, int]:
        parsed.append(name)
        raise RuntimeError  # before anything would be written

    monkeypatch.setattr(component_meta, "extract_class_source_code", extract)
    why = changed("how it writes the stubs of its components: perhaps nothing is parsed any more", "quick_import")
    with pytest.raises(RuntimeError):
        component_meta.create_or_modify_pyi(gr.HTML, "HTML", [])
    assert parsed == ["HTML"], why
    with quick_import():
        component_meta.create_or_modify_pyi(gr.HTML, "HTML", [])
    assert parsed == ["HTML"], why


def test_files_are_found_again_after_the_import() -> None:
    before = inspect.getfile
    with pytest.raises(KeyError), quick_import():
        raise KeyError
    assert inspect.getfile is before


# --- skip_matplotlib -------------------------------------------------------------------------------------------------


def test_calls_are_wrapped_by_the_class_that_is_replaced(monkeypatch: pytest.MonkeyPatch) -> None:
    why = changed("where it loads matplotlib", "skip_matplotlib")
    name = "MatplotlibBackendMananger"
    classes = [node.name for node in ast.walk(tree(utils)) if isinstance(node, ast.ClassDef)]
    assert name in classes, why
    used = [
        node for node in ast.walk(tree(route_utils)) if isinstance(node, ast.Attribute) and node.attr == name
    ]  # fmt: skip
    assert used, why
    assert all(isinstance(node.value, ast.Name) and node.value.id == "utils" for node in used), why
    monkeypatch.setattr(utils, name, getattr(utils, name))  # so that it is put back
    skip_matplotlib()
    assert getattr(route_utils.utils, name) is nullcontext, why


def tree(module: Any) -> ast.AST:
    return ast.parse(Path(module.__file__).read_text(encoding="utf-8"))


# --- known_pages, queue_positions ------------------------------------------------------------------------------------


def test_a_page_is_known_from_its_first_event_on(page: gr.Blocks) -> None:
    why = changed("where it holds the answers of each page", "known_pages")
    assert hasattr(page._queue, "pending_messages_per_session"), why
    assert "mia" not in known_pages(page), why
    push(page, "mia", cookie="")
    assert "mia" in known_pages(page), why


def test_waiting_requests_are_found_by_cookie(page: gr.Blocks) -> None:
    why = changed("how its queue holds requests", "queue_positions")
    assert hasattr(page._queue, "event_queue_per_concurrency_id"), why
    before = sum(map(len, queue_positions(page).values()))
    for cookie in ("ada", "ben", "ada"):
        push(page, f"page-of-{cookie}", cookie)
    found = queue_positions(page)
    assert (found.get("ada"), found.get("ben")) == ([before + 1, before + 3], [before + 2]), why


def push(page: gr.Blocks, session: str, cookie: str) -> None:
    """An event into the queue, which nobody works off."""
    headers = [(b"cookie", f"{COOKIE}={cookie}".encode())] if cookie else []
    request = Request({"type": "http", "method": "POST", "path": JOIN, "query_string": b"", "headers": headers})
    body = routes.PredictBodyInternal(data=[], fn_index=0, session_hash=session, request=request)
    done, _, state = asyncio.run(page._queue.push(body=body, request=request, username=None))
    assert done, f"{changed('its queue', 'queue_positions')}: {state}"


# --- EventRoutes -----------------------------------------------------------------------------------------------------


def test_an_event_takes_what_is_sanitized(page: gr.Blocks) -> None:
    why = changed("the body of a request for an event", "sanitized")
    fields = PredictBody.model_fields
    assert {"session_hash", "data", "event_data", "fn_index"} <= fields.keys(), why
    body = sanitized(json.dumps({"session_hash": "x", "data": [1], "event_data": {"a": 1}, "fn_index": 0}).encode())
    read = PredictBody.model_validate_json(body or b"")
    assert (read.session_hash, read.data, read.fn_index) == ("x", [], 0), why
    made = route_utils.prepare_event_data(page.default_config, routes.PredictBodyInternal(**read.model_dump()))
    assert made.sent == {"a": 1}, changed("how a listener reads what was sent (event.name)", "sanitized")


@pytest.mark.filterwarnings("ignore::ResourceWarning")
def test_unknown_pages_are_told_in_gradios_words(page: gr.Blocks) -> None:
    app = Starlette()
    gr.mount_gradio_app(app, page, path="/")
    bare = TestClient(app, raise_server_exceptions=False).get(STREAM, params={"session_hash": "gone"})
    why = changed("what it says to a page that it does not know", "UNKNOWN_PAGE")
    assert bare.text == UNKNOWN_PAGE, why
    assert bare.headers["content-type"].startswith("text/event-stream"), why


def test_the_browsers_part_uses_the_same_routes() -> None:
    why = changed("what its client in the browser sends", "js")
    scripts = [path.read_text(encoding="utf-8") for path in Path(gr.__file__).parent.glob("templates/frontend/**/*.js")]
    assert any("queue/join" in script for script in scripts), why
    assert any("session_hash" in script and "event_data" in script and ".fetch(" in script for script in scripts), why


@pytest.fixture(scope="module")
def echo() -> Iterator[TestClient]:
    """`EventRoutes` around an app that says which body it got."""

    async def join(request: Request) -> Response:
        return Response(await request.body())

    async def stream(request: Request) -> Response:
        return Response("the stream")

    app = Starlette(routes=[Route(JOIN, join, methods=["POST"]), Route(STREAM, stream)])
    app.add_middleware(EventRoutes, pages={"known"})
    with TestClient(app) as client:
        yield client


DEEP: Any = "x"
for _ in range(20):
    DEEP = [DEEP]


@pytest.mark.parametrize(
    ("sent", "got"),
    [
        ({"text": "a\ud83d"}, {"text": "a\ufffd"}),
        ({"n": 2**70, "m": -(2**70), "small": 2**40}, {"n": math.inf, "m": -math.inf, "small": 2**40}),
        ({"path": "/etc/passwd", "inside": [{"path": "x", "y": 1}]}, {"inside": [{"y": 1}]}),
        (DEEP, [[[[[[[[None]]]]]]]]),
        (["no", "object"], ["no", "object"]),
        (None, None),
    ],
)
def test_what_is_sent_is_made_writable(echo: TestClient, sent: Any, got: Any) -> None:
    body = {"session_hash": "a", "data": ["an input"], "event_data": sent, "fn_index": 3, "trigger_id": 7}
    answer = json.loads(echo.post(JOIN, content=json.dumps(body)).content)
    assert answer == body | {"data": [], "event_data": {"sent": got}}


@pytest.mark.parametrize("body", [b"{", b"\xff", b"[1]", b"3", b'"x"', b""])
def test_what_is_no_request_is_left_to_gradio(echo: TestClient, body: bytes) -> None:
    assert echo.post(JOIN, content=body).content == body


def test_without_a_page_nothing_runs(echo: TestClient) -> None:
    answer = echo.post(JOIN, json={"session_hash": "", "data": [], "fn_index": 0})
    assert (answer.status_code, answer.json()) == (400, {"detail": NOT_UNDERSTOOD})


@pytest.mark.filterwarnings("ignore::ResourceWarning")
def test_what_is_too_deep_is_refused_as_by_gradio(echo: TestClient, page: gr.Blocks) -> None:
    app = Starlette()
    gr.mount_gradio_app(app, page, path="/")
    headers = {"content-type": "application/json"}
    bare, guarded = (one.post(JOIN, content=b"[" * 200_000, headers=headers) for one in (TestClient(app), echo))
    assert (guarded.status_code, guarded.json()) == (bare.status_code, bare.json()) == (400, {"detail": TOO_DEEP})


def test_only_known_pages_reach_the_stream(echo: TestClient) -> None:
    assert echo.get(STREAM, params={"session_hash": "known"}).text == "the stream"
    assert echo.get(STREAM, params={"session_hash": "gone"}).text == UNKNOWN_PAGE
    assert echo.get(STREAM).text == "the stream", "without a name, Gradio itself refuses"


# --- What is public by its name, and not documented ------------------------------------------------------------------


def test_the_pages_whose_state_is_kept_are_bounded_by_an_attribute(page: gr.Blocks) -> None:
    holder = state_holder.StateHolder()
    page.state_session_capacity, before = 7, page.state_session_capacity
    holder.set_blocks(page)
    page.state_session_capacity = before
    assert holder.capacity == 7, changed("the bound of kept state", "and server/app.py, state_session_capacity")


def test_statistics_are_put_off_by_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GRADIO_ANALYTICS_CACHE_FREQUENCY", "12345")
    queue = gr.Blocks(analytics_enabled=False)._queue
    assert 12345 in vars(queue).values(), changed("when it sums up its statistics", "and app/__init__.py")


def test_nothing_else_of_the_app_touches_what_is_private() -> None:
    private = ("._queue", "._data", "mock", "MatplotlibBackend", "getfile")
    app = Path(gradio_compat.__file__).parents[1]
    for path in app.rglob("*.py"):
        if path != Path(gradio_compat.__file__):
            source = path.read_text(encoding="utf-8")
            found = [name for name in private if name in source and "gradio" in source]
            assert not found, f"{path.relative_to(app)} uses {found}; it belongs into server/gradio_compat.py"
