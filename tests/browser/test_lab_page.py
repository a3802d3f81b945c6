"""The lessons as a learner meets them: `./run lab` in a real browser, the list, a notebook run with one command."""

from __future__ import annotations

import os
import re
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page, Request

ROOT = Path(__file__).resolve().parents[2]
LONG = 120_000  # ms


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of JupyterLab, started as the task does, with empty settings and copies of its own."""
    home = tmp_path_factory.mktemp("jupyter")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    options = ["--no-browser", f"--port={port}", "--IdentityProvider.token=lesson"]
    options += ["--allow-root"] if hasattr(os, "geteuid") and os.geteuid() == 0 else []
    folders = {name: str(home / name) for name in ("JUPYTER_CONFIG_DIR", "JUPYTER_DATA_DIR", "JUPYTER_RUNTIME_DIR")}
    folders |= {"JUPYTERLAB_SETTINGS_DIR": str(home / "settings"), "JUPYTERLAB_WORKSPACES_DIR": str(home / "spaces")}
    environment = os.environ | folders | {"LITELLAMA_LESSONS": "fast", "LITELLAMA_LESSONS_WORK": str(home / "work")}
    environment |= {"PYTHONPATH": str(ROOT)}
    with open(home / "lab.log", "wb") as log:
        server = subprocess.Popen(
            [sys.executable, "-m", "lessons", "lab", *options], cwd=ROOT, env=environment, stderr=log
        )
    try:
        address = f"http://127.0.0.1:{port}"
        for _ in range(300):
            try:
                urllib.request.urlopen(f"{address}/api?token=lesson", timeout=5).close()
                break
            except OSError:
                assert server.poll() is None, (home / "lab.log").read_text()
                time.sleep(0.2)
        yield address
    finally:
        server.terminate()
        server.wait(30)


@pytest.fixture
def page(browser: Browser, lab: str) -> Iterator[Page]:
    context = browser.new_context(viewport={"width": 1280, "height": 900}, locale="en-GB")
    page = context.new_page()
    outside: list[str] = []

    def watch(request: Request) -> None:
        if not request.url.startswith((lab, lab.replace("http", "ws", 1), "data:", "blob:")):
            outside.append(request.url)

    page.on("request", watch)
    yield page
    context.close()
    assert outside == []


def wait_for_kernel(page: Page, sessions: str, notebook: str) -> None:
    """JupyterLab drops "Run All Cells", without a word, until the page is connected to the notebook's kernel."""
    for _ in range(LONG // 200):
        kernels = [entry["kernel"] for entry in page.request.get(sessions).json() if entry["path"].endswith(notebook)]
        if any(kernel["connections"] and kernel["execution_state"] == "idle" for kernel in kernels):
            return
        page.wait_for_timeout(200)
    pytest.fail(f"{notebook} has no kernel")


@pytest.mark.slow
@pytest.mark.browser
def test_a_learner_opens_the_list_and_runs_the_first_lesson(page: Page, lab: str) -> None:
    page.goto(f"{lab}/lab?token=lesson")  # the token is remembered; the task's default page follows
    page.goto(f"{lab}/")
    page.get_by_role("link", name="Hallo, kleines Lama").wait_for(timeout=LONG)
    page.get_by_role("link", name="Hello, small llama").click()
    notebook = page.locator(".jp-NotebookPanel:not(.lm-mod-hidden)")
    notebook.get_by_role("heading", name=re.compile("Hello, small llama")).wait_for(timeout=LONG)
    wait_for_kernel(page, f"{lab}/api/sessions", "01_hello.ipynb")
    page.get_by_role("menuitem", name="Run", exact=True).click()
    page.get_by_text("Run All Cells", exact=True).click()
    notebook.get_by_text("The ball is under the bed.").first.wait_for(state="attached", timeout=LONG)
    notebook.get_by_text("There is no answer yet.").last.wait_for(timeout=LONG)
    solution = notebook.locator("details").last
    solution.scroll_into_view_if_needed()
    assert solution.locator("pre").is_hidden()
    solution.locator("summary").click()
    assert solution.locator("pre").is_visible()
    notebook.locator(".js-plotly-plot").first.scroll_into_view_if_needed(timeout=LONG)
    notebook.locator(".js-plotly-plot .main-svg").first.wait_for(timeout=LONG)
