"""Paired prompts: what changes in a model's guess when one word of the prompt changes, with how sure that is.

    for news in compare_pairs(model, tokenizer, tinytown_probes()["who repairs"]):
        ...                                               how many prompts are read, at last a `PairResult`

    T  templates      W  words of a group      C  continuations

A continuation's raw probability is the product of its tokens' probabilities: how likely the model goes on in exactly
these words. Its share is that divided by the sum over the continuations given, so that shares add up to 1.

A difference between groups is one of mean shares. Its interval is the 95 % percentile interval of a bootstrap: the
words of each group, and the templates, are drawn anew with replacement 2,000 times. It speaks of other words and
templates like these, and of nothing else. `chance` is a permutation test's over words.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from itertools import combinations
from typing import Any

import numpy as np
import torch

from litellama.chat import beginning_id, choose_format
from litellama.chat.format import ChatFormat
from litellama.evaluation.probes import Probe, Template
from litellama.evaluation.statistics import Interval, Values, interval, permutation_chance, resampled
from litellama.explain.scoring import TOKENS_AT_ONCE
from litellama.model import LiteLlama
from litellama.tokenizer import Tokenizer


@dataclass(frozen=True)
class MeasuredPrompt:
    """One prompt: template number `template` with `word` of `group`; per continuation its raw probability and share."""

    template: int
    group: str
    word: str
    raw: tuple[float, ...]
    shares: tuple[float, ...]


@dataclass(frozen=True)
class Difference:
    """How much likelier a continuation is for `one` group than for the `other`: mean share minus mean share, from -1 to
    1. `chance` is of so large a difference if groups did not matter. Both None where words are too few to tell."""

    continuation: str
    one: str
    other: str
    value: float
    low: float | None
    high: float | None
    chance: float | None

    @property
    def clear(self) -> bool:
        """Whether the interval leaves out zero."""
        return self.low is not None and self.high is not None and not self.low <= 0 <= self.high


@dataclass(frozen=True)
class PairResult:
    """All that was measured. `means[group][continuation]` are mean shares; `covered` is the mean probability that the
    model gives to all the continuations together: where it is tiny, the model would hardly say any of them."""

    probe: Probe
    values: tuple[MeasuredPrompt, ...]
    means: dict[str, dict[str, Interval]]
    differences: tuple[Difference, ...]
    covered: float

    def difference(self, continuation: str) -> Difference:
        """Between the first two groups. Raises `ValueError` for a continuation that was not measured."""
        for found in self.differences:
            if found.continuation == continuation:
                return found
        known = ", ".join(self.probe.continuations)
        raise ValueError(f"{continuation!r} was not measured; one of {known} was expected")

    def to_json(self) -> dict[str, Any]:
        """Everything as plain data."""
        return asdict(self)


def compare_pairs(
    model: LiteLlama, tokenizer: Tokenizer, probe: Probe, *, chat_format: ChatFormat | None = None, seed: int = 0
) -> Iterator[int | PairResult]:
    """Read every prompt with every continuation: yields how many prompts are done, and at last the `PairResult`.

    `chat_format` is how the model is spoken to, by default as its tokenizer says; `seed` is the bootstrap's. Raises
    `ValueError`, at once, for prompts that are longer than the model reads.
    """
    chat_format = choose_format(tokenizer, model.config) if chat_format is None else chat_format
    keys = [
        (number, group, word)
        for number in range(len(probe.templates))
        for group, words in probe.groups.items()
        for word in words
    ]
    texts = [
        _encoded(model, tokenizer, chat_format, probe.templates[number], word, probe.continuations)
        for number, _, word in keys
    ]
    longest = max(len(ids) for _, versions in texts for ids in versions)
    if longest > model.config.max_position_embeddings:
        raise ValueError(
            f"a prompt has {longest} tokens and the model reads {model.config.max_position_embeddings} at once; "
            "shorten the template"
        )
    return _compare(model, probe, keys, texts, seed)


def _compare(
    model: LiteLlama,
    probe: Probe,
    keys: list[tuple[int, str, str]],
    texts: list[tuple[int, list[list[int]]]],
    seed: int,
) -> Iterator[int | PairResult]:
    longest = max(len(ids) for _, versions in texts for ids in versions)
    count = len(probe.continuations)
    at_once = max(1, TOKENS_AT_ONCE // (longest * count))
    logs: list[float] = []
    for start in range(0, len(texts), at_once):
        chunk = texts[start : start + at_once]
        logs += log_probabilities(model, [(begin, ids) for begin, versions in chunk for ids in versions])
        yield min(start + at_once, len(texts))
    table = np.array(logs).reshape(len(keys), count)
    raw = np.exp(table)
    shares = np.exp(table - table.max(-1, keepdims=True))
    shares /= shares.sum(-1, keepdims=True)
    values = tuple(
        MeasuredPrompt(*key, raw=tuple(row.tolist()), shares=tuple(share.tolist()))
        for key, row, share in zip(keys, raw, shares, strict=True)
    )
    means, differences = summarised(probe, values, seed)
    yield PairResult(probe, values, means, differences, float(raw.sum(-1).mean()))


def summarised(
    probe: Probe, values: Sequence[MeasuredPrompt], seed: int = 0
) -> tuple[dict[str, dict[str, Interval]], tuple[Difference, ...]]:
    """Mean shares of each group, and the differences between groups, both with intervals."""
    tables = {
        group: np.array([value.shares for value in values if value.group == group]).reshape(
            len(probe.templates), len(words), len(probe.continuations)
        )
        for group, words in probe.groups.items()
    }  # (T, W, C) each
    drawn = resampled(tables, seed)

    def judged(value: float, again: Values, *groups: str) -> Interval:
        alone = len(probe.templates) == 1 and any(len(probe.groups[group]) == 1 for group in groups)
        return Interval(value, None, None) if alone else interval(value, again)

    means = {
        group: {
            continuation: judged(float(table[..., number].mean()), drawn[group][:, number], group)
            for number, continuation in enumerate(probe.continuations)
        }
        for group, table in tables.items()
    }
    differences = []
    for one, other in combinations(probe.groups, 2):
        for number, continuation in enumerate(probe.continuations):
            first, second = (tables[group][..., number].mean(0) for group in (one, other))  # (W): over templates
            found = judged(float(first.mean() - second.mean()), (drawn[one] - drawn[other])[:, number], one, other)
            chance = permutation_chance(first, second, seed)
            differences.append(Difference(continuation, one, other, found.value, found.low, found.high, chance))
    return means, tuple(differences)


# --- Reading ---------------------------------------------------------------------------------------------------------


def _encoded(
    model: LiteLlama,
    tokenizer: Tokenizer,
    chat_format: ChatFormat,
    template: Template,
    word: str,
    continuations: Sequence[str],
) -> tuple[int, list[list[int]]]:
    """The ids of one prompt with each continuation, and from which position on they can differ."""
    opening, question = template.filled(word)
    if question:
        before = chat_format.write([("user", question)], tokenizer)
        space = "" if chat_format.kind == "template" else " "
    else:
        first = beginning_id(model, tokenizer)
        before = [] if first is None else [first]
        space = " " if chat_format.kind in ("chat", "text") else ""
    prompt = tokenizer.encode(space + opening) if opening else []
    versions = [tokenizer.encode(space + f"{opening} {end}".lstrip()) for end in continuations]
    # A continuation may merge with the last token of what stands before it; what all share is the prompt.
    common = len(prompt)
    while any(ids[:common] != prompt[:common] for ids in versions):
        common -= 1
    if not before and not common:
        raise ValueError("this model has no token to begin a text with, so a template must begin with a word")
    return len(before) + common, [[*before, *ids] for ids in versions]


@torch.inference_mode()
def log_probabilities(model: LiteLlama, texts: Sequence[tuple[int, Sequence[int]]]) -> list[float]:
    """The log-probability, in nats, of each text's ids from position `begin` on, given those before; side by side."""
    length = max(len(ids) for _, ids in texts)
    padded = torch.zeros(len(texts), length, dtype=torch.long)
    for row, (_, ids) in enumerate(texts):
        padded[row, : len(ids)] = torch.tensor(ids)  # padding stands behind, where causal attention never looks
    predicted = torch.zeros(len(texts), length, dtype=torch.bool)
    for row, (begin, ids) in enumerate(texts):
        predicted[row, begin : len(ids)] = True
    before = predicted.roll(-1, dims=1).to(model.device)  # a token is predicted one position earlier
    logits = model(padded.to(model.device), logits_to_keep=before).logits  # (N, V)
    wanted = padded[predicted].to(model.device)
    logs = logits.float().log_softmax(-1).gather(-1, wanted[:, None])[:, 0].cpu().double()
    rows = predicted.nonzero()[:, 0]
    totals = torch.zeros(len(texts), dtype=torch.double).index_add_(0, rows, logs)
    return list(totals.tolist())
