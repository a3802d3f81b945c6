"""The Layers tab: what the model would say if it stopped after each layer."""

from __future__ import annotations

from typing import Any

import gradio as gr

from app.common.assets import scripts, template
from app.common.events import EXAMPLE, answer, page_key, sent_by
from app.session import Session

TITLE = "layers.title"


def build(session: Session) -> None:
    """Lay the tab out and wire it: 'guess' answers a text and brings the table."""
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
        sent = sent_by(event)
        return answer(sent, lambda: session.guesses(page_key(session, event, request), sent.get("text")))

    view.guess(
        guess, outputs=view, api_name="guess", show_progress="hidden", api_visibility="private",
        trigger_mode="multiple", concurrency_id="look", concurrency_limit=1,
    )  # fmt: skip
