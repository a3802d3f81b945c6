"""What is stored of a conversation saves reading, and changes nothing else: not a token, and nobody else's time."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import litellama.serving.batch
import litellama.serving.engine
from litellama.decoding import Decoding
from litellama.generate import Progress, Step, generate
from litellama.model import LiteLlama
from litellama.sampling import Sampling
from litellama.serving.engine import Engine
from litellama.serving.prefix_cache import SHORTEST_PREFIX, PrefixCache
from tests.conftest import TINY, random_model

GREEDY = Sampling(greedy=True)
DICE = Sampling(temperature=0.9, top_p=0.95, repetition_penalty=1.2)
PROMPT = [number * 7 % TINY.vocab_size for number in range(40)]
ONE_TOKEN = 2 * 4 * TINY.num_hidden_layers * TINY.num_key_value_heads * TINY.head_dim  # bytes of keys and values


@pytest.fixture(scope="module")
def model() -> LiteLlama:
    return random_model(TINY)


def ask(engine: Engine, prompt: list[int], owner: object = "Mia", **changes: object) -> tuple[list[Step], int]:
    """The steps of a reply, and how many tokens of its prompt needn't be read."""
    wanted = {"sampling": GREEDY, "max_new_tokens": 6, "seed": 1} | changes
    events = list(engine.follow(prompt, owner=owner, **wanted))  # type: ignore[arg-type]
    wait_for_the_worker(engine)  # until what was read is stored
    return [event for event in events if isinstance(event, Step)], max(
        event.stored for event in events if isinstance(event, Progress)
    )


def wait_for_the_worker(engine: Engine) -> None:
    until = time.monotonic() + 20
    while engine._working:
        assert time.monotonic() < until
        time.sleep(0.001)


def ids(steps: list[Step]) -> list[int]:
    return [step.id for step in steps]


def assert_same(found: list[Step], expected: list[Step], within: float = 1e-4) -> None:
    assert ids(found) == ids(expected)
    assert [one.probability for one in found] == pytest.approx([one.probability for one in expected], abs=within)


def test_the_next_turn_reads_only_what_is_new(model: LiteLlama) -> None:
    engine = Engine(model)
    first, stored = ask(engine, PROMPT)
    assert stored == 0
    second = [*PROMPT, *ids(first), 5, 6, 7]
    steps, stored = ask(engine, second)
    assert stored == len(second) - 4, "all but the last token of the reply, which nobody read, and the three new ones"
    assert_same(steps, list(generate(model, second, sampling=GREEDY, max_new_tokens=6, seed=1)))


@pytest.mark.parametrize("end", ["length", "stop id", "closed", "first token"])
def test_however_a_reply_ends_what_was_read_is_stored(model: LiteLlama, end: str) -> None:
    engine = Engine(model)
    alone = ids(list(generate(model, PROMPT, sampling=GREEDY, max_new_tokens=6, seed=1)))
    if end == "closed":
        events = engine.generate(PROMPT, sampling=GREEDY, max_new_tokens=60, seed=1, owner="Mia")
        next(events)
        next(events)
        events.close()  # type: ignore[attr-defined]
        wait_for_the_worker(engine)
    else:
        changes = {"length": {}, "stop id": {"stop_ids": {alone[3]}}, "first token": {"max_new_tokens": 1}}
        ask(engine, PROMPT, **changes[end])  # type: ignore[arg-type]
    assert ask(engine, [*PROMPT, 8, 9])[1] == len(PROMPT)


@settings(max_examples=25)
@given(data=st.data())
def test_random_conversations_are_as_if_read_anew(model: LiteLlama, data: st.DataObject) -> None:
    """Several owners at once, who go on, ask again, edit what they asked, or begin anew; with little room for all."""
    stored_bytes = data.draw(st.sampled_from([2**30, 150 * ONE_TOKEN, 60 * ONE_TOKEN, 0]))
    engine = Engine(model, data.draw(st.sampled_from([1, 2, 40])), stored_bytes)
    prompts: dict[int, list[int]] = {}
    texts: dict[int, list[int]] = {}
    new_ids = st.lists(st.integers(0, TINY.vocab_size - 1), min_size=1, max_size=12)
    for _ in range(data.draw(st.integers(2, 4))):
        owners = data.draw(st.lists(st.integers(0, 2), min_size=1, max_size=3, unique=True))
        for owner in owners:
            how = data.draw(st.sampled_from(["go on", "go on", "again", "edit", "anew"]))
            before = texts.get(owner, [])
            if how == "again" and owner in prompts:
                continue
            if how == "edit":
                before = before[: data.draw(st.integers(0, len(before)))]
            prompts[owner] = ([] if how == "anew" else before[:90]) + data.draw(new_ids)
        sampling = data.draw(st.sampled_from([GREEDY, DICE]))
        found: dict[int, list[Step]] = {}

        def one(owner: int, found: dict[int, list[Step]] = found, sampling: Sampling = sampling) -> None:
            steps = engine.generate(prompts[owner], sampling=sampling, max_new_tokens=8, seed=owner, owner=owner)
            found[owner] = list(steps)

        threads = [threading.Thread(target=one, args=(owner,)) for owner in owners]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        wait_for_the_worker(engine)
        assert engine.stored_bytes <= stored_bytes
        for owner in owners:
            alone = generate(model, prompts[owner], sampling=sampling, max_new_tokens=8, seed=owner)
            assert_same(found[owner], list(alone))
            texts[owner] = prompts[owner] + ids(found[owner])


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_the_same_prompt_again_gives_the_same_reply_to_the_last_bit(
    dtype: torch.dtype, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also where 16 bits would make another order of the sums another reply."""
    monkeypatch.setattr(litellama.serving.batch, "READ_AT_ONCE", 16)
    engine = Engine(random_model(TINY).to(dtype))
    first, _ = ask(engine, PROMPT, sampling=DICE, max_new_tokens=40)
    again, stored = ask(engine, PROMPT, sampling=DICE, max_new_tokens=40)
    assert stored == 32, "40 tokens were read in parts of 16, 16 and 8"
    assert again == first
    prompt = [*PROMPT, *ids(first)[:9], 3, 4]
    later = [ask(engine, prompt, sampling=DICE, max_new_tokens=40)[0] for _ in range(3)]
    assert later[0] == later[1] == later[2]


def test_an_owner_is_never_served_with_anothers_text(model: LiteLlama) -> None:
    engine = Engine(model)
    ask(engine, PROMPT, "Mia")
    assert ask(engine, [*PROMPT, 1], "Ben")[1] == 0
    assert ask(engine, [*PROMPT, 1], None)[1] == 0
    assert ask(engine, [*PROMPT, 1], "Mia")[1] == len(PROMPT)


def test_without_an_owner_nothing_is_stored(model: LiteLlama) -> None:
    engine = Engine(model)
    ask(engine, PROMPT, None)
    assert engine.stored_bytes == 0


def test_forgetting_erases_also_what_is_being_read(model: LiteLlama) -> None:
    engine = Engine(model)
    ask(engine, PROMPT, "Mia")
    ask(engine, PROMPT, "Ben")
    half = engine.stored_bytes // 2
    engine.forget("Mia")
    assert engine.stored_bytes == half
    reply = engine.generate(PROMPT, sampling=GREEDY, max_new_tokens=50, seed=0, owner="Ben")
    next(reply)
    engine.forget("Ben")
    assert len(list(reply)) == 49, "it goes on"
    wait_for_the_worker(engine)
    assert engine.stored_bytes == 0
    ask(engine, PROMPT, "Ben")
    assert engine.stored_bytes > 0, "who comes back is stored again"
    engine.store_no_more()
    ask(engine, PROMPT, "Ben")
    assert engine.stored_bytes == 0


def test_the_least_recently_used_are_given_up_first(model: LiteLlama) -> None:
    engine = Engine(model, stored_bytes=100 * ONE_TOKEN)  # two replies of 45 tokens, which were read but for the last
    for owner in ("Mia", "Ben"):
        ask(engine, PROMPT, owner)
    ask(engine, [*PROMPT, 1], "Mia", max_new_tokens=5)
    ask(engine, PROMPT, "Eve")
    assert [ask(engine, [*PROMPT, 1], owner)[1] > 0 for owner in ("Mia", "Ben")] == [True, False]
    assert engine.stored_bytes <= 100 * ONE_TOKEN


def test_a_machine_with_little_memory_stores_little() -> None:
    free = 800
    cache = PrefixCache(10**6, lambda: free)
    part = torch.zeros(1, 1, 10, 2)  # 80 bytes, and as many of values
    for number in range(5):
        cache.store(cache.ticket(number), range(10), part, part, 10, 0)
        free -= 160 if cache.nbytes else 0
    assert 0 < cache.nbytes <= 800 // 4


def test_a_model_with_hooks_stores_and_uses_nothing(model: LiteLlama) -> None:
    engine = Engine(model)
    ask(engine, PROMPT)
    hook = model.model.layers[0].register_forward_pre_hook(lambda _, inputs: (inputs[0] * 1.5, *inputs[1:]))
    try:
        changed, stored = ask(engine, PROMPT)
        assert stored == 0
        assert_same(changed, list(generate(model, PROMPT, sampling=GREEDY, max_new_tokens=6, seed=1)))
        ask(engine, PROMPT, "Ben")
    finally:
        hook.remove()
    assert ask(engine, [*PROMPT, 1], "Ben")[1] == 0
    steps, stored = ask(engine, [*PROMPT, 1])
    assert stored == len(PROMPT), "what was read without hooks is as good as before"
    assert_same(steps, list(generate(model, [*PROMPT, 1], sampling=GREEDY, max_new_tokens=6, seed=1)))


def test_what_went_wrong_is_not_stored(model: LiteLlama, monkeypatch: pytest.MonkeyPatch) -> None:
    class Broken(Sampling):
        def sample(self, *arguments: object) -> int:
            raise ValueError("cannot choose")

    engine = Engine(model)
    with pytest.raises(ValueError, match="cannot choose"):
        ask(engine, PROMPT, sampling=Broken())

    def broken(self: object, ids: object) -> torch.Tensor:
        raise RuntimeError("out of memory")

    with monkeypatch.context() as patch:
        patch.setattr(Decoding, "step", broken)
        with pytest.raises(RuntimeError, match="out of memory"):
            ask(engine, PROMPT)
    wait_for_the_worker(engine)
    assert engine.stored_bytes == 0
    assert ask(engine, PROMPT)[1] == 0


def test_no_memory_for_the_copy_harms_no_reply(model: LiteLlama, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*arguments: object) -> None:
        raise MemoryError("no room")

    engine = Engine(model)
    with monkeypatch.context() as patch:
        patch.setattr(PrefixCache, "store", fail)
        assert len(ask(engine, PROMPT)[0]) == 6
    assert len(ask(engine, PROMPT)[0]) == 6


def test_a_prompt_stopped_in_the_middle_goes_on_from_there(model: LiteLlama, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(litellama.serving.batch, "READ_AT_ONCE", 10)
    monkeypatch.setattr(litellama.serving.engine, "SECONDS_OF_SILENCE", 0.005)
    read = litellama.serving.batch.read_tokens

    def slowly(model: LiteLlama, ids: list[int], cache: object) -> torch.Tensor:
        time.sleep(0.05)
        return read(model, ids, cache)  # type: ignore[arg-type]

    engine = Engine(model)
    with monkeypatch.context() as patch:
        patch.setattr(litellama.serving.batch, "read_tokens", slowly)
        events = engine.follow(PROMPT, sampling=GREEDY, max_new_tokens=6, seed=1, owner="Mia")
        while next(events).read < 20:  # type: ignore[union-attr]
            pass
        events.close()
        wait_for_the_worker(engine)
    steps, stored = ask(engine, PROMPT)
    assert 20 <= stored < 40
    assert_same(steps, list(generate(model, PROMPT, sampling=GREEDY, max_new_tokens=6, seed=1)))


def test_too_little_in_common_is_read_anew(model: LiteLlama) -> None:
    engine = Engine(model)
    ask(engine, PROMPT)
    for common in (SHORTEST_PREFIX - 1, SHORTEST_PREFIX):
        prompt = [*PROMPT[:common], *[(id + 1) % TINY.vocab_size for id in PROMPT[common:]]]
        assert ask(engine, prompt)[1] == (common if common >= SHORTEST_PREFIX else 0)
        ask(engine, PROMPT)


@pytest.fixture(autouse=True)
def _no_worker_is_left() -> Iterator[None]:
    yield
    until = time.monotonic() + 10
    while [thread for thread in threading.enumerate() if thread.name == "litellama-engine"]:
        assert time.monotonic() < until
        time.sleep(0.01)
