"""The real models' own folders, with random weights: what opens here computes what `transformers` computes."""

from __future__ import annotations

import gc
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor
from transformers import LlamaForCausalLM

from litellama.chat import Message, reply
from litellama.checkpoint import open_checkpoint
from litellama.generate import generate
from litellama.sampling import Sampling
from litellama.tokenizer import Tokenizer
from tests.support.folders import GPT2, litellama_config, llama2_config, llama2_tokenizer, write_folder

FULL = 461_685_760

TINYLLAMA: dict[str, Any] = {
    "hidden_size": 2048, "intermediate_size": 5632, "num_attention_heads": 32, "num_key_value_heads": 4,
    "max_position_embeddings": 2048, "torch_dtype": "bfloat16", "transformers_version": "4.35.0", "rope_theta": 10000.0,
    "attention_bias": False,
}  # fmt: skip
SEVENTY = {"hidden_size": 8192, "intermediate_size": 28672, "num_attention_heads": 64, "num_key_value_heads": 8}

LAYOUTS: dict[str, tuple[dict[str, Any], torch.dtype, int]] = {  # changes of LLaMA 2 7B's config, stored as, files
    "two layers of LLaMA 2 7B": ({"num_hidden_layers": 2, "vocab_size": 4000}, torch.float16, 2),
    "a layer of LLaMA 2 70B": (SEVENTY | {"num_hidden_layers": 1, "vocab_size": 300}, torch.bfloat16, 3),
    "two layers of TinyLlama": (TINYLLAMA | {"num_hidden_layers": 2}, torch.float32, 1),
}
IDS = [1, 5, 100, 200, 7, 262, 33, 33, 2, 90, 11, 250]


@torch.inference_mode()
def ours(folder: Path) -> Tensor:
    model = open_checkpoint(folder).model
    return model(torch.tensor([IDS]), padding_rows=True).logits


@torch.inference_mode()
def theirs(folder: Path) -> Tensor:
    model = LlamaForCausalLM.from_pretrained(folder, dtype=torch.float32)
    logits: Tensor = model(torch.tensor([IDS])).logits
    return logits


def compare(folder: Path) -> None:
    """One model after the other, so that only one is in memory."""
    try:
        found = ours(folder)
        gc.collect()
        expected = theirs(folder)
        assert expected.std() > 0.5, "otherwise logits would agree whatever the model does"
        torch.testing.assert_close(found, expected, atol=2e-4, rtol=1e-4)
    finally:
        shutil.rmtree(folder)
        gc.collect()


@pytest.mark.slow
@pytest.mark.parametrize(("changes", "dtype", "shards"), LAYOUTS.values(), ids=LAYOUTS.keys())
def test_logits_are_those_of_transformers(
    tmp_path: Path, changes: dict[str, Any], dtype: torch.dtype, shards: int
) -> None:
    """At most 3.5 GB, for the layer of the largest model, which has 856 million weights."""
    compare(write_folder(tmp_path / "m", llama2_config(**changes), llama2_tokenizer(), dtype, shards))


@pytest.mark.slow
def test_litellama_at_full_size(tmp_path: Path) -> None:
    """About 2 GB: opened as published, asked, and compared."""
    tokenizer = Tokenizer.load(GPT2)
    folder = write_folder(tmp_path / "lite", litellama_config(), tokenizer, torch.float16)
    opened = open_checkpoint(folder, dtype=None)
    assert opened.config.num_parameters == FULL
    assert sum(weight.nbytes for weight in opened.model.parameters()) == 2 * FULL
    assert opened.config.eos_token_ids == (50256,)
    asked = [Message("user", "What is the largest bird?")]
    pieces = list(reply(opened.model, opened.tokenizer, asked, Sampling(greedy=True), 4, 0))
    ids = [piece.step.id for piece in pieces if piece.step]
    assert 0 < len(ids) <= 4
    assert max(ids) < 50257
    prompt = tokenizer.encode("Q: What is the largest bird?\nA:")
    alone = generate(
        opened.model, prompt, sampling=Sampling(greedy=True), max_new_tokens=4, seed=0, stop_ids={50256}
    )  # fmt: skip
    assert ids == [step.id for step in alone], "a question and an answer, and nothing in front"
    del opened, alone
    gc.collect()
    compare(folder)
