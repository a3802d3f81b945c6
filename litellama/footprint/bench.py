"""LLaMA 2 on your own machine, without its weights and without room for them.

The time of a layer hardly depends on the values of its weights. So a few layers of a model's real shape are made with
random weights and run, and the cost of a layer is multiplied by the number of layers. It is the marginal cost: the time
for many layers minus the time for few, divided by the difference. So what happens once per token (the norm, the head)
is not counted for every layer. The few layers are together larger than the processor's cache, so that the weights must
come from memory, as in the whole model.
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
from litellama.device import synchronize
from litellama.footprint.meter import Energy, Meter
from litellama.footprint.sensors import sensors
from litellama.model import Block, KVCache, RMSNorm, empty_model, rotary_frequencies, rotary_tables

DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}
CACHES = 4  # the copies are together so many times as large as the processor's cache
SOME_CACHE = 64 * 2**20  # bytes, where the machine does not say
FEWEST_ROUNDS, ENOUGH_ROUNDS = 5, 10


@dataclass(frozen=True)
class Cost:
    """The cost of one token written, or of one text read: seconds (median), their spread (standard deviation as a
    share), and the energy, None if unknown. `layers_made`: how many of the model's layers were in memory."""

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

    def forward(self, x: Tensor, cos: Tensor, sin: Tensor, mask: Tensor | None, cache: KVCache, layers: int) -> Tensor:
        """Run `layers` layers, using the copies in turn, then the head for the last token. The cache's length stays the
        same, so that each use of a copy writes to the same place."""
        for number in range(layers):
            x, _ = self.blocks[number % len(self.blocks)](x, cos, sin, mask, cache, False)
        logits: Tensor = self.head(self.norm(x[:, -1:]))
        return logits


def make_stack(config: ModelConfig, layers: int, dtype: torch.dtype, device: torch.device | str = "cpu") -> Stack:
    """Layers in memory, with numbers of a usual size: zeros or denormals would be faster or slower."""
    with torch.device("meta"):
        stack = Stack(config, layers)
    stack = stack.to(dtype).to_empty(device=device)
    with torch.no_grad():
        for parameter in stack.parameters():
            parameter.uniform_(-0.02, 0.02)
    return stack.eval()


def layers_needed(config: ModelConfig, dtype: torch.dtype, cache_bytes: int | None = None) -> int:
    """How many copies are `CACHES` times as large as the processor's cache. At least 2, and at most half the model's
    layers, so that twice as many are not more work than the model itself."""
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
    config: ModelConfig,
    dtype: torch.dtype,
    work: Work,
    *,
    seconds: float = 3.0,
    cache_bytes: int | None = None,
    device: torch.device | str = "cpu",
) -> Cost:
    """What `work` would cost with the whole model, from a few of its layers. Runs for `seconds` or a little more."""
    way = _few_layers(config, dtype, work, seconds, cache_bytes, torch.device(device))
    (short, long), energy_per_second = _interleaved([way.short, way.long], seconds)
    return _cost(way.scaled(short, long), energy_per_second, way.copies)


@torch.inference_mode()
def scaling_error(
    config: ModelConfig,
    dtype: torch.dtype,
    work: Work,
    *,
    seconds: float = 3.0,
    cache_bytes: int | None = None,
    device: torch.device | str = "cpu",
) -> float:
    """How much the time from a few layers differs from that of the whole model in memory, as a share of the latter.

    Both are run in turn, so that other work of the machine slows both down alike.
    """
    device = torch.device(device)
    way = _few_layers(config, dtype, work, seconds, cache_bytes, device)
    (short, long, whole), _ = _interleaved([way.short, way.long, _whole_model(config, dtype, work, device)], seconds)
    return statistics.median(way.scaled(short, long)) / statistics.median(whole) - 1


@dataclass(frozen=True)
class _Way:
    """Two numbers of layers to run, few and many, for a model of `layers` layers of which `copies` are in memory."""

    short: Callable[[], object]
    long: Callable[[], object]
    copies: int
    more: int
    layers: int

    def scaled(self, short: list[float], long: list[float]) -> list[float]:
        """The whole model's seconds, from those for few layers and those for `more` layers in addition."""
        missing = (self.layers - self.copies) / self.more
        return [one + missing * (other - one) for one, other in zip(short, long, strict=True)]


def _few_layers(
    config: ModelConfig,
    dtype: torch.dtype,
    work: Work,
    seconds: float,
    cache_bytes: int | None,
    device: torch.device,
) -> _Way:
    copies = layers_needed(config, dtype, cache_bytes or last_cache(device))
    stack = make_stack(config, copies, dtype, device)
    x = torch.randn(1, work.new_tokens, config.hidden_size, device=device).to(dtype)
    arguments = _positions(config, work, dtype, device)
    cache = _filled_cache(replace(config, num_hidden_layers=copies), work, dtype, device)

    def through(layers: int) -> Callable[[], object]:
        def run() -> None:
            stack(x, *arguments, cache, layers)
            synchronize(device)

        return run

    through(copies)()  # the first run also loads kernels and touches memory
    began = time.perf_counter()
    through(copies)()
    took = time.perf_counter() - began
    # The longer the way, the less its noise is multiplied; but some ten of them should fit into the time there is.
    affordable = int(copies * seconds / ENOUGH_ROUNDS / max(took, 1e-9))
    longer = max(2 * copies, min(config.num_hidden_layers // 2, affordable))
    return _Way(through(copies), through(longer), copies, longer - copies, config.num_hidden_layers)


def _whole_model(config: ModelConfig, dtype: torch.dtype, work: Work, device: torch.device) -> Callable[[], object]:
    model = empty_model(config).to(dtype).to_empty(device=device).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.uniform_(-0.02, 0.02)
    model.model.rotary = rotary_frequencies(config).to(device)  # a buffer: `to_empty` left it without numbers
    ids = torch.randint(0, config.vocab_size, (1, work.new_tokens), device=device)
    cache = _filled_cache(config, work, dtype, device)

    def once() -> None:
        cache.length = work.context
        model(ids, cache=cache, logits_to_keep=1)
        synchronize(device)

    return once


def last_cache(device: torch.device) -> int:
    """Bytes of the largest cache between the device's memory and its processors."""
    if device.type == "cuda":
        return int(torch.cuda.get_device_properties(device).L2_cache_size)
    return processor_cache()


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
    works: list[Callable[[], object]], seconds: float
) -> tuple[list[list[float]], Callable[[float], Energy | None]]:
    """Run all in turn for `seconds`. Returns the times of each, and a function from seconds of such work to joules."""
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
    return took, lambda wanted: None if total is None else total.scaled(wanted / reading.seconds)


def _cost(totals: list[float], energy_per_second: Callable[[float], Energy | None], layers: int) -> Cost:
    median = statistics.median(totals)
    return Cost(median, statistics.stdev(totals) / median if median else math.inf, energy_per_second(median), layers)


def _positions(
    config: ModelConfig, work: Work, dtype: torch.dtype, device: torch.device | str = "cpu"
) -> tuple[Tensor, Tensor, Tensor | None]:
    positions = torch.arange(work.context, work.context + work.new_tokens, device=device)[None]
    cos, sin = rotary_tables(rotary_frequencies(config).to(device), positions)
    total = work.context + work.new_tokens
    mask = None
    if work.context:
        mask = torch.ones(work.new_tokens, total, dtype=torch.bool, device=device).tril(diagonal=work.context)
    return cos.to(dtype), sin.to(dtype), mask


def _filled_cache(config: ModelConfig, work: Work, dtype: torch.dtype, device: torch.device | str = "cpu") -> KVCache:
    cache = KVCache(config, 1, work.context + work.new_tokens, dtype, device)
    cache.keys.uniform_(-1, 1)
    cache.values.uniform_(-1, 1)
    cache.length = work.context
    return cache
