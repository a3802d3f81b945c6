"""Who answers in a conversation. The chat asks a speaker for a reply and needn't know where its model runs."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from app.settings import Settings
from app.words import Problem
from litellama.chat import Message, Piece, beginning_id, prompt_ids, reply
from litellama.checkpoint import Opened
from litellama.generate import Step

ALTERNATIVES = 10


@dataclass
class Speech:
    """A reply that begins when its `pieces` are asked for. It may have `most` tokens, read `read` many of the prompt,
    and `dropped` of the oldest messages no longer fitted."""

    pieces: Iterator[Piece]
    most: int
    read: int
    dropped: int = 0

    def close(self) -> None:
        """Let the model stop at once, also when nobody asks for the next piece."""
        close = getattr(self.pieces, "close", None)
        if close is not None:
            close()


class Speaker(Protocol):
    """What a conversation needs of a model."""

    def reply(self, messages: Sequence[Message], settings: Settings) -> Speech:
        """Answer the last message. Raises `Problem` if it cannot be."""

    def alternatives(self, step: Step) -> dict[str, Any]:
        """What else one token might have been, as {"chosen": row, "rows": [row, ...]}, the likeliest first."""


class LocalSpeaker:
    """A model that is open in this process."""

    def __init__(self, opened: Opened) -> None:
        self.opened = opened

    def reply(self, messages: Sequence[Message], settings: Settings) -> Speech:
        """Answer the last message. Raises `Problem` if it is too long to be read."""
        model, tokenizer = self.opened.model, self.opened.tokenizer
        length = model.config.max_position_embeddings
        most = min(settings.max_tokens, length // 2)  # at least half of the context stays for reading
        try:
            prompt = prompt_ids(messages, tokenizer, length, most, beginning_id(model, tokenizer))
        except ValueError as error:
            raise Problem("problem.does_not_fit", limit=length - most) from error
        pieces = reply(model, tokenizer, messages, settings.sampling, most, settings.seed, ALTERNATIVES)
        return Speech(pieces, most, len(prompt.ids), prompt.dropped)

    def alternatives(self, step: Step) -> dict[str, Any]:
        """The ten likeliest tokens of a step, the chosen one marked."""
        rows = [self._row(id, probability) | {"chosen": id == step.id} for id, probability in step.alternatives]
        return {"chosen": self._row(step.id, step.probability), "rows": rows}

    def _row(self, id: int, probability: float) -> dict[str, Any]:
        tokenizer, config = self.opened.tokenizer, self.opened.config
        ends = id == tokenizer.special("<|end|>") or (id in config.eos_token_ids and tokenizer.is_special(id))
        return {"text": tokenizer.token_text(id), "ends": ends, "probability": round(probability, 6)}
