"""What tests share: a tokenizer, a tiny untrained model of this lab's make and its checkpoint, a measurement."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from hypothesis import settings

from litellama.checkpoint import save_checkpoint
from litellama.config import ModelConfig
from litellama.footprint.bench import Cost
from litellama.footprint.measurements import ModelCosts, Record
from litellama.footprint.meter import Energy
from litellama.model import LiteLlama
from litellama.tokenizer import Tokenizer
from tests.browser.chromium import browser
from tests.support.llama_cpp import LlamaCpp

__all__ = ["browser"]

TEXTS = (
    "Tom went to the park. He found a red kite near the old tree, and Mia was glad.",
    "Where is the kite? Mia has the kite now. How many llamas are there? There are three llamas.",
    "Grüße aus dem Städtchen! ¿Dónde está la llama? 😀 ラマ",
)

TINY = ModelConfig(
    vocab_size=320, hidden_size=32, intermediate_size=64, num_hidden_layers=2, num_attention_heads=4,
    num_key_value_heads=2, head_dim=8, max_position_embeddings=128, tie_word_embeddings=True,
)  # fmt: skip

METHODS = "CPU time x watts per core + installed memory x watts per GB"
COSTS = ModelCosts(  # of a token written, and of 128 read
    Cost(0.9, 0.16, Energy(20.0, 10.0, 40.0, METHODS, False), 2),
    Cost(4.5, 0.04, Energy(64.0, 32.0, 128.0, METHODS, False), 2),
)
RECORD = Record("a machine", "2026-11-23", "2.13.0", "bfloat16", 256, 128, {"llama2-7b": COSTS})


settings.register_profile("lab", deadline=None)  # how long an example takes depends on who else is at work
settings.load_profile("lab")


@pytest.hookimpl(tryfirst=True)  # before -m chooses
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """A page in Chromium takes seconds, whatever is tested on it."""
    for item in items:
        if item.get_closest_marker("browser"):
            item.add_marker("slow")


@pytest.fixture(autouse=True, scope="session")
def one_thread() -> None:
    """Tiny tensors gain nothing from more threads and lose much when cores are busy."""
    torch.set_num_threads(1)


@pytest.fixture(scope="session")
def tokenizer() -> Tokenizer:
    return Tokenizer.train(TEXTS * 20, TINY.vocab_size)


def random_model(config: ModelConfig, seed: int = 0) -> LiteLlama:
    """An untrained model whose weights are large enough that its logits differ clearly between tokens."""
    generator = torch.Generator().manual_seed(seed)
    model = LiteLlama(config).eval()
    with torch.no_grad():
        for name, weight in model.named_parameters():
            if name.endswith("norm.weight"):
                weight.uniform_(0.5, 1.5, generator=generator)  # not all ones, or a forgotten norm would not show
            else:
                weight.normal_(0, 0.2, generator=generator)
    return model


@pytest.fixture
def tiny_model(tokenizer: Tokenizer) -> LiteLlama:
    return random_model(replace(TINY, vocab_size=tokenizer.vocab_size))


@pytest.fixture(scope="session")
def tiny_checkpoint(tmp_path_factory: pytest.TempPathFactory, tokenizer: Tokenizer) -> Path:
    """A whole checkpoint folder, untrained, to be read only."""
    folder = tmp_path_factory.mktemp("checkpoints") / "tiny"
    model = random_model(replace(TINY, vocab_size=tokenizer.vocab_size))
    save_checkpoint(folder, model, tokenizer, card={"name": "tiny", "training": {"seed": 0}}, dtype=torch.float16)
    return folder


@pytest.fixture
def llama_cpp() -> Iterator[Callable[..., LlamaCpp]]:
    """Opens GGUF files in llama.cpp, and closes them after the test."""
    with ExitStack() as opened:
        yield lambda file, context=256: opened.enter_context(LlamaCpp(file, context))
