"""How far long work is, as the page gets it."""

from __future__ import annotations

from typing import Any

from litellama.explain.scoring import ScoringProgress

SECONDS_BETWEEN_UPDATES = 0.3


def progress_json(progress: ScoringProgress) -> dict[str, Any]:
    return {
        "state": "running", "done": progress.done, "total": progress.total,
        "seconds_left": round(progress.seconds_left, 1),
    }  # fmt: skip
