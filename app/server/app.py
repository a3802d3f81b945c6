"""The web application: Gradio mounted in our own FastAPI app. What no tab needs is switched off."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

from fastapi import FastAPI

from app.classroom.auth import ROUTES, ClassroomAuth, class_cookie
from app.classroom.classroom import MOST_PUPILS
from app.common.assets import favicon, manifest, view_file, words_script
from app.common.events import PageEvents
from app.compare.service import every_fact
from app.models.downloads import Downloads
from app.models.page_models import MOST_PAGES
from app.server.file_routes import MODEL_UPLOAD, UPLOADS, add_download_route, add_file_routes, add_training_route
from app.server.gradio_compat import (
    MISTAKES,
    EventRoutes,
    known_pages,
    queue_positions,
    quick_import,
    skip_matplotlib,
)
from app.server.request_filter import RequestFilter
from app.server.services import Services
from app.train.service import Trainings
from app.train.upload_store import UploadStore
from litellama.checkpoint import checkpoints_folder

# How Gradio is run: each line bounds or closes what is unbounded or open by default.
QUEUE: dict[str, Any] = {
    "api_open": False,  # events come from the page's own stream, not from an API of their own
    "default_concurrency_limit": 40,  # replies at once, which one engine makes together; Gradio's own default is one
}
MOUNTED: dict[str, Any] = {
    "server_name": "127.0.0.1",  # its own idea of its name; the socket and `request_filter` decide who may reach it
    "allowed_paths": [],  # no file of the machine is served
    "max_file_size": "1mb",  # of uploads, whose route `request_filter` also closes
    "show_error": False,  # errors become sentences in `app.common.errors`, without a traceback
    "ssr_mode": False,  # no second server, by Node
    "mcp_server": False,  # no tools for other programs
    "enable_monitoring": False,  # no page that shows who called what
    "run_history": False,  # nothing that was typed is stored
    "pwa": False,  # its manifest would name its own files
    "footer_links": [],  # no links to elsewhere
}
APIS_SHUT: dict[str, Any] = {"openapi_url": None, "docs_url": None, "redoc_url": None}  # no description of routes

MOST_WAITING_REQUESTS = 64  # of all pages of one person
LOOPBACK = ("127.0.0.1", "localhost", "::1")


def create_app(
    services: Services,
    models_folder: Path | None = None,
    *,
    downloads: bool = False,
    uploads: bool = True,
    hosts: Sequence[str] = LOOPBACK,
    secure: bool = False,
    identity: str | None = None,
) -> FastAPI:
    """Everything a browser can reach, around the services. Models that are opened, trained or saved lie in
    `models_folder`. With `downloads` a page may have models fetched, and without a class, files of this machine added;
    with `uploads` files come from pages. Who serves it closes `state.trainings` and `state.downloads` at the end.

    Asked at /lab.json it gives its `identity`, by which `app.launch.single_instance` knows it.

    With a classroom a class uses it: a password is asked for, nothing is trained, and of uploads only models are
    taken, from the teacher. `hosts` are the names it may be called by; with `secure` only encrypted connections keep
    the class's cookie.
    """
    with quick_import():
        import gradio as gr

    skip_matplotlib()

    from app.server.page import build_page, head, theme

    classroom, models = services.classroom, services.models
    page = build_page(services, PageEvents(services.page_models.choose, class_cookie), downloads)
    page.queue(max_size=MOST_WAITING_REQUESTS if classroom is None else 2 * MOST_PUPILS, **QUEUE)
    page.state_session_capacity = MOST_PAGES  # pages whose state is kept; Gradio's own bound is 10,000

    app = FastAPI(**APIS_SHUT)
    app.get("/words.js")(words_script)
    app.get("/facts.json")(every_fact)
    app.get("/models.json")(models.available)
    app.get("/engines.json")(models.problems)
    app.post("/model.json")(models.describe)  # no GET: a mere link could then open a model
    app.get("/lab.json")(lambda: {"lab": identity})
    app.get("/views/{name}")(view_file)
    app.get("/manifest.json")(manifest)
    app.get("/favicon.ico")(favicon)
    folder = models_folder or models.folder or checkpoints_folder()
    app.state.trainings = app.state.downloads = None
    upload_store = UploadStore()
    if uploads:
        add_file_routes(app, folder, upload_store)
    if downloads:
        app.state.downloads = add_download_route(app, Downloads(folder, local=classroom is None))
    if classroom is None:
        app.state.trainings = add_training_route(app, Trainings(folder, upload_store, str(models.device)))
    gr.mount_gradio_app(
        app, page, path="/", theme=theme(), head=head(), **MOUNTED,
        app_kwargs={**APIS_SHUT, "exception_handlers": MISTAKES},  # guard: bad-requests
    )  # fmt: skip
    app.add_middleware(EventRoutes, pages=known_pages(page))
    if classroom is None:
        app.add_middleware(RequestFilter, hosts=hosts, uploads=UPLOADS)
        return app
    app.add_middleware(
        ClassroomAuth, classroom=classroom, secure=secure, queue_positions=partial(queue_positions, page),
        on_end=services.lifecycle.clear, models=lambda: [one.name for one in models.local_models()],
        teachers_only=(MODEL_UPLOAD, "/download.json") if uploads or downloads else (),
    )  # fmt: skip
    open_uploads = {MODEL_UPLOAD: UPLOADS[MODEL_UPLOAD]} if uploads else {}
    # The last one that is added is the outermost.
    app.add_middleware(RequestFilter, hosts=hosts, uploads=open_uploads, more=ROUTES)
    return app
