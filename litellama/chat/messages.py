"""Messages to prompt ids, and a model's steps back to a reply's text.

What stands between messages is the form's part (`chat_forms`). The lab's own models learned conversations in this one,
which `encode_document` writes and `prompt_ids` opens:

    <|begin|><|user|> What is a llama?<|end|><|assistant|> A woolly animal.<|end|><|user|> ...
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Literal

from litellama.chat.format import ChatFormat, Side, is_chat_tokenizer, plain_format
from litellama.chat.template import ChatTemplateError, read_template
from litellama.config import ModelConfig
from litellama.generate import Generate, Progress, Step
from litellama.generate import generate as generate_alone
from litellama.model import LiteLlama
from litellama.sampling import Sampling
from litellama.tokenizer import SPECIAL_TOKENS, Tokenizer

Role = Literal["user", "assistant"]
TokenRole = Literal["frame", "user", "assistant"]


@dataclass(frozen=True)
class Message:
    """One turn of a conversation."""

    role: Role
    content: str

    def __post_init__(self) -> None:
        if self.role not in ("user", "assistant"):
            raise ValueError(f"a message's role is {self.role!r}; 'user' or 'assistant' was expected")
        if not isinstance(self.content, str):
            raise ValueError(f"a message's content is of type {type(self.content).__name__}; text was expected")


def choose_format(tokenizer: Tokenizer, config: ModelConfig, chat_template: str | None = None) -> ChatFormat:
    """How this model is spoken to: by its own chat template if it has one that can be followed."""
    lab_made = tokenizer.special("<|begin|>") is not None  # and learned the lab's form, whatever a template says
    if chat_template is None or lab_made:
        return plain_format(tokenizer, _beginning_id(config, tokenizer))
    try:
        return read_template(chat_template, tokenizer, *_marks(config, tokenizer))
    except ChatTemplateError as wrong:
        return plain_format(tokenizer, _beginning_id(config, tokenizer), trouble=str(wrong))


def _marks(config: ModelConfig, tokenizer: Tokenizer) -> tuple[str, str]:
    """The names of the tokens that begin and end texts, as templates use them; "" for one there is not."""
    bos, eos = config.bos_token_id, next(iter(config.eos_token_ids), None)
    names = [tokenizer.token_text(id) if id is not None and tokenizer.is_special(id) else "" for id in (bos, eos)]
    return names[0], names[1]


def encode_document(messages: Sequence[Message], tokenizer: Tokenizer) -> tuple[list[int], list[TokenRole]]:
    """A whole conversation as training text: its ids, and for each id who wrote it.

    A message's words and its closing <|end|> carry the message's role; <|begin|>, <|user|> and <|assistant|> are
    "frame", since the lab writes them. So the loss of answering is the loss over the ids with role "assistant".
    """
    if not is_chat_tokenizer(tokenizer):
        raise ValueError("this tokenizer has no special tokens for conversations; train one with Tokenizer.train")
    ids = [_special(tokenizer, "<|begin|>")]
    roles: list[TokenRole] = ["frame"]
    for message in messages:
        opening, closing = _special(tokenizer, f"<|{message.role}|>"), _special(tokenizer, "<|end|>")
        turn = [opening, *tokenizer.encode(" " + message.content), closing]
        ids += turn
        roles.append("frame")
        roles.extend([message.role] * (len(turn) - 1))
    return ids, roles


@dataclass(frozen=True)
class ChatPrompt:
    """A prompt ready for the model, and how many of the oldest messages had to be left out to make room."""

    ids: list[int]
    dropped: int


def prompt_ids(
    messages: Sequence[Message],
    tokenizer: Tokenizer,
    context_length: int,
    reserve: int,
    bos_id: int | None = None,
    *,
    chat_format: ChatFormat | None = None,
    system: str | None = None,
) -> ChatPrompt:
    """Write a conversation that ends with the user's message as a prompt, leaving `reserve` tokens for the reply.

    If it does not fit, the oldest question goes together with its answer, until it does. Without a `chat_format`, the
    tokenizer's plain one is used, and `bos_id` opens the prompt of a base model that wants one. Raises `ValueError` if
    not even the last message fits, or the form has no place for a `system` prompt.
    """
    if not messages or messages[-1].role != "user":
        raise ValueError("the last message must be the user's; there is nothing to reply to")
    chat_format = plain_format(tokenizer, bos_id) if chat_format is None else chat_format
    instruction: list[tuple[Side, str]] = [] if system is None else [("system", system)]
    turns: list[tuple[Side, str]] = [(message.role, message.content) for message in messages]
    room = context_length - reserve
    starts = [0, *(number for number, message in enumerate(messages) if number and message.role == "user")]

    def written(start: int) -> list[int]:
        return chat_format.write([*instruction, *turns[start:]], tokenizer)

    first = bisect_left(starts, True, key=lambda start: len(written(start)) <= room)
    if first == len(starts):
        raise ValueError(
            f"your message is {len(written(starts[-1]))} tokens long and there is room for {max(room, 0)} (the model "
            f"reads {context_length} at once, {reserve} of them kept for the reply); shorten it"
        )
    return ChatPrompt(written(starts[first]), starts[first])


@dataclass(frozen=True)
class Piece:
    """A bit of a reply: the text that became certain, and the step that brought it.

    `text` is "" while a character is incomplete; `step` is None for text that was held back until the end, and for a
    moment in which nothing came but word of the `progress`.
    """

    text: str
    step: Step | None
    progress: Progress | None = None


def reply(
    model: LiteLlama,
    tokenizer: Tokenizer,
    messages: Sequence[Message],
    sampling: Sampling,
    max_new_tokens: int,
    seed: int,
    alternatives: int = 0,
    *,
    chat_format: ChatFormat | None = None,
    system: str | None = None,
    generate: Generate | None = None,
) -> Iterator[Piece]:
    """Answer the last message, piece by piece; the pieces' texts joined are the reply.

    The oldest turns are left out if the conversation is too long. Raises `ValueError`, at once, if the last message
    alone is too long or a setting is out of range. Closing the iterator stops the model. `generate` makes the model's
    steps where it isn't to be run for this reply alone, such as `litellama.serving.engine.Engine.generate`.
    """
    chat_format = choose_format(tokenizer, model.config) if chat_format is None else chat_format
    context_length = model.config.max_position_embeddings
    reserve = min(max_new_tokens, context_length // 2)  # a long reply must not push out the question it answers
    prompt = prompt_ids(messages, tokenizer, context_length, reserve, chat_format=chat_format, system=system)
    return reply_to(
        prompt, model, tokenizer, sampling, max_new_tokens, seed, alternatives, chat_format=chat_format,
        generate=generate,
    )  # fmt: skip


def reply_to(
    prompt: ChatPrompt,
    model: LiteLlama,
    tokenizer: Tokenizer,
    sampling: Sampling,
    max_new_tokens: int,
    seed: int,
    alternatives: int = 0,
    *,
    chat_format: ChatFormat,
    generate: Generate | None = None,
) -> Iterator[Piece]:
    """As `reply`, to a prompt that is written already (see `prompt_ids`)."""
    generate = partial(generate_alone, model) if generate is None else generate
    steps = generate(
        prompt.ids, sampling=sampling, max_new_tokens=max_new_tokens, seed=seed,
        stop_ids=stop_ids(model, tokenizer, chat_format), alternatives=alternatives,
    )  # fmt: skip
    return spoken(steps, tokenizer, chat_format.stops)


def beginning_id(model: LiteLlama, tokenizer: Tokenizer) -> int | None:
    """The token that opens every text of this model, if it has one."""
    return _beginning_id(model.config, tokenizer)


def _beginning_id(config: ModelConfig, tokenizer: Tokenizer) -> int | None:
    bos = config.bos_token_id if config.add_bos_token else None
    # LiteLlama's own config names `"` as its beginning of text: only a token that text never becomes can be one. And
    # a model with GPT-2's single mark, which ends texts, was never shown it before a prompt.
    return bos if bos is not None and tokenizer.is_special(bos) and bos not in config.eos_token_ids else None


def stop_ids(model: LiteLlama, tokenizer: Tokenizer, chat_format: ChatFormat | None = None) -> frozenset[int]:
    """Special tokens at which a reply is over: those the config and the form name, and the usual ones.

    All of the lab's frame tokens are among them: a model that writes <|user|> has begun to invent the next question.
    """
    named = {id for id in model.config.eos_token_ids if tokenizer.is_special(id)}
    usual = {tokenizer.special(name) for name in (*SPECIAL_TOKENS, "<|endoftext|>", "</s>")}
    return frozenset(
        named | {id for id in usual if id is not None} | (chat_format.stop_ids if chat_format else frozenset())
    )


def spoken(steps: Iterator[Step | Progress], tokenizer: Tokenizer, stops: tuple[str, ...]) -> Iterator[Piece]:
    """Steps to text: whole characters only, without the leading space, ended before a stop string.

    With the pieces the steps are closed, so that the model stops, whatever else still holds them.
    """
    try:
        yield from _pieces(steps, tokenizer, stops)
    finally:
        if (close := getattr(steps, "close", None)) is not None:
            close()


def _pieces(steps: Iterator[Step | Progress], tokenizer: Tokenizer, stops: tuple[str, ...]) -> Iterator[Piece]:
    decoder = tokenizer.stream()
    held = ""  # text that may turn out to be the beginning of a stop string
    begun = False
    for step in steps:
        if isinstance(step, Progress):
            yield Piece("", None, step)
            continue
        text = decoder.push(step.id)
        if not begun and text:
            text, begun = text.removeprefix(" "), True
        held += text
        ends = [position for stop in stops if (position := held.find(stop)) >= 0]
        if ends:
            yield Piece(held[: min(ends)], step)
            return
        certain = len(held) - _possible_stop(held, stops)
        yield Piece(held[:certain], step)
        held = held[certain:]
    rest = held + decoder.flush()
    if rest:
        yield Piece(rest, None)


def answer_steps(steps: Iterator[Step], tokenizer: Tokenizer, chat_format: ChatFormat) -> list[Step]:
    """The steps of a whole answer, without those of a stop text that ended it."""
    pieces = list(spoken(steps, tokenizer, chat_format.stops))
    while chat_format.stops and pieces and not pieces[-1].text:
        pieces.pop()
    return [piece.step for piece in pieces if piece.step is not None]


def _possible_stop(text: str, stops: tuple[str, ...]) -> int:
    """Length of the longest end of `text` that begins a stop string: "bird.\\nQ" may go on to "\\nQ:"."""
    return max((n for stop in stops for n in range(1, len(stop)) if text.endswith(stop[:n])), default=0)


def _special(tokenizer: Tokenizer, name: str) -> int:
    id = tokenizer.special(name)
    assert id is not None, f"{name} was looked for in a tokenizer without chat tokens"
    return id
