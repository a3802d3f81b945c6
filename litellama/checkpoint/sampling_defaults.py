"""A model's default sampling: what its `generation_config.json` says, or else what suits a model of its kind."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from litellama.sampling import Sampling

SMALL_INSTRUCT = Sampling(temperature=0.0, repetition_penalty=1.05)
"""For small chat models. They find right and wrong tokens almost equally likely, so random sampling soon gives
nonsense; and without a penalty they repeat themselves. (Twenty questions to SmolLM2-135M-Instruct under nine settings,
judged by reading; the figures are in its card.)"""

MOST_SMALL = 500_000_000  # parameters


def default_sampling(generation: Mapping[str, Any], parameters: int, has_template: bool) -> Sampling:
    """The sampling of a model by its `generation` config, {} without one.

    `do_sample` false means greedy, as in transformers. Impossible values are ignored; missing ones are `Sampling`'s.

        {"temperature": 0.6, "top_p": 0.9, "top_k": "many"} -> Sampling(temperature=0.6, top_p=0.9)
    """
    stated = {name: generation[name] for name in ("temperature", "top_p", "top_k", "repetition_penalty")
              if generation.get(name) is not None}  # fmt: skip
    if generation.get("do_sample") is False:
        stated["temperature"] = 0.0
    if not stated:
        return SMALL_INSTRUCT if has_template and parameters <= MOST_SMALL else Sampling()
    sampling = Sampling()
    for name, value in stated.items():
        try:
            sampling = replace(sampling, **{name: value})
        except (ValueError, TypeError):
            continue
    return sampling
