"""What a download says on its way, in this order: Begun, then any of the middle ones, then Done."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class DownloadStarted:
    """A download about to begin, or to go on: of `bytes` in all, `stored` are on the disk already."""

    files: int
    bytes: int
    stored: int


@dataclass(frozen=True)
class Received:
    """How much of the file `name` is there, and of all files together, in bytes; less than before if it began anew."""

    name: str
    bytes: int
    total: int


@dataclass(frozen=True)
class Waiting:
    """Another `seconds` until the next try, told once a second, and why."""

    seconds: int
    why: str


@dataclass(frozen=True)
class Verifying:
    """The file `name`, which is on the disk, is compared with the hash that the hub lists."""

    name: str


@dataclass(frozen=True)
class Discarded:
    """The file `name` was not the one that the hub lists; it is fetched once more."""

    name: str
    why: str


@dataclass(frozen=True)
class Converting:
    """All has come; the file `name` is being turned into a checkpoint folder."""

    name: str


@dataclass(frozen=True)
class DownloadFinished:
    """The whole model stands in `folder`."""

    folder: Path


DownloadEvent = DownloadStarted | Received | Waiting | Verifying | Discarded | Converting | DownloadFinished
