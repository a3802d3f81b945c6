"""A training in processes of its own, as the command line starts it; with torchrun where there are several.

    events = launch(folder / "two", corpus, "--preset litellama-1m --steps 20", processes=2)
    [one["loss"] for one in events if one["news"] == "Stepped"]

For lessons and tests: the app keeps its process at hand while it runs.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
TORCHRUN = ("-m", "torch.distributed.run", "--standalone", "--nproc-per-node")  # guard: no-restarts


def launch_command(out: str | Path, corpus: str | Path, options: str, *, processes: int = 1) -> list[str]:
    """The command line; `options` are those of `litellama train`, separated by spaces. Raises `ValueError`."""
    if processes < 1:
        raise ValueError(f"processes is {processes}; a whole number of at least 1 was expected")
    start = [*TORCHRUN, str(processes), "-m"] if processes > 1 else ["-m"]
    places = ["--out", str(Path(out).resolve()), "--corpus", str(Path(corpus).resolve())]
    return [sys.executable, *start, "litellama", "train", *places, *options.split()]


def launch(
    out: str | Path, corpus: str | Path, options: str, *, processes: int = 1, timeout: float = 300
) -> list[dict[str, Any]]:
    """Train, wait for the end, and give all events (`events.py`) as they stand in metrics.jsonl. Each process has one
    thread, so that they don't get into one another's way. Raises `RuntimeError` with the last words of one that failed.
    """
    done = subprocess.run(
        launch_command(out, corpus, options, processes=processes), cwd=ROOT, timeout=timeout,
        env={**os.environ, "OMP_NUM_THREADS": "1"}, capture_output=True, text=True, encoding="utf-8", errors="replace",
    )  # fmt: skip
    if done.returncode != 0:
        raise RuntimeError(f"the training ended with code {done.returncode}: {done.stderr.strip()[-1500:]}")
    out = Path(out).resolve()
    lines = (out.with_name(f"{out.name}-training") / "metrics.jsonl").read_text(encoding="utf-8").splitlines()
    return [json.loads(line) for line in lines]
