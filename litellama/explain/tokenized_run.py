"""One text as one model read it: ids, tokens, words and sentences, and where the answer begins.

    >>> reading = read_chat(model, tokenizer, [Message("user", "Tom is at home. Where is Tom?")], max_new_tokens=20)
    >>> reading.text_of(reading.answer)
    ' Tom is at home.'

Every view of the lab takes a `TokenizedRun`, so that a map, an attribution and a layer's prediction belong to one run.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from litellama.chat import Message, answer_steps, beginning_id, choose_format, prompt_ids, stop_ids
from litellama.chat.format import ChatFormat
from litellama.generate import Step, generate
from litellama.model import LiteLlama
from litellama.sampling import Sampling
from litellama.tokenizer import Tokenizer

UnitName = Literal["token", "word", "sentence"]
Unit = tuple[int, ...]  # positions of tokens

_WORD_GOES_ON = re.compile(r"[\w'’-]")
EMPTY_LINE = "\n\n"
_SENTENCE_END = re.compile(r"[.!?。]\s*$")


@dataclass(frozen=True)
class TokenizedRun:
    """`ids` are prompt and answer; the answer begins at position `answer_start`. `tokens` are the ids' texts; `offsets`
    their (start, end) in `text`, empty for frame tokens, which have no text of their own. `goes_on`: the model would
    have written more. `frame`: positions of what a chat template wrote around the messages."""

    ids: tuple[int, ...]
    answer_start: int
    tokens: tuple[str, ...]
    offsets: tuple[tuple[int, int], ...]
    text: str
    special: frozenset[int]
    goes_on: bool = False
    frame: frozenset[int] = frozenset()

    @property
    def answer(self) -> Unit:
        """Places of the answer's tokens."""
        return tuple(range(self.answer_start, len(self.ids)))

    @property
    def prompt(self) -> Unit:
        """Places of the prompt's tokens that show what was said: what an answer can rest on."""
        return tuple(position for position in range(self.answer_start) if position not in self.special | self.frame)

    def units(self, name: UnitName, positions: Sequence[int] | None = None) -> tuple[Unit, ...]:
        """The prompt (or `positions`) cut into tokens, words or sentences. A mark such as "." is a word of its own."""
        chosen = self.prompt if positions is None else positions
        if name == "token":
            return tuple((position,) for position in chosen)
        begins = self._begins_word if name == "word" else self._begins_sentence
        units: list[list[int]] = []
        for number, position in enumerate(chosen):
            if not units or chosen[number - 1] != position - 1 or begins(position):
                units.append([])
            units[-1].append(position)
        return tuple(tuple(unit) for unit in units)

    def text_of(self, unit: Sequence[int]) -> str:
        """The text of neighbouring tokens, whole characters."""
        return self.text[self.offsets[unit[0]][0] : self.offsets[unit[-1]][1]]

    def positions_in(self, start: int, end: int) -> Unit:
        """Places of the tokens that show any character of `text[start:end]`; a token's leading space does not count."""
        positions = []
        for position, (begin, stop) in enumerate(self.offsets):
            begin += len(self.text[begin:stop]) - len(self.text[begin:stop].lstrip())
            if max(begin, start) < min(stop, end):
                positions.append(position)
        return tuple(positions)

    def _begins_word(self, position: int) -> bool:
        before, here = self.text_of((position - 1,)), self.text_of((position,))
        if not here or not before.strip():  # a part of a character, or what follows a lone space, goes on
            return False
        return here[0].isspace() or bool(_WORD_GOES_ON.match(before[-1])) != bool(_WORD_GOES_ON.match(here[0]))

    def _begins_sentence(self, position: int) -> bool:
        return bool(_SENTENCE_END.search(self.text_of((position - 1,)))) and self._begins_word(position)


def read_chat(
    model: LiteLlama,
    tokenizer: Tokenizer,
    messages: Sequence[Message],
    *,
    answer: str | None = None,
    max_new_tokens: int = 60,
    chat_format: ChatFormat | None = None,
    one_paragraph: bool = False,
) -> TokenizedRun:
    """The conversation with the model's likeliest answer, or with the `answer` given (what if it had said ...?). With
    `one_paragraph`, the answer's first one.

    `chat_format` is how the model is spoken to, by default as its tokenizer says.
    Raises `ValueError` if the conversation does not fit into what the model reads at once. An answer can be empty.
    """
    chat_format = choose_format(tokenizer, model.config) if chat_format is None else chat_format
    length = model.config.max_position_embeddings
    space = "" if chat_format.kind == "template" else " "  # a template has written it, or its tokenizer does
    given = None if answer is None else tokenizer.encode(space + answer)
    reserve = min(max_new_tokens, length // 2) if given is None else len(given)
    prompt = prompt_ids(messages, tokenizer, length, reserve, chat_format=chat_format).ids
    reading = _read(model, tokenizer, prompt, given, max_new_tokens, chat_format, one_paragraph)
    return replace(reading, frame=_frame(reading, messages))


def _frame(reading: TokenizedRun, messages: Sequence[Message]) -> frozenset[int]:
    """Positions before the answer that show no message's text; none where a tokenizer writes messages otherwise."""
    end = reading.offsets[reading.answer_start - 1][1]
    said: set[int] = set()
    for message in reversed(messages):  # the first ones are dropped where they don't fit
        content = message.content.strip()
        begin = reading.text.rfind(content, 0, end) if content else -1
        if begin >= 0:
            shown = reading.positions_in(begin, begin + len(content))
            said.update(range(shown[0], shown[-1] + 1))  # a lone space between two words belongs to the message
            end = begin
    return frozenset(range(reading.answer_start)) - said - reading.special if said else frozenset()


def read_text(model: LiteLlama, tokenizer: Tokenizer, text: str, *, max_new_tokens: int = 20) -> TokenizedRun:
    """Plain text and how the model goes on with it: for base models, and for looking at any text as it is."""
    opening = beginning_id(model, tokenizer)
    prompt = ([] if opening is None else [opening]) + tokenizer.encode(text)
    if not prompt:
        raise ValueError("the text is empty; write something for the model to read")
    length = model.config.max_position_embeddings
    if len(prompt) > length:
        raise ValueError(f"the text has {len(prompt)} tokens and the model reads at most {length} at once; shorten it")
    given: list[int] | None = [] if len(prompt) == length else None
    return _read(model, tokenizer, prompt, given, max_new_tokens)


def _read(
    model: LiteLlama, tokenizer: Tokenizer, prompt: list[int], given: list[int] | None, max_new_tokens: int,
    chat_format: ChatFormat | None = None, one_paragraph: bool = False,
) -> TokenizedRun:  # fmt: skip
    goes_on = False
    if given is None:
        steps = generate(
            model, prompt, sampling=Sampling(temperature=0), max_new_tokens=max_new_tokens, seed=0,
            stop_ids=stop_ids(model, tokenizer, chat_format),
        )  # fmt: skip
        written: list[int] = []
        steps = _noted(steps, written)
        if one_paragraph:
            steps = first_paragraph(steps, tokenizer)
        given = [step.id for step in (answer_steps(steps, tokenizer, chat_format) if chat_format else steps)]
        cut = one_paragraph and EMPTY_LINE in tokenizer.decode(written).lstrip()
        goes_on = cut or len(written) >= max_new_tokens
    ids = prompt + given
    offsets, text = _offsets(ids, tokenizer)
    special = frozenset(position for position, id in enumerate(ids) if tokenizer.is_special(id))
    return TokenizedRun(tuple(ids), len(prompt), tuple(map(tokenizer.token_text, ids)), offsets, text, special, goes_on)


def _noted(steps: Iterator[Step], ids: list[int]) -> Iterator[Step]:
    for step in steps:
        ids.append(step.id)
        yield step


def first_paragraph(steps: Iterator[Step], tokenizer: Tokenizer) -> Iterator[Step]:
    """The steps before the first empty line that follows some text."""
    decoder = tokenizer.stream()
    text, blank = "", list[Step]()
    for step in steps:
        piece = decoder.push(step.id)
        begun, text = bool(text.strip()), text + piece
        blank.append(step)
        if piece.strip() or not begun:  # else it may belong to the empty line
            yield from blank
            blank = []
        if EMPTY_LINE in text.lstrip():
            return
    yield from blank


def _offsets(ids: list[int], tokenizer: Tokenizer) -> tuple[tuple[tuple[int, int], ...], str]:
    """Where each token's text stands in the whole; a character's text comes with the last of its tokens."""
    decoder = tokenizer.stream()
    text = ""
    offsets = []
    for id in ids:
        piece = decoder.push(id)
        offsets.append((len(text), len(text) + len(piece)))
        text += piece
    text += decoder.flush()
    if offsets:
        offsets[-1] = (offsets[-1][0], len(text))
    return tuple(offsets), text
