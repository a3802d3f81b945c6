"""Which page uses which model."""

from __future__ import annotations

import threading
from dataclasses import dataclass

from app.common.page_lifecycle import PageLifecycle, PageService
from app.common.page_store import PageStore
from app.common.strings import Problem
from app.models.registry import Model, Models
from litellama.checkpoint import Opened

MOST_PAGES = 200


@dataclass
class ChosenModel:
    """A model by its name, with the stamp of its files when they were first used here."""

    name: str
    stamp: str | None = None


class PageModels(PageService):
    """The model of each page, the first one unless the page chose another. When there are too many pages, all that any
    service knows of the least recently used is forgotten."""

    def __init__(self, models: Models, lifecycle: PageLifecycle) -> None:
        self.models = models
        self._lifecycle = lifecycle
        self._chosen: PageStore[ChosenModel] = PageStore(MOST_PAGES, lambda page, _: lifecycle.forget(page))
        self._lock = threading.Lock()
        super().__init__()

    def of(self, page: str) -> ChosenModel:
        """The model that a page uses."""
        return self._chosen.get_or_create(page, lambda: ChosenModel(self.models.first.name))

    def choose(self, page: str, name: object) -> None:
        """Let a page use the model called `name`, None for the first; what another model said to it is forgotten."""
        if not (name is None or isinstance(name, str)):
            raise Problem("problem.request")
        name = self.models.first.name if name is None else name
        if self.of(page).name != name:
            self._lifecycle.forget(page)
            self.of(page).name = name

    def open(self, chosen: ChosenModel) -> Model:
        """Raises `Problem` if the model cannot be had, runs elsewhere, or isn't the one that was used here before."""
        if (remote := self.models.remote(chosen.name)) is not None:
            raise Problem("problem.engine_weights", name=remote.title)
        model = self.models.open(chosen.name)
        with self._lock:
            chosen.stamp = chosen.stamp or model.stamp
            if chosen.stamp != model.stamp:
                raise Problem("problem.model_replaced", name=model.title)
        return model

    def opened(self, page: str) -> Opened:
        """The opened model of a page. Raises `Problem`, as `open` does."""
        return self.open(self.of(page)).opened

    def opened_here(self, page: str) -> Opened | None:
        """As `opened`; None for a model that runs elsewhere."""
        return self.opened(page) if self.models.remote(self.of(page).name) is None else None

    def forget(self, page: str) -> None:
        self._chosen.pop(page)  # without a word: whoever forgets a page tells every service

    def clear(self) -> None:
        for page, _ in self._chosen.items():
            self._chosen.pop(page)
