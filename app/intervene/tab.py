"""The Intervene tab: switch heads off and see what becomes of the answer."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import gradio as gr

from app.common.assets import scripts, template
from app.common.events import EXAMPLE, page_key, page_of, sent_by, stream
from app.session import Session

TITLE = "intervene.title"
OTHER = EXAMPLE.replace("under the bed", "behind the door")


def build(session: Session) -> None:
    """Lay the tab out and wire it: 'act' does what its `action` says, 'halt' ends the search under way."""
    view = gr.HTML(
        None,
        html_template=template("intervene.html"),
        head=scripts("lab.js", "numbers.js", "takeaway.js", "intervene.js"),
        js_on_load="lab.intervene(element, ...lab.line(trigger, props, watch));  // triggers 'act' 'halt'",
        apply_default_css=False,
        elem_id="lab-intervene",
        example=EXAMPLE,
        other=OTHER,
    )

    def act(event: gr.EventData, request: gr.Request) -> Iterator[dict[str, Any]]:
        sent = sent_by(event)
        yield from stream(sent, lambda: session.intervene(page_key(session, event, request), sent.get("action"), sent))

    def halt(request: gr.Request) -> None:
        session.cancel_explaining(page_of(request))

    quiet: dict[str, Any] = {"show_progress": "hidden", "api_visibility": "private", "trigger_mode": "multiple"}
    view.act(act, outputs=view, api_name="act", concurrency_id="look", concurrency_limit=1, **quiet)
    view.halt(halt, api_name="halt", concurrency_limit=None, **quiet)
