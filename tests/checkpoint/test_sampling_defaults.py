"""What a model's own files say of how it is sampled."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from app.common.settings import KNOBS, knob_defaults, read_settings
from app.models.registry import Model
from litellama.checkpoint import open_checkpoint
from litellama.checkpoint.sampling_defaults import SMALL_INSTRUCT, default_sampling
from litellama.sampling import Sampling
from tests.support.serving import SETTINGS

LLAMA2_CHAT = {"do_sample": True, "temperature": 0.6, "top_p": 0.9, "eos_token_id": 2, "max_length": 4096}


@pytest.mark.parametrize(
    ("generation", "parameters", "has_template", "expected"),
    [
        (LLAMA2_CHAT, 7 * 10**9, True, Sampling(temperature=0.6, top_p=0.9)),
        ({"top_k": 20, "repetition_penalty": 1.1}, 10**9, True, Sampling(top_k=20, repetition_penalty=1.1)),
        ({"do_sample": False, "temperature": 0.6}, 10**9, True, Sampling(temperature=0.0)),
        ({"eos_token_id": 2}, 135 * 10**6, True, SMALL_INSTRUCT),
        ({}, 135 * 10**6, False, Sampling()),
        ({}, 10**9, True, Sampling()),
        ({"temperature": None, "top_k": None}, 10**9, True, Sampling()),
        ({"temperature": "hot", "top_p": 7, "top_k": 2.5, "repetition_penalty": [1]}, 10**9, True, Sampling()),
        ({"temperature": 0.2, "top_p": float("nan")}, 10**9, True, Sampling(temperature=0.2)),
    ],
)
def test_by_the_generation_config(
    generation: dict[str, Any], parameters: int, has_template: bool, expected: Sampling
) -> None:
    assert default_sampling(generation, parameters, has_template) == expected


def test_an_opened_model_knows_and_tells_the_page(tiny_checkpoint: Path, tmp_path: Path) -> None:
    assert open_checkpoint(tiny_checkpoint).sampling == Sampling()
    folder = tmp_path / "own"
    shutil.copytree(tiny_checkpoint, folder)
    (folder / "manifest.json").unlink()
    (folder / "generation_config.json").write_text(json.dumps({"temperature": 0.3, "repetition_penalty": 1.05}))
    opened = open_checkpoint(folder)
    assert opened.sampling == Sampling(temperature=0.3, repetition_penalty=1.05)
    told = Model("own", opened, None).to_json()["knobs"]
    assert told == {"temperature": 0.3, "top_p": 0.95, "top_k": 0, "repetition_penalty": 1.05}


def test_the_knobs_stay_in_their_range() -> None:
    wild = knob_defaults(Sampling(temperature=9, top_k=5000, top_p=0.01, repetition_penalty=0.5))
    assert wild == {"temperature": 2, "top_p": 0.05, "top_k": 200, "repetition_penalty": 1}
    assert knob_defaults(Sampling(greedy=True))["temperature"] == 0
    assert knob_defaults(Sampling()).items() <= {name: knob.default for name, knob in KNOBS.items()}.items()


def test_the_penalty_reaches_the_sampling() -> None:
    assert read_settings(SETTINGS | {"repetition_penalty": 1.3}).sampling.repetition_penalty == 1.3
    assert read_settings(SETTINGS).sampling == Sampling(), "who sends none wants none"
