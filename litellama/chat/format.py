"""How a conversation is written down for one model: its form, chosen once and used wherever the model is spoken to.

    the lab's own chats        <|begin|><|user|> Hi<|end|><|assistant|> Hello.<|end|><|user|> ...
    the lab's own texts        <|begin|> Hi Hello. ...            one text that both write
    a folder's chat template   <s>[INST] Hi [/INST] Hello. </s><s>[INST] ...            LLaMA 2's, for example
    any other base model       Q: Hi\\nA: Hello.\\nQ: ...

A form is plain data: what stands between one message and the next. A space leads every text of the lab's own, so that
a word has the same token first in a message as inside it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Literal

from litellama.tokenizer import Tokenizer

Kind = Literal["chat", "text", "template", "questions"]
Side = Literal["begin", "system", "user", "assistant", "end"]
"""Who wrote what stands before or after a gap; "end" is where the reply begins."""

QUESTION_STOPS = ("\nQ:", "\n\n")
"""Where a base model has finished its answer: it begins to invent the next question, or turns to something else."""

_SPEAKERS: tuple[Side, Side] = ("user", "assistant")


@dataclass(frozen=True)
class Separator:
    """What the form writes between two messages: texts and the ids of special tokens. Some forms also take white space
    off the end of the last message or the beginning of the next."""

    pieces: tuple[str | int, ...]
    strips_last: bool = False
    strips_next: bool = False


@dataclass(frozen=True)
class ChatFormat:
    """One model's way to write conversations, and where its reply is over: at a stop id, or before a stop text.

    `trouble` says why a folder's own chat template is not used, if it has one that could not be followed.
    """

    kind: Kind
    separators: Mapping[tuple[Side, Side], Separator]
    stops: tuple[str, ...] = ()
    stop_ids: frozenset[int] = field(default=frozenset())
    trouble: str = ""

    def write(self, turns: Sequence[tuple[Side, str]], tokenizer: Tokenizer) -> list[int]:
        """Ids of the turns, (side, text), up to where the reply begins. What a user typed never becomes a special
        token. Raises `ValueError` for an order of turns, or a system prompt, that the form has no place for."""
        sides: list[Side] = ["begin", *(side for side, _ in turns), "end"]
        separators = [self._separator(before, after) for before, after in pairwise(sides)]
        pieces = [*separators[0].pieces]
        for (_, text), (before, after) in zip(turns, pairwise(separators), strict=True):
            text = text.lstrip() if before.strips_next else text
            text = text.rstrip() if after.strips_last else text
            pieces += [text, *after.pieces]
        return tokenizer.encode_framed(pieces)

    def _separator(self, before: Side, after: Side) -> Separator:
        separator = self.separators.get((before, after))
        if separator is None and "system" in (before, after):
            raise ValueError("this model's form has no place for a system prompt; put it into your first message")
        if separator is None:
            raise ValueError(
                f"this model's form has no place for {after} after {before}; questions and answers alternate"
            )
        return separator


def is_chat_tokenizer(tokenizer: Tokenizer) -> bool:
    """Whether the tokenizer has the special tokens that frame the lab's conversations."""
    return all(tokenizer.special(name) is not None for name in ("<|begin|>", "<|end|>", "<|user|>", "<|assistant|>"))


def is_text_tokenizer(tokenizer: Tokenizer) -> bool:
    """Whether it is one of the lab's own for texts: a model with it goes on with what it reads."""
    return not is_chat_tokenizer(tokenizer) and tokenizer.special("<|begin|>") is not None


def plain_format(tokenizer: Tokenizer, bos_id: int | None = None, trouble: str = "") -> ChatFormat:
    """The form of a model without a chat template, by its tokenizer; `bos_id` opens the texts of a base model."""
    if is_chat_tokenizer(tokenizer):
        return _chat_format(tokenizer)
    if is_text_tokenizer(tokenizer):
        return _text_format(tokenizer)
    return _question_format(bos_id, trouble)


def _chat_format(tokenizer: Tokenizer) -> ChatFormat:
    marks: dict[Side, str] = {"begin": "<|begin|>", "user": "<|end|>", "assistant": "<|end|>"}
    written = {(before, after): f"{mark}<|{after}|> " for before, mark in marks.items() for after in _SPEAKERS}
    written["user", "end"] = "<|end|><|assistant|>"
    end = tokenizer.special("<|end|>")
    assert end is not None
    separators = {sides: Separator(tokenizer.split_special(text)) for sides, text in written.items()}
    return ChatFormat("chat", separators, stop_ids=frozenset({end}))


def _text_format(tokenizer: Tokenizer) -> ChatFormat:
    beginning = Separator((*tokenizer.split_special("<|begin|>"), " "))
    separators = {(before, after): Separator((" ",)) for before in _SPEAKERS for after in _SPEAKERS}
    separators |= {("begin", after): beginning for after in _SPEAKERS} | {("user", "end"): Separator(())}
    end = tokenizer.special("<|end|>")
    return ChatFormat("text", separators, stop_ids=frozenset() if end is None else frozenset({end}))


def _question_format(bos_id: int | None, trouble: str) -> ChatFormat:
    beginning = () if bos_id is None else (bos_id,)
    separators: dict[tuple[Side, Side], Separator] = {("user", "end"): Separator(("\nA:",))}
    for after, letter in zip(_SPEAKERS, "QA", strict=True):
        separators["begin", after] = Separator((*beginning, f"{letter}: "))
        separators |= {(before, after): Separator((f"\n{letter}: ",)) for before in _SPEAKERS}
    return ChatFormat("questions", separators, QUESTION_STOPS, trouble=trouble)
