"""Requests to an OpenAI-compatible server: its address, its key, and each thing that can go wrong as a `Problem`."""

from __future__ import annotations

import ipaddress
import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any
from urllib.parse import urlsplit

import httpx

from app.common.strings import Problem
from app.models.openai_stream import error_message, read_json

SECONDS_TO_CONNECT = 5.0
LARGEST_ANSWER = 2**23  # bytes
LARGEST_ERROR = 2**16
STATUS_PROBLEMS = {
    401: "problem.engine_key", 403: "problem.engine_key", 404: "problem.engine_no_model", 429: "problem.engine_busy",
    503: "problem.engine_busy",
}  # fmt: skip


class EngineError(Problem):
    """Why a server did not answer as it should. `server_message` is its own text; `status` is that of its answer,
    None where no whole answer came."""

    def __init__(self, key: str, status: int | None = None, server_message: str = "", **values: object) -> None:
        super().__init__(key, said=server_message, **values)
        self.status = status
        self.server_message = server_message


class Connection:
    """A connection that another thread may close, even while a read of it waits."""

    def __init__(self) -> None:
        self.is_closed = False
        self._stream: Any = None

    def trace(self, event: str, info: dict[str, Any]) -> None:
        """What httpx tells of a request's progress (its extension "trace")."""
        if event.endswith(("connect_tcp.complete", "start_tls.complete")):
            self._stream = info["return_value"]
        if self.is_closed:
            self.close()

    def close(self) -> None:
        """Close it, now or as soon as it is open."""
        self.is_closed = True
        if self._stream is not None:
            with suppress(OSError):  # it is closed already
                self._stream.get_extra_info("socket").shutdown(socket.SHUT_RDWR)


class OpenAIClient:
    """A client of one server. The key is sent to that server and to no proxy."""

    def __init__(self, address: str, key: str | None = None) -> None:
        """Raises `ValueError` for an address or a key that can't be one."""
        self.address = read_address(address)
        parts = urlsplit(self.address)
        self.where = parts.netloc + parts.path.removesuffix("/v1")
        self._headers = {"accept-encoding": "identity"}  # so that what is counted is what comes
        if key:
            if not (key.isascii() and key.isprintable()) or " " in key:
                raise ValueError(f"the key for {self.where} holds characters that no key can hold; check it")
            self._headers["authorization"] = f"Bearer {key}"
        self._tls = httpx.create_ssl_context()

    @property
    def is_private(self) -> bool:
        """Whether nobody between here and the server can read what is sent."""
        host = urlsplit(self.address).hostname or ""
        with suppress(ValueError):
            return self.address.startswith("https:") or ipaddress.ip_address(host).is_loopback
        return host == "localhost"

    @contextmanager
    def request(
        self, connection: Connection, method: str, route: str, content_type: str, read_timeout: float, body: Any = None
    ) -> Iterator[Iterator[bytes]]:
        """Chunks of the answer's body, which is of this `content_type`. Raises `EngineError`, whatever goes wrong."""
        extensions = {"trace": connection.trace}
        timeout = httpx.Timeout(read_timeout, connect=SECONDS_TO_CONNECT)
        try:
            with (
                # The environment's proxies would be told the key.
                httpx.Client(headers=self._headers, timeout=timeout, verify=self._tls, trust_env=False) as client,
                client.stream(method, self.address + route, json=body, extensions=extensions) as response,
            ):
                self._check(response, content_type)
                yield self._counted(response.iter_raw())
        except (httpx.ConnectError, httpx.ConnectTimeout) as error:
            raise EngineError("problem.engine_unreachable", where=self.where) from error
        except httpx.TimeoutException as error:
            raise EngineError("problem.engine_slow", where=self.where, seconds=round(read_timeout)) from error
        except (httpx.HTTPError, OSError) as error:
            raise EngineError("problem.engine_cut", where=self.where) from error

    def _check(self, response: httpx.Response, content_type: str) -> None:
        status = response.status_code
        if 300 <= status < 400:
            raise EngineError("problem.engine_moved", status, where=self.where)
        if status != 200:
            server_message = self._error_message(response)
            if status in STATUS_PROBLEMS:
                raise EngineError(STATUS_PROBLEMS[status], status, server_message, where=self.where)
            if status >= 500 or not server_message:
                raise EngineError("problem.engine_failed", status, server_message, where=self.where, code=status)
            raise EngineError("problem.engine_refused", status, server_message, where=self.where)
        found = response.headers.get("content-type", "").split(";")[0].strip().lower()
        if found != content_type or response.headers.get("content-encoding", "identity") != "identity":
            raise EngineError("problem.engine_nonsense", status, where=self.where)

    def _error_message(self, response: httpx.Response) -> str:
        try:
            return error_message(read_json(b"".join(self._counted(response.iter_raw(), LARGEST_ERROR))))
        except ValueError:
            return ""

    def _counted(self, chunks: Iterator[bytes], most: int = LARGEST_ANSWER) -> Iterator[bytes]:
        size = 0
        for chunk in chunks:
            size += len(chunk)
            if size > most:
                raise EngineError("problem.engine_too_much", where=self.where)
            yield chunk


def read_address(text: str) -> str:
    """A server's address without the slash at its end; one without a path means its /v1.

    Raises `ValueError` for what isn't an http or https URL of a server.
    """
    expected = f"{text!r} was given; an address such as http://localhost:8080 was expected"
    try:
        parts = urlsplit(text)
        host, _ = parts.hostname, parts.port
    except ValueError as error:
        raise ValueError(expected) from error
    if parts.scheme not in ("http", "https") or not host or not text.isascii() or not text.isprintable() or " " in text:
        raise ValueError(expected)
    if parts.username is not None or parts.query or parts.fragment:
        raise ValueError("an engine's address holds no user, no password and no query; its key has another place")
    return f"{parts.scheme}://{parts.netloc}{parts.path.rstrip('/') or '/v1'}"
