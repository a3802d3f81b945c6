"""How soon the second turn of a long conversation begins, as the app answers it.

    python -m tests.benchmarks.conversation [folder of a model] [rounds] [precision]

Each round is a conversation of its own, whose first words no other one has: a message long enough that, with its reply,
600 tokens come before the second message, and then that short second message. Both are asked of the app's services, so
that the engine, the chat's form and what they may have stored between two turns are those of a person at the page.
Told are the seconds from the question to the first token of its reply, by the clock and of all processors together
(which others at work disturb less): median, lowest and highest, measured.
"""

from __future__ import annotations

import os
import statistics
import sys
import time
from pathlib import Path

import torch

from app.common.settings import KNOBS, Settings, read_settings
from app.server.services import Services
from litellama.chat import Message, prompt_ids
from litellama.checkpoint import Opened, checkpoints_folder
from litellama.checkpoint.precision import open_for_use
from litellama.footprint.machine import machine

MODEL = checkpoints_folder() / "SmolLM2-135M-Instruct"
BEFORE, REPLY = 600, 24
SETTINGS = {name: knob.default for name, knob in KNOBS.items()} | {"temperature": 0, "max_tokens": REPLY, "seed": 1}
TOLD = "Tom hid a red ball under the bed, and Anna has a blue hat. "
SECOND = "Who has the hat?"


def first_message(opened: Opened, number: int) -> str:
    """The longest one after which there is still room for its reply within `BEFORE` tokens."""
    begun = f"{number} llamas stand in the garden. "
    count = 0
    while length(opened, [Message("user", begun + TOLD * (count + 1))]) + REPLY <= BEFORE:
        count += 1
    return begun + TOLD * count


def length(opened: Opened, messages: list[Message]) -> int:
    """Tokens of a conversation as the model reads it."""
    return len(prompt_ids(messages, opened.tokenizer, 10**6, REPLY, chat_format=opened.chat_format).ids)


def ask(services: Services, key: str, question: str, settings: Settings) -> tuple[float, float]:
    """Seconds until the first token was there, by the clock and of all processors; the reply is awaited."""
    start, busy = time.perf_counter(), time.process_time()
    updates = services.chat.ask(key, question, settings)
    next(update for update in updates if update.tokens)  # before that, a page is told how far the prompt is
    first = time.perf_counter() - start, time.process_time() - busy
    for _ in updates:
        pass
    return first


def main(folder: Path, rounds: int, precision: str) -> None:
    opened = open_for_use(folder, precision)
    context = opened.config.max_position_embeddings
    if context < BEFORE + 2 * REPLY + 100:
        sys.exit(f"{folder.name} reads {context} tokens at once; a model with more than {BEFORE} is needed")
    services, settings = Services(opened), read_settings(SETTINGS)
    print(f"{machine('cpu')}, {torch.get_num_threads()} threads; load before: {os.getloadavg()[0]:.1f}")
    print(f"{folder.name}: {opened.note}")
    first, second, before, new = [], [], [], []
    for number in range(rounds + 1):
        key = f"page {number}"
        turns = (
            ask(services, key, first_message(opened, 100 + number), settings),
            ask(services, key, SECOND, settings),
        )
        if number:  # the first one warms up
            said = services.chat.conversation(key).messages()
            before.append(length(opened, said[:1]) + len(services.chat.conversation(key).turns[0].steps))
            new.append(length(opened, said[:3]) - before[-1])
            first.append(turns[0])
            second.append(turns[1])
    print(f"first turn, {_spread(before, 0)} tokens with its reply: first token after {_both(first)}")
    print(f"second turn, {_spread(new, 0)} tokens more: first token after {_both(second)}")


def _both(seconds: list[tuple[float, float]]) -> str:
    clock, processors = (list(one) for one in zip(*seconds, strict=True))
    return f"{_spread(clock, 3)} s, of all processors {_spread(processors, 3)} s (measured)"


def _spread(values: list[float] | list[int], digits: int) -> str:
    middle, low, high = statistics.median(values), min(values), max(values)
    return f"{middle:.{digits}f} ({low:.{digits}f} to {high:.{digits}f})"


if __name__ == "__main__":
    folder, rounds, precision = [*sys.argv[1:], *[str(MODEL), "7", "auto"][len(sys.argv) - 1 :]]
    main(Path(folder), int(rounds), precision)
