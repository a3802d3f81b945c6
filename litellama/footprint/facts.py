"""Figures that others published, each with its source: what the lab cites instead of measuring.

    >>> fact("1-2-llama-2-training-energy-carbon.llama-2-7b.training-time").value
    184320

A fact says what was read and where, not that it is right. Where sources contradict each other, both are here, and the
topic "7 Contradictions for lessons" explains it.
"""

from __future__ import annotations

import functools
import json
from dataclasses import dataclass
from importlib import resources
from typing import Literal

LITELLAMA_MMLU = "2-2-litellama-training-and-card.litellama-460m-1t.mmlu-5-shot-card"
LITELLAMA_EXAMPLE = "2-2-litellama-training-and-card.litellama-460m-1t.example-on-the-card"
MMLU_CHANCE = "1-5-open-llm-leaderboard-v1-rows.random-guessing.mmlu-chance-level"

Status = Literal["published", "derived", "estimated"]
"""published: read in a source; derived: computed from published figures; estimated: nobody published it, so it is
from memory, inferred, or computed with an assumption."""


@dataclass(frozen=True)
class Source:
    """Where to look it up: a page's title and address, and the place on it."""

    title: str
    url: str
    locator: str


@dataclass(frozen=True)
class Fact:
    """One figure of one subject. `value` is None if it is known that nobody published it."""

    id: str
    topic: str
    subject: str
    quantity: str
    value: float | str | bool | None
    unit: str
    source: Source
    verified: bool
    note: str

    @property
    def status(self) -> Status:
        """How the figure may be labelled where it is shown."""
        if not self.verified:
            return "estimated"
        return "derived" if self.note.startswith("[derived]") else "published"

    @property
    def number(self) -> float:
        """The value as a number. Raises `ValueError` if it is not one."""
        if isinstance(self.value, bool) or not isinstance(self.value, int | float):
            raise ValueError(f"{self.id} is {self.value!r}, which is no number")
        return self.value


@functools.cache
def all_facts() -> dict[str, Fact]:
    """Every fact by its id, in the order of their topics."""
    text = resources.files(__package__).joinpath("facts.json").read_text(encoding="utf-8")
    rows = json.loads(text)
    return {row["id"]: Fact(**{**row, "source": Source(**row["source"])}) for row in rows}


def fact(id: str) -> Fact:
    """The fact with this id. Raises `ValueError` if there is none."""
    try:
        return all_facts()[id]
    except KeyError:
        raise ValueError(f"there is no fact called {id!r}; `all_facts()` lists them") from None


def facts_about(topic: str, subject: str | None = None) -> list[Fact]:
    """All facts of the topics that begin so ("4", "5.1 Grid"), of one subject if it is named."""
    return [
        one
        for one in all_facts().values()
        if one.topic.startswith(topic) and (subject is None or one.subject == subject)
    ]
