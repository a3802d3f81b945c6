"""The Attention tab as a person meets it."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from app.common.strings import all_words
from litellama.config import preset

pytestmark = pytest.mark.browser
EN, DE = all_words()["en"], all_words()["de"]
SHAPE = preset("tinytown")


@pytest.fixture
def tab(page: Page) -> Page:
    """The tab, open and ready: the example stands in its box."""
    page.get_by_role("tab", name=EN["attention.title"]).click()
    expect(page.locator("#look-text")).to_have_value(re.compile("Where is the ball"), timeout=20_000)
    return page


@pytest.fixture
def looked(tab: Page) -> Page:
    """The tab with one text looked at."""
    page = tab
    page.locator("#look-text").fill("Tom has a <b>red</b> kite. Where is the kite?")
    page.keyboard.press("Enter")
    page.locator(".lab-look-said").filter(has_text="%").wait_for(timeout=20_000)
    expect(page.locator(".lab-look-probe")).to_have_text(EN["attention.roles_why"], timeout=20_000)
    return page


def token_texts(page: Page) -> str:
    return page.locator(".lab-look-tokens").inner_text()


def test_every_head_is_there_and_can_be_looked_at(looked: Page) -> None:
    cells = looked.locator(".lab-look-cell")
    expect(cells).to_have_count(SHAPE.num_hidden_layers * SHAPE.num_attention_heads)
    assert "<b>red</b>" in token_texts(looked), "typed text is text"
    looked.get_by_role("button", name=re.compile("^Layer 4, head 5")).click()
    expect(looked.get_by_role("heading", name="Layer 4, head 5")).to_be_visible()
    expect(looked.locator('.lab-look-cell[aria-pressed="true"]')).to_have_count(1)
    expect(looked.locator("#look-layer")).to_have_value("4")
    looked.locator("#look-head").fill("6")
    expect(looked.get_by_role("heading", name="Layer 4, head 6")).to_be_visible()
    looked.get_by_label(EN["attention.view_layer"]).check()
    expect(looked.get_by_role("heading", name="Layer 4, mean of its heads")).to_be_visible()
    looked.get_by_label(EN["attention.view_rollout"]).check()
    expect(looked.get_by_role("heading", name=EN["attention.name_rollout"])).to_be_visible()


def test_tokens_by_keyboard_and_both_directions(looked: Page) -> None:
    said = looked.locator(".lab-look-said")
    looked.locator(".lab-look-token", has_text="kite").first.click()
    expect(said).to_contain_text("“kite” looks at")
    looked.keyboard.press("ArrowLeft")
    expect(said).not_to_contain_text("“kite” looks at")
    looked.get_by_label(EN["attention.way_at"]).check()
    expect(said).to_contain_text("At “")
    looked.locator(".lab-look-table summary").click()
    shares = looked.locator(".lab-look-table tbody td:nth-child(3)")
    expect(shares.first).to_contain_text("%")
    looked.get_by_role("button", name=EN["attention.play"]).click()
    expect(looked.locator(".lab-look-next")).to_have_count(1)
    looked.get_by_role("button", name=EN["attention.pause"]).click()
    expect(looked.locator(".lab-look-next")).to_have_count(0)


def test_a_map_can_be_taken_away(looked: Page, tmp_path: Path) -> None:
    saved = {}
    for kind in ("PNG", "SVG", "CSV", "JSON"):
        with looked.expect_download() as download:
            looked.get_by_role("button", name=kind, exact=True).click()
        path = tmp_path / download.value.suggested_filename
        download.value.save_as(path)
        saved[kind] = path.read_bytes()
    assert saved["PNG"].startswith(b"\x89PNG")
    assert saved["SVG"].startswith(b"<svg")
    assert b"<b>" not in saved["SVG"]
    table = json.loads(saved["JSON"])
    assert len(table["tokens"]) == len(table["attention"])
    for row in table["attention"]:
        assert sum(row) == pytest.approx(1, abs=0.01), "each token's look adds up to one"
    assert saved["CSV"].decode().count("\n") == 1 + sum(map(len, table["attention"]))


def test_bad_texts_get_a_sentence(tab: Page) -> None:
    page = tab
    alert = page.locator("#lab-attention").get_by_role("alert")
    page.locator("#look-text").fill("  ")
    page.keyboard.press("Enter")
    expect(alert).to_have_text(EN["problem.empty"])
    page.locator("#look-text").fill("zyxq " * 700)
    page.keyboard.press("Enter")
    expect(alert).to_contain_text("longer than the model can read")
    page.locator("#look-text").fill("kite " * 1000)
    page.keyboard.press("Enter")
    expect(alert).to_contain_text("at most 4,000 are accepted")


def test_a_long_text_is_shown_window_by_window(tab: Page) -> None:
    page = tab
    page.locator("#look-text").fill("kite " * 790)
    page.keyboard.press("Enter")
    expect(page.locator(".lab-look-said")).to_contain_text("looks at", timeout=30_000)
    expect(page.locator(".lab-look-under")).to_contain_text("before this window")
    total = int(re.search(r"of ([\d,]+)", page.locator(".lab-look-windows").inner_text())[1].replace(",", ""))  # type: ignore[index]
    expect(page.locator(".lab-look-token")).to_have_count(512)
    expect(page.locator(".lab-look-windows")).to_contain_text(f"to {total:,} of {total:,}")
    page.get_by_role("button", name=EN["attention.earlier"]).click()
    expect(page.locator(".lab-look-windows")).to_contain_text("tokens 1 to", timeout=30_000)


def test_german(looked: Page) -> None:
    looked.get_by_label(EN["header.language"]).select_option("de")
    expect(looked.get_by_role("tab", name=DE["attention.title"])).to_be_visible()
    expect(looked.get_by_role("heading", name=DE["attention.heads"])).to_be_visible()
    expect(looked.get_by_role("button", name=re.compile("^Schicht 1, Kopf 1")).first).to_be_visible()
    expect(looked.locator(".lab-look-probe")).to_have_text(DE["attention.roles_why"])
