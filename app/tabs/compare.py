"""The Compare tab: how large models are beside one another, what their replies cost, and what they can do."""

from __future__ import annotations

from typing import Any

import gradio as gr

from app.comparison import choices, weigh
from app.session import Session
from app.views import scripts, template
from app.words import Problem
from litellama.config import preset

TITLE = "compare.title"


def build(session: Session) -> None:
    """Lay the tab out and wire it: 'weigh' computes all figures for what is chosen."""
    start = choices()
    card = session.opened.card if session.opened.config == preset("tinytown") else None
    view = gr.HTML(
        weigh(start["first"], card),
        html_template=template("compare.html"),
        head=scripts(
            "lab.js", "numbers.js", "takeaway.js", "energy.js", "compare-costs.js", "compare-scores.js", "compare.js"
        ),
        js_on_load="lab.compare(element, lab.surely(trigger), props, watch);  // triggers 'weigh'",
        apply_default_css=False,
        elem_id="lab-compare",
        choices=start,
    )

    def weighed(event: gr.EventData) -> dict[str, Any]:
        sent = event._data if isinstance(event._data, dict) else {}
        asked = {"request": sent.get("request")}
        try:
            return asked | weigh(sent, card)
        except Problem as problem:
            return asked | {"problem": problem.to_json()}

    view.weigh(
        weighed, outputs=view, api_name="weigh", show_progress="hidden", api_visibility="private",
        trigger_mode="multiple", concurrency_limit=None,
    )  # fmt: skip
