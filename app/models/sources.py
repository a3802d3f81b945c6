"""Where a model can be fetched from: the Hugging Face hub, the Python package index, or a path on this machine.

Each first says how large it is and so on (`inspect`), then fetches it (`download`).
"""

from __future__ import annotations

import re
from collections.abc import Generator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from app.common.strings import Problem
from litellama.footprint.facts import fact
from litellama.hub import packaged
from litellama.hub.client import HubError
from litellama.hub.events import Converting, DownloadEvent
from litellama.hub.fetch import check_room, convert, discard, downloaded_bytes, fetch, folder_state, is_unconverted
from litellama.hub.listing import look_up
from litellama.hub.local import LocalModel, add_local, find_local

BYTES_PER_WEIGHT = 2  # as those of the hub are stored
HUB_NAME = re.compile(r"(?:https://huggingface\.co/)?([A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*?)/?", re.ASCII)
PATH = re.compile(r"[/~\\]|[A-Za-z]:[/\\]|.*\.gguf$", re.IGNORECASE)
SMOLLM2 = "smollm2"
LONGEST = 1000  # characters of a name or a path


@dataclass(frozen=True)
class DownloadInfo:
    """What would be fetched. `replaces` an earlier version; `conversion` of a pickle follows; a local model is `copied`
    or linked; `is_present`: nothing is to be done."""

    bytes: int
    files: int
    licence: str = ""
    licence_link: str = ""
    page: str = ""
    replaces: bool = False
    conversion: bool = False
    copied: bool = False
    is_present: bool = False


class ModelSource(Protocol):
    """One model that can be fetched. `kind` chooses the page's sentences; `folder` is where it is stored."""

    kind: str
    key: str
    title: str
    folder: Path
    bytes: int

    def inspect(self) -> DownloadInfo:
        """Its size, licence and so on. Raises `HubError`."""

    def download(self) -> Generator[DownloadEvent, None, None]:
        """Fetch it, giving its progress. Raises `HubError`."""

    def partial_bytes(self) -> int:
        """Bytes of an unfinished download on the disk."""

    def discard(self) -> None:
        """Delete those."""


@dataclass(frozen=True)
class SuggestedModel:
    """A model of the hub that the page lists, and the facts that say how large it is and how it is licensed."""

    repo: str
    title: str
    weights: str
    licence: str
    gated: bool = False

    def to_json(self) -> dict[str, Any]:
        weights, licence = fact(self.weights), fact(self.licence)
        return {
            "repo": self.repo, "title": self.title, "gated": self.gated, "licence": licence.value,
            "weights": weights.number, "bytes": weights.number * BYTES_PER_WEIGHT, "kind": "hub",
            "name": self.repo.partition("/")[2],
        }  # fmt: skip


SUGGESTED_MODELS = (
    SuggestedModel(
        "ahxt/LiteLlama-460M-1T", "LiteLlama-460M",
        "2-1-litellama-architecture-and-files.litellama-460m-1t.parameter-count-exact",
        "2-2-litellama-training-and-card.litellama-460m-1t.licence",
    ),
    SuggestedModel(
        "TinyLlama/TinyLlama-1.1B-Chat-v1.0", "TinyLlama-1.1B-Chat", "3-peers.tinyllama-1-1b.parameter-count-exact",
        "6-9-licences.tinyllama-1-1b.licence",
    ),
    SuggestedModel(
        "meta-llama/Llama-2-7b-chat-hf", "LLaMA 2 7B Chat",
        "1-1-llama-2-architecture.llama-2-7b.parameter-count-exact", "6-9-licences.llama-2.licence", gated=True,
    ),
)  # fmt: skip


def suggested_models() -> list[dict[str, Any]]:
    """What the page lists, the packaged model first."""
    package = packaged.SMOLLM2
    first = {
        "repo": SMOLLM2, "title": package.name, "gated": False, "licence": package.licence, "kind": "package",
        "bytes": package.wheel_bytes, "name": package.name,
    }  # fmt: skip
    return [first, *(suggested.to_json() for suggested in SUGGESTED_MODELS)]


def parse_source(wanted: object, models: Path, local: bool) -> ModelSource:
    """What a page asked for by name, address or, if `local`, path. Raises `Problem` for what can be none of these."""
    if not isinstance(wanted, str) or not wanted.strip() or len(wanted) > LONGEST:
        raise Problem("problem.request")
    wanted = wanted.strip()
    if wanted == SMOLLM2:
        return PackageSource(models)
    if local and PATH.match(wanted):
        return LocalSource(wanted, models)
    if (name := HUB_NAME.fullmatch(wanted)) and ".." not in wanted:
        return HubSource(name[1], models)
    raise Problem("problem.source_local" if local else "problem.source", name=wanted[:80])


class HubSource:
    """A repository of the hub."""

    kind = "hub"

    def __init__(self, repo: str, models: Path) -> None:
        suggested = next((suggested for suggested in SUGGESTED_MODELS if suggested.repo == repo), None)
        self.key = repo
        self.title = suggested.title if suggested else repo
        self.folder = (models / repo.partition("/")[2]).absolute()
        self.bytes = int(suggested.to_json()["bytes"]) if suggested else 0
        self._listing: Any = None

    def inspect(self) -> DownloadInfo:
        listing = self._listing = look_up(self.key)
        status = folder_state(listing, self.folder)
        # The server may have ended before the weights were converted.
        present = status == "same" and not is_unconverted(self.folder)
        if status != "same":
            check_room(listing, self.folder)
        return DownloadInfo(
            listing.bytes, len(listing.files), listing.licence, listing.licence_link, listing.page,
            status == "other_commit", listing.needs_conversion, is_present=present,
        )  # fmt: skip

    def download(self) -> Generator[DownloadEvent, None, None]:
        yield from fetch(self._listing, self.folder)
        if is_unconverted(self.folder):
            yield Converting(self.folder.name)
            convert(self.folder)

    def partial_bytes(self) -> int:
        return 0 if self._listing is None else downloaded_bytes(self._listing, self.folder)

    def discard(self) -> None:
        discard(self.folder)


class PackageSource:
    """The model of the Python package index."""

    kind = "package"
    key = SMOLLM2

    def __init__(self, models: Path) -> None:
        self.package = packaged.SMOLLM2
        self.title = self.package.name
        self.folder = (models / self.package.name).absolute()
        self.bytes = self.package.wheel_bytes

    def inspect(self) -> DownloadInfo:
        present = packaged.is_there(self.folder)
        if not present:
            packaged.check_room(self.folder, self.package)
        package = self.package
        return DownloadInfo(
            package.wheel_bytes, 1, package.licence, package.licence_link, package.source, is_present=present
        )  # fmt: skip

    def download(self) -> Generator[DownloadEvent, None, None]:
        yield from packaged.fetch_packaged(self.folder, self.package)

    def partial_bytes(self) -> int:
        return 0

    def discard(self) -> None:
        """There is nothing to delete."""


class LocalSource:
    """A file or folder of this machine."""

    kind = "local"

    def __init__(self, path: str, models: Path) -> None:
        self.key = path
        self.title = Path(path).name or path
        self.folder = models.absolute() / self.title
        self.bytes = 0
        self._models = models
        self._model: LocalModel | None = None

    def inspect(self) -> DownloadInfo:
        self._model = model = find_local(self.key, self._models)
        self.title, self.folder, self.bytes = model.path.name, model.target, model.bytes
        return DownloadInfo(model.bytes, len(model.files), copied=model.copied)

    def download(self) -> Generator[DownloadEvent, None, None]:
        if self._model is None:
            raise HubError("local", "it was not looked at")
        yield from add_local(self._model)

    def partial_bytes(self) -> int:
        return 0

    def discard(self) -> None:
        """There is nothing to delete."""
