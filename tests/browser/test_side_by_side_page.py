"""Two models side by side, as a person meets them."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Locator, Page, expect

from app.common.strings import all_words
from tests.browser.app_server import ROOT, running_app

pytestmark = pytest.mark.browser
EN, DE = all_words()["en"], all_words()["de"]
QUESTION = "Tom hid a red ball under the bed. Where is the ball?"
LONG = 30_000  # ms


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    log = tmp_path_factory.mktemp("app") / "app.log"
    with running_app(ROOT / "checkpoints" / "tinytown", log) as address:
        yield address
    assert "Traceback" not in log.read_text(), log.read_text()


def compare(page: Page, second: str = "storybooks", **knobs: float) -> None:
    page.get_by_role("switch", name=EN["side_by_side.switch"]).check()
    page.get_by_label(EN["side_by_side.model"]).select_option(second)
    for name, value in ({"max_tokens": 20, "temperature": 0, "seed": 5} | knobs).items():
        page.locator(f"#knob-{name}").fill(str(value))
    page.get_by_label(EN["side_by_side.temperature"]).fill("0")


def ask(page: Page, text: str = QUESTION) -> None:
    turns = page.locator(".lab-turns-both .lab-turn.lab-done").count()
    page.get_by_role("textbox").fill(text)
    page.keyboard.press("Enter")
    expect(page.locator(".lab-turns-both .lab-turn.lab-done")).to_have_count(turns + 1, timeout=LONG)


def side(page: Page, number: int) -> Locator:
    return page.locator(f'.lab-turns-both .lab-turn:last-child [data-side="{number}"]')


def answers(page: Page) -> list[str]:
    return [side(page, number).locator(".lab-tokens").inner_text() for number in (0, 1)]


def names(page: Page) -> list[str]:
    return [side(page, number).get_by_role("heading").inner_text() for number in (0, 1)]


def reset(page: Page) -> None:
    page.get_by_role("button", name="Clear").click()
    expect(page.locator(".lab-turns-both .lab-turn")).to_have_count(0)


def test_two_answers_with_their_figures(page: Page) -> None:
    compare(page)
    page.evaluate("""() => {
        window.lengths = [new Set(), new Set()];
        new MutationObserver(() => window.lengths.forEach((seen, side) =>
            seen.add(document.querySelectorAll(`[data-side="${side}"] .lab-token`).length)))
            .observe(document.querySelector('.lab-turns-both'), {childList: true, subtree: true});
    }""")
    page.locator("#knob-max_tokens").fill("120")
    ask(page)
    assert names(page) == ["tinytown", "storybooks"]
    assert len(page.evaluate("[...window.lengths[1]]")) > 2, "the answer came in one piece"
    assert answers(page)[0].startswith("The ball is under the bed.")
    assert len(answers(page)[1]) > 100
    for number in (0, 1):
        stats = side(page, number).locator(".lab-stats")
        expect(stats).to_contain_text(re.compile(r"\d+ tokens, [\d.,]+ tokens/s \(measured on this machine\), seed 5"))
        expect(stats).to_contain_text(re.compile(r"[\d.]+ s \(measured\)"))
        expect(stats.locator(".lab-figure")).to_have_text(re.compile(r"[\d.]+ (µ|m)?Wh \([\d.,]+–[\d.,]+, \w+\)"))
    # Both at one moment: the page may still be scrolling.
    corners = page.evaluate("""() => [0, 1].map((number) => {
        const answer = document.querySelector(`.lab-turns-both .lab-turn:last-child [data-side="${number}"]`);
        const {left, right, top} = answer.getBoundingClientRect();
        return {left, right, top};
    })""")
    assert corners[0]["top"] == corners[1]["top"]
    assert corners[0]["right"] < corners[1]["left"]
    expect(page.locator(".lab-side-by-side-note")).to_have_text(EN["side_by_side.at_once_note"])
    spoken = page.locator(".lab-spoken").inner_text()
    assert spoken.startswith(("tinytown: ", "storybooks: "))

    page.get_by_label(EN["side_by_side.in_turn"]).check()
    ask(page, "What is a llama?")
    expect(page.locator(".lab-side-by-side-note").last).to_have_text(EN["side_by_side.in_turn_note"])
    expect(page.locator(".lab-side-by-side-note").first).to_have_text(EN["side_by_side.at_once_note"])


def test_tokens_of_either_side(page: Page) -> None:
    compare(page)
    ask(page)
    ask(page, "What is a llama?")
    card = page.get_by_role("dialog", name=EN["alternatives.title"])
    for number in (1, 0):
        for turn in (0, 1):
            column = page.locator(f'.lab-turns-both .lab-turn [data-side="{number}"]').nth(turn)
            token = column.locator(".lab-token").nth(2)
            token.click()
            expect(token).to_have_class(re.compile("lab-picked"))
            expect(card.locator(".lab-row")).to_have_count(10)
            shown = card.locator(".lab-row-chosen .lab-row-name").inner_text().split("\n")[0]
            assert shown.replace("␣", " ").strip() == (token.text_content() or "").strip()
            page.keyboard.press("ArrowRight")
            expect(column.locator(".lab-token").nth(3)).to_have_class(re.compile("lab-picked"))
            page.keyboard.press("Escape")
            expect(card).to_be_hidden()


def test_redo_edit_and_clear_are_for_both(page: Page) -> None:
    compare(page)
    ask(page)
    first = answers(page)
    page.get_by_role("button", name="Try again").click()
    expect(page.locator(".lab-turns-both .lab-turn.lab-last.lab-done")).to_have_count(1, timeout=LONG)
    assert answers(page) == first
    page.get_by_role("button", name="Edit").click()
    box = page.get_by_role("textbox", name="Your message")
    expect(box).to_have_value(QUESTION)
    box.fill("What is a llama?")
    page.keyboard.press("Enter")
    expect(page.locator(".lab-turns-both .lab-turn.lab-last.lab-done .lab-user p")).to_have_text("What is a llama?")
    expect(page.locator(".lab-turns-both .lab-turn")).to_have_count(1)
    assert all(one != other for one, other in zip(answers(page), first, strict=True))
    reset(page)
    expect(page.get_by_role("heading", name=EN["chat.welcome"])).to_be_visible()
    ask(page)
    assert answers(page) == first
    page.get_by_label(EN["side_by_side.model"]).select_option("coffee")
    expect(page.locator(".lab-turns-both .lab-turn")).to_have_count(0)
    ask(page)
    assert names(page) == ["tinytown", "coffee"]
    assert answers(page)[0] == first[0]


def test_a_message_that_cannot_be_used_comes_back(page: Page) -> None:
    compare(page)
    page.get_by_label(EN["side_by_side.blind"]).check()
    box = page.get_by_role("textbox")
    box.fill("a" * 4001)
    page.keyboard.press("Enter")
    expect(page.get_by_role("alert")).to_have_text("This message has 4,001 characters; at most 4,000 are accepted.")
    expect(box).to_have_value("a" * 4001)
    expect(page.locator(".lab-turns-both .lab-turn")).to_have_count(0)
    expect(page.locator("#knob-temperature")).to_be_enabled()
    ask(page)
    expect(page.locator("#knob-temperature")).to_be_disabled()
    box.fill("a" * 4001)
    page.keyboard.press("Enter")
    expect(page.get_by_role("alert")).to_contain_text("4,001")
    page.get_by_role("button", name=EN["side_by_side.vote_tie"]).click()
    expect(page.locator(".lab-verdict")).to_contain_text(EN["side_by_side.voted_tie"])


def test_one_side_that_fails(page: Page) -> None:
    compare(page)
    page.evaluate("""() => {
        const choice = document.querySelector('#side-by-side-model');
        choice.add(new Option('gone', '<img src=x onerror="window.pwned=1">'));
        choice.value = choice.lastElementChild.value;
    }""")
    ask(page)
    assert answers(page)[0].startswith("The ball is under the bed.")
    expect(side(page, 0).locator(".lab-figure").first).to_be_visible()
    expect(side(page, 1).locator(".lab-failed")).to_contain_text("There is no model called “<img")
    expect(side(page, 1).locator(".lab-waiting")).to_be_hidden()
    assert page.evaluate("window.pwned") is None
    page.get_by_label(EN["side_by_side.blind"]).check()
    ask(page)
    expect(page.locator(".lab-verdict")).to_have_text(EN["side_by_side.no_vote"])
    page.get_by_role("button", name=EN["side_by_side.new_round"]).click()
    expect(page.locator(".lab-turns-both .lab-turn")).to_have_count(0)


def test_the_same_model_at_two_temperatures(page: Page) -> None:
    compare(page, second="tinytown")
    page.get_by_label(EN["side_by_side.temperature"]).fill("1.5")
    ask(page, "Tell me a story about a lost kite.")
    assert names(page) == ["tinytown, temperature 0", "tinytown, temperature 1.5"]
    assert len(set(answers(page))) == 2
    page.get_by_role("button", name=EN["chat.defaults"]).click()
    assert page.get_by_label(EN["side_by_side.temperature"]).input_value() == "0.7"


def test_blind_until_the_vote(page: Page) -> None:
    compare(page)
    page.get_by_label(EN["side_by_side.blind"]).check()
    shown = set()
    for number in range(12):
        ask(page)
        assert names(page) == [EN["side_by_side.side_a"], EN["side_by_side.side_b"]]
        columns = page.locator(".lab-pair").inner_html()
        assert not re.search("tinytown|storybooks|data-token|seed|Wh|tokens/s", columns), columns
        before = answers(page)
        page.get_by_role("group", name=EN["side_by_side.vote"]).get_by_role(
            "button", name=EN["side_by_side.vote_b"]
        ).click()
        expect(page.locator(".lab-verdict")).to_contain_text("A was ")
        expect(page.get_by_role("button", name=EN["side_by_side.new_round"])).to_be_focused()
        assert sorted(names(page)) == ["storybooks", "tinytown"]
        first, second = names(page)
        verdict = f"A was {first}, B was {second}. You preferred {second}."
        expect(page.locator(".lab-verdict")).to_have_text(verdict)
        assert page.locator(".lab-spoken").inner_text() == verdict
        assert [answer.replace("↵", "").strip() for answer in answers(page)] == [answer.strip() for answer in before]
        told = names(page).index("tinytown")
        assert answers(page)[told].startswith("The ball is under the bed."), "the names are on the right columns"
        expect(side(page, 0).locator(".lab-figure").first).to_be_visible()
        expect(page.locator(".lab-side-by-side-note")).to_have_text(EN["side_by_side.at_once_note"])
        expect(page.locator("#knob-temperature")).to_be_enabled()
        shown.add(first)
        counts = [int(count) for count in re.findall(r"\d+", page.locator(".lab-tally").inner_text())]
        assert sum(counts) == number + 1
        if len(shown) == 2:
            break
        page.keyboard.press("Enter")  # a new round
        expect(page.locator(".lab-turns-both .lab-turn")).to_have_count(0)
        expect(page.locator(".lab-ballot")).to_be_hidden()
    assert len(shown) == 2, "twelve throws of the dice were the same"
    side(page, 1).locator(".lab-token").first.click()
    expect(page.get_by_role("dialog").locator(".lab-row")).to_have_count(10)
    page.keyboard.press("Escape")
    page.reload()
    compare(page)
    page.get_by_label(EN["side_by_side.blind"]).check()
    ask(page)
    page.get_by_role("button", name=EN["side_by_side.vote_bad"]).click()
    expect(page.locator(".lab-tally")).to_contain_text("both bad 1")
    expect(page.locator(".lab-tally")).to_contain_text("storybooks 0")


def test_several_messages_and_then_the_vote(page: Page) -> None:
    compare(page)
    page.get_by_label(EN["side_by_side.blind"]).check()
    ask(page)
    ask(page, "What is a llama?")
    expect(page.locator(".lab-turns-both .lab-side-name")).to_have_text(
        [EN["side_by_side.side_a"], EN["side_by_side.side_b"]] * 2
    )
    page.get_by_role("button", name=EN["side_by_side.vote_a"]).click()
    expect(page.locator(".lab-verdict")).to_contain_text("You preferred")
    assert page.locator(".lab-turns-both .lab-side-name").all_inner_texts() == names(page) * 2
    expect(page.locator(".lab-turns-both .lab-figure").first).to_be_visible()
    assert page.locator(".lab-turns-both .lab-reply").filter(has=page.locator(".lab-figure")).count() == 4
    ask(page, "Who are you?")
    assert page.locator(".lab-turns-both .lab-side-name").all_inner_texts() == names(page) * 3
    expect(page.locator(".lab-votes")).to_be_hidden()


def test_the_ordinary_conversation_comes_back(page: Page) -> None:
    for name, value in (("max_tokens", 20), ("temperature", 0)):
        page.locator(f"#knob-{name}").fill(str(value))
    page.get_by_role("textbox").fill("Who are you?")
    page.keyboard.press("Enter")
    expect(page.locator(".lab-turn.lab-done")).to_have_count(1, timeout=LONG)
    total = page.locator(".lab-total")
    expect(total).to_contain_text("Replies so far: 1")
    compare(page)
    expect(page.locator(".lab-turn").first).to_be_hidden()
    expect(total).to_be_hidden()
    expect(page.get_by_role("heading", name=EN["chat.welcome"])).to_be_visible()
    ask(page)
    page.get_by_role("switch").uncheck()
    expect(page.locator(".lab-turn:visible")).to_have_count(1)
    expect(page.locator(".lab-turn:visible .lab-user p")).to_have_text("Who are you?")
    expect(total).to_contain_text("Replies so far: 1")
    page.locator(".lab-turn:visible .lab-token").first.click()
    expect(page.get_by_role("dialog").locator(".lab-row")).to_have_count(10)
    page.keyboard.press("Escape")
    reset_alone = page.get_by_role("button", name="Clear")
    reset_alone.click()
    page.get_by_role("switch").check()
    expect(page.locator(".lab-turn:visible .lab-user p")).to_have_text(QUESTION)


def test_language_changes_every_label(page: Page) -> None:
    compare(page)
    page.get_by_label(EN["side_by_side.blind"]).check()
    ask(page)
    page.get_by_label("Language").select_option("de")
    expect(page.get_by_role("button", name=DE["side_by_side.vote_tie"])).to_be_visible()
    assert names(page) == [DE["side_by_side.side_a"], DE["side_by_side.side_b"]]
    page.get_by_role("button", name=DE["side_by_side.vote_tie"]).click()
    expect(page.locator(".lab-verdict")).to_contain_text(DE["side_by_side.voted_tie"])
    everything = page.locator("body").inner_text()
    left = [
        text
        for key, text in EN.items()
        if DE[key] != text and len(text) > 5 and re.search(rf"{re.escape(text)}(?!\w)", everything)
    ]
    assert left == ["English"], "only the language's own name may stay"


def test_keyboard_alone(page: Page) -> None:
    compare(page)
    page.get_by_label(EN["side_by_side.blind"]).focus()
    page.keyboard.press("Space")
    ask(page)
    for _ in range(20):  # from the box back to the vote
        page.keyboard.press("Shift+Tab")
        if page.evaluate("document.activeElement.className") == "lab-vote":
            break
    page.keyboard.press("Enter")
    expect(page.locator(".lab-verdict")).to_contain_text(EN["side_by_side.voted_bad"])
    for _ in range(30):
        page.keyboard.press("Shift+Tab")
        if page.evaluate("document.activeElement.dataset.token"):
            break
    page.keyboard.press("ArrowRight")
    page.keyboard.press("Enter")
    expect(page.get_by_role("dialog").locator(".lab-row")).to_have_count(10)
    assert page.evaluate("document.querySelector('.lab-picked').closest('[data-side]').dataset.side") == "1"


def test_phone_width(browser: Browser, address: str) -> None:
    context = browser.new_context(
        viewport={"width": 390, "height": 844}, has_touch=True, is_mobile=True, locale="de-DE"
    )
    page = context.new_page()
    page.goto(address)
    page.get_by_role("textbox", name=DE["chat.message"]).wait_for()
    page.locator(".lab-settings summary").tap()
    page.get_by_role("switch", name=DE["side_by_side.switch"]).check()
    page.get_by_label(DE["side_by_side.blind"]).check()
    page.locator("#knob-max_tokens").fill("40")
    page.locator(".lab-settings summary").tap()
    ask(page, "W" * 300)
    outside = """() => [...document.querySelectorAll('.lab-chat *')]
        .filter((node) => node.getClientRects().length && node.getBoundingClientRect().right > innerWidth + 1)
        .map((node) => node.className)"""
    assert page.evaluate(outside) == []
    page.get_by_role("button", name=DE["side_by_side.vote_a"]).tap()
    expect(page.locator(".lab-verdict")).not_to_be_empty()
    places = """() => [...document.querySelectorAll('.lab-pair .lab-reply')]
        .map((node) => [node.offsetLeft, node.offsetWidth, node.offsetTop, node.offsetTop + node.offsetHeight])"""
    (left, width, _, end), (other_left, other_width, beginning, _) = page.evaluate(places)
    assert (left, width) == (other_left, other_width)
    assert end < beginning, "they stand below one another"
    assert page.evaluate(outside) == []
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    context.close()
