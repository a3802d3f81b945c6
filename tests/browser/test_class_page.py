"""A class in real browsers: the gate, pupils who don't see one another, the teacher's page, the end."""

from __future__ import annotations

import io
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import httpx
import pytest

from app.common.strings import all_words
from litellama.checkpoint.archive import pack
from tests.browser.app_server import ROOT, running_app

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

SECRET = "Zephyrine hid a violet kite in Quixville."


@pytest.fixture(scope="module")
def school(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a class whose pupils say red-kite and whose teacher says blue-hat."""
    log = tmp_path_factory.mktemp("class") / "app.log"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LITELLAMA_CLASS_PASSWORD", "red-kite")
        patch.setenv("LITELLAMA_TEACHER_PASSWORD", "blue-hat")
        checkpoint = ROOT / "checkpoints" / "tinytown"
        with running_app(checkpoint, log, "--classroom", "--host", "127.0.0.1") as address:
            yield address.removesuffix("teacher")
    said = log.read_text(encoding="utf-8")
    assert "Traceback" not in said, said
    assert not any(secret in said for secret in ("red-kite", "blue-hat", "Zephyrine")), said


def opened(browser: Browser, address: str, language: str = "en-GB") -> Page:
    return browser.new_context(viewport={"width": 1100, "height": 800}, locale=language).new_page()


def come_in(
    page: Page, address: str, name: str, words: Mapping[str, str] = all_words()["en"], shown: str | None = None
) -> Page:
    page.goto(address)
    page.locator("[name=name]").fill(name)
    page.locator("[name=password]").fill("red-kite")
    page.get_by_role("button").click()
    page.locator("#knob-seed").wait_for(state="attached")  # the chat's script has run
    page.get_by_text(words["class.you_are"].format(name=shown or name)).wait_for()
    return page


def teach(browser: Browser, address: str) -> Page:
    page = opened(browser, address)
    page.goto(f"{address}teacher")
    page.locator("[name=password]").fill("blue-hat")
    page.get_by_role("button").click()
    page.locator(".class-figures dd").first.wait_for()
    return page


def ask(page: Page, text: str) -> None:
    turns = page.locator(".lab-turn.lab-done").count()
    page.locator("#lab-chat textarea").fill(text)
    page.keyboard.press("Enter")
    page.locator(".lab-turn.lab-done").nth(turns).wait_for(timeout=60_000)


@pytest.mark.browser
def test_a_lesson_from_the_gate_to_the_end(browser: Browser, school: str) -> None:
    teacher = teach(browser, school)
    teacher.get_by_text("Nobody is here yet.").wait_for()
    mia, ben = (come_in(opened(browser, school), school, name) for name in ("Mia", "Ben"))
    ask(mia, f"{SECRET} Where is the kite?")
    ask(ben, "Tell me a story about a race.")
    assert "Quixville" not in ben.locator("body").inner_text()
    assert "Zephyrine" not in teacher.locator("body").inner_text()  # the teacher sees figures, not what is typed
    row = teacher.locator("tbody tr").filter(has_text="Mia")
    row.locator("td", has_text="1").first.wait_for()

    teacher.locator("#class-message").fill("<b>Look</b> at the board.")
    teacher.locator("[data-order=message] button").click()
    teacher.locator("#class-prompt").fill("Tom has a ball. Who has a ball?")
    teacher.locator("[data-order=prompt] button").click()
    mia.get_by_text("<b>Look</b> at the board.").wait_for()
    mia.get_by_role("button", name="Use it").click()
    assert mia.locator("#lab-chat textarea").input_value() == "Tom has a ball. Who has a ball?"

    teacher.get_by_role("button", name="Pause everybody").click()
    ben.locator(".lab-class-paused:not(:empty)").wait_for()
    ben.locator("#lab-chat textarea").fill("Hello")
    ben.keyboard.press("Enter")
    ben.locator("#lab-chat .lab-problem:not(:empty)").wait_for()
    assert ben.locator("#lab-chat textarea").input_value() == "Hello"  # nothing typed is lost
    teacher.get_by_role("button", name="Let them go on").click()
    ben.locator(".lab-class-paused:empty").wait_for(state="attached")
    ask(ben, "Hello")

    with teacher.expect_download() as download:
        teacher.get_by_role("link", name="Figures as CSV").click()
    figures = Path(download.value.path()).read_text(encoding="utf-8")
    assert figures.startswith("pupil,replies,tokens")
    assert "Mia" not in figures
    teacher.get_by_role("button", name="End the class").click()
    teacher.get_by_role("button", name="Press again").click()
    for page in (mia, ben):
        page.locator("[name=password]").wait_for()
    teacher.get_by_text("Nobody is here yet.").wait_for()
    for page in (teacher, mia, ben):
        page.context.close()


@pytest.mark.browser
def test_a_model_for_all_reaches_every_page(browser: Browser, school: str) -> None:
    teacher, lars = teach(browser, school), come_in(opened(browser, school), school, "Lars")
    teacher.locator("#class-model").select_option("storybooks")
    teacher.locator("[data-order=model] button").click()
    lars.wait_for_url("**model=storybooks")
    lars.locator("#lab-chat textarea").wait_for()
    for page in (teacher, lars):
        page.context.close()


@pytest.mark.browser
@pytest.mark.fault(21)
def test_nobody_can_speak_for_another(browser: Browser, school: str) -> None:
    """A pupil who knows another page's session still has a page of their own."""
    nora = come_in(opened(browser, school), school, "Nora")
    sessions: list[str] = []
    nora.on("request", lambda request: sessions.append(request.url) if "session_hash=" in request.url else None)
    ask(nora, f"{SECRET} Where is the kite?")
    hash = next(url.split("session_hash=")[1].split("&")[0] for url in sessions)
    with httpx.Client(base_url=school, follow_redirects=False) as thief:
        entered = thief.post("enter", data={"name": "Ben", "password": "red-kite"}, headers={"origin": school[:-1]})
        assert entered.status_code == 303
        functions = {one["api_name"]: one["id"] for one in thief.get("config").json()["dependencies"]}
        sent = {"request": "1", "turn": 0, "token": 0, "model": None}
        body = {"data": [], "event_data": sent, "fn_index": functions["pick"], "session_hash": hash}
        event = thief.post("gradio_api/queue/join", json=body).json()["event_id"]
        with thief.stream("GET", "gradio_api/queue/data", params={"session_hash": hash}) as stream:
            said = next(line for line in stream.iter_lines() if event in line and "process_completed" in line)
    assert "problem.forgotten" in said
    assert "kite" not in said
    nora.context.close()


@pytest.mark.parametrize("allowed", [True, False])
def test_models_come_by_the_teacher_and_only_where_that_is_allowed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, allowed: bool
) -> None:
    monkeypatch.setenv("LITELLAMA_CLASS_PASSWORD", "red-kite")
    monkeypatch.setenv("LITELLAMA_TEACHER_PASSWORD", "blue-hat")
    checkpoint, packed = ROOT / "checkpoints" / "tinytown", io.BytesIO()
    pack(ROOT / "checkpoints" / "coffee", packed)
    (tmp_path / "models").mkdir()
    options = ("--classroom", "--host", "127.0.0.1", "--models", str(tmp_path / "models"))
    with running_app(checkpoint, tmp_path / "log", *options, *(["--allow-models"] if allowed else [])) as address:
        school = address.removesuffix("teacher")
        own = {"origin": school[:-1], "content-type": "application/octet-stream", "x-file-name": "another.zip"}
        with httpx.Client(base_url=school, timeout=60) as teacher, httpx.Client(base_url=school) as pupil:
            teacher.post("teacher", data={"password": "blue-hat"}, headers={"origin": school[:-1]})
            pupil.post("enter", data={"name": "Ben", "password": "red-kite"}, headers={"origin": school[:-1]})
            before = len(pupil.get("models.json").json())
            assert teacher.get("teacher.json").json()["more_models"] is allowed
            refused = pupil.post("open-model", content=packed.getvalue(), headers=own)
            sent = teacher.post("open-model", content=packed.getvalue(), headers=own)
            fetched = pupil.post("download.json", json={"action": "see"}, headers={"origin": school[:-1]})
            if allowed:
                assert (refused.status_code, sent.status_code, fetched.status_code) == (403, 200, 403)
                assert refused.json()["problem"]["key"] == "class.teachers_only"
                assert len(pupil.get("models.json").json()) == before + 1
            else:
                assert {one.status_code for one in (sent, refused)} <= {404, 413}
                assert len(pupil.get("models.json").json()) == before
