"""GGUF files of a tokenizer with next to no model."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import gguf
import numpy as np
import tokenizers
from tokenizers import models, pre_tokenizers, trainers

from tests.conftest import TEXTS

WIDTH = 32
NORMAL, UNKNOWN, CONTROL, USER_DEFINED, UNUSED, BYTE = range(1, 7)


def write_gguf(path: Path, values: Mapping[str, Any]) -> Path:
    """A Llama of one layer whose weights are all zero, with these entries of metadata."""
    count = len(values["tokenizer.ggml.tokens"])
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_vocab_size(count)
    writer.add_context_length(64)
    writer.add_embedding_length(WIDTH)
    writer.add_block_count(1)
    writer.add_feed_forward_length(WIDTH)
    writer.add_head_count(1)
    writer.add_head_count_kv(1)
    writer.add_rope_dimension_count(WIDTH)
    writer.add_layer_norm_rms_eps(1e-5)
    add = {bool: writer.add_bool, int: writer.add_uint32, str: writer.add_string, list: writer.add_array}
    for key, value in values.items():
        add[type(value)](key, value)
    writer.add_tensor("token_embd.weight", np.zeros((count, WIDTH), np.float32))
    for name in ("output_norm", "blk.0.attn_norm", "blk.0.ffn_norm"):
        writer.add_tensor(f"{name}.weight", np.zeros(WIDTH, np.float32))
    for name in ("attn_q", "attn_k", "attn_v", "attn_output", "ffn_gate", "ffn_up", "ffn_down"):
        writer.add_tensor(f"blk.0.{name}.weight", np.zeros((WIDTH, WIDTH), np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def byte_level(pre: str, **more: Any) -> dict[str, Any]:
    """Metadata of a byte-level tokenizer, whose merges were learned without splitting text, so that many tokens cross
    the bounds that `pre` sets: a wrong splitting shows at once. Ids 0 to 2 are <|endoftext|>, <|im_start|>, <|im_end|>;
    the last is "zebra", which no merges make.
    """
    inner = tokenizers.Tokenizer(models.BPE())
    inner.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    runs = [mark * count for mark in (" ", "\n", "7", "a", ".") for count in range(2, 7)] * 8
    specials = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]
    trainer = trainers.BpeTrainer(
        vocab_size=1200, special_tokens=specials, initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        max_token_length=9, show_progress=False,
    )  # fmt: skip
    inner.train_from_iterator([*(text.upper() for text in TEXTS), *TEXTS * 8, *MIXED * 8, *runs], trainer)
    model = json.loads(inner.to_str())["model"]
    tokens = [*sorted(model["vocab"], key=model["vocab"].__getitem__), "zebra"]
    return {
        "tokenizer.ggml.model": "gpt2", "tokenizer.ggml.pre": pre, "tokenizer.ggml.tokens": tokens,
        "tokenizer.ggml.token_type": [CONTROL] * 3 + [NORMAL] * (len(tokens) - 3),
        "tokenizer.ggml.merges": [" ".join(pair) for pair in model["merges"]],
        "tokenizer.ggml.bos_token_id": 1, "tokenizer.ggml.eos_token_id": 2,
    } | more  # fmt: skip


MIXED = [
    "def f(x):\r\n\treturn x[1:]  # 1234.5e-6, it's 'OK'\n\n\n    if x != None and (y >= 10_000):\n        pass\n",
    "Äpfel, Öl & Übermut: Straßenbahn fährt um 7:45 Uhr -- 'S ist so! I'LL WE'Ve don't",
    "敏捷的棕色狐狸跳过了懒狗。1234567890 人，２０２６年十一月",
    "👩‍👩‍👧‍👦🦙🇩🇪 ❤️ e\u0301 ﬁn ½ ² Ⅷ ١٢٣ 한국어 Ελληνικά Русский ไทย हिन्दी",
    "a  b   c\t\td \n e\n\n f\u00a0g\u3000h\u200b.  ",
]
"""Code, German, Chinese, emoji and other writing, and spaces of all kinds."""


def scored(**more: Any) -> dict[str, Any]:
    """Metadata of a tokenizer like LLaMA 2's: <unk>, <s>, </s>, the bytes, and pieces of which the earlier are made
    first; some pieces are runs of spaces, and some hold spaces inside."""
    trained = tokenizers.Tokenizer(models.BPE())
    runs = [mark * count for mark in ("\u2581", "a", "7") for count in range(2, 9)] * 8
    texts = [("\u2581" + text).replace(" ", "\u2581") for text in [*TEXTS * 8, *MIXED[:2] * 8]]
    trained.train_from_iterator([*texts, *runs], trainers.BpeTrainer(vocab_size=500, show_progress=False))
    vocab = trained.get_vocab()
    pieces = sorted(vocab, key=lambda piece: (len(piece) == 1, vocab[piece]))
    return {
        "tokenizer.ggml.model": "llama", "tokenizer.ggml.pre": "default",
        "tokenizer.ggml.tokens": ["<unk>", "<s>", "</s>", *(f"<0x{byte:02X}>" for byte in range(256)), *pieces],
        "tokenizer.ggml.scores": [0.0] * 259 + [-float(place) for place in range(len(pieces))],
        "tokenizer.ggml.token_type": [UNKNOWN, CONTROL, CONTROL] + [BYTE] * 256 + [NORMAL] * len(pieces),
        "tokenizer.ggml.bos_token_id": 1, "tokenizer.ggml.eos_token_id": 2, "tokenizer.ggml.unknown_token_id": 0,
    } | more  # fmt: skip
