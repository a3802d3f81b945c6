"""Writes replies: asks who answers for tokens, and tells how far the reply is until it ends or must be ended."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from contextlib import closing, nullcontext
from dataclasses import replace
from functools import partial
from typing import Any

from app.chat.conversation import Conversation, Turn, Update
from app.chat.energy import ReplyCost, ReplyMeter
from app.chat.responders import LocalResponder, RemoteResponder, ReplyStream, Responder
from app.common.errors import as_problem
from app.common.settings import MOST_TOKENS_IN_CLASS, Settings
from app.common.strings import Problem
from app.models.page_models import PageModels
from litellama.generate import Progress

SECONDS_IN_CLASS = 30.0  # that a reply may take there, so that everybody's turn comes
SECONDS_HELD = 60.0  # after which a reply that nobody listens to any more makes room for the next
SECONDS_BETWEEN_UPDATES = 0.2
SECONDS_BETWEEN_BEATS = 10.0  # in which the page is told again that nothing changed, and so isn't lost
SECONDS_BEFORE_PROGRESS = 1.0  # of waiting for the first token, before the page is told how far it is

CheckWanted = Callable[[], None]


def always_wanted() -> None:
    """Nobody can have stopped this message before its turn came."""


class ReplyWriter:
    """Lets models reply. Safe to be used by many threads, one conversation by one reply at a time."""

    def __init__(
        self, models: PageModels, meter: ReplyMeter, *, in_class: bool = False, seconds_per_reply: float | None = None
    ) -> None:
        """A reply is bounded by its tokens; in a class also by `SECONDS_IN_CLASS`, anywhere by `seconds_per_reply`
        where they are given."""
        self.models, self.meter = models, meter
        self.in_class, self.seconds_per_reply = in_class, seconds_per_reply

    def answer(
        self,
        conversation: Conversation,
        question: str,
        settings: Settings,
        check_wanted: CheckWanted = always_wanted,
    ) -> Iterator[Update]:
        """Reply to a new message. `check_wanted` raises `Problem` if its page stopped it while the model was opened."""
        responder = self._responder(conversation)
        with conversation.writing(SECONDS_HELD) as renew:
            check_wanted()
            yield from self._write(responder, conversation, question, settings, renew)

    def answer_again(
        self, conversation: Conversation, question: str | None, settings: Settings, check_wanted: CheckWanted
    ) -> Iterator[Update]:
        """Reply to the last message once more; `question` replaces it, None keeps it."""
        responder = self._responder(conversation)
        with conversation.writing(SECONDS_HELD) as renew:
            check_wanted()
            last = conversation.drop_last()
            try:
                yield from self._write(responder, conversation, question or last.question, settings, renew)
            except Problem:
                conversation.turns.append(last)  # nothing is lost by a message that could not be used
                raise

    def alternatives(self, conversation: Conversation, turn: object, token: object) -> dict[str, Any]:
        """The ten likeliest tokens at one position of a reply, as {"chosen", "probability", "rows": [...]}."""
        step = conversation.turn(turn).step(token)
        return self._responder(conversation).alternatives(step)

    def stop_and_erase(self, conversation: Conversation) -> None:
        """End the reply under way, and erase what models have stored of the conversation."""
        conversation.stop.set()
        self.models.models.forget(conversation.owner)

    def _responder(self, conversation: Conversation) -> Responder:
        """Who answers. Raises `Problem` if it cannot be had, or isn't who answered here before."""
        remote = self.models.models.remote(conversation.model.name)
        if remote is not None:
            return RemoteResponder(remote)
        model = self.models.open(conversation.model)
        return LocalResponder(model.opened, partial(model.engine.follow, owner=conversation.owner))

    def _most_seconds(self, responder: Responder) -> float:
        """The most a reply may take."""
        if responder.seconds is not None:
            return responder.seconds
        if self.seconds_per_reply is not None:
            return self.seconds_per_reply
        return SECONDS_IN_CLASS if self.in_class else math.inf

    def _write(
        self,
        responder: Responder,
        conversation: Conversation,
        question: str,
        settings: Settings,
        renew: Callable[[], None],
    ) -> Iterator[Update]:
        if self.in_class:
            settings = replace(settings, max_tokens=min(settings.max_tokens, MOST_TOKENS_IN_CLASS))
        turn = conversation.begin(question)
        try:
            yield from self._updates(responder, conversation, turn, settings, renew)
        except Exception as error:  # one user's failure: a sentence for that user; guard: failing-model
            conversation.turns.remove(turn)
            raise as_problem(error, "a reply") from error

    def _updates(
        self,
        responder: Responder,
        conversation: Conversation,
        turn: Turn,
        settings: Settings,
        renew: Callable[[], None],
    ) -> Iterator[Update]:
        stream = responder.reply(conversation.messages(), settings)
        most_seconds, start = self._most_seconds(responder), time.monotonic()
        pace = _Pace(start)

        def why_ended() -> str | None:
            """Why the reply must end now, if it must."""
            if conversation.stop.is_set():
                return "stopped"
            if time.monotonic() - start > most_seconds:  # guard: reply-time
                return "time" if responder.where is None else "late"
            return None

        metered = self.meter.share(SECONDS_HELD) if responder.where is None else nullcontext()
        with closing(stream), metered as share:
            for piece in stream.pieces:
                renew()
                if share is not None:
                    share.renew(SECONDS_HELD)
                turn.add(piece)
                state = why_ended()
                if state:
                    break
                progress = None if turn.steps else piece.progress
                if piece.progress is not None:
                    stream.read = piece.progress.read - piece.progress.stored
                    if progress is None or not pace.is_worth_telling(progress):
                        continue
                if pace.is_time():
                    yield _update(turn, "running", stream, settings, start, progress=progress)
            else:
                state = why_ended() or stream.state or ("length" if len(turn.steps) >= stream.most else "done")
            cost = self.meter.cost(share, stream.read, stream.written or len(turn.steps))
        conversation.cost += cost
        turn.last_update = _update(turn, state, stream, settings, start, cost, conversation.cost)
        yield turn.last_update


class _Pace:
    """When the page is told how far a reply is."""

    def __init__(self, start: float) -> None:
        self._start = start
        self._last_update = 0.0  # so the first text is told at once
        self._last_progress: Progress | None = None

    def is_worth_telling(self, progress: Progress) -> bool:
        """Of the time before the first token: in a class, forty may wait at once."""
        now = time.monotonic()
        is_early = now - self._start < SECONDS_BEFORE_PROGRESS
        is_known = progress == self._last_progress and now - self._last_update < SECONDS_BETWEEN_BEATS
        if is_early or is_known:
            return False
        self._last_progress = progress
        return True

    def is_time(self) -> bool:
        if time.monotonic() - self._last_update < SECONDS_BETWEEN_UPDATES:
            return False
        self._last_update = time.monotonic()
        return True


def _update(
    turn: Turn,
    state: str,
    stream: ReplyStream,
    settings: Settings,
    start: float,
    cost: ReplyCost | None = None,
    total: ReplyCost | None = None,
    progress: Progress | None = None,
) -> Update:
    return Update(
        turn.number, state, turn.tokens(), stream.dropped, settings.seed, time.monotonic() - start, cost, total,
        stream.written, stream.stats, stream.remarks, progress,
    )  # fmt: skip
