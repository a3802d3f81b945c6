"""Take the README's pictures: `python -m tests.browser.screenshot chat docs/chat.png`.

The first word says what is shown: chat, side_by_side, attention, step, layers, attribution, intervene, responsibility,
compare, train; or costs, years and scores, which are later parts of the Compare tab. A third word gives another look:
light, dark, phone, german or german-phone.
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from playwright.sync_api import Locator, Page, sync_playwright

from app.common.strings import all_words
from tests.browser.app_server import ROOT, running_app
from tests.browser.chromium import CHROMIUM, QUIET

QUESTIONS = ("Tell me a story about a race.", "Who came last?")
LOOKS: dict[str, dict[str, Any]] = {
    "light": {"viewport": {"width": 1280, "height": 800}, "locale": "en-GB"},
    "dark": {"viewport": {"width": 1280, "height": 800}, "locale": "en-GB", "color_scheme": "dark"},
    "phone": {"viewport": {"width": 390, "height": 844}, "locale": "en-GB", "has_touch": True},
    "german-phone": {"viewport": {"width": 390, "height": 844}, "locale": "de-DE", "has_touch": True},
    "german": {"viewport": {"width": 1280, "height": 800}, "locale": "de-DE"},
}
LONG = 120_000  # ms


def chat(page: Page) -> None:
    """Two questions with a fixed seed, and a token of the story opened."""
    page.evaluate("document.querySelector('#knob-seed').value = 3")
    for number, question in enumerate(QUESTIONS):
        page.locator("textarea").fill(question)
        page.keyboard.press("Enter")
        page.locator(".lab-turn.lab-done").nth(number).wait_for()
    tokens = page.locator(".lab-turn").first.locator(".lab-token")
    tokens.nth(min(10, tokens.count() - 1)).click()
    page.get_by_role("dialog").wait_for()


def side_by_side(page: Page) -> None:
    """One question to two models, blind, after the vote."""
    if not page.locator("#side-by-side-switch").is_visible():  # on a phone
        page.locator(".lab-settings summary").click()
    page.locator("#side-by-side-switch").check()
    page.locator("#side-by-side-model").select_option("storybooks")
    page.locator("#side-by-side-blind").check()
    for name, value in (("max_tokens", 60), ("seed", 3)):
        page.locator(f"#knob-{name}").fill(str(value))
    page.locator(".lab-settings").evaluate(
        "(settings) => { settings.scrollTop = 0; settings.open = innerWidth > 899; }"
    )
    page.locator("textarea").fill(QUESTIONS[0])
    page.keyboard.press("Enter")
    page.locator(".lab-vote").first.click(timeout=LONG)
    page.locator(".lab-verdict:not(:empty)").wait_for()


def attention(page: Page) -> None:
    page.locator("#lab-attention .lab-send").click()
    page.locator(".lab-look-cell b:not(:empty)").first.wait_for(timeout=LONG)
    page.locator('[data-layer="1"][data-head="1"]').click()
    page.locator(".lab-look-name").filter(has_text="2").wait_for()


def step(page: Page) -> None:
    page.locator("#lab-step .lab-send").click()
    page.locator(".lab-step-rail button").nth(3).click(timeout=LONG)


def layers(page: Page) -> None:
    page.locator("#lab-layers .lab-send").click()
    page.locator("#lab-layers td[data-row]").first.wait_for(timeout=LONG)
    page.locator('#lab-layers [data-row="3"]').nth(3).hover()


def attribution(page: Page) -> None:
    page.locator("#lab-attribution .lab-send").click()
    page.locator(".lab-why-curves svg").last.wait_for(timeout=LONG)
    page.locator(".lab-why-all-methods").click()
    page.locator(".lab-why-agreed tbody tr").last.wait_for(timeout=LONG)


def intervene(page: Page) -> None:
    page.locator("#lab-intervene .lab-send").first.click()
    page.locator(".lab-act-head").first.wait_for(timeout=LONG)
    page.locator(".lab-act-worth").click()
    page.locator(".lab-act-why:not(:empty)").wait_for(timeout=LONG)
    page.locator(".lab-act-few").click()
    page.locator(".lab-act-cancel").wait_for(state="hidden", timeout=LONG)


def responsibility(page: Page) -> None:
    """What TinyTown says of moods, and how sure it is of its answers."""
    page.locator(".lab-fair-probe").select_option("moods")
    page.locator(".lab-fair-form .lab-send").click()
    page.locator(".lab-fair-picture svg").wait_for(timeout=LONG)
    page.locator(".lab-sure-form .lab-send").click()
    page.locator(".lab-sure-picture svg").wait_for(timeout=LONG)


def compare(page: Page) -> Locator:
    page.locator("#lab-compare tbody tr").nth(3).get_by_role("button").nth(2).click(timeout=LONG)
    return page.locator(".lab-compare-part-size")


def costs(page: Page) -> Locator:
    part = page.locator(".lab-compare-part-costs")
    part.locator("tbody tr").nth(3).get_by_role("button").first.click(timeout=LONG)
    return part


def years(page: Page) -> Locator:
    return page.locator(".lab-compare-part-year")


def scores(page: Page) -> Locator:
    return page.locator(".lab-compare-part-scores")


def train(page: Page) -> None:
    """A model of the first size on offer, for its three minutes."""
    page.locator("#lab-train .lab-train-form .lab-send").click()
    page.locator(".lab-train-keep").wait_for(timeout=5 * LONG)


# What each does before the picture is taken; it may give the part of the page that is to be seen.
SHOWN: dict[str, Callable[[Page], Locator | None]] = {
    "chat": chat, "side_by_side": side_by_side, "attention": attention, "step": step, "layers": layers,
    "attribution": attribution, "intervene": intervene, "responsibility": responsibility, "compare": compare,
    "costs": costs, "years": years, "scores": scores, "train": train,
}  # fmt: skip
IN_COMPARE = ("compare", "costs", "years", "scores")


def _open_tab(page: Page, title: str) -> None:
    tab = page.get_by_role("tab", name=title)
    page.locator("#lab-tabs").get_by_text(title, exact=True).first.wait_for(state="attached")  # in the page's language
    page.wait_for_timeout(500)  # on a narrow page, the tabs that have no room move into a menu
    if tab.count():
        tab.click()
    else:
        page.locator("#lab-tabs .overflow-menu > button").click()
        page.locator("#lab-tabs .overflow-dropdown").get_by_role("button", name=title).click()


def take(checkpoint: Path, what: str, picture: Path, look: str) -> None:
    """Open the tab, do what its function above does, and save what the page looks like."""
    with (
        tempfile.TemporaryDirectory() as folder,
        running_app(checkpoint, Path(folder) / "app.log") as address,
        sync_playwright() as playwright,
    ):
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=QUIET)
        page = browser.new_context(**LOOKS[look]).new_page()
        page.goto(address)
        page.locator("textarea").wait_for()
        tab = "compare" if what in IN_COMPARE else "chat" if what == "side_by_side" else what
        if tab != "chat":
            _open_tab(page, all_words()["de" if look.startswith("german") else "en"][f"{tab}.title"])
            if tab not in ("compare", "train"):  # which read no text
                page.wait_for_function(f"document.querySelector('#lab-{tab} textarea')?.value")
        part = SHOWN[what](page)
        page.wait_for_timeout(1000)
        picture.parent.mkdir(parents=True, exist_ok=True)
        if part is None:
            page.screenshot(path=picture, full_page=tab != "chat")
        else:
            part.screenshot(path=picture)
        browser.close()


if __name__ == "__main__":
    what, picture, *look = sys.argv[1:]
    take(ROOT / "checkpoints" / "tinytown", what, Path(picture), look[0] if look else "light")
