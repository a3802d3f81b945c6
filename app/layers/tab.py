"""The Layers tab: what the model would say if it stopped after each layer."""

from __future__ import annotations

from typing import Any

import gradio as gr

from app.common.assets import scripts, template
from app.common.events import EXAMPLE, PageEvents
from app.layers.service import LayersService

TITLE = "layers.title"


def build(service: LayersService, events: PageEvents) -> None:
    """Lay the tab out; its events: 'guess' answers a text and brings the table."""
    view = gr.HTML(
        None,
        html_template=template("layers.html"),
        head=scripts("lab.js", "numbers.js", "takeaway.js", "layers.js"),
        js_on_load="lab.layers(element, ...lab.line(trigger, props, watch));  // triggers 'guess'",
        apply_default_css=False,
        elem_id="lab-layers",
        example=EXAMPLE,
    )

    def guess(event: gr.EventData, request: gr.Request) -> dict[str, Any]:
        return events.answer(event, request, lambda page, sent: service.guess(page, sent.get("text")))

    view.guess(
        guess, outputs=view, api_name="guess", show_progress="hidden", api_visibility="private",
        trigger_mode="multiple", concurrency_id="look", concurrency_limit=1,
    )  # fmt: skip
