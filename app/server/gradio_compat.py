"""What a page sends with an event, before Gradio sees it: whatever it is, Gradio shall not stumble over it."""

from __future__ import annotations

import math
from collections.abc import Awaitable, Callable, Container
from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from app.models.openai_stream import clean

DEEPEST = 8
"""So many lists and objects inside one another are read of what a page sends."""

STREAM = "/gradio_api/queue/data"
UNKNOWN = (
    'data: {"msg":"unexpected_error","event_id":null,"message":"404: Not Found","session_not_found":true,'
    '"success":false}\n\n'
)

Push = Callable[..., Awaitable[Any]]


def guarded(push: Push) -> Push:
    """Gradio's way into its queue, with nothing let in that would leave a trace in the log instead of an answer.

    Without the name of a page an event would be run, and nobody be there to be told. No event here has inputs.
    """

    async def pushed(body: Any, request: Any, username: str | None) -> Any:
        if not body.session_hash:
            return False, "The server does not understand this request.", "error"
        body.data, body.event_data = [], writable(body.event_data)
        return await push(body=body, request=request, username=username)

    return pushed


def writable(value: Any, levels: int = DEEPEST) -> Any:
    """The same as far as it can be sent back, since answers repeat parts of it: half characters become U+FFFD, numbers
    of more than 64 bits infinite, and what lies too deep is left out; so is a "path", the mark of what Gradio takes for
    a file."""
    if isinstance(value, str):
        return clean(value)
    if isinstance(value, int) and abs(value) >= 2**63:
        return math.inf if value > 0 else -math.inf
    if isinstance(value, list | dict) and not levels:
        return None
    if isinstance(value, list):
        return [writable(one, levels - 1) for one in value]
    if isinstance(value, dict):
        return {
            clean(name): writable(one, levels - 1)
            for name, one in value.items()
            if name != "path"  # guard: no-paths
        }
    return value


class KnownPages:
    """ASGI middleware: a page that the queue does not know, such as one from before the server was started anew, is
    told so. Gradio would tell it in the same words, but leave a trace in the log each time."""

    def __init__(self, app: ASGIApp, pages: Container[str]) -> None:
        self.app, self.pages = app, pages

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        answers: ASGIApp = self.app
        if scope["type"] == "http" and scope["path"] == STREAM and scope["method"] == "GET":
            page = Request(scope).query_params.get("session_hash")
            if page is not None and page not in self.pages:
                answers = Response(UNKNOWN, media_type="text/event-stream")
        await answers(scope, receive, send)
