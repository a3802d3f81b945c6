"""The chat with TinyTown in a real llama.cpp server: the same words as from the model here."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from app.common.settings import read_settings
from app.common.strings import Problem
from app.launch.options import DEFAULT_CHECKPOINT
from app.models.engines import RemoteEngine
from app.server.services import Services
from litellama.checkpoint import open_checkpoint
from litellama.export.run import export
from tests.support.llama_cpp import LlamaCpp

pytestmark = pytest.mark.slow
GREEDY = {"temperature": 0, "top_p": 1, "top_k": 0, "max_tokens": 120, "seed": 1}
TALKS = (
    ("Tell me a story about a lost kite.", "Who found it?"),
    ("Tom hid a red ball under the bed. Where is the ball?", "And who hid it?"),
    ("What is a llama?",),
    ("Who are you?", "What is seven plus five?"),
    ("Grüße! 😀",),
)
CONTEXT = 512


@pytest.fixture(scope="module")
def gguf(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("export") / "tinytown"
    for _ in export(DEFAULT_CHECKPOINT, out, "gguf"):
        pass
    return next(out.glob("*.gguf"))


@pytest.fixture(scope="module")
def address(gguf: Path) -> Iterator[str]:
    with LlamaCpp(gguf, CONTEXT, name="tinytown") as server:
        yield server.address


def session_with(address: str) -> Services:
    services = Services(open_checkpoint(DEFAULT_CHECKPOINT), engines=[RemoteEngine(address)])
    (offered,) = services.models.remote_models()
    assert offered.title == f"tinytown @ {address.removeprefix('http://')}"
    services.page_models.choose("there", offered.name)
    return services


def ask(services: Services, key: str, question: str, **changes: object) -> dict[str, Any]:
    return list(services.chat.ask(key, question, read_settings(GREEDY | changes)))[-1].to_json()


def text(update: dict[str, Any]) -> str:
    return "".join(piece for piece, _ in update["tokens"])


def test_the_same_words_from_here_and_there(address: str) -> None:
    services = session_with(address)
    for talk in TALKS:
        services.chat.erase("here")
        services.chat.erase("there")
        for question in talk:
            here, there = ask(services, "here", question), ask(services, "there", question)
            assert text(here) == text(there) != "", question
            assert (there["state"], there["stats"], there["dropped"]) == ("done", "chat.stats_engine", 0)
            assert [piece for piece, _ in here["tokens"]] == [piece for piece, _ in there["tokens"]]
            for (_, mine), (_, its) in zip(here["tokens"], there["tokens"], strict=True):
                assert its == pytest.approx(mine, abs=0.03), question  # llama.cpp multiplies in 16 bits
            both = (
                services.chat.alternatives(key, update["turn"], 0) for key, update in (("here", here), ("there", there))
            )
            mine, its = ({row["text"]: row["probability"] for row in told["rows"][:3]} for told in both)
            assert its == pytest.approx(mine, abs=0.03), question


def test_a_long_talk_goes_on_without_its_beginning(address: str) -> None:
    services = session_with(address)
    question = "Tom hid a red ball under the bed. Anna has a blue hat. " * 12 + "Where is the ball?"
    dropped = [ask(services, "there", question, max_tokens=20)["dropped"] for _ in range(4)]
    assert dropped[0] == 0 < dropped[-1], "the server reads 512 tokens at once"
    assert "logprobs" in next(iter(services.models.engines[0].accepted_options.values()))
    with pytest.raises(Problem, match="is longer than the model at"):
        ask(services, "there", question * 5)
    assert ask(services, "there", "What is a llama?")["count"] > 0


def test_a_stop_is_heard_there(address: str) -> None:
    services = session_with(address)
    for _ in range(3):
        running = services.chat.ask("there", "Tell me a story about a race.", read_settings(GREEDY))
        next(running)
        services.chat.stop("there")
        assert list(running)[-1].state == "stopped"
    assert text(ask(services, "else", "Who are you?")) != ""
    services.chat.erase("there")
    assert text(ask(services, "there", "Who are you?")) == text(ask(services, "fresh", "Who are you?"))


def test_a_server_that_dies(gguf: Path) -> None:
    with LlamaCpp(gguf, CONTEXT, name="tinytown") as server:
        services = session_with(server.address)
        assert ask(services, "there", "Who are you?")["state"] == "done"
        server.process.kill()
        server.process.wait(timeout=20)
        with pytest.raises(Problem) as caught:
            ask(services, "there", "Who are you?")
    assert caught.value.key == "problem.engine_unreachable"
    assert ask(services, "here", "Who are you?")["count"] > 0
