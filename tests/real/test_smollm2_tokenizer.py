"""SmolLM2's own vocabulary, as it lies in the folder that set-up makes, gives llama.cpp's ids."""

from __future__ import annotations

from pathlib import Path

import pytest
from transformers import PreTrainedTokenizerFast

from litellama.checkpoint.tokenizers import TokenizerFiles, read_tokenizer
from litellama.export.vocabulary import vocabulary
from tests.checkpoint.test_gguf_tokenizer import ALL_TEXTS, random_texts
from tests.support.gguf_files import write_gguf
from tests.support.llama_cpp import LlamaCpp

SMOLLM2 = Path(__file__).resolve().parents[2] / "checkpoints" / "SmolLM2-135M-Instruct"
TALK = (
    "<|im_start|>system\nBe brief.<|im_end|>\n<|im_start|>user\nWie heißt die Hauptstadt von 法国 🇫🇷?<|im_end|>\n"
    "<|im_start|>assistant\n"
)

pytestmark = pytest.mark.skipif(not (SMOLLM2 / "tokenizer.json").is_file(), reason="SmolLM2 was not fetched here")


@pytest.fixture(scope="module")
def smollm2() -> TokenizerFiles:
    return read_tokenizer(SMOLLM2)


def test_llama_cpp_gives_the_same_ids(tmp_path: Path, smollm2: TokenizerFiles) -> None:
    words = vocabulary(smollm2.tokenizer, smollm2.tokenizer.id_limit)
    assert (words.model, words.split) == ("gpt2", "smollm")
    values = {
        "tokenizer.ggml.model": words.model, "tokenizer.ggml.pre": words.split, "tokenizer.ggml.tokens": words.tokens,
        "tokenizer.ggml.token_type": words.kinds, "tokenizer.ggml.merges": words.merges,
        "tokenizer.ggml.bos_token_id": 1, "tokenizer.ggml.eos_token_id": 2,
    }  # fmt: skip
    texts = [*ALL_TEXTS, *random_texts(200, 7)]
    with LlamaCpp(write_gguf(tmp_path / "smollm2.gguf", values)) as engine:
        assert [text for text in texts if engine.tokenize(text) != smollm2.tokenizer.encode(text)] == []
        framed = engine.tokenize(TALK, parse_special=True)
    assert smollm2.tokenizer.encode_framed(smollm2.tokenizer.split_special(TALK)) == framed


def test_transformers_reads_it_to_the_same_ids(smollm2: TokenizerFiles) -> None:
    theirs = PreTrainedTokenizerFast(tokenizer_file=str(SMOLLM2 / "tokenizer.json"))
    for text in [*ALL_TEXTS, *random_texts(200, 7)]:
        ids = theirs(text, add_special_tokens=False, split_special_tokens=True)["input_ids"]
        assert ids == smollm2.tokenizer.encode(text), text
    assert theirs(TALK, add_special_tokens=False)["input_ids"] == smollm2.tokenizer.encode_framed(
        smollm2.tokenizer.split_special(TALK)
    )


def test_what_begins_and_ends_its_texts(smollm2: TokenizerFiles) -> None:
    assert smollm2.roles["eos_token"] == "<|im_end|>"
    assert smollm2.eos_ids == (2,)
    assert smollm2.tokenizer.is_special(1)
    assert smollm2.chat_template is not None
    assert "<|im_start|>" in smollm2.chat_template
