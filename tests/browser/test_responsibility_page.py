"""The Responsibility tab as a person meets it."""

from __future__ import annotations

import csv
import json
import re
from pathlib import Path
from xml.etree import ElementTree

import pytest
from playwright.sync_api import Locator, Page, expect

from app.common.strings import all_words

pytestmark = pytest.mark.browser
EN, DE = all_words()["en"], all_words()["de"]
NASTY = "<img src=x onerror=alert(1)>"
LONG = 60_000  # ms


def open_tab(page: Page) -> Locator:
    page.get_by_role("tab", name=EN["responsibility.title"]).click()
    tab = page.locator("#lab-responsibility")
    expect(tab.locator(".lab-fair-sentences")).to_have_value(re.compile(r"\{who\}"), timeout=20_000)
    return tab


def save(page: Page, part: Locator, kind: str) -> bytes:
    with page.expect_download() as download:
        part.get_by_role("button", name=kind, exact=True).click()
    assert download.value.suggested_filename.endswith(f".{kind.lower()}")
    return Path(download.value.path()).read_bytes()


def test_groups_of_words_are_compared(page: Page) -> None:
    tab = open_tab(page)
    expect(tab.locator(".lab-fair-probe")).to_have_value("he_and_she")  # this model's card does not speak of TinyTown
    tab.locator(".lab-fair-probe").select_option("who_repairs")
    expect(tab.locator(".lab-fair-ends")).to_have_value("repaired the bicycle, baked a cake")
    tab.locator(".lab-fair-sentences").fill("One day {who}\nTell me of {who}. | {who}")
    expect(tab.locator(".lab-fair-probe")).to_have_value("")
    tab.locator(".lab-fair-name").first.fill(NASTY)
    tab.locator(".lab-fair-words").first.fill("Tom, Ben,\nMax")
    tab.locator(".lab-fair-words").last.fill("Mia, Anna, Eva")
    tab.locator(".lab-fair-form .lab-send").click()
    found = tab.locator(".lab-fair-found")
    expect(found.locator("svg .lab-fair-mean")).to_have_count(4, timeout=LONG)
    expect(found.locator("svg .lab-fair-word")).to_have_count(12)
    expect(found.locator(".lab-fair-said li")).to_have_count(2)
    expect(found).to_contain_text(NASTY)
    expect(tab.locator("img")).to_have_count(0)
    found.locator("svg .lab-fair-mean").first.hover()
    expect(found.locator(".lab-fair-value")).to_contain_text("“repaired the bicycle”")
    found.locator("summary").click()
    expect(found.locator("tbody tr")).to_have_count(6)
    rows = list(csv.DictReader(save(page, found, "CSV").decode().splitlines()))
    assert len(rows) == 2 * 6 * 2
    assert {row["word"] for row in rows} == {"Tom", "Ben", "Max", "Mia", "Anna", "Eva"}
    assert sum(float(row["share"]) for row in rows) == pytest.approx(12)
    told = json.loads(save(page, found, "JSON"))
    assert told["continuations"] == ["repaired the bicycle", "baked a cake"]
    assert "model" not in told
    picture = ElementTree.fromstring(save(page, found, "SVG"))
    assert picture.tag == "{http://www.w3.org/2000/svg}svg"
    assert save(page, found, "PNG").startswith(b"\x89PNG")
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    found.get_by_role("button", name=EN["take.copy"]).click()
    expect(found.get_by_text(EN["take.copied"])).to_be_visible()
    assert page.evaluate("navigator.clipboard.readText()").startswith(EN["responsibility.found"])
    page.get_by_label(EN["header.language"]).select_option("de")
    expect(found.locator("h2")).to_have_text(DE["responsibility.found"])
    expect(found.locator(".lab-fair-said li").first).to_contain_text("Unterschied")
    expect(tab.locator("optgroup").first).to_have_attribute("label", DE["responsibility.kind_tinytown"])


def test_what_cannot_be_compared_is_said(page: Page) -> None:
    tab = open_tab(page)
    tab.locator(".lab-fair-sentences").fill("Tom found")
    tab.locator(".lab-fair-form .lab-send").click()
    expect(tab.get_by_role("alert").first).to_contain_text("has no blank; write {who}")
    expect(tab.locator(".lab-fair-form .lab-send")).to_be_enabled()


def test_certainty_on_a_text_and_a_cancelled_comparison(page: Page) -> None:
    tab = open_tab(page)
    expect(tab.locator(".lab-sure-way")).to_have_value("text")
    tab.locator(".lab-sure-text").fill("Tom went to the park. He found a red kite near the old tree.")
    tab.locator(".lab-sure-form .lab-send").click()
    expect(tab.locator(".lab-sure-picture svg .lab-fair-mean").first).to_be_visible(timeout=LONG)
    expect(tab.locator(".lab-sure-said li").nth(1)).to_contain_text("Expected calibration error")
    assert json.loads(save(page, tab.locator(".lab-sure-found"), "JSON"))["reliability"]["count"] > 10
    tab.locator(".lab-sure-form .lab-fair-cancel").wait_for(state="hidden")
    names = [", ".join(f"{letter}{number}" for number in range(40)) for letter in "AB"]
    for field, text in zip(tab.locator(".lab-fair-words").all(), names, strict=True):
        field.fill(text)
    tab.locator(".lab-fair-sentences").fill(
        "\n".join(f"{'On a day of May ' * 4}{number} {{who}}" for number in range(6))
    )
    tab.locator(".lab-fair-ends").fill("went, came, sat")
    tab.locator(".lab-fair-form .lab-send").click()
    tab.locator(".lab-fair-form progress[value]").wait_for()
    tab.locator(".lab-fair-form .lab-fair-cancel").click()
    expect(tab.locator(".lab-fair-form .lab-send")).to_be_enabled(timeout=LONG)
    expect(tab.locator(".lab-fair-found")).to_be_hidden()


def test_on_a_phone_nothing_is_cut_off(page: Page) -> None:
    page.set_viewport_size({"width": 390, "height": 844})
    page.wait_for_timeout(500)
    menu = page.locator("#lab-tabs .overflow-menu > button")
    if menu.is_visible():
        menu.click()
        page.locator("#lab-tabs .overflow-dropdown").get_by_role("button", name=EN["responsibility.title"]).click()
    tab = page.locator("#lab-responsibility")
    tab.locator(".lab-fair-sentences").fill("One day {who}", timeout=20_000)
    tab.locator(".lab-fair-form .lab-send").click()
    expect(tab.locator(".lab-fair-picture svg")).to_be_visible(timeout=LONG)
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
