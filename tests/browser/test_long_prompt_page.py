"""A large model and a long message: the page says how far it is, whose turn it is, and hears Stop at any moment."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from dataclasses import replace

import pytest
from playwright.sync_api import Browser, Page, expect

from app.common.strings import all_words
from litellama.checkpoint import save_checkpoint
from litellama.tokenizer import Tokenizer
from tests.browser.app_server import running_app
from tests.conftest import TINY, random_model

pytestmark = [pytest.mark.browser, pytest.mark.slow]
EN = all_words()["en"]
LONG = " ".join(str(number * 7919) for number in range(700))[:3900]
READING = re.compile(r"^Reading: [\d,]+ of [\d,]+ tokens$")


@pytest.fixture(scope="module")
def address(tokenizer: Tokenizer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A model of 85 million parameters, which reads a long message for seconds."""
    folder = tmp_path_factory.mktemp("large")
    config = replace(
        TINY, vocab_size=tokenizer.vocab_size, hidden_size=768, intermediate_size=2048, num_hidden_layers=12,
        num_attention_heads=12, num_key_value_heads=12, head_dim=64, max_position_embeddings=8192,
    )  # fmt: skip
    save_checkpoint(folder / "large", random_model(config), tokenizer, card={"name": "Large"})
    with running_app(folder / "large", folder / "app.log", folder=folder) as address:
        yield address
    assert "Traceback" not in (folder / "app.log").read_text(), (folder / "app.log").read_text()


def ask(page: Page, text: str) -> None:
    page.get_by_role("textbox", name="Your message").fill(text)
    page.keyboard.press("Enter")


def stop_and_look(page: Page) -> None:
    """Stop is heard at once, long before the prompt would be read."""
    page.get_by_role("button", name="Stop").click()
    expect(page.locator(".lab-stats").last).to_contain_text(EN["chat.state_stopped"], timeout=5000)
    expect(page.locator(".lab-progress").last).to_be_hidden()
    expect(page.get_by_role("button", name="Send")).to_be_visible()


def test_a_long_message_shows_its_progress_and_can_be_stopped(page: Page) -> None:
    assert page.locator("#knob-max_tokens").get_attribute("max") == "2000"
    ask(page, LONG)
    line = page.locator(".lab-progress")
    expect(line.locator("span")).to_have_text(READING, timeout=30_000)
    bar = line.locator("progress")
    expect(bar).to_be_visible()
    page.wait_for_function("(bar) => bar.value > 0 && bar.value < bar.max", arg=bar.element_handle(), timeout=30_000)
    if picture := os.environ.get("LITELLAMA_PICTURE"):
        page.screenshot(path=picture)
    stop_and_look(page)
    page.get_by_role("button", name="Clear").click()
    page.locator("#knob-max_tokens").fill("5")
    ask(page, "Hello")
    expect(page.locator(".lab-turn.lab-done")).to_have_count(1, timeout=30_000)


def test_who_must_wait_is_told_and_can_stop(page: Page, browser: Browser, address: str) -> None:
    other = browser.new_context(locale="en-GB").new_page()
    other.goto(address)
    other.locator("#knob-seed").wait_for(state="attached")
    ask(page, LONG)
    expect(page.locator(".lab-progress span")).to_have_text(READING, timeout=30_000)
    ask(other, "Hello")
    expect(other.locator(".lab-progress span")).to_have_text(EN["chat.waiting_turn"], timeout=10_000)
    expect(other.locator(".lab-progress progress")).to_be_hidden()
    stop_and_look(other)
    stop_and_look(page)
    other.context.close()


def test_a_message_stopped_in_the_servers_line_comes_back(page: Page) -> None:
    """The server's answer to it never comes here, as if forty others were before it."""
    page.route("**/queue/data*", lambda route: None)
    ask(page, "Hello there")
    page.get_by_role("button", name="Stop").click()
    expect(page.get_by_role("textbox", name="Your message")).to_have_value("Hello there", timeout=5000)
    expect(page.locator(".lab-turn")).to_have_count(0)
    expect(page.get_by_role("button", name="Send")).to_be_visible()
    page.unroute_all(behavior="ignoreErrors")
