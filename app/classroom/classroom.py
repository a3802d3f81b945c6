"""A class at one server: who is in it, what each may do at once, and what the teacher sets for all.

Everything is held in memory only, and gone when the class is ended or the server stops.
"""

from __future__ import annotations

import csv
import hmac
import io
import secrets
import threading
import time
import unicodedata
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from app.common.strings import Problem
from app.common.text import replace_surrogates

MOST_PUPILS = 150
LONGEST_NAME = 24
LONGEST_TEXT = 1000  # of the teacher's message and prompt
SECONDS_UNTIL_AWAY = 15.0  # seconds without a sign of life after which a pupil counts as away
RATE_WINDOW = 10.0  # seconds over which tokens per second are taken


@dataclass
class Pupil:
    """One pupil, by the name or pseudonym they chose. `joules` is None while no energy is known, and `estimated` if
    not all of it was measured."""

    number: int
    name: str
    seen: float  # the clock's time when it was last heard of
    replies: int = 0
    tokens: int = 0
    joules: float | None = None
    estimated: bool = False
    writing: bool = False

    def to_json(self, now: float) -> dict[str, Any]:
        return {
            "number": self.number, "name": self.name, "here": now - self.seen < SECONDS_UNTIL_AWAY,
            "writing": self.writing, "replies": self.replies, "tokens": self.tokens,
            "watt_hours": _watt_hours(self.joules),
        }  # fmt: skip


@dataclass
class TeacherSettings:
    """What the teacher set for all. `number` grows with each change, by which a page knows that there is one."""

    number: int = 0
    paused: bool = False
    message: str = ""
    prompt: str = ""
    model: str | None = None

    def to_json(self) -> dict[str, Any]:
        return dict(vars(self))


class ReplyCounter:
    """One reply while it is written: its tokens so far, and its energy when that is known."""

    def __init__(self, count: Callable[[int], None] = lambda tokens: None) -> None:
        self.tokens = 0
        self.joules: float | None = None
        self.estimated = False
        self._count = count

    def set_tokens(self, tokens: int) -> None:
        """The reply has `tokens` tokens by now."""
        if tokens > self.tokens:
            self._count(tokens - self.tokens)
            self.tokens = tokens


class Classroom:
    """Safe to be used by many threads. `password` lets pupils in, `teacher_password` opens the teacher's page."""

    def __init__(self, password: str, teacher_password: str, clock: Callable[[], float] = time.monotonic) -> None:
        if not password or not teacher_password or password == teacher_password:
            raise ValueError("a class needs two passwords, one for pupils and another for the teacher")
        self.settings = TeacherSettings()
        self._password, self._teacher_password = password, teacher_password
        self._clock = clock
        self._pupils: dict[str, Pupil] = {}  # by cookie
        self._teachers: set[str] = set()
        self._next_number = 1
        self._recent: deque[tuple[float, int]] = deque()
        self._lock = threading.Lock()

    # --- Coming and going --------------------------------------------------------------------------------------------

    def join(self, name: object, password: object) -> str:
        """A new pupil's cookie. Raises `Problem` for a wrong password, a bad name, or a full class."""
        if not _password_matches(password, self._password):
            raise Problem("class.wrong_password")
        wanted = _clean_name(name)
        with self._lock:
            if len(self._pupils) >= MOST_PUPILS:
                self._remove_longest_away()
            cookie = secrets.token_urlsafe(24)
            self._pupils[cookie] = Pupil(self._next_number, self._free_name(wanted), self._clock())
            self._next_number += 1
        return cookie

    def join_as_teacher(self, password: object) -> str:
        """The teacher's cookie. Raises `Problem` for a wrong password."""
        if not _password_matches(password, self._teacher_password):
            raise Problem("class.wrong_password")
        with self._lock:
            cookie = secrets.token_urlsafe(24)
            self._teachers.add(cookie)
        return cookie

    def pupil(self, cookie: str) -> Pupil | None:
        return self._pupils.get(cookie)

    def is_teacher(self, cookie: str) -> bool:
        return cookie in self._teachers

    def is_member(self, cookie: str) -> bool:
        return cookie in self._pupils or cookie in self._teachers

    def touch(self, cookie: str) -> None:
        """The member was just heard of."""
        pupil = self._pupils.get(cookie)
        if pupil is not None:
            pupil.seen = self._clock()

    def end(self) -> None:
        """Erase the class: names, figures, cookies and settings. The teacher stays."""
        with self._lock:
            self._pupils.clear()
            self._recent.clear()
            self.settings = TeacherSettings(self.settings.number + 1)

    # --- Work --------------------------------------------------------------------------------------------------------

    @contextmanager
    def writing(self, cookie: str) -> Iterator[ReplyCounter]:
        """Hold a pupil's one place for a reply, and add up what it took. Raises `Problem` while the class is paused or
        another reply of the same pupil, perhaps on another page, is being written."""
        pupil, counter = self._pupils.get(cookie), ReplyCounter(self._count)
        if pupil is None:  # the teacher, who is neither paused nor counted
            if cookie not in self._teachers:
                raise Problem("class.not_in")
            yield counter
            return
        with self._lock:
            if self.settings.paused:
                raise Problem("class.paused")
            if pupil.writing:
                raise Problem("class.one_reply")
            pupil.writing = True
        try:
            yield counter
        finally:
            with self._lock:
                pupil.writing = False
                pupil.replies += int(counter.tokens > 0)
                pupil.tokens += counter.tokens
                if counter.joules is not None:
                    pupil.joules = (pupil.joules or 0.0) + counter.joules
                    pupil.estimated = pupil.estimated or counter.estimated

    def _count(self, tokens: int) -> None:
        now = self._clock()
        with self._lock:
            self._recent.append((now, tokens))
            while self._recent and self._recent[0][0] < now - RATE_WINDOW:
                self._recent.popleft()

    # --- The teacher -------------------------------------------------------------------------------------------------

    def update_settings(self, **changes: object) -> None:
        """Change what the teacher decides: paused, message, prompt, model. Raises `Problem` for anything else."""
        for name, value in changes.items():
            known = {"paused": bool, "message": str, "prompt": str, "model": (str, type(None))}
            if name not in known or not isinstance(value, known[name]):  # type: ignore[arg-type]
                raise Problem("problem.request")
            if isinstance(value, str) and len(value) > LONGEST_TEXT:
                raise Problem("problem.too_long", length=len(value), limit=LONGEST_TEXT)
        whole = {
            name: replace_surrogates(value) if isinstance(value, str) else value for name, value in changes.items()
        }
        with self._lock:
            self.settings = TeacherSettings(**(self.settings.to_json() | whole | {"number": self.settings.number + 1}))

    def overview(self, positions: Mapping[str, int] | None = None) -> dict[str, Any]:
        """What the teacher's page shows. `positions`: each member's first position in the queue, by cookie."""
        now, positions = self._clock(), positions or {}
        with self._lock:
            pupils = [pupil.to_json(now) | {"place": positions.get(key, 0)} for key, pupil in self._pupils.items()]
            tokens = sum(count for when, count in self._recent if when >= now - RATE_WINDOW)
            estimated = any(pupil.estimated for pupil in self._pupils.values())
            joules = [pupil.joules for pupil in self._pupils.values() if pupil.joules is not None]
        return {
            "pupils": pupils, "here": sum(pupil["here"] for pupil in pupils),
            "writing": sum(pupil["writing"] for pupil in pupils),
            "waiting": sum(pupil["place"] > 0 for pupil in pupils), "tokens_per_second": round(tokens / RATE_WINDOW, 1),
            "replies": sum(pupil["replies"] for pupil in pupils), "tokens": sum(pupil["tokens"] for pupil in pupils),
            "watt_hours": _watt_hours(sum(joules) if joules else None), "estimated": estimated,
            "orders": self.settings.to_json(),
        }  # fmt: skip

    def results(self) -> str:
        """The class's figures as CSV, by number and not by name."""
        table = io.StringIO()
        lines = csv.writer(table, lineterminator="\n")
        lines.writerow(["pupil", "replies", "tokens", "watt_hours"])
        with self._lock:
            for pupil in self._pupils.values():
                lines.writerow([pupil.number, pupil.replies, pupil.tokens, _watt_hours(pupil.joules)])
        return table.getvalue()

    # --- Names -------------------------------------------------------------------------------------------------------

    def _free_name(self, wanted: str) -> str:
        taken = {pupil.name.casefold() for pupil in self._pupils.values()}
        names = (wanted if count == 1 else f"{wanted} {count}" for count in range(1, MOST_PUPILS + 2))
        return next(name for name in names if name.casefold() not in taken)

    def _remove_longest_away(self) -> None:
        cookie, pupil = min(self._pupils.items(), key=lambda item: item[1].seen)
        if pupil.writing or self._clock() - pupil.seen < SECONDS_UNTIL_AWAY:
            raise Problem("class.full", most=MOST_PUPILS)
        del self._pupils[cookie]


def _password_matches(given: object, password: str) -> bool:
    """Compared in a time that does not tell how much of it was right."""
    return isinstance(given, str) and hmac.compare_digest(
        given.strip().casefold().encode(), password.casefold().encode()
    )


def _clean_name(name: object) -> str:
    if not isinstance(name, str):
        raise Problem("class.bad_name", most=LONGEST_NAME)
    visible = "".join(mark if unicodedata.category(mark)[0] not in "CZ" else " " for mark in name)
    wanted = " ".join(visible.split())
    if not wanted or len(wanted) > LONGEST_NAME or not any(mark.isalnum() for mark in wanted):
        raise Problem("class.bad_name", most=LONGEST_NAME)
    return wanted


def _watt_hours(joules: float | None) -> float | None:
    return None if joules is None else round(joules / 3600, 6)
