"""One file per tab: each has a `TITLE`, a key of the strings, and `build(session)`."""

from __future__ import annotations

from typing import Any

import gradio as gr

from app.gate import member_of
from app.session import Session

EXAMPLE = "Tom hid a red ball under the bed. Anna has a blue hat. Where is the ball?"
"""The text that the tabs which look inside the model begin with."""


def sent_by(event: gr.EventData) -> dict[str, Any]:
    """What the page sent along, which may be anything."""
    return event._data if isinstance(event._data, dict) else {}


def page_of(request: gr.Request) -> str:
    """Which page it was. In a class the key begins with the pupil's cookie, so that nobody can speak for another's."""
    return f"{member_of(request.headers)}{request.session_hash or ''}"


def page_key(session: Session, event: gr.EventData, request: gr.Request) -> str:
    """Which page it was. From here on, the model that it named (`lab.surely`) is its model. Raises `Problem`."""
    key = page_of(request)
    session.choose(key, sent_by(event).get("model"))
    return key
