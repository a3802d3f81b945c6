"""A guard in which no other machine is reached and no file changed outside one folder, whatever the code tries."""

from __future__ import annotations

import ipaddress
import logging
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

log = logging.getLogger("tests.support.confined")

CHANGES = ("os.mkdir", "os.remove", "os.rename", "os.rmdir", "os.symlink", "os.link", "os.truncate", "os.chmod")
WRITES = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC


@dataclass
class Confined:
    """`folder` may be written to, None for anything; `tried` is what was tried beyond."""

    folder: Path | None
    tried: list[str] = field(default_factory=list)

    def refuse(self, event: str, what: object) -> None:
        self.tried.append(f"{event} {what!r}")
        log.error("not allowed here: %s %r", event, what)
        raise PermissionError(f"{event} {what!r} is not allowed here")


_now: list[Confined] = []  # a hook is for good, so it looks here whether it is to do anything


@contextmanager
def confined(folder: Path | None = None) -> Iterator[Confined]:
    """Until the block ends, refuse connections and look-ups of names beyond this machine, and changes of files
    outside `folder`."""
    if _hook not in _hooked:
        sys.addaudithook(_hook)
        _hooked.append(_hook)
    _now.append(Confined(folder and folder.resolve()))
    try:
        yield _now[-1]
    finally:
        _now.pop()


def _hook(event: str, details: tuple[Any, ...]) -> None:
    if not _now:
        return
    if event in ("socket.connect", "socket.sendto", "socket.sendmsg"):
        host = details[1][0] if len(details) > 1 and isinstance(details[1], tuple) else None
    elif event == "socket.getaddrinfo":
        host = details[0]
    else:
        if event in CHANGES or (event == "open" and isinstance(details[2], int) and details[2] & WRITES):
            _look_at(event, details[0])
        return
    if not _is_here(host):
        _now[-1].refuse(event, host)


_hooked: list[Any] = []


def _look_at(event: str, path: object) -> None:
    folder = _now[-1].folder
    if folder is None or not isinstance(path, str | bytes) or path in ("/dev/null", os.devnull):
        return
    if not Path(os.path.abspath(os.fsdecode(path))).is_relative_to(folder):
        _now[-1].refuse(event, path)


def _is_here(host: object) -> bool:
    name = host.decode("ascii", "replace") if isinstance(host, bytes) else host
    if name in (None, "", "localhost"):
        return True
    try:
        return ipaddress.ip_address(str(name).partition("%")[0]).is_loopback
    except ValueError:
        return False
