"""The Train tab as a person meets it: from the order to a model that answers in the chat, and to a file and back."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from app.common.strings import all_words
from tests.browser.app_server import ROOT, running_app

pytestmark = [pytest.mark.browser, pytest.mark.slow]
EN, DE = all_words()["en"], all_words()["de"]
LONG = 120_000  # ms
TEXT = "The red kite flew over the quiet town, and Mia looked up at it with her small grey llama. " * 40


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    folder = tmp_path_factory.mktemp("train")
    models = folder / "models"
    models.mkdir()
    with running_app(ROOT / "checkpoints" / "tinytown", folder / "app.log", "--models", str(models)) as address:
        yield address
    assert "Traceback" not in (folder / "app.log").read_text(), (folder / "app.log").read_text()


@pytest.fixture
def page(browser: Browser, address: str) -> Iterator[Page]:
    context = browser.new_context(viewport={"width": 1280, "height": 900}, locale="en-GB", accept_downloads=True)
    page = context.new_page()
    errors: list[str] = []
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.goto(address)
    page.get_by_role("textbox", name="Your message").wait_for()
    page.get_by_role("tab", name=EN["train.title"]).click()
    page.get_by_role("button", name=EN["train.go"], exact=True).wait_for()
    yield page
    context.close()
    assert not errors, errors


def order(page: Page, text: str, minutes: str = "0.5") -> None:
    page.get_by_label(EN["train.own"]).check()
    page.get_by_label(EN["train.text"]).fill(text)
    page.locator(".lab-train-size input").fill("0")
    page.locator(".lab-train-minutes input").fill(minutes)
    page.get_by_role("button", name=EN["train.go"], exact=True).click()


def test_from_a_text_to_a_model_that_answers(page: Page, browser: Browser, address: str, tmp_path: Path) -> None:
    order(page, "too short")
    problem = page.locator("#lab-train").get_by_role("alert")
    expect(problem).to_contain_text("This text has 9 characters", timeout=LONG)
    expect(page.locator(".lab-train-live")).to_be_hidden()

    order(page, TEXT)
    state = page.locator(".lab-train-state")
    expect(state).to_have_text(re.compile("It is learning"), timeout=LONG)
    expect(problem).to_have_text("")
    expect(page.locator(".lab-train-curve svg")).to_be_visible(timeout=LONG)
    expect(page.locator(".lab-train-samples li").first).to_be_visible(timeout=LONG)
    assert "Wh" in page.locator(".lab-train-figures").inner_text()

    page.get_by_role("button", name=EN["train.pause"], exact=True).click()
    expect(state).to_have_text(EN["train.state_paused"])
    page.get_by_role("button", name=EN["train.resume"], exact=True).click()
    expect(state).to_have_text(re.compile("It is learning"))

    # Somebody else sees it too, and may not stop it; nor does it keep anybody from talking.
    other = browser.new_context(locale="de-DE").new_page()
    other.goto(address)
    other.locator("#knob-seed").wait_for(state="attached")  # the chat's script has run
    other.locator("textarea").first.fill("Who are you?")
    other.keyboard.press("Enter")
    expect(other.locator(".lab-turn.lab-done")).to_have_count(1, timeout=LONG)
    other.get_by_role("tab", name=DE["train.title"]).click()
    expect(other.locator(".lab-train-state")).to_have_text(re.compile("Es lernt"), timeout=LONG)
    expect(other.get_by_role("button", name=DE["train.stop"])).to_be_hidden()
    expect(other.get_by_role("button", name=DE["train.go"], exact=True)).to_be_disabled()
    other.context.close()

    page.reload()  # it goes on, and is still this page's
    page.get_by_role("tab", name=EN["train.title"]).click()
    page.get_by_role("button", name=EN["train.stop"], exact=True).click(timeout=LONG)
    expect(state).to_have_text(EN["train.state_ended"], timeout=LONG)
    page.locator("#train-name").fill("<b>Mia</b>")
    page.get_by_role("button", name=EN["train.keep"], exact=True).click()
    expect(page.locator(".lab-train-kept")).to_contain_text("Kept as", timeout=LONG)

    with page.expect_download() as waiting:
        page.get_by_role("link", name=EN["train.save"]).click()
    archive = tmp_path / "model.zip"
    waiting.value.save_as(archive)
    page.locator(".lab-train-open input").set_input_files(archive)
    expect(page.locator(".lab-train-opened")).to_contain_text("-2", timeout=LONG)
    forged = tmp_path / "forged.zip"
    forged.write_bytes(b"PK\x03\x04 and no more")
    page.locator(".lab-train-open input").set_input_files(forged)
    expect(problem).to_have_text(EN["problem.model_format"], timeout=LONG)

    page.get_by_role("button", name=EN["train.try"], exact=True).click()
    message = page.get_by_role("textbox", name="Your message")
    expect(page.locator("#lab-header")).to_contain_text("<b>Mia</b>", timeout=LONG)
    message.fill("The red kite")
    page.keyboard.press("Enter")
    expect(page.locator(".lab-turn.lab-done .lab-token").first).to_be_visible(timeout=LONG)


def test_a_file_becomes_the_text(page: Page, tmp_path: Path) -> None:
    page.get_by_label(EN["train.own"]).check()
    table = tmp_path / "words.csv"
    table.write_text("word;meaning\nkite;a toy that flies\n", encoding="utf-8")
    page.locator(".lab-train-file input").set_input_files(table)
    expect(page.locator("#train-text")).to_have_value(re.compile("kite, a toy that flies"), timeout=LONG)
    expect(page.locator(".lab-train-read")).to_contain_text("words.csv")
    picture = tmp_path / "picture.png"
    picture.write_bytes(b"\x89PNG")
    page.locator(".lab-train-file input").set_input_files(picture)
    expect(page.locator("#lab-train").get_by_role("alert")).to_contain_text("cannot be read here", timeout=LONG)


def test_the_drawing_follows_the_slider(page: Page) -> None:
    counts = []
    for place in ("0", "3", "5"):
        page.locator(".lab-train-size input").fill(place)
        counts.append(page.locator(".lab-train-forward").count())
    assert counts == [3, 6, 11]
    expect(page.locator(".lab-train-size span")).to_contain_text("weights")
