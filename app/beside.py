"""Two models side by side: one message, two voices that answer it, and if it is blind, a vote before the names.

All that a page is told of the two is made here. Until the vote on a blind comparison that is their texts, both at the
same moment, and nothing else: names, tokens, figures, reasons of failure and pace would each tell which is which.
"""

from __future__ import annotations

import logging
import secrets
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field, replace
from queue import Empty, SimpleQueue
from typing import Any

from app.conversation import MOST_TURNS, Pen, Update, Voice
from app.models import LONGEST_TITLE, Models
from app.settings import KNOBS, Settings, read_settings
from app.words import Problem

MOST_PAGES = 200
SECONDS_BETWEEN_UPDATES = 0.2
SECONDS_OF_SILENCE = 1.0  # after which the page is told that its answers are still awaited
MOST_SECONDS = 600.0  # that two models may take to be opened and to reply, before the page is held to have gone
VOTES = ("a", "b", "tie", "bad")

Outcome = Update | Problem
News = SimpleQueue[tuple[int, Outcome | None]]
Answer = Callable[[Voice, str, Settings], Iterator[Update]]

log = logging.getLogger("litellama.app")


@dataclass(frozen=True)
class Wish:
    """Which two models a page wants to hear, each by its own settings; and whether blind, and one after the other."""

    models: tuple[str, str]
    settings: tuple[Settings, Settings]
    blind: bool
    in_turn: bool


def read_wish(first: str, settings: object, sent: object) -> Wish:
    """Check what the browser sent: the page's model and settings, and of the second what differs. Raises `Problem`."""
    if not isinstance(sent, dict):
        raise Problem("problem.request")
    model, blind, in_turn = sent.get("model"), sent.get("blind"), sent.get("in_turn")
    if not (isinstance(model, str) and isinstance(blind, bool) and isinstance(in_turn, bool)):
        raise Problem("problem.request")
    own = read_settings(settings)
    temperature = KNOBS["temperature"].read("temperature", sent.get("temperature"))
    return Wish((first, model), (own, replace(own, temperature=temperature)), blind, in_turn)


@dataclass(frozen=True)
class Label:
    """What the user calls a side: the model's title, and its temperature where the two differ in it."""

    title: str
    temperature: float | None

    def to_json(self) -> dict[str, Any]:
        return {"title": self.title, "temperature": self.temperature}


@dataclass
class Exchange:
    """One message's two answers, as far as they are there; a side that failed has its `Problem`."""

    question: str
    labels: tuple[Label, Label]
    in_turn: bool
    sides: list[Outcome | None] = field(default_factory=lambda: [None, None])
    over: bool = False

    def to_json(self) -> dict[str, Any]:
        names = [label.to_json() for label in self.labels]
        return {"names": names, "in_turn": self.in_turn, "sides": [_outcome_json(side) for side in self.sides]}

    def hidden_json(self) -> dict[str, Any]:
        """The texts alone, and not before both are there."""
        texts = [_text_json(side) for side in self.sides if self.over and isinstance(side, Update)]
        return {"sides": texts if len(texts) == 2 else [None, None]}


def _outcome_json(outcome: Outcome | None) -> dict[str, Any] | None:
    if isinstance(outcome, Problem):
        return {"state": "problem", "problem": outcome.to_json()}
    return None if outcome is None else outcome.to_json()


def _text_json(update: Update) -> dict[str, Any]:
    return {"text": "".join(text for text, _ in update.tokens), "cut": update.state != "done"}


class Pair:
    """Two voices in the order in which the page shows them, which the server throws dice for if it is `hidden`."""

    def __init__(self, number: int, wish: Wish) -> None:
        self.number = number
        self.wish = wish
        self.hidden = wish.blind
        self.order = (1, 0) if wish.blind and secrets.randbelow(2) else (0, 1)
        self.voices = [Voice(wish.models[wished]) for wished in self.order]
        self.exchanges: list[Exchange] = []
        self.pen = Pen()
        self.stopped = threading.Event()

    def fits(self, wish: Wish) -> bool:
        return (self.wish.models, self.wish.blind) == (wish.models, wish.blind)

    def settings(self, wish: Wish) -> list[Settings]:
        """Of each side. A blind pair keeps its temperatures: to turn one of them would be to see which side changes."""
        kept = self.wish.settings if self.hidden else wish.settings
        return [replace(wish.settings[i], temperature=kept[i].temperature) for i in self.order]

    def stop(self) -> None:
        self.stopped.set()
        for voice in self.voices:
            voice.conversation.stop.set()

    def to_json(self, whole: bool = False) -> dict[str, Any]:
        """The last exchange, or all of them, as much of it as the page may know."""
        told = self.exchanges if whole else self.exchanges[-1:]
        turns = [exchange.hidden_json() if self.hidden else exchange.to_json() for exchange in told]
        return {"round": self.number, "hidden": self.hidden, "over": self.exchanges[-1].over, "turns": turns}


@dataclass
class Comparison:
    """One page's pair, and its votes so far."""

    pair: Pair | None = None
    rounds: int = 0
    wins: dict[Label, int] = field(default_factory=dict)
    others: dict[str, int] = field(default_factory=lambda: {"tie": 0, "bad": 0})

    def count(self, vote: str, labels: tuple[Label, Label]) -> None:
        for side, label in zip("ab", labels, strict=True):
            self.wins[label] = self.wins.get(label, 0) + (side == vote)
        if vote in self.others:
            self.others[vote] += 1

    def tally_json(self) -> dict[str, Any]:
        return {"wins": [label.to_json() | {"count": count} for label, count in self.wins.items()]} | self.others


class Beside:
    """The comparisons of all pages. Safe to be used by many threads, one pair by one message at a time."""

    def __init__(self, models: Models, answer: Answer) -> None:
        """`answer` lets a voice reply, and ends by itself after a while."""
        self._models = models
        self._answer = answer
        self._comparisons: OrderedDict[str, Comparison] = OrderedDict()
        self._lock = threading.Lock()

    def ask(self, key: str, question: str, wish: Wish) -> Iterator[dict[str, Any]]:
        """Let both reply to a new message. Another wish than before begins a new pair."""
        comparison = self._comparison(key)
        pair = comparison.pair
        if pair is None or not pair.fits(wish):
            self.clear(key)
            comparison.rounds += 1
            pair = comparison.pair = Pair(comparison.rounds, wish)
        with pair.pen.held(MOST_SECONDS):
            yield from self._both(pair, question, wish)

    def redo(self, key: str, question: str | None, wish: Wish) -> Iterator[dict[str, Any]]:
        """Let both reply to the last message once more; `question` replaces it."""
        pair = self._comparison(key).pair
        if pair is None or not pair.fits(wish) or not pair.exchanges:
            raise Problem("problem.nothing_to_redo")
        with pair.pen.held(MOST_SECONDS):
            last = pair.exchanges.pop()
            for voice, outcome in zip(pair.voices, last.sides, strict=True):
                if isinstance(outcome, Update):  # who failed has no turn to be dropped
                    voice.conversation.drop_last()
            yield from self._both(pair, question or last.question, wish)

    def vote(self, key: str, number: object, vote: object) -> dict[str, Any]:
        """Say which side of a blind pair was better: what both are, what they took, and all votes so far."""
        comparison = self._comparison(key)
        pair = comparison.pair
        if pair is None or type(number) is not int or pair.number != number or vote not in VOTES:
            raise Problem("problem.no_vote")
        with pair.pen.held(MOST_SECONDS):
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
        self.stop(key)
        self._comparison(key).pair = None

    def leave(self, key: str) -> None:
        """Forget all of a page that was closed."""
        with self._lock:
            comparison = self._comparisons.pop(key, None)
        if comparison is not None and comparison.pair is not None:
            comparison.pair.stop()

    def _comparison(self, key: str) -> Comparison:
        with self._lock:
            comparison = self._comparisons.setdefault(key, Comparison())
            self._comparisons.move_to_end(key)
            oldest = next(iter(self._comparisons)) if len(self._comparisons) > MOST_PAGES else None
        if oldest is not None:
            self.leave(oldest)
        return comparison

    def _both(self, pair: Pair, question: str, wish: Wish) -> Iterator[dict[str, Any]]:
        settings = pair.settings(wish)
        exchange = Exchange(question, self._labels(pair, settings), wish.in_turn)
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

    def _labels(self, pair: Pair, settings: list[Settings]) -> tuple[Label, Label]:
        listed = {one.name: one.title for one in self._models.listed()}
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
        except Problem as problem:
            yield problem
        except Exception:  # one side's failure is a sentence on that side
            log.exception("one side of a comparison failed")
            yield Problem("problem.unexpected")


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
