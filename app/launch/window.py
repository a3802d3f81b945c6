"""A window of the lab's own: a web view where there is one, or a browser without its bars."""

from __future__ import annotations

import importlib
import importlib.util
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from threading import Thread

# Chromium and those made of it can show one page in a window of its own (`--app`).
BROWSERS = (
    "google-chrome google-chrome-stable chromium chromium-browser microsoft-edge microsoft-edge-stable brave-browser "
    "chrome msedge"
).split()
BROWSER_PATHS = (
    "/Applications/Google Chrome.app/Contents/MacOS/Google Chrome",
    "/Applications/Microsoft Edge.app/Contents/MacOS/Microsoft Edge",
    "/Applications/Chromium.app/Contents/MacOS/Chromium",
    r"C:\Program Files\Google\Chrome\Application\chrome.exe",
    r"C:\Program Files (x86)\Microsoft\Edge\Application\msedge.exe",
)
SIZE = (1240, 880)
SHORTEST_VISIT = 2.0  # seconds after which a user can have closed it
WEB_VIEW = "webview"  # pywebview, if the user has it; the lab doesn't need it


def open_window(
    address: str, folder: Path, closed: Callable[[], None], failed: Callable[[], None]
) -> subprocess.Popen[bytes] | None:
    """Show `address` in a window, and call `closed` when the user has closed it, or `failed` if it ended by itself:
    with an error, or so soon that it can only have handed over to another one. None if nothing here can.

    A browser keeps what it must know of the window in `folder`, apart from the user's own profile.
    """
    command = _command(address, folder)
    if command is None:
        return None
    try:
        quiet = subprocess.DEVNULL
        window = subprocess.Popen(command, stdin=quiet, stdout=quiet, stderr=quiet)
    except OSError:
        return None

    def wait() -> None:
        started = time.monotonic()
        status = window.wait()
        if status > 0 or time.monotonic() - started < SHORTEST_VISIT:
            failed()
        else:
            closed()

    Thread(target=wait, daemon=True).start()
    return window


def _command(address: str, folder: Path) -> list[str] | None:
    if importlib.util.find_spec(WEB_VIEW) is not None:
        return [sys.executable, "-m", "app.launch.window", address]
    browser = next(filter(None, map(shutil.which, BROWSERS)), None)
    browser = browser or next((path for path in BROWSER_PATHS if os.path.exists(path)), None)
    if browser is None:
        return None
    profile, size = folder / "window", ",".join(map(str, SIZE))
    return [
        browser, f"--app={address}", f"--user-data-dir={profile}", f"--window-size={size}", "--no-first-run",
        "--no-default-browser-check",
    ]  # fmt: skip


def main(address: str) -> None:
    """The window itself, in a process of its own, since web views want a program's first thread."""
    webview = importlib.import_module(WEB_VIEW)
    webview.create_window("LiteLlama Lab", address, width=SIZE[0], height=SIZE[1])
    webview.start()


if __name__ == "__main__":
    main(sys.argv[1])
