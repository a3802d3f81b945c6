"""The "Inside one step" tab as a person meets it."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from app.common.strings import all_words
from litellama.config import preset
from litellama.explain.trace import STAGES

pytestmark = pytest.mark.browser
EN, DE = all_words()["en"], all_words()["de"]
SHAPE = preset("tinytown")


def test_the_walk(page: Page) -> None:
    page.get_by_role("tab", name=EN["step.title"]).click()
    expect(page.locator("#step-text")).to_have_value(re.compile("Where is the ball"), timeout=20_000)
    page.locator("#step-text").fill("Tom has a kite. Where is it?")
    page.keyboard.press("Enter")
    stations = page.locator(".lab-step-rail button")
    expect(stations).to_have_count(len(STAGES), timeout=30_000)
    title, picture = page.locator(".lab-step-title"), page.locator(".lab-step-picture")
    for station in STAGES:  # each draws something and names its line of code
        expect(title).to_have_text(EN[f"step.{station.name}"])
        expect(page.locator(".lab-step-formula")).to_have_text(station.formula)
        expect(page.locator(".lab-step-code")).to_contain_text(station.code)
        expect(picture.locator("canvas, table, svg").first).to_be_visible()
        if station is not STAGES[-1]:
            page.locator(".lab-step-next").click()
    expect(page.locator(".lab-step-next")).to_be_disabled()

    stations.nth(0).click()  # a number under the keyboard
    picture.locator("canvas").focus()
    page.keyboard.press("ArrowRight")
    expect(page.locator(".lab-step-cell")).to_contain_text(f"number 2 of {SHAPE.hidden_size}")

    stations.nth(3).click()  # turning both arrows leaves their score
    expect(picture.locator("svg")).to_have_count(SHAPE.head_dim // 2)
    score = re.compile(r"score (\S+)$")
    before = score.search(page.locator(".lab-step-score").inner_text())
    arrow = picture.locator("line.lab-dial-query").first.get_attribute("x2")
    page.locator("#step-moved").fill("57")
    assert picture.locator("line.lab-dial-query").first.get_attribute("x2") != arrow
    after = score.search(page.locator(".lab-step-score").inner_text())
    assert before
    assert after
    assert float(after[1]) == pytest.approx(float(before[1]), abs=2e-3)

    page.locator(".lab-step-token", has_text="kite").first.click()
    expect(page.locator(".lab-step-said")).to_contain_text("read up to “kite”")
    page.keyboard.press("ArrowRight")
    expect(page.locator(".lab-step-said")).to_contain_text("read up to “.”")
    page.locator(".lab-step-head").fill(str(SHAPE.num_attention_heads))
    page.locator(".lab-step-head").dispatch_event("change")
    expect(page.locator(".lab-step-head-name")).to_contain_text(f"key/value head {SHAPE.num_key_value_heads}")

    with page.expect_download() as download:
        page.locator("#lab-step").get_by_role("button", name="JSON", exact=True).click()
    saved = json.loads(Path(download.value.path()).read_text(encoding="utf-8"))
    assert saved["head"] == SHAPE.num_attention_heads - 1
    assert sum(saved["numbers"]["weights"]) == pytest.approx(1, abs=1e-3)

    page.locator("#step-text").fill(" ")
    page.locator("#lab-step .lab-send").click()
    expect(page.locator("#lab-step").get_by_role("alert")).to_have_text(EN["problem.empty"])
    page.get_by_label(EN["header.language"]).select_option("de")
    expect(title).to_have_text(DE["step.rotary"])
