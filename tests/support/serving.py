"""The app on a real socket, in this process: pages ask over HTTP, and a test sees what the server holds of them."""

from __future__ import annotations

import gc
import threading
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any

import httpx
import pytest
import uvicorn

from app.__main__ import open_socket
from app.classroom.auth import COOKIE
from app.classroom.classroom import Classroom
from app.server.app import create_app
from app.server.services import Services
from tests.browser.app_server import Page

SETTINGS = {"temperature": 0.7, "top_p": 0.95, "top_k": 0, "max_tokens": 20, "seed": 1}
QUIET = [
    pytest.mark.filterwarnings(f"ignore::{one}")
    for one in ("ResourceWarning", "pytest.PytestUnraisableExceptionWarning", "pandas.errors.Pandas4Warning")
]
"""Marks of tests that serve in this process: Gradio leaves event loops open, and asks pandas for what it gave up."""

PASSWORDS = ("red-kite", "blue-hat")


@dataclass
class Served:
    """An app that answers at `address`, for one person or for a class."""

    services: Services
    address: str
    guests: ExitStack

    def page(self, name: str = "Mia") -> Page:
        """A page of its own browser; of a class, a pupil's."""
        client = self.guests.enter_context(httpx.Client(base_url=self.address, timeout=60))
        if self.services.classroom is not None:
            entered = client.post("enter", data={"name": name, "password": PASSWORDS[0]})
            assert entered.status_code == 303
        return Page(client)

    def questions(self, page: Page) -> list[str]:
        """What the server remembers that a page asked."""
        return [turn.question for turn in self.services.chat.conversation(self.key(page)).turns]

    def key(self, page: Page) -> str:
        """Under what name the server knows a page."""
        return f"{page.client.cookies.get(COOKIE, '')}{page.session}"


def class_if(wanted: bool) -> Classroom | None:
    return Classroom(*PASSWORDS) if wanted else None


@contextmanager
def served(services: Services) -> Iterator[Served]:
    config = uvicorn.Config(create_app(services), log_level="critical", timeout_graceful_shutdown=1)
    server = uvicorn.Server(config)
    with open_socket("127.0.0.1", 0) as listener, ExitStack() as guests:
        address = f"http://127.0.0.1:{listener.getsockname()[1]}/"
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
        thread.start()
        try:
            yield Served(services, address, guests)
        finally:
            guests.close()
            server.should_exit = True
            thread.join(30)
            assert not thread.is_alive(), "the server did not end"
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", ResourceWarning)
                gc.collect()  # what Gradio left open, before a test that does not expect it


def asking(text: object, **changes: object) -> dict[str, Any]:
    """What a page sends to ask; each change is one of its settings."""
    return {"request": "1", "text": text, "settings": SETTINGS | changes}


def said(answer: dict[str, Any]) -> str:
    """The text of a reply."""
    return "".join(piece for piece, _ in answer["tokens"])


def wait_until(holds: Callable[[], bool], seconds: float = 30) -> None:
    """Look again and again, and fail if it does not come about."""
    until = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < until, "it never came about"
        time.sleep(0.01)
