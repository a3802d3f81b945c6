"""The choice of the model as a person meets it."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from playwright.sync_api import Browser, Page, expect

from app.common.strings import all_words
from litellama.chat import stop_ids
from litellama.checkpoint import save_checkpoint
from litellama.config import ModelConfig, preset
from litellama.tokenizer import Tokenizer
from tests.browser.app_server import running_app
from tests.conftest import TINY, random_model

pytestmark = pytest.mark.browser
EN, DE = all_words()["en"], all_words()["de"]
LONG = "A name that says at great length what was read, how often, and how it all ended"


def save(folder: Path, tokenizer: Tokenizer, config: ModelConfig, **card: object) -> None:
    """A checkpoint whose model always has something to say."""
    model = random_model(replace(config, vocab_size=max(config.vocab_size, tokenizer.vocab_size)))
    with torch.no_grad():
        model.lm_head.weight[list(stop_ids(model, tokenizer))] = 0
    save_checkpoint(folder, model, tokenizer, card=card)


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory, tokenizer: Tokenizer) -> Path:
    folder = tmp_path_factory.mktemp("models")
    save(folder / "first", tokenizer, TINY, name="First")
    save(folder / "second", tokenizer, replace(TINY, num_hidden_layers=3), name="Second", corpus="tinytown-3")
    save(folder / "third", tokenizer, replace(TINY, num_hidden_layers=1), name=LONG)
    (folder / "third" / "manifest.json").unlink()
    return folder


@pytest.fixture(scope="module")
def address(models: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    log = tmp_path_factory.mktemp("app") / "app.log"
    with running_app(models / "first", log, "--models", str(models)) as address:
        yield address
    assert "Traceback" not in log.read_text(), log.read_text()


def parameters(layers: int, tokenizer: Tokenizer) -> str:
    config = replace(TINY, vocab_size=tokenizer.vocab_size, num_hidden_layers=layers)
    return f"{config.num_parameters:,} parameters"


def ask(page: Page, text: str) -> None:
    page.locator("#knob-temperature").fill("0")
    page.locator("#knob-max_tokens").fill("12")
    page.get_by_role("textbox", name="Your message").fill(text)
    page.keyboard.press("Enter")
    expect(page.locator(".lab-turn.lab-done")).to_have_count(1, timeout=20_000)


def layers_looked_at(page: Page) -> int:
    page.get_by_role("tab", name=EN["attention.title"]).click()
    expect(page.locator("#lab-attention textarea")).to_have_value(re.compile("ball"), timeout=20_000)
    page.locator("#lab-attention .lab-send").click()
    page.locator(".lab-look-cell").first.wait_for(timeout=30_000)
    return page.locator('.lab-look-cell[data-head="0"]').count()


def open_layers(page: Page) -> None:
    page.get_by_role("tab", name=EN["layers.title"]).click()
    expect(page.locator("#lab-layers textarea")).to_have_value(re.compile("ball"), timeout=20_000)
    page.locator("#lab-layers .lab-send").click()
    expect(page.locator("#lab-layers [data-row]").last).to_be_visible(timeout=20_000)


def test_the_page_speaks_of_the_model_that_was_chosen(page: Page, tokenizer: Tokenizer) -> None:
    header, choice = page.locator(".lab-header"), page.get_by_label(EN["header.model"], exact=True)
    expect(choice).to_have_value("first")
    expect(choice.locator("option")).to_have_text(["First", "Second", f"{LONG[:60]}, not verified"])
    expect(header).to_contain_text(parameters(2, tokenizer))
    expect(page.locator(".lab-welcome-why")).to_have_text(EN["chat.welcome_other"])
    ask(page, "Where is the kite?")
    first = page.locator(".lab-turn .lab-tokens").inner_text()
    assert layers_looked_at(page) == 2

    choice.select_option("second")
    expect(choice).to_have_value("second")
    expect(header).to_contain_text(parameters(3, tokenizer))
    expect(header).to_contain_text(EN["header.verified"])
    expect(page.locator(".lab-turn")).to_have_count(0)  # what the other one said is gone
    expect(page.locator(".lab-welcome-why")).to_have_text(EN["chat.welcome_tinytown"])
    ask(page, "Where is the kite?")
    assert page.locator(".lab-turn .lab-tokens").inner_text() != first
    assert layers_looked_at(page) == 3
    open_layers(page)
    assert {row.get_attribute("data-row") for row in page.locator("#lab-layers [data-row]").all()} >= set("0123")

    page.reload()
    expect(choice).to_have_value("second")
    expect(header).to_contain_text(parameters(3, tokenizer))
    page.go_back()
    expect(choice).to_have_value("first")
    expect(header).to_contain_text(parameters(2, tokenizer))
    page.go_forward()
    expect(choice).to_have_value("second")
    choice.select_option("first")
    expect(header).to_contain_text(parameters(2, tokenizer))
    ask(page, "Where is the kite?")
    assert page.locator(".lab-turn .lab-tokens").inner_text() == first


def test_two_pages_have_two_models(page: Page, address: str) -> None:
    other = page.context.new_page()
    other.goto(f"{address}?model=third")
    expect(other.get_by_label(EN["header.model"], exact=True)).to_have_value("third")
    expect(other.locator(".lab-badge")).to_have_text(EN["header.unverified"])
    for one in (page, other):
        ask(one, "Where is the kite?")
    assert layers_looked_at(other) == 1
    assert layers_looked_at(page) == 2
    open_layers(other)
    with other.expect_download() as download:
        other.locator("#lab-layers").get_by_role("button", name="SVG", exact=True).first.click()
    assert LONG[:20] in download.value.path().read_text(encoding="utf-8"), "what is saved says whose it is"
    other.close()


@pytest.mark.parametrize("name", ["nobody", "../second", "<img src=x onerror='window.pwned=1'>", ""])
def test_an_unknown_model_is_a_sentence(page: Page, address: str, name: str) -> None:
    page.goto(f"{address}?model={name}")
    choice = page.get_by_label(EN["header.model"], exact=True)
    expect(choice).to_have_value("first")
    expect(choice.locator("option")).to_have_count(3)
    alert = page.locator(".lab-other-model")
    instead = EN["header.instead"].format(name="First")
    expect(alert).to_have_text(f"{EN['problem.no_model'].format(name=name)} {instead}")
    ask(page, "Where is the kite?")
    page.get_by_label(EN["header.language"]).select_option("de")
    expect(alert).to_have_text(
        f"{DE['problem.no_model'].format(name=name)} {DE['header.instead'].format(name='First')}"
    )
    assert page.evaluate("window.pwned") is None


def test_a_model_that_was_kept_meanwhile(page: Page, models: Path, tokenizer: Tokenizer) -> None:
    """What the page that trains one does: list again, then choose it. What its training took is the new one's."""
    options = page.get_by_label(EN["header.model"], exact=True).locator("option")
    expect(options).to_have_count(3)
    trust = {"questions": 7, "chance": 0.1, "machine": "2 cores of X", "methods": {}}
    card = {"name": "Second", "hours": 1.5, "machine": "2 cores of AMD EPYC", "trust": trust}
    save(models / "trained here & now", tokenizer, preset("tinytown"), **card)
    page.evaluate("lab.refreshModels()")
    expect(options).to_have_text([
        "First", "Second (second)", f"{LONG[:60]}, not verified", "Second (trained here & now)",
    ])  # fmt: skip
    page.evaluate("lab.chooseModel('trained here & now')")
    expect(page.locator(".lab-header")).to_contain_text(f"{preset('tinytown').num_parameters:,} parameters")
    assert layers_looked_at(page) == preset("tinytown").num_hidden_layers
    page.get_by_role("tab", name=EN["compare.title"]).click()
    year = page.locator(".lab-compare-part-year")
    expect(year.locator("tbody tr").first.locator("td").nth(2)).to_contain_text("Wh", timeout=20_000)
    page.get_by_role("tab", name=EN["attribution.title"]).click()
    expect(page.locator("#lab-attribution textarea")).to_have_value(re.compile("ball"), timeout=20_000)
    page.locator("#lab-attribution .lab-send").click()
    expect(page.locator(".lab-why-trust-why")).to_contain_text("7", timeout=60_000)
    shutil.rmtree(models / "trained here & now")
    page.evaluate("lab.refreshModels()")
    expect(page.get_by_label(EN["header.model"], exact=True)).to_have_value("trained here & now")


def test_one_model_is_a_plain_name(browser: Browser, models: Path, tmp_path: Path) -> None:
    (tmp_path / "models").mkdir()
    with running_app(models / "first", tmp_path / "app.log", "--models", str(tmp_path / "models")) as address:
        page = browser.new_context(locale="en-GB").new_page()
        page.goto(address)
        expect(page.locator(".lab-name")).to_have_text("First")
        expect(page.locator(".lab-badge")).to_have_text(EN["header.verified"])
        expect(page.locator(".lab-models")).to_be_hidden()
        page.context.close()


def test_a_long_name_keeps_to_a_phones_width(browser: Browser, address: str) -> None:
    context = browser.new_context(viewport={"width": 390, "height": 844}, has_touch=True, locale="de-DE")
    page = context.new_page()
    page.goto(f"{address}?model=third")
    expect(page.locator(".lab-badge")).to_have_text(DE["header.unverified"])
    expect(page.get_by_label(DE["header.model"], exact=True)).to_have_value("third")
    outside = """() => [...document.querySelectorAll('.lab-header *')].filter(
        (node) => node.getClientRects().length && node.getBoundingClientRect().right > innerWidth + 1)
        .map((node) => node.className)"""
    assert page.evaluate(outside) == []
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    context.close()


def test_a_server_that_is_gone_is_said(browser: Browser, address: str) -> None:
    context = browser.new_context(locale="en-GB")
    page = context.new_page()
    page.route("**/model.json*", lambda route: route.abort())
    page.goto(address)
    expect(page.locator(".lab-other-model")).to_contain_text(EN["problem.lost"])
    expect(page.locator(".lab-badge")).to_have_text("")
    context.close()


def test_a_foreign_models_mistake_is_told_in_both_languages(
    browser: Browser, tokenizer: Tokenizer, tmp_path: Path
) -> None:
    save(tmp_path / "foreign", tokenizer, replace(TINY, bos_token_id=300, eos_token_ids=(301,)))
    (tmp_path / "foreign" / "manifest.json").unlink()
    with running_app(tmp_path / "foreign", tmp_path / "app.log") as address:
        for locale, words in (("en-GB", EN), ("de-DE", DE)):
            page = browser.new_context(locale=locale).new_page()
            page.goto(address)
            line = page.locator(".lab-corrected")
            expect(line).to_contain_text(words["header.corrected"].split("{")[0], timeout=20_000)
            expect(line).to_contain_text("(301)")
            expect(line).to_contain_text("<|end|> (2)")
            page.context.close()
