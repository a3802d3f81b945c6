"""Who answers in a conversation. The chat asks a responder for a reply and needn't know where its model runs."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import asdict, dataclass, field
from typing import Any, Protocol

from app.common.settings import Settings
from app.common.strings import Problem
from app.models.engines import RemoteModel
from app.models.openai_client import EngineError
from app.models.openai_stream import ChatDelta, TextStep
from litellama.chat import Message, prompt_ids, reply_to
from litellama.checkpoint import Opened
from litellama.generate import Generate, Progress, Step

ALTERNATIVES = 10
SECONDS_ELSEWHERE = 120.0
LONGEST_REPLY = 100_000  # characters; the longest that can be asked for has `MOST_TOKENS`


class ReplyPiece(Protocol):
    """A bit of a reply, as `litellama.chat.Piece` has it: text, and the step that brought it unless it came late; or,
    while there is nothing else to tell, the progress."""

    @property
    def text(self) -> str: ...
    @property
    def step(self) -> Step | TextStep | None: ...
    @property
    def progress(self) -> Progress | None: ...


@dataclass(frozen=True)
class RemotePiece:
    """A bit of a reply that another server writes; without text and step, a moment in which nothing came."""

    text: str = ""
    step: TextStep | None = None
    progress: Progress | None = None


@dataclass
class ReplyStream:
    """A reply that begins when its `pieces` are asked for. It may have `most` tokens, `read` many tokens of the prompt
    are read for it, and `dropped` of the oldest messages no longer fitted. A responder elsewhere fills in on the way
    what it learns late."""

    pieces: Iterator[ReplyPiece]
    most: int
    read: int = 0
    dropped: int = 0
    written: int | None = None
    """Tokens, where they aren't as many as the steps."""
    state: str | None = None
    """How it ended, where that isn't told by the number of its tokens; "broken" if it was cut off by a fault."""
    stats: str = "chat.stats"
    """Key of the sentence that says how many tokens there were, and how fast."""
    remarks: list[tuple[str, dict[str, object]]] = field(default_factory=list)
    """What else is to be said of it: keys and their values."""

    def close(self) -> None:
        """Let the model stop at once, also when nobody asks for the next piece."""
        close = getattr(self.pieces, "close", None)
        if close is not None:
            close()


class Responder(Protocol):
    """What a conversation needs of a model. `where` is the server it runs on, None if that is this process; `seconds`
    are the most a reply may take, None for as many as the chat allows."""

    where: str | None
    seconds: float | None

    def reply(self, messages: Sequence[Message], settings: Settings) -> ReplyStream:
        """Answer the last message. Raises `Problem`, perhaps only with its first piece, if it cannot be."""

    def alternatives(self, step: Any) -> dict[str, Any]:
        """What else one token might have been, as {"chosen": row, "rows": [row, ...]}, the likeliest first."""


class LocalResponder:
    """A model that is open in this process."""

    where: str | None = None
    seconds: float | None = None

    def __init__(self, opened: Opened, generate: Generate | None = None) -> None:
        """`generate` makes its tokens; without it, each reply is made by itself."""
        self.opened = opened
        self.generate = generate

    def reply(self, messages: Sequence[Message], settings: Settings) -> ReplyStream:
        """Answer the last message. Raises `Problem` if it is too long to be read."""
        model, tokenizer, chat_format = self.opened.model, self.opened.tokenizer, self.opened.chat_format
        length = model.config.max_position_embeddings
        most = min(settings.max_tokens, length // 2)  # at least half of the context stays for reading
        try:
            prompt = prompt_ids(messages, tokenizer, length, most, chat_format=chat_format)
        except ValueError as error:
            raise Problem("problem.does_not_fit", limit=length - most) from error
        pieces = reply_to(
            prompt, model, tokenizer, settings.sampling, most, settings.seed, ALTERNATIVES,
            chat_format=chat_format, generate=self.generate,
        )  # fmt: skip
        return ReplyStream(pieces, most, len(prompt.ids), prompt.dropped)

    def alternatives(self, step: Step) -> dict[str, Any]:
        """The ten likeliest tokens of a step, the chosen one marked."""
        rows = [self._row(id, probability) | {"chosen": id == step.id} for id, probability in step.alternatives]
        return {"chosen": self._row(step.id, step.probability), "rows": rows}

    def _row(self, id: int, probability: float) -> dict[str, Any]:
        tokenizer, config = self.opened.tokenizer, self.opened.config
        ends = id in self.opened.chat_format.stop_ids or (id in config.eos_token_ids and tokenizer.is_special(id))
        return _row(tokenizer.token_text(id), probability, ends)


OPTIONS = ("logprobs", "usage", "extras")
"""What a request may do without; left out in this order where a server refuses it and doesn't say what it minds."""

MAY_MIND_OPTIONS = (None, 400, 422, 500, 501)
"""Answers of a server that may mind an option. None: broken off before its first word, as llama-cpp-python does."""
TOO_LONG = re.compile(r"context.{0,30}(length|size|window)|exceed.{0,40}context", re.IGNORECASE)


class RemoteResponder:
    """A model of an OpenAI-compatible server."""

    seconds: float | None = SECONDS_ELSEWHERE

    def __init__(self, model: RemoteModel) -> None:
        self.model = model
        self.where: str | None = model.engine.where

    def reply(self, messages: Sequence[Message], settings: Settings) -> ReplyStream:
        """Answer the last message. A fault before the first word is raised with it, a later one ends the reply."""
        stream = ReplyStream(iter(()), settings.max_tokens, stats="chat.stats_pieces")
        stream.pieces = self._pieces(stream, list(messages), settings)
        return stream

    def alternatives(self, step: TextStep) -> dict[str, Any]:
        """The likeliest tokens of a step, as far as the server told them, and which server that is."""
        rows = [_row(text, probability) | {"chosen": text == step.text} for text, probability in step.alternatives]
        return {"chosen": _row(step.text, step.probability), "rows": rows, "engine": self.where}

    def _pieces(self, stream: ReplyStream, messages: list[Message], settings: Settings) -> Iterator[RemotePiece]:
        count = length = 0
        try:
            for delta in self._deltas(stream, messages, settings):
                if delta is None:
                    yield RemotePiece()
                    continue
                for text, token in zip(delta.parts, delta.tokens, strict=True):
                    if count == stream.most:  # the server ignores `max_tokens`
                        stream.state = "length"
                        return
                    text = text if length else text.removeprefix(" ")  # as of a model that is here
                    count, length = count + 1, length + len(text)
                    if length > LONGEST_REPLY:
                        raise EngineError("problem.engine_too_much", where=self.where)
                    yield RemotePiece(text, token)
        except Problem as problem:
            if not count:
                raise
            stream.state = "broken"
            stream.remarks.append((problem.key, problem.values))

    def _deltas(self, stream: ReplyStream, messages: list[Message], settings: Settings) -> Iterator[ChatDelta | None]:
        """What the server sends. Where it refuses, it is asked with fewer options, or without the oldest messages."""
        engine, id = self.model.engine, self.model.id
        options = engine.accepted_options.get(id, OPTIONS)
        while True:
            heard = False
            try:
                with closing(engine.chat(self._body(messages, settings, options))) as deltas:
                    for delta in deltas:
                        if delta is not None:
                            heard = heard or bool(delta.tokens)
                            _note(stream, delta)
                        yield delta
                if stream.state is None:
                    raise EngineError("problem.engine_cut", where=self.where)
                engine.accepted_options[id] = options
                if settings.top_k and "extras" not in options:
                    stream.remarks.append(("chat.engine_no_top_k", {"where": self.where}))
                return
            except EngineError as error:
                minds = error.key in ("problem.engine_cut", "problem.engine_refused", "problem.engine_failed")
                if heard or not minds or error.status not in MAY_MIND_OPTIONS:
                    raise
                too_long = TOO_LONG.search(error.server_message) is not None
                if options and id not in engine.accepted_options and not too_long:
                    options = _fewer(options, settings, error.server_message)
                elif len(messages) > 2 and (too_long or error.key == "problem.engine_cut"):
                    messages = messages[2:]
                    stream.dropped += 2
                elif too_long:
                    raise Problem("problem.engine_too_long", where=self.where) from error
                elif error.key == "problem.engine_cut":
                    raise Problem("problem.engine_no_word", where=self.where) from error
                else:
                    raise

    def _body(self, messages: list[Message], settings: Settings, options: Sequence[str]) -> dict[str, Any]:
        body = {
            "model": self.model.id, "messages": [asdict(message) for message in messages], "stream": True,
            "max_tokens": settings.max_tokens, "temperature": settings.temperature, "top_p": settings.top_p,
            "seed": settings.seed,
        }  # fmt: skip
        for option in options:
            body |= _fields(option, settings)
        return body


def _fields(option: str, settings: Settings) -> dict[str, Any]:
    if option == "logprobs":
        return {"logprobs": True, "top_logprobs": ALTERNATIVES}
    if option == "usage":
        return {"stream_options": {"include_usage": True}}
    # Servers have defaults of their own for these, and what the sliders say is to be what is done. vLLM and llama.cpp
    # spell the penalty differently; each lets the other's pass.
    penalty = settings.repetition_penalty
    return {"top_k": settings.top_k, "min_p": 0, "repetition_penalty": penalty, "repeat_penalty": penalty}


def _fewer(options: Sequence[str], settings: Settings, said: str) -> tuple[str, ...]:
    named = [option for option in options if any(name in said for name in _fields(option, settings))] or options[:1]
    return tuple(option for option in options if option not in named)


def _note(stream: ReplyStream, delta: ChatDelta) -> None:
    if delta.finish_reason is not None:
        stream.state = "length" if delta.finish_reason == "length" else "done"
    if delta.prompt_tokens is not None:
        stream.read = delta.prompt_tokens
    if delta.completion_tokens is not None:
        stream.written = delta.completion_tokens
    if delta.completion_tokens is not None or any(token.probability is not None for token in delta.tokens):
        stream.stats = "chat.stats_engine"


def _row(text: str, probability: float | None, ends: bool = False) -> dict[str, Any]:
    return {"text": text, "ends": ends, "probability": probability and round(probability, 6)}
