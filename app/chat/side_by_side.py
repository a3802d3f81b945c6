"""Two models side by side: one message, two answers to it, and if it is blind, a vote before the names."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from queue import Empty, SimpleQueue
from typing import Any

from app.chat.blind_test import VOTES, Comparison, Exchange, Label, Outcome, Pair, PairRequest
from app.chat.conversation import MOST_TURNS, Conversation, Update
from app.chat.reply_writer import ReplyWriter
from app.common.errors import as_problem
from app.common.page_lifecycle import PageService
from app.common.page_store import PageStore
from app.common.settings import Settings
from app.common.strings import Problem
from app.models.page_models import MOST_PAGES
from app.models.registry import LONGEST_TITLE

SECONDS_BETWEEN_UPDATES = 0.2
SECONDS_OF_SILENCE = 1.0  # after which the page is told that its answers are still awaited
SECONDS_HELD = 60.0  # after which a page that listens to its two replies no more is taken to have gone

Outcomes = SimpleQueue[tuple[int, Outcome | None]]

log = logging.getLogger("litellama.app")


class SideBySide(PageService):
    """The comparisons of all pages. Safe to be used by many threads, one pair by one message at a time."""

    def __init__(self, writer: ReplyWriter) -> None:
        self._writer = writer
        self._models = writer.models.models
        self._comparisons: PageStore[Comparison] = PageStore(
            MOST_PAGES, lambda _, comparison: self._stop_and_erase(comparison.pair)
        )
        super().__init__(self._comparisons)

    def ask(self, page: str, question: str, request: PairRequest) -> Iterator[dict[str, Any]]:
        """Let both reply to a new message. Other models than before begin a new pair."""
        comparison = self._comparison(page)
        pair = comparison.pair
        if pair is None or not pair.fits(request):
            self.erase(page)
            comparison.rounds += 1
            pair = comparison.pair = Pair(comparison.rounds, request)
        with pair.writing.held(SECONDS_HELD) as renew:
            yield from self._both(pair, question, request, renew)

    def redo(self, page: str, question: str | None, request: PairRequest) -> Iterator[dict[str, Any]]:
        """Let both reply to the last message once more; `question` replaces it."""
        pair = self._comparison(page).pair
        if pair is None or not pair.fits(request) or not pair.exchanges:
            raise Problem("problem.nothing_to_redo")
        with pair.writing.held(SECONDS_HELD) as renew:
            last = pair.exchanges.pop()
            for conversation, outcome in zip(pair.conversations, last.sides, strict=True):
                if isinstance(outcome, Update):  # who failed has no turn to be dropped
                    conversation.drop_last()
            yield from self._both(pair, question or last.question, request, renew)

    def vote(self, page: str, number: object, vote: object) -> dict[str, Any]:
        """Say which side of a blind pair was better: what both are, what they took, and all votes so far."""
        comparison = self._comparison(page)
        pair = comparison.pair
        if pair is None or type(number) is not int or pair.number != number or vote not in VOTES:
            raise Problem("problem.no_vote")
        with pair.writing.held(SECONDS_HELD):
            if not (pair.hidden and pair.exchanges and pair.exchanges[-1].over):
                raise Problem("problem.no_vote")
            pair.hidden = False
            comparison.count(str(vote), pair.exchanges[-1].labels)
        return pair.to_json(whole=True, vote=vote, tally=comparison.tally_json())

    def conversation(self, page: str, number: object, side: object) -> Conversation:
        """What was said on one side, for its tokens to be looked into. Raises `Problem` until the vote."""
        pair = self._comparison(page).pair
        if pair is None or type(number) is not int or pair.number != number:
            raise Problem("problem.forgotten")
        if pair.hidden:
            raise Problem("problem.vote_first")
        if type(side) is not int or side not in (0, 1):
            raise Problem("problem.request")
        return pair.conversations[side]

    def alternatives(self, page: str, number: object, side: object, turn: object, token: object) -> dict[str, Any]:
        """What else a token of one side might have been. Raises `Problem` until the vote."""
        return self._writer.alternatives(self.conversation(page, number, side), turn, token)

    def stop(self, page: str) -> None:
        """Let both running replies end with the token they are at."""
        pair = self._comparison(page).pair
        if pair is not None:
            pair.stop()

    def erase(self, page: str) -> None:
        """Erase both conversations, also while they are being written; the votes stay."""
        comparison = self._comparison(page)
        pair, comparison.pair = comparison.pair, None
        self._stop_and_erase(pair)

    def _stop_and_erase(self, pair: Pair | None) -> None:
        if pair is not None:
            pair.stop()
            for conversation in pair.conversations:
                self._writer.stop_and_erase(conversation)

    def _comparison(self, page: str) -> Comparison:
        return self._comparisons.get_or_create(page, Comparison)

    def _both(
        self, pair: Pair, question: str, request: PairRequest, renew: Callable[[], None]
    ) -> Iterator[dict[str, Any]]:
        settings = pair.settings(request)
        away = {one.name: one.title for one in self._models.known_remote_models()}
        elsewhere = any(one.model.name in away for one in pair.conversations)
        exchange = Exchange(question, self._labels(pair, settings, away), request.in_turn, elsewhere)
        pair.exchanges.append(exchange)
        del pair.exchanges[:-MOST_TURNS]
        stopped = pair.stopped = threading.Event()
        outcomes: Outcomes = SimpleQueue()

        def reply(*sides: int) -> None:
            for side in sides:
                for outcome in self._outcomes(pair.conversations[side], question, settings[side], stopped):
                    outcomes.put((side, outcome))
                outcomes.put((side, None))

        for sides in [(0, 1)] if request.in_turn else [(0,), (1,)]:
            threading.Thread(target=reply, args=sides, daemon=True).start()
        running, last_update, beat = 2, 0.0, 0
        try:
            while running:
                renew()
                for side, outcome in _collect(outcomes, last_update):
                    running -= outcome is None
                    exchange.sides[side] = outcome or exchange.sides[side]
                if not running:
                    exchange.over = True
                    revealed = pair.hidden and any(isinstance(side, Problem) for side in exchange.sides)
                    pair.hidden = pair.hidden and not revealed  # a side without an answer can't be voted on
                    yield pair.to_json(whole=revealed, beat=beat)
                    return
                last_update, beat = time.monotonic(), beat + 1
                yield pair.to_json(beat=beat)  # without a difference, Gradio would send nothing
        finally:
            if not exchange.over:
                pair.stop()

    def _labels(self, pair: Pair, settings: list[Settings], away: dict[str, str]) -> tuple[Label, Label]:
        listed = {one.name: one.title for one in self._models.local_models()} | away
        names = [conversation.model.name for conversation in pair.conversations]
        titles = [listed.get(name, name[:LONGEST_TITLE]) for name in names]
        if titles[0] == titles[1] and names[0] != names[1]:
            titles = [f"{title} ({name})" for title, name in zip(titles, names, strict=True)]
        differ = settings[0].temperature != settings[1].temperature
        first, second = (
            Label(title, one.temperature if differ else None) for title, one in zip(titles, settings, strict=True)
        )
        return first, second

    def _outcomes(
        self, conversation: Conversation, question: str, settings: Settings, stopped: threading.Event
    ) -> Iterator[Outcome]:
        if stopped.is_set():
            yield Problem("problem.not_begun")
            return
        try:
            for update in self._writer.answer(conversation, question, settings):
                if stopped.is_set():  # perhaps while the model was being opened, before its conversation could hear it
                    conversation.stop.set()
                yield update
        except Exception as error:  # one side's failure is a sentence on that side
            yield as_problem(error, "one side of a comparison")


def _collect(outcomes: Outcomes, last_update: float) -> list[tuple[int, Outcome | None]]:
    """What is new since `last_update`, a few times a second at most; nothing at all after a second's silence."""
    try:
        found = [outcomes.get(timeout=SECONDS_OF_SILENCE)]
    except Empty:
        return []
    time.sleep(max(0.0, last_update + SECONDS_BETWEEN_UPDATES - time.monotonic()))
    with suppress(Empty):
        while True:
            found.append(outcomes.get_nowait())
    return found
