"""Models as Meta ships them: `params.json` beside `consolidated.00.pth`, `consolidated.01.pth`, ...

Each file holds a slice of every weight, for one GPU each: those whose outputs are shared out are cut along their rows,
those whose inputs are along their columns, and norms are whole in each. https://github.com/meta-llama/llama, model.py.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from litellama.checkpoint.gguf.names import pair_halves, turns
from litellama.checkpoint.layout import CheckpointError, read_json
from litellama.checkpoint.tokenizers import TokenizerFiles
from litellama.config import ModelConfig
from litellama.model import empty_model

PARAMS = "params.json"
SHARD = re.compile(r"consolidated\.(\d\d)\.pth")
AT_ONCE = 2**29  # numbers in one file of the converted model: 1 GB in 16 bits, the most that is in memory

COMPUTED = "rope.freqs"  # stored in LLaMA 1's files; the config determines it

_OUTSIDE = {
    "model.embed_tokens.weight": "tok_embeddings.weight",
    "model.norm.weight": "norm.weight",
    "lm_head.weight": "output.weight",
}
_INSIDE = {
    "input_layernorm": "attention_norm", "self_attn.q_proj": "attention.wq", "self_attn.k_proj": "attention.wk",
    "self_attn.v_proj": "attention.wv", "self_attn.o_proj": "attention.wo", "post_attention_layernorm": "ffn_norm",
    "mlp.gate_proj": "feed_forward.w1", "mlp.up_proj": "feed_forward.w3", "mlp.down_proj": "feed_forward.w2",
}  # fmt: skip
_CUT_ALONG_COLUMNS = ("attention.wo.weight", "feed_forward.w2.weight")

_SIZES = ("dim", "n_layers", "n_heads", "n_kv_heads", "multiple_of", "hidden_dim", "head_dim", "max_seq_len")
_NUMBERS = ("norm_eps", "rope_theta", "ffn_dim_multiplier")
_NO_MATTER = ("vocab_size", "max_batch_size", "use_scaled_rope")

CONTEXTS = {10_000.0: 4096, 500_000.0: 8192, 1_000_000.0: 16_384}
"""rope_theta -> max_position_embeddings, which no `params.json` says: LLaMA 2's, Llama 3's, Code Llama's."""


def shards(folder: Path) -> list[Path]:
    """The weights' files in their order, [] if there are none. Raises `CheckpointError` if one between is missing."""
    found = sorted(path for path in folder.glob("consolidated.*.pth") if SHARD.fullmatch(path.name))
    for number, path in enumerate(found):
        if path.name != f"consolidated.{number:02}.pth":
            raise CheckpointError(f"{folder.name} has {found[-1].name} but not consolidated.{number:02}.pth")
    return found


def config_values(folder: Path, files: TokenizerFiles) -> dict[str, Any]:
    """What Hugging Face's `config.json` says of the model whose `params.json` lies in `folder`.

    Raises `CheckpointError` for values that are no sizes, and for what this lab's Llama does not have.
    """
    params = read_json(folder / PARAMS)
    strange = [key for key, value in params.items() if key not in (*_SIZES, *_NUMBERS, *_NO_MATTER) and value]
    if params.get("use_scaled_rope"):
        strange.append("use_scaled_rope")
    if strange:
        raise CheckpointError(
            f"{PARAMS} in {folder.name} asks for {strange[0]}, which can't be converted from Meta's files here; take "
            "the model's Hugging Face form"
        )
    sizes = {key: _checked(folder, params, key, int, 1000 if key == "n_layers" else 2**20) for key in _SIZES}
    numbers = {key: _checked(folder, params, key, float, 1e9) for key in _NUMBERS}
    dim, layers, heads = (_needed(folder, sizes, key) for key in ("dim", "n_layers", "n_heads"))
    theta = numbers["rope_theta"] or 10_000.0
    eps = numbers["norm_eps"] or 1e-5
    stated = params.get("vocab_size", -1)
    return {
        "architectures": ["LlamaForCausalLM"], "model_type": "llama", "hidden_act": "silu", "attention_bias": False,
        "mlp_bias": False, "tie_word_embeddings": False, "rope_scaling": None, "rope_theta": theta,
        "hidden_size": dim, "num_hidden_layers": layers, "num_attention_heads": heads,
        "num_key_value_heads": sizes["n_kv_heads"] or heads, "head_dim": sizes["head_dim"] or dim // heads,
        "intermediate_size": sizes["hidden_dim"] or _feed_forward(dim, sizes["multiple_of"], numbers),
        "rms_norm_eps": eps,
        "max_position_embeddings": sizes["max_seq_len"] or (2048 if eps == 1e-6 else CONTEXTS.get(theta, 4096)),
        "vocab_size": files.tokenizer.id_limit if stated == -1 else stated,
        "bos_token_id": files.bos_id, "eos_token_id": next(iter(files.eos_ids), None),
    }  # fmt: skip


def _feed_forward(dim: int, multiple_of: float | None, numbers: dict[str, float | None]) -> int:
    """LLaMA 2 7B: two thirds of 4 * 4096, rounded up to a multiple of 256 -> 11008"""
    multiple = int(multiple_of or 256)
    size = int(int(2 * 4 * dim / 3) * (numbers["ffn_dim_multiplier"] or 1))
    return multiple * math.ceil(size / multiple)


def _checked(folder: Path, params: dict[str, Any], key: str, kind: type, most: float) -> Any:
    value = params.get(key)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, (int, float) if kind is float else int) or not 0 < value < most:
        raise CheckpointError(
            f"{key} in {folder.name}'s {PARAMS} is {value!r}; a number above 0 and below {most:,} was expected"
        )
    return value


def _needed(folder: Path, sizes: dict[str, Any], key: str) -> int:
    if sizes[key] is None:
        raise CheckpointError(f"{PARAMS} in {folder.name} has no entry {key}; is this a Llama of Meta's?")
    return int(sizes[key])


# --- Weights ---------------------------------------------------------------------------------------------------------


def meta_name(name: str) -> str:
    """Meta's name of a weight: model.layers.3.mlp.up_proj.weight -> layers.3.feed_forward.w3.weight"""
    if name in _OUTSIDE:
        return _OUTSIDE[name]
    _, _, layer, part = name.removesuffix(".weight").split(".", 3)
    return f"layers.{layer}.{_INSIDE[part]}.weight"


def groups(config: ModelConfig) -> list[list[str]]:
    """The weights' names under Hugging Face's names, in groups of at most `AT_ONCE` numbers, a file each."""
    found: list[list[str]] = [[]]
    room = AT_ONCE
    for name, weight in empty_model(config).state_dict().items():
        if found[-1] and weight.numel() > room:
            found.append([])
            room = AT_ONCE
        found[-1].append(name)
        room -= weight.numel()
    return found


def merged(parts: Sequence[dict[str, Tensor]], config: ModelConfig) -> Iterator[dict[str, Tensor]]:
    """The groups of weights, from the slices of all files. Raises `CheckpointError` for slices that don't fit the
    config."""
    expected = {meta_name(name): tuple(one.shape) for name, one in empty_model(config).state_dict().items()}
    for number, part in enumerate(parts):
        if missing := sorted(expected.keys() - part.keys()):
            raise CheckpointError(f"the {len(missing)} weights that {PARAMS} asks for are missing, first {missing[0]}")
        if extra := sorted(part.keys() - expected.keys() - {COMPUTED}):
            raise CheckpointError(f"it holds {len(extra)} weights that {PARAMS} has no place for, first {extra[0]}")
        if part["norm.weight"].dtype != parts[0]["norm.weight"].dtype:
            raise CheckpointError(f"file {number} is stored as another type than the first")
    for names in groups(config):
        yield {name: _whole(name, parts, expected[meta_name(name)], config.head_dim) for name in names}


def _whole(name: str, parts: Sequence[dict[str, Tensor]], shape: tuple[int, ...], head_dim: int) -> Tensor:
    own = meta_name(name)
    slices = [part[own] for part in parts]
    count, found = len(slices), tuple(slices[0].shape)
    along = 1 if own.endswith(_CUT_ALONG_COLUMNS) else 0
    if own == "tok_embeddings.weight" and found != (shape[0] // count, shape[1]):
        along = 1  # cut along the columns by LLaMA 1 and 2, along the rows by Llama 3
    if len(shape) == 1:
        slices, along = slices[:1], 0
    if any(one.dim() != len(shape) or tuple(one.shape) != found for one in slices) or (
        shape != tuple(size * len(slices) if place == along else size for place, size in enumerate(found))
    ):
        raise CheckpointError(
            f"{own} has the shape {found} in {_files(count)}, which does not make up {shape}; is a file missing, or "
            f"{PARAMS} another model's?"
        )
    weight = slices[0] if len(slices) == 1 else torch.cat(slices, dim=along)
    return pair_halves(weight, head_dim) if turns(name) else weight  # llama.cpp's order of rows is Meta's


def _files(count: int) -> str:
    return "its one file" if count == 1 else f"each of its {count} files"
