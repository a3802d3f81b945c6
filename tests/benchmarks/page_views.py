"""How long each view of SmolLM2 takes in the page, in real Chromium, from the press until it is drawn.

    python -m tests.benchmarks.page_views [folder] [rounds] [threads] [pictures]

Prints the median of the rounds, each in a fresh page; with a folder for `pictures`, saves what was seen.
"""

from __future__ import annotations

import statistics
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from playwright.sync_api import Page, expect, sync_playwright

from app.common.strings import all_words
from litellama.checkpoint import checkpoints_folder
from litellama.footprint.machine import machine
from tests.browser.app_server import running_app
from tests.browser.chromium import CHROMIUM, QUIET

EN = all_words()["en"]
TEXT = "Yesterday Tom hid a red ball under the bed in his room, and Anna put her hat on the chair. Where is the ball?"
LONG = 240_000  # ms
TARGETS = {"chat: first token": 0.3, "attention: every head": 1.5, "attribution: ablation": 3.0, "layers": 0.5}


class Visit:
    """One page in which every view is opened; `seconds` are those of each, by its name."""

    def __init__(self, page: Page, pictures: Path | None = None) -> None:
        self.page, self.pictures = page, pictures
        self.seconds: dict[str, float] = {}

    def all(self) -> None:
        """Press through the tabs in their order. What one tab has read of the text serves the next."""
        self.chat()
        self.attention()
        self.step()
        self.layers()
        self.attribution()
        self.intervene()
        self.responsibility()

    @contextmanager
    def timed(self, name: str) -> Iterator[None]:
        start = time.perf_counter()
        yield
        self.seconds[name] = time.perf_counter() - start

    def seen(self, name: str) -> None:
        if self.pictures is not None:
            self.page.wait_for_timeout(500)
            self.page.screenshot(path=self.pictures / f"{name}.png", full_page=name != "chat")

    def open_tab(self, name: str) -> None:
        self.page.get_by_role("tab", name=EN[f"{name}.title"]).click()
        self.page.wait_for_function(f"document.querySelector('#lab-{name} textarea')?.value", timeout=LONG)

    def chat(self) -> None:
        page, turns = self.page, self.page.locator(".lab-turn")
        for number, question in enumerate(("What is the capital of France?", "Tell me about llamas.")):
            page.get_by_role("textbox", name="Your message").fill(question)
            with self.timed("chat: first token" if number else "chat: first token of all"):
                page.keyboard.press("Enter")
                turns.nth(number).locator(".lab-token").first.wait_for(timeout=LONG)
            page.locator(".lab-turn.lab-done").nth(number).wait_for(timeout=LONG)
        self.seen("chat")

    def attention(self) -> None:
        self.open_tab("attention")
        self.page.locator("#look-text").fill(TEXT)
        with self.timed("attention: every head"):
            self.page.keyboard.press("Enter")
            self.page.locator(".lab-look-cell").nth(269).wait_for(timeout=LONG)
        with self.timed("attention: roles after that"):
            expect(self.page.locator(".lab-look-probe")).to_have_text(EN["attention.roles_why"], timeout=LONG)
        with self.timed("attention: one head"):
            self.page.locator('.lab-look-cell[data-layer="12"][data-head="4"]').click()
            self.page.get_by_role("heading", name="Layer 13, head 5").wait_for(timeout=LONG)
        self.seen("attention")

    def step(self) -> None:
        self.open_tab("step")
        self.page.locator("#step-text").fill(TEXT)
        with self.timed("step"):
            self.page.keyboard.press("Enter")
            self.page.locator(".lab-step-rail button").nth(3).click(timeout=LONG)
        self.seen("step")

    def layers(self) -> None:
        self.open_tab("layers")
        self.page.locator("#layers-text").fill(TEXT)
        with self.timed("layers"):
            self.page.keyboard.press("Enter")
            self.page.locator("#lab-layers tbody tr").nth(30).wait_for(timeout=LONG)
        self.seen("layers")

    def attribution(self) -> None:
        self.open_tab("attribution")
        self.page.locator("#why-text").fill(TEXT)
        with self.timed("attribution: ablation"):
            self.page.keyboard.press("Enter")
            self.page.locator(".lab-why-word").first.wait_for(timeout=LONG)
            expect(self.page.locator(".lab-why-found")).to_be_visible(timeout=LONG)
        with self.timed("attribution: the test after that"):
            self.page.locator(".lab-why-curves svg").last.wait_for(timeout=LONG)
        self.seen("attribution")

    def intervene(self) -> None:
        self.open_tab("intervene")
        self.page.locator("#act-text").fill(TEXT)
        with self.timed("intervene: begin"):
            self.page.keyboard.press("Enter")
            expect(self.page.locator(".lab-act-head")).to_have_count(270, timeout=LONG)
        with self.timed("intervene: one head off"):
            self.page.locator(".lab-act-head").nth(4).click()
            expect(self.page.locator(".lab-act-verdict")).not_to_be_empty(timeout=LONG)
        self.seen("intervene")

    def responsibility(self) -> None:
        self.page.get_by_role("tab", name=EN["responsibility.title"]).click()
        tab = self.page.locator("#lab-responsibility")
        expect(tab.locator(".lab-fair-sentences")).not_to_have_value("", timeout=LONG)
        with self.timed("responsibility: one probe"):
            tab.locator(".lab-fair-form .lab-send").click()
            tab.locator(".lab-fair-picture svg").wait_for(timeout=LONG)
        self.seen("responsibility")


def main() -> None:
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else checkpoints_folder() / "SmolLM2-135M-Instruct"
    rounds, threads = (int(sys.argv[at]) if len(sys.argv) > at else default for at, default in ((2, 3), (3, 2)))
    pictures = Path(sys.argv[4]) if len(sys.argv) > 4 else None
    seconds: dict[str, list[float]] = {}
    with tempfile.TemporaryDirectory() as work, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=QUIET)
        with running_app(folder, Path(work) / "app.log", threads=threads) as address:
            for _ in range(rounds):
                page = browser.new_page(viewport={"width": 1280, "height": 900}, locale="en-GB")
                page.goto(address)
                page.locator("#knob-seed").wait_for(state="attached")
                visit = Visit(page, pictures)
                visit.all()
                for name, taken in visit.seconds.items():
                    seconds.setdefault(name, []).append(taken)
                page.close()
        browser.close()
    print(f"{folder.name}, {machine('cpu')}, {threads} thread(s), measured in Chromium; median of {rounds} (all)")
    for name, taken in seconds.items():
        target = f"  (target {TARGETS[name]} s)" if name in TARGETS else ""
        print(f"  {name:34} {statistics.median(taken):6.2f} s  ({', '.join(f'{one:.2f}' for one in taken)}){target}")


if __name__ == "__main__":
    main()
