"""What the Chat tab says of a stranger's model before anyone has asked it anything."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from dataclasses import replace

import pytest
from playwright.sync_api import Page, expect

from app.chat.examples import BASE_EXAMPLES, CONVERSING_EXAMPLES
from app.common.strings import all_words
from litellama.checkpoint import save_checkpoint
from tests.browser.app_server import running_app
from tests.conftest import TINY, random_model
from tests.support.llama_tokenizer import llama_tokenizer
from tests.support.templates import LLAMA2

pytestmark = pytest.mark.browser
EN, DE = all_words()["en"], all_words()["de"]


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    models = tmp_path_factory.mktemp("models")
    tokenizer = llama_tokenizer("legacy")
    config = replace(TINY, vocab_size=tokenizer.vocab_size, bos_token_id=1, eos_token_ids=(2,))
    save_checkpoint(models / "base", random_model(config), tokenizer, card={})
    for name in ("card.json", "manifest.json"):
        (models / "base" / name).unlink()
    for name, template in (("chat", LLAMA2), ("odd", "{{ raise_exception('<b>no</b>') }}")):
        shutil.copytree(models / "base", models / name)
        (models / name / "tokenizer_config.json").write_text(json.dumps({"chat_template": template}), encoding="utf-8")
    log = tmp_path_factory.mktemp("app") / "app.log"
    with running_app(models / "base", log, "--models", str(models)) as address:
        yield address
    assert "Traceback" not in log.read_text(), log.read_text()


def test_each_kind_of_model_is_introduced_as_what_it_is(page: Page, address: str) -> None:
    why, examples = page.locator(".lab-welcome-why"), page.locator(".lab-examples .lab-example")
    expect(why).to_have_text(EN["chat.welcome_base"])
    expect(examples).to_have_count(len(BASE_EXAMPLES))
    expect(page.locator(".lab-welcome-known")).to_be_empty()
    page.goto(f"{address}?model=chat")
    expect(why).to_have_text(EN["chat.welcome_template"])
    expect(examples).to_have_count(len(CONVERSING_EXAMPLES))
    page.goto(f"{address}?model=odd")
    expect(why).to_have_text(EN["chat.template_unread"].format(trouble="it fails: <b>no</b>"))
    page.get_by_role("combobox", name="Language").select_option("de")
    expect(why).to_have_text(DE["chat.template_unread"].format(trouble="it fails: <b>no</b>"))


def test_what_is_known_of_litellama_stands_with_its_source(page: Page, address: str) -> None:
    """The page is told that its model has LiteLlama's shape, which no small model has."""

    def as_litellama(route):  # type: ignore[no-untyped-def]
        answer = route.fetch()
        route.fulfill(response=answer, json=answer.json() | {"litellama": True})

    page.route("**/model.json*", as_litellama)
    page.reload()
    known = page.locator(".lab-welcome-known")
    expect(known).to_contain_text("26.39\u00a0% right")
    expect(known).to_contain_text("shows the answer “The largest bird is a black-headed gull.” It is the ostrich.")
    links = known.get_by_role("link", name="ahxt/LiteLlama-460M-1T model card")
    expect(links).to_have_count(2)
    expect(links.first).to_have_attribute("href", "https://huggingface.co/ahxt/LiteLlama-460M-1T")
    page.get_by_role("combobox", name="Language").select_option("de")
    expect(known).to_contain_text("26,39\u00a0% der Fragen richtig")
    expect(known).to_contain_text("(veröffentlicht: ")


def test_a_llama_2_chat_folder_is_asked_and_answers(page: Page, address: str) -> None:
    page.goto(f"{address}?model=chat")
    page.locator("#knob-max_tokens").fill("8")
    page.get_by_role("textbox", name="Your message").fill("Where is the kite?")
    page.keyboard.press("Enter")
    expect(page.locator(".lab-turn.lab-done")).to_have_count(1, timeout=20_000)
    expect(page.locator(".lab-problem").first).to_be_empty()
