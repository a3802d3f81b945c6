"""The lab that serves on this machine already: a second start finds it, and opens it instead of another."""

from __future__ import annotations

import hashlib
import http.client
import json
import os
import secrets
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

LOOPBACK = ("127.0.0.1", "localhost", "::1")
FILE = "running.json"
LARGEST = 2000  # bytes
PATIENCE = 10.0  # seconds; one that is just being started answers when its model is open


@dataclass(frozen=True)
class Mark:
    """What tells a server from any other: `secret` stands in its file, `shown` is what it answers at /lab.json."""

    secret: str

    @property
    def shown(self) -> str:
        return hashlib.sha256(self.secret.encode()).hexdigest()


def own_folder() -> Path:
    """Where this user's programs keep what needn't last."""
    if sys.platform == "win32":
        base = os.environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local"
    elif sys.platform == "darwin":
        base = Path.home() / "Library" / "Caches"
    else:
        base = os.environ.get("XDG_RUNTIME_DIR") or os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "litellama-lab"


def found(folder: Path) -> str | None:
    """The address of the lab that was announced in `folder`, if it is there and is that one."""
    try:
        text = (folder / FILE).read_bytes()[: LARGEST + 1]
        told: Any = json.loads(text) if len(text) <= LARGEST else None
        address, mark = told["address"], Mark(told["secret"])
        place = urlsplit(address)
        if place.scheme != "http" or place.hostname not in LOOPBACK:  # a file can be forged
            return None
        line = http.client.HTTPConnection(place.hostname, place.port, timeout=PATIENCE)  # and asks no proxy
        with suppress(OSError):
            line.request("GET", "/lab.json")
            said = json.loads(line.getresponse().read(LARGEST))
            return address if said == {"lab": mark.shown} else None
    except (OSError, ValueError, TypeError, KeyError, AttributeError, http.client.HTTPException, RecursionError):
        pass  # no file, half a file, or another program at that port: there is none
    return None


@contextmanager
def announced(folder: Path, address: str) -> Iterator[Mark]:
    """Tell later starts of `address` meanwhile. A server that can't write there is only not found."""
    mark = Mark(secrets.token_urlsafe(24))
    text = json.dumps({"address": address, "secret": mark.secret})
    with suppress(OSError):
        folder.mkdir(parents=True, exist_ok=True)
        handle, new = tempfile.mkstemp(dir=folder)  # for this user's eyes only
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(text)
        os.replace(new, folder / FILE)
    try:
        yield mark
    finally:
        with suppress(OSError):
            if (folder / FILE).read_text(encoding="utf-8") == text:  # and not of one that was started later
                (folder / FILE).unlink()
