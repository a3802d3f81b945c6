"""`./run lab`: JupyterLab on the learner's own copies of the notebooks.

JupyterLab saves what it shows, outputs and all. So the notebooks of the repository stay as they were built, and a
learner works in `my-lessons/`, which no update touches and which can be handed in, moved or deleted.
"""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from pathlib import Path

from lessons.kit.folders import work_folder

LESSONS = Path(__file__).resolve().parent
COPIES = ".copies.json"  # what was copied, so that a copy which nobody changed can be renewed

# Without these JupyterLab would ask other hosts for news, updates and extensions.
OFFLINE = (
    "--LabApp.news_url=None",
    "--LabApp.check_for_updates_class=jupyterlab.NeverCheckForUpdate",
    "--LabApp.extension_manager=readonly",
    f"--LabApp.app_settings_dir={LESSONS / 'settings'}",
)


def own_copies(into: Path, *, teacher: bool = False) -> list[Path]:
    """Copy the notebooks that are not in `into` yet, and renew those that nobody has changed since; what was copied."""
    wanted = [LESSONS / "start.ipynb", *LESSONS.glob("en/*.ipynb"), *LESSONS.glob("de/*.ipynb")]
    wanted += LESSONS.glob("teacher/*/*.ipynb") if teacher else []
    record = into / COPIES
    known: dict[str, str] = json.loads(record.read_text(encoding="utf-8")) if record.exists() else {}
    copied = []
    for source in wanted:
        name = source.relative_to(LESSONS).as_posix()
        target, content = into / name, source.read_bytes()
        if target.exists() and _digest(target.read_bytes()) != known.get(name):
            continue  # the learner's work
        if known.get(name) == _digest(content) and target.exists():
            continue
        target.parent.mkdir(parents=True, exist_ok=True)
        _write(target, content)
        known[name] = _digest(content)
        copied.append(target)
    _write(record, (json.dumps(known, indent=1, sort_keys=True) + "\n").encode())
    return copied


def open_lab(options: list[str], *, teacher: bool = False) -> int:
    """Run JupyterLab on the list of lessons until it is stopped; its exit status."""
    own = work_folder()
    own_copies(own, teacher=teacher)
    start = f"--LabApp.default_url=/lab/tree/{own.name}/start.ipynb"
    command = [sys.executable, "-m", "jupyterlab", start, *OFFLINE, *options]
    os.chdir(own.parent)  # in the repository, where links from a lesson lead to the code
    if os.name == "posix":
        os.execv(command[0], command)
    return subprocess.call(command)


def _write(path: Path, content: bytes) -> None:
    new = path.with_name(f"{path.name}.{os.getpid()}.new")
    new.write_bytes(content)
    new.replace(path)


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
