"""Model folders as others lay them out, made while a test runs: real configurations, random weights."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import tokenizers
import torch
from safetensors.torch import save_file
from tokenizers import decoders, models, pre_tokenizers
from torch import Tensor

from litellama.config import ModelConfig
from litellama.footprint.facts import facts_about
from litellama.model import empty_model
from litellama.tokenizer import Tokenizer

GPT2 = Path(__file__).parents[1] / "data" / "gpt2-tokenizer.json"

FACTS = {  # what the collection of facts calls an entry of LiteLlama's config.json
    "hidden size": "hidden_size", "layers": "num_hidden_layers", "intermediate (FFN) size": "intermediate_size",
    "query heads (num_attention_heads)": "num_attention_heads", "vocabulary": "vocab_size",
    "key/value heads (num_key_value_heads)": "num_key_value_heads", "rms_norm_eps": "rms_norm_eps",
    "max_position_embeddings": "max_position_embeddings", "tie_word_embeddings": "tie_word_embeddings",
    "hidden_act": "hidden_act", "torch_dtype": "torch_dtype", "bos_token_id in config": "bos_token_id",
    "eos_token_id in config": "eos_token_id", "pad_token_id in config": "pad_token_id",
    "stray key layernorm_epsilon": "layernorm_epsilon",
}  # fmt: skip


def litellama_config() -> dict[str, Any]:
    """LiteLlama-460M-1T's config.json, entry for entry as it was published."""
    published = {one.quantity: one.value for one in facts_about("2.1", "LiteLlama-460M-1T")}
    return {key: published[quantity] for quantity, key in FACTS.items()} | {
        "_name_or_path": "", "architectures": ["LlamaForCausalLM"], "initializer_range": 0.02, "model_type": "llama",
        "pretraining_tp": 1, "rope_scaling": None, "transformers_version": "4.33.1", "use_cache": True,
    }  # fmt: skip


def llama2_config(**changes: Any) -> dict[str, Any]:
    """LLaMA 2 7B's config.json, with what a test changes."""
    return {
        "_name_or_path": "meta-llama/Llama-2-7b-hf", "architectures": ["LlamaForCausalLM"], "bos_token_id": 1,
        "eos_token_id": 2, "hidden_act": "silu", "hidden_size": 4096, "initializer_range": 0.02,
        "intermediate_size": 11008, "max_position_embeddings": 4096, "model_type": "llama", "num_attention_heads": 32,
        "num_hidden_layers": 32, "num_key_value_heads": 32, "pretraining_tp": 1, "rms_norm_eps": 1e-05,
        "rope_scaling": None, "tie_word_embeddings": False, "torch_dtype": "float16",
        "transformers_version": "4.31.0.dev0", "use_cache": True, "vocab_size": 32000,
    } | changes  # fmt: skip


def llama2_tokenizer() -> Tokenizer:
    """A SentencePiece-like tokenizer as LLaMA 2's: spaces are part of words, unknown characters fall back to bytes."""
    words = [
        "<unk>",
        "<s>",
        "</s>",
        *(f"<0x{byte:02X}>" for byte in range(256)),
        "\u2581",
        "\u2581hi",
        "\u2581you",
        ".",
    ]
    inner = tokenizers.Tokenizer(
        models.BPE({word: id for id, word in enumerate(words)}, [], unk_token="<unk>", byte_fallback=True)
    )
    inner.pre_tokenizer = pre_tokenizers.Metaspace(replacement="\u2581", prepend_scheme="first", split=False)
    inner.decoder = decoders.Sequence(
        [decoders.Replace("\u2581", " "), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", 1, 0)]
    )
    inner.add_special_tokens(["<s>", "</s>"])
    return Tokenizer(inner)


def random_weights(config: ModelConfig, dtype: torch.dtype, seed: int = 0) -> dict[str, Tensor]:
    """Weights under Hugging Face's names, large enough that logits differ clearly between tokens."""
    generator = torch.Generator().manual_seed(seed)
    weights = {}
    for name, empty in empty_model(config).state_dict().items():
        if name == "lm_head.weight" and config.tie_word_embeddings:
            continue
        weight = torch.empty(empty.shape, dtype=dtype)
        if name.endswith("norm.weight"):
            weight.uniform_(0.5, 1.5, generator=generator)
        else:
            weight.normal_(0, empty.shape[1] ** -0.5, generator=generator)
        weights[name] = weight
    return weights


def write_folder(
    folder: Path, values: dict[str, Any], tokenizer: Tokenizer, dtype: torch.dtype = torch.float32, shards: int = 1
) -> Path:
    """A foreign model's folder: `values` as config.json, random weights in `shards` files, a tokenizer.json."""
    folder.mkdir(parents=True)
    (folder / "config.json").write_text(json.dumps(values, indent=2), encoding="utf-8")
    tokenizer.save(folder / "tokenizer.json")
    weights = random_weights(ModelConfig.from_hf(values), dtype)
    if shards == 1:
        save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
        return folder
    places = {}
    names = list(weights)
    for number in range(shards):
        name = f"model-{number + 1:05}-of-{shards:05}.safetensors"
        part = {
            one: weights.pop(one) for one in names[number * len(names) // shards : (number + 1) * len(names) // shards]
        }
        save_file(part, folder / name, metadata={"format": "pt"})
        places |= dict.fromkeys(part, name)
    index = {"metadata": {"total_size": 0}, "weight_map": places}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index), encoding="utf-8")
    return folder


def split_gpt2(folder: Path) -> None:
    """GPT-2's tokenizer in its oldest form: vocab.json and merges.txt."""
    model = json.loads(GPT2.read_text(encoding="utf-8"))["model"]
    (folder / "vocab.json").write_text(json.dumps(model["vocab"]), encoding="utf-8")
    merges = [merge if isinstance(merge, str) else " ".join(merge) for merge in model["merges"]]
    (folder / "merges.txt").write_text("\n".join(["#version: 0.2", *merges, ""]), encoding="utf-8")
