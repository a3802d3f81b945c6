"""A real headless Chromium on a real server process."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import torch

from litellama.chat import stop_ids
from litellama.checkpoint import save_checkpoint
from litellama.config import preset
from litellama.tokenizer import Tokenizer
from tests.browser.app_server import running_app
from tests.conftest import random_model

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

LEFT = ("AbortError", "Unexpected error Connection errored out")
"""What Gradio logs when a page is left, or loaded again, while an answer is on its way."""


@pytest.fixture(scope="session")
def talkative_checkpoint(tmp_path_factory: pytest.TempPathFactory, tokenizer: Tokenizer) -> Path:
    """An untrained model of the embedded one's size that finds no end, so that there is time to stop it."""
    folder = tmp_path_factory.mktemp("checkpoints") / "talkative"
    config = replace(preset("tinytown"), vocab_size=tokenizer.vocab_size, max_position_embeddings=1024)
    model = random_model(config)
    with torch.no_grad():
        model.lm_head.weight[list(stop_ids(model, tokenizer))] = 0  # score 0, and some other token's is always higher
    save_checkpoint(folder, model, tokenizer, card={"name": "Talkative"})
    return folder


@pytest.fixture(scope="module")
def address(talkative_checkpoint: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    log = tmp_path_factory.mktemp("app") / "app.log"
    with running_app(talkative_checkpoint, log) as address:
        yield address
    assert "Traceback" not in log.read_text(), log.read_text()


@pytest.fixture
def page(browser: Browser, address: str) -> Iterator[Page]:
    """A fresh page on a desktop's window, opened and ready; errors in its console fail the test."""
    context = browser.new_context(viewport={"width": 1280, "height": 800}, locale="en-GB")
    page = context.new_page()
    errors: list[str] = []
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.on("console", lambda message: errors.append(message.text) if message.type == "error" else None)
    page.goto(address)
    page.get_by_role("textbox", name="Your message").wait_for()
    page.locator("#knob-seed").wait_for(state="attached")  # the chat's script has run
    yield page
    context.close()
    assert not (told := [error for error in errors if not error.startswith(LEFT)]), told
