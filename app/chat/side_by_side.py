"""Two models side by side: one message, two voices that answer it, and if it is blind, a vote before the names."""

from __future__ import annotations

import logging
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Iterator
from contextlib import suppress
from queue import Empty, SimpleQueue
from typing import Any

from app.chat.blind_test import VOTES, Comparison, Exchange, Label, Outcome, Pair, PairRequest
from app.chat.conversation import MOST_TURNS, Update, Voice
from app.common.errors import as_problem
from app.common.settings import Settings
from app.common.strings import Problem
from app.models.registry import LONGEST_TITLE, Models

MOST_PAGES = 200
SECONDS_BETWEEN_UPDATES = 0.2
SECONDS_OF_SILENCE = 1.0  # after which the page is told that its answers are still awaited
SECONDS_HELD = 60.0  # after which a page that asks for no more news of its two replies is held to have gone

News = SimpleQueue[tuple[int, Outcome | None]]
Answer = Callable[[Voice, str, Settings], Iterator[Update]]

log = logging.getLogger("litellama.app")


class SideBySide:
    """The comparisons of all pages. Safe to be used by many threads, one pair by one message at a time."""

    def __init__(self, models: Models, answer: Answer) -> None:
        """`answer` lets a voice reply, and ends by itself after a while."""
        self._models = models
        self._answer = answer
        self._comparisons: OrderedDict[str, Comparison] = OrderedDict()
        self._lock = threading.Lock()

    def ask(self, key: str, question: str, wish: PairRequest) -> Iterator[dict[str, Any]]:
        """Let both reply to a new message. Another wish than before begins a new pair."""
        comparison = self._comparison(key)
        pair = comparison.pair
        if pair is None or not pair.fits(wish):
            self.clear(key)
            comparison.rounds += 1
            pair = comparison.pair = Pair(comparison.rounds, wish)
        with pair.pen.held(SECONDS_HELD) as hold_on:
            yield from self._both(pair, question, wish, hold_on)

    def redo(self, key: str, question: str | None, wish: PairRequest) -> Iterator[dict[str, Any]]:
        """Let both reply to the last message once more; `question` replaces it."""
        pair = self._comparison(key).pair
        if pair is None or not pair.fits(wish) or not pair.exchanges:
            raise Problem("problem.nothing_to_redo")
        with pair.pen.held(SECONDS_HELD) as hold_on:
            last = pair.exchanges.pop()
            for voice, outcome in zip(pair.voices, last.sides, strict=True):
                if isinstance(outcome, Update):  # who failed has no turn to be dropped
                    voice.conversation.drop_last()
            yield from self._both(pair, question or last.question, wish, hold_on)

    def vote(self, key: str, number: object, vote: object) -> dict[str, Any]:
        """Say which side of a blind pair was better: what both are, what they took, and all votes so far."""
        comparison = self._comparison(key)
        pair = comparison.pair
        if pair is None or type(number) is not int or pair.number != number or vote not in VOTES:
            raise Problem("problem.no_vote")
        with pair.pen.held(SECONDS_HELD):
            if not (pair.hidden and pair.exchanges and pair.exchanges[-1].over):
                raise Problem("problem.no_vote")
            pair.hidden = False
            comparison.count(str(vote), pair.exchanges[-1].labels)
        return pair.to_json(whole=True) | {"vote": vote, "tally": comparison.tally_json()}

    def voice(self, key: str, number: object, side: object) -> Voice:
        """Who speaks on one side, for its tokens to be looked into. Raises `Problem` until the vote."""
        pair = self._comparison(key).pair
        if pair is None or type(number) is not int or pair.number != number:
            raise Problem("problem.forgotten")
        if pair.hidden:
            raise Problem("problem.vote_first")
        if type(side) is not int or side not in (0, 1):
            raise Problem("problem.request")
        return pair.voices[side]

    def stop(self, key: str) -> None:
        """Let both running replies end with the token they are at."""
        pair = self._comparison(key).pair
        if pair is not None:
            pair.stop()

    def clear(self, key: str) -> None:
        """Erase both conversations, also while they are being written; the votes stay."""
        comparison = self._comparison(key)
        pair, comparison.pair = comparison.pair, None
        self._erase(pair)

    def leave(self, key: str) -> None:
        """Forget all of a page that was closed."""
        with self._lock:
            comparison = self._comparisons.pop(key, None)
        if comparison is not None:
            self._erase(comparison.pair)

    def _erase(self, pair: Pair | None) -> None:
        if pair is not None:
            pair.stop()
            for voice in pair.voices:
                self._models.forget(voice.conversation.owner)

    def _comparison(self, key: str) -> Comparison:
        with self._lock:
            comparison = self._comparisons.setdefault(key, Comparison())
            self._comparisons.move_to_end(key)
            oldest = next(iter(self._comparisons)) if len(self._comparisons) > MOST_PAGES else None
        if oldest is not None:
            self.leave(oldest)
        return comparison

    def _both(
        self, pair: Pair, question: str, wish: PairRequest, hold_on: Callable[[], None]
    ) -> Iterator[dict[str, Any]]:
        settings = pair.settings(wish)
        away = {one.name: one.title for one in self._models.known_remote_models()}
        elsewhere = any(voice.model in away for voice in pair.voices)
        exchange = Exchange(question, self._labels(pair, settings, away), wish.in_turn, elsewhere)
        pair.exchanges.append(exchange)
        del pair.exchanges[:-MOST_TURNS]
        stopped = pair.stopped = threading.Event()
        news: News = SimpleQueue()

        def speak(*sides: int) -> None:
            for side in sides:
                for outcome in self._outcomes(pair.voices[side], question, settings[side], stopped):
                    news.put((side, outcome))
                news.put((side, None))

        for sides in [(0, 1)] if wish.in_turn else [(0,), (1,)]:
            threading.Thread(target=speak, args=sides, daemon=True).start()
        running, told, beat = 2, 0.0, 0
        try:
            while running:
                hold_on()
                for side, outcome in _collect(news, told):
                    running -= outcome is None
                    exchange.sides[side] = outcome or exchange.sides[side]
                if not running:
                    exchange.over = True
                    revealed = pair.hidden and any(isinstance(side, Problem) for side in exchange.sides)
                    pair.hidden = pair.hidden and not revealed  # a side without an answer can't be voted on
                    yield pair.to_json(whole=revealed) | {"beat": beat}
                    return
                told, beat = time.monotonic(), beat + 1
                yield pair.to_json() | {"beat": beat}  # without a difference, Gradio would send nothing
        finally:
            if not exchange.over:
                pair.stop()

    def _labels(self, pair: Pair, settings: list[Settings], away: dict[str, str]) -> tuple[Label, Label]:
        listed = {one.name: one.title for one in self._models.local_models()} | away
        names = [voice.model for voice in pair.voices]
        titles = [listed.get(name, name[:LONGEST_TITLE]) for name in names]
        if titles[0] == titles[1] and names[0] != names[1]:
            titles = [f"{title} ({name})" for title, name in zip(titles, names, strict=True)]
        differ = settings[0].temperature != settings[1].temperature
        first, second = (
            Label(title, one.temperature if differ else None) for title, one in zip(titles, settings, strict=True)
        )
        return first, second

    def _outcomes(self, voice: Voice, question: str, settings: Settings, stopped: threading.Event) -> Iterator[Outcome]:
        if stopped.is_set():
            yield Problem("problem.not_begun")
            return
        try:
            for update in self._answer(voice, question, settings):
                if stopped.is_set():  # perhaps while the model was being opened, before its conversation could hear it
                    voice.conversation.stop.set()
                yield update
        except Exception as error:  # one side's failure is a sentence on that side
            yield as_problem(error, "one side of a comparison")


def _collect(news: News, told: float) -> list[tuple[int, Outcome | None]]:
    """What is new since `told`, a few times a second at most; nothing at all after a second's silence."""
    try:
        found = [news.get(timeout=SECONDS_OF_SILENCE)]
    except Empty:
        return []
    time.sleep(max(0.0, told + SECONDS_BETWEEN_UPDATES - time.monotonic()))
    with suppress(Empty):
        while True:
            found.append(news.get_nowait())
    return found
