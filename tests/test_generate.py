"""Generation is the model's own next-token choice repeated, and ends when it should."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from litellama.explain.heads import with_heads
from litellama.generate import generate
from litellama.model import LiteLlama
from litellama.sampling import Sampling
from tests.conftest import TINY, random_model

GREEDY = Sampling(greedy=True)
PROMPT = [1, 3, 80, 90, 2, 4]


def ids_of(model: LiteLlama, **changes: Any) -> list[int]:
    settings: dict[str, Any] = {"sampling": GREEDY, "max_new_tokens": 12, "seed": 0} | changes
    prompt = settings.pop("prompt", PROMPT)
    return [step.id for step in generate(model, prompt, **settings)]


@torch.no_grad()
def test_greedy_is_the_likeliest_token_each_time_without_any_cache(tiny_model: LiteLlama) -> None:
    ids = list(PROMPT)
    for _ in range(12):
        ids.append(int(tiny_model(torch.tensor([ids])).logits[0, -1].argmax()))
    assert ids_of(tiny_model) == ids[len(PROMPT) :]


GOLDEN = [70, 70, 262, 214, 169, 9, 222, 35, 225, 147, 216, 249]


def test_golden() -> None:
    """The same weights and prompt give the same ids on every machine and in every version."""
    assert ids_of(random_model(TINY, seed=1)) == GOLDEN


def test_a_seed_repeats_and_another_differs(tiny_model: LiteLlama) -> None:
    first, again, other = (ids_of(tiny_model, sampling=Sampling(1.0), seed=seed) for seed in (7, 7, 8))
    assert first == again != other
    torch.manual_seed(99)  # nothing hangs on torch's global randomness
    assert ids_of(tiny_model, sampling=Sampling(1.0), seed=7) == first


def test_stops_before_a_stop_id(tiny_model: LiteLlama) -> None:
    ids = ids_of(tiny_model, sampling=Sampling(1.0))
    stop = ids[5]
    assert ids_of(tiny_model, sampling=Sampling(1.0), stop_ids={stop}) == ids[: ids.index(stop)]


def test_stops_when_the_context_is_full(tiny_model: LiteLlama) -> None:
    length = TINY.max_position_embeddings
    assert len(ids_of(tiny_model, prompt=[5] * (length - 3), max_new_tokens=100)) == 3
    with pytest.raises(ValueError, match=f"{length} tokens long .* at most {length}"):
        ids_of(tiny_model, prompt=[5] * length)


@torch.no_grad()
def test_probabilities_are_the_models_own_whatever_the_sliders_say(tiny_model: LiteLlama) -> None:
    sampling = Sampling(temperature=5, top_k=3, top_p=0.5, repetition_penalty=1.3)
    step = next(generate(tiny_model, PROMPT, sampling=sampling, max_new_tokens=1, seed=0, alternatives=10))
    expected = tiny_model(torch.tensor([PROMPT])).logits[0, -1].softmax(-1)
    assert step.probability == pytest.approx(expected[step.id].item(), rel=1e-4)
    values, ids = expected.topk(10)
    assert [id for id, _ in step.alternatives] == ids.tolist()
    assert [probability for _, probability in step.alternatives] == pytest.approx(values.tolist(), rel=1e-4)
    assert next(generate(tiny_model, PROMPT, sampling=GREEDY, max_new_tokens=1, seed=0)).alternatives == ()


def test_the_penalty_counts_the_prompt_and_the_new_tokens(tiny_model: LiteLlama) -> None:
    plain = ids_of(tiny_model, max_new_tokens=40)
    penalized = ids_of(tiny_model, max_new_tokens=40, sampling=Sampling(greedy=True, repetition_penalty=5.0))
    assert len(set(plain)) < 40, "this model repeats itself, or the test shows nothing"
    assert len(set(penalized)) == 40
    assert not set(penalized) & set(PROMPT)


def test_the_caller_is_not_left_in_inference_mode(tiny_model: LiteLlama) -> None:
    steps = generate(tiny_model, PROMPT, sampling=GREEDY, max_new_tokens=5, seed=0)
    next(steps)
    assert not torch.is_inference_mode_enabled()
    assert torch.is_grad_enabled()
    steps.close()


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"prompt": []}, "empty"),
        ({"prompt": [TINY.vocab_size]}, "ids go from 0"),
        ({"prompt": [-1]}, "holds id -1"),
        ({"max_new_tokens": -1}, "max_new_tokens"),
        ({"max_new_tokens": 2.5}, "max_new_tokens"),
        ({"seed": -1}, "seed"),
        ({"seed": 2**63}, "seed"),
    ],
)
def test_impossible_requests_are_refused_at_once(tiny_model: LiteLlama, change: dict[str, Any], says: str) -> None:
    settings: dict[str, Any] = {"prompt": PROMPT, "sampling": GREEDY, "max_new_tokens": 1, "seed": 0} | change
    with pytest.raises(ValueError, match=says):
        generate(tiny_model, settings.pop("prompt"), **settings)  # not even asked for its first step


def test_hooks_are_called_for_every_token() -> None:
    """Who switches a head off, or looks on, means all of the answer and not only its first token."""
    model = with_heads(random_model(TINY), torch.zeros(1, TINY.num_hidden_layers, TINY.num_attention_heads))
    seen: list[int] = []
    model.model.layers[0].mlp.register_forward_hook(lambda _, inputs, __: seen.append(inputs[0].shape[1]))
    found = [step.id for step in generate(model, [1, 2, 3], sampling=Sampling(greedy=True), max_new_tokens=6, seed=0)]
    assert seen == [3, 1, 1, 1, 1, 1]
    ids = [1, 2, 3]
    for _ in range(6):
        ids.append(int(model(torch.tensor([ids])).logits[0, -1].argmax()))
    assert found == ids[3:]
