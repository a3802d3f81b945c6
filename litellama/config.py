"""The shape of a Llama: `ModelConfig`, its exact parameter count, and PRESETS, one line of differences each."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, field, replace
from typing import Any


@dataclass(frozen=True)
class RopeScaling:
    """Llama 3's rescaling of rotary frequencies for contexts longer than the ones trained on (`rope_type: llama3`)."""

    factor: float
    low_freq_factor: float
    high_freq_factor: float
    original_max_position_embeddings: int


@dataclass(frozen=True)
class ModelConfig:
    """Everything that fixes a model's shape. The names are those of Hugging Face's `config.json` for Llama.

    A group of `num_attention_heads / num_key_value_heads` query heads shares one key/value head: equal numbers are
    multi-head attention, one key/value head is multi-query attention, and between them lies grouped-query attention
    (Ainslie et al. 2023, GQA).
    """

    vocab_size: int
    hidden_size: int
    intermediate_size: int
    num_hidden_layers: int
    num_attention_heads: int
    num_key_value_heads: int
    head_dim: int
    max_position_embeddings: int
    rms_norm_eps: float = 1e-5
    rope_theta: float = 10_000.0
    rope_scaling: RopeScaling | None = None
    tie_word_embeddings: bool = False
    bos_token_id: int | None = None
    eos_token_ids: tuple[int, ...] = ()
    pad_token_id: int | None = None
    padding_rows: int = field(default=0, compare=False)  # no part of the shape: the tokenizer decides
    """So many ids at the end belong to no token: LiteLlama has rows for 50,304, and GPT-2's tokens are 50,257."""
    add_bos_token: bool = field(default=True, compare=False)  # nor is this
    """Whether the beginning-of-text token, if there is one, stands in front of texts that no chat template frames."""

    def __post_init__(self) -> None:
        sizes = (
            "vocab_size", "hidden_size", "intermediate_size", "num_hidden_layers",
            "num_attention_heads", "num_key_value_heads", "head_dim", "max_position_embeddings",
        )  # fmt: skip
        for name in sizes:
            value = getattr(self, name)
            if not isinstance(value, int) or isinstance(value, bool) or value < 1:
                raise ValueError(f"{name} is {value!r}; a whole number of at least 1 was expected")
        if not 0 <= self.padding_rows < self.vocab_size:
            raise ValueError(f"{self.padding_rows} of {self.vocab_size} ids have no token; at least one must have one")
        for name in ("rms_norm_eps", "rope_theta"):
            if not 0 < getattr(self, name) < math.inf:
                raise ValueError(f"{name} is {getattr(self, name)!r}; a number above 0 was expected")
        if self.num_attention_heads % self.num_key_value_heads:
            raise ValueError(
                f"{self.num_attention_heads} query heads cannot be shared out evenly among {self.num_key_value_heads} "
                "key/value heads; choose a num_key_value_heads that divides num_attention_heads"
            )
        if self.head_dim % 2:
            raise ValueError(f"head_dim is {self.head_dim}; rotary embedding turns pairs, so it must be even")

    @property
    def parameters_by_part(self) -> dict[str, int]:
        """Exact number of weights in each part, by arithmetic alone: nothing is allocated. A tied head has none."""
        embedding = self.vocab_size * self.hidden_size
        queries_and_output = 2 * self.hidden_size * self.num_attention_heads * self.head_dim
        keys_and_values = 2 * self.hidden_size * self.num_key_value_heads * self.head_dim
        return {
            "embedding": embedding,
            "attention": self.num_hidden_layers * (queries_and_output + keys_and_values),
            "feed_forward": self.num_hidden_layers * 3 * self.hidden_size * self.intermediate_size,
            "norms": (2 * self.num_hidden_layers + 1) * self.hidden_size,
            "head": 0 if self.tie_word_embeddings else embedding,
        }

    @property
    def num_parameters(self) -> int:
        """Exact number of weights."""
        return sum(self.parameters_by_part.values())

    @property
    def sampled_vocab_size(self) -> int:
        """How many ids can be chosen as the next token: all but those that the tokenizer has no token for."""
        return self.vocab_size - self.padding_rows

    @classmethod
    def from_hf(cls, values: dict[str, Any]) -> ModelConfig:
        """Read the contents of a Hugging Face `config.json` of any age; entries that Llamas don't have are passed over.

        Raises `ValueError` for another architecture, a missing entry, or a feature this model does not have.
        """
        _check_kind(values)
        rope = _mapping(values, "rope_parameters")  # transformers 5 moved theta and scaling in here
        scaling = _mapping(values, "rope_scaling") or rope
        try:
            hidden_size, heads = values["hidden_size"], values["num_attention_heads"]
            # The very first Llama folders call it max_sequence_length; 2048 is what transformers takes for granted.
            context = values.get("max_position_embeddings") or values.get("max_sequence_length") or 2048
            return cls(
                vocab_size=values["vocab_size"],
                hidden_size=hidden_size,
                intermediate_size=values["intermediate_size"],
                num_hidden_layers=values["num_hidden_layers"],
                num_attention_heads=heads,
                num_key_value_heads=values.get("num_key_value_heads") or heads,
                head_dim=values.get("head_dim") or hidden_size // heads,
                max_position_embeddings=context,
                rms_norm_eps=float(values.get("rms_norm_eps", 1e-6)),
                rope_theta=float(values.get("rope_theta") or rope.get("rope_theta") or 10_000.0),
                rope_scaling=_read_rope_scaling(scaling),
                tie_word_embeddings=bool(values.get("tie_word_embeddings", False)),
                bos_token_id=next(iter(token_ids(values, "bos_token_id")), None),
                eos_token_ids=token_ids(values, "eos_token_id"),
                pad_token_id=next(iter(token_ids(values, "pad_token_id")), None),
            )
        except KeyError as missing:
            raise ValueError(f"config.json has no entry {missing}; is this the folder of a Llama model?") from None
        except (TypeError, ZeroDivisionError, OverflowError) as wrong:
            raise ValueError(f"config.json holds a value of the wrong kind ({wrong})") from None

    def to_hf(self, dtype: str) -> dict[str, Any]:
        """The `config.json` that `transformers` and other engines read; `dtype` names the stored weights' type."""
        values = asdict(self)
        del values["padding_rows"], values["add_bos_token"]  # the tokenizer beside it says so
        eos = values.pop("eos_token_ids")
        scaling = values.pop("rope_scaling")
        values["eos_token_id"] = None if not eos else eos[0] if len(eos) == 1 else list(eos)
        values["rope_scaling"] = scaling and {"rope_type": "llama3", **scaling}
        fixed = {"attention_bias": False, "mlp_bias": False, "hidden_act": "silu", "torch_dtype": dtype}
        return {"architectures": ["LlamaForCausalLM"], "model_type": "llama", **values, **fixed}


def token_ids(values: dict[str, Any], name: str) -> tuple[int, ...]:
    """The ids at an entry that is a number, a list of numbers or null; -1, which old configs have for "none", is none.

    Raises `ValueError` for anything else.
    """
    value = values.get(name)
    ids = value if isinstance(value, list) else [] if value is None else [value]
    if not all(type(id) is int for id in ids):
        raise ValueError(f"{name} is {value!r}; the id of a token was expected, or a list of such ids")
    return tuple(id for id in ids if id >= 0)


def _check_kind(values: dict[str, Any]) -> None:
    """Raise `ValueError` for what is no plain Llama."""
    kind = values.get("model_type", "llama")
    named = values.get("architectures") or ["LlamaForCausalLM"]
    if kind != "llama":
        raise ValueError(f"config.json describes a {kind!r} model; only 'llama' models can be opened")
    if not (isinstance(named, list) and all(str(name).lower() == "llamaforcausallm" for name in named)):
        raise ValueError(f"config.json describes {named!r}; only LlamaForCausalLM, which writes text, can be opened")
    if values.get("quantization_config"):
        raise ValueError("config.json says that the weights are quantised; only plain floats can be opened")
    for feature in ("attention_bias", "mlp_bias"):
        if values.get(feature):
            raise ValueError(f"config.json asks for {feature}, which LLaMA 2 and LiteLlama do not have")
    if values.get("hidden_act", "silu") != "silu":
        raise ValueError(f"config.json asks for hidden_act {values['hidden_act']!r}; only 'silu' (SwiGLU) is known")


def _mapping(values: dict[str, Any], name: str) -> dict[str, Any]:
    value = values.get(name)
    if not isinstance(value, dict | None):
        raise ValueError(f"config.json holds {value!r} as {name}; an object with named values was expected, or null")
    return value or {}


def _read_rope_scaling(scaling: dict[str, Any]) -> RopeScaling | None:
    kind = scaling.get("rope_type", scaling.get("type", "default"))
    if kind == "default":
        return None
    if kind != "llama3":
        raise ValueError(f"config.json asks for rope scaling of type {kind!r}; only 'llama3' is known")
    return RopeScaling(
        factor=float(scaling["factor"]),
        low_freq_factor=float(scaling["low_freq_factor"]),
        high_freq_factor=float(scaling["high_freq_factor"]),
        original_max_position_embeddings=int(scaling["original_max_position_embeddings"]),
    )


# LiteLlama-460M-1T as its authors released it. Its config gives bos/eos/pad as 1/2/0, which in GPT-2's vocabulary are
# the characters `"`, `#` and `!`; they are kept here as published, and the end of text is really 50256.
LITELLAMA_460M = ModelConfig(
    vocab_size=50_304, hidden_size=1024, intermediate_size=4096, num_hidden_layers=24,
    num_attention_heads=16, num_key_value_heads=2, head_dim=64, max_position_embeddings=1024,
    rms_norm_eps=1e-6, bos_token_id=1, eos_token_ids=(2,), pad_token_id=0,
)  # fmt: skip

LLAMA2_7B = ModelConfig(
    vocab_size=32_000, hidden_size=4096, intermediate_size=11_008, num_hidden_layers=32,
    num_attention_heads=32, num_key_value_heads=32, head_dim=128, max_position_embeddings=4096,
    rms_norm_eps=1e-5, bos_token_id=1, eos_token_ids=(2,),
)  # fmt: skip


def _scaled_down(hidden: int, layers: int, query_heads: int, key_value_heads: int, vocab: int = 50_304) -> ModelConfig:
    """LiteLlama's proportions at another size: feed-forward 4 x hidden, untied head, grouped queries."""
    return replace(
        LITELLAMA_460M, vocab_size=vocab, hidden_size=hidden, intermediate_size=4 * hidden, num_hidden_layers=layers,
        num_attention_heads=query_heads, num_key_value_heads=key_value_heads, head_dim=hidden // query_heads,
        bos_token_id=None, eos_token_ids=(), pad_token_id=None,
    )  # fmt: skip


PRESETS: dict[str, ModelConfig] = {
    "litellama-460m": LITELLAMA_460M,
    "litellama-110m": _scaled_down(512, 15, 8, 2),
    "litellama-42m": _scaled_down(320, 7, 5, 1),
    "litellama-15m": _scaled_down(256, 11, 4, 1, vocab=8192),
    "litellama-5m": _scaled_down(192, 6, 4, 2, vocab=4096),
    "litellama-2m": _scaled_down(128, 5, 4, 2, vocab=2048),
    "litellama-1m": _scaled_down(96, 4, 4, 2, vocab=2048),
    "litellama-300k": _scaled_down(64, 3, 4, 2, vocab=1024),
    "llama2-7b": LLAMA2_7B,
    "llama2-13b": replace(
        LLAMA2_7B, hidden_size=5120, intermediate_size=13_824, num_hidden_layers=40,
        num_attention_heads=40, num_key_value_heads=40,
    ),
    "llama2-70b": replace(
        LLAMA2_7B, hidden_size=8192, intermediate_size=28_672, num_hidden_layers=80,
        num_attention_heads=64, num_key_value_heads=8,
    ),
    "tinyllama-1.1b": replace(
        LLAMA2_7B, hidden_size=2048, intermediate_size=5632, num_hidden_layers=22,
        num_key_value_heads=4, head_dim=64, max_position_embeddings=2048,
    ),
    # Allal et al. 2025, arXiv:2502.02737; the model that the lab fetches at set-up.
    "smollm2-135m": ModelConfig(
        vocab_size=49_152, hidden_size=576, intermediate_size=1536, num_hidden_layers=30,
        num_attention_heads=9, num_key_value_heads=3, head_dim=64, max_position_embeddings=8192, rope_theta=100_000.0,
        rms_norm_eps=1e-5, tie_word_embeddings=True, bos_token_id=1, eos_token_ids=(2,), pad_token_id=2,
    ),
    # The lab's own embedded model: a vocabulary of its own, a tied head to save weights, six query heads sharing two.
    "tinytown": ModelConfig(
        vocab_size=3072, hidden_size=192, intermediate_size=512, num_hidden_layers=6,
        num_attention_heads=6, num_key_value_heads=2, head_dim=32, max_position_embeddings=512,
        tie_word_embeddings=True, bos_token_id=1, eos_token_ids=(2,), pad_token_id=0,
    ),
}  # fmt: skip


def is_litellama(config: ModelConfig) -> bool:
    """Whether a model has LiteLlama-460M-1T's vocabulary and exactly as many weights, whatever its folder is called."""
    return (config.vocab_size, config.num_parameters) == (LITELLAMA_460M.vocab_size, LITELLAMA_460M.num_parameters)


def preset(name: str) -> ModelConfig:
    """The preset called `name`. Raises `ValueError` that lists the names there are."""
    if name not in PRESETS:
        raise ValueError(f"there is no preset called {name!r}; choose one of {', '.join(PRESETS)}")
    return PRESETS[name]
