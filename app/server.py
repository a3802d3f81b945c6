"""The web application: Gradio mounted in our own FastAPI app, with every door shut that no tab needs."""

from __future__ import annotations

import inspect
import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from functools import partial
from pathlib import Path
from typing import Any
from unittest import mock

from fastapi import FastAPI, Request
from fastapi.responses import PlainTextResponse

from app.classroom import MOST_PUPILS, Classroom
from app.comparison import every_fact
from app.doors import Doors
from app.downloads import Downloads
from app.gate import ROUTES, Gate, member_of
from app.session import MOST_CONVERSATIONS, Session
from app.shelf import Shelf
from app.trainings import Trainings
from app.transfers import UPLOADS, add_downloads, add_trainings, add_transfers
from app.views import view_file, words_script
from litellama.checkpoint import checkpoints_folder

log = logging.getLogger("litellama.app")


async def _not_understood(request: Request, error: Exception) -> PlainTextResponse:
    log.warning("a request to %s was not understood: %r", request.url.path, error)
    return PlainTextResponse("The server does not understand this request.", 400)


# What forged requests make Gradio raise, such as a function number there is none of: the caller's fault, not a 500.
MISTAKES = dict.fromkeys((KeyError, IndexError, TypeError, ValueError, RecursionError), _not_understood)
LOOPBACK = ("127.0.0.1", "localhost", "::1")


def create_app(
    session: Session,
    models_folder: Path | None = None,
    *,
    downloads: bool = False,
    room: Classroom | None = None,
    hosts: Sequence[str] = LOOPBACK,
    secure: bool = False,
) -> FastAPI:
    """Everything a browser can reach, around one session. Models that are opened, trained or saved lie in
    `models_folder`. With `downloads` a page may have models of a short list fetched from the Hugging Face hub, which is
    for servers that one person uses alone. Who serves it closes `state.trainings` and `state.downloads` at the end.

    With a `room` a class uses it: a password is asked for, and nothing is uploaded, downloaded or trained. `hosts` are
    the names it may be called by; with `secure` only encrypted connections keep the class's cookie.
    """
    with _quick_import():
        import gradio as gr

    # Around each call Gradio loads matplotlib, in case the call draws with it: 0.7 s before the first answer of all,
    # for nothing, since no tab does.
    gr.utils.MatplotlibBackendMananger = nullcontext  # type: ignore[misc, assignment]

    from app.page import build_page, head, theme

    page = build_page(session, downloads, room is not None)
    page.queue(max_size=64 if room is None else 2 * MOST_PUPILS, api_open=False, default_concurrency_limit=40)
    page.state_session_capacity = MOST_CONVERSATIONS

    app = FastAPI(openapi_url=None, docs_url=None, redoc_url=None)
    app.get("/words.js")(words_script)
    app.get("/facts.json")(every_fact)
    app.get("/models.json")(session.models.offered)
    app.get("/engines.json")(session.models.problems)
    app.post("/model.json")(session.models.describe)  # not to be had by a mere link: it opens the model
    app.get("/views/{name}")(view_file)
    kept = models_folder or session.models.folder or checkpoints_folder()
    app.state.trainings = app.state.downloads = None
    if room is None:
        shelf = Shelf()
        add_transfers(app, kept, shelf)
        app.state.trainings = add_trainings(app, Trainings(kept, shelf))
        app.state.downloads = add_downloads(app, Downloads(kept)) if downloads else None
    gr.mount_gradio_app(
        app, page, path="/", server_name="127.0.0.1", theme=theme(), head=head(),
        footer_links=[], run_history=False, allowed_paths=[], show_error=False, max_file_size="1mb",
        ssr_mode=False, enable_monitoring=False, pwa=False, mcp_server=False,
        app_kwargs={"openapi_url": None, "docs_url": None, "redoc_url": None, "exception_handlers": MISTAKES},
    )  # fmt: skip
    if room is None:
        app.add_middleware(Doors, hosts=hosts, uploads=UPLOADS)
        return app
    session.room = room
    app.add_middleware(
        Gate, room=room, secure=secure, place=partial(_place_in_line, page), end=session.forget_all,
        models=lambda: [one.name for one in session.models.listed()],
    )  # fmt: skip
    app.add_middleware(Doors, hosts=hosts, uploads={}, more=ROUTES)  # the last one added is the outermost
    return app


def _place_in_line(page: Any, cookie: str) -> int:
    """How many requests stand in Gradio's queues up to a pupil's first one, itself included; 0 if none waits."""
    for queue in list(page._queue.event_queue_per_concurrency_id.values()):
        for place, event in enumerate(list(queue.queue), 1):
            if event.request is not None and member_of(event.request.headers) == cookie:
                return place
    return 0


@contextmanager
def _quick_import() -> Iterator[None]:
    """Spare a second of start-up: while it is imported, Gradio parses the source of each of its components to rewrite
    its type stubs. It leaves out classes whose file it cannot find, so for the moment it finds none."""

    def find_none(thing: object) -> str:
        raise OSError("not looked for while Gradio is being imported")

    with mock.patch.object(inspect, "getfile", find_none):
        yield
