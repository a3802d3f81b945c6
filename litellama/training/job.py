"""What a training is asked to do, and what a person may wish of it while it is under way."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from litellama.config import ModelConfig
from litellama.training.dataset import TINYTOWN
from litellama.training.parallel import Spread

FINAL_QUESTIONS = 1200
ROWS = 32


@dataclass(frozen=True)
class Job:
    """What is to be trained on what, for how long, and how. Exactly one of `steps` and `minutes`; `start` is a
    checkpoint to go on from, `lora_rank` trains low-rank additions to it and nothing else; `looks` is how often on the
    way the model is asked to go on from `prompt`. `config` is a shape that is no preset; `material` is another job's
    folder, whose tokenizer and tokenised corpus are read instead of making them again."""

    out: Path
    preset: str = "tinytown"
    config: ModelConfig | None = None
    material: Path | None = None
    start: Path | None = None
    corpus: str = TINYTOWN
    tokenizer: Path | None = None
    steps: int | None = None
    minutes: float | None = None
    resume: bool = False
    seed: int = 0
    drills: int = 0
    exercises: int = 0
    rows: int = ROWS
    length: int | None = None
    separate: bool | None = None
    skip_bad: bool = False
    limit: int | None = None
    learning_rate: float = 1e-3
    optimizer: Literal["adamw", "muon"] = "adamw"
    schedule: Literal["cosine", "wsd"] = "cosine"
    lora_rank: int | None = None
    accumulate: int = 1
    recompute: bool = False
    compile: bool = False
    spread: Spread = "ddp"
    device: str = "cpu"
    bfloat16: bool | None = None
    save_every: int = 500
    examine_every: int | None = None
    looks: int = 20
    prompt: str | None = None
    questions: int = FINAL_QUESTIONS
    command: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if (self.steps is None) == (self.minutes is None):
            raise ValueError("give either a number of steps or of minutes")
        if self.minutes is not None and not 0 < self.minutes < 1e6:
            raise ValueError(f"minutes is {self.minutes}; a number above 0 was expected")
        for name in ("rows", "looks", "questions", "examine_every", "length", "lora_rank", "limit"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise ValueError(f"{name} is {value}; at least 1 was expected")
        if self.lora_rank and self.start is None:
            raise ValueError("low-rank adaptation goes on from a trained model; name its checkpoint with --from")

    @property
    def folder(self) -> Path:
        """Where all that is not the checkpoint is kept."""
        return self.out.with_name(self.out.name + "-training")


class Control:
    """What a person wants of the training under way: `pause` and `go`; `stop` saves; `finish` makes the checkpoint of
    what there is, and saves."""

    def __init__(self) -> None:
        self._wish: Literal["go", "pause", "stop", "finish"] = "go"
        self._changed = threading.Condition()

    def wish(self, wish: str) -> None:
        """Raises `ValueError` for a wish there is none of; what was stopped or finished stays so."""
        if wish not in ("go", "pause", "stop", "finish"):
            raise ValueError(f"there is no wish {wish!r}; go, pause, stop or finish was expected")
        with self._changed:
            if self._wish not in ("stop", "finish"):
                self._wish = wish  # type: ignore[assignment]
            self._changed.notify_all()

    @property
    def now(self) -> str:
        return self._wish

    def wait(self) -> str:
        """The wish, once it is no pause."""
        with self._changed:
            self._changed.wait_for(lambda: self._wish != "pause")
            return self._wish
