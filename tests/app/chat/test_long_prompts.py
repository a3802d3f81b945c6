"""Long conversations on the page: what was read is stored and erased with them, waiting is told, and Stop is heard."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

import app.session as session_module
import litellama.serving.batch
from app.chat.blind_test import read_pair_request
from app.chat.conversation import ExclusiveLock
from app.chat.responders import LocalResponder, ReplyStream
from app.classroom.classroom import Classroom
from app.common.settings import MOST_TOKENS_IN_CLASS, Settings, read_settings
from app.common.strings import Problem
from app.session import Session
from litellama.checkpoint import open_checkpoint
from litellama.model import LiteLlama
from tests.support.serving import PASSWORDS, QUIET, SETTINGS, asking, served, wait_until

LONG = "Where is the kite now? " * 6
SENT = SETTINGS | {"temperature": 0}


def settings(**changes: object) -> Settings:
    return read_settings(SENT | changes)


@pytest.fixture
def session(tiny_checkpoint: Path) -> Session:
    return Session(open_checkpoint(tiny_checkpoint))


@pytest.fixture
def slow_reading(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Eight tokens of a prompt take a tenth of a second; gives how many were read in each pass."""
    monkeypatch.setattr(litellama.serving.batch, "READ_AT_ONCE", 8)
    monkeypatch.setattr(session_module, "SECONDS_UNTOLD", 0.1)
    monkeypatch.setattr("litellama.serving.engine.SECONDS_OF_SILENCE", 0.02)
    read, passes = litellama.serving.batch.read_tokens, []

    def slowly(model: LiteLlama, ids: list[int], cache: Any) -> torch.Tensor:
        time.sleep(0.1)
        passes.append(len(ids))
        return read(model, ids, cache)

    monkeypatch.setattr(litellama.serving.batch, "read_tokens", slowly)
    return passes


def stored(session: Session) -> int:
    """Bytes of what the first model stores, once it is at rest."""
    engine = session.models.first.engine
    wait_until(lambda: not engine._working)
    return engine.stored_bytes


def test_the_second_turn_reads_only_what_is_new(session: Session, monkeypatch: pytest.MonkeyPatch) -> None:
    passes: list[int] = []
    read = litellama.serving.batch.read_tokens

    def counted(model: LiteLlama, ids: list[int], cache: Any) -> torch.Tensor:
        passes.append(len(ids))
        return read(model, ids, cache)

    monkeypatch.setattr(litellama.serving.batch, "read_tokens", counted)
    first = list(session.ask("page", LONG, settings(max_tokens=10)))[-1]
    assert first.bill is not None
    assert first.bill.read == sum(passes), "what a reply took is for what was read for it"
    whole = passes.copy()
    passes.clear()
    second = list(session.ask("page", "Who has it?", settings(max_tokens=10)))[-1]
    assert second.bill is not None
    assert second.bill.read == sum(passes) < sum(whole) // 2
    fresh = Session(session.models.first.opened)
    list(fresh.ask("page", LONG, settings(max_tokens=10)))
    stored(fresh)
    fresh.models.first.engine.forget_all()
    passes.clear()
    anew = list(fresh.ask("page", "Who has it?", settings(max_tokens=10)))[-1]
    assert sum(passes) > sum(whole)
    assert [text for text, _ in anew.tokens] == [text for text, _ in second.tokens]


@pytest.mark.parametrize("how", ["forget", "leave", "set_aside", "forget_all", "choose"])
def test_what_is_stored_is_erased_with_the_conversation(session: Session, how: str) -> None:
    erase: dict[str, Callable[[], object]] = {
        "forget": lambda: session.forget("page"), "leave": lambda: session.leave("page"),
        "set_aside": lambda: session.set_aside("page"), "forget_all": session.forget_all,
        "choose": lambda: session.choose("page", "another"),
    }  # fmt: skip
    list(session.ask("page", LONG, settings()))
    assert stored(session) > 0
    erase[how]()
    assert stored(session) == 0


def test_what_is_stored_of_two_side_by_side_is_erased_with_them(session: Session) -> None:
    name = session.models.first.name
    wish = read_pair_request(name, SENT, {"model": name, "temperature": 0, "blind": False, "in_turn": False})
    for erase in (session.beside.clear, session.beside.leave):
        list(session.beside.ask("page", LONG, wish))
        assert stored(session) > 0
        erase("page")
        assert stored(session) == 0


def test_a_conversation_erased_while_it_is_written_leaves_nothing(session: Session) -> None:
    running = session.ask("page", LONG, settings(max_tokens=60))
    next(running)
    session.forget("page")
    list(running)
    assert stored(session) == 0


def test_a_model_that_makes_room_for_another_stores_no_more(tiny_checkpoint: Path, session: Session) -> None:
    model = session.models.first
    before = model.bytes
    list(session.ask("page", LONG, settings()))
    assert model.bytes == before + stored(session) > before
    model.drop()
    assert model.bytes == before
    list(session.ask("page", "And now?", settings()))
    assert stored(session) == 0


def test_a_long_prompt_shows_how_far_it_is(session: Session, slow_reading: list[int]) -> None:
    told = [update.to_json() for update in session.ask("page", LONG, settings(max_tokens=3))]
    shown = [update["progress"] for update in told if update["progress"]]
    assert len(shown) > 2
    reads = [one["read"] for one in shown]
    assert reads == sorted(reads)
    assert {one["total"] for one in shown} == {sum(slow_reading)}
    assert all(update["tokens"] == [] and update["state"] == "running" for update in told if update["progress"])
    assert told[-1]["progress"] is None
    assert told[-1]["count"] > 0


def test_stop_is_heard_during_a_long_prompt(session: Session, slow_reading: list[int]) -> None:
    running = session.ask("page", LONG, settings())
    assert next(running).progress is not None
    session.stop("page")
    start = time.monotonic()
    update = list(running)[-1]
    assert time.monotonic() - start < 1
    assert (update.state, update.tokens) == ("stopped", [])
    assert update.bill is not None
    wait_until(lambda: not session.models.first.engine._working)
    assert update.bill.read <= sum(slow_reading) < 50, "of more than fifty"


def test_stop_is_heard_while_waiting_for_a_slot(session: Session, slow_reading: list[int]) -> None:
    session.models.first.engine.slots = 1
    first = session.ask("first", LONG, settings(max_tokens=60))
    next(first)
    second = session.ask("second", LONG, settings())
    update = next(second)
    assert update.progress is not None
    assert update.progress.waiting
    session.stop("second")
    assert [update.state for update in second] == ["stopped"]
    first.close()  # type: ignore[attr-defined]


def test_a_message_stopped_before_its_turn_is_never_begun(session: Session) -> None:
    list(session.ask("page", "first", settings(), "1"))
    session.stop("page", "2")
    for action in (session.ask, session.redo):
        with pytest.raises(Problem, match="stopped before its turn"):
            list(action("page", "second", settings(), "2"))
    assert [turn.question for turn in session.conversation("page").turns] == ["first"]
    assert list(session.ask("page", "third", settings(), "3"))


def test_a_reply_may_take_its_time_but_not_in_a_class(session: Session, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(session_module, "SECONDS_IN_CLASS", 0.0)
    assert list(session.ask("page", "hello", settings()))[-1].state in ("done", "length")
    session.room = Classroom(*PASSWORDS)
    assert list(session.ask("page", "hello", settings()))[-1].state == "time"


def test_in_a_class_a_reply_has_fewer_tokens(session: Session, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[int] = []
    reply = LocalResponder.reply

    def noted(self: LocalResponder, messages: Any, settings: Settings) -> ReplyStream:
        asked.append(settings.max_tokens)
        return reply(self, messages, settings)

    monkeypatch.setattr(LocalResponder, "reply", noted)
    list(session.ask("page", "hello", settings(max_tokens=2000)))
    session.room = Classroom(*PASSWORDS)
    list(session.ask("page", "hello", settings(max_tokens=2000)))
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

    def test_progress_and_stop(self, session: Session, slow_reading: list[int]) -> None:
        with served(session) as lab:
            page = lab.page()
            event = page.join("ask", asking(LONG, max_tokens=60) | {"request": "7"}).json()["event_id"]
            updates = page.listen(event)
            first = next(updates)
            assert first["progress"]["read"] < first["progress"]["total"]
            page.join("stop", {"request": "7"})
            *_, last = updates
            assert (last["state"], last["count"]) == ("stopped", 0)
            assert page.call("ask", asking("Hello?") | {"request": "8"})["state"] in ("done", "length")

    def test_a_message_stopped_in_the_line_is_not_begun(self, session: Session) -> None:
        with served(session) as lab:
            page = lab.page()
            page.call("ask", asking("Hello?") | {"request": "1"})
            session.stop(lab.key(page), "2")
            told = page.call("ask", asking("And now?") | {"request": "2"})
            assert told["problem"]["key"] == "problem.not_begun"
            assert lab.questions(page) == ["Hello?"]
