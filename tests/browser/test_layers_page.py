"""The Layers tab as a person meets it."""

from __future__ import annotations

import json
import re
from pathlib import Path
from xml.etree import ElementTree

import pytest
from playwright.sync_api import Page, expect

from app.common.strings import all_words
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
    for kind, check in (
        ("CSV", lambda data: data.decode().splitlines()[0] == '"layer","answer_token","place","guess","probability"'),
        ("JSON", lambda data: len(json.loads(data)["layers"]) == preset("tinytown").num_hidden_layers + 1),
        ("SVG", lambda data: ElementTree.fromstring(data).tag == "{http://www.w3.org/2000/svg}svg"),
        ("PNG", lambda data: data.startswith(b"\x89PNG") and len(data) > 5000),
    ):
        with page.expect_download() as download:
            page.locator("#lab-layers").get_by_role("button", name=kind, exact=True).click()
        assert download.value.suggested_filename == f"guesses.{kind.lower()}"
        assert check(Path(download.value.path()).read_bytes()), kind
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    page.locator("#lab-layers").get_by_role("button", name=EN["take.copy"]).click()
    expect(page.locator("#lab-layers").get_by_text(EN["take.copied"])).to_be_visible()
    copied = page.evaluate("navigator.clipboard.readText()")
    assert copied.startswith(EN["layers.heading"])
    assert "\t".join(["after layer 6", *answer]) in copied
    assert "http" not in copied
    page.get_by_role("tab", name=EN["attention.title"]).click()  # one text, every view
    expect(page.locator("#look-text")).to_have_value("Tom has a kite. Where is it?", timeout=20_000)
    page.get_by_role("tab", name=EN["layers.title"]).click()
    page.locator("#layers-text").fill("")
    page.locator("#lab-layers .lab-send").click()
    expect(page.locator("#lab-layers").get_by_role("alert")).to_have_text(EN["problem.empty"])
    page.get_by_label(EN["header.language"]).select_option("de")
    expect(rows.last.locator("th")).to_have_text(DE["layers.embedding"])
