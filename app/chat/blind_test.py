"""Two models that a page compares: what was asked for, who answers on which side, what both said, and the votes.

All that the page is told of them is made here. Until the vote on a blind pair that is the two texts, both at the same
moment, and nothing else: names, tokens, figures, reasons of failure and pace would each tell which is which.
"""

from __future__ import annotations

import secrets
import threading
from dataclasses import dataclass, field, replace
from typing import Any

from app.chat.conversation import Conversation, ExclusiveLock, Update
from app.common.settings import KNOBS, Settings, read_settings
from app.common.strings import Problem
from app.models.page_models import ChosenModel

VOTES = ("a", "b", "tie", "bad")

Outcome = Update | Problem


@dataclass(frozen=True)
class PairRequest:
    """Which two models a page wants to hear, each by its own settings; and whether blind, and one after the other."""

    models: tuple[str, str]
    settings: tuple[Settings, Settings]
    blind: bool
    in_turn: bool


def read_pair_request(first: str, settings: object, sent: object) -> PairRequest:
    """Check what the browser sent: the page's model and settings, and of the second what differs. Raises `Problem`."""
    if not isinstance(sent, dict):
        raise Problem("problem.request")
    model, blind, in_turn = sent.get("model"), sent.get("blind"), sent.get("in_turn")
    if not (isinstance(model, str) and isinstance(blind, bool) and isinstance(in_turn, bool)):
        raise Problem("problem.request")
    own = read_settings(settings)
    temperature = KNOBS["temperature"].read("temperature", sent.get("temperature"))
    penalty = sent.get("repetition_penalty")  # the second model's own, unless the user turned the page's knob
    penalty = own.repetition_penalty if penalty is None else KNOBS["repetition_penalty"].read(
        "repetition_penalty", penalty
    )  # fmt: skip
    second = replace(own, temperature=temperature, repetition_penalty=penalty)
    return PairRequest((first, model), (own, second), blind, in_turn)


@dataclass(frozen=True)
class Label:
    """What the user calls a side: the model's title, and its temperature where the two differ in it."""

    title: str
    temperature: float | None

    def to_json(self) -> dict[str, Any]:
        return {"title": self.title, "temperature": self.temperature}


@dataclass
class Exchange:
    """One message's two answers, as far as they are there; a side that failed has its `Problem`. If one is given
    `elsewhere`, by another server, the two did not share this computer."""

    question: str
    labels: tuple[Label, Label]
    in_turn: bool
    elsewhere: bool
    sides: list[Outcome | None] = field(default_factory=lambda: [None, None])
    over: bool = False

    def to_json(self) -> dict[str, Any]:
        names = [label.to_json() for label in self.labels]
        note = "side_by_side.in_turn_note" if self.in_turn else "side_by_side.at_once_note"
        note = "side_by_side.elsewhere_note" if self.elsewhere else note
        return {"names": names, "note": note, "sides": [_outcome_json(side) for side in self.sides]}

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
    """Two conversations in the order in which the page shows them, which is random if the pair is `hidden`."""

    def __init__(self, number: int, request: PairRequest) -> None:
        self.number = number
        self.request = request
        self.hidden = request.blind
        self.order = (1, 0) if request.blind and secrets.randbelow(2) else (0, 1)
        self.conversations = [Conversation(ChosenModel(request.models[side])) for side in self.order]
        self.exchanges: list[Exchange] = []
        self.writing = ExclusiveLock()
        self.stopped = threading.Event()

    def fits(self, request: PairRequest) -> bool:
        return (self.request.models, self.request.blind) == (request.models, request.blind)

    def settings(self, request: PairRequest) -> list[Settings]:
        """Of each side. A blind pair keeps its temperatures: to turn one of them would be to see which side changes."""
        former = self.request.settings if self.hidden else request.settings
        return [replace(request.settings[i], temperature=former[i].temperature) for i in self.order]

    def stop(self) -> None:
        self.stopped.set()
        for conversation in self.conversations:
            conversation.stop.set()

    def to_json(self, whole: bool = False, **more: object) -> dict[str, Any]:
        """The last exchange, or all of them, as much of it as the page may know, and what `more` there is to say."""
        shown = self.exchanges if whole else self.exchanges[-1:]
        turns = [exchange.hidden_json() if self.hidden else exchange.to_json() for exchange in shown]
        return {"round": self.number, "hidden": self.hidden, "over": self.exchanges[-1].over, "turns": turns, **more}


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
