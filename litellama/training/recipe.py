"""What a training is: what is trained, on what, for how long and how.

The command line, the lessons and the scaling sweep fill the same `Recipe`. A field with an `option` is also an option
of `litellama train`: its type, default and help stand here and nowhere else.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from litellama.config import ModelConfig
from litellama.device import AUTO, HELP
from litellama.footprint.machine import has_bfloat16
from litellama.training.parallel import Spread

TINYTOWN = "tinytown"
FINAL_QUESTIONS = 1200
ROWS = 32

Optimizer = Literal["adamw", "muon"]
Schedule = Literal["cosine", "wsd"]


def option(help: str, *flags: str, **command_line: Any) -> dict[str, Any]:
    """What makes a field an option of `litellama train`, called as the field is unless `flags` say otherwise.

    `command_line=...` is the option's default there, where it differs from the field's.
    """
    return {"help": help, "flags": flags, **command_line}


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """A whole training. Exactly one of `steps` and `minutes`; the fields with an `option` are explained by its help.

    `run` takes all of it; the loop alone (`loop.train`) only how, and a number of steps. Raises `ValueError` for values
    that make no sense.
    """

    # What is trained, on what.
    out: Path | None = field(default=None, metadata=option("Folder of the finished checkpoint."))
    preset: str = field(default="tinytown", metadata=option("The model's shape; see `list`."))
    start: Path | None = field(default=None, metadata=option("Go on from this checkpoint instead.", "--from"))
    corpus: str = field(
        default=TINYTOWN,
        metadata=option(
            "tinytown; a .txt, .md or .jsonl file (texts, or chats) or a folder; or one of the hub's by name: "
            "tinystories, slimpajama, fineweb-edu, which are downloaded.",
        ),
    )
    tokenizer: Path | None = field(
        default=None, metadata=option("A tokenizer.json to use, instead of one learned from the corpus.")
    )
    config: ModelConfig | None = None  # a shape that is not a preset
    dataset_folder: Path | None = None  # another training's folder: its tokenizer and tokenised corpus are read

    # For how long, and what is shown on the way.
    steps: int | None = field(
        default=None, metadata=option("Updates of the weights, those before a --resume included.")
    )
    minutes: float | None = field(default=None, metadata=option("Instead of --steps: about so long, on this machine."))
    save_every: int = field(default=500, metadata=option("Save the state after so many steps."))
    evaluate_every: int | None = field(
        default=None,
        metadata=option("Ask about what is held out after so many steps; as often as saved.", "--examine-every"),
    )
    samples: int = field(
        default=20, metadata=option("How often on the way the model goes on from --prompt.", "--looks")
    )
    prompt: str | None = field(default=None, metadata=option("What the model is asked to go on from as it learns."))
    questions: int = field(default=FINAL_QUESTIONS, metadata=option("TinyTown documents to ask about at the end."))
    resume: bool = field(
        default=False, metadata=option("Go on where the training into this folder stopped.", "--resume")
    )
    command: tuple[str, ...] = ()  # the command line that started it, for the checkpoint's card

    # How the data are read.
    seed: int = field(default=0, metadata=option("The same seed gives the same data and the same first weights."))
    lookup_drills: int = field(
        default=0, metadata=option("TinyTown: steps of look-up drills before the first story; 2400.", "--drills")
    )
    exercises: int = field(default=0, metadata=option("TinyTown: steps of look-up exercises in words after them."))
    rows: int = field(default=ROWS, metadata=option("Rows (in TinyTown, documents) in each step.", "--rows-per-batch"))
    length: int | None = field(default=None, metadata=option("Tokens in a row, and the new model's context."))
    accumulate: int = field(default=1, metadata=option("Read each batch in so many pieces, to save memory."))
    separate: bool | None = field(
        default=None, metadata=option("Whether texts in one row may see one another.", "--separate/--joined")
    )
    skip_bad: bool = field(default=False, metadata=option("Leave out what cannot be read, and say so.", "--skip-bad"))
    limit: int | None = field(default=None, metadata=option("Read so many documents of a hub's corpus."))

    # How the weights are changed.
    learning_rate: float = field(default=1e-3, metadata=option("The highest learning rate."))
    warmup_steps: int = 100
    optimizer: Optimizer = field(
        default="adamw", metadata=option("adamw, or muon: Muon for the matrices, AdamW for the rest.")
    )
    schedule: Schedule = field(
        default="cosine", metadata=option("cosine, or wsd: flat, then down to zero in the last 45 %.")
    )
    decay: float = 0.45  # the share of the steps, at the end, in which "wsd" lowers the rate
    weight_decay: float = 0.05
    betas: tuple[float, float] = (0.9, 0.98)
    clip: float = 1.0  # the longest gradient
    lora_rank: int | None = field(
        default=None, metadata=option("With --from: train additions of this rank to the matrices, and no weight else.")
    )

    # How the machine does it.
    recompute: bool = field(
        default=False, metadata=option("Activation checkpointing: less memory, a third more work.", "--recompute")
    )
    compile: bool = field(
        default=False, metadata=option("torch.compile; on on GPUs.", "--compile/--no-compile", command_line=None)
    )
    spread: Spread = field(
        default="ddp", metadata=option("Under torchrun: ddp, the model in each process; fsdp, a part of it in each.")
    )
    device: str = field(default="cpu", metadata=option(HELP, command_line=AUTO))
    bfloat16: bool | None = field(
        default=None, metadata=option("Of products; bfloat16 where it is fast.", "--bfloat16/--float32")
    )
    threads: int = 1  # so many share the rows of a piece (`Replicas`)

    def __post_init__(self) -> None:
        if (self.steps is None) == (self.minutes is None):
            raise ValueError("give either a number of steps or of minutes")
        if self.minutes is not None and not 0 < self.minutes < 1e6:
            raise ValueError(f"minutes is {self.minutes}; a number above 0 was expected")
        for name, said in (
            ("rows", "rows"), ("samples", "looks"), ("questions", "questions"), ("evaluate_every", "examine_every"),
            ("length", "length"), ("lora_rank", "lora_rank"), ("limit", "limit"), ("steps", "steps"),
            ("save_every", "save_every"), ("threads", "threads"), ("accumulate", "accumulate"),
        ):  # fmt: skip
            value = getattr(self, name)
            if value is not None and value < 1:
                raise ValueError(f"{said} is {value}; at least 1 was expected")
        if self.lora_rank and self.start is None:
            raise ValueError("low-rank adaptation goes on from a trained model; name its checkpoint with --from")
        if not 0 < self.learning_rate < 1:
            raise ValueError(
                f"learning_rate is {self.learning_rate}; a number between 0 and 1 was expected, such as 1e-3"
            )
        for name, choices in (
            ("optimizer", ("adamw", "muon")), ("schedule", ("cosine", "wsd")), ("spread", ("ddp", "fsdp")),
        ):  # fmt: skip
            if getattr(self, name) not in choices:
                raise ValueError(f"{name} is {getattr(self, name)!r}; {' or '.join(map(repr, choices))} was expected")

    @property
    def checkpoint(self) -> Path:
        """Where the finished checkpoint is written. Raises `ValueError` if `out` is not given."""
        if self.out is None:
            raise ValueError("say where the finished checkpoint is to stand: --out FOLDER")
        return self.out

    @property
    def folder(self) -> Path:
        """Where everything but the checkpoint is written: states, metrics, tokenizer, tokenised corpus."""
        return self.checkpoint.with_name(self.checkpoint.name + "-training")

    @property
    def total_steps(self) -> int:
        """The number of steps. Raises `ValueError` while only the minutes are known."""
        if self.steps is None:
            raise ValueError("the number of steps is not known; give steps, or let `run` find them from the minutes")
        return self.steps

    @property
    def uses_bfloat16(self) -> bool:
        """Whether products are computed in bfloat16: as given, or else where the device is fast at it."""
        return has_bfloat16(self.device) if self.bfloat16 is None else self.bfloat16
