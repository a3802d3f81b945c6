"""A network that breaks, and more pages than there is room for: who is gone is let go, who must wait is told so, and
whoever else is asking gets what they get alone."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from torch import Tensor

from app.chat import reply_writer
from app.common.settings import read_settings
from app.server.services import Services
from litellama.checkpoint import open_checkpoint
from litellama.decoding import Decoding
from litellama.sampling import Sampling
from tests.browser.app_server import Page
from tests.support.serving import QUIET, SETTINGS, Served, asking, class_if, served, wait_until

pytestmark = QUIET
LONG = asking("Tell me all of it.", max_tokens=64, temperature=2, top_p=1)
SHORT = asking("Where is the kite?", max_tokens=3)
LOOK, MOST_WAITING = "Where is the kite?", 64


@contextmanager
def slow_steps(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[int]]:
    """Each step of the engine takes a twentieth of a second; gives how many replies each one was for."""
    widths: list[int] = []
    step = Decoding.step

    def slowly(self: Decoding, ids: list[int]) -> Tensor:
        time.sleep(0.05)
        widths.append(len(ids))
        return step(self, ids)

    with monkeypatch.context() as patch:
        patch.setattr(Decoding, "step", slowly)
        yield widths


def is_free(lab: Served) -> bool:
    """Whether nobody's reply is being written."""
    return not lab.services.models.first.engine._working


@contextmanager
def full_queue(lab: Served, client: httpx.Client, monkeypatch: pytest.MonkeyPatch) -> Iterator[list[tuple[Page, str]]]:
    """One page looks at heads, for which there is one place, and as many wait for it as may; until the block ends."""
    go_on, begun, look = threading.Event(), threading.Event(), lab.services.attention.look

    def held(*arguments: Any) -> Iterator[dict[str, Any]]:
        begun.set()
        assert go_on.wait(60)
        yield from look(*arguments)

    with monkeypatch.context() as patch:
        patch.setattr(lab.services.attention, "look", held)
        pages = [Page(client) for _ in range(1 + MOST_WAITING)]
        try:
            events = [pages[0].join("look", {"text": LOOK})]
            assert begun.wait(20)
            events += [page.join("look", {"text": LOOK}) for page in pages[1:]]
            yield [
                (page, event.raise_for_status().json()["event_id"]) for page, event in zip(pages, events, strict=True)
            ]
        finally:
            go_on.set()


@pytest.fixture(scope="module", params=[False, True], ids=["alone", "in class"])
def lab(tiny_checkpoint: Path, request: pytest.FixtureRequest) -> Iterator[Served]:
    with served(Services(open_checkpoint(tiny_checkpoint), classroom=class_if(request.param))) as lab:
        yield lab


def close_in_the_middle(page: Page) -> None:
    """Begin to listen to a long reply, and close the tab at its first words."""
    page.join("ask", LONG)
    with page.client.stream("GET", "gradio_api/queue/data", params={"session_hash": page.session}) as stream:
        next(line for line in stream.iter_lines() if "process_generating" in line)


@pytest.mark.fault(17)
def test_a_tab_closed_in_the_middle_ends_its_reply_and_no_other(lab: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = lab.page("Ada").call("ask", LONG)
    assert whole["count"] > 50
    other = lab.page("Ben")
    alone = other.call("ask", LONG)["tokens"]
    other.call("clear", {"request": "2"})
    with slow_steps(monkeypatch) as widths:
        event = other.join("ask", LONG).json()["event_id"]
        close_in_the_middle(lab.page("Mia"))
        *_, meanwhile = other.listen(event)
        wait_until(lambda: is_free(lab))
    assert meanwhile["tokens"] == alone
    assert 1 <= sum(width == 2 for width in widths) < whole["count"] // 2, "it went on for nobody"


@pytest.mark.fault(18)
@pytest.mark.parametrize("classroom", [False, True], ids=["alone", "in class"])
def test_who_never_listens_has_a_place_no_longer_than_anybody(
    tiny_checkpoint: Path, monkeypatch: pytest.MonkeyPatch, classroom: bool
) -> None:
    with served(
        Services(open_checkpoint(tiny_checkpoint), seconds_per_reply=0.5, classroom=class_if(classroom))
    ) as lab:
        page, other = lab.page("Mia"), lab.page("Ben")
        alone = other.call("ask", SHORT)["tokens"]
        other.call("clear", {"request": "2"})
        with slow_steps(monkeypatch) as widths:
            page.join("ask", LONG)
            wait_until(lambda: len(widths) > 1)
            assert other.call("ask", SHORT)["tokens"] == alone
            wait_until(lambda: is_free(lab))
        assert len(widths) < 40, "it had its place for all of a long reply"
        assert lab.questions(page) == [LONG["text"]]
        page.session += "again"  # as after a reload; the pupil is the same
        assert page.call("ask", SHORT)["state"] in ("done", "length")


@pytest.mark.fault(19)
def test_a_full_queue_is_told_and_those_who_wait_get_their_replies(
    tiny_checkpoint: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with served(Services(open_checkpoint(tiny_checkpoint))) as lab:
        late = lab.page()
        before = late.call("ask", asking("Hello?"))
        alone = lab.page().call("look", {"text": LOOK})
        with full_queue(lab, late.client, monkeypatch) as waiting:
            refusal = late.join("ask", SHORT)
            assert refusal.status_code == 503
            assert "Queue is full" in refusal.text, "from which the page makes its sentence"
            assert late.client.get("models.json").status_code == 200
        for page, event in waiting:
            *_, answer = page.listen(event)
            assert answer == alone
        assert late.call("pick", {"turn": before["turn"], "token": 0})["rows"]
        assert late.call("ask", SHORT)["state"] in ("done", "length"), "the way is free again"


@pytest.mark.fault(21, 22)
def test_a_model_that_fails_is_a_sentence_for_whom_it_fails(
    lab: Served, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    page, other = lab.page("Mia"), lab.page("Ben")
    before = page.call("ask", SHORT)
    alone = other.call("ask", LONG)["tokens"]
    other.call("clear", {"request": "2"})
    sample = Sampling.sample

    def fail_for_one(self: Sampling, *arguments: Any) -> int:
        if self.temperature == 1.5:
            raise RuntimeError("Mia's secret stood in this trace")
        return sample(self, *arguments)

    monkeypatch.setattr(Sampling, "sample", fail_for_one)
    with slow_steps(monkeypatch):
        event = other.join("ask", LONG).json()["event_id"]
        told = page.stream("ask", asking("My secret.", temperature=1.5))
        *_, meanwhile = other.listen(event)
    assert {answer["state"] for answer in told} == {"problem"}
    assert "Something went wrong" in told[0]["problem"]["english"]
    assert "secret" not in str(told)
    assert meanwhile["tokens"] == alone
    assert "a reply failed" in caplog.text
    assert lab.questions(page) == [SHORT["text"]]
    assert page.call("pick", {"turn": before["turn"], "token": 0})["rows"]


@pytest.mark.fault(18)
def test_more_deaf_pages_than_there_are_places_keep_nobody_out(lab: Served) -> None:
    other = lab.page("Ben")
    alone = other.call("ask", SHORT)["tokens"]
    other.call("clear", {"request": "2"})
    for number in range(45):
        assert lab.page(f"Deaf {number}").join("ask", LONG).status_code == 200
    assert other.call("ask", SHORT)["tokens"] == alone


@pytest.mark.fault(18)
def test_a_reply_that_was_dropped_without_a_word_frees_its_page(
    tiny_checkpoint: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reply_writer, "SECONDS_HELD", 0.0)
    services = Services(open_checkpoint(tiny_checkpoint))
    held = services.chat.ask("page", "hello", read_settings(SETTINGS))
    next(held)
    assert list(services.chat.ask("page", "hello again", read_settings(SETTINGS)))
