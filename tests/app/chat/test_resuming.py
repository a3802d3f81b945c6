"""A page that is loaded again goes on with its conversation as if nothing had been; nobody else does, nor for ever."""

from __future__ import annotations

import gc
import weakref
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from app.chat.conversation import Voice
from app.chat.recently_closed import MOST_KEPT, RecentlyClosed
from app.common.settings import read_settings
from app.session import Session
from litellama.checkpoint import open_checkpoint
from tests.browser.app_server import Page
from tests.support.serving import QUIET, SETTINGS, Served, asking, served, wait_until

pytestmark = QUIET
FIRST, SECOND, THIRD = "Where is the kite?", "And the ball?", "Tell me a story."


@pytest.fixture
def session(tiny_checkpoint: Path) -> Session:
    return Session(open_checkpoint(tiny_checkpoint))


def ask(session: Session, key: str, text: str) -> dict[str, Any]:
    return list(session.ask(key, text, read_settings(SETTINGS)))[-1].to_json()


def test_it_is_as_if_the_page_had_not_been_loaded_again(session: Session) -> None:
    told = [ask(session, "before", text) for text in (FIRST, SECOND)]
    looked_into = session.alternatives("before", 1, 0)
    for text in (FIRST, SECOND):
        ask(session, "undisturbed", text)
    session.set_aside("before")
    assert session.resume("after", "before") == [
        {"question": text} | update for text, update in zip((FIRST, SECOND), told, strict=True)
    ]
    assert session.alternatives("after", 1, 0) == looked_into
    third, undisturbed = ask(session, "after", THIRD), ask(session, "undisturbed", THIRD)
    assert third["tokens"] == undisturbed["tokens"]
    assert third["turn"] == undisturbed["turn"] == 2
    assert third["total"]["replies"] == 3


def test_a_reply_under_way_ends_and_the_page_may_ask_at_once(session: Session) -> None:
    """Where the network was lost the server may not know yet that the page has gone."""
    ask(session, "before", FIRST)
    running = session.ask("before", SECOND, read_settings(SETTINGS | {"max_tokens": 60, "temperature": 0}))
    next(running)
    assert [turn["question"] for turn in session.resume("after", "before")] == [FIRST]
    assert ask(session, "after", SECOND)["state"] in ("done", "length")
    assert [update.state for update in running] == ["stopped"]
    assert [turn.question for turn in session.conversation("after").turns] == [FIRST, SECOND]


def test_it_is_given_back_once_and_to_no_page_that_has_spoken(session: Session) -> None:
    ask(session, "before", FIRST)
    session.set_aside("before")
    ask(session, "other", SECOND)
    assert session.resume("other", "before") == []
    assert session.resume("after", "after") == session.resume("after", "never was") == []
    assert len(session.resume("after", "before")) == 1
    assert session.resume("a copy", "before") == []


def test_what_was_erased_stays_erased(session: Session) -> None:
    for erase in (session.forget, session.leave, lambda key: session.forget_all()):
        ask(session, "before", FIRST)
        erase("before")
        session.set_aside("before")
        assert session.resume("after", "before") == []
    ask(session, "before", FIRST)
    session.set_aside("before")
    session.forget_all()  # the end of a class
    assert session.resume("after", "before") == []


def test_another_model_does_not_go_on_with_it(tiny_checkpoint: Path) -> None:
    session = Session(open_checkpoint(tiny_checkpoint), tiny_checkpoint.parent)
    ask(session, "before", FIRST)
    session._page("before").model = "another"
    session.set_aside("before")
    assert session.resume("after", "before") == []


def test_it_is_erased_after_a_while_whether_asked_for_or_not() -> None:
    aside, voice = RecentlyClosed(seconds=0.1), Voice("tiny")
    gone = weakref.ref(voice)
    aside.put("a", voice)
    aside.seconds = 60
    aside.put("b", Voice("tiny"))
    del voice

    def erased() -> bool:
        gc.collect()
        return gone() is None

    wait_until(erased)
    assert aside.take("a") is None
    assert aside.take("b") is not None, "its own time was not over"


def test_the_next_ones_are_erased_as_well() -> None:
    aside = RecentlyClosed(seconds=0.1)
    for key in "abc":
        aside.put(key, Voice("tiny"))
        wait_until(lambda: not aside._left)


def test_only_so_many_are_kept() -> None:
    aside = RecentlyClosed()
    for number in range(MOST_KEPT + 1):
        aside.put(str(number), Voice("tiny"))
    assert aside.take("0") is None
    assert aside.take("1") is not None


# --- Over the wire ---------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module", params=[False, True], ids=["alone", "in class"])
def lab(tiny_checkpoint: Path, request: pytest.FixtureRequest) -> Iterator[Served]:
    with served(Session(open_checkpoint(tiny_checkpoint)), classroom=request.param) as lab:
        yield lab


def lose(lab: Served, page: Page) -> str:
    """End the connection that tells the server that the page is open; gives the number the page had."""
    with page.client.stream("GET", f"gradio_api/heartbeat/{page.session}") as stream:
        next(stream.iter_lines())
    key = lab.key(page)
    wait_until(lambda: key not in lab.session._pages)
    former, page.session = page.session, f"{page.session}again"
    return former


def test_a_page_that_was_lost_comes_back(lab: Served) -> None:
    page = lab.page("Ada")
    told = page.call("ask", asking(FIRST))
    del told["request"]
    back = page.call("resume", {"page": lose(lab, page), "model": None})
    assert back == {"state": "resumed", "turns": [{"question": FIRST} | told]}
    assert page.call("ask", asking(SECOND))["turn"] == 1


@pytest.mark.fault(21)
def test_nobody_takes_up_what_another_said(tiny_checkpoint: Path) -> None:
    """Whoever knows another page's number."""
    with served(Session(open_checkpoint(tiny_checkpoint)), classroom=True) as lab:
        ada, ben = lab.page("Ada"), lab.page("Ben")
        ada.call("ask", asking(FIRST))
        assert ben.call("resume", {"page": ada.session})["turns"] == []
        former = lose(lab, ada)
        for guess in (former, lab.key(ada).removesuffix("again")):
            assert ben.call("resume", {"page": guess})["turns"] == []
        assert len(ada.call("resume", {"page": former})["turns"]) == 1


@pytest.mark.parametrize("sent", [{}, {"page": 7}, {"page": None}, {"page": [FIRST]}, None])
def test_forged_wishes_bring_nothing(lab: Served, sent: object) -> None:
    assert lab.page("Mia").call("resume", sent)["problem"]["key"] == "problem.request"
