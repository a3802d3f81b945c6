"""The models there are: the one that the server was started with, and each checkpoint in a folder, opened when used."""

from __future__ import annotations

import hashlib
import json
import logging
import threading
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import torch

from app.common.errors import is_out_of_memory, log_exception
from app.common.settings import knob_defaults
from app.common.strings import Problem
from app.models.engines import RemoteEngine, RemoteModel
from litellama.checkpoint import (
    CARD,
    MANIFEST,
    Opened,
    is_whole,
    list_models,
)
from litellama.checkpoint.memory import BITS, free_memory
from litellama.checkpoint.precision import EXACT, SHARE_OF_FREE, open_for_use
from litellama.checkpoint.sampling_defaults import MOST_SMALL
from litellama.config import is_litellama
from litellama.device import device_name
from litellama.quantize import stored_bytes
from litellama.serving.engine import Engine

MOST_BYTES = 2 * 10**9
"""Of weights held at once, besides the first model's; the one used last stays, however large."""

STAMPED = (".json", ".safetensors", ".txt", ".jinja", ".model")  # files that opening reads
FLUENT = 100_000_000  # parameters of a model that was taught to converse, from which fluent English can be expected
LARGEST_CARD = 2**20  # bytes; only its name is wanted
LONGEST_TITLE = 60

log = logging.getLogger("litellama.app")


@dataclass(frozen=True)
class ModelEntry:
    """A model that can be chosen, as far as its folder says without being opened. `name`, the folder's, is unique;
    `title` is what its card calls it. Without a manifest it can't be verified."""

    name: str
    title: str
    parameters: int
    has_manifest: bool
    folder: Path

    def to_json(self) -> dict[str, Any]:
        return {
            "name": self.name, "title": self.title, "parameters": self.parameters, "has_manifest": self.has_manifest,
        }  # fmt: skip


@dataclass(frozen=True)
class Model:
    """An opened model by its name. `stamp` tells its files from those that may take their place."""

    name: str
    opened: Opened
    stamp: str | None

    @cached_property
    def engine(self) -> Engine:
        """Where all pages that chat with it have their tokens made, together."""
        return Engine(self.opened.model)

    @property
    def engine_in_use(self) -> Engine | None:
        """The engine, if anybody chatted with this model."""
        return vars(self).get("engine")

    def drop(self) -> None:
        """Others take its place: what is stored of conversations goes at once, also where a reply is still written."""
        if self.engine_in_use is not None:
            self.engine_in_use.store_no_more()

    @property
    def bytes(self) -> int:
        """Of its weights, and of what is stored of the conversations with it."""
        engine = self.engine_in_use
        return stored_bytes(self.opened.model) + (engine.stored_bytes if engine else 0)

    @property
    def title(self) -> str:
        return _title(self.opened.card, self.name)

    def to_json(self) -> dict[str, Any]:
        """What the page says of it. How far explanations can be trusted is taken from verified cards alone."""
        opened, card = self.opened, self.opened.card or {}
        chat_format = opened.chat_format
        return {
            "name": self.name, "title": self.title, "parameters": opened.config.num_parameters,
            "verified": opened.verified, "tinytown": str(card.get("corpus")).startswith("tinytown"),
            "form": chat_format.kind,
            "small": chat_format.kind == "template" and FLUENT <= opened.config.num_parameters <= MOST_SMALL,
            "litellama": chat_format.kind == "questions" and is_litellama(opened.config),
            "trouble": chat_format.trouble,
            "trust": card.get("trust") if opened.verified else None,
            "corrected": opened.corrected and asdict(opened.corrected), "knobs": knob_defaults(opened.sampling),
            "context": opened.config.max_position_embeddings,
            "device": device_name(opened.model.device), "refused_device": opened.refused_device,
        }  # fmt: skip


class Models:
    """Every model by its name. Safe to be used by many threads: one model is opened at a time and only once, and who
    uses another that is open needn't wait. A model in `folder` that is called like the first one stands behind it.
    Those of `engines` run elsewhere."""

    def __init__(
        self,
        first: Opened,
        folder: Path | None = None,
        most_bytes: int = MOST_BYTES,
        engines: Sequence[RemoteEngine] = (),
    ) -> None:
        self.first = Model(first.name, first, _stamp(first.path))
        self.folder = folder
        self.most_bytes = most_bytes
        self.engines = tuple(engines)
        self._others: OrderedDict[str, Model] = OrderedDict()  # the least recently used in front
        self._lock = threading.Lock()
        self._opening = threading.Lock()

    @property
    def device(self) -> torch.device:
        """Where the first model lies, and so all others."""
        return self.first.opened.model.device

    def local_models(self) -> list[ModelEntry]:
        """What can be chosen now, the first model first; folders that are broken or not whole are left out."""
        first = self.first
        rows = [
            ModelEntry(first.name, first.title, first.opened.config.num_parameters, first.opened.verified,
                   first.opened.path)
        ]  # fmt: skip
        for entry in [] if self.folder is None else list_models(self.folder):
            if entry["kind"] == "checkpoint" and "problem" not in entry and entry["name"] != first.name:
                folder, name = Path(entry["folder"]), entry["name"]
                if is_whole(folder) and folder.resolve() != first.opened.path.resolve():
                    title = _title(_read_card(folder), name)
                    rows.append(ModelEntry(name, title, entry["parameters"], (folder / MANIFEST).exists(), folder))
        return rows

    def remote_models(self) -> list[RemoteModel]:
        """What the engines offer now, and to know that, they are asked."""
        for engine in self.engines:
            engine.refresh()
        return self.known_remote_models()

    def known_remote_models(self) -> list[RemoteModel]:
        """What the engines offered when they were asked last."""
        return [one for engine in self.engines for one in engine.models()]

    def available(self) -> list[dict[str, Any]]:
        """Every model that can be chosen, as JSON for the page."""
        return [*(one.to_json() for one in self.local_models()), *(one.to_json() for one in self.remote_models())]

    def problems(self) -> list[dict[str, Any]]:
        """Why engines could not be asked what they offer, the last time."""
        return [engine.problem.to_json() for engine in self.engines if engine.problem is not None]

    def remote(self, name: str) -> RemoteModel | None:
        """The engine's model called `name`, None if it's no engine's.

        Raises `Problem` for a name that an engine didn't list when it was asked last.
        """
        for engine in self.engines:
            if name.startswith(f"{engine.where}/"):
                for model in engine.models():
                    if model.name == name:
                        return model
                raise engine.problem or Problem("problem.no_model", name=name[:LONGEST_TITLE])
        return None

    def open(self, name: str | None = None) -> Model:
        """The model called `name`, by default the first; opened anew if its files were replaced.

        Raises `Problem` for a name that isn't listed, files that cannot be opened, and more weights than there is room.
        """
        name = self.first.name if name is None else name
        model = self._loaded(name)
        if model is None:
            with self._opening:
                model = self._loaded(name) or self._open(name)  # another page may have been quicker
        return model

    def forget(self, owner: object) -> None:
        """Erase what any model has stored of the conversation of `owner`."""
        for engine in self._engines():
            engine.forget(owner)

    def _engines(self) -> list[Engine]:
        with self._lock:
            models = [self.first, *self._others.values()]
        return [model.engine_in_use for model in models if model.engine_in_use is not None]

    def describe(self, name: str | None = None) -> dict[str, Any]:
        """The model called `name` as JSON for the page. If it can't be opened: the first model, and the `problem`."""
        answer: dict[str, Any] = {"problem": None}
        try:
            if name is not None and (remote := self._reachable(name)) is not None:
                here = {"name": self.first.name, "title": self.first.title}
                answer |= {"verified": False, "tinytown": False, "trust": None, "first": False, "here": here}
                return remote.to_json() | answer
            model = self.open(name)
        except Problem as problem:
            model, answer = self.first, {"problem": problem.to_json()}
        return model.to_json() | {"first": model.name == self.first.name} | answer

    def _reachable(self, name: str) -> RemoteModel | None:
        """As `remote`, of an engine that was just asked. Raises its `Problem` if it can't be reached."""
        for engine in self.engines:
            if name.startswith(f"{engine.where}/"):
                engine.refresh()
                if engine.problem is not None:
                    raise engine.problem
        return self.remote(name)

    def _loaded(self, name: str) -> Model | None:
        with self._lock:
            model = self.first if name == self.first.name else self._others.get(name)
            if name in self._others:
                self._others.move_to_end(name)
        # While its folder is being replaced, or after it was deleted, there is no stamp.
        return model if model is not None and _stamp(model.opened.path) in (model.stamp, None) else None

    def _open(self, name: str) -> Model:
        entry = next((one for one in self.local_models() if one.name == name), None)
        if entry is None:
            raise Problem("problem.no_model", name=name[:LONGEST_TITLE])
        self._make_room(entry)
        stamp = _stamp(entry.folder)  # before its files are read: if they change meanwhile, they are read again
        try:
            model = Model(name, open_for_use(entry.folder, device=self.device), stamp)
        except (OSError, ValueError, RuntimeError, MemoryError) as error:
            number = log_exception(f"opening {name}", error, str(error))
            key = "problem.model_no_memory" if is_out_of_memory(error) else "problem.model_broken"
            raise Problem(key, name=entry.title, number=number) from error
        with self._lock:
            if name == self.first.name:
                self.first.drop()
                self.first = model
            else:
                self._others[name] = model
        return model

    def _make_room(self, wanted: ModelEntry) -> None:
        needed = _bytes_needed(wanted.parameters, free_memory(self.device))
        with self._lock:
            if wanted.name in self._others:
                self._others.pop(wanted.name).drop()  # its files were replaced
            while self._others and sum(one.bytes for one in self._others.values()) + needed > self.most_bytes:
                self._others.popitem(last=False)[1].drop()
        free = free_memory(self.device)
        if free is not None and needed > SHARE_OF_FREE * free:
            for engine in self._engines():
                engine.forget_all()
            free = free_memory(self.device)
        if free is not None and needed > SHARE_OF_FREE * free:
            gigabytes = {"needed": round(needed / 1e9, 1), "free": round(free / 1e9, 1)}
            raise Problem("problem.model_too_large", name=wanted.title, **gigabytes)


def _bytes_needed(parameters: int, free: int | None) -> int:
    """Bytes of a model's weights in the precision that `open_for_use` will choose with so many `free`."""
    names = ["float32"] if parameters <= EXACT else ["float16", "int8", "int4"]
    sizes = [round(parameters * BITS[name] / 8) for name in names]
    return next((size for size in sizes if free is None or size <= SHARE_OF_FREE * free), sizes[-1])


def _stamp(path: Path) -> str | None:
    """The manifest's hash, which stands for all files; without one, when they were written. None without files."""
    try:
        manifest = path / MANIFEST
        if manifest.exists():
            return hashlib.sha256(manifest.read_bytes()).hexdigest()
        files = [path] if path.is_file() else sorted(one for one in path.iterdir() if one.suffix in STAMPED)
        return str([(one.name, one.stat().st_size, one.stat().st_mtime_ns) for one in files])
    except OSError:
        return None


def _read_card(folder: Path) -> object:
    path = folder / CARD
    try:
        if path.stat().st_size > LARGEST_CARD:
            return None
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return None


def _title(card: object, name: str) -> str:
    title = card.get("name") if isinstance(card, dict) else None
    return title[:LONGEST_TITLE] if isinstance(title, str) and title.strip() else name
