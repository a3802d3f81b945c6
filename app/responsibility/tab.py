"""The Responsibility tab: whom a model treats otherwise than others, and whether it is as right as it is sure."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import gradio as gr

from app.common.assets import scripts, template
from app.common.events import page_key, page_of, sent_by, stream
from app.responsibility.service import ready_probes
from app.session import Session

TITLE = "responsibility.title"


def build(session: Session) -> None:
    """Lay the tab out and wire it: 'measure' does what its `action` says, 'enough' ends that."""
    view = gr.HTML(
        None,
        html_template=template("responsibility.html"),
        head=scripts("lab.js", "numbers.js", "takeaway.js", "responsibility-drawings.js", "responsibility.js"),
        js_on_load="lab.responsibility(element, ...lab.line(trigger, props, watch));  // triggers 'measure' 'enough'",
        apply_default_css=False,
        elem_id="lab-responsibility",
        probes=ready_probes(),
    )

    def measure(event: gr.EventData, request: gr.Request) -> Iterator[dict[str, Any]]:
        sent = sent_by(event)
        yield from stream(sent, lambda: session.measure(page_key(session, event, request), sent.get("action"), sent))

    def enough(request: gr.Request) -> None:
        session.end_measuring(page_of(request))

    quiet: dict[str, Any] = {"show_progress": "hidden", "api_visibility": "private", "trigger_mode": "multiple"}
    view.measure(measure, outputs=view, api_name="measure", concurrency_id="look", concurrency_limit=1, **quiet)
    view.enough(enough, api_name="enough", concurrency_limit=None, **quiet)
