"""What a page sends with an event, which page it was, and how the answer goes back."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

import gradio as gr

from app.common.errors import as_problem

EXAMPLE = "Tom hid a red ball under the bed. Anna has a blue hat. Where is the ball?"
"""The text that the tabs which look inside the model begin with."""

MARKS = ("request", "turn", "token", "nonce", "side", "round")
"""What a page may send along to know the answer by."""

Sent = dict[str, Any]


def sent_by(event: gr.EventData) -> Sent:
    """What the page sent along, which may be anything."""
    sent = event.sent  # under this name by `app.server.gradio_compat`
    return sent if isinstance(sent, dict) else {}


class PageEvents:
    """Which page an event came from, and how its answer goes back. From an event on, the model that the page named
    (`lab.line`) is its model: `choose(page, name)`. `member_of(headers)` is who it was in a class, "" without one."""

    def __init__(self, choose: Callable[[str, object], None], member_of: Callable[[Any], str]) -> None:
        self._choose = choose
        self._member_of = member_of

    def member_of(self, request: gr.Request) -> str:
        return self._member_of(request.headers)

    def page_of(self, request: gr.Request, page: str | None = None) -> str:
        """Which page it was, or which other `page` of the same person. In a class the key begins with the pupil's
        cookie, so that nobody can speak for another's."""
        return f"{self._member_of(request.headers)}{page or request.session_hash or ''}"  # guard: own-key

    def answer(
        self, event: gr.EventData, request: gr.Request, work: Callable[[str, Sent], Mapping[str, Any]]
    ) -> dict[str, Any]:
        """What `work` gives for a page and what it sent, or the problem in its way, with the page's marks."""
        sent = sent_by(event)
        try:
            return {**_marks(sent), **work(self._page(sent, request), sent)}
        except Exception as error:
            return {**_marks(sent), **_problem_json(error)}

    def stream(
        self, event: gr.EventData, request: gr.Request, work: Callable[[str, Sent], Iterable[Mapping[str, Any]]]
    ) -> Iterator[dict[str, Any]]:
        """The same of work that gives one answer after another."""
        sent = sent_by(event)
        try:
            for answer in work(self._page(sent, request), sent):
                yield {**_marks(sent), **answer}
        except Exception as error:
            yield {**_marks(sent), **_problem_json(error)}

    def _page(self, sent: Sent, request: gr.Request) -> str:
        page = self.page_of(request)
        self._choose(page, sent.get("model"))
        return page


def _marks(sent: Sent) -> dict[str, Any]:
    return {name: sent[name] for name in MARKS if name in sent}


def _problem_json(error: Exception) -> dict[str, Any]:
    return {"state": "problem", "problem": as_problem(error, "a request").to_json()}
