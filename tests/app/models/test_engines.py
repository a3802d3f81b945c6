"""Models of another server: what it says is shown, what goes wrong is a sentence, and local models go on."""

from __future__ import annotations

import gzip
import json
import logging
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import httpx
import pytest

from app.__main__ import open_engines
from app.chat import responders as speakers_module
from app.common.settings import read_settings
from app.common.strings import Problem
from app.launch.options import parse_options
from app.models import engines as engines_module
from app.models.engines import RemoteEngine
from app.models.openai_client import Connection, OpenAIClient, read_address
from app.server.services import Services
from litellama.checkpoint import open_checkpoint
from tests.browser.app_server import Page, running_app
from tests.support.loopback import (
    HTML,
    STREAM,
    Loopback,
    Request,
    event,
    finish,
    head,
    loopback,
    models,
    speaking,
    until_closed,
    whole,
    word,
)

SENT = {"temperature": 0.7, "top_p": 0.9, "top_k": 0, "max_tokens": 20, "seed": 5}
HOSTILE = "<img src=x onerror=alert(1)>"
KEY = "sk-very-secret-0123456789"
KITE = (word(" A", -0.1, The=-2.5), word(" kite", -0.2), word(".", -0.3), finish(prompt_tokens=9, completion_tokens=4))
Answer = Callable[[Request, socket.socket], None]


def services_with(tiny: Path, server: Loopback, **more: Any) -> Services:
    """Services whose page "a" has chosen the server's first model."""
    services = Services(open_checkpoint(tiny), engines=[RemoteEngine(server.address, **more)])
    offered = services.models.remote_models()
    if offered:
        services.page_models.choose("a", offered[0].name)
    return services


def ask(services: Services, text: str | None = "What is it?", *, key: str = "a", **changes: object) -> dict[str, Any]:
    action = services.chat.redo if text is None else services.chat.ask
    return list(action(key, text, read_settings(SENT | changes)))[-1].to_json()


def text(update: dict[str, Any]) -> str:
    return "".join(piece for piece, _ in update["tokens"])


@pytest.fixture(autouse=True)
def ask_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    """Here nobody else asks for the list in the same seconds."""
    monkeypatch.setattr(engines_module, "SECONDS_BETWEEN_LISTS", 0.0)


# --- A reply from elsewhere ------------------------------------------------------------------------------------------


def test_a_reply_with_its_probabilities(tiny_checkpoint: Path) -> None:
    with loopback(speaking(*KITE)) as server:
        services = services_with(tiny_checkpoint, server)
        update = ask(services)
    assert update["tokens"] == [["A", 0.9048], [" kite", 0.8187], [".", 0.7408]], "without the space before the first"
    assert (update["state"], update["count"], update["stats"]) == ("done", 4, "chat.stats_engine")
    told = services.chat.alternatives("a", update["turn"], 0)
    assert told["chosen"] == {"text": " A", "ends": False, "probability": 0.904837}
    assert [(row["text"], row["chosen"]) for row in told["rows"]] == [(" A", True), ("The", False)]
    assert told["engine"] == server.where
    with pytest.raises(Problem):
        services.chat.alternatives("a", update["turn"], 3)


def test_it_is_asked_for_what_the_sliders_say(tiny_checkpoint: Path) -> None:
    with loopback(speaking(*KITE)) as server:
        services = services_with(tiny_checkpoint, server)
        ask(services, top_k=40)
        ask(services, "And whose?", temperature=0)
    first, second = server.chats
    assert first == {
        "model": "small", "messages": [{"role": "user", "content": "What is it?"}], "stream": True,
        "temperature": 0.7, "top_p": 0.9, "top_k": 40, "min_p": 0, "max_tokens": 20, "seed": 5,
        "repetition_penalty": 1, "repeat_penalty": 1, "logprobs": True, "top_logprobs": 10,
        "stream_options": {"include_usage": True},
    }  # fmt: skip
    assert (second["temperature"], second["top_k"]) == (0, 0)
    assert {request.headers["accept-encoding"] for request in server.requests} == {"identity"}
    roles = [(message["role"], message["content"]) for message in second["messages"]]
    assert roles == [("user", "What is it?"), ("assistant", "A kite."), ("user", "And whose?")]


def test_what_is_not_told_is_unknown(tiny_checkpoint: Path) -> None:
    with loopback(speaking(word("Two words"), word("."), finish())) as server:
        services = services_with(tiny_checkpoint, server)
        update = ask(services)
    assert update["tokens"] == [["Two words", None], [".", None]]
    assert (update["count"], update["stats"]) == (2, "chat.stats_pieces"), "they may be more tokens than that"
    told = services.chat.alternatives("a", update["turn"], 0)
    assert (told["chosen"]["probability"], told["rows"]) == (None, [])


def test_work_done_elsewhere_is_not_measured_here(tiny_checkpoint: Path) -> None:
    with loopback(speaking(*KITE)) as server:
        services = services_with(tiny_checkpoint, server)
        update = ask(services)
    bill = update["bill"]
    assert (bill["energy"], bill["large"], bill["times"]) == (None, None, None)
    assert (bill["reason"], bill["unknown"]) == ("@chat.energy_elsewhere", 1)
    assert (bill["read"], bill["written"], update["total"]["written"]) == (9, 4, 4)
    assert services.chat.writer.meter._meter._open == set()


def test_its_text_is_text(tiny_checkpoint: Path) -> None:
    with loopback(speaking(word(HOSTILE, -1, **{HOSTILE: -2}), word("{{x}} ${y}"), finish())) as server:
        services = services_with(tiny_checkpoint, server)
        update = ask(services)
    assert text(update) == HOSTILE + "{{x}} ${y}", "as it came; the page writes it as text"


@pytest.mark.parametrize("end", ["\n\n", "\r\n\r\n"])
def test_a_character_cut_in_two(tiny_checkpoint: Path, end: str) -> None:
    """In UTF-8, as servers write it, its bytes may come with two packets."""
    choices = [{"delta": {"content": "Grüße 😀"}}, {"delta": {"content": " ラマ"}}, {"finish_reason": "stop"}]
    lines = [json.dumps({"choices": [choice]}, ensure_ascii=False) for choice in choices]
    data = "".join(f": ping{end}data: {line}{end}" for line in lines).encode()

    def answer(request: Request, connection: socket.socket) -> None:
        if request.path.endswith("/models"):
            return connection.sendall(models("small"))
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        connection.sendall(head(200, f"{STREAM}; charset=utf-8"))
        for byte in data:
            connection.sendall(bytes([byte]))
            time.sleep(0.0005)
        return None

    with loopback(answer) as server:
        assert text(ask(services_with(tiny_checkpoint, server))) == "Grüße 😀 ラマ"


def test_a_server_that_heeds_no_limit(tiny_checkpoint: Path) -> None:
    with loopback(speaking(*[word(" na", -0.5)] * 100, finish())) as server:
        update = ask(services_with(tiny_checkpoint, server), max_tokens=7)
    assert (len(update["tokens"]), update["state"]) == (7, "length")


def test_cut_off_where_it_was_asked_to(tiny_checkpoint: Path) -> None:
    with loopback(speaking(word("na", -0.5), finish("length", completion_tokens=2))) as server:
        update = ask(services_with(tiny_checkpoint, server), max_tokens=2)
    assert (update["state"], update["count"]) == ("length", 2)


def test_a_reply_without_a_word(tiny_checkpoint: Path) -> None:
    with loopback(speaking(word(""), finish())) as server:
        update = ask(services_with(tiny_checkpoint, server))
        assert (update["tokens"], update["state"]) == ([], "done")
        assert len(server.chats) == 1, "nothing was refused"


def test_two_pages_two_places(tiny_checkpoint: Path) -> None:
    with loopback(speaking(*KITE)) as server:
        services = services_with(tiny_checkpoint, server)
        here = ask(services, key="b")
        there = ask(services)
        assert here["tokens"] == ask(Services(open_checkpoint(tiny_checkpoint)), key="x")["tokens"]
    assert here["bill"]["energy"] is not None
    assert text(there) == "A kite."
    services.page_models.choose("a", None)
    with pytest.raises(Problem):
        services.chat.alternatives("a", there["turn"], 0)


# --- What it would not have ------------------------------------------------------------------------------------------


def picky(minds: Callable[[dict[str, Any]], bytes | None], *pieces: bytes) -> Answer:
    """A server that answers with what `minds` says of a request, or with `pieces` if it says nothing."""

    def answer(request: Request, connection: socket.socket) -> None:
        refusal = minds(request.body) if request.body else None
        if refusal is not None:
            connection.sendall(refusal)
        else:
            speaking(*pieces)(request, connection)

    return answer


def refused(message: str, status: int = 400) -> bytes:
    return whole({"error": {"message": message, "type": "invalid_request_error"}}, status)


@pytest.mark.parametrize("status", [400, 422, 500, 501])
def test_what_it_minds_by_name_is_left_out_and_remembered(tiny_checkpoint: Path, status: int) -> None:
    def minds(body: dict[str, Any]) -> bytes | None:
        return refused("Unrecognized argument: top_logprobs", status) if "logprobs" in body else None

    with loopback(picky(minds, word("Yes"), finish())) as server:
        services = services_with(tiny_checkpoint, server)
        assert ask(services)["tokens"] == [["Yes", None]]
        assert [("logprobs" in body, "top_k" in body) for body in server.chats] == [(True, True), (False, True)]
        ask(services)
        assert len(server.chats) == 3, "it isn't asked again for what it does not have"
        services.models.remote_models()
        ask(services)
        assert len(server.chats) == 5, "unless it may be another one by now"


def test_what_it_minds_without_a_name_is_tried(tiny_checkpoint: Path) -> None:
    with loopback(picky(lambda body: refused("Bad request") if "top_k" in body else None, *KITE)) as server:
        services = services_with(tiny_checkpoint, server)
        update = ask(services, top_k=3)
        assert text(update) == "A kite."
        assert update["remarks"] == [["chat.engine_no_top_k", {"where": server.where}]], (
            "it was asked for, and not done"
        )
        assert ask(services)["remarks"] == []
    assert "top_k" not in server.chats[-1]


def test_one_that_breaks_off_before_a_word_is_asked_for_less(tiny_checkpoint: Path) -> None:
    """As llama-cpp-python's server does where it has no log-probabilities: 200, and then nothing."""
    with loopback(picky(lambda body: head() if "logprobs" in body else None, word("Yes"), finish())) as server:
        services = services_with(tiny_checkpoint, server)
        assert text(ask(services)) == text(ask(services)) == "Yes"
        assert ["logprobs" in body for body in server.chats] == [True, False, False]


def test_what_is_always_refused_is_said_in_its_words(tiny_checkpoint: Path) -> None:
    with loopback(picky(lambda body: refused(f"I don't do {HOSTILE}."))) as server:
        services = services_with(tiny_checkpoint, server)
        with pytest.raises(Problem) as caught:
            ask(services)
    assert (caught.value.key, caught.value.values["said"]) == ("problem.engine_refused", f"I don't do {HOSTILE}")
    assert [len(body) for body in server.chats] == [14, 12, 11, 7]
    assert services.chat.conversation("a").turns == []


@pytest.mark.parametrize(
    "message",
    [
        "This model's maximum context length is 512 tokens. However, you requested 700 tokens",
        "the request exceeds the available context size, try increasing it",
        None,  # broken off without a word
    ],
)
def test_the_oldest_messages_go_when_it_is_too_long(tiny_checkpoint: Path, message: str | None) -> None:
    def minds(body: dict[str, Any]) -> bytes | None:
        if len(body["messages"]) <= 3:
            return None
        return head() if message is None else refused(message)

    with loopback(picky(minds, *KITE)) as server:
        services = services_with(tiny_checkpoint, server)
        dropped = [ask(services, f"Question {number}?")["dropped"] for number in range(4)]
        assert dropped == [0, 0, 2, 4]
        assert [one["content"] for one in server.chats[-1]["messages"]] == ["Question 2?", "A kite.", "Question 3?"]
        assert "logprobs" in server.chats[-1], "that it was too long is no reason to ask for less"


def test_one_message_that_is_too_long_is_a_sentence(tiny_checkpoint: Path) -> None:
    with loopback(picky(lambda body: refused("maximum context length is 8 tokens"))) as server:
        services = services_with(tiny_checkpoint, server)
        with pytest.raises(Problem, match=r"longer than the model at .* can read") as caught:
            ask(services)
        assert (caught.value.key, len(server.chats)) == ("problem.engine_too_long", 1)


# --- Faults ----------------------------------------------------------------------------------------------------------


def endless(connection: socket.socket, more: bytes, first: bytes = b"", status: int = 200) -> None:
    connection.sendall(head(status) + first)
    while True:
        connection.sendall(more)


FAULTS: dict[str, tuple[str, Callable[[socket.socket], object]]] = {
    "401": ("problem.engine_key", lambda to: to.sendall(refused("Invalid API key", 401))),
    "403": ("problem.engine_key", lambda to: to.sendall(whole("no", 403, HTML))),
    "404": ("problem.engine_no_model", lambda to: to.sendall(refused("model not found", 404))),
    "429": ("problem.engine_busy", lambda to: to.sendall(refused("slow down", 429))),
    "503": ("problem.engine_busy", lambda to: to.sendall(refused("Loading model", 503))),
    "500": ("problem.engine_failed", lambda to: to.sendall(whole("<h1>Oops</h1>", 500, HTML))),
    "502": ("problem.engine_failed", lambda to: to.sendall(whole("<h1>Bad gateway</h1>", 502, HTML))),
    "418": ("problem.engine_failed", lambda to: to.sendall(whole("", 418))),
    "400": ("problem.engine_refused", lambda to: to.sendall(refused("No."))),
    "html": ("problem.engine_nonsense", lambda to: to.sendall(whole("<html>Welcome!</html>", 200, HTML))),
    "json instead of a stream": ("problem.engine_nonsense", lambda to: to.sendall(whole({"choices": []}))),
    "malformed json": ("problem.engine_nonsense", lambda to: to.sendall(head() + event('{"choices": [{"delta'))),
    "another protocol": ("problem.engine_nonsense", lambda to: to.sendall(head() + event({"answer": "42"}))),
    "compressed": (
        "problem.engine_nonsense",
        lambda to: to.sendall(head(200, STREAM, "content-encoding: gzip") + gzip.compress(b"".join(KITE))),
    ),
    "an error in the stream": (
        "problem.engine_refused", lambda to: to.sendall(head() + event({"error": {"message": "out of memory"}})),
    ),
    "an endless line": ("problem.engine_nonsense", lambda to: endless(to, b"x" * 65536, first=b"data: ")),
    "endless comments": ("problem.engine_too_much", lambda to: endless(to, b": ping\n\n" * 9000)),
    "an endless error": ("problem.engine_failed", lambda to: endless(to, b"x" * 9999, status=500)),
    "not http": ("problem.engine_no_word", lambda to: to.sendall(b"SSH-2.0-OpenSSH_9.2\r\n")),
    "no answer": ("problem.engine_no_word", lambda to: None),
    "no words": ("problem.engine_no_word", lambda to: to.sendall(head())),
    "no end": ("problem.engine_no_word", lambda to: to.sendall(head() + word(""))),
}  # fmt: skip


@pytest.mark.parametrize("name", FAULTS)
def test_a_fault_is_a_sentence(tiny_checkpoint: Path, name: str, caplog: pytest.LogCaptureFixture) -> None:
    key, fault = FAULTS[name]

    def answer(request: Request, connection: socket.socket) -> None:
        if request.path.endswith("/models"):
            connection.sendall(models("small"))
        else:
            fault(connection)

    with loopback(answer) as server:
        services = services_with(tiny_checkpoint, server)
        with pytest.raises(Problem) as caught:
            ask(services)
        assert (caught.value.key, caught.value.values["where"]) == (key, server.where)
        assert services.chat.conversation("a").turns == [], "the message goes back to who wrote it"
        services.page_models.choose("b", None)
        assert ask(services, key="b")["count"] > 0, "the models of this machine go on"
    assert [record for record in caplog.records if record.exc_info] == []


BROKEN: dict[str, tuple[str, bytes]] = {
    "cut": ("problem.engine_cut", b""),
    "done without a reason": ("problem.engine_cut", event("[DONE]")),
    "malformed json": ("problem.engine_nonsense", event("{")),
    "an error": ("problem.engine_refused", event({"error": "out of memory"})),
    "a word without end": ("problem.engine_too_much", word("x" * 110_000)),
}


@pytest.mark.parametrize("name", BROKEN)
def test_what_was_written_before_a_fault_stays(tiny_checkpoint: Path, name: str) -> None:
    key, rest = BROKEN[name]
    with loopback(speaking(word("A", -0.1), word(" kite", -0.1), rest)) as server:
        services = services_with(tiny_checkpoint, server)
        update = ask(services)
        assert len(server.chats) == 1
    assert (text(update), update["state"]) == ("A kite", "broken")
    assert [remark[0] for remark in update["remarks"]] == [key]
    assert services.chat.alternatives("a", update["turn"], 1)["chosen"]["text"] == " kite"
    assert services.chat.conversation("a").turns[0].reply == "A kite", "the next request holds it"


def test_a_redirect_is_not_followed(tiny_checkpoint: Path) -> None:
    with loopback(speaking(*KITE)) as other:
        moved = head(307, HTML, f"location: {other.address}/v1/chat/completions", "content-length: 0")

        def answer(request: Request, connection: socket.socket) -> None:
            connection.sendall(models("small") if request.path.endswith("/models") else moved)

        with loopback(answer) as server:
            services = services_with(tiny_checkpoint, server, key=KEY)
            with pytest.raises(Problem) as caught:
                ask(services)
        assert caught.value.key == "problem.engine_moved"
        assert other.requests == []


def test_silence_is_not_waited_for_without_end(tiny_checkpoint: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engines_module, "SECONDS_OF_SILENCE", 0.3)

    def answer(request: Request, connection: socket.socket) -> None:
        if request.path.endswith("/models"):
            return connection.sendall(models("small"))
        connection.sendall(head() + (word("A", -0.1) if "now" in str(request.body) else b""))
        return until_closed(connection)

    with loopback(answer) as server:
        services = services_with(tiny_checkpoint, server)
        with pytest.raises(Problem) as caught:
            ask(services)
        assert caught.value.key == "problem.engine_slow"
        update = ask(services, "And now?")
        assert (text(update), update["state"]) == ("A", "broken")
        assert update["remarks"][0][0] == "problem.engine_slow"


def silent(*pieces: bytes) -> Answer:
    """A server that says so much, and then nothing until who asked hangs up."""

    def answer(request: Request, connection: socket.socket) -> None:
        speaking(*pieces)(request, connection)
        if not request.path.endswith("/models"):
            until_closed(connection)

    return answer


@pytest.mark.parametrize("pieces", [(), (word("A", -0.1),)], ids=["before a word", "after a word"])
@pytest.mark.parametrize("way", ["stop", "leave", "forget", "drop"])
def test_who_has_heard_enough_hangs_up_at_once(tiny_checkpoint: Path, pieces: tuple[bytes, ...], way: str) -> None:
    with loopback(silent(*pieces)) as server:
        services = services_with(tiny_checkpoint, server)
        running = services.chat.ask("a", "What is it?", read_settings(SENT))
        while len(next(running).tokens) < len(pieces):
            pass
        if way == "drop":
            running.close()
        else:
            {"stop": services.chat.stop, "leave": services.lifecycle.forget, "forget": services.chat.erase}[way]("a")
            assert list(running)[-1].to_json()["state"] == "stopped"
        assert server.hung_up.acquire(timeout=10), "the server was not told"


def test_a_stop_before_the_server_was_reached(tiny_checkpoint: Path) -> None:
    """Nobody accepts: the connection waits in the listener's queue, and the stop must not wait with it."""
    with loopback(speaking(*KITE)) as server:
        services = services_with(tiny_checkpoint, server)
    with socket.create_server(("127.0.0.1", int(server.address.rsplit(":")[-1]))):
        running = services.chat.ask("a", "What is it?", read_settings(SENT))
        next(running)
        services.chat.stop("a")
        assert list(running)[-1].state == "stopped"


def test_a_line_that_was_hung_up_is_not_connected() -> None:
    mine, theirs = socket.socketpair()
    with mine, theirs:
        connection = Connection()
        connection.close()
        connected = SimpleNamespace(get_extra_info={"socket": mine}.get)
        connection.trace("connection.connect_tcp.complete", {"return_value": connected})
        theirs.settimeout(5)
        assert theirs.recv(1) == b""


def test_two_minutes_are_the_most(tiny_checkpoint: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(speakers_module.RemoteResponder, "seconds", 0.3)
    with loopback(silent(word("A", -0.1))) as server:
        update = ask(services_with(tiny_checkpoint, server))
        assert (text(update), update["state"]) == ("A", "late")
        assert server.hung_up.acquire(timeout=10)


def test_a_server_that_is_gone(tiny_checkpoint: Path) -> None:
    with loopback(speaking(*KITE)) as server:
        services = services_with(tiny_checkpoint, server)
    with pytest.raises(Problem) as caught:
        ask(services)
    assert caught.value.key == "problem.engine_unreachable"
    assert len(services.models.remote_models()) == 1, "it may come back"
    told = services.models.describe(f"{server.where}/small")
    assert (told["first"], told["problem"]["key"]) == (True, "problem.engine_unreachable")


# --- What there is ---------------------------------------------------------------------------------------------------


def test_its_models_stand_behind_those_of_this_machine(tiny_checkpoint: Path) -> None:
    ids = ("small", "meta-llama/Llama-2-7b-chat-hf", "/srv/models/tinytown.gguf", r"C:\models\tinytown.gguf")
    with loopback(speaking(offered=ids)) as server:
        services = services_with(tiny_checkpoint, server)
        rows = services.models.available()
        told = services.models.describe(f"{server.where}/small")
    where = server.where
    assert [row["name"] for row in rows] == ["tiny", *(f"{where}/{id}" for id in ids)]
    shown = [
        f"{name} @ {where}" for name in ("small", "meta-llama/Llama-2-7b-chat-hf", "tinytown.gguf", "tinytown.gguf")
    ]
    assert [row["title"] for row in rows] == ["tiny", *shown]
    assert told == {
        "name": f"{where}/small", "title": f"small @ {where}", "parameters": None, "has_manifest": False,
        "engine": where, "verified": False, "tinytown": False, "trust": None, "first": False, "problem": None,
        "here": {"name": "tiny", "title": "tiny"},
    }  # fmt: skip
    assert "engine" not in services.models.describe("tiny")


def test_only_what_it_offers_is_asked_for(tiny_checkpoint: Path) -> None:
    with loopback(speaking(*KITE)) as server:
        services = services_with(tiny_checkpoint, server)
        for forged in ("/large", "/", "", "/../small", "/small/", "/SMALL", "x/small"):
            services.page_models.choose("a", server.where + forged)
            with pytest.raises(Problem) as caught:
                ask(services)
            assert caught.value.key == "problem.no_model"
        assert server.chats == []
        assert services.models.describe(f"{server.where}/large")["problem"]["key"] == "problem.no_model"


def test_one_model_may_be_named(tiny_checkpoint: Path) -> None:
    with loopback(picky(lambda body: None, *KITE)) as server:
        services = services_with(tiny_checkpoint, server, only_model="hidden")
        assert [request.path for request in server.requests] == [], "a server without a list has it all the same"
        assert text(ask(services)) == "A kite."
        assert server.chats[0]["model"] == "hidden"


LISTS = [
    '{"data": 3}', '{"data": [3]}', '{"data": [{"id": 3}]}', "[]", "{", "null", '{"data": {"id": "a"}}', "[" * 50_000,
    '{"models": []}',
]  # fmt: skip


@pytest.mark.parametrize("body", LISTS)
def test_a_list_that_is_none(body: str) -> None:
    with loopback(lambda request, to: to.sendall(whole(body))) as server:
        engine = RemoteEngine(server.address)
        engine.refresh()
    assert engine.models() == []
    assert engine.problem is not None
    assert engine.problem.key == "problem.engine_nonsense"


@pytest.mark.parametrize("name", [name for name in FAULTS if "stream" not in name and "word" not in name])
def test_a_list_that_cannot_be_had(name: str) -> None:
    with loopback(lambda request, to: FAULTS[name][1](to) and None) as server:
        engine = RemoteEngine(server.address)
        engine.refresh()
    assert engine.models() == []
    assert isinstance(engine.problem, Problem)


def test_names_that_cannot_be_shown_are_left_out() -> None:
    ids = ("a", "a", "", "b\n", "c\u202e", "x" * 201, "d" * 200, *(f"m{number}" for number in range(300)))
    with loopback(speaking(offered=ids)) as server:
        engine = RemoteEngine(server.address)
        engine.refresh()
    found = [model.id for model in engine.models()]
    assert found[:3] == ["a", "d" * 200, "m0"]
    assert len(found) <= 200


def test_a_list_that_drips_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engines_module, "SECONDS_FOR_MODELS", 0.5)

    def drip(request: Request, connection: socket.socket) -> None:
        for byte in head(200, "application/json") + b" " * 10_000:
            connection.sendall(bytes([byte]))
            time.sleep(0.02)

    with loopback(drip) as server:
        engine = RemoteEngine(server.address)
        engine.refresh()
        assert server.hung_up.acquire(timeout=10)
    assert engine.problem is not None
    assert engine.problem.key == "problem.engine_slow"


def test_it_is_asked_once_for_many(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engines_module, "SECONDS_BETWEEN_LISTS", 60.0)
    with loopback(speaking()) as server:
        engine = RemoteEngine(server.address)
        threads = [threading.Thread(target=engine.refresh) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(20)
    assert len(server.requests) == 1


def test_what_looks_inside_says_that_the_weights_are_elsewhere(tiny_checkpoint: Path) -> None:
    with loopback(speaking(*KITE)) as server:
        services = services_with(tiny_checkpoint, server)
        ask(services)
        views: tuple[Callable[[], object], ...] = (
            lambda: list(services.attention.look("a", "Hello")), lambda: services.layers.guess("a", "Hello"),
            lambda: services.step.trace("a", {"text": "Hello"}), lambda: services.attribution.read("a", "Hello"),
            lambda: services.intervene.begin("a", "Hello"), lambda: list(services.attribution.explain("a", {})),
            lambda: services.attribution.put_to_the_test("a"), lambda: list(services.attribution.compare("a")),
        )  # fmt: skip
        for view in views:
            with pytest.raises(
                Problem, match=r"those of “small @ .*” are not. Choose a model of this machine"
            ) as caught:
                view()
            assert caught.value.key == "problem.engine_weights"
        assert services.page_models.opened_here("a") is None
        assert services.page_models.opened_here("b") is services.models.first.opened


# --- The address and the key -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("given", "read", "where"),
    [
        ("http://localhost:8080", "http://localhost:8080/v1", "localhost:8080"),
        ("http://localhost:8080/", "http://localhost:8080/v1", "localhost:8080"),
        ("https://api.example.org/v1/", "https://api.example.org/v1", "api.example.org"),
        ("https://example.org/openai", "https://example.org/openai", "example.org/openai"),
        ("http://[::1]:11434", "http://[::1]:11434/v1", "[::1]:11434"),
        ("HTTP://127.0.0.1:1", "http://127.0.0.1:1/v1", "127.0.0.1:1"),
    ],
)
def test_addresses(given: str, read: str, where: str) -> None:
    assert read_address(given) == read
    assert OpenAIClient(given).where == where


BAD = [
    "localhost:8080", "file:///etc/passwd", "ftp://localhost", "javascript:alert(1)", "http://", "http:///v1", "",
    "http://user:pass@localhost", "http://user@localhost", "http://localhost/?key=1", "http://localhost/#x",
    "http://localhost:99999", "http://localhost:x", "http://local host", "http://localhost\n", "http://löcalhost",
    "unix:/run/x.sock", "http://[::1", "//localhost", "http://localhost\r\nx: y",
]  # fmt: skip


@pytest.mark.parametrize("address", BAD)
def test_what_is_no_address(address: str) -> None:
    with pytest.raises(ValueError, match=r"was expected|holds no user"):
        RemoteEngine(address)


@pytest.mark.parametrize(
    ("address", "private"),
    [
        ("http://localhost:1", True), ("http://127.0.0.1:1", True), ("http://127.1.2.3", True), ("http://[::1]", True),
        ("https://example.org", True), ("https://10.0.0.1", True), ("http://example.org", False),
        ("http://10.0.0.1:8000", False), ("http://localhost.example.org", False), ("http://127.0.0.1.nip.io", False),
        ("http://0.0.0.0", False), ("http://[fe80::1]", False),
    ],
)  # fmt: skip
def test_who_could_read_along(address: str, private: bool) -> None:
    assert OpenAIClient(address).is_private is private


def options(*arguments: str) -> Any:
    return parse_options([part for address in arguments for part in ("--engine", address)])


def test_plain_http_to_elsewhere_is_warned_of(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    open_engines(options("http://localhost:1", "https://example.org"))
    assert caplog.text == ""
    open_engines(options("http://10.0.0.1:8000"))
    assert "10.0.0.1:8000 is asked without encryption" in caplog.text
    assert "the key" not in caplog.text
    monkeypatch.setenv("LITELLAMA_ENGINE_KEY", KEY)
    open_engines(options("http://10.0.0.1:8000"))
    assert "and the key" in caplog.text
    assert KEY not in caplog.text


def test_each_engine_gets_its_own_key(monkeypatch: pytest.MonkeyPatch) -> None:
    with loopback(speaking()) as one, loopback(speaking()) as two, loopback(speaking()) as three:
        monkeypatch.setenv("LITELLAMA_ENGINE_KEY", f" {KEY}\n")
        monkeypatch.setenv("LITELLAMA_ENGINE_KEY_3", "other")
        for engine in open_engines(options(one.address, two.address, three.address)):
            engine.refresh()
    sent = [server.requests[0].headers.get("authorization") for server in (one, two, three)]
    assert sent == [f"Bearer {KEY}", None, "Bearer other"]


def test_the_key_goes_there_and_nowhere_else(
    tiny_checkpoint: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    caplog.set_level(logging.DEBUG)
    with loopback(speaking(*KITE)) as proxy, loopback(speaking(*KITE)) as server:
        for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
            monkeypatch.setenv(name, proxy.address)
        services = services_with(tiny_checkpoint, server, key=KEY)
        update = ask(services)
        assert proxy.requests == []
    assert [request.headers["authorization"] for request in server.requests] == [f"Bearer {KEY}"] * 2
    shown = (caplog.text, update, services.models.available(), services.models.describe(f"{server.where}/small"))
    assert KEY not in repr(shown)
    assert KEY not in repr(services.models.engines[0].client) + repr(services.models.remote_models())


@pytest.mark.parametrize("key", ["two words", "line\nbreak", "schlüssel", "\x00"])
def test_what_is_no_key_is_not_repeated(key: str) -> None:
    with pytest.raises(ValueError, match="characters that no key can hold") as caught:
        RemoteEngine("http://localhost:1", key)
    assert key not in str(caught.value)


def test_options(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    assert parse_options([]).engine == []
    chosen = parse_options(["--engine", "http://localhost:1", "--engine-model", "small"])
    assert [model.id for engine in open_engines(chosen) for model in engine.models()] == ["small"]
    for wrong in (["--engine-model", "x"], ["--engine", "http://a", "--engine", "http://b", "--engine-model", "x"]):
        with pytest.raises(SystemExit):
            parse_options(wrong)
    assert "--engine was given 2 times" in capsys.readouterr().err


# --- Over the network -----------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def server() -> Iterator[Loopback]:
    with loopback(speaking(*KITE)) as server:
        yield server


@pytest.fixture(scope="module")
def client(tiny_checkpoint: Path, server: Loopback, tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx.Client]:
    folder = tmp_path_factory.mktemp("app")
    log = folder / "app.log"
    with socket.create_server(("127.0.0.1", 0)) as unused:
        gone = f"http://127.0.0.1:{unused.getsockname()[1]}"
    given = ["--models", str(folder), "--engine", server.address, "--engine", gone]
    with (
        running_app(tiny_checkpoint, log, *given) as address,
        closing(httpx.Client(base_url=address, timeout=30)) as client,
    ):
        yield client
    assert "Traceback" not in log.read_text(), log.read_text()
    assert f"{gone.removeprefix('http://')} cannot be reached" in log.read_text()


def test_a_page_can_choose_and_ask(client: httpx.Client, server: Loopback) -> None:
    names = [row["name"] for row in client.get("/models.json").json()]
    assert names == ["tiny", f"{server.where}/small"], "the one that is down keeps nobody from the others"
    (problem,) = client.get("/engines.json").json()
    assert problem["key"] == "problem.engine_unreachable"
    assert client.post("/model.json", params={"name": names[1]}).json()["engine"] == server.where
    page = Page(client)
    update = page.call("ask", {"request": "1", "model": names[1], "text": "Hello", "settings": SENT})
    assert (text(update), update["state"]) == ("A kite.", "done")
    picked = page.call("pick", {"model": names[1], "turn": update["turn"], "token": 1, "nonce": 1})
    assert picked["chosen"]["text"] == " kite"
    for name in ("look", "guess", "trace", "begin", "read"):
        told = page.call(name, {"model": names[1], "text": "Hello"})
        assert told["problem"]["key"] == "problem.engine_weights", name
    local = page.call("ask", {"request": "2", "model": "tiny", "text": "Hello", "settings": SENT})
    assert local["count"] > 0


def test_no_page_says_which_server_is_asked(client: httpx.Client, server: Loopback) -> None:
    page = Page(client)
    with loopback(speaking(*KITE)) as other:
        for name in (
            f"{other.where}/small",
            other.address,
            f"{other.address}/v1/small",
            f"{server.where}@{other.where}",
        ):
            sent = {"request": "1", "model": name, "text": "Hello", "settings": SENT}
            assert page.call("ask", sent)["problem"]["key"] == "problem.no_model"
            assert client.post("/model.json", params={"name": name}).json()["problem"]["key"] == "problem.no_model"
        assert other.requests == []


def test_the_compare_tab_goes_on(client: httpx.Client, server: Loopback) -> None:
    from app.compare.service import FIRST

    costs = Page(client).call("compare_models", {**FIRST, "model": f"{server.where}/small"})["costs"]
    assert costs["models"]


def test_what_is_no_address_keeps_it_from_starting(tiny_checkpoint: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from app.__main__ import main

    assert main(["--checkpoint", str(tiny_checkpoint), "--port", "0", "--engine", "localhost:8080"]) == 2
    assert "an address such as http://localhost:8080 was expected" in capsys.readouterr().err
