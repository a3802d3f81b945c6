"""Lets in requests of the lab's own pages, to the few routes they need, with small bodies. Refuses all others."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from urllib.parse import urlsplit

from starlette.datastructures import Headers
from starlette.responses import JSONResponse, PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.common.errors import as_problem

LARGEST_BODY = 256 * 1024  # bytes
MOST_DIGITS = 20  # of a body's length

# An allow list, since Gradio brings dozens of routes (upload, proxy, run, file, stream, info) that no page here uses.
OPEN = (
    "/", "/words.js", "/facts.json", "/models.json", "/engines.json", "/model.json", "/training.json",
    "/download.json", "/config", "/theme.css", "/favicon.ico", "/manifest.json", "/lab.json",
    "/gradio_api/app_id", "/gradio_api/cancel", "/gradio_api/reset", "/gradio_api/queue/join", "/gradio_api/queue/data",
    "/gradio_api/startup-events",
)  # fmt: skip
OPEN_FOLDERS = ("/assets/", "/static/", "/svelte/", "/views/", "/gradio_api/heartbeat/")
MODEL_FILE = re.compile(r"/models/[^/]+\.zip")
HOST = re.compile(r"(?:\[([0-9A-Fa-f:.]+)\]|([0-9A-Za-z._-]+))(?::[0-9]{1,5})?")
FILE = "application/octet-stream"  # what no form of another site can send without being asked first

HEADERS = (
    # Gradio compiles its templates in the page, hence 'unsafe-eval'; but nothing may be fetched from, sent to, or
    # framed by another site, whatever a model or a user writes.
    (b"content-security-policy", b"default-src 'self' 'unsafe-inline' 'unsafe-eval' data: blob:; object-src 'none'; "
     b"base-uri 'self'; form-action 'self'; frame-ancestors 'none'"),
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"same-origin"),  # with "no-referrer" a form would not say its origin
    (b"cross-origin-resource-policy", b"same-origin"),
)  # fmt: skip


class RequestFilter:
    """ASGI middleware: 400 for a forged Host or Origin, 404 for a shut route, 413 for a large body.

    `more` routes are open too. `uploads` are the routes that take a file, and the most bytes of each. Only a script of
    the lab's own page may send one: that is checked by the Origin and by the content type `FILE`.
    """

    def __init__(
        self, app: ASGIApp, hosts: Sequence[str], uploads: Mapping[str, int], more: Sequence[str] = ()
    ) -> None:
        self.app = app
        self.hosts = frozenset(hosts)
        self.uploads = uploads
        self.open = frozenset((*OPEN, *more))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            if scope["type"] == "lifespan":
                await self.app(scope, receive, send)
            return  # no page here opens a web socket
        refusal = self._refusal(scope)
        if refusal is not None:
            await refusal(scope, receive, send)
            return
        await _LimitedRequest(self.app, receive, send, self._largest_body(scope)).run(scope)

    def _largest_body(self, scope: Scope) -> int:
        return self.uploads.get(scope["path"], LARGEST_BODY)

    def _refusal(self, scope: Scope) -> PlainTextResponse | None:
        headers = Headers(scope=scope)
        host = headers.get("host", "")
        # By these two as well Gradio would say in its pages where they are from.
        named = (host, *(name.strip() for name in headers.get("x-forwarded-host", host).split(",")))
        if "x-gradio-server" in headers or not self.hosts.issuperset(map(_host_name, named)):  # guard: own-hosts
            return PlainTextResponse("This address is not one of the lab's own.", 400)
        origin = headers.get("origin")
        if origin is not None and _place(origin) != host:  # guard: own-origin
            return PlainTextResponse("Another site's page may not use the lab.", 400)
        path, method = scope["path"], scope["method"]
        if path in self.uploads and method == "POST":
            if origin is None or headers.get("content-type") != FILE:
                return PlainTextResponse("Files are taken from the lab's own page only.", 400)
        elif MODEL_FILE.fullmatch(path) and method == "GET":
            if headers.get("sec-fetch-site", "none") not in ("none", "same-origin"):
                return PlainTextResponse("Another site's page may not use the lab.", 400)
        # guard: closed-routes
        elif not (path in self.open or path.startswith(OPEN_FOLDERS)) or ".." in path or not path.isprintable():
            return PlainTextResponse("There is nothing here.", 404)
        length, largest = headers.get("content-length", "0"), self._largest_body(scope)
        if not length.isdecimal() or len(length) > MOST_DIGITS or int(length) > largest:  # guard: declared-size
            return _too_large(largest)
        return None


class _LimitedRequest:
    """One request whose body is counted as it comes, since its length may be unsaid or a lie."""

    def __init__(self, app: ASGIApp, receive: Receive, send: Send, largest: int) -> None:
        self.app = app
        self.largest = largest
        self._receive = receive
        self._send = send
        self._received = 0
        self._started = False
        self._refused = False

    async def run(self, scope: Scope) -> None:
        try:
            await self.app(scope, self.receive, self.send)
        except _TooLargeError:
            self._refused = True
        except Exception as error:
            problem = as_problem(error, "answering a request")
            if not self._started:
                await JSONResponse({"problem": problem.to_json()}, 500)(scope, self._receive, self.send)
        if self._refused and not self._started:
            await _too_large(self.largest)(scope, self._receive, self._send)

    async def receive(self) -> Message:
        message = await self._receive()
        self._received += len(message.get("body", b""))
        if self._received > self.largest:  # guard: received-size
            self._refused = True
            raise _TooLargeError
        return message

    async def send(self, message: Message) -> None:
        if self._refused and not self._started:
            return  # the application answers its broken read with an error of its own; ours says why
        if message["type"] == "http.response.start":
            self._started = True
            message = {**message, "headers": [*message.get("headers", []), *HEADERS]}
        await self._send(message)


class _TooLargeError(Exception):
    pass


def _too_large(largest: int) -> PlainTextResponse:
    return PlainTextResponse(f"That is too large: at most {largest // 1024} KB are accepted.", 413)


def _place(origin: str) -> str:
    """Host and port of an origin, "" for what is none."""
    try:
        return urlsplit(origin).netloc
    except ValueError:
        return ""


def _host_name(host: str) -> str:
    """The name without the port: localhost:7860 -> localhost, [::1]:7860 -> ::1; "" for what is none."""
    found = HOST.fullmatch(host)
    return (found[1] or found[2]).lower() if found else ""
