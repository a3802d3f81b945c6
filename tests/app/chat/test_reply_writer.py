"""The way of a message: from the page's event to the engine it passes few modules of the app."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from types import FrameType, SimpleNamespace
from typing import Any

import pytest

from app.chat import tab
from app.common.events import PageEvents
from app.server.services import Services
from litellama.checkpoint import open_checkpoint
from litellama.serving.engine import Engine

SENT = {
    "request": "1", "text": "Where is the kite?",
    "settings": {"temperature": 0.7, "top_p": 0.95, "top_k": 0, "max_tokens": 3, "seed": 1},
}  # fmt: skip
MOST_MODULES = 7


class View:
    """In place of Gradio's component: knows the function behind each event."""

    def __init__(self, *_: object, **more: object) -> None:
        pass

    def __getattr__(self, event: str) -> Any:
        return lambda work, **_: vars(self).setdefault(f"on_{event}", work)


def modules_above() -> list[str]:
    """The app's modules between here and the page, the innermost first."""
    frame: FrameType | None = sys._getframe(1)
    found: list[str] = []
    while frame is not None:
        name = frame.f_globals.get("__name__", "")
        if name.startswith("app.") and name not in found:
            found.append(name)
        frame = frame.f_back
    return found


def test_a_message_passes_few_modules(tiny_checkpoint: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Between the page's event and the engine, the opening of the model included."""
    views: list[View] = []

    def view(*arguments: object, **more: object) -> View:
        views.append(View())
        return views[-1]

    passed: list[str] = []
    follow = Engine.follow

    def followed(self: Engine, *arguments: Any, **more: Any) -> Iterator[Any]:
        passed.extend(modules_above())
        yield from follow(self, *arguments, **more)

    monkeypatch.setattr(tab.gr, "HTML", view)
    monkeypatch.setattr(Engine, "follow", followed)
    services = Services(open_checkpoint(tiny_checkpoint))
    opened = services.models.open

    def opening(name: str | None = None) -> Any:
        passed.extend([*modules_above(), type(services.models).__module__])
        return opened(name)

    monkeypatch.setattr(services.models, "open", opening)
    tab.build(services.chat, PageEvents(services.page_models.choose, lambda headers: ""))
    event, request = SimpleNamespace(sent=SENT), SimpleNamespace(headers={}, session_hash="page")  # as Gradio has them
    *_, last = views[0].on_ask(event, request)
    assert last["state"] in ("done", "length")
    assert last["request"] == "1"
    passed.append("app.chat.responders")  # asks `litellama.chat` for the reply, and is done then
    assert set(passed) == {
        "app.chat.tab", "app.common.events", "app.chat.service", "app.chat.reply_writer", "app.chat.responders",
        "app.models.page_models", "app.models.registry",
    }  # fmt: skip
    assert len(set(passed)) <= MOST_MODULES
