"""The "Inside one step" tab: from one token to the guess of the next, with every number in between."""

from __future__ import annotations

from typing import Any

import gradio as gr

from app.common.assets import scripts, template
from app.common.events import EXAMPLE, answer, page_key, sent_by
from app.session import Session

TITLE = "step.title"


def build(session: Session) -> None:
    """Lay the tab out and wire it: 'walk' reads a text, or goes to another place, layer or head of it."""
    view = gr.HTML(
        None,
        html_template=template("step.html"),
        head=scripts("lab.js", "numbers.js", "takeaway.js", "step.js"),
        js_on_load="lab.step(element, ...lab.line(trigger, props, watch));  // triggers 'walk'",
        apply_default_css=False,
        elem_id="lab-step",
        example=EXAMPLE,
    )

    def walk(event: gr.EventData, request: gr.Request) -> dict[str, Any]:
        sent = sent_by(event)
        return answer(sent, lambda: session.step(page_key(session, event, request), sent))

    view.walk(
        walk, outputs=view, api_name="walk", show_progress="hidden", api_visibility="private",
        trigger_mode="multiple", concurrency_id="look", concurrency_limit=1,
    )  # fmt: skip
