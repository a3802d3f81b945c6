"""A whole lesson, played by a teacher and ten pupils in real browsers: ten minutes of a class in two.

`LITELLAMA_PICTURES=folder` keeps pictures of the teacher's page and of a pupil's at each moment, to be looked at.
"""

from __future__ import annotations

import csv
import os
import re
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import httpx
import pytest

from app.common.strings import all_words
from tests.browser.app_server import ROOT, running_app, server_of
from tests.browser.outside import Outside, sockets_watched, watched
from tests.browser.test_class_page import come_in, opened, teach

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

pytestmark = [pytest.mark.browser, pytest.mark.slow]
EN, DE = all_words()["en"], all_words()["de"]
NAMES = ("Mia", "Ben", "Zoé", "<b>Tom</b>", "Jürgen", "Αλέξης", "Lea", "Max", "Ida", "Noor")
LONG = 120_000  # ms
LONG_TEXT = "Tom hid a red ball under the bed. Anna has a blue hat. " * 24 + "Where is the hat?"


@pytest.fixture(scope="module")
def outside(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Outside]:
    with watched(tmp_path_factory.mktemp("watch")) as outside:
        yield outside


@pytest.fixture(scope="module")
def school(outside: Outside, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    log = tmp_path_factory.mktemp("lesson") / "app.log"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LITELLAMA_CLASS_PASSWORD", "red-kite")
        patch.setenv("LITELLAMA_TEACHER_PASSWORD", "blue-hat")
        app = running_app(ROOT / "checkpoints" / "tinytown", log, "--classroom", "--host", "127.0.0.1")
        with app as address, sockets_watched(outside, server_of(address)):
            yield address.removesuffix("teacher")
    said = log.read_text(encoding="utf-8")
    assert said == "", "a lesson like this one is nothing to log"


def picture(page: Page, name: str) -> None:
    if folder := os.environ.get("LITELLAMA_PICTURES"):
        page.screenshot(path=Path(folder) / f"{name}.png", full_page=True)


def send(page: Page, text: str) -> None:
    page.locator("#lab-chat textarea").fill(text)
    page.keyboard.press("Enter")


def ended(page: Page, turns: int) -> None:
    page.locator(".lab-turn.lab-done").nth(turns - 1).wait_for(timeout=LONG)


def until(holds: Callable[[], bool], seconds: float = 60) -> None:
    end = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < end, "it did not come"
        time.sleep(0.1)


def row(teacher: Page, name: str) -> Sequence[str]:
    """A pupil's line on the teacher's page: name, what they do, replies, tokens, mWh."""
    return (
        teacher.locator("tbody tr")
        .filter(has=teacher.locator("td", has_text=re.compile(f"^{re.escape(name)}$")))
        .locator("td")
        .all_inner_texts()
    )


def figure(teacher: Page, word: str) -> str:
    return teacher.locator(".class-figures div", has=teacher.get_by_text(word, exact=True)).locator("dd").inner_text()


def test_a_lesson_of_ten_pupils(browser: Browser, school: str, outside: Outside) -> None:
    # Minute 0: they come in; one mistypes the password first, one is called like another.
    teacher = teach(browser, school)
    outside.listen(teacher.context)
    windows = [opened(browser, school, "de-DE" if name == "Jürgen" else "en-GB") for name in NAMES]
    pupils = {}
    for name, window in zip(NAMES, windows, strict=True):
        outside.listen(window.context)
        if name == "Ben":
            window.goto(school)
            window.locator("[name=name]").fill(name)
            window.locator("[name=password]").fill("red kite")
            window.get_by_role("button").click()
            window.get_by_text(EN["class.wrong_password"]).wait_for()
        pupils[name] = come_in(window, school, name, DE if name == "Jürgen" else EN)
    again = come_in(opened(browser, school), school, "mia", shown="mia 2")
    again.context.close()
    until(lambda: teacher.locator("tbody tr").count() == len(NAMES) + 1)
    assert teacher.locator(".class-more").is_hidden(), "models come only where that is allowed"
    picture(teacher, "0-everybody-is-in")
    everybody = list(pupils.values())
    mia, ben, jürgen = pupils["Mia"], pupils["Ben"], pupils["Jürgen"]

    # Minute 1: a message and a text for all, which all send in the same moment.
    teacher.locator("#class-message").fill("Welcome! First: use the text below.")
    teacher.locator("[data-order=message] button").click()
    teacher.locator("#class-prompt").fill("Tom hid a red ball under the bed. Where is the ball?")
    teacher.locator("[data-order=prompt] button").click()
    for page in everybody:
        page.get_by_text("Welcome! First: use the text below.").wait_for()
        page.locator(".lab-class-prompt button").click()
    for page in everybody:
        page.locator("#lab-chat .lab-send").click()
    for page in everybody:
        ended(page, 1)
        assert "bed" in page.locator(".lab-turn .lab-tokens").last.inner_text()

    # Minute 2: each writes something of their own, and sees nobody else's.
    for number, page in enumerate(everybody):
        send(page, f"Quorl{number}ina has a hat. Tell me a story about a race.")
    picture(teacher, "2-ten-replies-at-once")
    for number, page in enumerate(everybody):
        ended(page, 2)
        others = [f"Quorl{other}ina" for other in range(len(NAMES)) if other != number]
        said = page.locator("body").inner_text()
        assert f"Quorl{number}ina" in said
        assert not any(other in said for other in others)
        assert re.search(r": 2 \(", page.locator(".lab-total").inner_text()), "the energy is of their own two replies"
    assert "Quorl" not in teacher.locator("body").inner_text()

    # Minute 4: everybody looks at the heads, which is done for one after another; who waits is told so.
    for page in everybody:
        page.get_by_role("tab").nth(1).click()
        page.locator("#look-text").wait_for(timeout=LONG)
        page.wait_for_function("document.querySelector('#look-text').value !== ''", timeout=LONG)
        page.locator("#look-text").fill(LONG_TEXT)
    waited = []
    for page in everybody:  # at once, and longer than it takes all of them to press
        page.locator("#lab-attention .lab-send").click()
    end = time.monotonic() + 60
    while time.monotonic() < end and not waited:
        waited = [page for page in everybody if page.locator(".lab-class-place:not(:empty)").count()]
    picture(teacher, "4-waiting")
    until(lambda: all(page.locator(".lab-look-cell").count() == 36 for page in everybody), 120)
    assert waited, "nobody was told a place in the line"
    picture(mia, "4-attention")

    # Minute 5: the teacher speaks; nobody writes, and nothing that was typed is lost.
    teacher.get_by_role("button", name=EN["class.pause"]).click()
    for page in everybody:
        page.get_by_role("tab").nth(0).click()
        page.locator(".lab-class-paused:not(:empty)").wait_for()
    send(jürgen, "Hallo?")
    jürgen.get_by_text(DE["class.paused"]).nth(1).wait_for()
    assert jürgen.locator("#lab-chat textarea").input_value() == "Hallo?"
    picture(teacher, "5-paused")
    picture(jürgen, "5-paused-pupil")
    teacher.get_by_role("button", name=EN["class.resume"]).click()
    for page in everybody:
        page.locator(".lab-class-paused:empty").wait_for(state="attached")

    # Minute 6: mischief. Markup as a message, a second window that asks at once, a lost network, a page left midway.
    tom, lea, max, ida = (pupils[name] for name in ("<b>Tom</b>", "Lea", "Max", "Ida"))
    send(tom, "<img src=https://evil.example/x onerror='window.pwned=1'> Who are you?")
    second = lea.context.new_page()
    second.goto(school)
    second.locator("#knob-seed").wait_for(state="attached")
    send(lea, "Tell me a long story about a lost kite.")
    send(second, "Tell me a long story about a lost dog.")
    second.locator(".lab-turn.lab-done, .lab-problem:not(:empty)").first.wait_for(timeout=LONG)
    max.context.set_offline(True)
    send(max, "Where is the ball now?")
    max.locator("#lab-chat .lab-problem:not(:empty), .lab-turn").nth(2).wait_for(state="attached")
    max.context.set_offline(False)
    send(ida, "Tell me a story about a cat.")
    ida.reload()
    for page, turns in ((tom, 3), (lea, 3)):
        ended(page, turns)
    assert tom.evaluate("window.pwned") is None
    send(mia, "Where is the red ball?")
    ended(mia, 3)
    until(lambda: row(teacher, "<b>Tom</b>")[2] == "3")
    assert teacher.locator("tbody b").count() == 0, "a name is text"
    ida.locator("#knob-seed").wait_for(state="attached")
    ended(ida, 2)  # what was said is back
    turns = ida.locator(".lab-turn").count()
    send(ida, "Who are you?")
    ended(ida, turns + 1)

    # Minute 8: another model for all.
    teacher.locator("#class-model").select_option("storybooks")
    teacher.locator("[data-order=model] button").click()
    for page in everybody:
        page.wait_for_url("**model=storybooks", timeout=20_000)
        page.locator("#knob-seed").wait_for(state="attached")
        send(page, "The cat sat")
    for page in everybody:
        ended(page, 1)
    picture(ben, "8-another-model")

    # Minute 9: the figures are those of the class.
    until(lambda: figure(teacher, EN["class.writing"]) == "0")
    picture(teacher, "9-figures")
    energies = {name: row(teacher, name)[4] for name in NAMES}
    assert len(set(energies.values())) > 1, "each has their own energy"
    with teacher.expect_download() as download:
        teacher.get_by_role("link", name=EN["class.results"]).click()
    rows = list(csv.DictReader(Path(download.value.path()).read_text(encoding="utf-8").splitlines()))
    assert len(rows) == len(NAMES) + 1
    until(lambda: sum(int(one["replies"]) for one in rows) == int(figure(teacher, EN["class.replies"])))
    assert all(float(one["watt_hours"]) > 0 for one in rows if int(one["replies"]))

    # Minute 10: the end. Everybody stands before the gate, and what they held opens nothing.
    cookies = [cookie["value"] for page in everybody for cookie in page.context.cookies()]
    teacher.get_by_role("button", name=EN["class.end"]).click()
    teacher.get_by_role("button", name=re.compile("Press again")).click()
    for page in everybody:
        page.locator("[name=password]").wait_for(timeout=LONG)
    teacher.get_by_text(EN["class.nobody"]).wait_for()
    picture(teacher, "10-the-end")
    for cookie in cookies:
        assert httpx.get(f"{school}config", headers={"cookie": f"litellama-class={cookie}"}).status_code == 401
    assert outside.seen(school) == [url for url in outside.requests if "evil.example" in url] == []
    for page in (teacher, *everybody):
        page.context.close()
