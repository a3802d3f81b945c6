"""Each option of `train` fills one field of the recipe; each field is an option or known not to be one."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest
import typer
from typer.main import get_command

from litellama.cli.recipe_options import recipe_options
from litellama.training.recipe import Recipe

NOT_OPTIONS = {
    "config", "dataset_folder", "command", "warmup_steps", "decay", "weight_decay", "betas", "clip", "threads",
}  # fmt: skip

CHANGES: dict[str, tuple[str, Any]] = {
    "out": ("--out a", Path("a")), "preset": ("--preset litellama-1m", "litellama-1m"),
    "start": ("--from b", Path("b")), "corpus": ("--corpus c.txt", "c.txt"), "tokenizer": ("--tokenizer t", Path("t")),
    "steps": ("--steps 7", 7), "minutes": ("--minutes 0.5", 0.5), "save_every": ("--save-every 3", 3),
    "evaluate_every": ("--examine-every 4", 4), "samples": ("--looks 5", 5), "prompt": ("--prompt Hello", "Hello"),
    "questions": ("--questions 9", 9), "resume": ("--resume", True), "seed": ("--seed 2", 2),
    "lookup_drills": ("--drills 11", 11), "exercises": ("--exercises 12", 12), "rows": ("--rows-per-batch 13", 13),
    "length": ("--length 14", 14), "accumulate": ("--accumulate 2", 2), "separate": ("--joined", False),
    "skip_bad": ("--skip-bad", True), "limit": ("--limit 15", 15), "learning_rate": ("--learning-rate 0.5", 0.5),
    "optimizer": ("--optimizer muon", "muon"), "schedule": ("--schedule wsd", "wsd"),
    "lora_rank": ("--lora-rank 2", 2), "recompute": ("--recompute", True), "compile": ("--no-compile", False),
    "spread": ("--spread fsdp", "fsdp"), "device": ("--device cuda:1", "cuda:1"), "bfloat16": ("--bfloat16", True),
}  # fmt: skip


def parsed(options: str) -> dict[str, Any]:
    """What a command with the recipe's options gets."""
    got: dict[str, Any] = {}

    @recipe_options
    def command(*, own: str = "", **values: Any) -> None:
        got.update(values)

    app = typer.Typer()
    app.command()(command)
    get_command(app).main(options.split(), standalone_mode=False)
    return got


def test_every_field_is_an_option_or_known_not_to_be() -> None:
    assert {one.name for one in fields(Recipe)} == set(CHANGES) | NOT_OPTIONS
    assert set(parsed("")) == set(CHANGES)


def test_without_options_the_fields_have_their_own_defaults() -> None:
    defaults = {one.name: one.default for one in fields(Recipe)}
    differing = {name: value for name, value in parsed("").items() if value != defaults[name]}
    assert differing == {"compile": None, "device": "auto"}, "which the command chooses by the machine"


@pytest.mark.parametrize("name", CHANGES)
def test_an_option_changes_its_field_alone(name: str) -> None:
    options, value = CHANGES[name]
    assert parsed(options) == {**parsed(""), name: value}
