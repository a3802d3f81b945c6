"""What goes wrong in an engine is told to whoever waits for it; nobody waits for ever."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from litellama import engine as engine_module
from litellama.decoding import Decoding
from litellama.engine import Engine
from litellama.generate import Step
from litellama.model import LiteLlama
from litellama.sampling import Sampling
from tests.conftest import TINY, random_model


class Nowhere(Sampling):
    """Finds no token to take."""

    def choose(self, *arguments: object) -> int:
        raise RuntimeError("no token")


@pytest.fixture
def model() -> LiteLlama:
    return random_model(TINY)


def ask(engine: Engine, sampling: Sampling | None = None, most: int = 4) -> Iterator[Step]:
    return engine.generate([1, 2], sampling=sampling or Sampling(temperature=0), max_new_tokens=most, seed=0)


def test_a_first_token_that_cannot_be_chosen(model: LiteLlama) -> None:
    engine = Engine(model)
    with pytest.raises(RuntimeError, match="no token"):
        list(ask(engine, Nowhere()))
    assert len(list(ask(engine))) == 4


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
        patch.setattr(engine_module, "Decoding", fail)
        with pytest.raises(MemoryError, match="no room"):
            list(ask(engine))
    assert len(list(ask(engine))) == 4
