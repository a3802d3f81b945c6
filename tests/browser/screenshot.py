"""Take the README's picture of the chat: `python -m tests.browser.screenshot docs/chat.png`.

A third word gives another look: light, dark, phone or german.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path
from typing import Any

from playwright.sync_api import sync_playwright

from tests.browser.app_server import ROOT, running_app
from tests.browser.conftest import CHROMIUM, QUIET

QUESTIONS = ("Tell me a story about a lost kite.", "Who found the kite?")
LOOKS: dict[str, dict[str, Any]] = {
    "light": {"viewport": {"width": 1280, "height": 800}, "locale": "en-GB"},
    "dark": {"viewport": {"width": 1280, "height": 800}, "locale": "en-GB", "color_scheme": "dark"},
    "phone": {"viewport": {"width": 390, "height": 844}, "locale": "en-GB", "has_touch": True},
    "german": {"viewport": {"width": 1280, "height": 800}, "locale": "de-DE"},
}


def take(checkpoint: Path, picture: Path, look: str) -> None:
    """Ask two questions with a fixed seed, open a token of the story, and save what the page looks like."""
    with (
        tempfile.TemporaryDirectory() as folder,
        running_app(checkpoint, Path(folder) / "app.log") as address,
        sync_playwright() as playwright,
    ):
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=QUIET)
        page = browser.new_context(**LOOKS[look]).new_page()
        page.goto(address)
        page.locator("textarea").wait_for()
        page.evaluate("document.querySelector('#knob-seed').value = 3")
        for number, question in enumerate(QUESTIONS):
            page.locator("textarea").fill(question)
            page.keyboard.press("Enter")
            page.locator(".lab-turn.lab-done").nth(number).wait_for()
        tokens = page.locator(".lab-turn").first.locator(".lab-token")
        tokens.nth(min(10, tokens.count() - 1)).click()
        page.get_by_role("dialog").wait_for()
        page.wait_for_timeout(400)
        picture.parent.mkdir(parents=True, exist_ok=True)
        page.screenshot(path=picture)
        browser.close()


if __name__ == "__main__":
    take(ROOT / "checkpoints" / "tinytown", Path(sys.argv[1]), sys.argv[2] if len(sys.argv) > 2 else "light")
