"""One file of the hub, received in as many requests as the network needs; each resumes where the last one ended.

The download of huggingface_hub is not used: it checks a new file's size but not its hash, and while it retries it can
neither be cancelled nor watched.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from pathlib import Path
from time import sleep
from types import TracebackType
from typing import TYPE_CHECKING
from urllib.parse import quote

from litellama.hub.client import BusyError, Hub, HubError, answered, no_connection
from litellama.hub.events import Received, Waiting
from litellama.hub.listing import HubFile, Listing

if TYPE_CHECKING:
    from httpx2 import Client

MOST_TRIES = 6  # in a row that bring nothing
LONGEST_WAIT = 300  # seconds; the hub counts its guests' requests by five minutes
BLOCK = 2**20


class WrongFileError(Exception):
    """What the server sends is not the file that the hub lists."""


class PartialFile:
    """The part of a file that was received, and its hash so far; to be used by `with`, and added to."""

    def __init__(self, path: Path, file: HubFile) -> None:
        self.path = path
        self.file = file

    def __enter__(self) -> PartialFile:
        self._target = open(self.path, "ab+")
        self.restart(keep=True)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._target.close()

    def restart(self, keep: bool = False) -> None:
        """Start from zero; with `keep`, from what an earlier process received, unless that is too long."""
        self.bytes = 0
        self._digest = empty_digest(self.file)
        size = self._target.seek(0, os.SEEK_END)
        if not keep or size > self.file.bytes:
            self._target.truncate(0)
        self._target.seek(0)
        while block := self._target.read(BLOCK):
            self._digest.update(block)
            self.bytes += len(block)

    def append(self, block: bytes) -> None:
        if self.bytes + len(block) > self.file.bytes:
            raise WrongFileError(f"it is longer than the {self.file.bytes:,} bytes that the hub lists")
        self._target.write(block)
        self._digest.update(block)
        self.bytes += len(block)

    def finish(self, place: Path) -> None:
        """Rename the whole file to `place`. Raises `WrongFileError` if its hash is not the one that the hub lists."""
        if self._digest.hexdigest() != self.file.hash:  # guard: download-hash
            raise WrongFileError(f"its {self._digest.name.upper()} is not the one that the hub lists")
        self._target.flush()
        os.fsync(self._target.fileno())
        self._target.close()
        self.path.replace(place)


def empty_digest(file: HubFile) -> hashlib._Hash:
    """The hash that, fed with `file`'s content, becomes `file.hash`: SHA-256, or git's SHA-1 of a blob."""
    if file.sha256 is not None:
        return hashlib.sha256()
    return hashlib.sha1(b"blob %d\0" % file.bytes, usedforsecurity=False)


def is_file(path: Path, file: HubFile) -> bool:
    """Whether `path` has the size and the hash of `file`."""
    if not path.is_file() or path.stat().st_size != file.bytes:
        return False
    digest = empty_digest(file)
    with open(path, "rb") as source:
        while block := source.read(BLOCK):
            digest.update(block)
    return digest.hexdigest() == file.hash


def receive(client: Client, listing: Listing, part: PartialFile, token: str | None) -> Iterator[Received | Waiting]:
    """Add to `part` until it has all of its file's bytes, with as many requests as that takes. `total` stays 0.

    Raises `HubError` after too many failures or a refusal, and `WrongFileError` for another file than the listed one.
    """
    import httpx2

    tries = 0
    while part.bytes < part.file.bytes:
        before, wait, failed = part.bytes, 0, None
        try:
            yield from _request(client, listing, part, token)
        except (httpx2.HTTPError, httpx2.InvalidURL) as error:
            why, failed = "the connection broke", no_connection(listing.endpoint, error)
        except BusyError as busy:
            why, wait, failed = "the server is busy", busy.wait, busy.error
        else:
            why = "the server ended too early"
        if part.bytes == part.file.bytes:
            return
        tries = 0 if part.bytes > before else tries + 1
        if tries == MOST_TRIES:
            raise failed or HubError("network", f"{part.file.name} breaks off again and again; try later") from None
        for left in range(min(max(wait, 2**tries), LONGEST_WAIT), 0, -1):
            yield Waiting(left, why)
            sleep(1)


def _request(client: Client, listing: Listing, part: PartialFile, token: str | None) -> Iterator[Received]:
    """One request for the missing bytes; what arrives is added to `part`."""
    hub = Hub(listing.endpoint, listing.repo, token)
    address = f"{listing.page}/resolve/{listing.commit}/{quote(part.file.name)}"
    headers = {"range": f"bytes={part.bytes}-"} if part.bytes else {}  # guard: download-goes-on
    with answered(client, hub, address, headers) as answer:
        if answer.status_code == 200:
            if part.bytes:  # it does not know how to go on in the middle; guard: download-anew
                part.restart()
            declared = None if "content-encoding" in answer.headers else answer.headers.get("content-length")
        else:
            begins, _, declared = answer.headers.get("content-range", "").partition("/")
            if answer.status_code == 416 or not begins.startswith(f"bytes {part.bytes}-"):
                part.restart()
                return
        if declared and declared.isdecimal() and int(declared) != part.file.bytes:
            raise WrongFileError(f"the server's has {int(declared):,} bytes, the hub lists {part.file.bytes:,}")
        for block in answer.iter_bytes():
            part.append(block)
            yield Received(part.file.name, part.bytes, 0)
