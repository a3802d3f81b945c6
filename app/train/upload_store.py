"""Texts that were sent to be trained on, until a training takes them."""

from __future__ import annotations

import secrets

from app.common.page_store import PageStore
from app.common.strings import Problem
from app.train.uploads import Upload

MOST_TEXTS = 40


class UploadStore:
    """The last few texts, each by a name that only the page that sent it knows."""

    def __init__(self) -> None:
        self._texts: PageStore[Upload] = PageStore(MOST_TEXTS)

    def put(self, text: Upload) -> str:
        """Store a text; gives its name."""
        name = secrets.token_hex(16)
        self._texts.put(name, text)
        return name

    def get(self, name: object) -> Upload:
        """The text of this name. Raises `Problem` if there is none."""
        text = self._texts.get(name) if isinstance(name, str) else None
        if text is None:
            raise Problem("problem.no_upload")
        return text
