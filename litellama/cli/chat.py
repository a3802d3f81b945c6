"""`python -m litellama chat`: a conversation in the terminal."""

from __future__ import annotations

import secrets
from collections.abc import Iterable
from dataclasses import replace
from functools import partial
from typing import Annotated

import typer
from rich.console import Console

from litellama.chat import Message, Piece, reply
from litellama.checkpoint import Opened
from litellama.checkpoint.precision import AUTO
from litellama.cli.opening import open_to_generate
from litellama.cli.options import (
    DEFAULT_CHECKPOINT,
    CheckpointOption,
    Device,
    MaxNewTokens,
    Precision,
    RepetitionPenalty,
    Temperature,
    TopK,
    TopP,
    sampling_changes,
)
from litellama.cli.terminal import note, write
from litellama.config import is_litellama
from litellama.device import AUTO as BEST_DEVICE
from litellama.footprint.facts import LITELLAMA_MMLU, MMLU_CHANCE, fact
from litellama.serving.engine import Engine


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
    changes = sampling_changes(
        temperature=temperature, top_p=top_p, top_k=top_k, repetition_penalty=repetition_penalty
    )  # fmt: skip
    opened = open_to_generate(checkpoint, precision, device)
    sampling = replace(opened.sampling, **changes)
    for sentence in what_to_expect(opened):
        note(sentence)
    note("Type a message. /clear starts afresh, /quit or Ctrl-D ends, Ctrl-C stops a reply.")
    seed = secrets.randbelow(2**31) if seed is None else seed
    messages: list[Message] = []
    engine = Engine(opened.model)  # stores what it has read, so that each turn reads only what is new
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
        except ValueError as problem:  # a message that is too long should not end the conversation
            note(str(problem))
            continue
        messages = [*asked, Message("assistant", _show(pieces))]


def what_to_expect(opened: Opened) -> list[str]:
    """What a user should know of this model before the first message; nothing for the lab's own chat models."""
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


def _ask() -> str | None:
    """The next message that is not blank; None at the end of the input."""
    while True:
        try:
            typed = Console(stderr=True).input("[bold]you >[/bold] ").strip()
        except (EOFError, KeyboardInterrupt):
            note("")
            return None
        if typed:
            return typed


def _show(pieces: Iterable[Piece]) -> str:
    """Print a reply as it comes and return it. Ctrl-C ends the reply; what was printed stays part of the chat."""
    text = ""
    try:
        for piece in pieces:
            text += piece.text
            write(piece.text)
    except KeyboardInterrupt:
        pass
    write("\n")
    return text
