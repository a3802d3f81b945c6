"""Ids in, a stream of new ids out: one sequence, one token at a time, with a KV cache."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from litellama.decoding import Decoding
from litellama.model import LiteLlama
from litellama.sampling import Sampling


@dataclass(frozen=True)
class Step:
    """One new token, and what else the model considered.

    `probability` of `id` and the likeliest `alternatives` (id, probability) are the model's own: at temperature 1 and
    before any truncation, so they say what the model thinks and not what the sliders made of it.
    """

    id: int
    probability: float
    alternatives: tuple[tuple[int, float], ...]


@dataclass(frozen=True)
class Progress:
    """How far a request is whose next token hasn't come yet: `read` of the prompt's `total` tokens, `stored` of which
    were there from an earlier turn. While it is `waiting` for a slot, none."""

    read: int
    total: int
    stored: int
    waiting: bool


class Generate(Protocol):
    """`generate` of one model, by whatever means: alone, or together with others (`litellama.serving.engine`), and then
    perhaps with a `Progress` here and there."""

    def __call__(
        self,
        prompt_ids: Sequence[int],
        *,
        sampling: Sampling,
        max_new_tokens: int,
        seed: int,
        stop_ids: Collection[int] = (),
        alternatives: int = 0,
    ) -> Iterator[Step | Progress]: ...


def generate(
    model: LiteLlama,
    prompt_ids: Sequence[int],
    *,
    sampling: Sampling,
    max_new_tokens: int,
    seed: int,
    stop_ids: Collection[int] = (),
    alternatives: int = 0,
) -> Iterator[Step]:
    """Continue `prompt_ids`, yielding each `Step` as it is made.

    Ends after `max_new_tokens`, before a stop id (which is not yielded), or when prompt and new tokens fill the
    context. Closing the iterator stops the work. Raises `ValueError`, at once, for a prompt that cannot be read.
    """
    check_request(model, prompt_ids, max_new_tokens, seed)
    room = model.config.max_position_embeddings - len(prompt_ids)
    steps = min(max_new_tokens, room)
    return _steps(model, list(prompt_ids), sampling, steps, seed, frozenset(stop_ids), alternatives)


def check_request(model: LiteLlama, prompt_ids: Sequence[int], max_new_tokens: int, seed: int) -> None:
    """Raise `ValueError`, with what was expected, for a request that this model cannot be asked."""
    config = model.config
    if not prompt_ids:
        raise ValueError("the prompt is empty; give at least one id for the model to continue")
    if len(prompt_ids) >= config.max_position_embeddings:
        raise ValueError(
            f"the prompt is {len(prompt_ids)} tokens long and the model reads at most "
            f"{config.max_position_embeddings}, its reply included; shorten the prompt"
        )
    if outside := [id for id in prompt_ids if not 0 <= id < config.vocab_size]:
        raise ValueError(f"the prompt holds id {outside[0]}; this model's ids go from 0 to {config.vocab_size - 1}")
    if not isinstance(max_new_tokens, int) or isinstance(max_new_tokens, bool) or max_new_tokens < 0:
        raise ValueError(f"max_new_tokens is {max_new_tokens!r}; a whole number of at least 0 was expected")
    if not isinstance(seed, int) or isinstance(seed, bool) or not 0 <= seed < 2**63:
        raise ValueError(f"seed is {seed!r}; a whole number from 0 to {2**63 - 1} was expected")


def _steps(
    model: LiteLlama,
    prompt_ids: list[int],
    sampling: Sampling,
    steps: int,
    seed: int,
    stop_ids: frozenset[int],
    alternatives: int,
) -> Iterator[Step]:
    if not steps:
        return
    decoding = Decoding(model, 1, len(prompt_ids) + steps)
    generator = torch.Generator().manual_seed(seed)
    used = list(prompt_ids)
    logits = decoding.read(decoding.open(), prompt_ids)  # the whole prompt in one pass, then each token alone
    for left in reversed(range(steps)):
        id = sampling.sample(logits, generator, used)
        if id in stop_ids:
            return
        yield make_step(id, logits, alternatives)
        used.append(id)
        if left:
            logits = decoding.step([id])[0]


def make_step(id: int, logits: Tensor, alternatives: int) -> Step:
    """The step that takes `id`, with what the scores (V) say of it and of the likeliest `alternatives`."""
    probabilities = logits.to("cpu", torch.float32).softmax(-1)  # (V,)
    values, ids = probabilities.topk(min(alternatives, len(probabilities)))
    return Step(id, probabilities[id].item(), tuple(zip(ids.tolist(), values.tolist(), strict=True)))
