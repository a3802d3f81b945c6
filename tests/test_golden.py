"""The embedded checkpoint: what it says greedily is fixed, it verifies, and it is as good as its card says."""

from __future__ import annotations

import json

import pytest
import torch

from litellama.chat import Message, prompt_ids, reply
from litellama.checkpoint import Opened, checkpoints_folder, open_checkpoint
from litellama.config import preset
from litellama.evaluation.exact_match import Score, evaluate
from litellama.generate import generate
from litellama.sampling import Sampling

STORY = "Tom hid a red ball under the bed."


@pytest.fixture(scope="module")
def opened() -> Opened:
    return open_checkpoint(checkpoints_folder() / "tinytown")


def answer(opened: Opened, *texts: str) -> str:
    roles = ("user", "assistant")
    messages = [Message(roles[number % 2], text) for number, text in enumerate(texts)]  # type: ignore[arg-type]
    return "".join(
        piece.text for piece in reply(opened.model, opened.tokenizer, messages, Sampling(temperature=0), 60, 0)
    )


@pytest.mark.parametrize(
    ("texts", "expected"),
    [
        (("Who are you?",), "I am TinyTown, a very small language model."),
        (("What is a llama?",), "A llama is an animal with soft wool and a long neck."),
        (("What is seven plus five?",), "Seven plus five is twelve."),
        (("what is the opposite of big",), "The opposite of big is small."),
        (("What is the capital of France?",), "I only know TinyTown, so I can't say. Ask me about a story!"),
        ((f"{STORY} Where is the ball?",), "The ball is under the bed."),
        ((f"{STORY} Where is the ball?", "The ball is under the bed.", "Who hid the ball?"), "Tom hid the ball."),
        ((f"{STORY} Where is the ball?", "The ball is under the bed.", "How old is Tom?"), "The story does not say."),
        (("Tom has a red ball. Anna has a blue hat. What colour is the hat?",), "The hat is blue."),
        (("Lena has six apples. Max has nine apples. Who has more apples?",),
         "Lena has six apples and Max has nine, so Max has more."),
    ],
)  # fmt: skip
def test_golden_text(opened: Opened, texts: tuple[str, ...], expected: str) -> None:
    assert answer(opened, *texts) == expected


def test_golden_ids(opened: Opened) -> None:
    """Also without the text's edges: a change in the model, the cache or the tokenizer shows here first."""
    prompt = prompt_ids([Message("user", "Who are you?")], opened.tokenizer, 512, 60)
    steps = list(generate(opened.model, prompt.ids, sampling=Sampling(temperature=0), max_new_tokens=10, seed=0))
    assert [step.id for step in steps] == [297, 604, 456, 16, 266, 2183, 1358, 1901, 1394, 18]
    assert steps[0].probability > 0.9


def test_it_is_the_tinytown_preset_and_verified(opened: Opened) -> None:
    assert opened.verified
    shape = {name: getattr(opened.config, name) for name in ("hidden_size", "num_hidden_layers", "vocab_size")}
    assert shape == {name: getattr(preset("tinytown"), name) for name in shape}
    assert opened.card is not None
    assert opened.card["parameters"] == sum(p.numel() for p in opened.model.parameters())
    size = sum(path.stat().st_size for path in opened.folder.iterdir())
    assert opened.config.num_parameters <= 10e6
    assert size <= 25e6
    assert next(opened.model.parameters()).dtype == torch.float32  # opened as asked, stored in half precision
    stored = json.loads((opened.folder / "config.json").read_text(encoding="utf-8"))
    assert stored["torch_dtype"] in ("float16", "bfloat16")


@pytest.mark.slow
def test_the_card_says_how_good_it_is(opened: Opened) -> None:
    """Other held-out documents than the card's: the figures are of the model, not of the sample."""
    assert opened.card is not None
    card = opened.card["evaluation"]
    *_, score = evaluate(opened.model, opened.tokenizer, 300, seed=1)
    assert isinstance(score, Score)
    assert score.answerable == pytest.approx(card["answerable"], abs=0.05)
    assert score.answerable >= 0.8
    assert score.unanswerable >= 0.9
    assert score.outside >= 0.8
