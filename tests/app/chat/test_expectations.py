"""What the lab says of a model before anyone has asked it anything."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from app.chat.examples import BASE_EXAMPLES, litellama_says
from app.common.strings import all_words
from app.models.registry import Model
from litellama.checkpoint import Opened
from litellama.cli.chat import what_to_expect
from litellama.config import LITELLAMA_460M, PRESETS, ModelConfig, is_litellama, preset
from litellama.footprint.facts import LITELLAMA_EXAMPLE, LITELLAMA_MMLU, MMLU_CHANCE, fact
from litellama.model import LiteLlama
from litellama.tokenizer import Tokenizer
from tests.conftest import TINY
from tests.support.llama_tokenizer import llama_tokenizer
from tests.support.templates import LLAMA2

GPT2 = Tokenizer.load(Path(__file__).parents[2] / "data" / "gpt2-tokenizer.json")
LLAMA = llama_tokenizer("legacy")


def opened(config: ModelConfig, tokenizer: Tokenizer, template: str | None = None, name: str = "x") -> Opened:
    with torch.device("meta"):
        model = LiteLlama(config)
    return Opened(Path(name), model, tokenizer, config, None, False, "", template)


def foreign(template: str | None = None) -> Opened:
    config = replace(TINY, vocab_size=LLAMA.vocab_size, bos_token_id=1, eos_token_ids=(2,))
    return opened(config, LLAMA, template)


def page_json(one: Opened) -> dict[str, object]:
    told = Model(one.folder.name, one, None).to_json()
    return {name: told[name] for name in ("form", "litellama", "trouble")}


def test_litellama_is_known_by_its_shape() -> None:
    assert [name for name, config in PRESETS.items() if is_litellama(config)] == ["litellama-460m"]
    as_corrected = replace(LITELLAMA_460M, bos_token_id=50256, eos_token_ids=(50256,), pad_token_id=None)
    for config in (LITELLAMA_460M, as_corrected):
        assert page_json(opened(config, GPT2)) == {"form": "questions", "litellama": True, "trouble": ""}
    called_so = opened(preset("litellama-15m"), LLAMA, name="LiteLlama-460M-1T")
    assert not page_json(called_so)["litellama"]


def test_a_litellama_that_learned_to_converse_is_not_taken_for_it(tokenizer: Tokenizer) -> None:
    assert not page_json(opened(LITELLAMA_460M, tokenizer))["litellama"]
    assert not page_json(opened(LITELLAMA_460M, LLAMA, LLAMA2))["litellama"]


def test_what_is_said_of_litellama_is_published() -> None:
    mmlu, card = litellama_says()
    assert mmlu["values"] == {"score": 26.39, "chance": 25.0}
    assert card["values"] == {
        "question": "What is the largest bird?", "answer": "The largest bird is a black-headed gull.",
    }  # fmt: skip
    assert {mmlu["source"]["url"], card["source"]["url"]} == {"https://huggingface.co/ahxt/LiteLlama-460M-1T"}
    assert {fact(id).status for id in (LITELLAMA_MMLU, LITELLAMA_EXAMPLE)} == {"published"}
    assert fact(MMLU_CHANCE).status == "derived"
    assert BASE_EXAMPLES[0][1] == card["values"]["question"], "to be tried at once"
    for words in all_words().values():
        for said in (mmlu, card):
            assert all(f"{{{name}}}" in words[said["key"]] for name in said["values"])


@pytest.mark.parametrize(
    ("one", "chat_format", "says"),
    [
        (foreign(), "questions", ["base model"]),
        (foreign(LLAMA2), "template", ["chat template in its folder"]),
        (foreign("{{ x.y }}"), "questions", ["could not be followed (it fails: 'x' is undefined)"]),
        (opened(LITELLAMA_460M, GPT2), "questions", ["base model", "26.39 % of MMLU's questions right (published: "]),
        (opened(TINY, Tokenizer.train(["a b"], 300)), "chat", []),
        (opened(TINY, Tokenizer.train(["a b"], 300, ["<|begin|>", "<|end|>"])), "text", ["goes on with what it reads"]),
    ],
)
def test_the_command_line_says_what_to_expect(one: Opened, chat_format: str, says: list[str]) -> None:
    assert page_json(one)["form"] == one.chat_format.kind == chat_format
    sentences = what_to_expect(one)
    assert len(sentences) == len(says)
    assert all(part in sentence for part, sentence in zip(says, sentences, strict=True))
