"""The events of a download: first `DownloadStarted`, last `DownloadFinished`, the others between them in any order."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class DownloadStarted:
    """A download starts, or resumes: of `bytes` in all, `stored` are on the disk already."""

    files: int
    bytes: int
    stored: int


@dataclass(frozen=True)
class Received:
    """Bytes received of the file `name`, and in `total` of all files. They shrink when a file starts from zero."""

    name: str
    bytes: int
    total: int


@dataclass(frozen=True)
class Waiting:
    """`seconds` are left until the next try, and why. Sent once a second."""

    seconds: int
    why: str


@dataclass(frozen=True)
class Verifying:
    """The file `name` is on the disk and is being compared with the hash that the hub lists."""

    name: str


@dataclass(frozen=True)
class Discarded:
    """The file `name` was not the one that the hub lists, for the reason `why`. It is fetched once more."""

    name: str
    why: str


@dataclass(frozen=True)
class Converting:
    """Everything is here; the file `name` is being converted into a checkpoint folder."""

    name: str


@dataclass(frozen=True)
class DownloadFinished:
    """The whole model is in `folder`."""

    folder: Path


DownloadEvent = DownloadStarted | Received | Waiting | Verifying | Discarded | Converting | DownloadFinished
