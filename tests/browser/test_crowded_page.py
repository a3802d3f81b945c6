"""What a page says when a server has too much to do, and a browser too many pages."""

from __future__ import annotations

import httpx
import pytest
from playwright.sync_api import Browser, expect

from app.common.strings import all_words
from app.server.app import MOST_WAITING_REQUESTS
from tests.browser import app_server

pytestmark = pytest.mark.browser
EN = all_words()["en"]
LONG = "Tom hid a red ball under the bed. " * 15


def test_a_network_that_is_lost_is_said_at_once_and_loses_no_message(browser: Browser, address: str) -> None:
    page = browser.new_context(locale="en-GB").new_page()
    page.goto(address)
    page.locator("#knob-seed").wait_for(state="attached")
    page.context.set_offline(True)
    page.locator("#lab-chat textarea").fill("Where is the ball?")
    page.keyboard.press("Enter")
    expect(page.locator("#lab-chat .lab-problem:not(:empty)")).to_have_text(EN["problem.lost"])
    expect(page.locator("#lab-chat textarea")).to_have_value("Where is the ball?")
    with page.expect_navigation(timeout=30_000):  # Gradio loads the page again when the server answers again
        page.context.set_offline(False)
    page.locator("#knob-seed").wait_for(state="attached")
    expect(page.locator("#lab-chat textarea")).to_have_value("Where is the ball?")
    page.locator("#lab-chat textarea").press("Enter")
    expect(page.locator(".lab-turn.lab-done")).to_have_count(1, timeout=60_000)
    page.reload()
    page.locator("#knob-seed").wait_for(state="attached")
    expect(page.locator("#lab-chat textarea")).to_have_value("")
    page.context.close()


def test_a_message_after_the_loss_was_noticed_is_answered_as_well(browser: Browser, address: str) -> None:
    """Gradio's client drops every request from the moment in which another one was lost."""
    page = browser.new_context(locale="en-GB").new_page()
    page.goto(address)
    page.locator("#knob-seed").wait_for(state="attached")
    page.wait_for_function("!!lab.nudge")
    page.context.set_offline(True)
    page.evaluate("lab.nudge()")
    page.get_by_text("Connection to the server was lost").wait_for()
    page.locator("#lab-chat textarea").fill("Where is the ball?")
    page.keyboard.press("Enter")
    expect(page.locator("#lab-chat .lab-problem:not(:empty)")).to_have_text(EN["problem.lost"])
    expect(page.locator("#lab-chat textarea")).to_have_value("Where is the ball?")
    page.context.close()


def test_a_network_that_is_lost_loses_no_conversation(browser: Browser, address: str) -> None:
    context = browser.new_context(locale="en-GB")
    page = context.new_page()
    page.goto(address)
    page.locator("#knob-max_tokens").fill("40")
    for number, text in enumerate(("Where is the kite?", "<b>And</b> the ball?"), 1):
        page.locator("#lab-chat textarea").fill(text)
        page.keyboard.press("Enter")
        expect(page.locator(".lab-turn.lab-done")).to_have_count(number, timeout=60_000)
    parts = [page.locator(f".lab-turn {part}") for part in (".lab-user", ".lab-tokens", ".lab-stats")]
    shown = [part.all_inner_texts() for part in parts]
    context.set_offline(True)
    page.locator("#lab-chat textarea").fill("Tell me a long story.")
    page.keyboard.press("Enter")
    expect(page.locator("#lab-chat .lab-problem:not(:empty)")).to_have_text(EN["problem.lost"])
    with page.expect_navigation(timeout=30_000):
        context.set_offline(False)
    expect(page.locator(".lab-turn.lab-done").nth(1)).to_be_visible()
    assert [part.all_inner_texts() for part in parts] == shown
    expect(page.locator("#lab-chat textarea")).to_have_value("Tell me a long story.")
    expect(page.locator(".lab-total")).to_contain_text("Replies so far")
    page.locator(".lab-token").first.click()  # what it said can still be looked into
    expect(page.get_by_role("dialog").locator(".lab-row")).to_have_count(10)
    context.close()


def test_a_wish_to_go_on_that_is_lost_as_well_is_repeated(browser: Browser, address: str) -> None:
    """Where the network goes again, just after the page was loaded again."""
    page = browser.new_context(locale="en-GB").new_page()
    page.goto(address)
    page.locator("#knob-max_tokens").fill("10")
    page.locator("#lab-chat textarea").fill("Where is the kite?")
    page.keyboard.press("Enter")
    expect(page.locator(".lab-turn.lab-done")).to_have_count(1, timeout=60_000)
    page.route("**/queue/join*", lambda route: route.abort())
    with page.expect_event("requestfailed", lambda request: "queue/join" in request.url):
        page.reload()
    expect(page.locator(".lab-turn")).to_have_count(0)
    page.unroute("**/queue/join*")
    page.reload()
    expect(page.locator(".lab-turn.lab-done")).to_have_count(1)
    page.context.close()


@pytest.mark.fault(20)
def test_many_pages_of_one_browser_are_warned_of(browser: Browser, address: str) -> None:
    context = browser.new_context(locale="en-GB")
    pages = [context.new_page() for _ in range(5)]
    for page in pages:
        page.goto(address)
        page.locator("#knob-seed").wait_for(state="attached")
    said = EN["header.many_pages"].replace("{count}", "5")
    for page in pages:
        expect(page.locator(".lab-pages")).to_have_text(said)
    pages.pop().close()
    for page in pages:
        expect(page.locator(".lab-pages")).to_be_hidden()
    context.close()


def fill(address: str) -> None:
    """Leave no place in the server's line, for seconds: heavy work, which is done one after another."""
    with httpx.Client(base_url=address, timeout=60) as client:
        crowd = app_server.Page(client)
        start = crowd.call("read", {"request": "1", "text": LONG})["answer_start"]
        work = {"request": "1", "method": "shapley sampling", "unit": "token", "start": start, "end": start + 1}
        for _ in range(4 * MOST_WAITING_REQUESTS):
            if crowd.join("explain", work).status_code == 503:
                return
    pytest.fail("the line has no end")


@pytest.mark.fault(19)
def test_a_full_line_is_a_sentence_and_the_message_comes_back(browser: Browser, address: str) -> None:
    page = browser.new_context(locale="en-GB").new_page()
    page.goto(address)
    page.locator("#knob-seed").wait_for(state="attached")
    page.get_by_role("tab", name=EN["layers.title"]).click()
    expect(page.locator("#layers-text")).not_to_have_value("", timeout=20_000)
    page.get_by_role("tab", name=EN["chat.title"]).click()
    page.locator("#lab-chat textarea").fill("Where is the ball?")
    fill(address)
    page.keyboard.press("Enter")
    problem = page.locator("#lab-chat .lab-problem:not(:empty)")
    expect(problem).to_have_text(EN["problem.line_full"])
    expect(page.locator("#lab-chat textarea")).to_have_value("Where is the ball?")
    page.get_by_role("tab", name=EN["layers.title"]).click()
    page.locator("#lab-layers .lab-send").click()
    expect(page.locator("#lab-layers .lab-problem")).to_have_text(EN["problem.line_full"])
    expect(page.locator("#lab-layers .lab-send")).to_be_enabled()
    page.context.close()
