"""A page that is told that its reply has ended may ask again in that very moment."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from app.chat.conversation import Conversation, ExclusiveLock
from app.classroom.classroom import Classroom
from app.server.services import Services
from litellama.checkpoint import open_checkpoint
from tests.browser.app_server import Page, patched
from tests.support.serving import QUIET, Served, asking, class_if, served

pytestmark = QUIET


@pytest.fixture(scope="module", params=[False, True], ids=["alone", "in class"])
def lab(tiny_checkpoint: Path, request: pytest.FixtureRequest) -> Iterator[Served]:
    with served(Services(open_checkpoint(tiny_checkpoint), classroom=class_if(request.param))) as lab:
        yield lab


@pytest.fixture(autouse=True)
def slow_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    """What one reply at a time may hold is given back a moment late, as on a busy machine."""

    def slow(hold: Callable[..., Any]) -> Callable[..., Any]:
        @contextmanager
        def held(*arguments: Any) -> Iterator[Any]:
            with hold(*arguments) as given:
                yield given
                time.sleep(0.5)

        return held

    for owner, name in ((Conversation, "writing"), (ExclusiveLock, "held"), (Classroom, "writing")):
        monkeypatch.setattr(owner, name, slow(getattr(owner, name)))


def last_answers(page: Page, name: str, requests: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The last answer to each request; each is sent as soon as the one before has had its last answer."""
    last: list[dict[str, Any]] = []
    event, value = page.join(name, requests[0]).json()["event_id"], None
    for message in messages_of(page):
        output = message.get("output", {}).get("data")
        if message.get("event_id") != event or not output:
            continue
        value = patched(value, output[0])
        if value.get("state") == "running" or value.get("over") is False:
            continue
        last.append(value)
        if len(last) == len(requests):
            break
        event, value = page.join(name, requests[len(last)]).json()["event_id"], None
    return last


def messages_of(page: Page) -> Iterator[dict[str, Any]]:
    while True:  # the server ends the stream when nothing is left to be answered
        with page.client.stream("GET", "/gradio_api/queue/data", params={"session_hash": page.session}) as stream:
            for line in stream.iter_lines():
                if line.startswith("data:"):
                    yield json.loads(line.removeprefix("data:"))


def test_the_next_message_may_follow_at_once(lab: Served) -> None:
    first, second = last_answers(lab.page("Zoe"), "ask", [asking("Where is the kite?"), asking("And the ball?")])
    assert (first["state"], second["state"]) == ("length", "length"), (first, second)


def test_the_next_message_to_both_may_follow_at_once(lab: Served) -> None:
    model = lab.services.models.first.name
    request = asking("Where is the kite?") | {
        "side_by_side": {"model": model, "temperature": 0, "blind": False, "in_turn": False}
    }
    first, second = last_answers(lab.page("Zoe"), "ask_both", [request, request])
    assert [first.get("over"), second.get("over")] == [True, True], (first, second)
