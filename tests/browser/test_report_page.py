"""A lab report in a real browser: drawn without the network, inert whatever is in it, and printed as PDF."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import TYPE_CHECKING

import plotly.graph_objects as go
import pytest

from lessons.kit.lesson import Lesson, begin

if TYPE_CHECKING:
    from playwright.sync_api import Browser

ATTACK = "<img src=x onerror=\"document.title='attacked'\"><script>document.title='attacked'</script>"


@pytest.fixture
def lesson(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Lesson:
    monkeypatch.setenv("LITELLAMA_LESSONS_WORK", str(tmp_path))
    monkeypatch.setenv("LITELLAMA_PUPIL", ATTACK)
    lesson = begin(1, "en", "Hello")
    lesson.note(ATTACK)
    lesson.result(ATTACK, ATTACK)
    lesson.picture(go.Figure(go.Bar(x=[1, 2], y=["a", "b"], orientation="h")), ATTACK)
    return lesson


@pytest.mark.browser
def test_a_report_stands_alone(browser: Browser, lesson: Lesson) -> None:
    page, outside = browser.new_page(), []
    page.on("request", lambda request: outside.append(request.url))
    address = lesson.report(pdf=False).as_uri()
    page.goto(address)
    page.locator("figure .main-svg").first.wait_for()
    assert page.locator("figcaption").inner_text() == ATTACK
    assert page.title() == "LiteLlama Lab · Lab report · 1 · Hello"
    assert [url for url in outside if url != address and not url.startswith(("data:", "blob:"))] == []
    page.close()


@pytest.mark.browser
def test_a_report_is_printed_where_there_is_a_browser(
    browser: Browser, lesson: Lesson, monkeypatch: pytest.MonkeyPatch
) -> None:
    page = lesson.report()
    assert page.with_suffix(".pdf").read_bytes().startswith(b"%PDF-")
    page.with_suffix(".pdf").unlink()
    monkeypatch.setattr(shutil, "which", lambda name: None)
    assert lesson.report() == page
    assert not page.with_suffix(".pdf").exists()
