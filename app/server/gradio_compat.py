"""The one place that touches what Gradio does not promise: each entry says why, and where a public way was missing.

`tests/app/server/test_gradio_compat.py` holds that the installed Gradio still is as expected here. The page's part of
this is `gradio_compat.js`.
"""

from __future__ import annotations

import inspect
import json
import logging
import math
from collections.abc import Container, Iterator, Mapping
from contextlib import contextmanager, nullcontext
from typing import TYPE_CHECKING, Any

from fastapi import Request
from fastapi.responses import JSONResponse, PlainTextResponse
from starlette.requests import ClientDisconnect
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.classroom.auth import JOIN, class_cookie
from app.common.text import replace_surrogates

if TYPE_CHECKING:
    import gradio

DEEPEST = 8
"""So many lists and objects inside one another are read of what a page sends."""

STREAM = "/gradio_api/queue/data"
TOO_DEEP = "There was an error parsing the body"  # as FastAPI says it
NOT_UNDERSTOOD = "The server does not understand this request."
UNKNOWN_PAGE = (
    'data: {"msg":"unexpected_error","event_id":null,"message":"404: Not Found","session_not_found":true,'
    '"success":false}\n\n'
)

log = logging.getLogger("litellama.app")


@contextmanager
def quick_import() -> Iterator[None]:
    """Import Gradio in half the time. While it is imported, it parses the source of each of its components to rewrite
    its type stubs. It leaves out classes whose file `inspect.getfile` does not find, so for now that finds none."""

    def find_none(thing: object) -> str:
        raise OSError("not looked for while Gradio is being imported")

    getfile = inspect.getfile
    inspect.getfile = find_none  # type: ignore[assignment]
    try:
        yield
    finally:
        inspect.getfile = getfile


def skip_matplotlib() -> None:
    """Gradio loads matplotlib around each call, in case the call draws with it. That takes 0.7 s before the very first
    answer, and no tab draws with it. There is no option."""
    import gradio

    gradio.utils.MatplotlibBackendMananger = nullcontext  # type: ignore[misc, assignment]


def known_pages(page: gradio.Blocks) -> Container[str]:
    """The session hashes for which Gradio holds a stream of answers. It has no public list of them."""
    return page._queue.pending_messages_per_session


def queue_positions(page: gradio.Blocks) -> dict[str, list[int]]:
    """For each member of a class who waits, by cookie: the position of each of their requests in Gradio's queues, from
    1. Gradio tells positions to the waiting page alone, and the teacher wants all."""
    positions: dict[str, list[int]] = {}
    for queue in list(page._queue.event_queue_per_concurrency_id.values()):
        for position, event in enumerate(list(queue.queue), 1):
            if event.request is not None:
                positions.setdefault(class_cookie(event.request.headers), []).append(position)
    return positions


class EventRoutes:
    """ASGI middleware before Gradio's two routes for events. What a page sends with an event is made harmless, and
    reaches its listener as `event.sent` (see `sanitized`). A page that is not in `pages`, such as one from before a
    restart of the server, gets the answer that Gradio would give; Gradio would also log a traceback each time."""

    def __init__(self, app: ASGIApp, pages: Container[str]) -> None:
        self.app, self.pages = app, pages

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        route = (scope["method"], scope["path"]) if scope["type"] == "http" else None
        if route == ("POST", JOIN):
            await self._join(scope, receive, send)
        elif route == ("GET", STREAM) and not self._is_known(Request(scope).query_params):
            await Response(UNKNOWN_PAGE, media_type="text/event-stream")(scope, receive, send)
        else:
            await self.app(scope, receive, send)

    def _is_known(self, query: Mapping[str, str]) -> bool:
        session = query.get("session_hash")
        return session is None or session in self.pages  # without a session, it is Gradio that refuses

    async def _join(self, scope: Scope, receive: Receive, send: Send) -> None:
        request = Request(scope, receive)
        try:
            body = sanitized(await request.body())
        except ClientDisconnect:
            return  # nobody waits for an answer
        except RecursionError:
            await JSONResponse({"detail": TOO_DEEP}, 400)(scope, receive, send)
            return
        if body is None:  # such an event would run, and nobody wait for its answer
            await JSONResponse({"detail": NOT_UNDERSTOOD}, 400)(scope, receive, send)
            return
        rest: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]

        async def receive_sanitized() -> Message:
            return rest.pop() if rest else await receive()

        await self.app(scope, receive_sanitized, send)


def sanitized(body: bytes) -> bytes | None:
    """The body of a request for an event, as Gradio may have it: without inputs, since no event here has any, and with
    what the page sent as {"sent": value}. So a listener finds it as `event.sent`, whatever it is.

    None without the name of a page. What is no such body stays as it is, for Gradio to refuse. Raises `RecursionError`.
    """
    try:
        event = json.loads(body)
    except ValueError:
        return body
    if not isinstance(event, dict):
        return body
    if event.get("session_hash") == "":
        return None
    if isinstance(event.get("data"), list):
        event["data"] = []
    event["event_data"] = {"sent": writable(event.get("event_data"))}
    return json.dumps(event).encode()


def writable(value: Any, levels: int = DEEPEST) -> Any:
    """The same as far as it can be sent back, since answers repeat parts of it: half characters become U+FFFD, numbers
    of more than 64 bits infinite, and what lies too deep is left out; so is a "path", the mark of what Gradio takes for
    a file."""
    if isinstance(value, str):
        return replace_surrogates(value)
    if isinstance(value, int) and abs(value) >= 2**63:
        return math.inf if value > 0 else -math.inf
    if isinstance(value, list | dict) and not levels:
        return None
    if isinstance(value, list):
        return [writable(one, levels - 1) for one in value]
    if isinstance(value, dict):
        return {
            replace_surrogates(name): writable(one, levels - 1)
            for name, one in value.items()
            if name != "path"  # guard: no-paths
        }  # fmt: skip
    return value


async def not_understood(request: Request, error: Exception) -> PlainTextResponse:
    """The answer to a request that makes Gradio raise."""
    # Of what kind it is and no more, since an error may quote what somebody typed.
    log.warning("a request to %r was not understood: %s", request.url.path, type(error).__name__)
    return PlainTextResponse(NOT_UNDERSTOOD, 400)


# What forged requests make Gradio raise, such as a function number there is none of: the caller's fault, not a 500.
MISTAKES = dict.fromkeys((KeyError, IndexError, TypeError, ValueError, RecursionError), not_understood)
