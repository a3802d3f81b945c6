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

from app.common.errors import told_once
from app.common.strings import Problem
from app.models.sources import Found, Source, read_source
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
class Job:
    """One download. `state`: asking, asked, fetching, converting, ended, there, stopped or failed."""

    source: Source
    state: str = "asking"
    found: Found | None = None
    news: DownloadEvent | None = None
    done: int = 0
    problem: Problem | None = None
    wishes_end: threading.Event = field(default_factory=threading.Event)
    thread: threading.Thread | None = None
    speed: float = 0.0  # bytes a second
    measured: tuple[float, int] | None = None

    @property
    def is_busy(self) -> bool:
        return self.state in ("asking", "fetching", "converting")

    def hear(self, news: DownloadEvent, now: float) -> None:
        """Take in one piece of news; the speed is that of the last seconds, of what came just then."""
        self.news = news
        if not isinstance(news, Received):
            self.measured = None
            return
        self.done = news.total
        since, before = self.measured or (now, news.total)
        if now - since >= SECONDS_OF_SPEED and news.total >= before:
            latest = (news.total - before) / (now - since)
            self.speed = 0.8 * self.speed + 0.2 * latest if self.speed else latest
            since, before = now, news.total
        self.measured = (since, before)


class Downloads:
    """The download there is, and what a page may ask of it. Safe to be used by many threads."""

    def __init__(self, models: Path, local: bool = False) -> None:
        """With `local`, files and folders of this machine can be added to `models`."""
        self._models = models
        self._local = local
        self._job: Job | None = None
        self._lock = threading.Lock()

    def act(self, sent: object) -> dict[str, Any]:
        """Do what a page asks: see, ask, start, cancel or discard; gives what there is to see. Raises `Problem`."""
        if not isinstance(sent, dict):
            raise Problem("problem.request")
        action = sent.get("action")
        with self._lock:
            job = self._job
            if action == "ask":
                source = read_source(sent.get("repo"), self._models, self._local)
                if job is not None and job.is_busy:
                    raise Problem("problem.download_busy")
                self._job = job = Job(source)
                self._begin(job, self._ask)
            elif action in ("start", "cancel", "discard") and job is not None:
                self._obey(job, str(action))
            elif action != "see":
                raise Problem("problem.no_download" if action in ("start", "cancel", "discard") else "problem.request")
            return self._seen()

    def close(self) -> None:
        """End the download; what came is kept. Called when the server ends."""
        with self._lock:
            job = self._job
        if job is not None and job.thread is not None:
            job.wishes_end.set()
            job.thread.join(SECONDS_TO_END)

    def _obey(self, job: Job, action: str) -> None:
        if action == "start":
            if job.state not in ("asked", "stopped"):
                raise Problem("problem.no_download")
            job.state = "fetching"
            job.wishes_end.clear()
            self._begin(job, self._fetch)
        elif action == "cancel":
            job.wishes_end.set()
            if job.state not in ("fetching", "converting"):  # an answer that is still to come is for nobody
                self._job = None
        elif job.is_busy:
            raise Problem("problem.download_busy")
        else:
            job.source.discard()
            self._job = None

    def _begin(self, job: Job, work: Callable[[Job], str]) -> None:
        job.problem, job.news, job.measured, job.speed = None, None, None, 0.0
        job.thread = threading.Thread(target=self._do, args=(job, work), daemon=True)
        job.thread.start()

    def _do(self, job: Job, work: Callable[[Job], str]) -> None:
        """Do one part of a download and remember how it ended."""
        try:
            state = work(job)
        except HubError as error:
            log.warning("%s was not fetched: %s", job.source.key, error)
            with self._lock:
                job.state, job.problem = "failed", self._told(job, error)
        except Exception as error:
            number = told_once("a download", error, str(error))
            with self._lock:
                job.state, job.problem = "failed", Problem("problem.hub_unexpected", number=number)
        else:
            with self._lock:
                job.state = state

    def _ask(self, job: Job) -> str:
        job.found = found = job.source.look()
        return "there" if found.is_there else "asked"

    def _fetch(self, job: Job) -> str:
        with closing(job.source.bring()) as newses:
            for news in newses:
                with self._lock:
                    job.hear(news, time.monotonic())
                    if isinstance(news, Converting):
                        job.state = "converting"
                if job.wishes_end.is_set() and job.state != "converting":
                    return "stopped"
        return "ended"

    def _told(self, job: Job, error: HubError) -> Problem:
        """A `HubError` in the page's words."""
        found, source = job.found, job.source
        size, page = (found.bytes, found.page) if found else (source.bytes, f"huggingface.co/{source.key}")
        values = {"size": round(size / 1e9, 2), "free": round(free_room(source.folder) / 1e9, 2)}
        return Problem(PROBLEMS[error.kind], name=source.title, page=page, reason=str(error), **values)

    def _seen(self) -> dict[str, Any]:
        job = self._job
        if job is None:
            return {"state": "none"}
        found, news, source = job.found, job.news, job.source
        seen: dict[str, Any] = {
            "state": job.state, "repo": source.key, "title": source.title, "kind": source.kind,
            "replaces": found is not None and found.replaces,
            "problem": job.problem.to_json() if job.problem else None, "name": source.folder.name,
            "waiting": news.seconds if isinstance(news, Waiting) else None,
            "file": news.name if isinstance(news, Received | Verifying) else None,
            "verifying": isinstance(news, Verifying), "ending": job.wishes_end.is_set(),
        }  # fmt: skip
        if found is None:
            return seen
        kept = 0 if job.state in ("ended", "there") else source.kept()
        left = (found.bytes - job.done) / job.speed if job.speed else None
        return seen | {
            "bytes": found.bytes, "files": found.files, "licence": found.licence, "done": job.done,
            "licence_link": found.licence_link, "page": found.page, "conversion": found.conversion,
            "copied": found.copied, "free": free_room(source.folder), "kept": kept, "speed": job.speed or None,
            "seconds_left": left,
        }  # fmt: skip
