"""What a sweep's law says beyond what was measured, and how far that can be trusted, in words and as plain values."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from litellama.config import preset
from litellama.footprint.facts import Fact, fact
from litellama.scaling.law import Point, ScalingLaw, left_out, spread
from litellama.scaling.planning import ARITHMETIC, CLAIM, LLAMA2
from litellama.scaling.sweep import SweepResult
from litellama.training.recipe import TINYTOWN

TARGETS = (
    ("LiteLlama-460M, the card's product", "litellama-460m", ARITHMETIC),
    ("LiteLlama-460M, the card's “0.98T”", "litellama-460m", CLAIM),
    ("LLaMA 2 7B", "llama2-7b", f"{LLAMA2}llama-2-7b.training-tokens"),
)
NO_FLOOR = 0.01  # of the lowest loss; an E below it is none
VAGUE = 1.5  # times the range's low end; a high end above it tells nothing


def findings(settings: dict[str, Any], runs: Sequence[SweepResult]) -> dict[str, Any]:
    """The runs, the law fitted to them, what it says of larger models, and `caveats`: `sweep --json` prints it.

    Raises `ValueError` for too few runs.
    """
    laws = left_out([Point(run.parameters, run.tokens, run.loss) for run in runs])
    law = laws[0]
    sizes, read = [run.parameters for run in runs], [run.tokens for run in runs]
    middling = 6 * math.sqrt(min(sizes) * max(sizes)) * math.sqrt(min(read) * max(read))  # the largest's lies outside
    parameters, tokens = law.best_size(middling)
    inside = min(sizes) <= parameters <= max(sizes) and min(read) <= tokens <= max(read)
    extrapolated = [_target(laws, *target) for target in TARGETS]
    return {
        **settings,
        "runs": [{**asdict(run), "label": "measured"} for run in runs],
        "law": {**asdict(law), "label": "fitted"},
        "best": {
            "flops": middling, "parameters": parameters, "tokens": tokens,
            "label": "fitted" if inside else "extrapolated",
        },
        "extrapolated": extrapolated,
        "caveats": _caveats(settings, runs, law, extrapolated),
    }  # fmt: skip


def _target(laws: Sequence[ScalingLaw], name: str, shape: str, id: str) -> dict[str, Any]:
    parameters, read = preset(shape).num_parameters, fact(id)
    low, high = spread(laws, parameters, read.number)
    return {
        "name": name, "parameters": parameters, "tokens": read.number, "loss": laws[0].loss(parameters, read.number),
        "low": low, "high": high, "label": "extrapolated", "source": _cited(read),
    }  # fmt: skip


def _cited(one: Fact) -> dict[str, Any]:
    return {"fact": one.id, "status": one.status, "title": one.source.title, "url": one.source.url}


def _caveats(
    settings: dict[str, Any], runs: Sequence[SweepResult], law: ScalingLaw, extrapolated: Sequence[dict[str, Any]]
) -> list[str]:
    """How far the extrapolation can be trusted, a sentence or two each."""
    largest, longest = max(run.parameters for run in runs), max(run.tokens for run in runs)
    floor, lowest = law.E, min(run.loss for run in runs)
    said = [
        f"Measured were {si(min(run.parameters for run in runs))} to {si(largest)} parameters on "
        f"{si(min(run.tokens for run in runs))} to {si(longest)} tokens. " + " ".join(
            f"{one['name']}: {_times(one['parameters'] / largest)} beyond in parameters, "
            f"{_times(one['tokens'] / longest)} in tokens." for one in extrapolated
        ),
        "The ranges are two standard errors either way, from the law fitted again without each run in turn. They say "
        "how well these runs agree, not whether the law goes on so far: that nobody measured here.",
    ]  # fmt: skip
    if any(one["high"] > VAGUE * one["low"] for one in extrapolated):
        said.append("Ranges as wide as here mean that these runs alone do not tell the loss of such models.")
    if floor < NO_FLOOR * lowest:
        said.append(
            "The fit found no floor E above zero. Text has one, so the runs are too short or too small to see it, and "
            "what lies far beyond them is expected to be worse than the law says."
        )
    if settings["corpus"] == TINYTOWN:
        said.append(
            "The loss is that of answers in TinyTown, which a model learns by finding out how to look things up: such "
            "a loss falls in steps, and a law of powers fits it badly."
        )
    said.append(
        f"The loss is in nats per token of this corpus, with a tokenizer of {settings['vocabulary']:,} tokens and "
        "short rows. LiteLlama and LLaMA 2 were trained on other text with other tokenizers and contexts: no loss that "
        "they reported can be compared with these, and none of theirs is foretold. The question that is answered is "
        "what a model of such a size would reach on as much of this text, were there so much."
    )  # fmt: skip
    epoch = settings["epoch_tokens"]
    if epoch and longest > epoch:
        said.append(
            f"The corpus has {si(epoch)} tokens to train on, so the longest runs read it {longest / epoch:.1f} times; "
            "the law is one of fresh text, and repeated text teaches less (Muennighoff et al. 2023)."
        )
    said.append(
        f"All sizes had one seed, one batch size and one learning rate ({settings['learning_rate']:g}). Each size at "
        "its own best rate would lie lower, some more than others, and the exponents with them."
    )
    return said


def si(value: float) -> str:
    """1500000 -> "1.5M" """
    for limit, letter in ((1e12, "T"), (1e9, "B"), (1e6, "M"), (1e3, "k")):
        if value >= limit:
            return f"{value / limit:.3g}{letter}"
    return f"{value:.3g}"


def _times(factor: float) -> str:
    return f"{float(f'{factor:.2g}'):,.0f} times" if factor >= 2 else f"{factor:.1f} times"
