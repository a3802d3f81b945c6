"""The model is Llama: equal to transformers' own on random small shapes, and its shortcuts change nothing."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import psutil
import pytest
import torch
from torch import Tensor
from transformers import LlamaConfig, LlamaForCausalLM

from litellama.config import ModelConfig, RopeScaling
from litellama.model import KVCache, RMSNorm, attend, attend_explicitly, rotary_frequencies, rotary_tables, rotate
from tests.conftest import TINY, random_model

BASE = replace(TINY, vocab_size=97, tie_word_embeddings=False)
LLAMA3 = RopeScaling(factor=8.0, low_freq_factor=1.0, high_freq_factor=4.0, original_max_position_embeddings=32)
SHAPES = {
    "multi-head": replace(BASE, num_key_value_heads=4),
    "grouped-query": replace(BASE, hidden_size=48, num_attention_heads=6, num_key_value_heads=2),
    "multi-query": replace(BASE, num_key_value_heads=1),
    "tied head": replace(BASE, tie_word_embeddings=True),
    "wide heads": replace(BASE, head_dim=24),
    "odd theta and eps": replace(BASE, rope_theta=123_456.7, rms_norm_eps=1e-2, num_hidden_layers=3),
    "llama3 scaling": replace(BASE, rope_scaling=LLAMA3, rope_theta=500.0, head_dim=16),
}


def random_ids(batch: int, length: int, vocab_size: int, seed: int = 0) -> Tensor:
    return torch.randint(vocab_size, (batch, length), generator=torch.Generator().manual_seed(seed))


def transformers_model(config: ModelConfig) -> LlamaForCausalLM:
    """The reference, configured in its own words rather than through `to_hf`."""
    rope: dict[str, Any] = {"rope_type": "default", "rope_theta": config.rope_theta}
    if config.rope_scaling is not None:
        rope |= vars(config.rope_scaling) | {"rope_type": "llama3"}
    return LlamaForCausalLM(
        LlamaConfig(
            vocab_size=config.vocab_size,
            hidden_size=config.hidden_size,
            intermediate_size=config.intermediate_size,
            num_hidden_layers=config.num_hidden_layers,
            num_attention_heads=config.num_attention_heads,
            num_key_value_heads=config.num_key_value_heads,
            head_dim=config.head_dim,
            max_position_embeddings=config.max_position_embeddings,
            rms_norm_eps=config.rms_norm_eps,
            rope_parameters=rope,
            tie_word_embeddings=config.tie_word_embeddings,
            attn_implementation="eager",
        )
    ).eval()


@pytest.mark.parametrize("config", SHAPES.values(), ids=SHAPES.keys())
@torch.no_grad()
def test_equals_transformers(config: ModelConfig) -> None:
    ours, theirs = random_model(config), transformers_model(config)
    theirs.load_state_dict(ours.state_dict())  # strict: the names agree as well
    ids = random_ids(2, 70, config.vocab_size)
    expected = theirs(ids, output_attentions=True, output_hidden_states=True)
    got = ours(ids, output_attentions=True, output_hidden_states=True)
    assert expected.logits.std() > 0.5, "logits this flat would agree anyway"
    torch.testing.assert_close(got.logits, expected.logits, atol=1e-4, rtol=0)
    torch.testing.assert_close(ours(ids).logits, expected.logits, atol=1e-4, rtol=0)
    for mine, reference in zip(got.attentions, expected.attentions, strict=True):
        torch.testing.assert_close(mine, reference, atol=1e-4, rtol=0)
    # transformers norms the last state; ours is the residual stream as it is
    for mine, reference in zip(got.hidden_states[:-1], expected.hidden_states[:-1], strict=True):
        torch.testing.assert_close(mine, reference, atol=1e-4, rtol=0)


@pytest.mark.parametrize("config", SHAPES.values(), ids=SHAPES.keys())
@pytest.mark.parametrize("chunks", [(1,) * 20, (13, 1, 5, 1), (7, 13)])
@torch.no_grad()
def test_reading_through_the_cache_changes_nothing(config: ModelConfig, chunks: tuple[int, ...]) -> None:
    model, ids = random_model(config), random_ids(2, 20, config.vocab_size)
    cache = KVCache(config, 2, 20)
    read = [model(chunk, cache=cache).logits for chunk in ids.split(chunks, dim=1)]
    torch.testing.assert_close(torch.cat(read, dim=1), model(ids).logits, atol=1e-5, rtol=1e-4)
    assert cache.length == 20


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
def test_a_cache_takes_memory_only_where_it_is_filled(dtype: torch.dtype) -> None:
    before = psutil.Process().memory_info().rss
    cache = KVCache(BASE, 4000, 4000, dtype)
    assert cache.keys.nbytes > 2**28
    assert psutil.Process().memory_info().rss - before < 2**26
    assert cache.keys.dtype == cache.values.dtype == dtype
    assert not cache.keys[:, 7].any()


def test_a_few_tokens_of_many_heads_take_little_memory() -> None:
    """With huge pages, each head of each conversation would take 2 MB for its first token: 1.4 GB here."""
    shape = replace(BASE, num_hidden_layers=30, num_attention_heads=9, num_key_value_heads=3, head_dim=64)
    before = psutil.Process().memory_info().rss
    cache = KVCache(shape, 4, 8192)
    for part in (cache.keys, cache.values):
        part[..., :50, :] = 1
    written = 2 * 4 * 30 * 3 * 4 * 50 * 64  # bytes
    assert psutil.Process().memory_info().rss - before < 2 * written + 50e6


def test_a_full_cache_says_so() -> None:
    model, cache = random_model(BASE), KVCache(BASE, 1, 4)
    with pytest.raises(ValueError, match="holds 4 tokens and 5"):
        model(random_ids(1, 5, 97), cache=cache)


@pytest.mark.parametrize("explicit", [False, True])
@torch.no_grad()
def test_a_left_padded_batch_equals_each_sequence_alone(explicit: bool) -> None:
    model, lengths, longest = random_model(BASE), (3, 9, 6), 9
    alone = [random_ids(1, length, 97, seed=length) for length in lengths]
    batch = torch.cat([torch.nn.functional.pad(ids, (longest - ids.shape[1], 0), value=5) for ids in alone])
    mask = torch.tensor([[0] * (longest - length) + [1] * length for length in lengths])
    following = random_ids(3, 2, 97)
    cache = KVCache(BASE, 3, longest + 2)
    together = model(batch, attention_mask=mask, cache=cache, output_attentions=explicit).logits
    more = model(following, attention_mask=torch.nn.functional.pad(mask, (0, 2), value=1), cache=cache).logits
    for row, ids in enumerate(alone):
        expected = model(torch.cat([ids, following[row : row + 1]], dim=1)).logits[0]
        got = torch.cat([together[row, longest - ids.shape[1] :], more[row]])
        torch.testing.assert_close(got, expected, atol=1e-5, rtol=1e-4)
    assert together.isfinite().all(), "a row of padding must not become NaN"


@torch.no_grad()
def test_texts_in_one_row_do_not_see_one_another() -> None:
    model, lengths = random_model(BASE), (3, 5, 2)
    alone = [random_ids(1, length, 97, seed=length) for length in lengths]
    numbers = torch.tensor([[number + 1 for number, length in enumerate(lengths) for _ in range(length)] + [0, 0]])
    row = torch.cat([*alone, torch.zeros(1, 2, dtype=torch.long)], dim=1)
    expected = torch.cat([model(ids).logits for ids in alone], dim=1)
    together = model(row, document_ids=numbers).logits
    torch.testing.assert_close(together[:, :-2], expected, atol=1e-5, rtol=1e-4)
    assert not torch.allclose(model(row).logits[:, :-2], expected, atol=1e-2), "without numbers they would"


@torch.no_grad()
def test_no_token_sees_the_future() -> None:
    model, ids = random_model(BASE), random_ids(1, 12, 97)
    before = model(ids).logits
    for position in (0, 5, 11):
        changed = ids.clone()
        changed[0, position] = (ids[0, position] + 1) % 97
        after = model(changed).logits
        torch.testing.assert_close(after[:, :position], before[:, :position], atol=0, rtol=0)
        assert not torch.allclose(after[:, position:], before[:, position:]), "the change must be seen from there on"


@pytest.mark.parametrize("masked", [False, True])
@torch.no_grad()
def test_both_ways_to_attend_agree(masked: bool) -> None:
    random = torch.Generator().manual_seed(1)
    query = torch.randn(2, 6, 7, 8, generator=random)
    key, value = torch.randn(2, 2, 2, 7, 8, generator=random)
    mask = torch.ones(7, 7, dtype=torch.bool).tril(-2) | torch.eye(7, dtype=torch.bool) if masked else None
    mixed, weights = attend_explicitly(query, key, value, mask)
    torch.testing.assert_close(mixed, attend(query, key, value, mask), atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(weights.sum(-1), torch.ones(2, 6, 7))


@torch.no_grad()
def test_asking_for_attentions_leaves_the_logits_and_the_last_can_be_had_alone() -> None:
    model, ids = random_model(BASE), random_ids(2, 9, 97)
    plain = model(ids)
    assert plain.attentions == plain.hidden_states == ()
    asked = model(ids, output_attentions=True)
    torch.testing.assert_close(asked.logits, plain.logits, atol=1e-5, rtol=1e-4)
    assert [weights.shape for weights in asked.attentions] == [(2, 4, 9, 9)] * 2
    torch.testing.assert_close(model(ids, logits_to_keep=1).logits, plain.logits[:, -1:], atol=1e-5, rtol=1e-4)


def test_rotary_products_depend_on_the_distance_alone() -> None:
    frequencies = rotary_frequencies(BASE)
    query, key = torch.randn(2, 1, 1, 1, BASE.head_dim, generator=torch.Generator().manual_seed(0))

    def product(query_position: int, key_position: int) -> Tensor:
        turned = [
            rotate(x, *rotary_tables(frequencies, torch.tensor([[position]])))
            for x, position in ((query, query_position), (key, key_position))
        ]
        return (turned[0] * turned[1]).sum()

    torch.testing.assert_close(product(7, 3), product(104, 100), atol=1e-4, rtol=1e-4)
    assert not torch.allclose(product(7, 3), product(7, 4), atol=1e-3)


def test_norm_survives_sixteen_bits() -> None:
    x = torch.tensor([[300.0, -400.0, 500.0, 600.0]])  # whose squares overflow float16
    wide, narrow = RMSNorm(4, 1e-5)(x), RMSNorm(4, 1e-5).half()(x.half())
    torch.testing.assert_close(narrow.float(), wide, atol=1e-3, rtol=1e-3)
