"""The Compare tab as a person meets it."""

from __future__ import annotations

import pytest
from playwright.sync_api import Page, expect

from app.comparison import MODELS
from app.words import all_words

pytestmark = pytest.mark.browser
EN, DE = all_words()["en"], all_words()["de"]


def test_models_beside_a_device(page: Page) -> None:
    page.get_by_role("tab", name=EN["compare.title"]).click()
    tab = page.locator("#lab-compare")
    rows = tab.locator("tbody tr")
    expect(rows).to_have_count(len(MODELS), timeout=20_000)
    squares = tab.locator("svg rect:first-of-type")
    expect(squares).to_have_count(len(MODELS) + 1)
    area = [float(one.get_attribute("width") or 0) * float(one.get_attribute("height") or 0) for one in squares.all()]
    seven, seventy = list(MODELS).index("llama2-7b"), list(MODELS).index("llama2-70b")
    assert area[seventy] / area[seven] == pytest.approx(138.29 / 14.01, rel=0.01), "areas are bytes"

    fits = rows.nth(seven).get_by_role("button").nth(4)
    expect(fits).to_have_text(EN["compare.yes"])
    tab.locator('[data-choice="device"]').select_option("NVIDIA T4")
    expect(tab.locator(".lab-compare-device")).to_have_text("NVIDIA T4")
    tab.locator('[data-choice="precision"]').select_option("float32")
    expect(fits).to_have_text(EN["compare.no"])
    expect(tab.locator("svg g.lab-compare-large")).to_have_count(3)
    tab.locator('[data-choice="context"]').fill("4096")
    expect(tab.locator(".lab-compare-context")).to_contain_text("4,096")
    expect(rows.nth(0)).to_contain_text("512")

    rows.nth(seven).get_by_role("button").nth(2).click()
    said = tab.locator(".lab-compare-how")
    expect(said).to_contain_text("2 × 32 layers × 32 key/value heads × 128 numbers × 2 bytes × 4,096 tokens")
    expect(said).to_contain_text(EN["compare.kind_computed"])
    tab.locator(".lab-compare-facts button").first.click()
    expect(said.get_by_role("link")).to_be_visible()
    assert (said.get_by_role("link").get_attribute("href") or "").startswith("https://")
    with page.expect_download() as download:
        tab.get_by_role("button", name="SVG", exact=True).click()
    assert download.value.suggested_filename == "sizes.svg"
    page.get_by_label(EN["header.language"]).select_option("de")
    expect(tab.locator("h2").first).to_have_text(DE["compare.heading"])
    expect(rows.nth(seven).get_by_role("button").nth(4)).to_have_text(DE["compare.no"])
