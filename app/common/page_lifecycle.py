"""What becomes of a page: it is closed, it is given another model, or everything is forgotten."""

from __future__ import annotations

from typing import Any

from app.common.page_store import PageStore


class PageService:
    """A service that stores something for each page, in `stores`."""

    def __init__(self, *stores: PageStore[Any]) -> None:
        self._stores = stores

    def forget(self, page: str) -> None:
        """Forget all that is stored for a page, and stop the work that is under way for it."""
        for store in self._stores:
            store.forget(page)

    def close(self, page: str) -> None:
        """The page was closed or is out of reach."""
        self.forget(page)

    def clear(self) -> None:
        """Forget all that is stored for any page."""
        for store in self._stores:
            store.clear()


class PageLifecycle:
    """Tells every service what becomes of a page."""

    def __init__(self) -> None:
        self._services: list[PageService] = []

    def add(self, *services: PageService) -> None:
        self._services.extend(services)

    def forget(self, page: str) -> None:
        for service in self._services:
            service.forget(page)

    def close(self, page: str) -> None:
        for service in self._services:
            service.close(page)

    def clear(self) -> None:
        for service in self._services:
            service.clear()
