"""The model that comes with the lab."""

from __future__ import annotations

from pathlib import Path

DEFAULT_CHECKPOINT = Path(__file__).parents[2] / "checkpoints" / "tinytown"
