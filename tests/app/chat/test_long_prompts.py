"""Long conversations on the page: what was read is stored and erased with them, waiting is told, and Stop is heard."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

import litellama.serving.batch
from app.chat import reply_writer
from app.chat.blind_test import read_pair_request
from app.chat.conversation import ExclusiveLock
from app.chat.responders import LocalResponder, ReplyStream
from app.classroom.classroom import Classroom
from app.common.settings import MOST_TOKENS_IN_CLASS, Settings, read_settings
from app.common.strings import Problem
from app.server.services import Services
from litellama.checkpoint import open_checkpoint
from litellama.model import LiteLlama
from tests.support.serving import PASSWORDS, QUIET, SETTINGS, asking, served, wait_until

LONG = "Where is the kite now? " * 6
SENT = SETTINGS | {"temperature": 0}


def settings(**changes: object) -> Settings:
    return read_settings(SENT | changes)


@pytest.fixture
def services(tiny_checkpoint: Path) -> Services:
    return Services(open_checkpoint(tiny_checkpoint))


@pytest.fixture
def slow_reading(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Eight tokens of a prompt take a tenth of a second; gives how many were read in each pass."""
    monkeypatch.setattr(litellama.serving.batch, "READ_AT_ONCE", 8)
    monkeypatch.setattr(reply_writer, "SECONDS_BEFORE_PROGRESS", 0.1)
    monkeypatch.setattr("litellama.serving.engine.SECONDS_OF_SILENCE", 0.02)
    read, passes = litellama.serving.batch.read_tokens, []

    def slowly(model: LiteLlama, ids: list[int], cache: Any) -> torch.Tensor:
        time.sleep(0.1)
        passes.append(len(ids))
        return read(model, ids, cache)

    monkeypatch.setattr(litellama.serving.batch, "read_tokens", slowly)
    return passes


def stored(services: Services) -> int:
    """Bytes of what the first model stores, once it is at rest."""
    engine = services.models.first.engine
    wait_until(lambda: not engine._working)
    return engine.stored_bytes


def test_the_second_turn_reads_only_what_is_new(services: Services, monkeypatch: pytest.MonkeyPatch) -> None:
    passes: list[int] = []
    read = litellama.serving.batch.read_tokens

    def counted(model: LiteLlama, ids: list[int], cache: Any) -> torch.Tensor:
        passes.append(len(ids))
        return read(model, ids, cache)

    monkeypatch.setattr(litellama.serving.batch, "read_tokens", counted)
    first = list(services.chat.ask("page", LONG, settings(max_tokens=10)))[-1]
    assert first.cost is not None
    assert first.cost.read == sum(passes), "what a reply took is for what was read for it"
    whole = passes.copy()
    passes.clear()
    second = list(services.chat.ask("page", "Who has it?", settings(max_tokens=10)))[-1]
    assert second.cost is not None
    assert second.cost.read == sum(passes) < sum(whole) // 2
    fresh = Services(services.models.first.opened)
    list(fresh.chat.ask("page", LONG, settings(max_tokens=10)))
    stored(fresh)
    fresh.models.first.engine.forget_all()
    passes.clear()
    anew = list(fresh.chat.ask("page", "Who has it?", settings(max_tokens=10)))[-1]
    assert sum(passes) > sum(whole)
    assert [text for text, _ in anew.tokens] == [text for text, _ in second.tokens]


@pytest.mark.parametrize("how", ["forget", "leave", "set_aside", "forget_all", "choose"])
def test_what_is_stored_is_erased_with_the_conversation(services: Services, how: str) -> None:
    erase: dict[str, Callable[[], object]] = {
        "forget": lambda: services.chat.erase("page"), "leave": lambda: services.lifecycle.forget("page"),
        "set_aside": lambda: services.lifecycle.close("page"), "forget_all": services.lifecycle.clear,
        "choose": lambda: services.page_models.choose("page", "another"),
    }  # fmt: skip
    list(services.chat.ask("page", LONG, settings()))
    assert stored(services) > 0
    erase[how]()
    assert stored(services) == 0


def test_what_is_stored_of_two_side_by_side_is_erased_with_them(services: Services) -> None:
    name = services.models.first.name
    pair = read_pair_request(name, SENT, {"model": name, "temperature": 0, "blind": False, "in_turn": False})
    for erase in (services.chat.side_by_side.erase, services.chat.side_by_side.forget):
        list(services.chat.side_by_side.ask("page", LONG, pair))
        assert stored(services) > 0
        erase("page")
        assert stored(services) == 0


def test_a_conversation_erased_while_it_is_written_leaves_nothing(services: Services) -> None:
    running = services.chat.ask("page", LONG, settings(max_tokens=60))
    next(running)
    services.chat.erase("page")
    list(running)
    assert stored(services) == 0


def test_a_model_that_makes_room_for_another_stores_no_more(tiny_checkpoint: Path, services: Services) -> None:
    model = services.models.first
    before = model.bytes
    list(services.chat.ask("page", LONG, settings()))
    assert model.bytes == before + stored(services) > before
    model.drop()
    assert model.bytes == before
    list(services.chat.ask("page", "And now?", settings()))
    assert stored(services) == 0


def test_a_long_prompt_shows_how_far_it_is(services: Services, slow_reading: list[int]) -> None:
    told = [update.to_json() for update in services.chat.ask("page", LONG, settings(max_tokens=3))]
    shown = [update["progress"] for update in told if update["progress"]]
    assert len(shown) > 2
    reads = [one["read"] for one in shown]
    assert reads == sorted(reads)
    assert {one["total"] for one in shown} == {sum(slow_reading)}
    assert all(update["tokens"] == [] and update["state"] == "running" for update in told if update["progress"])
    assert told[-1]["progress"] is None
    assert told[-1]["count"] > 0


def test_stop_is_heard_during_a_long_prompt(services: Services, slow_reading: list[int]) -> None:
    running = services.chat.ask("page", LONG, settings())
    assert next(running).progress is not None
    services.chat.stop("page")
    start = time.monotonic()
    update = list(running)[-1]
    assert time.monotonic() - start < 1
    assert (update.state, update.tokens) == ("stopped", [])
    assert update.cost is not None
    wait_until(lambda: not services.models.first.engine._working)
    assert update.cost.read <= sum(slow_reading) < 50, "of more than fifty"


def test_stop_is_heard_while_waiting_for_a_slot(services: Services, slow_reading: list[int]) -> None:
    services.models.first.engine.slots = 1
    first = services.chat.ask("first", LONG, settings(max_tokens=60))
    next(first)
    second = services.chat.ask("second", LONG, settings())
    update = next(second)
    assert update.progress is not None
    assert update.progress.waiting
    services.chat.stop("second")
    assert [update.state for update in second] == ["stopped"]
    first.close()  # type: ignore[attr-defined]


def test_a_message_stopped_before_its_turn_is_never_begun(services: Services) -> None:
    list(services.chat.ask("page", "first", settings(), "1"))
    services.chat.stop("page", "2")
    for action in (services.chat.ask, services.chat.redo):
        with pytest.raises(Problem, match="stopped before its turn"):
            list(action("page", "second", settings(), "2"))
    assert [turn.question for turn in services.chat.conversation("page").turns] == ["first"]
    assert list(services.chat.ask("page", "third", settings(), "3"))


def test_a_reply_may_take_its_time_but_not_in_a_class(services: Services, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reply_writer, "SECONDS_IN_CLASS", 0.0)
    assert list(services.chat.ask("page", "hello", settings()))[-1].state in ("done", "length")
    services = Services(services.models.first.opened, classroom=Classroom(*PASSWORDS))
    assert list(services.chat.ask("page", "hello", settings()))[-1].state == "time"


def test_in_a_class_a_reply_has_fewer_tokens(services: Services, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[int] = []
    reply = LocalResponder.reply

    def log_error(self: LocalResponder, messages: Any, settings: Settings) -> ReplyStream:
        asked.append(settings.max_tokens)
        return reply(self, messages, settings)

    monkeypatch.setattr(LocalResponder, "reply", log_error)
    list(services.chat.ask("page", "hello", settings(max_tokens=2000)))
    services = Services(services.models.first.opened, classroom=Classroom(*PASSWORDS))
    list(services.chat.ask("page", "hello", settings(max_tokens=2000)))
    assert asked == [2000, MOST_TOKENS_IN_CLASS]


def test_a_pen_is_held_for_as_long_as_somebody_says_so() -> None:
    pen = ExclusiveLock()
    with pen.held(0.2) as hold_on:
        for _ in range(4):
            time.sleep(0.1)
            hold_on()
            with pytest.raises(Problem), pen.held(1):
                pass
        time.sleep(0.3)
        with pen.held(10):
            hold_on()  # too late: it is another's
            with pytest.raises(Problem), pen.held(1):
                pass
        with pen.held(0):
            pass


@pytest.fixture(autouse=True)
def _no_worker_is_left() -> Iterator[None]:
    yield
    wait_until(lambda: not [one for one in threading.enumerate() if one.name == "litellama-engine"])


class TestOverHttp:
    pytestmark = QUIET

    def test_progress_and_stop(self, services: Services, slow_reading: list[int]) -> None:
        with served(services) as lab:
            page = lab.page()
            event = page.join("ask", asking(LONG, max_tokens=60) | {"request": "7"}).json()["event_id"]
            updates = page.listen(event)
            first = next(updates)
            assert first["progress"]["read"] < first["progress"]["total"]
            page.join("stop", {"request": "7"})
            *_, last = updates
            assert (last["state"], last["count"]) == ("stopped", 0)
            assert page.call("ask", asking("Hello?") | {"request": "8"})["state"] in ("done", "length")

    def test_a_message_stopped_in_the_line_is_not_begun(self, services: Services) -> None:
        with served(services) as lab:
            page = lab.page()
            page.call("ask", asking("Hello?") | {"request": "1"})
            services.chat.stop(lab.key(page), "2")
            told = page.call("ask", asking("And now?") | {"request": "2"})
            assert told["problem"]["key"] == "problem.not_begun"
            assert lab.questions(page) == ["Hello?"]
