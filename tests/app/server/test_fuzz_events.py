"""Every event of the page with anything sent along: an answer that the page understands, and nobody notices."""

from __future__ import annotations

import json
import math
import secrets
import string
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from app.common.strings import all_words
from app.compare.service import FIRST
from tests.browser.app_server import patched
from tests.support.arbitrary import NASTY, anything, examples, json_bytes, nearly, nested
from tests.support.served import Served, served

SETTINGS = {"temperature": 0.7, "top_p": 0.95, "top_k": 0, "max_tokens": 4, "seed": 1}
SIDE_BY_SIDE = {"model": "tiny", "blind": True, "in_turn": False, "temperature": 0.3}
ASK = {"request": "1", "model": None, "text": "Where is the kite?", "settings": SETTINGS}
BOTH = ASK | {"model": "tiny", "side_by_side": SIDE_BY_SIDE}
READ = {"request": "1", "model": None, "text": "Tom has a red kite. Where is it?"}
LOOK = READ | {"start": None}
PROBE = {
    "request": "1", "model": None, "sentences": ["{who} has a kite | The kite is"],
    "groups": [["girls", ["Mia", "Anna"]], ["boys", ["Tom"]]], "continuations": ["red", "blue"],
}  # fmt: skip


@dataclass(frozen=True)
class Sent:
    """A right request of one event, and what the page asks for before it, as (event, request)."""

    right: dict[str, Any]
    before: tuple[tuple[str, dict[str, Any]], ...] = ()


EXPLAINED = (("read", READ), ("explain", {"request": "2", "method": "ablation", "unit": "token"}))

# One request at least of each event. A new event is to be added here: a test below finds it.
RIGHT: dict[str, tuple[Sent, ...]] = {
    "ask": (Sent(ASK),),
    "redo": (Sent(ASK, (("ask", ASK),)), Sent(ASK | {"text": None}, (("ask", ASK),))),
    "ask_both": (Sent(BOTH), Sent(BOTH | {"side_by_side": SIDE_BY_SIDE | {"blind": False, "in_turn": True}})),
    "redo_both": (Sent(BOTH, (("ask_both", BOTH),)),),
    "stop": (Sent({"request": "1"}),),
    "clear": (Sent({"request": "1", "both": True}, (("ask", ASK),)),),
    "vote": (Sent({"request": "1", "round": 1, "vote": "a", "model": None}, (("ask_both", BOTH),)),),
    "resume": (Sent({"request": "1", "page": "before", "model": None}),),
    "pick": (
        Sent({"turn": 0, "token": 0, "nonce": 1, "side": None, "round": None, "model": None}, (("ask", ASK),)),
        Sent(
            {"turn": 0, "token": 0, "nonce": 1, "side": 0, "round": 1, "model": None},
            (("ask_both", BOTH | {"side_by_side": SIDE_BY_SIDE | {"blind": False}}),),
        ),
    ),
    "look": (Sent(LOOK), Sent(LOOK | {"start": 0}, (("look", LOOK),))),
    "closer": (Sent({"request": "1", "view": "head", "layer": 0, "head": 0, "model": None}, (("look", LOOK),)),),
    "trace": (Sent(READ), Sent({"request": "1", "place": 3, "layer": 1, "head": 2, "model": None}, (("trace", READ),))),
    "guess": (Sent(READ),),
    "read": (Sent(READ),),
    "explain": (
        Sent({"request": "1", "method": "ablation", "unit": "word", "start": -1, "end": 0, "instead": None}, EXPLAINED),
    ),
    "compare": (Sent({"request": "1", "model": None}, EXPLAINED),),
    "test": (Sent({"request": "1", "model": None}, EXPLAINED),),
    "cancel": (Sent({"request": "1"}, EXPLAINED),),
    "begin": (Sent(READ),),
    "change_heads": (Sent({"request": "1", "off": [[0, 1], [1, 2]], "strength": 0.5}, (("begin", READ),)),),
    "worth": (Sent({"request": "1"}, (("begin", READ),)),),
    "patch": (Sent({"request": "1", "other": "Tom has a red kite. Where is it!"}, (("begin", READ),)),),
    "few": (Sent({"request": "1"}, (("begin", READ),)),),
    "halt": (Sent({"request": "1"}),),
    "compare_groups": (Sent(PROBE),),
    "calibrate": (Sent({"request": "1", "text": "Tom has a kite. " * 9}),),
    "enough": (Sent({"request": "1"}),),
    "compare_models": (Sent({"request": "1", "model": None, **FIRST}),),
    "language": (Sent({"language": "de"}),),
    "nudge": (Sent({}),),
    "leave": (Sent({}, (("ask", ASK),)),),
}  # fmt: skip


@pytest.fixture(scope="module")
def here(tiny_checkpoint: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with served(tiny_checkpoint, tmp_path_factory.mktemp("served")) as here:
        yield here


@pytest.fixture(scope="module")
def numbers(here: Served) -> dict[str, int]:
    """Gradio's number of each event."""
    return {one["api_name"]: one["id"] for one in here.client.get("/config").json()["dependencies"]}


class Page:
    """An open page that sends whatever it is told to."""

    def __init__(self, here: Served, numbers: dict[str, int]) -> None:
        self.here, self.numbers = here, numbers
        self.session = secrets.token_hex(8)

    def send(self, event: str, sent: object, **changes: object) -> httpx.Response:
        body = {"data": [], "event_data": sent, "fn_index": self.numbers[event], "session_hash": self.session}
        headers = {"content-type": "application/json"}
        return self.here.client.post("/gradio_api/queue/join", content=json_bytes(body | changes), headers=headers)

    def answers(self) -> list[Any]:
        """Everything the server sends until it has no more to say; each as strict JSON that is no failure."""
        values: list[Any] = []
        told = self.here.client.get("/gradio_api/queue/data", params={"session_hash": self.session}).text
        messages = [strictly(line.removeprefix("data: ")) for line in told.split("\n") if line]
        assert messages[-1]["msg"] == "close_stream", messages
        for message in messages:
            assert message.get("success", True), message
            for data in (message.get("output") or {}).get("data", [])[:1]:
                values.append(patched(values[-1] if values else None, data))
        return values

    def call(self, event: str, sent: object) -> list[Any]:
        response = self.send(event, sent)
        assert response.status_code == 200, response.text
        return self.answers()


def strictly(text: str) -> Any:
    """JSON as a browser reads it, which knows no NaN; and what can't be written as UTF-8 is no text."""

    def no_number(name: str) -> None:
        raise AssertionError(f"{name} is no JSON")

    value = json.loads(text, parse_constant=no_number)
    json.dumps(value, ensure_ascii=False).encode()
    return value


def check_problem(problem: Any) -> None:
    """That the page has a sentence for it, in each language, whose blanks are all filled."""
    for words in all_words().values():
        blanks = {name for _, name, _, _ in string.Formatter().parse(words[problem["key"]]) if name}
        assert blanks <= set(problem["values"]), problem
    assert problem["key"] != "problem.unexpected", "it was not foreseen"
    assert problem["english"]


def check(values: list[Any]) -> None:
    for value in values:
        if isinstance(value, dict) and value.get("problem") is not None:
            check_problem(value["problem"])
        for turn in value.get("turns", []) if isinstance(value, dict) else []:
            for side in turn.get("sides", []):
                if isinstance(side, dict) and side.get("problem") is not None:
                    check_problem(side["problem"])


def refused(response: httpx.Response) -> bool:
    """Whether it was answered with a small 4xx. Nothing else but 200 will do."""
    assert response.status_code == 200 or 400 <= response.status_code < 500, response.text
    assert response.status_code == 200 or len(response.content) < 2 * len(response.request.content) + 2000
    return response.status_code != 200


@pytest.fixture(scope="module")
def first_reply(here: Served, numbers: dict[str, int]) -> list[Any]:
    (*_, last) = Page(here, numbers).call("ask", ASK)
    return list(last["tokens"])


def survived(page: Page, first_reply: list[Any]) -> None:
    """The page can go on, the model says what it said before, and nothing alarming was logged."""
    page.call("clear", {"both": False})
    last = page.call("ask", ASK | {"request": "afterwards"})[-1]  # another request than any that was stopped
    assert last["tokens"] == first_reply
    said = page.here.said()
    assert "Traceback" not in said, said
    assert "ERROR" not in said, said


def test_every_event_is_among_those_tried(numbers: dict[str, int]) -> None:
    assert set(RIGHT) == set(numbers)


@pytest.mark.parametrize("event", sorted(RIGHT))
def test_right_requests_are_right(here: Served, numbers: dict[str, int], event: str) -> None:
    """Or what is nearly right would be refused for another reason than the one that is meant."""
    for sent in RIGHT[event]:
        page = Page(here, numbers)
        right = prepared(page, sent)
        for value in page.call(event, right):
            assert not (isinstance(value, dict) and value.get("problem")), value


def prepared(page: Page, sent: Sent) -> dict[str, Any]:
    """Ask what goes before it; gives the right request, on the answer that was read where it names places."""
    right, start = dict(sent.right), 0
    for name, request in sent.before:
        if name == "explain":
            request = request | {"start": start, "end": start + 1}
        values = page.call(name, request)
        start = values[-1].get("answer_start", start) if values else start
    if right.get("start") == -1:
        right |= {"start": start, "end": start + 1}
    return right


# What made the stream of its page break off, or Gradio look for files.
BROKE = {
    "request": "\ud800", "action": 2**70, "model": "\udfff", "turn": 10**400, "token": math.nan,
    "nonce": nested(300, in_objects=True), "side": {"path": "/etc/passwd", "meta": {"_type": "gradio.FileData"}},
    "round": [-math.inf], "text": 3,
}  # fmt: skip


@pytest.mark.parametrize("event", sorted(RIGHT))
def test_what_broke_streams_is_answered(
    here: Served, numbers: dict[str, int], first_reply: list[Any], event: str
) -> None:
    page = Page(here, numbers)
    for sent in (BROKE, {name: value for name, value in BROKE.items() if name != "model"}, "text"):
        check(page.call(event, sent))
    survived(page, first_reply)


@given(event=st.sampled_from(sorted(RIGHT)), sent=anything)
@examples(40)
def test_anything_at_all_is_answered(
    here: Served, numbers: dict[str, int], first_reply: list[Any], event: str, sent: Any
) -> None:
    page = Page(here, numbers)
    response = page.send(event, sent)
    if not refused(response):
        check(page.answers())
    survived(page, first_reply)


@pytest.mark.parametrize("event", sorted(RIGHT))
@given(data=st.data())
@examples(3)
def test_what_is_nearly_right_is_answered(
    here: Served, numbers: dict[str, int], first_reply: list[Any], event: str, data: st.DataObject
) -> None:
    page = Page(here, numbers)
    right = prepared(page, data.draw(st.sampled_from(RIGHT[event])))
    response = page.send(event, data.draw(nearly(right), label="sent"))
    if not refused(response):
        check(page.answers())
    survived(page, first_reply)


@given(
    field=st.sampled_from(["data", "event_data", "fn_index", "session_hash", "trigger_id", "event_id", "batched",
                           "simple_format", "oauth_token", "new"]),
    value=anything,
)  # fmt: skip
@example(field="fn_index", value=99)
@example(field="fn_index", value=-1)
@example(field="fn_index", value=2**70)
@example(field="trigger_id", value=99)
@example(field="data", value=[1, 2, 3])
@example(field="data", value=[{"path": "/etc/passwd", "meta": {"_type": "gradio.FileData"}}])
@example(field="batched", value=True)
@example(field="session_hash", value="")
@example(field="simple_format", value=True)
@examples(30)
def test_any_envelope_is_answered(
    here: Served, numbers: dict[str, int], first_reply: list[Any], field: str, value: Any
) -> None:
    """The part of a request that is Gradio's own."""
    page = Page(here, numbers)
    response = page.send("language", {"language": "de"}, **{field: value})
    if not refused(response) and field != "session_hash":
        page.answers()
    survived(page, first_reply)


@pytest.mark.parametrize("sent", NASTY)
def test_nasty_texts_are_answered_by_the_model_or_refused(
    here: Served, numbers: dict[str, int], first_reply: list[Any], sent: str
) -> None:
    page = Page(here, numbers)
    for event in ("ask", "read"):
        values = page.call(event, RIGHT[event][0].right | {"text": sent})
        check(values)
    survived(page, first_reply)
