"""A server on this machine that answers as a test says, over real sockets: an OpenAI-compatible one, or none at all."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

JSON, STREAM, HTML = "application/json", "text/event-stream", "text/html"


@dataclass(frozen=True)
class Request:
    """What came in."""

    method: str
    path: str
    headers: dict[str, str]
    body: Any


Answer = Callable[[Request, socket.socket], None]


@dataclass
class Loopback:
    """Its address, what it was asked, and how often who asked hung up."""

    address: str
    requests: list[Request] = field(default_factory=list)
    hung_up: threading.Semaphore = field(default_factory=lambda: threading.Semaphore(0))

    @property
    def chats(self) -> list[Any]:
        """The bodies of all requests for a reply."""
        return [request.body for request in self.requests if request.path.endswith("/chat/completions")]

    @property
    def where(self) -> str:
        return self.address.removeprefix("http://")


@contextmanager
def loopback(answer: Answer) -> Iterator[Loopback]:
    """Serve until the test is over; each connection is one request, and closed after its answer."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        server = Loopback(f"http://127.0.0.1:{listener.getsockname()[1]}")
        threads: list[threading.Thread] = []

        def serve(connection: socket.socket) -> None:
            with connection:
                connection.settimeout(20)
                request = read_request(connection)
                if request is None:
                    return
                server.requests.append(request)
                try:
                    answer(request, connection)
                except OSError:
                    server.hung_up.release()

        def accept() -> None:
            while True:
                try:
                    connection, _ = listener.accept()
                except OSError:
                    return
                threads.append(threading.Thread(target=serve, args=(connection,), daemon=True))
                threads[-1].start()

        accepting = threading.Thread(target=accept, daemon=True)
        accepting.start()
        try:
            yield server
        finally:
            with suppress(OSError):
                listener.shutdown(socket.SHUT_RDWR)
            accepting.join(20)
            for thread in threads:
                thread.join(20)


def read_request(connection: socket.socket) -> Request | None:
    data = b""
    with suppress(OSError):
        while b"\r\n\r\n" not in data:
            if not (more := connection.recv(65536)):
                return None
            data += more
        head, _, body = data.partition(b"\r\n\r\n")
        first, *lines = head.decode().split("\r\n")
        headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
        while len(body) < int(headers.get("content-length", 0)):
            body += connection.recv(65536)
        method, path, _ = first.split(" ")
        return Request(method, path, headers, json.loads(body) if body else None)
    return None


def head(status: int = 200, kind: str = STREAM, *more: str) -> bytes:
    """The beginning of an answer whose body goes on until the connection is closed."""
    lines = [f"HTTP/1.1 {status} Whatever", f"content-type: {kind}", "connection: close", *more]
    return "\r\n".join([*lines, "", ""]).encode()


def whole(value: object, status: int = 200, kind: str = JSON) -> bytes:
    """An answer in one piece."""
    body = value.encode() if isinstance(value, str) else json.dumps(value).encode()
    return head(status, kind, f"content-length: {len(body)}") + body


def event(value: object) -> bytes:
    """One event of a stream."""
    return b"data: " + (value if isinstance(value, str) else json.dumps(value)).encode() + b"\n\n"


def word(text: str, logprob: float | None = None, **others: float) -> bytes:
    """A token on its way; with its `logprob`, and those of `others`, if the server tells."""
    choice: dict[str, Any] = {"index": 0, "delta": {"content": text}, "finish_reason": None}
    if logprob is not None:
        tops = [{"token": name, "logprob": value, "bytes": None} for name, value in {text: logprob, **others}.items()]
        choice["logprobs"] = {"content": [{"token": text, "logprob": logprob, "top_logprobs": tops}]}
    return event({"choices": [choice]})


def finish(reason: str = "stop", **usage: int) -> bytes:
    """The end of a reply, with the server's counts if it has any."""
    counts = event({"choices": [], "usage": usage}) if usage else b""
    return event({"choices": [{"delta": {}, "finish_reason": reason}]}) + counts + event("[DONE]")


def models(*ids: str) -> bytes:
    """The answer to what models there are."""
    return whole({"object": "list", "data": [{"id": id, "object": "model"} for id in ids]})


def speaking(*pieces: bytes, offered: tuple[str, ...] = ("small",)) -> Answer:
    """A server whose every reply is `pieces`, head and all left to it, and that offers these models."""

    def answer(request: Request, connection: socket.socket) -> None:
        if request.path.endswith("/models"):
            connection.sendall(models(*offered))
            return
        for piece in (head(), *pieces):
            connection.sendall(piece)

    return answer


def until_closed(connection: socket.socket) -> None:
    """Say no more, until who asked hangs up, which is told as an `OSError`."""
    if connection.recv(1) == b"":
        raise ConnectionResetError
