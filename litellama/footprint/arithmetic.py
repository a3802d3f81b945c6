"""What follows from a model's shape: memory, operations, and how fast a device could be at best.

    >>> weight_bytes(preset("llama2-7b"), "float16") / 1e9
    13.476831232
    >>> kv_bytes_per_token(preset("llama2-7b")) / 2**10
    512.0

Everything here is arithmetic on a `ModelConfig`; nothing is measured and nothing allocated. Operations are counted as
usual: a multiplication and an addition are two.
"""

from __future__ import annotations

from dataclasses import dataclass

from litellama.checkpoint.memory import BITS, weight_bytes
from litellama.config import ModelConfig

CACHE_BYTES = 2
"""Bytes of a number in the key/value cache: engines keep it at 16 bits, whatever the weights have."""


def kv_bytes_per_token(config: ModelConfig, number_bytes: int = CACHE_BYTES) -> int:
    """Bytes that the cache grows by with each token: a key and a value for each layer and key/value head."""
    return 2 * config.num_hidden_layers * config.num_key_value_heads * config.head_dim * number_bytes


def kv_bytes_without_sharing(config: ModelConfig, number_bytes: int = CACHE_BYTES) -> int:
    """The same if every query head had keys and values of its own, so without grouped-query attention."""
    return kv_bytes_per_token(config, number_bytes) * config.num_attention_heads // config.num_key_value_heads


def memory_bytes(config: ModelConfig, precision: str, context: int, batch: int = 1) -> int:
    """Weights and cache of `batch` conversations of `context` tokens: what a device must hold at least."""
    return weight_bytes(config, precision) + batch * context * kv_bytes_per_token(config)


def multiplied_weights(config: ModelConfig) -> int:
    """Weights that each token is multiplied with: all matrices and the head, but not the embedding's table."""
    parts = config.parameters_by_part
    head = config.vocab_size * config.hidden_size  # a tied head is no weight of its own, but the same work
    return parts["attention"] + parts["feed_forward"] + head


def attention_flops(config: ModelConfig, tokens_seen: int) -> int:
    """Operations for one token's scores against, and mean of, the `tokens_seen` it attends to, in all layers."""
    return 4 * config.num_hidden_layers * config.num_attention_heads * config.head_dim * tokens_seen


def decode_flops(config: ModelConfig, context: int) -> int:
    """Operations for the next token when, with it, `context` tokens are seen."""
    return 2 * multiplied_weights(config) + attention_flops(config, context)


def prefill_flops(config: ModelConfig, tokens: int) -> int:
    """Operations for reading `tokens` at once, each attending to those before it; the head runs for the last one."""
    head = config.vocab_size * config.hidden_size
    pairs = tokens * (tokens + 1) // 2
    return 2 * (multiplied_weights(config) - head) * tokens + 2 * head + attention_flops(config, 1) * pairs


def training_flops(config: ModelConfig, tokens: int, sequence_length: int) -> int:
    """Operations for training on `tokens`: backward costs twice as much as forward (Kaplan et al. 2020, table 1).

    Exact for the matrices and, unlike the rule of thumb `six_n_d`, counts attention at `sequence_length`.
    """
    pairs_per_token = (sequence_length + 1) / 2
    return round(3 * tokens * (2 * multiplied_weights(config) + attention_flops(config, 1) * pairs_per_token))


def step_flops(config: ModelConfig, rows: int, length: int, predicted: int) -> int:
    """Operations a training step needs for `rows` texts of `length` tokens. `predicted`: the tokens that the loss
    counts, for which alone the head is needed. What is computed twice to save memory, or in vain, is not counted (PaLM,
    Chowdhery et al. 2022, appendix B)."""
    head = config.vocab_size * config.hidden_size
    inner = 2 * (multiplied_weights(config) - head) * length + attention_flops(config, 1) * length * (length + 1) // 2
    return 3 * (rows * inner + 2 * head * predicted)


def six_n_d(config: ModelConfig, tokens: int) -> int:
    """The rule of thumb: 6 operations for each parameter and token (Kaplan et al. 2020)."""
    return 6 * config.num_parameters * tokens


@dataclass(frozen=True)
class Device:
    """A machine as its makers describe it: bytes of memory, bytes and operations per second, watts under load.

    None where nobody says.
    """

    name: str
    memory: float
    bandwidth: float
    flops: float | None
    watts: float | None


@dataclass(frozen=True)
class Bound:
    """The most tokens per second that a device could give: `tokens_per_second` is the lower of the two.

    `by_memory`: every weight, and the cache, must come from memory once for each step of a batch. `by_compute`: the
    operations of each token, None where the device's are not known. Real engines reach a part of it.
    """

    by_memory: float
    by_compute: float | None

    @property
    def tokens_per_second(self) -> float:
        return self.by_memory if self.by_compute is None else min(self.by_memory, self.by_compute)


def fits(config: ModelConfig, device: Device, precision: str, context: int, batch: int = 1, spare: float = 0.1) -> bool:
    """Whether the device holds weights and cache with a share of its memory to spare for everything else."""
    return memory_bytes(config, precision, context, batch) <= device.memory * (1 - spare)


def decode_bound(config: ModelConfig, device: Device, precision: str, context: int, batch: int = 1) -> Bound:
    """How fast the device could at best write `batch` answers at once, all of `context` tokens (the roofline model,
    Williams et al. 2009). The embedding is looked up, not read through."""
    looked_up = (
        0 if config.tie_word_embeddings else config.parameters_by_part["embedding"] * max(BITS[precision], 16) / 8
    )
    step = memory_bytes(config, precision, context, batch) - looked_up
    by_compute = None if device.flops is None else device.flops / decode_flops(config, context)
    return Bound(batch * device.bandwidth / step, by_compute)
