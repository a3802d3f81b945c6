"""The Compare tab: how large models are beside one another, what their replies cost, and what they can do."""

from __future__ import annotations

from typing import Any

import gradio as gr

from app.common.assets import scripts, template
from app.common.events import answer, page_key, sent_by
from app.compare.service import choices, weigh
from app.launch.options import DEFAULT_CHECKPOINT
from app.session import Session
from litellama.checkpoint import Opened
from litellama.checkpoint.layout import CARD, CheckpointError, read_json
from litellama.config import preset

TITLE = "compare.title"


def build(session: Session) -> None:
    """Lay the tab out and wire it: 'weigh' computes all figures for what is chosen."""
    start = choices()
    view = gr.HTML(
        weigh(start["first"], _card(session.models.first.opened)),
        html_template=template("compare.html"),
        head=scripts(
            "lab.js", "numbers.js", "takeaway.js", "energy.js", "compare-costs.js", "compare-scores.js", "compare.js"
        ),
        js_on_load="lab.compare(element, ...lab.line(trigger, props, watch));  // triggers 'weigh'",
        apply_default_css=False,
        elem_id="lab-compare",
        choices=start,
    )

    def weighed(event: gr.EventData, request: gr.Request) -> dict[str, Any]:
        sent = sent_by(event)
        return answer(sent, lambda: weigh(sent, _card(session.opened_here(page_key(session, event, request)))))

    view.weigh(
        weighed, outputs=view, api_name="weigh", show_progress="hidden", api_visibility="private",
        trigger_mode="multiple", concurrency_limit=None,
    )  # fmt: skip


def _card(opened: Opened | None) -> dict[str, Any] | None:
    """What the row of the embedded model's shape says of its training: of the page's model, if that has this shape, or
    else of TinyTown itself."""
    if opened is not None and opened.config == preset("tinytown"):
        return opened.card
    try:
        return read_json(DEFAULT_CHECKPOINT / CARD)
    except (CheckpointError, OSError):
        return None
