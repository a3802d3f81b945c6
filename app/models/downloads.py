"""Models fetched when a page asks for one (`app.models.sources`): one at a time, whoever asked.

Only a server that nobody else can reach offers this (`create_app`'s `downloads`), or a class's to its teacher, who
can't name files of the machine. Nothing is asked of the network before somebody presses a button, and what would be
fetched is shown before anything large is.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from app.common.errors import log_exception
from app.common.strings import Problem
from app.models.sources import DownloadInfo, ModelSource, parse_source
from litellama.hub.client import HubError
from litellama.hub.events import Converting, DownloadEvent, Received, Verifying, Waiting
from litellama.hub.fetch import free_room

SECONDS_TO_END = 5
SECONDS_OF_SPEED = 1.0

PROBLEMS = {  # by the kind of a `HubError`
    "library": "problem.hub_library", "offline": "problem.hub_offline", "network": "problem.hub_network",
    "busy": "problem.hub_busy", "gated": "problem.hub_gated", "token": "problem.hub_token",
    "not_found": "problem.hub_gone", "revision": "problem.hub_gone", "content": "problem.hub_content",
    "damaged": "problem.hub_damaged", "disk": "problem.hub_disk", "exists": "problem.hub_exists",
    "locked": "problem.hub_locked", "conversion": "problem.hub_conversion",
    "pip": "problem.package_pip", "index": "problem.package_index", "certificate": "problem.package_certificate",
    "package": "problem.package_damaged", "room": "problem.model_room", "local": "problem.model_local",
}  # fmt: skip

log = logging.getLogger("litellama.app")


@dataclass
class DownloadJob:
    """One download. `state`: asking, asked, fetching, converting, ended, there, stopped or failed."""

    source: ModelSource
    state: str = "asking"
    info: DownloadInfo | None = None
    event: DownloadEvent | None = None
    done: int = 0
    problem: Problem | None = None
    cancel_requested: threading.Event = field(default_factory=threading.Event)
    thread: threading.Thread | None = None
    speed: float = 0.0  # bytes a second
    measured: tuple[float, int] | None = None

    @property
    def is_busy(self) -> bool:
        return self.state in ("asking", "fetching", "converting")

    def record(self, event: DownloadEvent, now: float) -> None:
        """Record one event. `speed` is that of the last seconds only."""
        self.event = event
        if not isinstance(event, Received):
            self.measured = None
            return
        self.done = event.total
        since, before = self.measured or (now, event.total)
        if now - since >= SECONDS_OF_SPEED and event.total >= before:
            latest = (event.total - before) / (now - since)
            self.speed = 0.8 * self.speed + 0.2 * latest if self.speed else latest
            since, before = now, event.total
        self.measured = (since, before)


class Downloads:
    """The one download, and what a page may do with it. Safe for use by many threads."""

    def __init__(self, models: Path, local: bool = False) -> None:
        """With `local`, files and folders of this machine can be added to `models`."""
        self._models = models
        self._local = local
        self._job: DownloadJob | None = None
        self._lock = threading.Lock()

    def act(self, sent: object) -> dict[str, Any]:
        """Do a page's action: see, ask, start, cancel or discard. Gives the download's status. Raises `Problem`."""
        if not isinstance(sent, dict):
            raise Problem("problem.request")
        action = sent.get("action")
        with self._lock:
            job = self._job
            if action == "ask":
                source = parse_source(sent.get("repo"), self._models, self._local)
                if job is not None and job.is_busy:
                    raise Problem("problem.download_busy")
                self._job = job = DownloadJob(source)
                self._start(job, self._inspect)
            elif action in ("start", "cancel", "discard") and job is not None:
                self._apply(job, str(action))
            elif action != "see":
                raise Problem("problem.no_download" if action in ("start", "cancel", "discard") else "problem.request")
            return self._status()

    def close(self) -> None:
        """End the download; what was received stays on disk. Called when the server ends."""
        with self._lock:
            job = self._job
        if job is not None and job.thread is not None:
            job.cancel_requested.set()
            job.thread.join(SECONDS_TO_END)

    def _apply(self, job: DownloadJob, action: str) -> None:
        if action == "start":
            if job.state not in ("asked", "stopped"):
                raise Problem("problem.no_download")
            job.state = "fetching"
            job.cancel_requested.clear()
            self._start(job, self._fetch)
        elif action == "cancel":
            job.cancel_requested.set()
            if job.state not in ("fetching", "converting"):  # nobody waits for its answer any more
                self._job = None
        elif job.is_busy:
            raise Problem("problem.download_busy")
        else:
            job.source.discard()
            self._job = None

    def _start(self, job: DownloadJob, work: Callable[[DownloadJob], str]) -> None:
        job.problem, job.event, job.measured, job.speed = None, None, None, 0.0
        job.thread = threading.Thread(target=self._run, args=(job, work), daemon=True)
        job.thread.start()

    def _run(self, job: DownloadJob, work: Callable[[DownloadJob], str]) -> None:
        """Do one part of a download and remember how it ended."""
        try:
            state = work(job)
        except HubError as error:
            log.warning("%s was not fetched: %s", job.source.key, error)
            with self._lock:
                job.state, job.problem = "failed", self._as_problem(job, error)
        except Exception as error:
            number = log_exception("a download", error, str(error))
            with self._lock:
                job.state, job.problem = "failed", Problem("problem.hub_unexpected", number=number)
        else:
            with self._lock:
                job.state = state

    def _inspect(self, job: DownloadJob) -> str:
        job.info = info = job.source.inspect()
        return "there" if info.is_present else "asked"

    def _fetch(self, job: DownloadJob) -> str:
        with closing(job.source.download()) as events:
            for event in events:
                with self._lock:
                    job.record(event, time.monotonic())
                    if isinstance(event, Converting):
                        job.state = "converting"
                if job.cancel_requested.is_set() and job.state != "converting":
                    return "stopped"
        return "ended"

    def _as_problem(self, job: DownloadJob, error: HubError) -> Problem:
        """A `HubError` as a sentence of the page."""
        info, source = job.info, job.source
        size, page = (info.bytes, info.page) if info else (source.bytes, f"huggingface.co/{source.key}")
        values = {"size": round(size / 1e9, 2), "free": round(free_room(source.folder) / 1e9, 2)}
        return Problem(PROBLEMS[error.kind], name=source.title, page=page, reason=str(error), **values)

    def _status(self) -> dict[str, Any]:
        job = self._job
        if job is None:
            return {"state": "none"}
        info, event, source = job.info, job.event, job.source
        seen: dict[str, Any] = {
            "state": job.state, "repo": source.key, "title": source.title, "kind": source.kind,
            "replaces": info is not None and info.replaces,
            "problem": job.problem.to_json() if job.problem else None, "name": source.folder.name,
            "waiting": event.seconds if isinstance(event, Waiting) else None,
            "file": event.name if isinstance(event, Received | Verifying) else None,
            "verifying": isinstance(event, Verifying), "ending": job.cancel_requested.is_set(),
        }  # fmt: skip
        if info is None:
            return seen
        partial_bytes = 0 if job.state in ("ended", "there") else source.partial_bytes()
        left = (info.bytes - job.done) / job.speed if job.speed else None
        return seen | {
            "bytes": info.bytes, "files": info.files, "licence": info.licence, "done": job.done,
            "licence_link": info.licence_link, "page": info.page, "conversion": info.conversion,
            "copied": info.copied, "free": free_room(source.folder), "kept": partial_bytes, "speed": job.speed or None,
            "seconds_left": left,
        }  # fmt: skip
