"""The Compare tab as a person meets it."""

from __future__ import annotations

import pytest
from playwright.sync_api import Page, expect

from app.common.strings import all_words
from app.compare.service import MODELS

pytestmark = pytest.mark.browser
EN, DE = all_words()["en"], all_words()["de"]


def test_models_beside_a_device(page: Page) -> None:
    page.get_by_role("tab", name=EN["compare.title"]).click()
    tab = page.locator("#lab-compare")
    sizes = tab.locator(".lab-compare-part-size")
    rows = sizes.locator("tbody tr")
    expect(rows).to_have_count(len(MODELS), timeout=20_000)
    squares = sizes.locator("svg rect:first-of-type")
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
    expect(tab.locator('[data-counted="context"]')).to_contain_text("4,096")
    expect(rows.nth(0)).to_contain_text("512")

    rows.nth(seven).get_by_role("button").nth(2).click()
    said = sizes.locator(".lab-compare-how")
    expect(said).to_contain_text("2 × 32 layers × 32 key/value heads × 128 numbers × 2 bytes × 4,096 tokens")
    expect(said).to_contain_text(EN["compare.kind_computed"])
    tab.locator(".lab-compare-facts button").first.click()
    expect(said.get_by_role("link")).to_be_visible()
    assert (said.get_by_role("link").get_attribute("href") or "").startswith("https://")
    with page.expect_download() as download:
        sizes.get_by_role("button", name="SVG", exact=True).click()
    assert download.value.suggested_filename == "sizes.svg"
    page.get_by_label(EN["header.language"]).select_option("de")
    expect(tab.locator("h2").first).to_have_text(DE["compare.heading"])
    expect(rows.nth(seven).get_by_role("button").nth(4)).to_have_text(DE["compare.no"])


def test_what_replies_cost(page: Page) -> None:
    """A device's estimate, a figure's range and way, a year's choices, and the scores beside them."""
    page.get_by_role("tab", name=EN["compare.title"]).click()
    costs = page.locator(".lab-compare-part-costs")
    rows = costs.locator("tbody tr")
    expect(rows).to_have_count(len(MODELS), timeout=20_000)
    page.locator('[data-choice="basis"]').select_option("device")
    page.locator('[data-choice="device"]').select_option("NVIDIA H100")
    expect(costs.locator("svg circle")).to_have_count(6)  # 70B does not fit
    seven = rows.nth(list(MODELS).index("llama2-7b"))
    expect(seven).to_contain_text("×")
    before = seven.get_by_role("button").first.inner_text()
    page.locator('[data-choice="answer"]').fill("1000")
    expect(seven.get_by_role("button").first).not_to_have_text(before)
    expect(costs.locator(".lab-compare-headline")).to_contain_text("A reply of 1,000 tokens")
    seven.get_by_role("button").first.click()
    said = costs.locator(".lab-compare-how")
    expect(said).to_contain_text(EN["compare.kind_estimated"])
    expect(said).to_contain_text("between")
    expect(said).to_contain_text("700 W")
    seven.get_by_role("button").last.click()
    expect(said.get_by_role("link").first).to_be_visible()

    year = page.locator(".lab-compare-part-year")
    year.locator('[data-choice="country"]').select_option("Norway")
    expect(year.locator(".lab-compare-grid")).to_contain_text("30.1")
    energy = year.locator("tbody tr").nth(1).get_by_role("button").first
    before = energy.inner_text()
    year.locator('[data-choice="replies"]').select_option("1000000")
    expect(energy).not_to_have_text(before)
    year.locator("tbody tr").nth(1).get_by_role("button").nth(1).click()
    expect(year.locator(".lab-compare-how")).to_contain_text("Norway")
    expect(year.locator(".lab-compare-same li")).to_have_count(3)
    year.locator(".lab-compare-same button").first.click()
    expect(year.locator(".lab-compare-how").get_by_role("link")).to_have_count(3)
    expect(year.locator(".lab-compare-how")).not_to_contain_text("between")  # the range is the figure itself

    scores = page.locator(".lab-compare-part-scores")
    expect(scores.locator("tbody tr")).to_have_count(6)
    expect(scores.locator(".lab-compare-buys svg")).to_be_visible()
    with page.expect_download() as drawn:
        costs.get_by_role("button", name="SVG", exact=True).click()
    picture = drawn.value.path().read_text(encoding="utf-8")
    assert picture.count("<circle") == 6, "the plot that is shown, not a table"
    assert "class=" not in picture, "it looks the same without the page's styles"
    with page.expect_download() as download:
        year.get_by_role("button", name="CSV", exact=True).click()
    lines = download.value.path().read_text(encoding="utf-8").splitlines()
    assert len(lines) == 1 + len(MODELS)
    assert "co2 kind" in lines[0]


def test_no_number_stands_without_its_label(page: Page) -> None:
    """In the tables, all that has a digit is a figure that says what it is when it is pressed."""
    page.get_by_role("tab", name=EN["compare.title"]).click()
    tab = page.locator("#lab-compare")
    expect(tab.locator(".lab-compare-part-scores tbody tr")).to_have_count(6, timeout=20_000)
    bare = tab.locator("section:not(.lab-compare-part-facts) tbody td").evaluate_all(
        r"cells => cells.filter((cell) => /\d/.test(cell.textContent) && !cell.querySelector('.lab-figure'))"
        ".map((cell) => cell.textContent)"
    )
    assert bare == []
    for figure in tab.locator("section:not(.lab-compare-part-facts) .lab-figure").all():
        figure.click()
        said = figure.locator("xpath=ancestor::section").locator(".lab-compare-how")
        assert said.locator(".lab-kind").inner_text() in {EN[key] for key in EN if key.startswith("compare.kind_")}
        assert "{" not in said.inner_text()


def test_every_fact_can_be_searched(page: Page) -> None:
    page.get_by_role("tab", name=EN["compare.title"]).click()
    part = page.locator(".lab-compare-part-facts")
    part.locator("summary").click()
    found = part.locator(".lab-compare-found")
    expect(found).to_contain_text("1,119", timeout=20_000)
    part.get_by_role("searchbox").fill("litellama mmlu")
    expect(found).not_to_contain_text("1,119")
    expect(part.locator("tbody")).to_contain_text("25.96")
    assert (part.get_by_role("link").first.get_attribute("href") or "").startswith("https://")
