"""Every route of the app, by any method and with anything sent along: no 5xx, no trace, and nothing logged of it."""

from __future__ import annotations

import http.client
import json
import re
import socket
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode

import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from app.classroom.auth import COOKIE, ROUTES
from app.server.request_filter import FILE, OPEN, OPEN_FOLDERS, RequestFilter
from tests.support.arbitrary import anything, bodies, examples, json_bytes, nearly, texts
from tests.support.served import PASSWORD, TEACHER_PASSWORD, Served, served

MARK = "a-word-that-nobody-logs"
JSON, FORM = "application/json", "application/x-www-form-urlencoded"
KNOWN_LINES = r"(WARNING|INFO)|Invalid HTTP|a request to|a model|nobody/nothing was not fetched"  # what may be logged
LARGEST_REFUSAL = 4000  # bytes, beside what it repeats of the request
METHODS = ("GET", "POST", "HEAD", "PUT", "DELETE", "OPTIONS", "PATCH", "TRACE", "BREW")
JOIN = {"data": [], "event_data": {}, "fn_index": 23, "session_hash": "a", "trigger_id": None}

# A right body of each open route that takes one; a new one is to be added here: a test below finds it. None of them
# begins a training or a download.
BODIES: dict[str, tuple[str, dict[str, Any]]] = {
    "/model.json": (FORM, {}),
    "/upload-text": (FILE, {"text": "A kite is red."}),
    "/open-model": (FILE, {"not": "a model"}),
    "/training.json": (
        JSON,
        {"action": "start", "size": "litellama-300k", "corpus": "own", "upload": "none", "minutes": 2, "token": ""},
    ),
    "/download.json": (JSON, {"action": "ask", "repo": "nobody/nothing"}),
    "/gradio_api/queue/join": (JSON, JOIN),
    "/gradio_api/cancel": (JSON, {"session_hash": "a", "fn_index": 0, "event_id": "b"}),
    "/gradio_api/reset": (JSON, {"event_id": "b"}),
    "/enter": (FORM, {"name": "Mia", "password": PASSWORD}),
    "/teacher": (FORM, {"password": TEACHER_PASSWORD}),
    "/teacher.json": (JSON, {"paused": False, "message": "Well done!", "prompt": "Why?", "model": None}),
}  # fmt: skip


@dataclass(frozen=True)
class Answer:
    """What came back; a `status` of 0 means that the connection was closed without a word."""

    status: int
    headers: dict[str, str]
    content: bytes


@dataclass
class Site:
    """A served app, and the cookies that open it."""

    here: Served
    cookies: tuple[str, ...]

    @property
    def address(self) -> tuple[str, int]:
        url = self.here.client.base_url
        return url.host, url.port or 80

    def ask(self, method: str, target: str, headers: dict[str, str], body: bytes) -> Answer:
        """One request as it stands, valid or not, over a connection of its own."""
        sent = {"host": f"127.0.0.1:{self.address[1]}", "content-length": str(len(body)), "connection": "close"}
        lines = [f"{method} {target} HTTP/1.1", *(f"{name}: {value}" for name, value in (sent | headers).items())]
        head = "\r\n".join([*lines, "", ""]).encode("utf-8", "replace")
        with socket.create_connection(self.address, timeout=20) as connection:
            with suppress(OSError):  # it may have had enough of it, and says why
                connection.sendall(head + body)
            if {"content-length", "transfer-encoding"} & {*headers}:  # more may be waited for, which never comes
                connection.settimeout(0.3)
            try:
                response = http.client.HTTPResponse(connection, method=method)
                response.begin()
                told = {name.lower(): value for name, value in response.getheaders()}
                endless = told.get("content-type", "").startswith("text/event-stream")
                if endless:
                    connection.settimeout(0.1)
                return Answer(response.status, told, _whole(response))
            except (http.client.BadStatusLine, ConnectionError, TimeoutError):
                return Answer(0, {}, b"")

    def survived(self) -> None:
        """It is there, and has logged no trace and no word of what was sent."""
        for path in ("/config", *(("/room.json", "/teacher.json") if self.cookies else ())):
            cookie = {"cookie": self.cookies[-1]} if self.cookies else {}
            assert self.ask("GET", path, cookie, b"").status == 200, path
        said = self.here.said()
        assert "Traceback" not in said, said
        assert "ERROR" not in said, said
        assert MARK not in said, said
        assert all(
            re.match(r"(WARNING|INFO)|Invalid HTTP|a request to|a model|nobody/nothing was not fetched", line)
            for line in said.splitlines()
        ), said


def _whole(response: http.client.HTTPResponse) -> bytes:
    pieces = []
    try:
        while piece := response.read1(65536):
            pieces.append(piece)
    except (TimeoutError, http.client.IncompleteRead, ConnectionError):
        pass
    return b"".join(pieces)


@pytest.fixture(scope="module")
def personal(tiny_checkpoint: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    with served(tiny_checkpoint, tmp_path_factory.mktemp("personal")) as here:
        yield Site(here, ())


@pytest.fixture(scope="module")
def school(tiny_checkpoint: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """With a pupil and the teacher in it."""
    with served(tiny_checkpoint, tmp_path_factory.mktemp("school"), "class") as here:
        came = [
            here.client.post("/enter", data={"name": "Mia", "password": PASSWORD}),
            here.client.post("/teacher", data={"password": TEACHER_PASSWORD}),
        ]
        yield Site(here, tuple(f"{COOKIE}={answer.cookies[COOKIE]}" for answer in came))


def paths(site: Site) -> list[str]:
    """Every route that there is, Gradio's and the class's among them, and those that the request filter names."""
    return sorted({path for _, path in site.here.routes} | {*OPEN} | {f"{folder}{{name}}" for folder in OPEN_FOLDERS})


@st.composite
def targets(draw: st.DrawFn, known: list[str]) -> str:
    """A path with anything in its blanks, and a query."""
    path = draw(st.sampled_from(known))
    path = re.sub(r"\{[^}]*\}", lambda _: draw(st.one_of(texts.map(_quoted), st.just(MARK))), path)
    if draw(st.integers(0, 9)) == 0:
        path += draw(texts.map(_quoted))
    names = st.sampled_from(("session_hash", "name", "path", "__theme", "view", "deep_link"))
    query = draw(st.dictionaries(names, st.one_of(st.just(MARK), texts), max_size=3))
    return path + ("?" + urlencode(query, errors="replace") if query else "")


def _quoted(text: str) -> str:
    return quote(text, safe="/.", errors="replace")


# As a header's value is sent: no line break, or it would be another header; what else is wrong is tried.
values = texts.map(lambda text: re.sub(r"[\r\n]", " ", f"{MARK}{text}"))
headers = st.fixed_dictionaries(
    {},
    optional={
        "content-type": st.sampled_from((JSON, FORM, FILE, "multipart/form-data; boundary=x", "multipart/form-data")),
        "cookie": values, "accept-language": values, "x-page": values, "x-file-name": values, "range": values,
        "accept-encoding": st.one_of(values, st.sampled_from(("br", "gzip", "identity;q=0"))), "referer": values,
        "x-forwarded-for": values, "x-forwarded-proto": values, "authorization": values, "x-gradio-user": values,
        "sec-fetch-site": values, "if-none-match": values, "if-modified-since": values,
    },
)  # fmt: skip
foreign = st.fixed_dictionaries(
    {},
    optional={
        "host": st.one_of(values, st.sampled_from(("", "[", "[::1", "127.0.0.1:99999999", "127.0.0.1:x", "[::1]:0"))),
        "origin": st.one_of(values, st.sampled_from(("", "null", "http://[", "http://[x]", "//[", "http://127.0.0.1:x"))),
        "x-forwarded-host": st.one_of(values, st.sampled_from(("127.0.0.1", "127.0.0.1:\x08", "a@127.0.0.1", ""))),
        "x-gradio-server": st.one_of(values, st.just("http://127.0.0.1")),
        "content-length": st.sampled_from(("", "-1", "abc", "1", "9" * 18, "9" * 5000, "0x10", "1_0", "٣")),
        "transfer-encoding": st.sampled_from(("chunked", "gzip", MARK)),
    },
)  # fmt: skip


def check(answer: Answer, sent: bytes, *, may_close: bool = False) -> None:
    assert (may_close and answer.status == 0) or 200 <= answer.status < 500, answer
    if answer.status >= 400:
        assert len(answer.content) <= 3 * len(sent) + LARGEST_REFUSAL, answer


def own_page(site: Site, kind: str) -> dict[str, str]:
    """What a page of the lab itself would send."""
    return {
        "origin": f"http://127.0.0.1:{site.address[1]}",
        "content-type": kind,
        "x-page": MARK,
        "x-file-name": "a.txt",
    }


def test_every_route_that_takes_something_is_among_those_tried(personal: Site, school: Site) -> None:
    for site in (personal, school):
        for methods, path in site.here.routes:
            is_open = (
                path in OPEN or path in ROUTES or path.startswith(OPEN_FOLDERS) or not path.startswith("/gradio_api")
            )
            if "POST" in methods and is_open and site.ask("POST", path, own_page(site, FILE), b"").status != 404:
                assert path.rstrip("/") in BODIES, f"{path} takes something that is never tried"


@given(data=st.data())
@examples(150)
def test_any_request_is_answered(personal: Site, data: st.DataObject) -> None:
    target, body = data.draw(targets(paths(personal)), label="target"), data.draw(bodies, label="body")
    method, sent = data.draw(st.sampled_from(METHODS), label="method"), data.draw(headers, label="headers")
    check(personal.ask(method, target, sent, body), body)
    personal.survived()


@given(data=st.data())
@examples(150)
def test_any_request_of_a_class_is_answered(school: Site, data: st.DataObject) -> None:
    target, body = data.draw(targets(paths(school)), label="target"), data.draw(bodies, label="body")
    method, sent = data.draw(st.sampled_from(METHODS), label="method"), data.draw(headers, label="headers")
    who = data.draw(st.sampled_from(("a stranger", *school.cookies)), label="who")
    assume(not (method == "POST" and target.startswith("/teacher.json") and b"end" in body))
    answer = school.ask(method, target, sent if who == "a stranger" else sent | {"cookie": who}, body)
    check(answer, body)
    if who == "a stranger" and 200 <= answer.status < 300:
        assert target.partition("?")[0] in ("/enter", "/teacher", "/favicon.ico"), answer
    if who == "a stranger" and answer.status in (301, 302, 303, 307, 308):
        assert answer.headers["location"] == "/enter"
    school.survived()


@given(data=st.data())
@example(data=None)
@examples(60)
def test_any_host_origin_and_length_are_answered(personal: Site, data: st.DataObject | None) -> None:
    if data is None:
        for origin in ("http://[", "http://[x]", "//["):
            check(personal.ask("GET", "/", {"origin": origin}, b""), b"")
        personal.survived()
        return
    target, body = data.draw(targets(paths(personal)), label="target"), data.draw(bodies, label="body")
    sent = data.draw(foreign, label="headers")
    if sent.get("transfer-encoding") == "chunked":  # to chunks that are none uvicorn answers itself, and leaves a trace
        body = b"%x\r\n%s\r\n0\r\n\r\n" % (len(body or b"."), body or b".")
    check(personal.ask(data.draw(st.sampled_from(METHODS)), target, sent, body), body, may_close=True)
    personal.survived()


@pytest.mark.parametrize("path", sorted(BODIES))
@given(data=st.data())
@examples(12)
def test_what_is_nearly_right_is_answered(personal: Site, school: Site, path: str, data: st.DataObject) -> None:
    kind, right = BODIES[path]
    sent = data.draw(st.one_of(nearly(right), anything), label="sent")
    if kind == FORM and isinstance(sent, dict):
        body = urlencode({name: str(value) for name, value in sent.items()}, errors="replace").encode()
    else:
        body = json_bytes(sent)
    for site in (personal, school):
        for cookie in site.cookies or ("",):
            own = own_page(site, kind) | ({"cookie": cookie} if cookie else {})
            check(site.ask("POST", f"{path}?name={MARK}", own, body), body)
        site.survived()


@pytest.mark.parametrize("order", [{"message": "\ud800"}, {"prompt": "\udfff"}, {"model": "\ud800"}, {"message": "\0"}])
def test_an_order_in_half_characters_does_not_stop_the_class(school: Site, order: dict[str, str]) -> None:
    school.ask("POST", "/teacher.json", own_page(school, JSON) | {"cookie": school.cookies[-1]}, json_bytes(order))
    school.survived()
    for cookie in school.cookies:
        told = json.loads(school.ask("GET", "/room.json", {"cookie": cookie}, b"").content)
        json.dumps(told, ensure_ascii=False).encode()


@pytest.mark.parametrize("name", ["host", "x-forwarded-host", "x-gradio-server"])
@pytest.mark.parametrize(
    "host", ["evil.example", "127.0.0.1:\t80", "127.0.0.1:x", "a@127.0.0.1", "localhost, a.b", "["]
)
def test_no_page_says_that_it_is_from_elsewhere(personal: Site, name: str, host: str) -> None:
    answer = personal.ask("GET", "/", {name: host}, b"")
    assert answer.status == 400
    assert host.encode() not in answer.content
    personal.survived()


@pytest.mark.parametrize("target", ["/gradio_api/heartbeat/a%00", "/gradio_api/heartbeat/%0AERROR", "/views/%1b"])
def test_no_route_has_control_characters(personal: Site, target: str) -> None:
    assert personal.ask("GET", target, {}, b"").status == 404
    personal.survived()


def test_a_page_of_before_is_told_that_it_is_not_known(personal: Site) -> None:
    """In the words that Gradio's script waits for."""
    answer = personal.ask("GET", "/gradio_api/queue/data?session_hash=of-before", {}, b"")
    message = json.loads(answer.content.removeprefix(b"data: "))
    assert (answer.status, message["msg"], message["session_not_found"]) == (200, "unexpected_error", True)
    personal.survived()


def test_a_length_that_is_no_number_is_refused() -> None:
    """Before a server in front has looked at it, which may be another than this lab's own."""
    for length in ("9" * 5000, "-1", "1e3", " "):
        scope = {"type": "http", "method": "POST", "path": "/model.json",
                 "headers": [(b"host", b"localhost"), (b"content-length", length.encode())]}  # fmt: skip
        refusal = RequestFilter(None, ["localhost"], {})._refusal(scope)  # type: ignore[arg-type]
        assert refusal is not None
        assert refusal.status_code == 413
