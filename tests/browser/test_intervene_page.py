"""The Intervene tab as a person meets it."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import Page, expect

from app.common.strings import all_words
from litellama.config import preset

pytestmark = pytest.mark.browser
EN, DE = all_words()["en"], all_words()["de"]


def test_heads_are_switched_off_and_on(page: Page) -> None:
    page.get_by_role("tab", name=EN["intervene.title"]).click()
    expect(page.locator("#act-text")).to_have_value(re.compile("Where is the ball"), timeout=20_000)
    page.locator("#act-text").fill("Tom has a kite.")
    page.keyboard.press("Enter")
    shape = preset("tinytown")
    heads = page.locator(".lab-act-head")
    expect(heads).to_have_count(shape.num_hidden_layers * shape.num_attention_heads, timeout=30_000)
    expect(page.locator(".lab-act-verdict")).to_have_text(EN["intervene.same"])
    page.get_by_role("button", name=EN["intervene.all_off"]).click()
    expect(page.locator('.lab-act-head[aria-pressed="false"]')).to_have_count(heads.count())
    expect(page.locator(".lab-act-verdict")).to_have_text(EN["intervene.other"], timeout=30_000)
    page.get_by_role("button", name=EN["intervene.all_on"]).click()
    expect(page.locator(".lab-act-verdict")).to_have_text(EN["intervene.same"], timeout=30_000)
    page.get_by_role("button", name="Layer 2, head 3, on").click()
    expect(page.get_by_role("button", name="Layer 2, head 3, off")).to_be_visible()
    page.locator(".lab-act-strength input").fill("2.5")
    page.locator(".lab-act-strength input").dispatch_event("change")
    expect(page.locator(".lab-act-count")).to_have_text(re.compile("1 of 36 heads at 250 %"), timeout=30_000)
    page.get_by_role("button", name=EN["intervene.worth"]).click()
    expect(page.locator(".lab-act-why")).to_have_text(EN["intervene.worth_why"], timeout=30_000)
    page.locator("#act-other").fill("Tom has a kite. And Anna has another.")
    page.get_by_role("button", name=EN["intervene.patch_go"]).click()
    expect(page.locator("#lab-intervene").get_by_role("alert")).to_contain_text(
        "patching needs as many", timeout=30_000
    )
    page.get_by_label(EN["header.language"]).select_option("de")
    expect(page.get_by_role("button", name=re.compile("^Schicht 2, Kopf 3, aus"))).to_be_visible()
