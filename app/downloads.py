"""Models fetched from the Hugging Face hub when a page asks for one of a short list: one at a time, whoever asked.

Only a server that nobody else can reach offers this (`create_app`'s `downloads`), and nothing is asked of the network
before somebody presses a button. What the hub states is shown before anything large is fetched.
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

from app.trouble import told_once
from app.words import Problem
from litellama.footprint.facts import fact
from litellama.hub.asking import HubError
from litellama.hub.fetch import check_room, convert, discard, fetch, free_room, is_unconverted, kept_bytes, standing
from litellama.hub.listing import Listing, look_up
from litellama.hub.news import News, Received, Verifying, Waiting

BYTES_PER_WEIGHT = 2  # as all three are stored
SECONDS_TO_END = 5
SECONDS_OF_SPEED = 1.0

PROBLEMS = {  # by the kind of a `HubError`
    "library": "problem.hub_library", "offline": "problem.hub_offline", "network": "problem.hub_network",
    "busy": "problem.hub_busy", "gated": "problem.hub_gated", "token": "problem.hub_token",
    "not_found": "problem.hub_gone", "revision": "problem.hub_gone", "content": "problem.hub_content",
    "damaged": "problem.hub_damaged", "disk": "problem.hub_disk", "exists": "problem.hub_exists",
    "locked": "problem.hub_locked", "conversion": "problem.hub_conversion",
}  # fmt: skip

log = logging.getLogger("litellama.app")


@dataclass(frozen=True)
class Offer:
    """A model that a page may ask for, and the facts that say how large it is and how it is licensed."""

    repo: str
    title: str
    weights: str
    licence: str
    gated: bool = False

    def to_json(self) -> dict[str, Any]:
        weights, licence = fact(self.weights), fact(self.licence)
        return {
            "repo": self.repo, "title": self.title, "gated": self.gated, "licence": licence.value,
            "weights": weights.number, "bytes": weights.number * BYTES_PER_WEIGHT,
        }  # fmt: skip


OFFERS = (
    Offer(
        "ahxt/LiteLlama-460M-1T", "LiteLlama-460M",
        "2-1-litellama-architecture-and-files.litellama-460m-1t.parameter-count-exact",
        "2-2-litellama-training-and-card.litellama-460m-1t.licence",
    ),
    Offer(
        "TinyLlama/TinyLlama-1.1B-Chat-v1.0", "TinyLlama-1.1B-Chat", "3-peers.tinyllama-1-1b.parameter-count-exact",
        "6-9-licences.tinyllama-1-1b.licence",
    ),
    Offer(
        "meta-llama/Llama-2-7b-chat-hf", "LLaMA 2 7B Chat",
        "1-1-llama-2-architecture.llama-2-7b.parameter-count-exact", "6-9-licences.llama-2.licence", gated=True,
    ),
)  # fmt: skip


@dataclass
class Job:
    """One download. `state`: asking, asked, fetching, converting, ended, there, stopped or failed."""

    offer: Offer
    state: str = "asking"
    listing: Listing | None = None
    replaces: bool = False
    news: News | None = None
    done: int = 0
    problem: Problem | None = None
    wishes_end: threading.Event = field(default_factory=threading.Event)
    thread: threading.Thread | None = None
    speed: float = 0.0  # bytes a second
    measured: tuple[float, int] | None = None

    @property
    def is_busy(self) -> bool:
        return self.state in ("asking", "fetching", "converting")

    def hear(self, news: News, now: float) -> None:
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

    def __init__(self, models: Path) -> None:
        self._models = models
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
                offer = next((offer for offer in OFFERS if offer.repo == sent.get("repo")), None)
                if offer is None:
                    raise Problem("problem.request")
                if job is not None and job.is_busy:
                    raise Problem("problem.download_busy")
                self._job = job = Job(offer)
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
            discard(self._folder(job))
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
            log.warning("%s was not fetched: %s", job.offer.repo, error)
            with self._lock:
                job.state, job.problem = "failed", self._told(job, error.kind)
        except Exception as error:
            number = told_once("a download", error, str(error))
            with self._lock:
                job.state, job.problem = "failed", Problem("problem.hub_unexpected", number=number)
        else:
            with self._lock:
                job.state = state

    def _ask(self, job: Job) -> str:
        listing = look_up(job.offer.repo)
        job.listing = listing
        found = standing(listing, self._folder(job))
        if found == "same":  # unless the server ended before its weights were converted
            return "asked" if is_unconverted(self._folder(job)) else "there"
        job.replaces = found == "other_commit"
        check_room(listing, self._folder(job))
        return "asked"

    def _fetch(self, job: Job) -> str:
        assert job.listing is not None
        with closing(fetch(job.listing, self._folder(job))) as newses:
            for news in newses:
                with self._lock:
                    job.hear(news, time.monotonic())
                if job.wishes_end.is_set():
                    return "stopped"
        if is_unconverted(self._folder(job)):
            with self._lock:
                job.state = "converting"
            convert(self._folder(job))
        return "ended"

    def _folder(self, job: Job) -> Path:
        return (self._models / job.offer.repo.partition("/")[2]).absolute()

    def _told(self, job: Job, kind: str) -> Problem:
        """A `HubError`'s kind in the page's words."""
        listing, page = job.listing, f"huggingface.co/{job.offer.repo}"
        size = listing.bytes if listing else job.offer.to_json()["bytes"]
        free = free_room(self._folder(job))
        values = {"size": round(size / 1e9, 2), "free": round(free / 1e9, 2)}
        return Problem(PROBLEMS[kind], name=job.offer.title, page=listing.page if listing else page, **values)

    def _seen(self) -> dict[str, Any]:
        job = self._job
        if job is None:
            return {"state": "none"}
        listing, news = job.listing, job.news
        seen: dict[str, Any] = {
            "state": job.state, "repo": job.offer.repo, "title": job.offer.title, "replaces": job.replaces,
            "problem": job.problem.to_json() if job.problem else None, "name": self._folder(job).name,
            "waiting": news.seconds if isinstance(news, Waiting) else None,
            "file": news.name if isinstance(news, Received | Verifying) else None,
            "verifying": isinstance(news, Verifying), "ending": job.wishes_end.is_set(),
        }  # fmt: skip
        if listing is None:
            return seen
        kept = 0 if job.state in ("ended", "there") else kept_bytes(listing, self._folder(job))
        left = (listing.bytes - job.done) / job.speed if job.speed else None
        return seen | {
            "bytes": listing.bytes, "files": len(listing.files), "licence": listing.licence, "done": job.done,
            "licence_link": listing.licence_link, "page": listing.page, "conversion": listing.needs_conversion,
            "free": free_room(self._folder(job)), "kept": kept, "speed": job.speed or None, "seconds_left": left,
        }  # fmt: skip
