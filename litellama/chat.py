"""Messages to prompt ids, and a model's steps back to a reply's text.

The lab's own models learned conversations in this form, which `encode_document` writes and `prompt_ids` opens:

    <|begin|><|user|> What is a llama?<|end|><|assistant|> A woolly animal.<|end|><|user|> ...

A space leads every text, so a word has the same token first in a message as inside it. A model of the lab's make that
learned from plain texts goes on with what it reads, and the conversation is one text that both write: <|begin|>, then
all messages. A foreign base model is spoken to as a list of questions and answers: "Q: What is a llama?\\nA:".
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from litellama.generate import Step, generate
from litellama.model import LiteLlama
from litellama.sampling import Sampling
from litellama.tokenizer import SPECIAL_TOKENS, Tokenizer

Role = Literal["user", "assistant"]
TokenRole = Literal["frame", "user", "assistant"]

BASE_MODEL_STOPS = ("\nQ:",)
"""Where a base model has finished its answer and begins to invent the next question."""


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


def is_chat_tokenizer(tokenizer: Tokenizer) -> bool:
    """Whether the tokenizer has the special tokens that frame the lab's conversations."""
    return all(tokenizer.special(name) is not None for name in ("<|begin|>", "<|end|>", "<|user|>", "<|assistant|>"))


def is_text_tokenizer(tokenizer: Tokenizer) -> bool:
    """Whether it is one of the lab's own for texts: a model with it goes on with what it reads."""
    return not is_chat_tokenizer(tokenizer) and tokenizer.special("<|begin|>") is not None


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
        turn = _encode_turn(message, tokenizer)
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
    messages: Sequence[Message], tokenizer: Tokenizer, context_length: int, reserve: int, bos_id: int | None = None
) -> ChatPrompt:
    """Write a conversation that ends with the user's message as a prompt, leaving `reserve` tokens for the reply.

    If it does not fit, the oldest question goes together with its answer, until it does. `bos_id` opens the prompt of
    a base model that wants one. Raises `ValueError` if not even the last message fits.
    """
    if not messages or messages[-1].role != "user":
        raise ValueError("the last message must be the user's; there is nothing to reply to")
    room = context_length - reserve
    turns = [_encode_turn(message, tokenizer) for message in messages]
    opening, closing = _frame(tokenizer, bos_id)
    dropped = 0
    while len(opening) + sum(map(len, turns[dropped:])) + len(closing) > room:
        dropped += 1
        while dropped < len(messages) and messages[dropped].role != "user":
            dropped += 1
        if dropped >= len(messages):
            length = len(opening) + len(turns[-1]) + len(closing)
            raise ValueError(
                f"your message is {length} tokens long and there is room for {max(room, 0)} (the model reads "
                f"{context_length} at once, {reserve} of them kept for the reply); shorten it"
            )
    return ChatPrompt([*opening, *(id for turn in turns[dropped:] for id in turn), *closing], dropped)


def _frame(tokenizer: Tokenizer, bos_id: int | None) -> tuple[list[int], list[int]]:
    """The ids before the first turn, and those after the last one, where the reply begins."""
    if is_chat_tokenizer(tokenizer):
        return [_special(tokenizer, "<|begin|>")], [_special(tokenizer, "<|assistant|>")]
    if is_text_tokenizer(tokenizer):
        return [_special(tokenizer, "<|begin|>")], []
    return [] if bos_id is None else [bos_id], tokenizer.encode("A:")


def _encode_turn(message: Message, tokenizer: Tokenizer) -> list[int]:
    if is_chat_tokenizer(tokenizer):
        opening, closing = _special(tokenizer, f"<|{message.role}|>"), _special(tokenizer, "<|end|>")
        return [opening, *tokenizer.encode(" " + message.content), closing]
    if is_text_tokenizer(tokenizer):
        return tokenizer.encode(" " + message.content)
    letter = "Q" if message.role == "user" else "A"
    return tokenizer.encode(f"{letter}: {message.content}\n")


@dataclass(frozen=True)
class Piece:
    """A bit of a reply: the text that became certain, and the step that brought it.

    `text` is "" while a character is incomplete; `step` is None for text that was held back until the end.
    """

    text: str
    step: Step | None


def reply(
    model: LiteLlama,
    tokenizer: Tokenizer,
    messages: Sequence[Message],
    sampling: Sampling,
    max_new_tokens: int,
    seed: int,
    alternatives: int = 0,
) -> Iterator[Piece]:
    """Answer the last message, piece by piece; the pieces' texts joined are the reply.

    The oldest turns are left out if the conversation is too long. Raises `ValueError`, at once, if the last message
    alone is too long or a setting is out of range. Closing the iterator stops the model.
    """
    context_length = model.config.max_position_embeddings
    reserve = min(max_new_tokens, context_length // 2)  # a long reply must not push out the question it answers
    prompt = prompt_ids(messages, tokenizer, context_length, reserve, beginning_id(model, tokenizer))
    steps = generate(
        model, prompt.ids, sampling=sampling, max_new_tokens=max_new_tokens, seed=seed,
        stop_ids=stop_ids(model, tokenizer), alternatives=alternatives,
    )  # fmt: skip
    lists_questions = not is_chat_tokenizer(tokenizer) and not is_text_tokenizer(tokenizer)
    return _pieces(steps, tokenizer, BASE_MODEL_STOPS if lists_questions else ())


def beginning_id(model: LiteLlama, tokenizer: Tokenizer) -> int | None:
    """The token that opens every text of this model, if it has one."""
    bos = model.config.bos_token_id
    # Only a token that text never becomes can be one. GPT-2's also ends texts, and no engine puts it in front.
    opens = bos is not None and tokenizer.is_special(bos) and bos not in model.config.eos_token_ids
    return bos if opens else None


def stop_ids(model: LiteLlama, tokenizer: Tokenizer) -> frozenset[int]:
    """Special tokens at which a reply is over: those the config names, and the usual ones the tokenizer has.

    All of the lab's frame tokens are among them: a model that writes <|user|> has begun to invent the next question.
    """
    named = {id for id in model.config.eos_token_ids if tokenizer.is_special(id)}
    usual = {tokenizer.special(name) for name in (*SPECIAL_TOKENS, "<|endoftext|>", "</s>")}
    return frozenset(named | {id for id in usual if id is not None})


def _pieces(steps: Iterator[Step], tokenizer: Tokenizer, stops: tuple[str, ...]) -> Iterator[Piece]:
    """Steps to text: whole characters only, without the leading space, ended before a stop string."""
    decoder = tokenizer.stream()
    held = ""  # text that may turn out to be the beginning of a stop string
    begun = False
    for step in steps:
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


def _possible_stop(text: str, stops: tuple[str, ...]) -> int:
    """Length of the longest end of `text` that begins a stop string: "bird.\\nQ" may go on to "\\nQ:"."""
    return max((n for stop in stops for n in range(1, len(stop)) if text.endswith(stop[:n])), default=0)


def _special(tokenizer: Tokenizer, name: str) -> int:
    id = tokenizer.special(name)
    assert id is not None, f"{name} was looked for in a tokenizer without chat tokens"
    return id
