"""A whole training from recipe to checkpoint: texts, chats, low-rank additions, commands, and what is written."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from litellama.chat import Message, prompt_ids, reply
from litellama.chat.format import is_chat_tokenizer
from litellama.checkpoint import open_checkpoint, save_checkpoint
from litellama.sampling import Sampling
from litellama.tokenizer import Tokenizer
from litellama.training.control import Control
from litellama.training.events import Note, Sample, Stepped, TrainingEnded, TrainingEvent, TrainingStarted, Validated
from litellama.training.parallel import World
from litellama.training.recipe import Recipe
from litellama.training.run import run
from litellama.training.state import states
from tests.conftest import TEXTS, TINY, random_model

TOLD = "The red kite flew over the quiet town. Mia looked up at it, and Tom laughed. "
STORY = "\n<|endoftext|>\n".join([TOLD * 6] * 24)
CHATS = [
    {"messages": [
        {"role": "user", "content": f"Where is the {thing}?"}, {"role": "assistant", "content": f"In the {place}."}
    ]}
    for thing in ("kite", "ball", "hat", "llama", "key") for place in ("park", "town", "tree", "garden", "house")
]  # fmt: skip


@pytest.fixture
def text(tmp_path: Path) -> Path:
    path = tmp_path / "story.txt"
    path.write_text(STORY, encoding="utf-8")
    return path


@pytest.fixture
def chat(tmp_path: Path) -> Path:
    path = tmp_path / "chats.jsonl"
    path.write_text("\n".join(map(json.dumps, CHATS)), encoding="utf-8")
    return path


def recipe(tmp_path: Path, corpus: Path, **changes: Any) -> Recipe:
    settings: dict[str, Any] = {
        "preset": "litellama-300k", "steps": 6, "rows": 2, "length": 32, "save_every": 3, "samples": 2,
        "bfloat16": False, "learning_rate": 3e-3,
    }  # fmt: skip
    return Recipe(**({"out": tmp_path / "mine", "corpus": str(corpus)} | settings | changes))


def of(kind: type[Any], events: list[TrainingEvent]) -> list[Any]:
    return [one for one in events if isinstance(one, kind)]


def test_a_model_of_texts_goes_on_with_what_it_reads(tmp_path: Path, text: Path) -> None:
    events = list(run(recipe(tmp_path, text)))
    (begun,) = of(TrainingStarted, events)
    assert begun.kind == "text"
    assert begun.parameters == begun.trained
    assert begun.epoch_tokens > 0
    assert [one.metrics.step for one in of(Stepped, events)] == [1, 2, 3, 4, 5, 6]
    assert [one.step for one in of(Sample, events)] == [3, 6]
    assert of(Sample, events)[0].prompt == "The red kite flew over the"
    assert [one.step for one in of(Validated, events)] == [3]
    (ended,) = of(TrainingEnded, events)
    assert ended.step == 6
    assert 0 < ended.figures["loss"] < of(Validated, events)[0].figures["loss"]
    opened = open_checkpoint(tmp_path / "mine")
    assert opened.config.max_position_embeddings == 32
    assert not is_chat_tokenizer(opened.tokenizer)
    prompt = prompt_ids([Message("user", "The red"), Message("assistant", "kite flew"), Message("user", "over")],
                        opened.tokenizer, 32, reserve=8).ids  # fmt: skip
    assert opened.tokenizer.decode(prompt) == " The red kite flew over", "one text that both write"
    assert opened.card is not None
    assert opened.card["corpus"] == "story.txt"
    assert str(tmp_path) not in json.dumps(opened.card)


def test_a_chat_teaches_a_trained_model(tmp_path: Path, chat: Path, tiny_checkpoint: Path) -> None:
    before = open_checkpoint(tiny_checkpoint).model.state_dict()
    events = list(run(recipe(tmp_path, chat, start=tiny_checkpoint, steps=60, save_every=60, samples=1, rows=4)))
    after = open_checkpoint(tmp_path / "mine")
    assert not torch.equal(before["model.norm.weight"], after.model.state_dict()["model.norm.weight"])
    asked = [Message("user", "Where is the hat?")]
    said = "".join(piece.text for piece in reply(after.model, after.tokenizer, asked, Sampling(0.0), 12, 0))
    assert said.startswith("In the ")
    assert of(TrainingStarted, events)[0].kind == "chat"
    assert after.card is not None
    assert after.card["began_as"] == "tiny"


def test_low_rank_additions_are_trained_alone_and_merged(tmp_path: Path, chat: Path, tiny_checkpoint: Path) -> None:
    before = open_checkpoint(tiny_checkpoint).model.state_dict()
    small = recipe(tmp_path, chat, start=tiny_checkpoint, lora_rank=2)
    (begun,) = of(TrainingStarted, list(run(small)))
    assert begun.trained < 0.2 * begun.parameters
    after = open_checkpoint(tmp_path / "mine").model.state_dict()
    assert before.keys() == after.keys()
    for name, weight in after.items():
        assert torch.equal(weight, before[name]) != ("_proj" in name), name
    assert (small.folder / "adapter" / "adapter_config.json").exists()
    again = list(run(replace(small, resume=True, steps=8)))
    assert [one.metrics.step for one in of(Stepped, again)] == [7, 8]


def test_a_model_without_chat_tokens_gets_them(tmp_path: Path, chat: Path) -> None:
    tokenizer = Tokenizer.train(TEXTS * 20, 300, ["<|endoftext|>"])
    model = random_model(replace(TINY, vocab_size=tokenizer.vocab_size, tie_word_embeddings=False))
    save_checkpoint(tmp_path / "base", model, tokenizer, card={"name": "base"})
    list(run(recipe(tmp_path, chat, start=tmp_path / "base")))
    opened = open_checkpoint(tmp_path / "mine")
    assert is_chat_tokenizer(opened.tokenizer)
    assert opened.config.vocab_size == tokenizer.vocab_size + 5
    assert opened.tokenizer.encode(TEXTS[0]) == tokenizer.encode(TEXTS[0]), "the old ids stay what they were"


def test_stopped_and_resumed_is_as_if_it_had_gone_on(tmp_path: Path, text: Path) -> None:
    whole = [one.metrics.loss for one in of(Stepped, list(run(recipe(tmp_path, text))))]
    control, other = Control(), recipe(tmp_path, text, out=tmp_path / "other")
    stopped: list[TrainingEvent] = []
    for event in run(other, control):
        stopped.append(event)
        if isinstance(event, Stepped) and event.metrics.step == 4:
            control.command("stop")
    assert of(TrainingEnded, stopped) == [TrainingEnded(4, None)]
    assert not (tmp_path / "other").exists(), "stopped is not finished"
    rest = list(run(replace(other, resume=True)))
    assert [one.metrics.loss for one in [*of(Stepped, stopped), *of(Stepped, rest)]] == whole
    assert of(Stepped, rest)[-1].joules > of(Stepped, stopped)[-1].joules, "what it took before counts on"


def test_what_is_finished_early_is_a_checkpoint(tmp_path: Path, text: Path) -> None:
    control = Control()
    for event in run(recipe(tmp_path, text, steps=1000), control):
        if isinstance(event, Stepped) and event.metrics.step == 2:
            control.command("finish")
            control.command("go")  # too late
    assert isinstance(event, TrainingEnded)
    assert event.step == 2
    card = open_checkpoint(tmp_path / "mine").card
    assert card is not None
    assert (card["steps"], card["planned_steps"]) == (2, 1000)


def test_what_a_killed_training_told_after_its_last_state_is_told_once(tmp_path: Path, text: Path) -> None:
    one = recipe(tmp_path, text)
    stream = run(one)
    while not (isinstance(event := next(stream), Stepped) and event.metrics.step == 5):
        pass
    del stream  # closed, which saves: so that state goes, as if the process had been killed
    for state in states(one.folder):
        if int(state.name.removeprefix("state-")) > 3:
            (state / "state.json").unlink()
    list(run(replace(one, resume=True)))
    lines = [json.loads(line) for line in (one.folder / "metrics.jsonl").read_text(encoding="utf-8").splitlines()]
    assert [line["step"] for line in lines if line["news"] == "Stepped"] == [1, 2, 3, 4, 5, 6]


def test_half_a_line_is_no_reason_to_lose_a_training(tmp_path: Path, text: Path) -> None:
    one = recipe(tmp_path, text)
    list(run(one))
    log = one.folder / "metrics.jsonl"
    log.write_text(log.read_text(encoding="utf-8") + '{"news": "Stepped", "st', encoding="utf-8")
    list(run(replace(one, resume=True, steps=8)))
    lines = [json.loads(line) for line in log.read_text(encoding="utf-8").splitlines()]
    assert [line["step"] for line in lines if line["news"] == "Stepped"] == [1, 2, 3, 4, 5, 6, 7, 8]


def test_minutes_become_steps_and_stay_so(tmp_path: Path, text: Path) -> None:
    control, one = Control(), recipe(tmp_path, text, steps=None, minutes=0.02)
    (begun,) = of(TrainingStarted, list(run(one, control)))
    assert begun.steps >= 8
    (again,) = of(TrainingStarted, list(run(replace(one, resume=True))))
    assert again.steps >= begun.steps + 8, "after its end, so many minutes more"


def test_several_processes_are_told_how_many_steps(tmp_path: Path, text: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(World, "wait", lambda self: None)  # the other one is not there
    with pytest.raises(ValueError, match="give --steps"):
        list(run(recipe(tmp_path, text, steps=None, minutes=1.0), world=World(0, 2)))


def test_bad_lines_stop_or_are_told(tmp_path: Path, chat: Path) -> None:
    chat.write_text(chat.read_text(encoding="utf-8") + "\n{broken", encoding="utf-8")
    with pytest.raises(ValueError, match=r"chats\.jsonl, line 26"):
        list(run(recipe(tmp_path, chat)))
    events = list(run(recipe(tmp_path, chat, skip_bad=True)))
    assert any("line 26" in one.text for one in of(Note, events))


@pytest.mark.parametrize(
    "wrong", [{"steps": None}, {"minutes": 1.0}, {"steps": None, "minutes": 0.0}, {"rows": 0}, {"lora_rank": 4}]
)
def test_orders_that_make_no_sense(tmp_path: Path, text: Path, wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"either a number|expected|name its checkpoint"):
        recipe(tmp_path, text, **wrong)


def test_a_tokenizer_that_is_too_large_is_refused(tmp_path: Path, text: Path) -> None:
    Tokenizer.train([STORY, *TEXTS, " ".join(map(str, range(9000)))], 1500).save(tmp_path / "large.json")
    with pytest.raises(ValueError, match="has room for 1024"):
        list(run(recipe(tmp_path, text, tokenizer=tmp_path / "large.json")))
