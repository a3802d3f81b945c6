"""The Responsibility tab: whom a model treats otherwise than others, and whether it is as right as it is sure."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import gradio as gr

from app.common.assets import scripts, template
from app.common.events import PageEvents
from app.responsibility.service import ResponsibilityService, ready_probes

TITLE = "responsibility.title"


def build(service: ResponsibilityService, events: PageEvents) -> None:
    """Lay the tab out; its events: 'compare_groups' compares groups of words, 'calibrate' judges certainty, 'enough'
    ends that."""
    view = gr.HTML(
        None,
        html_template=template("responsibility.html"),
        head=scripts("lab.js", "numbers.js", "takeaway.js", "responsibility-drawings.js", "responsibility.js"),
        js_on_load="lab.responsibility(element, ...lab.line(trigger, props, watch));"
        "  // triggers 'compare_groups' 'calibrate' 'enough'",
        apply_default_css=False,
        elem_id="lab-responsibility",
        probes=ready_probes(),
    )

    def compare_groups(event: gr.EventData, request: gr.Request) -> Iterator[dict[str, Any]]:
        yield from events.stream(event, request, service.compare)

    def calibrate(event: gr.EventData, request: gr.Request) -> Iterator[dict[str, Any]]:
        yield from events.stream(event, request, lambda page, sent: service.calibrate(page, sent.get("text")))

    def enough(request: gr.Request) -> None:
        service.cancel(events.page_of(request))

    quiet: dict[str, Any] = {"show_progress": "hidden", "api_visibility": "private", "trigger_mode": "multiple"}
    heavy: dict[str, Any] = {"concurrency_id": "look", "concurrency_limit": 1}  # one at a time, with the Attention tab
    view.compare_groups(compare_groups, outputs=view, api_name="compare_groups", **heavy, **quiet)
    view.calibrate(calibrate, outputs=view, api_name="calibrate", **heavy, **quiet)
    view.enough(enough, api_name="enough", concurrency_limit=None, **quiet)
