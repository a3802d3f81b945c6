"""OpenAI-compatible servers (vLLM, llama.cpp, Ollama) whose models can be chosen besides those of this machine.

The person who starts the lab names the servers; a page cannot.
"""

from __future__ import annotations

import logging
import queue
import re
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from app.common.errors import log_exception
from app.common.strings import Problem
from app.common.text import replace_surrogates
from app.models.openai_client import Connection, EngineError, OpenAIClient
from app.models.openai_stream import ChatDelta, ReportedError, iter_sse_events, read_delta, read_json

SECONDS_OF_SILENCE = 30.0
SECONDS_FOR_MODELS = 5.0
SECONDS_BETWEEN_LISTS = 5.0
POLL_SECONDS = 0.1  # seconds between two answers of `ChatStream`, so that its reader can stop
MOST_MODELS = 200
LONGEST_NAME = 200
PATH = re.compile(r"[\\/]")

log = logging.getLogger("litellama.app")


@dataclass(frozen=True)
class RemoteModel:
    """A model of an engine. Its `name` is no folder's, since those hold no slash."""

    engine: RemoteEngine
    id: str

    @property
    def name(self) -> str:
        return f"{self.engine.where}/{self.id}"

    @property
    def title(self) -> str:
        """What the page calls it; of a path on the server's disk, the file's name."""
        is_path = self.id.startswith("/") or self.id.endswith(".gguf")
        shown = PATH.split(self.id)[-1] if is_path else self.id
        return f"{shown} @ {self.engine.where}"

    def to_json(self) -> dict[str, Any]:
        return {
            "name": self.name, "title": self.title, "parameters": None, "has_manifest": False,
            "engine": self.engine.where,
        }  # fmt: skip


class RemoteEngine:
    """One server. Safe to be used by many threads."""

    def __init__(self, address: str, key: str | None = None, only_model: str | None = None) -> None:
        """`address` is its http or https URL, `only_model` the one model to be offered instead of all it lists.

        Raises `ValueError` for an address or a key that can't be one.
        """
        self.client = OpenAIClient(address, key)
        self.where = self.client.where
        self.problem: Problem | None = None
        """Why its models could not be listed, the last time."""
        self.accepted_options: dict[str, tuple[str, ...]] = {}
        """By model, the optional fields of a request that the server accepted; see `app.chat.responders`."""
        self._only_model = only_model
        self._ids: list[str] = [] if only_model is None else [only_model]
        self._last_refresh = float("-inf")
        self._refreshing = threading.Lock()

    def models(self) -> list[RemoteModel]:
        """The models it had when it was last asked."""
        return [RemoteModel(self, id) for id in self._ids]

    def refresh(self) -> None:
        """Ask which models it has, unless that was just done. If it can't be reached, `problem` says so."""
        with self._refreshing:
            if self._only_model is not None or time.monotonic() - self._last_refresh < SECONDS_BETWEEN_LISTS:
                return
            try:
                self._ids, self.problem = self._list(), None
            except Problem as problem:  # its models stay: perhaps it is back when one is used
                self.problem = problem
                log.warning("%s", problem)
            self.accepted_options.clear()  # perhaps it was started again with other options
            self._last_refresh = time.monotonic()

    def _list(self) -> list[str]:
        connection = Connection()
        limit = threading.Timer(SECONDS_FOR_MODELS, connection.close)
        limit.start()
        body = bytearray()
        try:
            with self.client.request(connection, "GET", "/models", "application/json", SECONDS_FOR_MODELS) as chunks:
                for chunk in chunks:
                    body += chunk
            listed = read_json(bytes(body))["data"]
            ids = [replace_surrogates(one["id"]) for one in listed[:MOST_MODELS]]
        except (ValueError, LookupError, TypeError, AttributeError) as error:
            if connection.is_closed:
                raise EngineError("problem.engine_slow", where=self.where, seconds=round(SECONDS_FOR_MODELS)) from error
            if isinstance(error, Problem):
                raise
            raise EngineError("problem.engine_nonsense", where=self.where) from error
        finally:
            limit.cancel()
        return list(dict.fromkeys(id for id in ids if id.isprintable() and 0 < len(id) <= LONGEST_NAME))

    def chat(self, body: dict[str, Any]) -> ChatStream:
        """Ask for a reply, which begins at once. Close it to stop it."""
        return ChatStream(self, body)


class ChatStream:
    """A reply that is being received. A thread of its own reads it, so that its user can stop at any moment, even while
    the server is silent. Closing it closes the connection, so the server stops too."""

    def __init__(self, engine: RemoteEngine, body: dict[str, Any]) -> None:
        self._engine = engine
        self._body = body
        self._connection = Connection()
        self._received: queue.SimpleQueue[ChatDelta | Problem | None] = queue.SimpleQueue()  # LARGEST_ANSWER bounds it
        threading.Thread(target=self._read, daemon=True).start()

    def __iter__(self) -> Iterator[ChatDelta | None]:
        """Each delta, or None when nothing came for `POLL_SECONDS`. Raises `Problem` if the reply failed."""
        while True:
            try:
                received = self._received.get(timeout=POLL_SECONDS)
            except queue.Empty:
                yield None
                continue
            if received is None:
                return
            if isinstance(received, Problem):
                raise received
            yield received

    def close(self) -> None:
        """Stop it."""
        self._connection.close()

    def _read(self) -> None:
        where = self._engine.where
        try:
            self._receive()
            self._received.put(None)
        except ReportedError as error:
            self._received.put(EngineError("problem.engine_refused", None, str(error), where=where))
        except Problem as problem:
            self._received.put(problem)
        except Exception as error:  # whatever it is: otherwise the reader would wait for ever
            if not (isinstance(error, ValueError) or self._connection.is_closed):
                log_exception(f"reading what {where} sent", error, "")
            self._received.put(EngineError("problem.engine_nonsense", where=where))

    def _receive(self) -> None:
        route, content_type = "/chat/completions", "text/event-stream"
        client, timeout = self._engine.client, SECONDS_OF_SILENCE
        with client.request(self._connection, "POST", route, content_type, timeout, self._body) as chunks:
            for data in iter_sse_events(chunks):
                if data == "[DONE]":
                    return
                self._received.put(read_delta(data))
