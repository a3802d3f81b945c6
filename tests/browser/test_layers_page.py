"""The Layers tab as a person meets it."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import Page, expect

from app.words import all_words
from litellama.config import preset

pytestmark = pytest.mark.browser
EN, DE = all_words()["en"], all_words()["de"]


def test_the_table_of_guesses(page: Page) -> None:
    page.get_by_role("tab", name=EN["layers.title"]).click()
    expect(page.locator("#layers-text")).to_have_value(re.compile("Where is the ball"), timeout=20_000)
    page.locator("#layers-text").fill("Tom has a kite. Where is it?")
    page.keyboard.press("Enter")
    rows = page.locator("#lab-layers tbody tr")
    expect(rows).to_have_count(preset("tinytown").num_hidden_layers + 1, timeout=30_000)
    answer = [text.strip() for text in page.locator("#lab-layers thead th").all_inner_texts()]
    last = [text.strip() for text in rows.first.locator("td").all_inner_texts()]
    assert last == answer, "the last layer's guess is the answer"
    expect(rows.first.locator("td.lab-layers-settled")).to_have_count(len(answer))
    rows.first.locator("td").first.focus()
    expect(page.locator(".lab-layers-cell")).to_contain_text("after layer 6")
    page.keyboard.press("ArrowDown")
    expect(page.locator(".lab-layers-cell")).to_contain_text("after layer 5")
    with page.expect_download() as download:
        page.locator("#lab-layers").get_by_role("button", name="CSV", exact=True).click()
    assert download.value.suggested_filename.endswith(".csv")
    page.get_by_role("tab", name=EN["attention.title"]).click()  # one text, every view
    expect(page.locator("#look-text")).to_have_value("Tom has a kite. Where is it?", timeout=20_000)
    page.get_by_role("tab", name=EN["layers.title"]).click()
    page.locator("#layers-text").fill("")
    page.locator("#lab-layers .lab-send").click()
    expect(page.locator("#lab-layers").get_by_role("alert")).to_have_text(EN["problem.empty"])
    page.get_by_label(EN["header.language"]).select_option("de")
    expect(rows.last.locator("th")).to_have_text(DE["layers.embedding"])
