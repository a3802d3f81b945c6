"""The chat's knobs stand where the model's own files say, and stay where the user turned them."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from app.common.strings import all_words
from tests.browser.app_server import running_app

if TYPE_CHECKING:
    from playwright.sync_api import Page

pytestmark = pytest.mark.browser
EN = all_words()["en"]


@pytest.fixture(scope="module")
def address(talkative_checkpoint: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    folder = tmp_path_factory.mktemp("app")
    own = folder / "models" / "own"
    shutil.copytree(talkative_checkpoint, own)
    (own / "manifest.json").unlink()
    (own / "generation_config.json").write_text(json.dumps({"temperature": 0.3, "repetition_penalty": 1.05}))
    with running_app(talkative_checkpoint, folder / "log", "--models", str(folder / "models")) as address:
        yield address
    assert "Traceback" not in (folder / "log").read_text()


def test_the_models_defaults_and_the_users_own(page: Page) -> None:
    from playwright.sync_api import expect

    def knobs(**expected: str) -> None:
        for name, value in expected.items():
            expect(page.locator(f"#knob-{name}")).to_have_value(value, timeout=20_000)

    def choose(name: str) -> None:
        page.get_by_label(EN["header.model"], exact=True).select_option(name)
        page.wait_for_url(f"**model={name}*")

    first = "talkative"
    expect(page.get_by_label(EN["header.model"], exact=True)).to_have_value(first, timeout=20_000)
    knobs(temperature="0.7", repetition_penalty="1", top_k="0")
    choose("own")
    knobs(temperature="0.3", repetition_penalty="1.05", top_k="0")
    page.locator("#knob-top_k").fill("5")
    page.locator("#knob-temperature").fill("1.2")
    choose(first)
    knobs(temperature="1.2", repetition_penalty="1", top_k="5")
    page.get_by_role("button", name=EN["chat.defaults"]).click()
    knobs(temperature="0.7", repetition_penalty="1", top_k="0")
    choose("own")
    knobs(temperature="0.3", repetition_penalty="1.05", top_k="0")
