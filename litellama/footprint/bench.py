"""LLaMA 2 on your own machine, without its weights and without room for them.

How long a layer takes hardly depends on what its weights say. So a few layers of a model's real shape are made with
random weights, run, and their cost is multiplied by the number of layers. What is multiplied is the marginal cost of a
layer: the time of two rounds through the copies less that of one, so that what happens once per token (the norm, the
head) is not counted for every layer. There are so many copies that they don't fit into the processor's cache: weights
must come from memory, as they do in the whole model.
"""

from __future__ import annotations

import math
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import Tensor, nn

from litellama.config import ModelConfig
from litellama.footprint.meter import Energy, Meter, sensors
from litellama.model import Block, KVCache, RMSNorm, empty_model, rotary_frequencies, rotary_tables

DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}
CACHES = 4  # the copies are together so many times as large as the processor's cache
SOME_CACHE = 64 * 2**20  # bytes, where the machine does not say
FEWEST_ROUNDS = 5


@dataclass(frozen=True)
class Cost:
    """Of one token written, or of one text read: seconds (median), their spread (standard deviation as a share), and
    the energy, None where nothing could be said. `layers_made` of the model's layers really stood in memory."""

    seconds: float
    spread: float
    energy: Energy | None
    layers_made: int


@dataclass(frozen=True)
class Work:
    """What is measured: one token after `context` others if `new_tokens` is 1, else a text of so many tokens."""

    new_tokens: int
    context: int

    @classmethod
    def decode(cls, context: int) -> Work:
        """Write the next token."""
        return cls(1, context)

    @classmethod
    def prefill(cls, tokens: int) -> Work:
        """Read a text at once."""
        return cls(tokens, 0)


class Stack(nn.Module):
    """Some layers of a model's shape, and its norm and head, with random weights."""

    def __init__(self, config: ModelConfig, layers: int) -> None:
        super().__init__()
        self.config = config
        self.blocks = nn.ModuleList(Block(config, layer) for layer in range(layers))
        self.norm = RMSNorm(config.hidden_size, config.rms_norm_eps)
        self.head = nn.Linear(config.hidden_size, config.vocab_size, bias=False)

    def forward(self, x: Tensor, cos: Tensor, sin: Tensor, mask: Tensor | None, cache: KVCache, rounds: int) -> Tensor:
        """`rounds` times through all layers, then the head for the last token. The cache's length stays as it is, so
        that every round writes to the same place."""
        for _ in range(rounds):
            for block in self.blocks:
                x, _ = block(x, cos, sin, mask, cache, False)
        logits: Tensor = self.head(self.norm(x[:, -1:]))
        return logits


def make_stack(config: ModelConfig, layers: int, dtype: torch.dtype) -> Stack:
    """Layers in memory, with numbers of a usual size: zeros or denormals would be faster or slower."""
    with torch.device("meta"):
        stack = Stack(config, layers)
    stack = stack.to(dtype).to_empty(device="cpu")
    with torch.no_grad():
        for parameter in stack.parameters():
            parameter.uniform_(-0.02, 0.02)
    return stack.eval()


def layers_needed(config: ModelConfig, dtype: torch.dtype, cache_bytes: int | None = None) -> int:
    """So many copies are `CACHES` times as large as the processor's cache; at least 2, at most half the model's layers,
    so that two rounds through them are not more work than the model itself."""
    per_layer = (
        sum(config.parameters_by_part[part] for part in ("attention", "feed_forward"))
        * torch.finfo(dtype).bits
        // 8
        // config.num_hidden_layers
    )
    wanted = math.ceil(CACHES * (cache_bytes or processor_cache()) / per_layer)
    return max(1, min(max(2, wanted), config.num_hidden_layers // 2))


@torch.inference_mode()
def cost_by_layers(
    config: ModelConfig, dtype: torch.dtype, work: Work, *, seconds: float = 3.0, cache_bytes: int | None = None
) -> Cost:
    """What `work` would cost with the whole model, from a few of its layers. Runs for `seconds` or a little more."""
    layers = layers_needed(config, dtype, cache_bytes)
    stack = make_stack(config, layers, dtype)
    few = replace(config, num_hidden_layers=layers)
    x = torch.randn(1, work.new_tokens, config.hidden_size).to(dtype)
    arguments = _positions(config, work, dtype)
    cache = _filled_cache(few, work, dtype)

    def through(rounds: int) -> Callable[[], object]:
        return lambda: stack(x, *arguments, cache, rounds)

    once, twice, energy_per_second = _interleaved(through(1), through(2), seconds)
    each = [long - short for short, long in zip(once, twice, strict=True)]
    rest = config.num_hidden_layers / layers - 1  # rounds that are still missing after the first
    totals = [short + rest * one for short, one in zip(once, each, strict=True)]
    return _cost(totals, energy_per_second, layers)


@torch.inference_mode()
def cost_of_whole(config: ModelConfig, dtype: torch.dtype, work: Work, *, seconds: float = 3.0) -> Cost:
    """The same with all layers of the model in memory: what the scaled figure is checked against."""
    model = empty_model(config).to(dtype).to_empty(device="cpu").eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.uniform_(-0.02, 0.02)
    model.model.rotary = rotary_frequencies(config)  # a buffer: `to_empty` left it without numbers
    ids = torch.randint(0, config.vocab_size, (1, work.new_tokens))
    cache = _filled_cache(config, work, dtype)

    def once() -> None:
        cache.length = work.context
        model(ids, cache=cache, last_only=True)

    took, _, energy_per_second = _interleaved(once, None, seconds)
    return _cost(took, energy_per_second, config.num_hidden_layers)


def processor_cache() -> int:
    """Bytes of the largest cache of the processor, as Linux names it, or a usual one's."""
    sizes = []
    for path in Path("/sys/devices/system/cpu/cpu0/cache").glob("index*/size"):
        text = path.read_text(encoding="ascii").strip()
        units = {"K": 2**10, "M": 2**20, "G": 2**30}
        if text[:-1].isdigit() and text[-1] in units:
            sizes.append(int(text[:-1]) * units[text[-1]])
    return max(sizes, default=SOME_CACHE)


def _interleaved(
    first: Callable[[], object], second: Callable[[], object] | None, seconds: float
) -> tuple[list[float], list[float], Callable[[float], Energy | None]]:
    """Run both in turn for `seconds`; their times, and a way from seconds of such work to joules."""
    works = [first] if second is None else [first, second]
    for work in works:
        work()  # the first run also loads kernels and touches memory
    took: list[list[float]] = [[] for _ in works]
    meter = Meter(*sensors())
    meter.start()
    try:
        began = time.perf_counter()
        while len(took[0]) < FEWEST_ROUNDS or time.perf_counter() - began < seconds:
            for number, work in enumerate(works):
                start = time.perf_counter()
                work()
                took[number].append(time.perf_counter() - start)
    finally:
        meter.stop()
    reading = meter.reading()
    total = reading.total
    return took[0], took[-1], lambda wanted: None if total is None else total.scaled(wanted / reading.seconds)


def _cost(totals: list[float], energy_per_second: Callable[[float], Energy | None], layers: int) -> Cost:
    median = statistics.median(totals)
    return Cost(median, statistics.stdev(totals) / median if median else math.inf, energy_per_second(median), layers)


def _positions(config: ModelConfig, work: Work, dtype: torch.dtype) -> tuple[Tensor, Tensor, Tensor | None]:
    positions = torch.arange(work.context, work.context + work.new_tokens)[None]
    cos, sin = rotary_tables(rotary_frequencies(config), positions)
    total = work.context + work.new_tokens
    mask = torch.ones(work.new_tokens, total, dtype=torch.bool).tril(diagonal=work.context) if work.context else None
    return cos.to(dtype), sin.to(dtype), mask


def _filled_cache(config: ModelConfig, work: Work, dtype: torch.dtype) -> KVCache:
    cache = KVCache(config, 1, work.context + work.new_tokens, dtype)
    cache.keys.uniform_(-1, 1)
    cache.values.uniform_(-1, 1)
    cache.length = work.context
    return cache
