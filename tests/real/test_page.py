"""SmolLM2 in the page, as a person meets it: every view is opened in real Chromium."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page

from tests.benchmarks.page_views import Visit
from tests.browser.app_server import running_app
from tests.browser.conftest import LEFT

pytestmark = [pytest.mark.browser, pytest.mark.slow]


@pytest.fixture(scope="module")
def address(smollm2_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    log = tmp_path_factory.mktemp("app") / "app.log"
    with running_app(smollm2_folder, log, threads=2) as address:
        yield address
    assert "Traceback" not in log.read_text(), log.read_text()


@pytest.fixture
def page(browser: Browser, address: str) -> Iterator[Page]:
    context = browser.new_context(viewport={"width": 1280, "height": 900}, locale="en-GB")
    page = context.new_page()
    errors: list[str] = []
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.goto(address)
    page.locator("#knob-seed").wait_for(state="attached")
    yield page
    context.close()
    assert not [error for error in errors if not error.startswith(LEFT)]


@pytest.mark.timeout(900)
def test_every_view_shows_what_is_known_of_the_model(page: Page) -> None:
    visit = Visit(page)
    visit.chat()
    first, second = page.locator(".lab-turn").all_inner_texts()
    assert "The capital of France is Paris." in first
    assert len(second.split()) > 60, "fluent, and long"
    visit.attention()
    roles = page.locator(".lab-look-cell b:not(:empty)").count()
    assert roles > 60, "attention sinks alone are more"
    visit.step()
    visit.layers()
    answer = [text.strip() for text in page.locator("#lab-layers thead th").all_inner_texts()]
    last = [text.strip() for text in page.locator("#lab-layers tbody tr").first.locator("td").all_inner_texts()]
    assert last == answer
    visit.attribution()
    shaded = page.locator(".lab-why-word").evaluate_all(
        "words => words.map(word => [word.textContent.trim(), getComputedStyle(word).backgroundColor])"
    )
    assert {"under", "the", "bed"} <= {word for word, _ in shaded}
    assert len({colour for _, colour in shaded}) > 3
    visit.intervene()
    visit.responsibility()
    assert set(visit.seconds) > {"chat: first token", "attention: every head", "layers", "responsibility: one probe"}
