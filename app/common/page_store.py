"""What a service stores for each open page, within a bound."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable
from typing import Generic, TypeVar

T = TypeVar("T")


class PageStore(Generic[T]):
    """One value for each page, by the page's key. When there are more than `most`, or when their sizes by `size` add up
    to more than `most_bytes`, the least recently used are forgotten; the one stored last always stays.

    `on_forget(page, value)` is called for a value that was forgotten or replaced, so that its work can be stopped. Safe
    to be used by many threads.
    """

    def __init__(
        self,
        most: int,
        on_forget: Callable[[str, T], None] | None = None,
        most_bytes: int | None = None,
        size: Callable[[T], int] = lambda value: 0,
    ) -> None:
        self.most, self.most_bytes = most, most_bytes
        self._on_forget, self._size = on_forget, size
        self._values: OrderedDict[str, T] = OrderedDict()  # the least recently used in front
        self._lock = threading.Lock()

    def get(self, page: str) -> T | None:
        """The page's value, None if there is none."""
        with self._lock:
            if page not in self._values:
                return None
            self._values.move_to_end(page)
            return self._values[page]

    def get_or_create(self, page: str, create: Callable[[], T]) -> T:
        """The page's value; a new one if there is none. `create` must not use this store."""
        with self._lock:
            if page not in self._values:
                self._values[page] = create()
            self._values.move_to_end(page)
            value, forgotten = self._values[page], self._crowded_out()
        self._tell(forgotten)
        return value

    def put(self, page: str, value: T) -> None:
        """Store a value; another one that the page had is forgotten."""
        with self._lock:
            replaced = [(page, self._values.pop(page))] if page in self._values else []
            self._values[page] = value
            forgotten = self._crowded_out()
        self._tell([one for one in replaced if one[1] is not value] + forgotten)

    def pop(self, page: str) -> T | None:
        """Take the page's value out, for whoever goes on with it: `on_forget` is not called."""
        with self._lock:
            return self._values.pop(page, None)

    def forget(self, page: str) -> None:
        with self._lock:
            forgotten = [(page, self._values.pop(page))] if page in self._values else []
        self._tell(forgotten)

    def clear(self) -> None:
        """Forget the values of all pages."""
        with self._lock:
            forgotten = list(self._values.items())
            self._values.clear()
        self._tell(forgotten)

    def items(self) -> list[tuple[str, T]]:
        """Pages and values, the least recently used first."""
        with self._lock:
            return list(self._values.items())

    def _crowded_out(self) -> list[tuple[str, T]]:
        forgotten = []
        while len(self._values) > 1 and (len(self._values) > self.most or self._is_too_large()):
            forgotten.append(self._values.popitem(last=False))
        return forgotten

    def _is_too_large(self) -> bool:
        return self.most_bytes is not None and sum(map(self._size, self._values.values())) > self.most_bytes

    def _tell(self, forgotten: list[tuple[str, T]]) -> None:
        """Outside the lock, since `on_forget` may come back to this store."""
        if self._on_forget is not None:
            for page, value in forgotten:
                self._on_forget(page, value)
