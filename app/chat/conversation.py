"""A conversation with one model, stored on the server: a page cannot forge a history, and a click can ask what else a
token might have been."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from typing import Any

from app.chat.energy import ReplyCost
from app.chat.responders import ReplyPiece
from app.common.strings import Problem
from app.models.openai_stream import TextStep
from app.models.page_models import ChosenModel
from litellama.chat import Message
from litellama.generate import Progress, Step

MOST_TURNS = 50  # older ones are forgotten


@dataclass
class Turn:
    """A question, and the reply as far as it is written. `pieces[i]` is the text that `steps[i]` added; `last_update`
    is what the page was told when the reply ended."""

    number: int
    question: str
    pieces: list[str] = field(default_factory=list)
    steps: list[Step | TextStep] = field(default_factory=list)
    last_update: Update | None = None

    @property
    def reply(self) -> str:
        return "".join(self.pieces)

    def add(self, piece: ReplyPiece) -> None:
        if piece.step is not None:
            self.pieces.append(piece.text)
            self.steps.append(piece.step)
        elif self.pieces:
            self.pieces[-1] += piece.text  # text that was held back until the end belongs to the last token

    def tokens(self) -> list[tuple[str, float | None]]:
        """Text and probability, None if it isn't known, of each token so far."""
        return [(text, step.probability) for text, step in zip(self.pieces, self.steps, strict=True)]

    def step(self, token: object) -> Step | TextStep:
        if type(token) is not int or not 0 <= token < len(self.steps):
            raise Problem("problem.forgotten")
        return self.steps[token]


@dataclass(frozen=True)
class Update:
    """What the page is told while a reply is written. `state`: running, done, stopped, length, time or broken.

    `tokens` are (text, probability) of the reply so far, `written` their number if that isn't it; `dropped` is how many
    old messages no longer fitted. At its end, `cost` is what it took, and `total` what the conversation took. `stats`
    is the key of the sentence with the figures, `remarks` are those of others and their values. Until the first token
    came, `progress` says how far it is.
    """

    turn: int
    state: str
    tokens: list[tuple[str, float | None]]
    dropped: int
    seed: int
    seconds: float
    cost: ReplyCost | None = None
    total: ReplyCost | None = None
    written: int | None = None
    stats: str = "chat.stats"
    remarks: Sequence[tuple[str, dict[str, object]]] = ()
    progress: Progress | None = None

    def to_json(self) -> dict[str, Any]:
        count = len(self.tokens) if self.written is None else self.written
        per_second = round(count / self.seconds, 1) if self.seconds > 0 else 0.0
        return {
            "turn": self.turn, "state": self.state, "dropped": self.dropped, "seed": self.seed,
            "tokens": [[text, probability and round(probability, 4)] for text, probability in self.tokens],
            "count": count, "seconds": round(self.seconds, 2), "per_second": per_second,
            "stats": self.stats, "remarks": [list(remark) for remark in self.remarks],
            "bill": self.cost and self.cost.to_json(), "total": self.total and self.total.to_json(),
            "progress": self.progress and asdict(self.progress),
        }  # fmt: skip


class ExclusiveLock:
    """A lock that one at a time may hold, for a limited time: whoever dropped it without a word loses it then."""

    def __init__(self) -> None:
        self._busy_until = 0.0
        self._lock = threading.Lock()

    @contextmanager
    def held(self, seconds: float) -> Iterator[Callable[[], None]]:
        """Hold it for `seconds`; gives a function that renews this. Raises `Problem` while another holds it."""
        with self._lock:
            if time.monotonic() < self._busy_until:  # guard: busy-ends
                raise Problem("problem.busy")
            mine = self._busy_until = time.monotonic() + seconds

        def renew() -> None:
            nonlocal mine
            with self._lock:
                if self._busy_until == mine:
                    mine = self._busy_until = time.monotonic() + seconds

        try:
            yield renew
        finally:
            with self._lock:
                if self._busy_until == mine:
                    self._busy_until = 0.0


class Conversation:
    """The turns so far with one model, whether a reply is being written, and what all replies took, also those that
    were asked again."""

    def __init__(self, model: ChosenModel) -> None:
        self.model = model
        self.turns: list[Turn] = []
        self.stop = threading.Event()
        self.owner = object()
        """By which a model knows what it stores of this conversation (`litellama.serving.prefix_cache`)."""
        self.cost = ReplyCost()
        self._next_number = 0
        self._writing = ExclusiveLock()

    @contextmanager
    def writing(self, seconds: float) -> Iterator[Callable[[], None]]:
        """One reply at a time. A reply that was dropped without a word makes room after `seconds`, unless the function
        that is given is called before."""
        with self._writing.held(seconds) as renew:
            self.stop.clear()
            yield renew

    def begin(self, question: str) -> Turn:
        turn = Turn(self._next_number, question)
        self._next_number += 1
        self.turns.append(turn)
        del self.turns[:-MOST_TURNS]  # guard: bounded-history
        return turn

    def ended_turns(self) -> list[Turn]:
        """Without the turn whose reply is being written or was broken off."""
        return [turn for turn in self.turns if turn.last_update is not None]

    def continued(self, model: ChosenModel) -> Conversation:
        """The same conversation for another page, without a reply that was broken off or is still being written."""
        other = Conversation(model)
        other.turns = self.ended_turns()
        other.cost, other._next_number = self.cost, self._next_number
        return other

    def to_json(self) -> list[dict[str, Any]]:
        """Each question with what the page was told at the end of its reply."""
        return [
            {"question": turn.question} | turn.last_update.to_json()
            for turn in self.turns
            if turn.last_update is not None
        ]

    def drop_last(self) -> Turn:
        """Take the last turn away, to ask it again or otherwise."""
        if not self.turns:
            raise Problem("problem.nothing_to_redo")
        return self.turns.pop()

    def turn(self, number: object) -> Turn:
        for turn in self.turns:
            if type(number) is int and turn.number == number:
                return turn
        raise Problem("problem.forgotten")

    def messages(self) -> list[Message]:
        """What the model is to read; an empty reply (stopped before its first word) is left out with its question."""
        *before, last = self.turns
        answered = [turn for turn in before if turn.reply]
        history = [
            message
            for turn in answered
            for message in (Message("user", turn.question), Message("assistant", turn.reply))
        ]
        return [*history, Message("user", last.question)]
