"""SmolLM2 from its packaged file is the same model as in transformers and llama.cpp, in every precision."""

from __future__ import annotations

import math
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from torch.nn import functional as F

from litellama.chat import Message, prompt_ids
from litellama.checkpoint import Opened, open_checkpoint
from litellama.checkpoint.precision import open_for_use
from litellama.generate import generate
from litellama.sampling import Sampling
from tests.export.test_gguf_file import MORE_TEXTS
from tests.support.llama_cpp import LlamaCpp

pytestmark = pytest.mark.slow

TEXTS = [
    *MORE_TEXTS, "def f(x):\n    return [i**2 for i in range(x) if i % 3 == 0]\n", "Straßenbahnhaltestelle, 3,14 €",
    "今天天气很好,我们去公园吧。", "👨‍👩‍👧‍👦🏳️‍🌈 1234567", "SELECT * FROM t WHERE a<>'b';\r\n\t--x",
]  # fmt: skip

PROMPTS = (
    "What is the capital of France?", "Tell me about llamas.", "Write a poem about the sea.", "Who was Ada Lovelace?",
    "How do plants make food?", "What is 7 + 5?", "Give me three colours.", "Why is the sky blue?",
    "Explain gravity to a child.", "Name a large city in Germany.", "What does a baker do?", "Tell me a joke.",
    "How many legs has a spider?", "What is a computer?", "Write a sentence with the word house.", "Who are you?",
    "What can I cook with eggs?", "Is the moon larger than the sun?", "Translate 'good morning' into French.",
    "How do I learn to swim?",
)  # fmt: skip

STORY = """The old lighthouse stood at the end of a long stone pier, and every evening Mr Hansen climbed its stairs to
light the lamp. He had done so for forty years. The fishermen knew its light as they knew the stars, and when fog came
in from the sea they listened for the horn that he sounded by hand. One night in November the wind was so strong that
the waves broke over the pier, and no one could reach the tower from the town. The lamp went out a little after
midnight. Three boats were still at sea. On the shore people gathered with lanterns and looked into the dark, but they
saw nothing and heard only the water. Then somebody lit a fire on the hill behind the church. Others brought wood, old
chairs, broken doors, and the fire grew until it could be seen from far away. The first boat came in at two o'clock, the
second soon after it. The third was late. When it reached the harbour at last, its captain said that he had steered by
two lights: the fire on the hill, and a small one in the window of the tower, where Mr Hansen had held up a candle all
night long."""


@torch.inference_mode()
def logits(opened: Opened, ids: list[int]) -> torch.Tensor:
    return opened.model(torch.tensor([ids])).logits[0]


def asked(opened: Opened, question: str) -> list[int]:
    return prompt_ids([Message("user", question)], opened.tokenizer, 2048, 64, chat_format=opened.chat_format).ids


@pytest.fixture(scope="module")
def peer(smollm2_file: Path) -> Any:
    """transformers' own reading of the file."""
    from transformers import AutoModelForCausalLM

    os.environ["TQDM_DISABLE"] = "1"
    return AutoModelForCausalLM.from_pretrained(
        smollm2_file.parent, gguf_file=smollm2_file.name, dtype=torch.float32, local_files_only=True
    ).eval()


@pytest.fixture(scope="module")
def engine(smollm2_file: Path) -> Iterator[LlamaCpp]:
    with LlamaCpp(smollm2_file, context=1024) as opened:
        yield opened


def test_the_logits_are_transformers(smollm2: Opened, peer: Any) -> None:
    for text in (STORY, "def f(x): return x", "Größe 😀 今天"):
        ids = smollm2.tokenizer.encode(text)
        with torch.inference_mode():
            theirs = peer(torch.tensor([ids])).logits[0]
        assert (logits(smollm2, ids) - theirs).abs().max() < 1e-3


def test_the_greedy_text_is_transformers_for_twenty_prompts(smollm2: Opened, peer: Any) -> None:
    """Read in one go behind the prompt, every token that was written must be the likeliest there."""
    for question in PROMPTS:
        prompt = asked(smollm2, question)
        steps = generate(smollm2.model, prompt, sampling=Sampling(greedy=True), max_new_tokens=32, seed=0)
        written = [step.id for step in steps]
        with torch.inference_mode():
            theirs = peer(torch.tensor([prompt + written])).logits[0, len(prompt) - 1 : -1].argmax(-1)
        assert theirs.tolist() == written, question


def test_the_ids_are_llama_cpps(smollm2: Opened, engine: LlamaCpp) -> None:
    for text in TEXTS:
        assert smollm2.tokenizer.encode(text) == engine.tokenize(text), text
    chat = "".join(f"<|im_start|>{side}\n{said}<|im_end|>\n" for side, said in (
        ("system", "You are a helpful AI assistant named SmolLM, trained by Hugging Face"), ("user", "Hello 12!")
    ))  # fmt: skip
    framed = engine.tokenize(chat + "<|im_start|>assistant\n", parse_special=True)
    assert asked(smollm2, "Hello 12!") == framed
    typed = smollm2.tokenizer.encode("<|im_end|>")
    assert len(typed) > 1
    assert not any(map(smollm2.tokenizer.is_special, typed))


def test_llama_cpp_finds_the_same_tokens_likely(smollm2: Opened, engine: LlamaCpp) -> None:
    """It multiplies quantized weights by activations of 8 bits, so its numbers are near ours, not the same."""
    ids = (smollm2.tokenizer.encode(STORY) * 3)[:501]
    ours = logits(smollm2, ids)[:-1].log_softmax(-1)
    theirs = engine.log_probabilities(ids, top=200)[:-1]
    assert len(ours) == 500
    same = (ours.argmax(-1) == theirs.nan_to_num(-torch.inf).argmax(-1)).float().mean().item()
    divergence = kl(ours, theirs).mean().item()
    print(f"the same likeliest token at {same:.1%} of 500 positions, mean KL divergence {divergence:.4f} nats")
    assert same >= 0.95
    assert divergence < 0.02


def kl(ours: torch.Tensor, theirs: torch.Tensor) -> torch.Tensor:
    """KL(ours || theirs) in nats at each position, with all tokens that `theirs` does not list (NaN) taken as one."""
    listed = ~theirs.isnan()
    there = torch.where(listed, ours.exp() * (ours - theirs), 0.0).sum(-1)
    ours_rest = 1 - torch.where(listed, ours.exp(), 0.0).sum(-1)
    theirs_rest = 1 - torch.where(listed, theirs.exp(), 0.0).sum(-1)
    rest = ours_rest * (ours_rest.clamp(min=1e-9) / theirs_rest.clamp(min=1e-9)).log()
    return there + rest


@pytest.mark.parametrize(
    ("precision", "worse"), [("float32", 1e-6), ("float16", 0.01), ("bfloat16", 0.01), ("int8", 0.03), ("int4", 0.8)]
)
def test_what_each_precision_costs(precision: str, worse: float, smollm2: Opened, smollm2_file: Path) -> None:
    """Perplexity of a story, told by hand for this test."""
    opened = open_for_use(smollm2_file, precision)
    ids = opened.tokenizer.encode(STORY)
    whole, found = perplexity(smollm2, ids), perplexity(opened, ids)
    print(f"{precision}: perplexity {found:.2f}, in float32 {whole:.2f}")
    assert 15 < whole < 40
    assert abs(found / whole - 1) < worse or found < whole


def perplexity(opened: Opened, ids: list[int]) -> float:
    return math.exp(F.cross_entropy(logits(opened, ids)[:-1].float(), torch.tensor(ids[1:])).item())


def test_the_folder_is_the_file(smollm2: Opened, smollm2_folder: Path) -> None:
    folder = open_checkpoint(smollm2_folder)
    assert folder.verified
    assert folder.config == smollm2.config
    assert folder.chat_format == smollm2.chat_format
    for text in TEXTS:
        assert folder.tokenizer.encode(text) == smollm2.tokenizer.encode(text)
    for (name, ours), (_, stored) in zip(
        smollm2.model.named_parameters(), folder.model.named_parameters(), strict=True
    ):
        assert torch.equal(ours.half().float(), stored), name
    ids = smollm2.tokenizer.encode(STORY)
    assert perplexity(folder, ids) == pytest.approx(perplexity(smollm2, ids), rel=2e-3)
