"""What was said on pages that were closed: stored for a while, since a page that lost its network is loaded again."""

from __future__ import annotations

import threading
import time

from app.chat.conversation import Conversation
from app.common.page_store import PageStore

SECONDS_STORED = 120.0
MOST_CLOSED = 40  # pages; the longest conversations take some 3 MB each


class RecentlyClosed:
    """Conversations by the key of their page; each is erased when its time is over, whether it was asked for or not."""

    def __init__(self, seconds: float = SECONDS_STORED) -> None:
        self.seconds = seconds
        self._closed: PageStore[tuple[float, Conversation]] = PageStore(MOST_CLOSED)  # with the time of its end
        self._sweeping = False
        self._lock = threading.Lock()

    def put(self, page: str, conversation: Conversation) -> None:
        """Store what was said on a page that was closed just now. A message that reached the server only after the page
        was closed begins a conversation of its own; it does not take the place of the page's."""
        with self._lock:
            _, stored = self._closed.get(page) or (0.0, None)
            if len(conversation.ended_turns()) > (len(stored.ended_turns()) if stored else 0):
                self._closed.put(page, (time.monotonic() + self.seconds, conversation))
                self._sweep_later()

    def pop(self, page: str) -> Conversation | None:
        """What was said there, for the one page that goes on with it."""
        until, conversation = self._closed.pop(page) or (0.0, None)
        return conversation if time.monotonic() < until else None

    def clear(self) -> None:
        """Erase all of it now."""
        self._closed.clear()

    def _sweep_later(self) -> None:
        stored = self._closed.items()
        if stored and not self._sweeping:
            until, _ = stored[0][1]  # the first to be erased
            timer = threading.Timer(max(0.0, until - time.monotonic()), self._sweep)
            timer.daemon = True  # it must not hold up the server's end
            timer.start()
            self._sweeping = True

    def _sweep(self) -> None:
        with self._lock:
            now = time.monotonic()
            for page, (until, _) in self._closed.items():
                if until <= now:
                    self._closed.forget(page)
            self._sweeping = False
            self._sweep_later()
