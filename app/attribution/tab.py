"""The Attribution tab: which words an answer rests on, by which method, and how far that can be trusted."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import gradio as gr

from app.attribution.service import AttributionService
from app.common.assets import scripts, template
from app.common.events import EXAMPLE, PageEvents
from litellama.explain.attribution import METHODS

TITLE = "attribution.title"


def build(service: AttributionService, events: PageEvents) -> None:
    """Lay the tab out; its events: 'read' answers, 'explain' explains, 'cancel' ends that, 'test' blanks words out,
    'compare' asks every method."""
    view = gr.HTML(
        None,
        html_template=template("attribution.html"),
        head=scripts("lab.js", "numbers.js", "takeaway.js", "attribution.js"),
        js_on_load="lab.attribution(element, ...lab.line(trigger, props, watch));"
        "  // triggers 'read' 'explain' 'compare' 'cancel' 'test'",
        apply_default_css=False,
        elem_id="lab-attribution",
        example=EXAMPLE,
        methods=METHODS,
    )

    def read(event: gr.EventData, request: gr.Request) -> dict[str, Any]:
        return events.answer(event, request, lambda page, sent: service.read(page, sent.get("text")))

    def explain(event: gr.EventData, request: gr.Request) -> Iterator[dict[str, Any]]:
        yield from events.stream(event, request, service.explain)

    def compare(event: gr.EventData, request: gr.Request) -> Iterator[dict[str, Any]]:
        yield from events.stream(event, request, lambda page, sent: service.compare(page))

    def cancel(request: gr.Request) -> None:
        service.cancel(events.page_of(request))

    def test(event: gr.EventData, request: gr.Request) -> dict[str, Any]:
        return events.answer(event, request, lambda page, sent: service.put_to_the_test(page))

    quiet: dict[str, Any] = {"show_progress": "hidden", "api_visibility": "private", "trigger_mode": "multiple"}
    heavy: dict[str, Any] = {"concurrency_id": "look", "concurrency_limit": 1}  # one at a time, with the Attention tab
    view.read(read, outputs=view, api_name="read", **heavy, **quiet)
    view.explain(explain, outputs=view, api_name="explain", **heavy, **quiet)
    view.compare(compare, outputs=view, api_name="compare", **heavy, **quiet)
    view.test(test, outputs=view, api_name="test", **heavy, **quiet)
    view.cancel(cancel, api_name="cancel", concurrency_limit=None, **quiet)
