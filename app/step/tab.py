"""The "Inside one step" tab: from one token to the guess of the next, with every number in between."""

from __future__ import annotations

from typing import Any

import gradio as gr

from app.common.assets import scripts, template
from app.common.events import EXAMPLE, PageEvents
from app.step.service import StepService

TITLE = "step.title"


def build(service: StepService, events: PageEvents) -> None:
    """Lay the tab out; its events: 'trace' reads a text, or goes to another position, layer or head of it."""
    view = gr.HTML(
        None,
        html_template=template("step.html"),
        head=scripts("lab.js", "numbers.js", "takeaway.js", "step.js"),
        js_on_load="lab.step(element, ...lab.line(trigger, props, watch));  // triggers 'trace'",
        apply_default_css=False,
        elem_id="lab-step",
        example=EXAMPLE,
    )

    def trace(event: gr.EventData, request: gr.Request) -> dict[str, Any]:
        return events.answer(event, request, service.trace)

    view.trace(
        trace, outputs=view, api_name="trace", show_progress="hidden", api_visibility="private",
        trigger_mode="multiple", concurrency_id="look", concurrency_limit=1,
    )  # fmt: skip
