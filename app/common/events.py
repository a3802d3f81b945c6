"""One file per tab: each has a `TITLE`, a key of the strings, and `build(session)`."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any

import gradio as gr

from app.classroom.auth import class_cookie
from app.common.errors import as_problem
from app.session import Session

EXAMPLE = "Tom hid a red ball under the bed. Anna has a blue hat. Where is the ball?"
"""The text that the tabs which look inside the model begin with."""

MARKS = ("request", "action", "turn", "token", "nonce", "side", "round")
"""What a page may send along to know the answer by."""


def sent_by(event: gr.EventData) -> dict[str, Any]:
    """What the page sent along, which may be anything."""
    sent = event.sent  # under this name by `app.server.gradio_compat`
    return sent if isinstance(sent, dict) else {}


def page_of(request: gr.Request, page: str | None = None) -> str:
    """Which page it was, or which other `page` of the same person. In a class the key begins with the pupil's cookie,
    so that nobody can speak for another's."""
    return f"{class_cookie(request.headers)}{page or request.session_hash or ''}"


def answer(sent: dict[str, Any], work: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    """What `work` gives, or the problem in its way, with the marks by which the page knows its request again."""
    try:
        return _asked(sent) | work()
    except Exception as error:
        return _asked(sent) | _told(error)


def stream(sent: dict[str, Any], work: Callable[[], Iterable[dict[str, Any]]]) -> Iterator[dict[str, Any]]:
    """The same of work that gives one piece of news after another."""
    try:
        for news in work():
            yield _asked(sent) | news
    except Exception as error:
        yield _asked(sent) | _told(error)


def _asked(sent: dict[str, Any]) -> dict[str, Any]:
    return {
        name: sent[name] for name in ("request", "action", "turn", "token", "nonce", "side", "round") if name in sent
    }


def _told(error: Exception) -> dict[str, Any]:
    return {"state": "problem", "problem": as_problem(error, "a request").to_json()}


def page_key(session: Session, event: gr.EventData, request: gr.Request) -> str:
    """Which page it was. From here on, the model that it named (`lab.line`) is its model. Raises `Problem`."""
    key = page_of(request)
    session.choose(key, sent_by(event).get("model"))
    return key
