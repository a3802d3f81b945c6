"""The Compare tab: how large models are next to one another, what their replies cost, and what they can do."""

from __future__ import annotations

from typing import Any

import gradio as gr

from app.common.assets import scripts, template
from app.common.events import PageEvents
from app.compare.service import CompareService, choices

TITLE = "compare.title"


def build(service: CompareService, events: PageEvents) -> None:
    """Lay the tab out; its events: 'compare_models' computes all figures for what is chosen."""
    view = gr.HTML(
        service.compare_first(),
        html_template=template("compare.html"),
        head=scripts(
            "lab.js", "numbers.js", "takeaway.js", "energy.js", "compare-costs.js", "compare-scores.js", "compare.js"
        ),
        js_on_load="lab.compare(element, ...lab.line(trigger, props, watch));  // triggers 'compare_models'",
        apply_default_css=False,
        elem_id="lab-compare",
        choices=choices(),
    )

    def compare_models(event: gr.EventData, request: gr.Request) -> dict[str, Any]:
        return events.answer(event, request, service.compare)

    view.compare_models(
        compare_models, outputs=view, api_name="compare_models", show_progress="hidden", api_visibility="private",
        trigger_mode="multiple", concurrency_limit=None,
    )  # fmt: skip
