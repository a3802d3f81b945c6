"""The Train tab: choose a size, a corpus and minutes; watch a model learn; keep it.

The page speaks with the route /training.json, since a training outlives pages; see `app.train.service`.
"""

from __future__ import annotations

import gradio as gr

from app.common.assets import scripts, template
from app.train.service import FIRST_MINUTES, FIRST_SIZE, MINUTES, sizes

TITLE = "train.title"


def build() -> None:
    """Lay the tab out."""
    gr.HTML(
        None,
        html_template=template("train.html"),
        head=scripts("lab.js", "numbers.js", "takeaway.js", "train-drawings.js", "train.js"),
        js_on_load="lab.train(element, props);",
        apply_default_css=False,
        elem_id="lab-train",
        sizes=sizes(),
        first={"size": FIRST_SIZE, "minutes": FIRST_MINUTES},
        minutes=[MINUTES.low, MINUTES.high, MINUTES.step],
    )
