"""The command line: `python -m litellama chat | generate | train | sweep | ...`; --help lists all.

What a command is asked for goes to stdout, everything said beside it to stderr, so `--json` gives one JSON document.
"""

from __future__ import annotations

import importlib
import json
import secrets
import sys
import time
from collections.abc import Iterable, Sequence
from dataclasses import replace
from functools import partial
from typing import Annotated, Any

import torch
import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table
from typer.core import TyperGroup

from litellama.chat import Message, Piece, beginning_id, prompt_ids, reply, stop_ids
from litellama.checkpoint import Opened, find_checkpoint, list_models
from litellama.checkpoint.precision import AUTO, ONE_THREAD_UP_TO, open_for_use
from litellama.config import is_litellama
from litellama.device import AUTO as BEST_DEVICE
from litellama.device import HELP as DEVICE_HELP
from litellama.device import choose_device, device_name
from litellama.footprint.facts import LITELLAMA_MMLU, MMLU_CHANCE, fact
from litellama.generate import generate as generate_ids
from litellama.sampling import Sampling
from litellama.serving.engine import Engine

DEFAULT_CHECKPOINT = "tinytown"


LATER = {"train": "litellama.cli.train", "evaluate": "litellama.cli.train",
         "sweep": "litellama.cli.sweep",
         "trust": "litellama.cli.faithfulness", "probe": "litellama.cli.probe",
         "compare": "litellama.cli.compare",
         "export": "litellama.cli.export", "convert": "litellama.cli.convert",
         "pack": "litellama.cli.archive", "unpack": "litellama.cli.archive",
         "download": "litellama.cli.download", "bench": "litellama.cli.bench",
         "doctor": "litellama.cli.doctor"}  # fmt: skip


class _Commands(TyperGroup):
    """Looks up the commands of `LATER` only when they are asked for: a chat need not load what trains and explains."""

    def list_commands(self, ctx: Any) -> list[str]:
        return [*super().list_commands(ctx), *LATER]

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        if cmd_name not in LATER:
            return super().get_command(ctx, cmd_name)
        single = typer.Typer(add_completion=False)
        single.command(cmd_name)(getattr(importlib.import_module(LATER[cmd_name]), cmd_name))
        return typer.main.get_command(single)


app = typer.Typer(
    name="litellama",
    cls=_Commands,
    help="LiteLlama Lab: a Llama small enough to be understood completely.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)

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
Device = Annotated[str, typer.Option(help=DEVICE_HELP)]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON document.")]


@app.command()
def chat(
    checkpoint: CheckpointOption = DEFAULT_CHECKPOINT,
    precision: Precision = AUTO,
    device: Device = BEST_DEVICE,
    temperature: Temperature = None,
    top_p: TopP = None,
    top_k: TopK = None,
    repetition_penalty: RepetitionPenalty = None,
    max_new_tokens: MaxNewTokens = 200,
    seed: Annotated[int | None, typer.Option(help="The same seed gives the same replies; a new one each time.")] = None,
    system: Annotated[
        str | None, typer.Option(help="What leads the conversation, if the model's template has it.")
    ] = None,
) -> None:
    """Talk to a model in the terminal. /clear starts afresh, /quit or Ctrl-D ends, Ctrl-C stops a reply."""
    wanted = _wanted(temperature=temperature, top_p=top_p, top_k=top_k, repetition_penalty=repetition_penalty)
    opened = _open(checkpoint, precision, device)
    sampling = replace(opened.sampling, **wanted)
    for sentence in _what_to_expect(opened):
        _note(sentence)
    _note("Type a message. /clear starts afresh, /quit or Ctrl-D ends, Ctrl-C stops a reply.")
    seed = secrets.randbelow(2**31) if seed is None else seed
    messages: list[Message] = []
    engine = Engine(opened.model)  # which stores what was read, so that each turn reads only what is new
    while (typed := _ask()) not in (None, "/quit"):
        if typed == "/clear":
            messages = []
            continue
        asked = [*messages, Message("user", typed or "")]
        try:
            pieces = reply(
                opened.model, opened.tokenizer, asked, sampling, max_new_tokens, seed + len(messages),
                chat_format=opened.chat_format, system=system, generate=partial(engine.generate, owner="chat"),
            )  # fmt: skip
        except ValueError as wrong:  # a message that is too long should not end the conversation
            _note(str(wrong))
            continue
        messages = [*asked, Message("assistant", _show(pieces))]


@app.command()
def generate(
    checkpoint: CheckpointOption = DEFAULT_CHECKPOINT,
    precision: Precision = AUTO,
    device: Device = BEST_DEVICE,
    prompt: Annotated[
        str | None, typer.Option(help="A message to a chat model; text to be continued, to a base model.")
    ] = None,
    prompt_ids: Annotated[str | None, typer.Option(help="Exactly these ids instead of a text, such as 1,2,3.")] = None,
    greedy: Annotated[bool, typer.Option("--greedy", help="Always take the likeliest token.")] = False,
    ignore_eos: Annotated[bool, typer.Option("--ignore-eos", help="Go on where the model would stop.")] = False,
    max_new_tokens: MaxNewTokens = 200,
    temperature: Temperature = None,
    top_p: TopP = None,
    top_k: TopK = None,
    repetition_penalty: RepetitionPenalty = None,
    seed: Annotated[int, typer.Option(help="The same seed gives the same text.")] = 0,
    as_json: Json = False,
) -> None:
    """Continue one prompt and print what the model writes."""
    wanted = _wanted(temperature=temperature, top_p=top_p, top_k=top_k, repetition_penalty=repetition_penalty)
    opened = _open(checkpoint, precision, device)
    sampling = replace(opened.sampling, greedy=greedy, **wanted)
    ids = _prompt(opened, prompt, prompt_ids)
    stops = () if ignore_eos else stop_ids(opened.model, opened.tokenizer, opened.chat_format)
    steps = generate_ids(
        opened.model, ids, sampling=sampling, max_new_tokens=max_new_tokens, seed=seed, stop_ids=stops
    )  # fmt: skip
    decoder, new_ids, started = opened.tokenizer.stream(), [], time.perf_counter()
    for step in steps:
        new_ids.append(step.id)
        if not as_json:
            _print(decoder.push(step.id))
    speed = len(new_ids) / max(time.perf_counter() - started, 1e-9)
    if as_json:
        text = opened.tokenizer.decode(new_ids)
        print(json.dumps({"prompt_ids": ids, "ids": new_ids, "text": text, "tokens_per_second": round(speed, 2)}))
    else:
        _print(decoder.flush() + "\n")
        _note(f"{len(new_ids)} tokens, {speed:.0f} a second")


@app.command("list")
def list_(as_json: Json = False) -> None:
    """Show the presets and the checkpoints there are, with their exact numbers of parameters."""
    rows = list_models()
    if as_json:
        print(json.dumps(rows, indent=2))
        return
    table = Table("name", "kind", box=None)
    columns = ("parameters", "layers", "hidden_size", "vocab_size", "context_length")
    for column in columns:
        table.add_column(column.split("_")[0], justify="right")
    for row in rows:
        numbers = [f"{row[column]:,}" if row.get(column) else "" for column in columns]
        table.add_row(escape(row["name"]), row["kind"], *numbers)
    Console().print(table)
    for row in rows:
        if "problem" in row:
            _note(row["problem"])


def _wanted(**options: float | None) -> dict[str, Any]:
    """The options that were given. Raises `ValueError`, before a model is opened, for one that can't be followed."""
    wanted: dict[str, Any] = {name: value for name, value in options.items() if value is not None}
    Sampling(**wanted)
    return wanted


def _prompt(opened: Opened, text: str | None, ids: str | None) -> list[int]:
    """The prompt's ids from whichever of the two options was given."""
    if (text is None) == (ids is None):
        raise ValueError("give either --prompt TEXT or --prompt-ids 1,2,3")
    if ids is not None:
        try:
            return [int(id) for id in ids.split(",")]
        except ValueError:
            raise ValueError(f"--prompt-ids is {ids!r}; whole numbers were expected, such as 1,2,3") from None
    assert text is not None
    if opened.chat_format.kind in ("chat", "template"):
        context = opened.config.max_position_embeddings
        return prompt_ids(
            [Message("user", text)], opened.tokenizer, context, reserve=1, chat_format=opened.chat_format
        ).ids
    beginning = beginning_id(opened.model, opened.tokenizer)
    return [*([] if beginning is None else [beginning]), *opened.tokenizer.encode(text)]


def _what_to_expect(opened: Opened) -> list[str]:
    """Sentences on what kind of partner a model is; none of the lab's own that learned to converse."""
    chat_format = opened.chat_format
    sentences = {
        "chat": [],
        "text": ["This model learned from plain texts: it goes on with what it reads."],
        "template": ["This model was taught to converse; it is spoken to as the chat template in its folder says."],
        "questions": [
            "This is a base model, never taught to answer: your messages are put to it as a list of questions and "
            "answers. Expect a sentence or two, just as confident when wrong as when right."
        ],
    }[chat_format.kind]
    if chat_format.trouble:
        sentences = [
            f"The chat template in this model's folder could not be followed ({chat_format.trouble}), so your messages "
            "are put to it as a list of questions and answers, which is not what it was taught."
        ]
    if chat_format.kind == "questions" and is_litellama(opened.config):
        mmlu, chance = fact(LITELLAMA_MMLU), fact(MMLU_CHANCE)
        sentences.append(
            f"By its shape it is LiteLlama-460M-1T, which gets {mmlu.number:g} % of MMLU's questions right "
            f"({mmlu.status}: {mmlu.source.title}); guessing gives {chance.number:g} %."
        )
    return sentences


def _open(checkpoint: str, precision: str, device: str) -> Opened:
    """Open a checkpoint by folder, file or name, and say what it is."""
    opened = open_for_use(find_checkpoint(checkpoint), precision, choose_device(device))
    if opened.config.num_parameters <= ONE_THREAD_UP_TO:
        torch.set_num_threads(1)
    _note(f"{opened.name}: {opened.config.num_parameters:,} parameters. {opened.note} "
          f"Device: {device_name(opened.model.device)}.")  # fmt: skip
    return opened


def _ask() -> str | None:
    """The next message that is not blank; None at the end of the input."""
    while True:
        try:
            typed = Console(stderr=True).input("[bold]you >[/bold] ").strip()
        except (EOFError, KeyboardInterrupt):
            _note("")
            return None
        if typed:
            return typed


def _show(pieces: Iterable[Piece]) -> str:
    """Print a reply as it comes and return it; Ctrl-C ends it and keeps what was said."""
    said = ""
    try:
        for piece in pieces:
            said += piece.text
            _print(piece.text)
    except KeyboardInterrupt:
        pass
    _print("\n")
    return said


def _print(text: str) -> None:
    """Write to stdout at once. The escape character is shown, lest a model's text command the terminal."""
    sys.stdout.write(text.replace("\x1b", "\u241b"))
    sys.stdout.flush()


def _note(text: str) -> None:
    Console(stderr=True, style="dim").print(escape(text), highlight=False)


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line; what a user can put right is one sentence on stderr and exit status 1."""
    if hasattr(sys.stdout, "reconfigure"):
        sys.stdout.reconfigure(errors="replace")  # an old terminal that lacks a character shows "?"
    try:
        app(args=None if arguments is None else list(arguments))
    except (ValueError, OSError) as wrong:
        print(f"error: {wrong}", file=sys.stderr)
        sys.exit(1)


if __name__ == "__main__":
    main()
