"""The Compare tab: how large models are beside one another, and what they would need of a device."""

from __future__ import annotations

from typing import Any

import gradio as gr

from app.comparison import FIRST, choices, weigh
from app.session import Session
from app.views import scripts, template
from app.words import Problem

TITLE = "compare.title"


def build(session: Session) -> None:
    """Lay the tab out and wire it: 'weigh' computes all figures for what is chosen."""
    view = gr.HTML(
        weigh(FIRST),
        html_template=template("compare.html"),
        head=scripts("lab.js", "numbers.js", "takeaway.js", "compare.js"),
        js_on_load="lab.compare(element, trigger, props, watch);  // triggers 'weigh'",
        apply_default_css=False,
        elem_id="lab-compare",
        choices=choices(),
    )

    def weighed(event: gr.EventData) -> dict[str, Any]:
        sent = event._data if isinstance(event._data, dict) else {}
        asked = {"request": sent.get("request")}
        try:
            return asked | weigh(sent)
        except Problem as problem:
            return asked | {"problem": problem.to_json()}

    view.weigh(
        weighed, outputs=view, api_name="weigh", show_progress="hidden", api_visibility="private",
        trigger_mode="multiple", concurrency_limit=None,
    )  # fmt: skip
