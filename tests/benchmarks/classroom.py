"""A class at the app: many pages at once, driven as browsers drive them, from a process of its own.

    python -m tests.benchmarks.classroom rush      everybody presses Send in the same second        (40 pages)
    python -m tests.benchmarks.classroom pace      a message each 30 s, for two minutes             (40 pages)
    python -m tests.benchmarks.classroom crowd     three times as many as there are seats           (120 pages)
    python -m tests.benchmarks.classroom soak      as pace, for --minutes; memory at its begin and end

With `--browsers 3` three of Chromium's pages take part besides, and tell when a person saw the first text.

Each page is a pupil's in `--classroom`, joins the queue and listens to its stream of events as Gradio's page does, and
asks for the teacher's news every 2.5 s; every message is another one.
Told are: the time to the first *text*, the gap between two updates, the time to the end, tokens per second of all
together, every reply that failed or was refused, how quickly other requests are answered meanwhile, and the server's
memory. The load itself takes processor time too: about a tenth of a core here.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import random
import secrets
import statistics
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import httpx
from playwright.async_api import Error as PlaywrightError
from playwright.async_api import async_playwright

from litellama.footprint.machine import machine
from tests.browser.app_server import ROOT, patched, running_app, server_of
from tests.browser.chromium import CHROMIUM, QUIET

NAMES = "Tom Anna Mia Ben Lisa Paul Nina Felix Ivy Hugo".split()
COLOURS = "red blue green yellow black white brown orange".split()
THINGS = "ball hat kite cup book lamp key coat drum box".split()
PLACES = "under the bed|in the garden|behind the door|on the table|in the park|near the lake".split("|")
SETTINGS = {"temperature": 0.7, "top_p": 0.95, "top_k": 0, "max_tokens": 200, "seed": None}
PASSWORD = "red-kite"
PATIENCE = 60.0  # seconds after which a reply counts as lost


@dataclass
class Reply:
    """What one message met with: seconds to its first text and its end, gaps between updates, tokens; or why not."""

    first: float | None = None
    end: float | None = None
    tokens: int = 0
    gaps: list[float] = field(default_factory=list)
    refused: str | None = None
    failed: str | None = None


def message(chance: random.Random) -> str:
    """A message that no other page sends; half ask for a story, which makes a long reply."""
    if chance.random() < 0.5:
        return f"Tell me a story about {chance.choice(NAMES)} and a {chance.choice(COLOURS)} {chance.choice(THINGS)}."
    who, other = chance.sample(NAMES, 2)
    thing = chance.choice(THINGS)
    return (
        f"{who} hid a {chance.choice(COLOURS)} {thing} {chance.choice(PLACES)}. {other} has a "
        f"{chance.choice(COLOURS)} {chance.choice(THINGS)}. Where is the {thing}?"
    )


class Pupil:
    """One open page."""

    def __init__(self, client: httpx.AsyncClient, number: int) -> None:
        self.client = client
        self.number = number
        self.chance = random.Random(number)
        self.session = secrets.token_hex(8)
        self.headers: dict[str, str] = {}
        self.ask = -1

    async def come_in(self, address: str) -> None:
        """Say the password, and load what the page loads first."""
        fields = {"name": f"Pupil {self.number}", "password": PASSWORD}
        entered = await self.client.post("/enter", data=fields, headers={"origin": address.rstrip("/")})
        assert entered.status_code == 303, entered.text
        self.headers = {"cookie": entered.headers["set-cookie"].split(";")[0]}
        self.client.cookies.clear()  # one client stands for many browsers
        functions = (await self.client.get("/config", headers=self.headers)).raise_for_status().json()["dependencies"]
        self.ask = next(function["id"] for function in functions if function["api_name"] == "ask")

    async def hear_news(self, over: asyncio.Event) -> None:
        await asyncio.sleep(self.chance.uniform(0, 2.5))
        while not over.is_set():
            (await again(lambda: self.client.get("/room.json", headers=self.headers))).raise_for_status()
            await asyncio.sleep(2.5)

    async def send(self) -> Reply:
        """Write one message and wait for its reply."""
        reply, start = Reply(), time.monotonic()
        try:
            async with asyncio.timeout(PATIENCE):
                await self._send(reply, start)
        except TimeoutError:
            reply.failed = f"no end within {PATIENCE:.0f} s"
        except httpx.HTTPError as error:
            reply.failed = f"{type(error).__name__}: {error}"
        return reply

    async def _send(self, reply: Reply, start: float) -> None:
        sent = {"request": "1", "text": message(self.chance), "settings": SETTINGS, "model": None}
        body = {"data": [], "event_data": sent, "fn_index": self.ask, "session_hash": self.session}
        join = partial(self.client.post, "/gradio_api/queue/join", json=body, headers=self.headers)
        joined = await again(join)
        if joined.status_code != 200:
            reply.refused = f"{joined.status_code} {joined.text[:80]}"
            return
        told, last, value = joined.json()["event_id"], start, None
        params = {"session_hash": self.session}
        async with self.client.stream("GET", "/gradio_api/queue/data", params=params, headers=self.headers) as stream:
            async for line in stream.aiter_lines():
                if not line.startswith("data:"):
                    continue
                news = json.loads(line.removeprefix("data:"))
                if news.get("event_id") != told or news["msg"] not in ("process_generating", "process_completed"):
                    continue
                if not news["success"]:
                    reply.failed = str(news["output"])[:80]
                    return
                now = time.monotonic()
                for data in news["output"].get("data", [])[:1]:
                    value = patched(value, data)
                if isinstance(value, dict) and "problem" in value:
                    reply.refused = value["problem"]["key"]
                    return
                if isinstance(value, dict) and value.get("tokens"):
                    if reply.first is None:
                        reply.first = now - start
                    else:
                        reply.gaps.append(now - last)
                    reply.tokens, last = len(value["tokens"]), now
                if news["msg"] == "process_completed":
                    reply.end = now - start
                    return


async def again(ask: Callable[[], Awaitable[httpx.Response]]) -> httpx.Response:
    """Ask; and once more where the server had just closed the idle connection that was used, as browsers do."""
    try:
        return await ask()
    except httpx.RemoteProtocolError:
        return await ask()


async def other_requests(pupil: Pupil, over: asyncio.Event) -> list[float]:
    """How long the page and its list of models take meanwhile, asked twice a second."""
    times = []
    while not over.is_set():
        for path in ("/", "/models.json"):
            start = time.monotonic()
            (await again(partial(pupil.client.get, path, headers=pupil.headers))).raise_for_status()
            times.append(time.monotonic() - start)
        await asyncio.sleep(0.5)
    return times


class Window:
    """A page in a real browser."""

    def __init__(self, page: Any, number: int) -> None:
        self.page, self.chance = page, random.Random(1000 + number)

    async def come_in(self, address: str) -> None:
        await self.page.goto(address)
        await self.page.locator("[name=name]").fill("Browser")
        await self.page.locator("[name=password]").fill(PASSWORD)
        await self.page.get_by_role("button").click()
        await self.page.locator("#knob-seed").wait_for(state="attached")

    async def send(self) -> Reply:
        """Type one message and watch its reply appear."""
        reply, turns = Reply(), await self.page.locator(".lab-turn").count()
        await self.page.locator("#lab-chat textarea").fill(message(self.chance))
        turn, start = self.page.locator(".lab-turn").nth(turns), time.monotonic()
        try:
            await self.page.keyboard.press("Enter")
            await turn.locator(".lab-token").first.wait_for(timeout=PATIENCE * 1000)
            reply.first = time.monotonic() - start
            await self.page.locator(".lab-turn.lab-done").nth(turns).wait_for(timeout=PATIENCE * 1000)
            reply.end = time.monotonic() - start
        except PlaywrightError as error:
            reply.failed = str(error).splitlines()[0]
        return reply


async def play(
    address: str, pages: int, seconds: float, think: float, windows: Sequence[Window] = ()
) -> tuple[list[Reply], list[Reply], list[float], float]:
    """Let `pages` and `windows` write: once if `seconds` is 0, else for so long, a message each `think` seconds on
    average. Gives the replies of both, the times of other requests, and how long it all took."""
    limits = httpx.Limits(max_connections=None, max_keepalive_connections=pages)
    async with httpx.AsyncClient(base_url=address, timeout=PATIENCE, limits=limits) as client:
        pupils = [Pupil(client, number) for number in range(pages)]
        for pupil in pupils:
            await pupil.come_in(address)
        over, start = asyncio.Event(), time.monotonic()
        other_work = asyncio.create_task(other_requests(pupils[0], over))
        news = [asyncio.create_task(pupil.hear_news(over)) for pupil in pupils]

        async def write(pupil: Pupil | Window) -> list[Reply]:
            if not seconds:
                return [await pupil.send()]
            replies = []
            await asyncio.sleep(pupil.chance.uniform(0, think))
            while time.monotonic() - start < seconds:
                began = time.monotonic()
                replies.append(await pupil.send())
                await asyncio.sleep(max(0.0, pupil.chance.uniform(0.5, 1.5) * think - (time.monotonic() - began)))
            return replies

        parts = await asyncio.gather(*map(write, [*pupils, *windows]))
        replies = [reply for part in parts[:pages] for reply in part]
        seen = [reply for part in parts[pages:] for reply in part]
        took = time.monotonic() - start
        over.set()
        await asyncio.gather(*news)
        return replies, seen, await other_work, took


def percentiles(values: Sequence[float]) -> str:
    if not values:
        return "none"
    ordered = sorted(values)
    at = [ordered[min(len(ordered) - 1, int(share * len(ordered)))] for share in (0.5, 0.95, 0.99)]
    return f"p50 {at[0]:.2f}  p95 {at[1]:.2f}  p99 {at[2]:.2f}  max {ordered[-1]:.2f} s"


def report(replies: Sequence[Reply], others: Sequence[float], took: float) -> dict[str, Any]:
    done = [reply for reply in replies if reply.end is not None]
    refused = [reply.refused for reply in replies if reply.refused]
    failed = [reply.failed for reply in replies if reply.failed]
    print(f"{len(replies)} messages: {len(done)} answered, {len(refused)} refused in words, {len(failed)} lost")
    for what in sorted({*refused, *failed}):
        print(f"    {what}")
    tokens = sum(reply.tokens for reply in done)
    busy = max((reply.end or 0 for reply in done), default=0) if took < PATIENCE else took
    print(f"first text      {percentiles([reply.first for reply in done if reply.first is not None])}")
    print(f"between updates {percentiles([gap for reply in done for gap in reply.gaps])}")
    print(f"whole reply     {percentiles([reply.end for reply in done if reply.end is not None])}")
    print(f"other requests  {percentiles(others)}")
    if busy:
        print(f"tokens          {tokens} in {busy:.1f} s, {tokens / busy:.0f} per second together")
    return {"answered": len(done), "refused": len(refused), "lost": len(failed), "tokens": tokens}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("play", choices=("rush", "pace", "crowd", "soak"))
    parser.add_argument("--pages", type=int, help="how many pages (default: 40, or 120 of a crowd)")
    parser.add_argument("--minutes", type=float, default=60, help="of a soak")
    parser.add_argument("--think", type=float, default=30, help="seconds between two messages of a page")
    parser.add_argument("--browsers", type=int, default=0, help="pages in real browsers besides")
    parser.add_argument("--checkpoint", type=Path, default=ROOT / "checkpoints" / "tinytown")
    options = parser.parse_args()
    pages = options.pages or (120 if options.play == "crowd" else 40)
    seconds = {"rush": 0, "crowd": 0, "pace": 120, "soak": 60 * options.minutes}[options.play]
    os.environ |= {"LITELLAMA_CLASS_PASSWORD": PASSWORD, "LITELLAMA_TEACHER_PASSWORD": "blue-hat"}
    in_class = ("--classroom", "--host", "127.0.0.1")
    with (
        tempfile.TemporaryDirectory() as folder,
        running_app(options.checkpoint, Path(folder) / "log", *in_class) as address,
    ):
        address = address.removesuffix("teacher")
        server = server_of(address)
        asyncio.run(play(address, 1, 0, 0))  # the first reply of all loads what the others find loaded
        before = server.memory_info().rss
        print(f"{options.play}: {pages} pages, measured on {machine('cpu')}; memory before: {before / 1e6:.0f} MB")
        sizes = []

        async def watched() -> tuple[list[Reply], list[Reply], list[float], float]:
            async def look() -> None:
                while True:
                    sizes.append(server.memory_info().rss)
                    await asyncio.sleep(1)

            async with async_playwright() as playwright:
                windows = []
                if options.browsers:
                    browser = await playwright.chromium.launch(executable_path=CHROMIUM, args=QUIET)
                    for number in range(options.browsers):
                        windows.append(Window(await (await browser.new_context()).new_page(), number))
                        await windows[-1].come_in(address)
                watch = asyncio.create_task(look())
                try:
                    return await play(address, pages, seconds, options.think, windows)
                finally:
                    watch.cancel()

        replies, seen, others, took = asyncio.run(watched())
        found = report(replies, others, took)
        if seen:
            failed = sum(reply.failed is not None for reply in seen)
            print(f"in Chromium     {len(seen)} messages, {failed} lost")
            print(f"    first text  {percentiles([reply.first for reply in seen if reply.first is not None])}")
            print(f"    whole reply {percentiles([reply.end for reply in seen if reply.end is not None])}")
        share = max(1, len(sizes) // 10)
        parts = [statistics.median(sizes[start : start + share]) / 1e6 for start in range(0, len(sizes), share)]
        tenths = ", ".join(f"{part:.0f}" for part in parts)
        print(f"memory          at most {max(sizes) / 1e6:.0f} MB; by tenths of the time {tenths}")
        log = (Path(folder) / "log").read_text()
        if log:
            print(f"the server's log:\n{log[-2000:]}")
    return int(found["lost"] > 0)


if __name__ == "__main__":
    sys.exit(main())
