"""The arithmetic of size against hand-computed and published values, and the facts against their own rules."""

from __future__ import annotations

import math
from dataclasses import replace
from urllib.parse import urlsplit

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from litellama.config import PRESETS, preset
from litellama.footprint.arithmetic import (
    Device,
    decode_bound,
    decode_flops,
    fits,
    kv_bytes_per_token,
    kv_bytes_without_sharing,
    memory_bytes,
    prefill_flops,
    six_n_d,
    training_flops,
    weight_bytes,
)
from litellama.footprint.devices import all_devices, device, facts_of
from litellama.footprint.facts import all_facts, fact, facts_about
from litellama.model import LiteLlama, empty_model
from tests.conftest import TINY

LLAMAS = {"llama2-7b": "LLaMA 2 7B", "llama2-13b": "LLaMA 2 13B", "llama2-70b": "LLaMA 2 70B"}


@pytest.mark.parametrize("name", PRESETS)
def test_parts_are_those_of_the_model(name: str) -> None:
    config = preset(name)
    counted = dict.fromkeys(config.parameters_by_part, 0)
    for weight, parameter in empty_model(config).named_parameters():
        part = (
            "embedding" if "embed_tokens" in weight else "head" if "lm_head" in weight
            else "attention" if "self_attn" in weight else "feed_forward" if "mlp" in weight else "norms"
        )  # fmt: skip
        counted[part] += parameter.numel()
    assert config.parameters_by_part == counted
    assert sum(counted.values()) == config.num_parameters


@pytest.mark.parametrize(("name", "subject"), LLAMAS.items())
def test_sizes_are_the_published_ones(name: str, subject: str) -> None:
    config = preset(name)
    published = {one.quantity: one.number for one in facts_about("1.1", subject)}
    assert config.num_parameters == published["parameter count (exact)"]
    assert weight_bytes(config, "float16") / 1e9 == pytest.approx(published["weights size in fp16"], abs=0.005)
    assert kv_bytes_per_token(config) == published["KV-cache bytes per token (fp16)"]
    tokens = fact(f"1-2-llama-2-training-energy-carbon.{subject.lower().replace(' ', '-')}.training-tokens").number
    compute = {one.quantity: one.number for one in facts_about("1.2", subject)}["training compute 6ND"]
    assert six_n_d(config, int(tokens)) == pytest.approx(compute, rel=0.01)


def test_litellama_by_hand() -> None:
    config = preset("litellama-460m")
    assert kv_bytes_per_token(config) == 2 * 24 * 2 * 64 * 2 == 12_288
    assert kv_bytes_without_sharing(config) == 8 * 12_288
    assert weight_bytes(config, "float32") == 4 * 461_685_760
    layers = 24 * (2 * 1024 * 1024 + 2 * 1024 * 128 + 3 * 1024 * 4096)
    rest = 2 * 50_304 * 1024 + 49 * 1024
    assert weight_bytes(config, "int8") == layers * 33 // 32 + 2 * rest
    assert weight_bytes(config, "int4") == layers * 9 // 16 + 2 * rest
    assert memory_bytes(config, "float16", 1024, batch=3) == 2 * 461_685_760 + 3 * 1024 * 12_288
    with pytest.raises(ValueError, match="no precision called 'int3'"):
        weight_bytes(config, "int3")


@pytest.mark.parametrize("tied", [True, False])
def test_operations_are_those_that_torch_counts(tied: bool) -> None:
    config = replace(TINY, num_hidden_layers=3, tie_word_embeddings=tied)
    model = LiteLlama(config).eval()
    ids = torch.arange(20)[None]

    def counted(ids: torch.Tensor, keep: int | None) -> int:
        with FlopCounterMode(display=False) as counter:
            model(ids, logits_to_keep=keep, output_attentions=True)
        return int(counter.get_total_flops())

    # The explicit path also computes what lies above the diagonal: 20 x 20 pairs instead of 20 x 21 / 2.
    per_pair = 4 * 3 * config.num_attention_heads * config.head_dim
    above = (20 * 20 - 20 * 21 // 2) * per_pair
    assert prefill_flops(config, 20) == counted(ids, 1) - above
    assert decode_flops(config, 1) == counted(ids[:, :1], 1)
    assert training_flops(config, 20, 20) == 3 * (counted(ids, None) - above)


def test_the_rule_of_thumb_is_near_where_it_should_be() -> None:
    config = preset("llama2-7b")
    assert training_flops(config, 10**12, 4096) == pytest.approx(six_n_d(config, 10**12), rel=0.2)
    assert training_flops(config, 10**12, 4096) > six_n_d(config, 10**12), "attention at 4,096 tokens is not free"


def test_bounds_by_hand() -> None:
    config = preset("llama2-7b")
    slow = Device("slow", memory=16e9, bandwidth=100e9, flops=1e12, watts=None)
    read = weight_bytes(config) - 2 * 32_000 * 4096 + 1000 * 524_288
    bound = decode_bound(config, slow, "float16", 1000)
    assert bound.by_memory == pytest.approx(100e9 / read)
    assert bound.by_compute == pytest.approx(1e12 / decode_flops(config, 1000))
    assert bound.tokens_per_second == bound.by_memory
    many = decode_bound(config, slow, "float16", 1000, batch=64)
    assert many.by_memory == pytest.approx(64 * 100e9 / (read + 63 * 1000 * 524_288)), "a batch shares the weights only"
    assert many.tokens_per_second == many.by_compute
    assert decode_bound(config, replace(slow, flops=None), "float16", 1000).tokens_per_second == bound.by_memory
    assert fits(config, slow, "float16", 512)
    assert not fits(config, slow, "float16", 4096)
    assert not fits(config, slow, "float32", 1)
    assert fits(config, slow, "int4", 4096)


def test_devices_are_made_of_facts() -> None:
    devices = all_devices()
    assert len(devices) >= 12
    assert len({one.name for one in devices}) == len(devices)
    assert device("NVIDIA H100").flops == 989.4e12, "the dense figure, not the sparse one"
    for one in devices:
        assert all(math.isfinite(value) and value > 0 for value in (one.memory, one.bandwidth))
        assert "bandwidth" in facts_of(one.name)
    assert fits(preset("litellama-460m"), devices[0], "float16", 1024), "the smallest device holds LiteLlama"
    assert not fits(preset("llama2-70b"), device("NVIDIA H100"), "float16", 4096)
    with pytest.raises(ValueError, match="no device called 'abacus'"):
        device("abacus")


def test_every_fact_keeps_the_rules() -> None:
    facts = all_facts()
    assert len(facts) > 1000
    for id, one in facts.items():
        assert id == one.id
        assert one.subject
        assert one.quantity
        assert one.source.title
        assert urlsplit(one.source.url).scheme == "https", id
        if isinstance(one.value, float):
            assert math.isfinite(one.value), id
        if one.note.startswith(("[memory]", "[estimate]", "[inference]")):
            assert one.status == "estimated", id
    assert {one.status for one in facts.values()} == {"published", "derived", "estimated"}
    with pytest.raises(ValueError, match="no fact called"):
        fact("nothing")
    with pytest.raises(ValueError, match="which is no number"):
        next(one for one in facts.values() if isinstance(one.value, str)).number  # noqa: B018


def test_published_sums_are_shown_as_they_are() -> None:
    """The model card removed a row and kept the total; both stand here."""
    hours = [one.number for one in facts_about("1.2") if one.quantity == "training time"]
    total = next(one for one in facts_about("1.2", "LLaMA 2 total") if one.quantity.startswith("GPU hours (stated)"))
    assert sum(hours) == total.number
    assert sum(hours) - 1_038_336 == 2_273_280
    tokens = facts_about("2.2", "LiteLlama-460M-1T")
    read, claimed = (one.number for one in tokens if one.quantity.startswith("training tokens ("))
    assert read == 499_679 * 1024 * 192
    assert claimed == pytest.approx(10 * read, rel=0.01)
