"""One instance on a machine: a second start finds the lab that is running, and opens that one."""

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
LARGEST_FILE = 2000  # bytes
ANSWER_TIMEOUT = 10.0  # seconds; one that is just being started answers when its model is open


@dataclass(frozen=True)
class InstanceToken:
    """What identifies a server: `secret` is in its file, and `public_id`, a hash of it, is its answer at /lab.json."""

    secret: str

    @property
    def public_id(self) -> str:
        return hashlib.sha256(self.secret.encode()).hexdigest()


def user_folder() -> Path:
    """The user's folder for files that need not last."""
    if sys.platform == "win32":
        base = os.environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local"
    elif sys.platform == "darwin":
        base = Path.home() / "Library" / "Caches"
    else:
        base = os.environ.get("XDG_RUNTIME_DIR") or os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "litellama-lab"


def find_running(folder: Path) -> str | None:
    """The address of the lab that was announced in `folder`, if it answers and is that one."""
    try:
        text = (folder / FILE).read_bytes()[: LARGEST_FILE + 1]
        stored: Any = json.loads(text) if len(text) <= LARGEST_FILE else None
        address, token = stored["address"], InstanceToken(stored["secret"])
        parts = urlsplit(address)
        if parts.scheme != "http" or parts.hostname not in LOOPBACK:  # a file can be forged
            return None
        connection = http.client.HTTPConnection(parts.hostname, parts.port, timeout=ANSWER_TIMEOUT)  # and asks no proxy
        with suppress(OSError):
            connection.request("GET", "/lab.json")
            answer = json.loads(connection.getresponse().read(LARGEST_FILE))
            return address if answer == {"lab": token.public_id} else None
    except (OSError, ValueError, TypeError, KeyError, AttributeError, http.client.HTTPException, RecursionError):
        pass  # no file, half a file, or another program at that port: there is none
    return None


@contextmanager
def announce(folder: Path, address: str) -> Iterator[InstanceToken]:
    """Write `address` to `folder` for later starts, until the end of the block. If that fails, they don't find it."""
    token = InstanceToken(secrets.token_urlsafe(24))
    text = json.dumps({"address": address, "secret": token.secret})
    with suppress(OSError):
        folder.mkdir(parents=True, exist_ok=True)
        handle, new = tempfile.mkstemp(dir=folder)  # for this user's eyes only
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(text)
        os.replace(new, folder / FILE)
    try:
        yield token
    finally:
        with suppress(OSError):
            if (folder / FILE).read_text(encoding="utf-8") == text:  # and not of one that was started later
                (folder / FILE).unlink()
