"""The Attribution tab as a person meets it."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from app.common.strings import all_words

pytestmark = pytest.mark.browser
EN, DE = all_words()["en"], all_words()["de"]


@pytest.fixture
def explained(page: Page) -> Page:
    page.get_by_role("tab", name=EN["attribution.title"]).click()
    expect(page.locator("#why-text")).to_have_value(re.compile("Where is the ball"), timeout=20_000)
    page.locator("#why-text").fill("Tom has a <i>red</i> kite. Where is the kite?")
    page.keyboard.press("Enter")
    page.locator(".lab-why-curves svg").last.wait_for(timeout=60_000)
    return page


def test_words_and_their_numbers(explained: Page, tmp_path: Path) -> None:
    words = explained.locator(".lab-why-word")
    text = "".join(words.all_inner_texts())
    assert "<i>red</i>" in text.replace(" ", ""), "typed text is text"
    explained.locator("#lab-attribution .lab-look-table summary").click()
    expect(explained.locator("#lab-attribution .lab-look-table tbody tr")).to_have_count(words.count())
    with explained.expect_download() as download:
        explained.locator("#lab-attribution").get_by_role("button", name="JSON", exact=True).click()
    download.value.save_as(tmp_path / "it.json")
    saved = json.loads((tmp_path / "it.json").read_text())
    assert saved["method"] == "ablation"
    assert len(saved["units"]) == words.count()
    assert saved["score"] <= 0


def test_one_token_another_method_and_a_rival(explained: Page) -> None:
    expect(explained.locator(".lab-why-rather")).to_be_hidden()
    explained.locator(".lab-why-answer [data-place]").first.click()
    explained.locator(".lab-why-curves svg").last.wait_for(timeout=60_000)
    expect(explained.locator(".lab-why-target")).to_have_count(1)
    explained.get_by_role("combobox", name=EN["attribution.instead"]).select_option(index=1)
    expect(explained.locator(".lab-why-found")).to_be_visible(timeout=60_000)
    explained.get_by_role("combobox", name=EN["attribution.method"]).select_option(
        EN["attribution.method_gradient_x_input"]
    )
    expect(explained.locator(".lab-why-method-why")).to_have_text(EN["attribution.method_gradient_x_input_why"])
    expect(explained.locator(".lab-why-curves svg").last).to_be_visible(timeout=60_000)
    explained.get_by_role("combobox", name=EN["attribution.unit"]).select_option(EN["attribution.unit_sentence"])
    expect(explained.locator(".lab-why-word")).to_have_count(2, timeout=60_000)


def test_a_slow_method_can_be_cancelled(explained: Page) -> None:
    explained.get_by_role("combobox", name=EN["attribution.unit"]).select_option(EN["attribution.unit_token"])
    explained.get_by_role("combobox", name=EN["attribution.method"]).select_option(
        EN["attribution.method_shapley_sampling"]
    )
    explained.get_by_role("button", name=EN["attribution.cancel"]).click()
    expect(explained.locator(".lab-why-progress")).to_be_hidden(timeout=60_000)


def test_all_methods_side_by_side(explained: Page) -> None:
    explained.locator(".lab-why-answer [data-place]").first.click()  # the whole answer would take seven times longer
    explained.locator(".lab-why-curves svg").last.wait_for(timeout=60_000)
    explained.get_by_role("button", name=EN["attribution.compare"]).click()
    rows = explained.locator(".lab-why-agreed tbody tr")
    expect(rows).to_have_count(7, timeout=90_000)
    expect(rows.filter(has_text=EN["attribution.method_ablation"]).locator("td").nth(1)).to_have_text("+1.00")


def test_problems_and_german(explained: Page) -> None:
    explained.locator("#why-text").fill(" ")
    explained.locator("#lab-attribution .lab-send").click()
    expect(explained.locator("#lab-attribution").get_by_role("alert")).to_have_text(EN["problem.empty"])
    explained.get_by_label(EN["header.language"]).select_option("de")
    expect(explained.get_by_role("tab", name=DE["attribution.title"])).to_be_visible()
    expect(explained.get_by_role("heading", name=DE["attribution.test"])).to_be_visible()
