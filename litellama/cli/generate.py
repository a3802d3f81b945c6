"""`python -m litellama generate`: one prompt, continued."""

from __future__ import annotations

import json
import time
from dataclasses import replace
from typing import Annotated

import typer

from litellama import chat
from litellama.chat import Message
from litellama.checkpoint import Opened
from litellama.checkpoint.precision import AUTO
from litellama.cli.opening import open_to_generate
from litellama.cli.options import (
    DEFAULT_CHECKPOINT,
    CheckpointOption,
    Device,
    Json,
    MaxNewTokens,
    Precision,
    RepetitionPenalty,
    Temperature,
    TopK,
    TopP,
    sampling_changes,
)
from litellama.cli.terminal import note, write
from litellama.device import AUTO as BEST_DEVICE
from litellama.generate import generate as generate_ids


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
    changes = sampling_changes(
        temperature=temperature, top_p=top_p, top_k=top_k, repetition_penalty=repetition_penalty
    )  # fmt: skip
    opened = open_to_generate(checkpoint, precision, device)
    sampling = replace(opened.sampling, greedy=greedy, **changes)
    ids = _ids(opened, prompt, prompt_ids)
    stops = () if ignore_eos else chat.stop_ids(opened.model, opened.tokenizer, opened.chat_format)
    steps = generate_ids(
        opened.model, ids, sampling=sampling, max_new_tokens=max_new_tokens, seed=seed, stop_ids=stops
    )  # fmt: skip
    decoder, new_ids, started = opened.tokenizer.stream(), [], time.perf_counter()
    for step in steps:
        new_ids.append(step.id)
        if not as_json:
            write(decoder.push(step.id))
    speed = len(new_ids) / max(time.perf_counter() - started, 1e-9)
    if as_json:
        text = opened.tokenizer.decode(new_ids)
        print(json.dumps({"prompt_ids": ids, "ids": new_ids, "text": text, "tokens_per_second": round(speed, 2)}))
    else:
        write(decoder.flush() + "\n")
        note(f"{len(new_ids)} tokens, {speed:.0f} a second")


def _ids(opened: Opened, text: str | None, ids: str | None) -> list[int]:
    """The prompt's ids, from whichever of the two options was given."""
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
        message = [Message("user", text)]
        return chat.prompt_ids(message, opened.tokenizer, context, reserve=1, chat_format=opened.chat_format).ids
    beginning = chat.beginning_id(opened.model, opened.tokenizer)
    return [*([] if beginning is None else [beginning]), *opened.tokenizer.encode(text)]
