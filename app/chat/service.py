"""What the Chat tab does: each page's conversation, alone or side by side, and what was said on pages just closed."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from functools import partial
from typing import Any

from app.chat.conversation import Conversation, Update
from app.chat.recently_closed import RecentlyClosed
from app.chat.reply_writer import ReplyWriter
from app.chat.side_by_side import SideBySide
from app.classroom.classroom import Classroom, ReplyCounter
from app.common.page_lifecycle import PageLifecycle, PageService
from app.common.page_store import PageStore
from app.common.questions import read_message
from app.common.settings import Settings
from app.common.strings import Problem
from app.models.page_models import MOST_PAGES


@dataclass
class ChatPage:
    """A page's conversation, and its number of the request that it stopped last, perhaps before its turn came."""

    conversation: Conversation
    stopped: object = None


class ChatService(PageService):
    """The conversations of all pages. Safe to be used by many threads."""

    def __init__(self, writer: ReplyWriter, lifecycle: PageLifecycle, classroom: Classroom | None = None) -> None:
        self.writer = writer
        self.side_by_side = SideBySide(writer)
        self.classroom = classroom
        self._lifecycle = lifecycle
        self._recently_closed = RecentlyClosed()
        self._pages: PageStore[ChatPage] = PageStore(
            MOST_PAGES, lambda _, chat_page: writer.stop_and_erase(chat_page.conversation)
        )
        super().__init__(self._pages)

    def conversation(self, page: str) -> Conversation:
        """The conversation of one page."""
        return self._page(page).conversation

    def model_of(self, page: str) -> str:
        """The name of the model that a page uses."""
        return self.writer.models.of(page).name

    def ask(self, page: str, text: object, settings: Settings, request: object = None) -> Iterator[Update]:
        """Reply to a new message, which is the page's `request`."""
        question = read_message(text)
        check_wanted = partial(self.check_wanted, page, request)
        yield from self.writer.answer(self.conversation(page), question, settings, check_wanted)

    def redo(self, page: str, text: object, settings: Settings, request: object = None) -> Iterator[Update]:
        """Reply to the last message once more; `text` replaces it, None keeps it."""
        question = None if text is None else read_message(text)
        check_wanted = partial(self.check_wanted, page, request)
        yield from self.writer.answer_again(self.conversation(page), question, settings, check_wanted)

    def alternatives(self, page: str, turn: object, token: object) -> dict[str, Any]:
        """The ten likeliest tokens at one position of a reply, as {"chosen", "probability", "rows": [...]}."""
        return self.writer.alternatives(self.conversation(page), turn, token)

    def stop(self, page: str, request: object = None) -> None:
        """Let the running reply, or both of them, end with the token they are at. `request` is the page's number of the
        message; if its turn has not come yet, it will be refused."""
        chat_page = self._page(page)
        chat_page.stopped = request
        chat_page.conversation.stop.set()
        self.side_by_side.stop(page)

    def check_wanted(self, page: str, request: object) -> None:
        """Raise `Problem` if the page stopped its `request` before the turn of it came."""
        if request is not None and self._page(page).stopped == request:
            raise Problem("problem.not_begun")

    def erase(self, page: str) -> None:
        """Erase a conversation, also while its reply is being written."""
        chat_page = self._page(page)
        self.writer.stop_and_erase(chat_page.conversation)
        chat_page.conversation = Conversation(chat_page.conversation.model)

    def resume(self, page: str, former: str) -> list[dict[str, Any]]:
        """Let a page that was loaded again go on with what was said on it when its key was `former`, which is given
        back. It is nothing if that is forgotten, was said by another model, or this page has spoken already."""
        chat_page = self._page(page)
        if chat_page.conversation.turns or former == page:
            return []
        self._lifecycle.close(former)  # where the network was lost, the server may not have noticed yet
        before, model = self._recently_closed.pop(former), chat_page.conversation.model
        if before is None or before.model.name != model.name:
            return []
        model.stamp = before.model.stamp
        chat_page.conversation = before.continued(model)
        return chat_page.conversation.to_json()

    def counted(self, member: str) -> AbstractContextManager[ReplyCounter]:
        """A pupil's one place for a reply, where a class uses the server. Raises `Problem`, when entered, if it's
        taken."""
        return nullcontext(ReplyCounter()) if self.classroom is None else self.classroom.writing(member)

    def forget(self, page: str) -> None:
        super().forget(page)
        self.side_by_side.forget(page)

    def close(self, page: str) -> None:
        """What was said is stored for a short while, for `resume`."""
        chat_page = self._pages.pop(page)
        if chat_page is not None:
            self.writer.stop_and_erase(chat_page.conversation)
            self._recently_closed.put(page, chat_page.conversation)
        self.forget(page)

    def clear(self) -> None:
        super().clear()
        self.side_by_side.clear()
        self._recently_closed.clear()

    def _page(self, page: str) -> ChatPage:
        model = self.writer.models.of(page)
        return self._pages.get_or_create(page, lambda: ChatPage(Conversation(model)))  # guard: own-page
