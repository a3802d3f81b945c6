"""Measuring by layers: what is run is the model's own work, and what is multiplied is the cost of a layer."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch

from litellama.config import preset
from litellama.footprint import bench
from litellama.footprint.bench import Stack, Work, cost_by_layers, layers_needed, make_stack, scaling_error
from litellama.model import Block, LiteLlama, rotary_tables
from tests.conftest import TINY

CONFIG = replace(TINY, num_hidden_layers=6)


def test_a_stack_is_a_part_of_the_model() -> None:
    """All layers once with a model's weights is the model's own pass, with what stands in the cache."""
    torch.manual_seed(0)
    model = LiteLlama(CONFIG).eval()
    stack = Stack(CONFIG, 6)
    stack.blocks.load_state_dict(model.model.layers.state_dict())
    stack.norm.load_state_dict(model.model.norm.state_dict())
    stack.head.load_state_dict(model.lm_head.state_dict())
    ids = torch.arange(9)[None]
    for work, past in ((Work.prefill(9), 0), (Work.decode(8), 8)):
        cache = bench._filled_cache(CONFIG, Work(work.new_tokens, past), torch.float32)
        with torch.inference_mode():
            expected = model(ids).logits[:, -1:]
            if past:
                cache.length = 0
                model(ids[:, :8], cache=cache)
            x = model.model.embed_tokens(ids[:, past:])
            found = stack(x, *bench._positions(CONFIG, work, torch.float32), cache, 6)
        torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)


def test_positions_go_on_where_the_context_ends() -> None:
    cos, _, mask = bench._positions(CONFIG, Work.decode(5), torch.float32)
    expected, _ = rotary_tables(bench.rotary_frequencies(CONFIG), torch.tensor([[5]]))
    torch.testing.assert_close(cos, expected)
    assert mask is not None
    assert mask.tolist() == [[True] * 6]


def test_the_marginal_cost_of_a_layer_is_multiplied(monkeypatch: pytest.MonkeyPatch) -> None:
    """With a clock on which each layer takes 1 s and head and norm 10 s, six layers take 16 s, not 6 times 11."""
    now = 0.0
    monkeypatch.setattr(bench.time, "perf_counter", lambda: now)

    def tick(seconds: float) -> None:
        nonlocal now
        now += seconds

    real = bench.make_stack

    def slow(*arguments: object) -> Stack:
        stack = real(*arguments)  # type: ignore[arg-type]
        for block in stack.blocks:
            block.register_forward_hook(lambda *_: tick(1))
        stack.head.register_forward_hook(lambda *_: tick(10))
        return stack

    monkeypatch.setattr(bench, "make_stack", slow)
    cost = cost_by_layers(CONFIG, torch.float32, Work.decode(4), seconds=1, cache_bytes=1)
    assert cost.layers_made == 2
    assert cost.seconds == pytest.approx(6 + 10)
    assert cost.spread == 0


def test_the_check_compares_with_the_whole_model(monkeypatch: pytest.MonkeyPatch) -> None:
    """With a clock on which a layer takes 1 s, a few layers scaled to six and the whole of six agree to the second."""
    now, real = 0.0, Block.forward

    def slow(self: Block, *arguments: Any) -> Any:
        nonlocal now
        now += 1
        return real(self, *arguments)

    monkeypatch.setattr(bench.time, "perf_counter", lambda: now)
    monkeypatch.setattr(Block, "forward", slow)
    assert scaling_error(CONFIG, torch.float32, Work.decode(4), seconds=1, cache_bytes=1) == 0


def test_copies_outgrow_the_cache_but_not_the_model() -> None:
    seven = preset("llama2-7b")
    layer = 2 * (4 * 4096 * 4096 + 3 * 4096 * 11_008)
    assert layers_needed(seven, torch.bfloat16, cache_bytes=layer) == 4
    assert layers_needed(seven, torch.float32, cache_bytes=layer) == 2
    assert layers_needed(seven, torch.bfloat16, cache_bytes=1) == 2
    assert layers_needed(seven, torch.bfloat16, cache_bytes=100 * layer) == 16, "two rounds are one model"
    assert bench.processor_cache() > 2**18


def test_both_ways_run_and_say_how(monkeypatch: pytest.MonkeyPatch) -> None:
    for dtype in (torch.float32, torch.bfloat16):
        for work in (Work.decode(20), Work.prefill(12)):
            cost = cost_by_layers(CONFIG, dtype, work, seconds=0.05, cache_bytes=1)
            assert cost.seconds > 0
            assert cost.spread >= 0
            assert cost.energy is not None, "at least an estimate"
            assert cost.energy.low <= cost.energy.joules <= cost.energy.high
            assert scaling_error(CONFIG, dtype, work, seconds=0.05, cache_bytes=1) > -1


def test_random_numbers_are_usual_ones() -> None:
    stack = make_stack(CONFIG, 2, torch.bfloat16)
    for parameter in stack.parameters():
        assert parameter.dtype == torch.bfloat16
        assert parameter.isfinite().all()
        assert 0 < parameter.abs().mean() < 0.02
