"""Where a learner's own things lie: copies of the notebooks, reports, progress, models."""

from __future__ import annotations

import os
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
WORK = "LITELLAMA_LESSONS_WORK"  # another folder than my-lessons/


def work_folder() -> Path:
    """The learner's folder; it need not be there yet."""
    return Path(os.environ.get(WORK) or ROOT / "my-lessons").absolute()
