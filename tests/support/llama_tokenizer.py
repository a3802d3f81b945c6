"""Small tokenizers laid out as those in Llama folders: SentencePiece's pieces with bytes for what they cannot write.

LLaMA 2's and TinyLlama's files cannot be had here. These have the same ids 0 to 258 (<unk>, <s>, </s>, the bytes), the
same sign for a space, and the same normalizer, pre-tokenizer and decoder; only the pieces are fewer and learned here.
"""

from __future__ import annotations

import functools
import json
from typing import Literal

import tokenizers
from tokenizers import decoders, models, normalizers, pre_tokenizers, trainers

from litellama.tokenizer import Tokenizer
from tests.conftest import TEXTS

SPACE = "\u2581"
Variant = Literal["legacy", "metaspace"]
"""legacy: the normalizer puts a space before every stretch of text; metaspace: only before the first one."""

FRAMES = ("<s>[INST] <<SYS>>\nBe brief.\n<</SYS>>\n\nHi [/INST] Yes </s>", "<|user|>\nHi</s>\n<|assistant|>\nYes</s>\n")


@functools.cache
def llama_json(variant: Variant, specials: tuple[str, ...] = ("<unk>", "<s>", "</s>")) -> str:
    """The text of a `tokenizer.json`; `specials` beyond the first three come after all pieces, as in fine-tunes."""
    first = ["<unk>", "<s>", "</s>", *(f"<0x{byte:02X}>" for byte in range(256))]
    learner = tokenizers.Tokenizer(models.BPE())
    learner.pre_tokenizer = pre_tokenizers.Metaspace(SPACE, prepend_scheme="always")
    trainer = trainers.BpeTrainer(vocab_size=600, special_tokens=first, show_progress=False)
    learner.train_from_iterator([*TEXTS, *FRAMES] * 20, trainer)
    learned = json.loads(learner.to_str())["model"]
    inner = tokenizers.Tokenizer(
        models.BPE(
            learned["vocab"], [tuple(pair) for pair in learned["merges"]], unk_token="<unk>", fuse_unk=True,
            byte_fallback=True,
        )
    )  # fmt: skip
    if variant == "legacy":
        inner.normalizer = normalizers.Sequence([normalizers.Prepend(SPACE), normalizers.Replace(" ", SPACE)])
    else:
        inner.pre_tokenizer = pre_tokenizers.Metaspace(SPACE, prepend_scheme="first", split=False)
    inner.decoder = decoders.Sequence(
        [decoders.Replace(SPACE, " "), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", 1, 0)]
    )
    inner.add_special_tokens([tokenizers.AddedToken(name, special=True, normalized=False) for name in specials])
    return inner.to_str()


def llama_tokenizer(variant: Variant) -> Tokenizer:
    """The lab's own view of it."""
    return Tokenizer(tokenizers.Tokenizer.from_str(llama_json(variant)))
