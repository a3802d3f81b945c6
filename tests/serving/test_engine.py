"""Many conversations on one model: each is what it would be alone, whoever comes and goes."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Sequence
from unittest import mock

import pytest
import torch

import litellama.serving.batch
import litellama.serving.engine
from litellama.config import preset
from litellama.decoding import Decoding
from litellama.generate import Progress, Step, generate
from litellama.model import KVCache, LiteLlama, empty_model
from litellama.sampling import Sampling
from litellama.serving.engine import Engine
from tests.conftest import TINY, random_model

GREEDY = Sampling(greedy=True)


@pytest.fixture
def model() -> LiteLlama:
    return random_model(TINY)


def together(engine: Engine, requests: list[dict]) -> list[list[Step]]:
    """Ask everything at once, each from a thread of its own."""
    found: list[list[Step]] = [[] for _ in requests]

    def one(number: int) -> None:
        found[number] = list(engine.generate(**requests[number]))

    threads = [threading.Thread(target=one, args=(number,)) for number in range(len(requests))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return found


def requests(count: int, sampling: Sampling) -> list[dict]:
    """Prompts of many lengths, replies of many lengths, a stop token here and there."""
    return [
        {
            "prompt_ids": [(number * 31 + place * 7) % TINY.vocab_size for place in range(1 + number * 5 % 60)],
            "sampling": sampling, "max_new_tokens": 3 + number * 7 % 40, "seed": number,
            "stop_ids": {number % TINY.vocab_size} if number % 3 == 0 else (), "alternatives": 2,
        }
        for number in range(count)
    ]  # fmt: skip


@pytest.mark.parametrize("sampling", [GREEDY, Sampling(temperature=0.8, top_p=0.9, repetition_penalty=1.2)])
@pytest.mark.parametrize("slots", [1, 5, 40])
def test_each_is_as_alone(model: LiteLlama, sampling: Sampling, slots: int) -> None:
    asked = requests(30, sampling)
    alone = [list(generate(model, **request)) for request in asked]
    found = together(Engine(model, slots), asked)
    assert [[step.id for step in steps] for steps in found] == [[step.id for step in steps] for steps in alone]
    for steps, expected in zip(found, alone, strict=True):
        for step, other in zip(steps, expected, strict=True):
            assert step.probability == pytest.approx(other.probability, abs=1e-4)
            assert [id for id, _ in step.alternatives] == [id for id, _ in other.alternatives]


def test_a_long_prompt_is_read_in_parts_while_others_go_on(model: LiteLlama, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(litellama.serving.batch, "READ_AT_ONCE", 7)
    asked = requests(12, GREEDY)
    alone = [[step.id for step in generate(model, **request)] for request in asked]
    assert [[step.id for step in steps] for steps in together(Engine(model, 4), asked)] == alone


def test_who_leaves_frees_the_slot_for_who_waits(model: LiteLlama) -> None:
    engine = Engine(model, 1)
    long = {"sampling": GREEDY, "max_new_tokens": TINY.max_position_embeddings, "seed": 0}
    first, second = engine.generate([1, 2], **long), engine.generate([3], **(long | {"max_new_tokens": 2}))
    next(first)
    first.close()
    assert len(list(second)) == 2


def test_without_work_there_is_no_thread(model: LiteLlama) -> None:
    engine = Engine(model)
    assert len(list(engine.generate([1, 2], sampling=GREEDY, max_new_tokens=3, seed=0))) == 3
    wait_until(lambda: not workers())
    assert len(list(engine.generate([1, 2], sampling=GREEDY, max_new_tokens=3, seed=0))) == 3, "and it comes back"


def test_a_caller_who_never_listens_holds_nothing(model: LiteLlama) -> None:
    engine = Engine(model, 1)
    engine.generate([1, 2], sampling=GREEDY, max_new_tokens=50, seed=0)  # never asked for its first step
    assert len(list(engine.generate([3], sampling=GREEDY, max_new_tokens=2, seed=0))) == 2


def test_wrong_requests_are_refused_at_once(model: LiteLlama) -> None:
    with pytest.raises(ValueError, match="the prompt is empty"):
        Engine(model).generate([], sampling=GREEDY, max_new_tokens=3, seed=0)
    assert list(Engine(model).generate([1], sampling=GREEDY, max_new_tokens=0, seed=0)) == []
    assert not workers()


def test_what_goes_wrong_reaches_all_who_were_served_and_nobody_after(
    model: LiteLlama, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = Engine(model)
    steps = engine.generate([1, 2], sampling=GREEDY, max_new_tokens=200, seed=0)
    next(steps)

    def broken(self: object, ids: object) -> torch.Tensor:
        raise RuntimeError("out of memory")

    with monkeypatch.context() as patch:
        patch.setattr(litellama.serving.batch.Decoding, "step", broken)
        with pytest.raises(RuntimeError, match="out of memory"):
            list(steps)
    assert len(list(engine.generate([1, 2], sampling=GREEDY, max_new_tokens=4, seed=0))) == 4


def test_scores_that_are_no_numbers_end_one_conversation_and_not_the_others(model: LiteLlama) -> None:
    """What one conversation asks for cannot be done; the next step of the others comes all the same."""
    engine = Engine(model)

    class Broken(Sampling):
        def sample(self, *arguments: object) -> int:
            raise ValueError("cannot choose")

    well = engine.generate([1, 2], sampling=GREEDY, max_new_tokens=40, seed=0)
    next(well)
    with pytest.raises(ValueError, match="cannot choose"):
        next(engine.generate([3], sampling=Broken(), max_new_tokens=40, seed=0))
    assert len(list(well)) == 39


def test_a_prompt_that_cannot_be_read_ends_one_conversation(model: LiteLlama, monkeypatch: pytest.MonkeyPatch) -> None:
    read = litellama.serving.batch.read_tokens

    def fails_for_seven(model: LiteLlama, ids: list[int], cache: object) -> torch.Tensor:
        if ids[0] == 7:
            raise RuntimeError("not enough memory")
        return read(model, ids, cache)  # type: ignore[arg-type]

    engine = Engine(model)
    well = engine.generate([1, 2], sampling=GREEDY, max_new_tokens=40, seed=0)
    next(well)
    monkeypatch.setattr(litellama.serving.batch, "read_tokens", fails_for_seven)
    with pytest.raises(RuntimeError, match="not enough memory"):
        next(engine.generate([7], sampling=GREEDY, max_new_tokens=40, seed=0))
    assert len(list(well)) == 39


def test_who_waits_for_a_slot_is_told_so_and_may_leave(model: LiteLlama, monkeypatch: pytest.MonkeyPatch) -> None:
    engine, goes_on, step = Engine(model, 1), threading.Event(), Decoding.step

    def held(decoding: Decoding, ids: list[int]) -> torch.Tensor:
        assert goes_on.wait(30)
        return step(decoding, ids)

    monkeypatch.setattr(Decoding, "step", held)
    long = {"sampling": GREEDY, "max_new_tokens": 40, "seed": 0}
    first = engine.generate([1, 2], **long)
    next(first)  # it has the slot, and its second token doesn't come
    second = engine.follow([3, 4, 5], **long)
    assert [next(second), next(second)] == [Progress(read=0, total=3, stored=0, waiting=True)] * 2
    second.close()
    goes_on.set()
    assert len(list(first)) == 39


def slow_reading(monkeypatch: pytest.MonkeyPatch, at_once: int) -> list[list[int]]:
    """Prompts are read slowly, `at_once` tokens in one pass; gives the passes."""
    monkeypatch.setattr(litellama.serving.engine, "SECONDS_OF_SILENCE", 0.005)
    monkeypatch.setattr(litellama.serving.batch, "READ_AT_ONCE", at_once)
    read, passes = litellama.serving.batch.read_tokens, []

    def slowly(model: LiteLlama, ids: list[int], cache: KVCache) -> torch.Tensor:
        passes.append(ids)
        time.sleep(0.03)
        return read(model, ids, cache)

    monkeypatch.setattr(litellama.serving.batch, "read_tokens", slowly)
    return passes


def test_a_long_prompt_says_how_far_it_is(model: LiteLlama, monkeypatch: pytest.MonkeyPatch) -> None:
    slow_reading(monkeypatch, 7)
    prompt = [place % TINY.vocab_size for place in range(60)]
    told = list(Engine(model).follow(prompt, sampling=GREEDY, max_new_tokens=3, seed=0))
    first = next(place for place, event in enumerate(told) if isinstance(event, Step))
    reads = [event.read for event in told[:first] if isinstance(event, Progress)]
    assert reads == sorted(reads)
    assert {7, 14, 21} <= set(reads), "each part was told"
    assert told[first - 1] == Progress(read=60, total=60, stored=0, waiting=False)
    assert sum(isinstance(event, Step) for event in told) == 3


def test_who_leaves_during_a_long_prompt_is_gone_before_its_end(
    model: LiteLlama, monkeypatch: pytest.MonkeyPatch
) -> None:
    passes = slow_reading(monkeypatch, 2)
    events = Engine(model).follow([1] * 100, sampling=GREEDY, max_new_tokens=3, seed=0)
    next(events)
    events.close()
    wait_until(lambda: not workers())
    assert len(passes) < 50


def test_who_takes_no_tokens_is_given_up(model: LiteLlama, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its iterator was dropped somewhere without being closed; here it comes back."""
    monkeypatch.setattr(litellama.serving.batch, "SECONDS_UNHEARD", 0.1)
    step, steps = Decoding.step, []

    def slowly(decoding: Decoding, ids: list[int]) -> torch.Tensor:
        steps.append(ids)
        time.sleep(0.02)
        return step(decoding, ids)

    monkeypatch.setattr(Decoding, "step", slowly)
    deaf = Engine(model).generate([1, 2], sampling=GREEDY, max_new_tokens=100, seed=0)
    next(deaf)
    wait_until(lambda: not workers())
    assert len(steps) < 50
    with pytest.raises(TimeoutError, match="nobody took its tokens"):
        list(deaf)


def test_of_a_large_model_fewer_tokens_are_read_at_once(model: LiteLlama) -> None:
    large = empty_model(preset("llama2-7b"))
    assert litellama.serving.batch._read_at_once(model) == 128
    assert litellama.serving.batch._read_at_once(large) == 128, "as on a GPU"
    with mock.patch.object(LiteLlama, "device", torch.device("cpu")):
        assert litellama.serving.batch._read_at_once(large) == 16


def test_no_thread_to_be_had_is_told_and_the_next_one_is_served(
    model: LiteLlama, monkeypatch: pytest.MonkeyPatch
) -> None:
    def none_left(thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    engine = Engine(model)
    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "start", none_left)
        with pytest.raises(RuntimeError, match="new thread"):
            list(ask(engine))
    assert len(list(ask(engine))) == 4


@pytest.mark.parametrize(("room", "at_once"), [(1000, 3), (2, 2), (0, 1)])
def test_as_many_conversations_as_there_is_room_for(
    model: LiteLlama, monkeypatch: pytest.MonkeyPatch, room: int, at_once: int
) -> None:
    """What counts is how long they may become, not how long the model's context is; one alone always goes on."""
    token = 2 * 4 * TINY.num_hidden_layers * TINY.num_key_value_heads * TINY.head_dim
    monkeypatch.setattr(litellama.serving.engine, "MOST_CACHE_BYTES", room * token * 22)  # a prompt of 2 and 20 more
    seen: list[int] = []

    class Watched(Decoding):
        def step(self, ids: Sequence[int]) -> torch.Tensor:
            seen.append(len(ids))
            return super().step(ids)

    monkeypatch.setattr(litellama.serving.batch, "Decoding", Watched)
    request = {"prompt_ids": [1, 2], "sampling": GREEDY, "max_new_tokens": 20, "seed": 0}
    found = together(Engine(model), [request] * 3)
    alone = list(generate(model, **request))
    assert [[step.id for step in steps] for steps in found] == [[step.id for step in alone]] * 3
    assert max(seen) <= at_once
    assert (max(seen) > 1) == (room > 0), "where there is room they go on together"


def test_fewer_slots_where_a_process_gets_less_memory(model: LiteLlama, monkeypatch: pytest.MonkeyPatch) -> None:
    tried: list[int] = []

    class Small(Decoding):
        def __init__(self, model: LiteLlama, slots: int, max_length: int) -> None:
            tried.append(slots)
            if slots > 5:
                raise MemoryError
            super().__init__(model, slots, max_length)

    monkeypatch.setattr(litellama.serving.batch, "Decoding", Small)
    assert len(list(ask(Engine(model)))) == 4
    assert tried == [40, 20, 10, 5]


def ask(engine: Engine, sampling: Sampling | None = None, most: int = 4) -> Iterator[Step]:
    return engine.generate([1, 2], sampling=sampling or Sampling(temperature=0), max_new_tokens=most, seed=0)


@pytest.mark.parametrize("broken", ["open", "fill", "step", "close"])
def test_whatever_breaks_is_told(model: LiteLlama, monkeypatch: pytest.MonkeyPatch, broken: str) -> None:
    def fail(*arguments: object) -> None:
        raise RuntimeError("out of memory")

    engine = Engine(model)
    with monkeypatch.context() as patch:
        patch.setattr(Decoding, broken, fail)
        if broken == "close":  # all its tokens are there by then
            assert len(list(ask(engine))) == 4
        else:
            with pytest.raises(RuntimeError, match="out of memory"):
                list(ask(engine))
    assert len(list(ask(engine))) == 4


def test_no_room_for_a_batch(model: LiteLlama, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*arguments: object) -> None:
        raise MemoryError("no room")

    engine = Engine(model)
    with monkeypatch.context() as patch:
        patch.setattr(litellama.serving.batch, "Decoding", fail)
        with pytest.raises(MemoryError, match="no room"):
            list(ask(engine))
    assert len(list(ask(engine))) == 4


def workers() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name == "litellama-engine"]


def wait_until(holds: object, seconds: float = 10) -> None:
    until = time.monotonic() + seconds
    while not holds():  # type: ignore[operator]
        assert time.monotonic() < until
        time.sleep(0.01)


@pytest.fixture(autouse=True)
def _no_worker_is_left() -> Iterator[None]:
    yield
    wait_until(lambda: not workers())
