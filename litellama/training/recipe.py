"""How a training goes on: the settings of the loop and its optimizers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from litellama.training.parallel import Spread


@dataclass(frozen=True)
class Recipe:
    """How a training goes on. `accumulate`: in so many pieces each batch is read; `threads` take shares of a piece side
    by side; `decay` is the last part of the steps, as a share, in which "wsd" lowers the rate; `spread` is what
    `torchrun`'s processes share; `recompute` saves memory for a third more work; `compile` is for GPUs."""

    steps: int
    learning_rate: float = 1e-3
    warmup_steps: int = 100
    optimizer: Literal["adamw", "muon"] = "adamw"
    schedule: Literal["cosine", "wsd"] = "cosine"
    decay: float = 0.45
    weight_decay: float = 0.05
    betas: tuple[float, float] = (0.9, 0.98)
    clip: float = 1.0
    save_every: int = 500
    device: str = "cpu"
    bfloat16: bool = True
    threads: int = 1
    accumulate: int = 1
    recompute: bool = False
    compile: bool = False
    spread: Spread = "ddp"

    def __post_init__(self) -> None:
        for name in ("steps", "save_every", "threads", "accumulate"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} is {getattr(self, name)}; at least 1 was expected")
        if not 0 < self.learning_rate < 1:
            raise ValueError(
                f"learning_rate is {self.learning_rate}; a number between 0 and 1 was expected, such as 1e-3"
            )
        for name, choices in (
            ("optimizer", ("adamw", "muon")), ("schedule", ("cosine", "wsd")), ("spread", ("ddp", "fsdp")),
        ):  # fmt: skip
            if getattr(self, name) not in choices:
                raise ValueError(f"{name} is {getattr(self, name)!r}; {' or '.join(map(repr, choices))} was expected")
