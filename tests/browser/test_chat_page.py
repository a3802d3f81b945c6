"""The Chat tab as a person meets it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Browser, Page, Route, expect

from app.common.strings import all_words
from litellama.footprint.measurements import OWN, save_record
from tests.browser.app_server import running_app
from tests.conftest import RECORD

pytestmark = pytest.mark.browser
EN, DE = all_words()["en"], all_words()["de"]

HOSTILE = (
    "<img src=x onerror='window.pwned=1'>",
    "<script>window.pwned=1</script>",
    '"><svg onload=window.pwned=1><form action=https://evil.example>',
    "${window.pwned=1} {{window.pwned=1}} `${window.pwned=1}`",
    "</textarea><iframe src='javascript:parent.pwned=1'>",
    "[x](javascript:window.pwned=1) ![y](https://evil.example/y.png)",
)


@pytest.fixture(scope="module")
def address(talkative_checkpoint: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The app on a machine where LLaMA 2 7B was measured."""
    folder = tmp_path_factory.mktemp("app")
    save_record(RECORD, folder / OWN)
    with running_app(talkative_checkpoint, folder / "app.log", folder=folder) as address:
        yield address
    assert "Traceback" not in (folder / "app.log").read_text(), (folder / "app.log").read_text()


def ask(page: Page, text: str) -> None:
    page.get_by_role("textbox").fill(text)
    page.keyboard.press("Enter")


def ask_and_wait(page: Page, text: str) -> None:
    turns = page.locator(".lab-turn").count()
    ask(page, text)
    expect(page.locator(".lab-turn.lab-done")).to_have_count(turns + 1, timeout=20_000)


def set_knob(page: Page, name: str, value: float) -> None:
    page.locator(f"#knob-{name}").fill(str(value))


def short_replies(page: Page, tokens: int = 30, seed: int = 5) -> None:
    set_knob(page, "max_tokens", tokens)
    set_knob(page, "temperature", 0)
    set_knob(page, "seed", seed)


def reply(page: Page) -> str:
    return page.locator(".lab-turn .lab-tokens").last.inner_text()


def test_only_our_own_server_is_asked(browser: Browser, address: str) -> None:
    context = browser.new_context(locale="en-GB")
    page = context.new_page()
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.goto(address)
    page.get_by_role("button", name=re.compile("llama")).click()
    page.locator(".lab-turn.lab-done").wait_for(timeout=20_000)
    page.locator(".lab-token").first.click()
    page.get_by_role("dialog").wait_for()
    context.close()
    hosts = {urlsplit(url).netloc for url in asked if not url.startswith(("data:", "blob:"))}
    assert hosts == {urlsplit(address).netloc}


def test_header_names_the_model(page: Page) -> None:
    header = page.locator(".lab-header")
    expect(header).to_contain_text("Talkative")
    expect(header).to_contain_text("parameters")
    expect(header).to_contain_text("files verified")


def test_reply_streams_and_is_measured(page: Page) -> None:
    set_knob(page, "max_tokens", 200)
    set_knob(page, "temperature", 0)
    page.evaluate("""() => {
        window.lengths = new Set();
        new MutationObserver(() => window.lengths.add(document.querySelectorAll('.lab-token').length))
            .observe(document.querySelector('.lab-turns'), {childList: true, subtree: true});
    }""")
    ask_and_wait(page, "Tell me a story.")
    assert len(page.evaluate("[...window.lengths]")) > 2, "the reply came in one piece"
    stats = page.locator(".lab-stats")
    expect(stats).to_contain_text("200 tokens")
    expect(stats).to_contain_text(re.compile(r"[\d.]+ tokens/s \(measured on this machine\)"))
    expect(stats).to_contain_text(EN["chat.state_length"])
    assert page.locator(".lab-spoken").inner_text(), "nothing was told to screen readers"


def test_an_answer_that_lost_its_way_still_comes(browser: Browser, address: str) -> None:
    """The stream of answers closes just when a message is sent, as it can by chance: the answer comes all the same."""
    context = browser.new_context(locale="en-GB")
    page = context.new_page()
    page.goto(address)
    page.get_by_role("textbox", name="Your message").wait_for()
    page.wait_for_timeout(1000)  # until what every page asks at its start is answered
    lost = []

    def lose(route: Route) -> None:
        if lost:
            return route.continue_()
        lost.append(route.request.url)
        return route.fulfill(content_type="text/event-stream", body='data: {"msg": "close_stream"}\n\n')

    page.route("**/queue/data?*", lose)
    short_replies(page)
    ask(page, "Who are you?")
    expect(page.locator(".lab-turn.lab-done")).to_have_count(1, timeout=10_000)
    assert lost
    context.close()


def test_energy_of_a_reply_and_of_all_so_far(page: Page) -> None:
    amount = r"[\d.,]+ (µWh|mWh|Wh) \([\d.,]+–[\d.,]+, (measured|estimated)\)"
    total = page.locator(".lab-total")
    expect(total).to_be_hidden()
    short_replies(page, tokens=20)
    ask_and_wait(page, "Where is the kite?")
    figures = page.locator(".lab-figure")
    expect(figures.first).to_have_text(re.compile(f"^{amount}$"))
    expect(figures.nth(1)).to_have_text(re.compile(f"^LLaMA 2 7B: about {amount}, [\\d.,]+ times as much$"))
    expect(total).to_have_text(re.compile(f"^Replies so far: 1 \\(20 tokens\\) {amount} LLaMA 2 7B: about {amount}"))

    how = page.locator(".lab-how")
    for number, said in enumerate((EN["chat.energy_how"], "that were run on a machine, 2026-11-23, in bfloat16")):
        expect(how.nth(number)).to_be_hidden()
        figures.nth(number).click()
        expect(how.nth(number)).to_contain_text(said)
        expect(figures.nth(number)).to_have_attribute("aria-expanded", "true")
    expect(how.nth(1)).to_contain_text("20 written")
    expect(how.nth(1)).to_contain_text(EN["chat.method_cpu_time"])
    figures.first.click()
    expect(how.first).to_be_hidden()

    ask_and_wait(page, "Who has it?")
    expect(total).to_contain_text("Replies so far: 2 (40 tokens)")
    page.get_by_role("button", name="Try again").click()  # the energy of the reply before it is not undone
    expect(total).to_contain_text("Replies so far: 3 (60 tokens)")
    page.get_by_role("button", name="Clear").click()
    expect(total).to_be_hidden()
    ask_and_wait(page, "Hello again")
    expect(total).to_contain_text("Replies so far: 1 (20 tokens)")


def test_token_shows_ten_alternatives(page: Page) -> None:
    short_replies(page)
    ask_and_wait(page, "Where is the kite?")
    for token in (0, 7):
        page.locator(".lab-token").nth(token).click()
        expect(page.locator(".lab-picked")).to_have_attribute("data-token", str(token))
        card = page.get_by_role("dialog", name=EN["alternatives.title"])
        rows = card.locator(".lab-row")
        expect(rows).to_have_count(10)
        shares = [float(rows.nth(i).get_attribute("data-probability") or "nan") for i in range(10)]
        assert shares == sorted(shares, reverse=True)
        assert all(0 < share <= 1 for share in shares)
        assert sum(shares) <= 1 + 1e-4
        assert "lab-row-chosen" in (rows.first.get_attribute("class") or ""), "temperature 0 takes the likeliest"
    page.keyboard.press("Escape")
    expect(card).to_be_hidden()


def test_stop(page: Page) -> None:
    set_knob(page, "max_tokens", 400)
    set_knob(page, "temperature", 0)
    ask(page, "Tell me a very long story.")
    page.locator(".lab-token").first.wait_for()
    page.get_by_role("button", name="Stop").click()
    expect(page.locator(".lab-stats")).to_contain_text(EN["chat.state_stopped"])
    assert 0 < page.locator(".lab-token").count() < 400
    expect(page.get_by_role("button", name="Send")).to_be_visible()


def test_retry_edit_and_clear(page: Page) -> None:
    short_replies(page)
    ask_and_wait(page, "Who are you?")
    first = reply(page)
    page.get_by_role("button", name="Try again").click()
    expect(page.locator(".lab-turn.lab-last.lab-done")).to_have_count(1)
    assert reply(page) == first, "the same seed gives the same reply"

    set_knob(page, "temperature", 1.5)
    set_knob(page, "seed", 6)
    page.get_by_role("button", name="Try again").click()
    expect(page.locator(".lab-tokens")).not_to_have_text(first)
    expect(page.locator(".lab-turn.lab-last.lab-done")).to_have_count(1)

    page.get_by_role("button", name="Edit").click()
    box = page.get_by_role("textbox", name="Your message")
    expect(box).to_have_value("Who are you?")
    box.fill("What are you?")
    page.keyboard.press("Enter")
    expect(page.locator(".lab-turn.lab-last.lab-done .lab-user p")).to_have_text("What are you?")
    expect(page.locator(".lab-turn")).to_have_count(1)

    page.get_by_role("button", name="Clear").click()
    expect(page.locator(".lab-turn")).to_have_count(0)
    expect(page.get_by_role("heading", name=EN["chat.welcome"])).to_be_visible()
    expect(page.locator(".lab-welcome-why")).to_have_text(EN["chat.welcome_other"])  # its card names no TinyTown
    ask_and_wait(page, "Hello again")


def test_a_message_that_cannot_be_used_comes_back(page: Page) -> None:
    ask(page, "a" * 4001)
    expect(page.get_by_role("alert")).to_have_text("This message has 4,001 characters; at most 4,000 are accepted.")
    expect(page.get_by_role("textbox", name="Your message")).to_have_value("a" * 4001)
    expect(page.locator(".lab-turn")).to_have_count(0)


def test_an_edit_that_cannot_be_used_comes_back(page: Page) -> None:
    short_replies(page)
    ask_and_wait(page, "Who are you?")
    page.get_by_role("button", name="Edit").click()
    ask(page, "b" * 4001)
    expect(page.get_by_role("alert")).to_contain_text("4,001 characters")
    expect(page.get_by_role("textbox", name="Your message")).to_have_value("b" * 4001)
    expect(page.locator(".lab-user p")).to_have_text("Who are you?")
    page.get_by_role("button", name="Cancel").click()
    ask_and_wait(page, "What is a llama?")


def test_language_changes_every_label(page: Page) -> None:
    short_replies(page)
    ask_and_wait(page, "What is a llama?")
    page.locator(".lab-token").first.click()
    page.get_by_role("dialog").wait_for()
    page.get_by_label("Language").select_option("de")
    expect(page.get_by_role("tab", name=DE["chat.title"])).to_be_visible()
    labelled = "[data-word], [data-label], [data-placeholder], [data-title]"
    for node in page.locator(labelled).all():
        for source, target in (
            ("word", None),
            ("label", "aria-label"),
            ("placeholder", "placeholder"),
            ("title", "title"),
        ):
            key = node.get_attribute(f"data-{source}")
            if key is None:
                continue
            shown = (node.text_content() if target is None else node.get_attribute(target)) or ""
            pattern = re.sub(r"\\{\w+\\}", ".+", re.escape(DE[key]))
            assert re.fullmatch(pattern, shown), (key, shown)
    everything = page.locator("body").inner_text()
    left = [text for key, text in EN.items() if DE[key] != text and len(text) > 5 and text in everything]
    assert left == ["English"], "only the language's own name may stay"
    assert page.evaluate("document.documentElement.lang") == "de"
    page.reload()
    expect(page.get_by_role("button", name=DE["chat.send"])).to_be_visible()


def test_phone_width(browser: Browser, address: str) -> None:
    context = browser.new_context(
        viewport={"width": 390, "height": 844}, has_touch=True, is_mobile=True, locale="de-DE"
    )
    page = context.new_page()
    page.goto(address)
    page.locator("#knob-seed").wait_for(state="attached")  # the chat's script has run
    expect(page.locator("#knob-temperature")).to_be_hidden()
    page.locator(".lab-settings summary").tap()
    expect(page.locator("#knob-temperature")).to_be_visible()
    short_replies(page, tokens=60)
    page.locator(".lab-settings summary").tap()
    ask_and_wait(page, "W" * 300)
    page.locator(".lab-token").nth(3).tap()
    page.get_by_role("dialog").wait_for()
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    outside = """() => [...document.querySelectorAll('.lab-header *, .lab-chat *')]
        .filter((node) => node.getClientRects().length && node.getBoundingClientRect().right > innerWidth + 1)
        .map((node) => node.className)"""
    assert page.evaluate(outside) == []
    card = page.get_by_role("dialog").bounding_box()
    assert card is not None
    assert card["x"] >= 0
    assert card["x"] + card["width"] <= 390
    assert card["y"] + card["height"] <= 844
    context.close()


def test_dark_follows_the_system_and_the_switch(browser: Browser, address: str) -> None:
    context = browser.new_context(color_scheme="dark", locale="en-GB")
    page = context.new_page()
    page.goto(address)
    brightness = (
        "() => getComputedStyle(document.querySelector('.lab-talk')).backgroundColor.match(/\\d+/g).map(Number)[0]"
    )
    page.get_by_role("button", name=EN["header.light"]).wait_for()
    assert page.evaluate(brightness) < 80
    page.get_by_role("button", name=EN["header.light"]).click()
    assert page.evaluate(brightness) > 200
    page.reload()
    page.get_by_role("button", name=EN["header.dark"]).wait_for()
    assert page.evaluate(brightness) > 200
    context.close()


@pytest.mark.fault(16)
def test_hostile_text_stays_text(page: Page) -> None:
    short_replies(page, tokens=3)
    for text in HOSTILE:
        ask_and_wait(page, text)
        assert page.locator(".lab-user p").last.inner_text() == text
        page.locator(".lab-turn").last.locator(".lab-token").first.click()
        page.get_by_role("dialog").wait_for()
    page.get_by_role("button", name="Edit").click()
    expect(page.get_by_role("textbox", name="Your message")).to_have_value(HOSTILE[-1])
    assert page.evaluate("window.pwned") is None
    assert page.locator(".lab-talk :is(img, script, svg, iframe, a)").count() == 0


def test_keyboard_alone(page: Page) -> None:
    short_replies(page)
    page.evaluate("document.activeElement.blur()")
    for _ in range(40):
        page.keyboard.press("Tab")
        if page.evaluate("document.activeElement.tagName") == "TEXTAREA":
            break
    page.keyboard.type("One")
    page.keyboard.press("Shift+Enter")
    page.keyboard.type("Two")
    page.keyboard.press("Enter")
    page.locator(".lab-turn.lab-done").wait_for()
    assert page.locator(".lab-user p").inner_text() == "One\nTwo"

    for _ in range(10):  # back over the reply's buttons to its tokens, which are one stop
        page.keyboard.press("Shift+Tab")
        if page.evaluate("document.activeElement.dataset.token"):
            break
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowRight")
    assert page.evaluate("document.activeElement.dataset.token") == "2"
    page.keyboard.press("Enter")
    page.get_by_role("dialog").wait_for()
    page.keyboard.press("ArrowRight")
    expect(page.locator(".lab-picked")).to_have_attribute("data-token", "3")
    page.keyboard.press("Escape")
    assert page.evaluate("document.activeElement.dataset.token") == "3"

    page.locator("#knob-max_tokens").fill("400")
    page.get_by_role("textbox", name="Your message").focus()
    page.keyboard.type("A long one")
    page.keyboard.press("Enter")
    page.locator(".lab-turn").nth(1).locator(".lab-token").first.wait_for()
    page.keyboard.press("Escape")
    expect(page.locator(".lab-stats").last).to_contain_text(EN["chat.state_stopped"])
