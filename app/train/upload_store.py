"""Texts that were sent to be trained on, until a training takes them."""

from __future__ import annotations

import secrets
import threading
from collections import OrderedDict

from app.common.strings import Problem
from app.train.uploads import Upload

MOST_TEXTS = 40


class UploadStore:
    """The last few texts, each by a name that only the page that sent it knows."""

    def __init__(self) -> None:
        self._texts: OrderedDict[str, Upload] = OrderedDict()
        self._lock = threading.Lock()

    def put(self, text: Upload) -> str:
        """Keep a text; gives its name."""
        name = secrets.token_hex(16)
        with self._lock:
            self._texts[name] = text
            while len(self._texts) > MOST_TEXTS:
                self._texts.popitem(last=False)
        return name

    def get(self, name: object) -> Upload:
        """The text of this name. Raises `Problem` if there is none."""
        with self._lock:
            if not isinstance(name, str) or name not in self._texts:
                raise Problem("problem.no_upload")
            return self._texts[name]
