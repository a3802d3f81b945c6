"""A page that is loaded again goes on with its conversation as if nothing had been; nobody else does, nor for ever."""

from __future__ import annotations

import gc
import weakref
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from app.chat.conversation import Conversation, Update
from app.chat.recently_closed import MOST_CLOSED, RecentlyClosed
from app.common.settings import read_settings
from app.models.page_models import ChosenModel
from app.server.services import Services
from litellama.checkpoint import open_checkpoint
from tests.browser.app_server import Page
from tests.support.serving import QUIET, SETTINGS, Served, asking, class_if, served, wait_until

pytestmark = QUIET
FIRST, SECOND, THIRD = "Where is the kite?", "And the ball?", "Tell me a story."


@pytest.fixture
def services(tiny_checkpoint: Path) -> Services:
    return Services(open_checkpoint(tiny_checkpoint))


def ask(services: Services, key: str, text: str) -> dict[str, Any]:
    return list(services.chat.ask(key, text, read_settings(SETTINGS)))[-1].to_json()


def test_it_is_as_if_the_page_had_not_been_loaded_again(services: Services) -> None:
    told = [ask(services, "before", text) for text in (FIRST, SECOND)]
    looked_into = services.chat.alternatives("before", 1, 0)
    for text in (FIRST, SECOND):
        ask(services, "undisturbed", text)
    services.lifecycle.close("before")
    assert services.chat.resume("after", "before") == [
        {"question": text} | update for text, update in zip((FIRST, SECOND), told, strict=True)
    ]
    assert services.chat.alternatives("after", 1, 0) == looked_into
    third, undisturbed = ask(services, "after", THIRD), ask(services, "undisturbed", THIRD)
    assert third["tokens"] == undisturbed["tokens"]
    assert third["turn"] == undisturbed["turn"] == 2
    assert third["total"]["replies"] == 3


def test_a_reply_under_way_ends_and_the_page_may_ask_at_once(services: Services) -> None:
    """Where the network was lost the server may not know yet that the page has gone."""
    ask(services, "before", FIRST)
    running = services.chat.ask("before", SECOND, read_settings(SETTINGS | {"max_tokens": 60, "temperature": 0}))
    next(running)
    assert [turn["question"] for turn in services.chat.resume("after", "before")] == [FIRST]
    assert ask(services, "after", SECOND)["state"] in ("done", "length")
    assert [update.state for update in running] == ["stopped"]
    assert [turn.question for turn in services.chat.conversation("after").turns] == [FIRST, SECOND]


def test_a_message_that_came_too_late_displaces_nothing(services: Services) -> None:
    """A page that is loaded again at once may be closed before the server begins with its last message."""
    for text in (FIRST, SECOND):
        ask(services, "before", text)
    services.lifecycle.close("before")
    ask(services, "before", THIRD)
    assert [turn["question"] for turn in services.chat.resume("after", "before")] == [FIRST, SECOND]


def test_it_is_given_back_once_and_to_no_page_that_has_spoken(services: Services) -> None:
    ask(services, "before", FIRST)
    services.lifecycle.close("before")
    ask(services, "other", SECOND)
    assert services.chat.resume("other", "before") == []
    assert services.chat.resume("after", "after") == services.chat.resume("after", "never was") == []
    assert len(services.chat.resume("after", "before")) == 1
    assert services.chat.resume("a copy", "before") == []


def test_what_was_erased_stays_erased(services: Services) -> None:
    for erase in (services.chat.erase, services.lifecycle.forget, lambda key: services.lifecycle.clear()):
        ask(services, "before", FIRST)
        erase("before")
        services.lifecycle.close("before")
        assert services.chat.resume("after", "before") == []
    ask(services, "before", FIRST)
    services.lifecycle.close("before")
    services.lifecycle.clear()  # the end of a class
    assert services.chat.resume("after", "before") == []


def test_another_model_does_not_go_on_with_it(tiny_checkpoint: Path) -> None:
    services = Services(open_checkpoint(tiny_checkpoint), tiny_checkpoint.parent)
    ask(services, "before", FIRST)
    services.page_models.of("before").name = "another"
    services.lifecycle.close("before")
    assert services.chat.resume("after", "before") == []


def a_conversation() -> Conversation:
    conversation = Conversation(ChosenModel("tiny"))
    turn = conversation.begin(FIRST)
    turn.last_update = Update(turn.number, "done", [], 0, 1, 0.1)
    return conversation


def test_it_is_erased_after_a_while_whether_asked_for_or_not() -> None:
    closed, conversation = RecentlyClosed(seconds=0.1), a_conversation()
    gone = weakref.ref(conversation)
    closed.put("a", conversation)
    closed.seconds = 60
    closed.put("b", a_conversation())
    del conversation

    def erased() -> bool:
        gc.collect()
        return gone() is None

    wait_until(erased)
    assert closed.pop("a") is None
    assert closed.pop("b") is not None, "its own time was not over"


def test_the_next_ones_are_erased_as_well() -> None:
    closed = RecentlyClosed(seconds=0.1)
    for key in "abc":
        closed.put(key, a_conversation())
        wait_until(lambda: not closed._closed.items())


def test_only_so_many_are_stored() -> None:
    closed = RecentlyClosed()
    for number in range(MOST_CLOSED + 1):
        closed.put(str(number), a_conversation())
    assert closed.pop("0") is None
    assert closed.pop("1") is not None


# --- Over HTTP -------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module", params=[False, True], ids=["alone", "in class"])
def lab(tiny_checkpoint: Path, request: pytest.FixtureRequest) -> Iterator[Served]:
    with served(Services(open_checkpoint(tiny_checkpoint), classroom=class_if(request.param))) as lab:
        yield lab


def lose(lab: Served, page: Page) -> str:
    """End the connection that tells the server that the page is open; gives the number the page had."""
    with page.client.stream("GET", f"gradio_api/heartbeat/{page.session}") as stream:
        next(stream.iter_lines())
    key = lab.key(page)
    wait_until(lambda: key not in dict(lab.services.chat._pages.items()))
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
    with served(Services(open_checkpoint(tiny_checkpoint), classroom=class_if(True))) as lab:
        ada, ben = lab.page("Ada"), lab.page("Ben")
        ada.call("ask", asking(FIRST))
        assert ben.call("resume", {"page": ada.session})["turns"] == []
        former = lose(lab, ada)
        for guess in (former, lab.key(ada).removesuffix("again")):
            assert ben.call("resume", {"page": guess})["turns"] == []
        assert len(ada.call("resume", {"page": former})["turns"]) == 1


@pytest.mark.parametrize("sent", [{}, {"page": 7}, {"page": None}, {"page": [FIRST]}, None])
def test_forged_requests_bring_nothing(lab: Served, sent: object) -> None:
    assert lab.page("Mia").call("resume", sent)["problem"]["key"] == "problem.request"
