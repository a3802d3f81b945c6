"""Options that several commands have, each described once."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from litellama.device import HELP
from litellama.sampling import Sampling

DEFAULT_CHECKPOINT = "tinytown"

CheckpointOption = Annotated[
    str, typer.Option("--checkpoint", help="A checkpoint's folder, a GGUF file, or a name in `list`.")
]
OWN = "Without it, as the model's own files say."
Temperature = Annotated[
    float | None, typer.Option(help=f"How bold the choices are: 0 takes the likeliest token, 1 is fair. {OWN}")
]
TopP = Annotated[
    float | None, typer.Option(help=f"Choose among the likeliest tokens that together reach this probability. {OWN}")
]
TopK = Annotated[int | None, typer.Option(help=f"Choose among this many likeliest tokens; 0 means all. {OWN}")]
RepetitionPenalty = Annotated[
    float | None, typer.Option(help=f"Above 1, tokens that were used already get less likely; 1 is off. {OWN}")
]
MaxNewTokens = Annotated[int, typer.Option(help="Stop after this many tokens.")]
Precision = Annotated[
    str, typer.Option(help="float32, bfloat16, float16, int8, int4; auto: float32 if small, else the quicker 16 bits.")
]
Device = Annotated[str, typer.Option(help=HELP)]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON document.")]


def sampling_changes(**options: float | None) -> dict[str, Any]:
    """The sampling options that were given. Raises `ValueError` for an impossible one, before a model is opened."""
    given: dict[str, Any] = {name: value for name, value in options.items() if value is not None}
    Sampling(**given)
    return given
