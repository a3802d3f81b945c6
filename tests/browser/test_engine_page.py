"""A model of another server as a person meets it: chosen, asked, looked into as far as that goes, and gone."""

from __future__ import annotations

import re
import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from app.common.strings import all_words
from tests.browser.app_server import running_app
from tests.support.loopback import Loopback, Request, finish, head, loopback, models, until_closed, word

pytestmark = pytest.mark.browser
EN, DE = all_words()["en"], all_words()["de"]
HOSTILE = "<img src=x onerror='window.pwned=1'>"
WORDS = ["Tom", " found", " a", " red", " kite", " near", " the", " old", " tree", "."]
VIEWS = ("attention", "step", "layers", "attribution", "intervene", "responsibility")


def answer(request: Request, connection: socket.socket) -> None:
    """A word every tenth of a second; the question says what else is to happen."""
    if request.path.endswith("/models"):
        connection.sendall(models("small", HOSTILE))
        return
    question = request.body["messages"][-1]["content"]
    connection.sendall(head())
    if question == "Attack me.":
        connection.sendall(word(HOSTILE, -0.5, **{f"{HOSTILE}!": -1.5}) + finish())
        return
    if question == "Don't tell.":
        connection.sendall(word("A secret.") + finish())
        return
    for text in WORDS:
        connection.sendall(word(text, -0.5, **{" kite" if text != " kite" else " ball": -1.5}))
        time.sleep(0.1)
        if question == "Break off." and text == " kite":
            return
        if question == "Never end." and text == ".":
            until_closed(connection)
    connection.sendall(finish(prompt_tokens=20, completion_tokens=10))


@pytest.fixture(scope="module")
def server() -> Iterator[Loopback]:
    with loopback(answer) as server:
        yield server


@pytest.fixture(scope="module")
def address(tiny_checkpoint: Path, server: Loopback, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    folder = tmp_path_factory.mktemp("app")
    with running_app(
        tiny_checkpoint, folder / "app.log", "--models", str(folder), "--engine", server.address
    ) as address:
        yield address
    assert "Traceback" not in (folder / "app.log").read_text(), (folder / "app.log").read_text()


def choose(page: Page, name: str) -> None:
    page.get_by_label(EN["header.model"], exact=True).select_option(name)
    expect(page.locator(".lab-badge")).to_contain_text("runs at")


@pytest.fixture
def there(page: Page, server: Loopback) -> Page:
    choose(page, f"{server.where}/small")
    return page


def ask(page: Page, text: str) -> None:
    page.get_by_role("textbox", name=EN["chat.message"]).fill(text)
    page.keyboard.press("Enter")


def ask_and_wait(page: Page, text: str) -> None:
    turns = page.locator(".lab-turn").count()
    ask(page, text)
    expect(page.locator(".lab-turn.lab-done")).to_have_count(turns + 1, timeout=20_000)


def test_it_is_shown_with_where_it_runs(page: Page, server: Loopback) -> None:
    choice = page.get_by_label(EN["header.model"], exact=True)
    expect(choice.locator("option")).to_have_text(["tiny", f"small @ {server.where}", f"{HOSTILE} @ {server.where}"])
    choose(page, f"{server.where}/small")
    expect(page.locator(".lab-badge")).to_have_text(f"runs at {server.where}")
    expect(page.locator(".lab-badge")).to_have_attribute("title", EN["header.engine_why"])
    expect(page.locator(".lab-size")).to_have_text("")
    expect(page.locator(".lab-welcome")).to_contain_text(EN["chat.welcome_engine_title"])
    expect(page.locator(".lab-welcome")).to_contain_text(f"is sent to {server.where}")
    expect(page.get_by_placeholder(EN["chat.message"], exact=True)).to_be_visible()
    expect(page.locator(".lab-engines")).to_be_hidden()
    choose(page, f"{server.where}/{HOSTILE}")
    expect(page.locator(".lab-name")).to_be_hidden()
    assert page.evaluate("window.pwned") is None


def test_it_streams_and_its_tokens_can_be_looked_at(there: Page, server: Loopback) -> None:
    there.evaluate("""() => {
        window.lengths = new Set();
        new MutationObserver(() => window.lengths.add(document.querySelectorAll('.lab-token').length))
            .observe(document.querySelector('.lab-turns'), {childList: true, subtree: true});
    }""")
    ask_and_wait(there, "What did Tom find?")
    assert len(there.evaluate("[...window.lengths]")) > 2, "the reply came in one piece"
    expect(there.locator(".lab-tokens")).to_have_text("".join(WORDS))
    stats = there.locator(".lab-stats")
    expect(stats).to_contain_text(re.compile(r"10 tokens, [\d.]+ tokens/s \(measured as they arrived here\)"))
    stats.get_by_role("button", name=EN["chat.energy_unknown"]).click()
    expect(there.locator(".lab-bill")).to_contain_text(EN["chat.energy_elsewhere"])
    there.locator(".lab-token").nth(4).click()
    card = there.get_by_role("dialog")
    expect(card.locator(".lab-chosen")).to_have_text("It wrote “␣kite”, which it gave 60.7 %.")
    expect(card.locator(".lab-row-name")).to_have_text(["␣kitewritten", "␣ball"])
    expect(card.locator(".lab-why")).to_contain_text(f"As {server.where} tells it")
    there.keyboard.press("ArrowRight")
    expect(card.locator(".lab-chosen")).to_contain_text("“␣near”")


def test_what_is_not_told_is_not_shown_as_a_number(there: Page) -> None:
    there.locator("#knob-tint").check()
    ask_and_wait(there, "Don't tell.")
    expect(there.locator(".lab-stats")).to_contain_text("1 pieces")
    token = there.locator(".lab-token").first
    assert re.search(r"[ ,]0\)$", token.evaluate("node => getComputedStyle(node).backgroundColor")), "it has a tint"
    token.click()
    card = there.get_by_role("dialog")
    expect(card.locator(".lab-chosen")).to_have_text(
        "It wrote “A␣secret.”. The server does not tell how likely that was."
    )
    expect(card.locator(".lab-row")).to_have_count(0)
    assert "%" not in card.inner_text()


def test_its_words_are_text(there: Page) -> None:
    ask_and_wait(there, "Attack me.")
    expect(there.locator(".lab-tokens")).to_have_text(HOSTILE)
    there.locator(".lab-token").first.click()
    expect(there.get_by_role("dialog").locator(".lab-row")).to_have_count(2)
    assert there.evaluate("window.pwned") is None
    assert there.locator(".lab-turns img, .lab-card img").count() == 0


def test_stop_ends_it_there_as_well(there: Page, server: Loopback) -> None:
    ask(there, "Never end.")
    expect(there.locator(".lab-tokens")).to_have_text("".join(WORDS), timeout=20_000)
    there.get_by_role("button", name=EN["chat.stop"]).click()
    expect(there.locator(".lab-stats")).to_contain_text(EN["chat.state_stopped"], timeout=5000)
    assert server.hung_up.acquire(timeout=10)


def compare(page: Page, second: str, *, blind: bool = False) -> None:
    page.get_by_role("switch", name=EN["side_by_side.switch"]).check()
    page.get_by_label(EN["side_by_side.model"], exact=True).select_option(second)
    page.get_by_label(EN["side_by_side.blind"]).set_checked(blind)


def test_stop_stops_both_of_two(there: Page, server: Loopback) -> None:
    compare(there, f"{server.where}/{HOSTILE}")
    pair = there.locator(".lab-turns-both .lab-turn:last-child .lab-reply")
    for stop in (lambda: there.get_by_role("button", name="Stop").click(), lambda: there.keyboard.press("Escape")):
        ask(there, "Never end.")
        expect(there.get_by_role("switch")).to_be_disabled()
        for tokens in pair.locator(".lab-tokens").all():
            expect(tokens).to_have_text("".join(WORDS), timeout=20_000)
        stop()
        for stats in pair.locator(".lab-stats").all():
            expect(stats).to_contain_text(EN["chat.state_stopped"])
        expect(there.get_by_role("switch")).to_be_enabled()
        assert all(server.hung_up.acquire(timeout=10) for _ in range(2))


def test_one_beside_one_that_is_here(there: Page, server: Loopback) -> None:
    compare(there, "tiny")
    ask_and_wait(there, "What did Tom find?")
    first, second = there.locator(".lab-turns-both .lab-turn:last-child .lab-reply").all()
    expect(first.get_by_role("heading")).to_have_text(f"small @ {server.where}")
    expect(second.get_by_role("heading")).to_have_text("tiny")
    expect(first.locator(".lab-tokens")).to_have_text("".join(WORDS))
    expect(first.locator(".lab-stats")).to_contain_text("(measured as they arrived here)")
    expect(second.locator(".lab-stats")).to_contain_text("(measured on this machine)")
    expect(first.get_by_role("button", name=EN["chat.energy_unknown"])).to_be_visible()
    expect(there.locator(".lab-side-by-side-note")).to_have_text(EN["side_by_side.elsewhere_note"])
    first.locator(".lab-token").nth(4).click()
    expect(there.get_by_role("dialog").locator(".lab-why")).to_contain_text(f"As {server.where} tells it")


def test_blind_says_where_it_ran_after_the_vote(there: Page, server: Loopback) -> None:
    compare(there, "tiny", blind=True)
    ask_and_wait(there, "Break off.")
    both = there.locator(".lab-turns-both")
    for telling in (server.where, "tiny", "tokens", EN["chat.state_broken"]):
        expect(both).not_to_contain_text(telling)
    there.get_by_role("button", name=EN["side_by_side.vote_tie"]).click()
    expect(both).to_contain_text(EN["chat.state_broken"])
    expect(both).to_contain_text(f"small @ {server.where}")
    expect(both).to_contain_text(EN["problem.engine_cut"].replace("{where}", server.where))


def test_what_was_written_before_it_broke_off_stays(there: Page, server: Loopback) -> None:
    ask_and_wait(there, "Break off.")
    expect(there.locator(".lab-tokens")).to_have_text("Tom found a red kite")
    broken = EN["problem.engine_cut"].replace("{where}", server.where)
    expect(there.locator(".lab-stats")).to_contain_text(f"{EN['chat.state_broken']} {broken}")


@pytest.mark.parametrize("view", VIEWS)
def test_what_needs_the_weights_says_so(there: Page, server: Loopback, view: str) -> None:
    there.get_by_role("tab", name=EN[f"{view}.title"]).click()
    said = there.locator(f"#lab-{view} .lab-needs-weights")
    expect(said).to_contain_text(EN["problem.engine_weights"].replace("{name}", f"small @ {server.where}"))
    expect(there.locator(f"#lab-{view} textarea").first).to_be_hidden()
    said.get_by_role("button", name="Use tiny").click()
    expect(there.get_by_label(EN["header.model"], exact=True)).to_have_value("tiny")
    there.get_by_role("tab", name=EN[f"{view}.title"]).click()
    expect(there.locator(f"#lab-{view} textarea").first).to_be_visible()


def test_compare_and_train_go_on(there: Page) -> None:
    there.get_by_role("tab", name=EN["compare.title"]).click()
    expect(there.locator("#lab-compare tbody tr").first).to_be_visible(timeout=20_000)
    expect(there.locator("#lab-compare .lab-problem:not(:empty)")).to_have_count(0)
    there.get_by_role("tab", name=EN["train.title"]).click()
    expect(there.locator("#lab-train .lab-train-form")).to_be_visible(timeout=20_000)


def test_a_server_that_goes(browser: Browser, tiny_checkpoint: Path, tmp_path: Path) -> None:
    """On a phone, in German: the message comes back with a sentence, and a page loaded then uses another model."""
    with ExitStack() as life:
        server = life.enter_context(loopback(answer))
        options = ("--models", str(tmp_path), "--engine", server.address)
        with running_app(tiny_checkpoint, tmp_path / "app.log", *options) as address:
            context = browser.new_context(viewport={"width": 390, "height": 844}, locale="de-DE", has_touch=True)
            page = context.new_page()
            page.goto(f"{address}?model={server.where}/small")
            page.locator(".lab-welcome .lab-example").first.wait_for()
            page.locator("textarea").first.fill("Guten Tag")
            page.keyboard.press("Enter")
            page.locator(".lab-turn.lab-done").wait_for(timeout=20_000)
            life.close()
            gone = DE["problem.engine_unreachable"].replace("{where}", server.where)
            page.locator("textarea").first.fill("Und nun?")
            page.keyboard.press("Enter")
            expect(page.locator(".lab-talk .lab-problem")).to_have_text(gone, timeout=20_000)
            expect(page.locator("textarea").first).to_have_value("Und nun?")
            expect(page.locator(".lab-turn")).to_have_count(1)
            page.wait_for_timeout(5000)  # until the list may be asked for again
            page.reload()
            instead = DE["header.instead"].replace("{name}", "tiny")
            expect(page.locator(".lab-other-model")).to_contain_text(f"{gone} {instead}", timeout=20_000)
            expect(page.locator(".lab-engines")).to_be_hidden()
            assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), "it does not fit on a phone"
            page.locator("textarea").first.fill("Wo ist der Ball?")
            page.keyboard.press("Enter")
            page.locator(".lab-turn.lab-done").wait_for(timeout=20_000)
            page.goto(address)
            expect(page.locator(".lab-engines")).to_contain_text(gone, timeout=20_000)
            context.close()
