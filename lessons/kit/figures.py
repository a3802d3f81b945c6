"""How a Plotly figure stands in a notebook."""

from __future__ import annotations

import json
from typing import Any

import plotly.graph_objects as go

from litellama.plots import CONFIG


def as_output(figure: go.Figure) -> dict[str, Any]:
    """A figure as a cell's output: offline, and without a button that would send it anywhere."""
    data = json.loads(figure.to_json()) | {"config": CONFIG}
    return {"application/vnd.plotly.v1+json": data, "text/plain": repr(type(figure).__name__)}
