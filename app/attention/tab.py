"""The Attention tab: read one text, see every head at once, and look closer at any of them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import gradio as gr

from app.attention.service import AttentionService
from app.common.assets import scripts, template
from app.common.events import EXAMPLE, PageEvents, Sent

TITLE = "attention.title"


def build(service: AttentionService, events: PageEvents) -> None:
    """Lay the tab out; its events: 'look' answers a text, 'closer' brings one map."""
    view = gr.HTML(
        None,
        html_template=template("attention.html"),
        head=scripts("lab.js", "numbers.js", "takeaway.js", "attention.js"),
        js_on_load="lab.attention(element, ...lab.line(trigger, props, watch));  // triggers 'look' 'closer'",
        apply_default_css=False,
        elem_id="lab-attention",
        example=EXAMPLE,
    )
    # What one head shows comes through a component of its own: the overview need not be sent again.
    one_map = gr.HTML(
        None,
        html_template="<span></span>",
        head=scripts("lab.js", "numbers.js", "takeaway.js", "attention.js"),
        js_on_load="lab.attentionHead(element, props, watch);",
        apply_default_css=False,
        elem_id="lab-attention-head",
    )

    def look(event: gr.EventData, request: gr.Request) -> Iterator[dict[str, Any]]:
        yield from events.stream(
            event, request, lambda page, sent: service.look(page, sent.get("text"), sent.get("start"))
        )

    def closer(event: gr.EventData, request: gr.Request) -> dict[str, Any]:
        def head(page: str, sent: Sent) -> dict[str, Any]:
            return service.head(page, sent.get("view"), sent.get("layer"), sent.get("head"))

        return events.answer(event, request, head)

    quiet: dict[str, Any] = {"show_progress": "hidden", "api_visibility": "private"}
    # Heavy work, one at a time; the chat has its own places.
    view.look(
        look,
        outputs=view,
        trigger_mode="multiple",
        api_name="look",
        concurrency_id="look",
        concurrency_limit=1,
        **quiet,
    )
    view.closer(closer, outputs=one_map, trigger_mode="multiple", api_name="closer", concurrency_limit=None, **quiet)
