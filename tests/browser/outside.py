"""Whatever leaves this machine, seen from three sides: the server's Python, its sockets, and the browser's requests."""

from __future__ import annotations

import ipaddress
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import psutil
import pytest

if TYPE_CHECKING:
    from playwright.sync_api import BrowserContext

FILE = "LITELLAMA_TEST_WATCH"
SECONDS_BETWEEN_LOOKS = 0.05

# Python runs a module of this name at the start of each process, so also in those that the server starts.
SITE = f'''
import os, sys

NEAR = {{"", None, "127.0.0.1", "localhost", "::1", "0.0.0.0", "::", b"127.0.0.1", b"localhost"}}

def watch(event, arguments):
    if event in ("socket.connect", "socket.sendto", "socket.sendmsg"):
        address = arguments[1]
        host = address[0] if isinstance(address, tuple) else None  # otherwise a socket in the file system
    elif event in ("socket.getaddrinfo", "socket.gethostbyname"):
        host = arguments[0]
    else:
        return
    if host not in NEAR:
        with open(os.environ["{FILE}"], "a") as told:
            told.write(f"{{event}} {{host!r}} by {{sys.argv[:3]}}\\n")

if "{FILE}" in os.environ:
    sys.addaudithook(watch)
'''


@dataclass
class Outside:
    """What was seen to leave, in words; nothing, if all is well. `requests` are all of the browser's."""

    file: Path
    sockets: set[str] = field(default_factory=set)
    requests: list[str] = field(default_factory=list)

    def listen(self, context: BrowserContext) -> None:
        """Take in every request of a browser's pages from now on."""
        context.on("request", lambda request: self.requests.append(request.url))

    def seen(self, address: str) -> list[str]:
        """Everything that went elsewhere than to the server at `address`."""
        told = self.file.read_text().splitlines() if self.file.exists() else []
        own = urlsplit(address).netloc
        asked = [url for url in self.requests if not url.startswith(("data:", "blob:", "about:"))]
        return [*told, *sorted(self.sockets), *(url for url in asked if urlsplit(url).netloc != own)]

    def look(self, server: psutil.Process) -> None:
        """Take in where the server's sockets, and those of its processes, lead to."""
        with suppress(psutil.Error):
            for process in (server, *server.children(recursive=True)):
                for connection in process.net_connections("inet"):
                    if connection.raddr and not ipaddress.ip_address(connection.raddr.ip).is_loopback:
                        self.sockets.add(f"{process.name()} to {connection.raddr}")


@contextmanager
def watched(folder: Path) -> Iterator[Outside]:
    """Processes that are started meanwhile tell each name they look up and each place they send to."""
    (folder / "sitecustomize.py").write_text(SITE)
    places = os.pathsep.join([str(folder), *filter(None, [os.environ.get("PYTHONPATH")])])
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(FILE, str(folder / "outside.txt"))
        patch.setenv("PYTHONPATH", places)
        yield Outside(folder / "outside.txt")


@contextmanager
def sockets_watched(outside: Outside, server: psutil.Process) -> Iterator[None]:
    """Look at the server's sockets all the while."""
    over = threading.Event()

    def look() -> None:
        while not over.wait(SECONDS_BETWEEN_LOOKS):
            outside.look(server)

    watch = threading.Thread(target=look)
    watch.start()
    try:
        yield
    finally:
        over.set()
        watch.join()
