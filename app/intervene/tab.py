"""The Intervene tab: switch heads off and see what becomes of the answer."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import gradio as gr

from app.common.assets import scripts, template
from app.common.events import EXAMPLE, PageEvents
from app.intervene.service import InterveneService

TITLE = "intervene.title"
OTHER = EXAMPLE.replace("under the bed", "behind the door")


def build(service: InterveneService, events: PageEvents) -> None:
    """Lay the tab out; its events: 'begin' answers a text, 'change_heads' answers it with other heads; 'worth' and
    'patch' measure each head, 'few' searches for those that suffice, 'halt' ends that."""
    view = gr.HTML(
        None,
        html_template=template("intervene.html"),
        head=scripts("lab.js", "numbers.js", "takeaway.js", "intervene.js"),
        js_on_load="lab.intervene(element, ...lab.line(trigger, props, watch));"
        "  // triggers 'begin' 'change_heads' 'worth' 'patch' 'few' 'halt'",
        apply_default_css=False,
        elem_id="lab-intervene",
        example=EXAMPLE,
        other=OTHER,
    )

    def begin(event: gr.EventData, request: gr.Request) -> dict[str, Any]:
        return events.answer(event, request, lambda page, sent: service.begin(page, sent.get("text")))

    def change_heads(event: gr.EventData, request: gr.Request) -> dict[str, Any]:
        return events.answer(
            event, request, lambda page, sent: service.change(page, sent.get("off"), sent.get("strength", 0))
        )

    def worth(event: gr.EventData, request: gr.Request) -> Iterator[dict[str, Any]]:
        yield from events.stream(event, request, lambda page, sent: service.worth(page))

    def patch(event: gr.EventData, request: gr.Request) -> Iterator[dict[str, Any]]:
        yield from events.stream(event, request, lambda page, sent: service.patch(page, sent.get("other")))

    def few(event: gr.EventData, request: gr.Request) -> Iterator[dict[str, Any]]:
        yield from events.stream(event, request, lambda page, sent: service.few(page))

    def halt(request: gr.Request) -> None:
        service.cancel(events.page_of(request))

    quiet: dict[str, Any] = {"show_progress": "hidden", "api_visibility": "private", "trigger_mode": "multiple"}
    heavy: dict[str, Any] = {"concurrency_id": "look", "concurrency_limit": 1}  # one at a time, with the Attention tab
    view.begin(begin, outputs=view, api_name="begin", **heavy, **quiet)
    view.change_heads(change_heads, outputs=view, api_name="change_heads", **heavy, **quiet)
    view.worth(worth, outputs=view, api_name="worth", **heavy, **quiet)
    view.patch(patch, outputs=view, api_name="patch", **heavy, **quiet)
    view.few(few, outputs=view, api_name="few", **heavy, **quiet)
    view.halt(halt, api_name="halt", concurrency_limit=None, **quiet)
