"""Two models side by side: each answers as it does alone, one's failure is its own, and blind gives nothing away."""

from __future__ import annotations

import json
import math
import secrets
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import httpx
import pytest
import torch

from app.chat import side_by_side as side_by_side_module
from app.chat.blind_test import VOTES, PairRequest, read_pair_request
from app.chat.conversation import Conversation, Update
from app.chat.reply_writer import ReplyWriter
from app.chat.side_by_side import SideBySide
from app.common.settings import Settings, read_settings
from app.common.strings import Problem
from app.models import registry as models_module
from app.models.engines import RemoteEngine
from app.server.services import Services
from litellama.chat import stop_ids
from litellama.checkpoint import open_checkpoint, save_checkpoint
from litellama.tokenizer import Tokenizer
from tests.browser.app_server import Page, running_app
from tests.conftest import TINY, random_model
from tests.support.loopback import finish, loopback, speaking, word

SENT = {"temperature": 0, "top_p": 1, "top_k": 0, "max_tokens": 12, "seed": 1}
QUESTIONS = ("Tom found a red kite. Where is it?", "Who has the kite now?")
LAYERS = {"alpha": 2, "beta": 3}
PATIENCE = 20.0  # seconds, for what happens at once unless something is broken


@pytest.fixture(scope="module")
def shelf(tmp_path_factory: pytest.TempPathFactory, tokenizer: Tokenizer) -> Path:
    """Two models that always have something to say, and never the same."""
    folder = tmp_path_factory.mktemp("models")
    for name, layers in LAYERS.items():
        model = random_model(replace(TINY, vocab_size=tokenizer.vocab_size, num_hidden_layers=layers), seed=layers)
        with torch.no_grad():
            model.lm_head.weight[list(stop_ids(model, tokenizer))] = 0
        save_checkpoint(folder / name, model, tokenizer, card={"name": name.title()})
    return folder


@pytest.fixture
def services(shelf: Path) -> Services:
    return Services(open_checkpoint(shelf / "alpha"), shelf)


@pytest.fixture(autouse=True)
def hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(side_by_side_module, "SECONDS_BETWEEN_UPDATES", 0.0)


def pair_of(
    first: str = "alpha", second: str = "beta", *, blind: bool = False, in_turn: bool = False,
    heat: float = 0, **settings: object,
) -> PairRequest:  # fmt: skip
    sent = {"model": second, "temperature": heat, "blind": blind, "in_turn": in_turn}
    return read_pair_request(first, SENT | settings, sent)


def ask(services: Services, pair: PairRequest, question: str = QUESTIONS[0]) -> dict[str, Any]:
    return list(services.chat.side_by_side.ask("page", question, pair))[-1]


def texts(update: dict[str, Any]) -> list[str]:
    """Of both sides of the last exchange, hidden or not."""
    sides = update["turns"][-1]["sides"]
    return [side["text"] if "text" in side else "".join(text for text, _ in side["tokens"]) for side in sides]


def states(update: dict[str, Any]) -> list[str]:
    return [side["state"] for side in update["turns"][-1]["sides"]]


def titles(update: dict[str, Any]) -> list[str]:
    return [name["title"] for name in update["turns"][-1]["names"]]


def alone(services: Services, name: str, *questions: str) -> list[str]:
    """What a model says to them, one after the other, to a page that has no other."""
    key = f"alone with {name}"
    services.page_models.choose(key, name)
    services.chat.erase(key)
    told = [list(services.chat.ask(key, question, read_settings(SENT)))[-1] for question in questions]
    return ["".join(text for text, _ in update.tokens) for update in told]


@pytest.fixture
def dice(monkeypatch: pytest.MonkeyPatch) -> Callable[[int], None]:
    """`dice(1)` lets the server show a blind pair the other way round, `dice(0)` as it was pair."""

    def throw(side: int) -> None:
        monkeypatch.setattr(secrets, "randbelow", lambda below: side)

    return throw


# --- Both answer -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("in_turn", [False, True])
def test_each_answers_as_it_does_alone(services: Services, in_turn: bool) -> None:
    expected = {name: alone(services, name, *QUESTIONS) for name in LAYERS}
    assert expected["alpha"] != expected["beta"]
    for number, question in enumerate(QUESTIONS):
        update = ask(services, pair_of(in_turn=in_turn), question)
        assert update["over"]
        assert not update["hidden"]
        assert titles(update) == ["Alpha", "Beta"]
        assert texts(update) == [expected["alpha"][number], expected["beta"][number]], "each by its own conversation"
        assert states(update) == ["length", "length"]
        for side in update["turns"][0]["sides"]:
            assert side["turn"] == number
            assert side["count"] == len(side["tokens"]) == 12
            assert side["bill"]["replies"] == 1
            assert side["total"]["replies"] == number + 1


def test_what_comes_meanwhile(services: Services) -> None:
    updates = list(services.chat.side_by_side.ask("page", QUESTIONS[0], pair_of()))
    assert [update["over"] for update in updates] == [False] * (len(updates) - 1) + [True]
    assert len(updates) > 1, "the first words come at once"
    assert len({json.dumps(update) for update in updates}) == len(updates), "Gradio sends only what changed"


def test_five_updates_a_second(services: Services, monkeypatch: pytest.MonkeyPatch) -> None:
    """By a clock that goes on only while somebody waits."""
    now, said = [100.0], Talkers()

    def sleep(seconds: float) -> None:
        now[0] += seconds

    monkeypatch.setattr(side_by_side_module, "time", SimpleNamespace(monotonic=lambda: now[0], sleep=sleep))
    monkeypatch.setattr(side_by_side_module, "SECONDS_BETWEEN_UPDATES", 0.2)
    running = answered_by(services, said.answer).ask("page", "Hello", pair_of())
    told = [(next(running), now[0])[1] for _ in range(6)]
    running.close()  # type: ignore[attr-defined]
    assert told == pytest.approx([100.0, 100.2, 100.4, 100.6, 100.8, 101.0])


def test_the_same_model_at_two_temperatures(services: Services) -> None:
    update = ask(services, pair_of("beta", "beta", heat=1.5))
    assert update["turns"][0]["names"] == [
        {"title": "Beta", "temperature": 0.0}, {"title": "Beta", "temperature": 1.5},
    ]  # fmt: skip
    cold, hot = texts(update)
    assert cold == alone(services, "beta", QUESTIONS[0])[0] != hot
    services.chat.side_by_side.erase("page")
    assert len(set(texts(ask(services, pair_of("beta", "beta", temperature=1, heat=1))))) == 1, (
        "the same seed goes to both"
    )


def test_namesakes_are_told_apart(shelf: Path, tmp_path: Path) -> None:
    for name in LAYERS:
        opened = open_checkpoint(shelf / name)
        save_checkpoint(tmp_path / name, opened.model, opened.tokenizer, card={"name": "Same"})
    services = Services(open_checkpoint(tmp_path / "alpha"), tmp_path)
    assert titles(ask(services, pair_of())) == ["Same (alpha)", "Same (beta)"]


def test_redo_and_edit(services: Services) -> None:
    expected = {name: alone(services, name, *QUESTIONS) for name in LAYERS}
    ask(services, pair_of(), QUESTIONS[0])
    ask(services, pair_of(temperature=1.5), "Something else")
    again = list(services.chat.side_by_side.redo("page", QUESTIONS[1], pair_of()))[-1]
    assert texts(again) == [expected["alpha"][1], expected["beta"][1]], "what it replaced is forgotten"
    again = list(services.chat.side_by_side.redo("page", None, pair_of()))[-1]
    assert texts(again) == [expected["alpha"][1], expected["beta"][1]]
    for conversation in services.chat.side_by_side._comparison("page").pair.conversations:  # type: ignore[union-attr]
        assert [turn.question for turn in conversation.turns] == list(QUESTIONS)


def test_what_cannot_be_redone(services: Services) -> None:
    with pytest.raises(Problem, match="no message"):
        next(services.chat.side_by_side.redo("page", None, pair_of()))
    ask(services, pair_of())
    with pytest.raises(Problem, match="no message"):
        next(services.chat.side_by_side.redo("page", None, pair_of("beta", "alpha")))  # another comparison than that
    services.chat.side_by_side.erase("page")
    with pytest.raises(Problem, match="no message"):
        next(services.chat.side_by_side.redo("page", None, pair_of()))


def test_another_pair_begins_a_new_round(services: Services) -> None:
    rounds = [ask(services, pair)["round"] for pair in (pair_of(), pair_of(), pair_of(in_turn=True), pair_of(heat=1))]
    assert len(set(rounds)) == 1, "these go on"
    assert ask(services, pair_of(second="alpha"))["round"] != rounds[0]
    number = ask(services, pair_of())["round"]
    assert ask(services, pair_of(blind=True))["round"] != number
    services.chat.side_by_side.erase("page")
    update = ask(services, pair_of())
    assert update["round"] > number
    assert update["turns"][0]["sides"][0]["turn"] == 0


def test_alternatives_of_either_side(services: Services) -> None:
    update = ask(services, pair_of())
    for side, name in enumerate(LAYERS):
        conversation = services.chat.side_by_side.conversation("page", update["round"], side)
        assert conversation.model.name == name
        for token, (_, probability) in enumerate(update["turns"][0]["sides"][side]["tokens"]):
            told = services.chat.writer.alternatives(conversation, 0, token)
            assert told["chosen"]["probability"] == pytest.approx(probability, abs=1e-4)
            assert len(told["rows"]) == 10
    for number, side in ((update["round"] + 1, 0), (None, 0), (True, 0), (update["round"], 2), (update["round"], "0"),
                         (update["round"], True), (update["round"], None), (update["round"], -1)):  # fmt: skip
        with pytest.raises(Problem):
            services.chat.side_by_side.conversation("page", number, side)
    with pytest.raises(Problem, match="no longer remembered"):
        services.chat.side_by_side.conversation("another page", update["round"], 0)
    services.chat.side_by_side.erase("page")
    with pytest.raises(Problem, match="no longer remembered"):
        services.chat.side_by_side.conversation("page", update["round"], 0)


def test_the_ordinary_conversation_is_another(services: Services) -> None:
    list(services.chat.ask("page", "Hello", read_settings(SENT)))
    ask(services, pair_of())
    assert [turn.question for turn in services.chat.conversation("page").turns] == ["Hello"]
    services.chat.side_by_side.erase("page")
    assert len(services.chat.conversation("page").turns) == 1
    ask(services, pair_of())
    services.chat.erase("page")
    assert list(services.chat.side_by_side.redo("page", None, pair_of()))


# --- Stopping, failing -------------------------------------------------------------------------------------------


class Talkers:
    """In place of the models: conversations that say "la" until they are stopped, and how many of them are speaking."""

    def __init__(self, text: str = "la") -> None:
        self.text = text
        self.begun: list[str] = []
        self.ended: list[str] = []
        self.temperatures: list[tuple[str, float]] = []
        self.last = 10**9  # words, then they end by themselves
        self.go_on = threading.Event()
        self.go_on.set()

    def answer(self, conversation: Conversation, question: str, settings: Settings) -> Iterator[Update]:
        self.begun.append(conversation.model.name)
        self.temperatures.append((conversation.model.name, settings.temperature))
        with conversation.writing(PATIENCE):
            turn = conversation.begin(question)
            for count in range(1, self.last):
                said: list[tuple[str, float]] = [(self.text, 0.5)] * count
                state = "stopped" if conversation.stop.is_set() else "done" if count == self.last - 1 else "running"
                if state != "running":
                    self.ended.append(conversation.model.name)
                yield Update(turn.number, state, said, 0, settings.seed, float(len(conversation.model.name)))
                if state != "running":
                    return
                assert self.go_on.wait(PATIENCE)
                conversation.stop.wait(0.001)


def answered_by(services: Services, answer: Callable[..., Iterator[Update]]) -> SideBySide:
    writer = ReplyWriter(services.page_models, services.chat.writer.meter)
    writer.answer = answer  # type: ignore[method-assign]
    return SideBySide(writer)


@pytest.fixture
def talkers() -> Talkers:
    return Talkers()


@pytest.fixture
def endless(services: Services, talkers: Talkers) -> SideBySide:
    return answered_by(services, talkers.answer)


def begin(both: SideBySide, pair: PairRequest) -> tuple[Iterator[dict[str, Any]], dict[str, Any]]:
    """Until both, or with one after the other the first, have said something."""
    running = both.ask("page", QUESTIONS[0], pair)
    given_up = time.monotonic() + PATIENCE
    for update in running:
        if time.monotonic() > given_up:
            break
        if [side is not None for side in update["turns"][0]["sides"]] == [True, not pair.in_turn]:
            return running, update
    raise AssertionError("that never came")


def test_stop_stops_both(endless: SideBySide) -> None:
    running, _ = begin(endless, pair_of())
    endless.stop("page")
    update = list(running)[-1]
    assert states(update) == ["stopped", "stopped"]


def test_stop_is_heard_while_the_models_are_opened(services: Services, talkers: Talkers) -> None:
    """Then no conversation is being written yet that could hear it."""
    opening, opened = threading.Barrier(3), threading.Event()

    def answer(conversation: Conversation, question: str, settings: Settings) -> Iterator[Update]:
        opening.wait(PATIENCE)
        assert opened.wait(PATIENCE)
        yield from talkers.answer(conversation, question, settings)

    both = answered_by(services, answer)
    told: list[dict[str, Any]] = []
    asking = threading.Thread(target=lambda: told.extend(both.ask("page", "Hello", pair_of())), daemon=True)
    asking.start()
    opening.wait(PATIENCE)
    both.stop("page")
    opened.set()
    asking.join(PATIENCE)
    assert states(told[-1]) == ["stopped", "stopped"]


def test_a_page_that_is_left_stops_both(endless: SideBySide, talkers: Talkers) -> None:
    running, _ = begin(endless, pair_of())
    running.close()  # type: ignore[attr-defined]
    _wait_for(lambda: sorted(talkers.ended) == ["alpha", "beta"])
    again, _ = begin(endless, pair_of())
    endless.forget("page")
    _wait_for(lambda: len(talkers.ended) == 4)
    assert all(update["round"] == 1 for update in again)
    third, update = begin(endless, pair_of())
    assert update["round"] == 1, "nothing is known of it any more"
    endless.erase("page")
    assert states(list(third)[-1]) == ["stopped", "stopped"]


def _wait_for(condition: Callable[[], bool]) -> None:
    done = threading.Event()
    for _ in range(int(PATIENCE * 100)):
        if condition():
            return
        done.wait(0.01)
    raise AssertionError("it never came about")


def test_one_after_the_other(endless: SideBySide, talkers: Talkers) -> None:
    running, update = begin(endless, pair_of(in_turn=True))
    assert update["turns"][0]["note"] == "side_by_side.in_turn_note"
    assert talkers.begun == ["alpha"]
    assert update["turns"][0]["sides"][1] is None
    endless.stop("page")
    last = list(running)[-1]["turns"][0]["sides"]
    assert talkers.begun == ["alpha"], "the other one never began"
    assert (last[0]["state"], last[1]["problem"]["key"]) == ("stopped", "problem.not_begun")
    talkers.last = 5
    assert states(list(endless.redo("page", None, pair_of(in_turn=True)))[-1]) == ["done", "done"]
    assert talkers.begun[1:] == ["alpha", "beta"]
    assert talkers.ended[1:] == ["alpha", "beta"]


def test_one_pair_at_a_time(endless: SideBySide) -> None:
    running, update = begin(endless, pair_of())
    with pytest.raises(Problem, match="still being written"):
        next(endless.ask("page", "me too", pair_of()))
    with pytest.raises(Problem, match="still being written"):
        next(endless.redo("page", None, pair_of()))
    other = endless.ask("another page", "I may", pair_of())
    next(other)
    other.close()  # type: ignore[attr-defined]
    newer, later = begin(endless, pair_of(second="alpha"))  # another comparison ends the one before
    assert later["round"] == update["round"] + 1
    assert states(list(running)[-1]) == ["stopped", "stopped"]
    newer.close()  # type: ignore[attr-defined]


def test_a_silent_model_is_waited_for(endless: SideBySide, talkers: Talkers, monkeypatch: pytest.MonkeyPatch) -> None:
    """The page takes the server for lost when nothing comes."""
    monkeypatch.setattr(side_by_side_module, "SECONDS_OF_SILENCE", 0.01)
    talkers.go_on.clear()
    running, _ = begin(endless, pair_of())
    silent = [next(running) for _ in range(4)]
    assert len({update["beat"] for update in silent}) == 4
    assert len({json.dumps(update["turns"]) for update in silent[1:]}) == 1
    talkers.go_on.set()
    running.close()  # type: ignore[attr-defined]


def test_one_model_that_is_not_there(services: Services) -> None:
    expected = alone(services, "alpha", *QUESTIONS)
    for number, question in enumerate(QUESTIONS):
        sides = ask(services, pair_of(second="nobody" * 50), question)["turns"][0]["sides"]
        assert "".join(text for text, _ in sides[0]["tokens"]) == expected[number]
        assert sides[1]["problem"]["key"] == "problem.no_model"
    again = list(services.chat.side_by_side.redo("page", None, pair_of(second="nobody" * 50)))[-1]["turns"][0]["sides"]
    assert "".join(text for text, _ in again[0]["tokens"]) == expected[1], "only the last turn was dropped"


def test_one_model_there_is_no_room_for(services: Services, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(models_module, "free_memory", lambda device: 1000)
    sides = ask(services, pair_of())["turns"][0]["sides"]
    assert sides[0]["state"] == "length"
    assert sides[1]["problem"]["key"] == "problem.model_too_large"
    monkeypatch.undo()
    assert states(ask(services, pair_of())) == ["length", "length"]


def test_one_model_that_fails(services: Services, caplog: pytest.LogCaptureFixture) -> None:
    weight = services.models.open("beta").opened.model.lm_head.weight
    kept = weight.data.clone()
    weight.data.fill_(math.nan)
    sides = ask(services, pair_of())["turns"][0]["sides"]
    assert sides[0]["state"] == "length"
    assert sides[1]["problem"]["key"] == "problem.unexpected"
    weight.data.copy_(kept)
    assert states(list(services.chat.side_by_side.redo("page", None, pair_of()))[-1]) == ["length", "length"]


def test_both_fail_each_by_itself(services: Services) -> None:
    sides = ask(services, pair_of("nobody", "nothing"))["turns"][0]["sides"]
    assert [side["problem"]["values"]["name"] for side in sides] == ["nobody", "nothing"]
    sides = ask(services, pair_of(), "long " * 700)["turns"][0]["sides"]
    assert {side["problem"]["key"] for side in sides} == {"problem.does_not_fit"}


def test_a_fault_of_the_lab_is_a_sentence_too(services: Services, caplog: pytest.LogCaptureFixture) -> None:
    def answer(conversation: Conversation, question: str, settings: Settings) -> Iterator[Update]:
        raise RuntimeError("a secret of the server's")
        yield

    update = list(answered_by(services, answer).ask("page", "Hello", pair_of()))[-1]
    assert "secret" not in json.dumps(update)
    assert {side["problem"]["key"] for side in update["turns"][0]["sides"]} == {"problem.unexpected"}


# --- One of them elsewhere -------------------------------------------------------------------------------------------


KITE = (word(" A", -0.1), word(" kite", -0.2), finish(prompt_tokens=9, completion_tokens=3))


@contextmanager
def with_one_elsewhere(shelf: Path, *pieces: bytes) -> Iterator[tuple[Services, str]]:
    """Services, and the name of the model that says `pieces` on another server."""
    with loopback(speaking(*pieces)) as server:
        services = Services(open_checkpoint(shelf / "alpha"), shelf, engines=[RemoteEngine(server.address)])
        (there,) = services.models.remote_models()
        yield services, there.name


@pytest.mark.parametrize("in_turn", [False, True])
@pytest.mark.parametrize("there", [0, 1])
def test_one_of_them_runs_elsewhere(shelf: Path, there: int, in_turn: bool) -> None:
    with with_one_elsewhere(shelf, *KITE) as (services, name):
        where, here = name.split("/")[0], 1 - there
        pair = (name, "alpha") if there == 0 else ("alpha", name)
        update = ask(services, pair_of(*pair, in_turn=in_turn))
        assert texts(update)[there] == "A kite"
        assert texts(update)[here] == alone(services, "alpha", QUESTIONS[0])[0]
        assert titles(update)[there] == f"small @ {where}"
        assert titles(update)[here] == "Alpha"
        assert update["turns"][0]["note"] == "side_by_side.elsewhere_note", "they did not share this computer"
        sides = update["turns"][0]["sides"]
        assert (sides[there]["stats"], sides[here]["stats"]) == ("chat.stats_engine", "chat.stats")
        assert sides[there]["bill"]["reason"] == "@chat.energy_elsewhere"
        assert sides[there]["bill"]["energy"] is None
        assert sides[here]["bill"]["reason"] != "@chat.energy_elsewhere"
        for side, engine in ((there, where), (here, None)):
            conversation = services.chat.side_by_side.conversation("page", update["round"], side)
            assert services.chat.writer.alternatives(conversation, 0, 0).get("engine") == engine


@pytest.mark.parametrize("pieces", [KITE, (word(" A", -0.1), word(" kite", -0.2))])
@pytest.mark.parametrize("side", [0, 1])
def test_blind_does_not_tell_which_runs_elsewhere(
    shelf: Path, dice: Callable[[int], None], side: int, pieces: tuple[bytes, ...]
) -> None:
    """Also where the other server broke off, which is said with its name only after the vote."""
    dice(side)
    with with_one_elsewhere(shelf, *pieces) as (services, name):
        updates = list(services.chat.side_by_side.ask("page", QUESTIONS[0], pair_of("alpha", name, blind=True)))
        there = 1 - side
        told = json.dumps(updates)
        for telling in (name, name.split("/")[0], "small", "engine", "elsewhere", "stats", "remarks", "broken"):
            assert telling not in told
        assert texts(updates[-1])[there] == "A kite"
        assert updates[-1]["turns"][0]["sides"][there]["cut"] == (pieces is not KITE)
        after = services.chat.side_by_side.vote("page", updates[-1]["round"], "a")
        assert titles(after)[there] == f"small @ {name.split('/')[0]}"
        assert states(after)[there] == ("done" if pieces is KITE else "broken")


def test_two_models_here_do_not_wait_for_a_server_that_is_elsewhere(shelf: Path) -> None:
    with with_one_elsewhere(shelf, *KITE) as (services, _):
        server = services.models.engines[0]
        server.refresh = lambda: pytest.fail("it was asked")  # type: ignore[method-assign]
        assert ask(services, pair_of())["turns"][0]["note"] == "side_by_side.at_once_note"


# --- Blind -------------------------------------------------------------------------------------------------------


def test_a_blind_page_is_told_two_texts_and_nothing_else(services: Services, dice: Callable[[int], None]) -> None:
    expected = {name: alone(services, name, *QUESTIONS) for name in LAYERS}
    for side, order in ((0, ["alpha", "beta"]), (1, ["beta", "alpha"])):
        services.chat.side_by_side.erase("page")
        dice(side)
        for number, question in enumerate(QUESTIONS):
            *before, last = services.chat.side_by_side.ask("page", question, pair_of(blind=True))
            for update in (*before, last):
                assert update.keys() == {"round", "hidden", "over", "turns", "beat"}
                assert update["hidden"]
            assert all(update["turns"] == [{"sides": [None, None]}] for update in before)
            assert last["turns"] == [{"sides": [{"text": expected[name][number], "cut": True} for name in order]}]


@pytest.mark.parametrize("in_turn", [False, True])
@pytest.mark.parametrize("slow", [None, "alpha", "beta"])
def test_what_a_blind_page_is_told_is_the_same_either_way(
    services: Services, dice: Callable[[int], None], in_turn: bool, slow: str | None
) -> None:
    """Where both say the same, nothing tells who is who: not the order, not who is quicker, not how it is cut up."""
    told = []
    for side in (0, 1):
        talkers = Talkers()
        talkers.last = 6

        def answer(
            conversation: Conversation, question: str, settings: Settings, talkers: Talkers = talkers
        ) -> Iterator[Update]:
            for update in talkers.answer(conversation, question, settings):
                if conversation.model.name == slow:
                    threading.Event().wait(0.02)
                    yield replace(update, tokens=[("l", 0.3), ("a", 0.9)] * len(update.tokens), seconds=99.0)
                else:
                    yield update

        dice(side)
        updates = list(answered_by(services, answer).ask("page", "Hello", pair_of(blind=True, in_turn=in_turn)))
        told.append({json.dumps({key: update[key] for key in update if key != "beat"}) for update in updates})
    assert told[0] == told[1]


def test_the_dice_are_thrown_for_each_round(services: Services) -> None:
    shown = Counter()
    for _ in range(40):
        services.chat.side_by_side.erase("page")
        update = ask(services, pair_of(blind=True, max_tokens=1))
        shown[titles(services.chat.side_by_side.vote("page", update["round"], "tie"))[0]] += 1
    assert set(shown) == {"Alpha", "Beta"}, "that all fall on one side happens once in 2**39 times"


def test_before_the_vote_no_token_is_explained(services: Services) -> None:
    update = ask(services, pair_of(blind=True))
    for side in (0, 1, "x"):
        with pytest.raises(Problem, match="after the vote"):
            services.chat.side_by_side.conversation("page", update["round"], side)
    services.chat.side_by_side.vote("page", update["round"], "a")
    assert services.chat.side_by_side.conversation("page", update["round"], 0).model.name in LAYERS


def test_before_the_vote_the_temperatures_stay(
    endless: SideBySide, talkers: Talkers, dice: Callable[[int], None]
) -> None:
    talkers.last = 3
    dice(1)
    ask_ = lambda heat: list(endless.ask("page", "Hello", pair_of(blind=True, heat=heat, temperature=0.5)))[-1]  # noqa: E731
    number = ask_(1.0)["round"]
    list(endless.redo("page", None, pair_of(blind=True, heat=2.0, temperature=0)))
    assert ask_(2.0)["round"] == number
    assert set(talkers.temperatures) == {("alpha", 0.5), ("beta", 1.0)}
    revealed = endless.vote("page", number, "a")
    assert revealed["turns"][-1]["names"] == [
        {"title": "Beta", "temperature": 1.0}, {"title": "Alpha", "temperature": 0.5},
    ]  # fmt: skip
    ask_(2.0)
    assert ("beta", 2.0) in talkers.temperatures, "afterwards they may be turned"


def test_the_vote_reveals_all(services: Services, dice: Callable[[int], None]) -> None:
    dice(1)
    expected = {name: alone(services, name, *QUESTIONS) for name in LAYERS}
    for question in QUESTIONS:
        update = ask(services, pair_of(blind=True), question)
    revealed = services.chat.side_by_side.vote("page", update["round"], "b")
    assert not revealed["hidden"]
    assert revealed["vote"] == "b"
    for number, turn in enumerate(revealed["turns"]):
        assert [name["title"] for name in turn["names"]] == ["Beta", "Alpha"]
        told = ["".join(text for text, _ in side["tokens"]) for side in turn["sides"]]
        assert told == [expected["beta"][number], expected["alpha"][number]]
        assert all(side["bill"] and side["seconds"] >= 0 for side in turn["sides"])
    assert revealed["tally"]["wins"] == [
        {"title": "Beta", "temperature": None, "count": 0}, {"title": "Alpha", "temperature": None, "count": 1},
    ]  # fmt: skip
    later = ask(services, pair_of(blind=True), "And then?")
    assert later["round"] == update["round"]
    assert titles(later) == ["Beta", "Alpha"], "from now on it is told who speaks"


def test_the_tally(services: Services, dice: Callable[[int], None]) -> None:
    cast = [(0, "a"), (1, "a"), (1, "b"), (0, "tie"), (1, "bad"), (0, "bad"), (0, "a")]
    for side, vote in cast:
        dice(side)
        services.chat.side_by_side.erase("page")
        tally = services.chat.side_by_side.vote(
            "page", ask(services, pair_of(blind=True, max_tokens=1))["round"], vote
        )["tally"]
    assert {one["title"]: one["count"] for one in tally["wins"]} == {"Alpha": 3, "Beta": 1}
    assert (tally["tie"], tally["bad"]) == (1, 2)
    services.lifecycle.forget("page")
    tally = services.chat.side_by_side.vote("page", ask(services, pair_of(blind=True, max_tokens=1))["round"], "tie")[
        "tally"
    ]
    assert (sum(one["count"] for one in tally["wins"]), tally["tie"], tally["bad"]) == (0, 1, 0)


def test_a_vote_counts_once(services: Services) -> None:
    number = ask(services, pair_of(blind=True))["round"]
    services.chat.side_by_side.vote("page", number, "a")
    with pytest.raises(Problem, match="nothing to vote on"):
        services.chat.side_by_side.vote("page", number, "a")
    ask(services, pair_of(blind=True))
    with pytest.raises(Problem, match="nothing to vote on"):
        services.chat.side_by_side.vote("page", number, "a")


def test_no_vote_while_they_write(endless: SideBySide, talkers: Talkers) -> None:
    running = endless.ask("page", "Hello", pair_of(blind=True))
    number = next(running)["round"]
    with pytest.raises(Problem, match="still being written"):
        endless.vote("page", number, "a")
    running.close()  # type: ignore[attr-defined]
    with pytest.raises(Problem, match="nothing to vote on"):
        endless.vote("page", number, "a")  # no answer was ever shown
    talkers.last = 3
    _wait_for(lambda: len(talkers.ended) == 2)
    list(endless.redo("page", None, pair_of(blind=True)))
    assert not endless.vote("page", number, "a")["hidden"]


@pytest.mark.parametrize("vote", ["c", "A", "", None, 0, True, ["a"], {"a": 1}, "none"])
def test_votes_of_any_shape(services: Services, vote: object) -> None:
    number = ask(services, pair_of(blind=True))["round"]
    with pytest.raises(Problem, match="nothing to vote on"):
        services.chat.side_by_side.vote("page", number, vote)
    for wrong in (number + 1, None, str(number), True, float(number)):
        with pytest.raises(Problem, match="nothing to vote on"):
            services.chat.side_by_side.vote("page", wrong, "a")
    with pytest.raises(Problem, match="nothing to vote on"):
        services.chat.side_by_side.vote("another page", number, "a")


def test_no_vote_where_nothing_is_hidden(services: Services) -> None:
    number = ask(services, pair_of())["round"]
    with pytest.raises(Problem, match="nothing to vote on"):
        services.chat.side_by_side.vote("page", number, VOTES[0])


def test_no_vote_on_a_side_that_failed(services: Services) -> None:
    ask(services, pair_of(blind=True))
    update = ask(services, pair_of(blind=True), "long " * 700)
    assert not update["hidden"], "a reason would tell which model it is; so there is no vote, and all is told"
    assert len(update["turns"]) == 2
    assert states(update) == ["problem", "problem"]
    assert sorted(titles(update)) == ["Alpha", "Beta"]
    with pytest.raises(Problem, match="nothing to vote on"):
        services.chat.side_by_side.vote("page", update["round"], "a")
    assert services.chat.side_by_side._comparison("page").tally_json() == {"wins": [], "tie": 0, "bad": 0}


def test_what_is_stopped_may_be_voted_on(endless: SideBySide) -> None:
    running = endless.ask("page", "Hello", pair_of(blind=True))
    _wait_for(lambda: next(running)["beat"] > 2)
    endless.stop("page")
    update = list(running)[-1]
    assert [side["cut"] for side in update["turns"][0]["sides"]] == [True, True]
    assert not endless.vote("page", update["round"], "tie")["hidden"]


# --- What a page may send ----------------------------------------------------------------------------------------


GOOD = {"model": "beta", "temperature": 0.5, "blind": False, "in_turn": True}


def test_a_wish_is_read() -> None:
    read = read_pair_request("alpha", SENT | {"seed": None}, GOOD)
    first, second = read.settings
    assert read.models == ("alpha", "beta")
    assert (read.blind, read.in_turn) == (False, True)
    assert (first.temperature, second.temperature) == (0, 0.5)
    assert replace(first, temperature=0.5) == second, "the same dice for both"
    first, second = read_pair_request(
        "alpha", SENT | {"repetition_penalty": 1.2}, GOOD | {"repetition_penalty": 1}
    ).settings
    assert (first.repetition_penalty, second.repetition_penalty) == (1.2, 1)


@pytest.mark.parametrize("bad", [
    None, [], "x", {}, GOOD | {"model": None}, GOOD | {"model": 3}, GOOD | {"model": ["beta"]}, GOOD | {"blind": 1},
    GOOD | {"blind": "yes"}, GOOD | {"in_turn": None}, GOOD | {"temperature": math.nan}, GOOD | {"temperature": 3},
    GOOD | {"temperature": "0"}, GOOD | {"temperature": None}, GOOD | {"temperature": True},
    GOOD | {"repetition_penalty": "1"},
])  # fmt: skip
def test_requests_of_any_shape(bad: object) -> None:
    with pytest.raises(Problem):
        read_pair_request("alpha", SENT, bad)


def test_pages_make_room(services: Services) -> None:
    services.chat.side_by_side._comparisons.most = 3
    ask(services, pair_of())
    for number in range(3):
        services.chat.side_by_side.stop(f"page {number}")
    assert "page" not in dict(services.chat.side_by_side._comparisons.items())
    assert len(services.chat.side_by_side._comparisons.items()) == 3


def test_who_changes_the_first_model_begins_anew(services: Services) -> None:
    services.page_models.choose("page", "alpha")
    ask(services, pair_of())
    services.page_models.choose("page", "beta")
    assert "page" not in dict(services.chat.side_by_side._comparisons.items())


# --- Over HTTP ---------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def client(shelf: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx.Client]:
    log = tmp_path_factory.mktemp("app") / "app.log"
    options = ("--models", str(shelf))
    with running_app(shelf / "alpha", log, *options) as address, httpx.Client(base_url=address, timeout=30) as client:
        yield client
    assert "Traceback" not in log.read_text(), log.read_text()


def raw(page: Page, name: str, sent: object) -> str:
    """Every byte that the page gets for an event."""
    event = page.join(name, sent).raise_for_status().json()["event_id"]
    heard = ""
    with page.client.stream("GET", "/gradio_api/queue/data", params={"session_hash": page.session}) as stream:
        for line in stream.iter_lines():
            heard += line
            if event in line and "process_completed" in line:
                return heard
    raise AssertionError("the stream ended")


def test_a_comparison_over_the_wire(client: httpx.Client) -> None:
    page = Page(client)
    sent = {"request": "1", "text": QUESTIONS[0], "settings": SENT, "side_by_side": GOOD | {"temperature": 0}}
    updates = page.stream("ask_both", sent)
    assert updates[-1]["request"] == "1"
    assert titles(updates[-1]) == ["Alpha", "Beta"]
    for side in (0, 1):
        picked = page.call("pick", {"turn": 0, "token": 3, "side": side, "round": updates[-1]["round"], "nonce": 5})
        assert len(picked["rows"]) == 10
        _, probability = updates[-1]["turns"][0]["sides"][side]["tokens"][3]
        assert picked["chosen"]["probability"] == pytest.approx(probability, abs=1e-4)
    assert "problem" in page.call("pick", {"turn": 0, "token": 3}), "the ordinary conversation is empty"
    again = page.call("redo_both", sent | {"text": None})
    assert texts(again) == texts(updates[-1])
    assert page.call("clear", {"request": "2", "both": True}) == {"request": "2", "state": "cleared"}
    assert page.call("redo_both", sent | {"text": None})["problem"]["key"] == "problem.nothing_to_redo"


def test_nothing_that_a_blind_page_hears_names_a_model(client: httpx.Client) -> None:
    page = Page(client)
    sent = {"request": "1", "text": QUESTIONS[0], "settings": SENT,
            "side_by_side": {"model": "beta", "temperature": 0, "blind": True, "in_turn": False}}  # fmt: skip
    heard = raw(page, "ask_both", sent) + raw(page, "redo_both", sent | {"text": None})
    for side in (0, 1):
        heard += raw(page, "pick", {"turn": 0, "token": 0, "side": side, "round": 1, "nonce": 1})
    heard += raw(page, "vote", {"request": "2", "round": 7, "vote": "a"})
    assert "problem.vote_first" in heard
    assert "problem.no_vote" in heard
    for told in ("alpha", "beta", "tokens", "count", "seconds", "joules", "bill", "seed", "probability", "names"):
        assert told not in heard.lower(), told
    revealed = page.call("vote", {"request": "3", "round": 1, "vote": "bad"})
    assert revealed["state"] == "voted"
    assert sorted(titles(revealed)) == ["Alpha", "Beta"]
    assert revealed["tally"]["bad"] == 1


@pytest.mark.parametrize("event", ["ask_both", "redo_both"])
@pytest.mark.parametrize(
    ("sent", "key"),
    [
        ({"text": "hi", "settings": SENT}, "problem.request"),
        ({"text": "hi", "settings": SENT, "side_by_side": GOOD | {"blind": 3}}, "problem.request"),
        ({"text": "hi", "settings": SENT, "side_by_side": GOOD | {"temperature": math.nan}}, "problem.setting"),
        ({"text": "hi", "settings": {}, "side_by_side": GOOD}, "problem.setting"),
        ({"text": "x" * 5000, "settings": SENT, "side_by_side": GOOD}, "problem.too_long"),
        ({"text": "hi", "model": ["x"], "settings": SENT, "side_by_side": GOOD}, "problem.request"),
        ("nonsense", "problem.request"),
        (None, "problem.request"),
    ],
)
def test_refusals_are_sentences(client: httpx.Client, event: str, sent: object, key: str) -> None:
    answer = Page(client).call(event, sent)
    assert (answer["state"], answer["problem"]["key"]) == ("problem", key)


def test_forged_votes_are_refused(client: httpx.Client) -> None:
    for sent in (None, "x", {}, {"round": [1], "vote": {"a": 1}}, {"round": 10**30, "vote": "a"}):
        assert Page(client).call("vote", sent)["problem"]["key"] == "problem.no_vote"
