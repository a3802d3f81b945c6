"""What was said on pages that were left: kept for a short while, since a page that lost its network is loaded again."""

from __future__ import annotations

import threading
import time
from collections import OrderedDict

from app.chat.conversation import Voice

SECONDS_KEPT = 120.0
MOST_KEPT = 40  # pages; the longest conversations take some 3 MB each


class RecentlyClosed:
    """Voices by the key of the page they were of; each is erased when its time is over, asked for or not."""

    def __init__(self, seconds: float = SECONDS_KEPT) -> None:
        self.seconds = seconds
        self._left: OrderedDict[str, tuple[float, Voice]] = OrderedDict()  # the first to be erased comes first
        self._sweeping = False
        self._lock = threading.Lock()

    def put(self, key: str, voice: Voice) -> None:
        """Keep what was said on a page that was left just now."""
        with self._lock:
            self._left[key] = time.monotonic() + self.seconds, voice
            self._left.move_to_end(key)
            if len(self._left) > MOST_KEPT:
                self._left.popitem(last=False)
            self._sweep_later()

    def take(self, key: str) -> Voice | None:
        """What was said there, for the one page that goes on with it."""
        with self._lock:
            until, voice = self._left.pop(key, (0.0, None))
        return voice if time.monotonic() < until else None

    def clear(self) -> None:
        """Erase all of it now."""
        with self._lock:
            self._left.clear()

    def _sweep_later(self) -> None:
        if self._left and not self._sweeping:
            until, _ = next(iter(self._left.values()))
            timer = threading.Timer(max(0.0, until - time.monotonic()), self._sweep)
            timer.daemon = True  # it must not hold up the server's end
            timer.start()
            self._sweeping = True

    def _sweep(self) -> None:
        with self._lock:
            now = time.monotonic()
            for key in [key for key, (until, _) in self._left.items() if until <= now]:
                del self._left[key]
            self._sweeping = False
            self._sweep_later()
