"""Fetching a model as a person meets it, from a hub on loopback."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from app.common.strings import all_words
from app.models.sources import suggested_models
from litellama.checkpoint import open_checkpoint
from tests.browser.app_server import running_app
from tests.support.hub_server import REPO, Hub, running_hub

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

pytestmark = pytest.mark.browser
EN, DE = all_words()["en"], all_words()["de"]
WEIGHTS = "model.safetensors"
NAME = "LiteLlama-460M-1T"


@pytest.fixture(scope="module")
def hub(tiny_checkpoint: Path) -> Iterator[Hub]:
    names = ("config.json", "tokenizer.json", WEIGHTS)
    with running_hub({name: (tiny_checkpoint / name).read_bytes() for name in names}) as hub:
        yield hub


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("models")


@pytest.fixture(scope="module")
def address(
    hub: Hub, models: Path, talkative_checkpoint: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[str]:
    folder = tmp_path_factory.mktemp("app")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HF_ENDPOINT", hub.endpoint)
        patch.setenv("HF_HOME", str(folder / "home"))
        for name in ("HF_HUB_OFFLINE", "HF_TOKEN", "HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
            patch.delenv(name, raising=False)
        with running_app(talkative_checkpoint, folder / "log", "--models", str(models)) as address:
            yield address
    assert "Traceback" not in (folder / "log").read_text()


def test_a_model_is_fetched_stopped_gone_on_with_and_used(page: Page, hub: Hub, models: Path) -> None:
    from playwright.sync_api import expect

    panel = page.get_by_role("region", name=EN["fetch.open"])
    page.get_by_role("button", name=EN["fetch.open"]).click()
    expect(panel.locator(".lab-fetch-offers button")).to_have_text(
        [re.compile(re.escape(EN["fetch.offer"].format(title=offer["title"]))) for offer in suggested_models()]
    )
    expect(panel.locator(".lab-fetch-offers button").first).to_contain_text("Apache-2.0; fluent, often wrong")
    expect(panel.locator(".lab-fetch-offers button").nth(1)).to_contain_text("0.923 GB, MIT")
    assert hub.requests == [], "nobody has chosen yet"

    hub.faults[WEIGHTS] = {"slow": 0.2}
    panel.get_by_role("button", name=re.compile("Fetch LiteLlama-460M")).click()
    state = panel.locator(".lab-fetch-state")
    expect(state).to_contain_text("3 files", timeout=20_000)
    expect(state).to_contain_text("Licence: MIT")
    expect(state.get_by_role("link")).to_have_attribute("href", "https://opensource.org/license/mit")
    assert [one.path for one in hub.requests] == [f"/api/models/{REPO}/revision/main?blobs=true"]

    panel.get_by_role("button", name=EN["fetch.start"]).click()
    expect(page.locator(".lab-fetch-open")).to_have_text(re.compile(r"Fetching a model, \d"), timeout=20_000)
    expect(panel.get_by_role("progressbar")).to_be_visible()
    panel.get_by_role("button", name=EN["fetch.cancel"], exact=True).click()
    expect(state).to_contain_text(EN["fetch.state_stopped"].format(title="LiteLlama-460M"), timeout=20_000)
    expect(panel.locator(".lab-fetch-offers")).to_be_visible()
    assert not (models / NAME).exists()

    page.reload()
    page.get_by_role("button", name=EN["fetch.open"]).click()
    hub.faults.clear()
    panel.get_by_role("button", name=EN["fetch.go_on"], exact=True).click()
    expect(state).to_contain_text(EN["fetch.state_ended"].format(title="LiteLlama-460M"), timeout=20_000)
    assert open_checkpoint(models / NAME).verified
    choice = page.get_by_label(EN["header.model"], exact=True)
    expect(choice.locator("option").last).to_have_text(NAME)
    panel.get_by_role("button", name=EN["fetch.use"]).click()
    expect(choice).to_have_value(NAME, timeout=20_000)
    expect(page.locator(".lab-badge")).to_have_text(EN["header.verified"])


def test_a_folder_of_this_machine_is_added_and_used(page: Page, models: Path, tiny_checkpoint: Path) -> None:
    from playwright.sync_api import expect

    page.get_by_role("button", name=EN["fetch.open"]).click()
    panel = page.get_by_role("region", name=EN["fetch.open"])
    box = panel.get_by_label(EN["fetch.by_name_local"])
    box.fill("/nowhere/model.gguf")
    panel.get_by_role("button", name=EN["fetch.look"]).click()
    expect(panel.get_by_role("alert")).to_contain_text("there is no such file or folder")
    box.fill(str(tiny_checkpoint))
    box.press("Enter")
    expect(panel.locator(".lab-fetch-state")).to_contain_text("deleting the original later does no harm")
    panel.get_by_role("button", name=EN["fetch.add"], exact=True).click()
    expect(panel.locator(".lab-fetch-state")).to_contain_text(EN["fetch.state_ended_local"].format(title="tiny"))
    assert open_checkpoint(models / "tiny").verified
    panel.get_by_role("button", name=EN["fetch.use"]).click()
    expect(page.get_by_label(EN["header.model"], exact=True)).to_have_value("tiny", timeout=20_000)


def test_a_gated_model_says_how_to_get_it(page: Page, hub: Hub) -> None:
    from playwright.sync_api import expect

    page.get_by_role("button", name=EN["fetch.open"]).click()
    panel = page.get_by_role("region", name=EN["fetch.open"])
    hub.listing_faults = [{"status": 401, "code": "GatedRepo", "message": "restricted"}]
    panel.get_by_role("button", name=re.compile("Fetch LLaMA 2 7B Chat")).click()
    expect(panel.get_by_role("alert")).to_contain_text("accept its licence on", timeout=20_000)
    page.get_by_label(EN["header.language"]).select_option("de")
    expect(page.locator(".lab-fetch-panel").get_by_role("alert")).to_contain_text("HF_TOKEN starten")
    page.locator(".lab-fetch-close").press("Escape")
    expect(page.locator(".lab-fetch-panel")).to_be_hidden()


@pytest.mark.parametrize("locale", ["en-GB", "de-DE"])
def test_a_phone(browser: Browser, address: str, locale: str) -> None:
    from playwright.sync_api import expect

    context = browser.new_context(viewport={"width": 390, "height": 844}, has_touch=True, locale=locale)
    page = context.new_page()
    page.goto(address)
    page.locator(".lab-fetch-open").click()
    expect(page.locator(".lab-fetch-offers button").last).to_be_visible()
    outside = """() => [...document.querySelectorAll('.lab-header *')].filter(
        (node) => node.getClientRects().length && node.getBoundingClientRect().right > innerWidth + 1)
        .map((node) => node.className)"""
    assert page.evaluate(outside) == []
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    context.close()


def test_a_shared_server_shows_no_button(browser: Browser, talkative_checkpoint: Path, tmp_path: Path) -> None:
    from playwright.sync_api import expect

    with running_app(talkative_checkpoint, tmp_path / "log", "--no-downloads") as address:
        page = browser.new_context(locale="en-GB").new_page()
        page.goto(address)
        expect(page.locator(".lab-badge")).to_have_text(EN["header.verified"], timeout=20_000)
        expect(page.locator(".lab-fetch-open")).to_be_hidden()
        page.context.close()
