"""Files to and from the page: a document is read, an uploaded model is saved and opened, a stored model is downloaded.

A file is the raw body of a request; `request_filter` has checked that the request comes from the page and is not too
large.
"""

from __future__ import annotations

import json
import logging
import os
import shutil
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from typing import Any, BinaryIO, cast
from urllib.parse import unquote

from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse, Response, StreamingResponse
from starlette.concurrency import run_in_threadpool
from starlette.requests import ClientDisconnect

from app.common.strings import Problem
from app.models.downloads import Downloads
from app.train.service import Trainings
from app.train.upload_store import UploadStore
from app.train.uploads import LARGEST_FILE, read_upload
from litellama.checkpoint import CONFIG, GGUF, CheckpointError
from litellama.checkpoint.archive import ArchiveError, pack, safe_name, unpack
from litellama.checkpoint.gguf.header import MAGIC
from litellama.checkpoint.load import check_gguf

LARGEST_MODEL = 200 * 10**6  # bytes, packed and unpacked
MODEL_UPLOAD = "/open-model"
UPLOADS = {"/upload-text": LARGEST_FILE, MODEL_UPLOAD: LARGEST_MODEL}
MOST_AT_ONCE = {"/upload-text": 4, "/open-model": 2, "/models": 2}
BLOCK_BYTES = 256 * 1024
CHARACTERS_SHOWN = 2000  # characters of a text that was read

PROBLEMS = {  # by the kind of an `ArchiveError`
    "format": "problem.model_format", "content": "problem.model_content", "size": "problem.model_size",
    "damaged": "problem.model_damaged", "checkpoint": "problem.model_checkpoint",
}  # fmt: skip

STATUS_BY_PROBLEM = {"problem.upload_busy": 429, "problem.model_gone": 404}

log = logging.getLogger("litellama.app")


class RequestLimit:
    """At most `limit` requests at once, and one of each page."""

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self._active: set[object] = set()
        self._lock = threading.Lock()

    @contextmanager
    def slot(self, page: object) -> Iterator[None]:
        """Hold a slot for `page`. Raises `Problem` at once if there is none."""
        with self._lock:
            if page in self._active or len(self._active) >= self.limit:
                raise Problem("problem.upload_busy")
            self._active.add(page)
        try:
            yield
        finally:
            with self._lock:
                self._active.discard(page)


def add_file_routes(app: FastAPI, models_folder: Path, uploads: UploadStore) -> None:
    """Give `app` its three routes for files; an error is answered with {"problem": ...}.

    A text is stored in `uploads`, since it may be long; the page gets its name there and its beginning.

    A request names the page it comes from in `x-page`, and a document's name, percent-encoded, in `x-file-name`.
    """
    limits = {path: RequestLimit(limit) for path, limit in MOST_AT_ONCE.items()}
    app.add_exception_handler(Problem, _problem_response)
    app.add_exception_handler(ClientDisconnect, _client_disconnected)

    @app.post("/upload-text")
    async def upload_text(request: Request) -> dict[str, Any]:
        with limits["/upload-text"].slot(_page(request)):
            data = b"".join([block async for block in request.stream()])
            upload = await run_in_threadpool(read_upload, unquote(request.headers.get("x-file-name", "")), data)
        answer = {"kind": upload.kind, "encoding": upload.encoding, "characters": len(upload.text)}
        return answer | {"text": upload.text[:CHARACTERS_SHOWN], "id": uploads.put(upload)}

    @app.post("/open-model")
    async def open_model(request: Request) -> dict[str, str]:
        file_name = unquote(request.headers.get("x-file-name", ""))
        with limits["/open-model"].slot(_page(request)), _model_problems(), tempfile.TemporaryFile() as file:
            async for block in request.stream():
                await run_in_threadpool(file.write, block)
            path = await run_in_threadpool(_save_model, file, file_name, models_folder)
        return {"name": path.name}

    @app.get("/models/{name}.zip")
    def save_model(name: str) -> Response:
        stored = {path.parent.name: path.parent for path in models_folder.glob("*/" + CONFIG)}
        if name not in stored or name.startswith("."):  # one begun and not finished
            raise Problem("problem.model_gone")
        with limits["/models"].slot(object()), _model_problems():
            file = _pack(stored[name])
        headers = {
            "content-length": str(file.seek(0, os.SEEK_END)),
            "content-disposition": f'attachment; filename="{safe_name(name)}.zip"',
            "cache-control": "no-store",
        }
        return StreamingResponse(_blocks(file), media_type="application/zip", headers=headers)


def add_training_route(app: FastAPI, trainings: Trainings) -> Trainings:
    """Give `app` the route by which pages see and change the training under way."""

    @app.post("/training.json")
    async def training(request: Request) -> dict[str, Any]:
        return await run_in_threadpool(trainings.act, await _json_body(request))

    return trainings


def add_download_route(app: FastAPI, downloads: Downloads) -> Downloads:
    """Give `app` the route by which pages see and change the download under way."""

    @app.post("/download.json")
    async def download(request: Request) -> dict[str, Any]:
        return await run_in_threadpool(downloads.act, await _json_body(request))

    return downloads


async def _json_body(request: Request) -> object:
    """The JSON that a page sent. Raises `Problem` for another content type, which a form of another site could send."""
    if request.headers.get("content-type") != "application/json":
        raise Problem("problem.request")
    try:
        return json.loads(await request.body())
    except (ValueError, RecursionError):
        raise Problem("problem.request") from None


def _pack(folder: Path) -> BinaryIO:
    """A checkpoint's archive in a nameless file, which vanishes when it is closed."""
    file = cast(BinaryIO, tempfile.TemporaryFile())  # noqa: SIM115 (`_blocks` closes it)
    try:
        pack(folder, file)
    except BaseException:
        file.close()
        raise
    return file


def _blocks(file: BinaryIO) -> Iterator[bytes]:
    with file:
        file.seek(0)
        while block := file.read(BLOCK_BYTES):
            yield block


def _page(request: Request) -> str:
    return request.headers.get("x-page", "")


def _save_model(file: BinaryIO, file_name: str, models_folder: Path) -> Path:
    """Save an uploaded model, a packed checkpoint or a GGUF file (its first bytes say which); gives its path."""
    file.seek(0)
    begins = file.read(len(MAGIC))
    file.seek(0)
    if begins != MAGIC:
        return unpack(file, models_folder, largest=LARGEST_MODEL)
    models_folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".uploading-", dir=models_folder) as work:
        new = Path(work) / f"{safe_name(Path(file_name).stem)}{GGUF}"
        with open(new, "wb") as copy:
            shutil.copyfileobj(file, copy, BLOCK_BYTES)
        try:
            check_gguf(new)
        except CheckpointError as wrong:
            log.warning("a model was not accepted: %s", wrong)
            raise Problem("problem.model_gguf", why=str(wrong)) from None
        target = next(path for path in _free_names(models_folder / new.name) if not path.exists())
        new.rename(target)
    return target


def _free_names(path: Path) -> Iterator[Path]:
    """mine.gguf, mine-2.gguf, mine-3.gguf, ..."""
    yield path
    yield from (path.with_stem(f"{path.stem}-{number}") for number in count(2))


@contextmanager
def _model_problems() -> Iterator[None]:
    """Turn errors of archives and files, which are in English only, into a `Problem`; the details go into the log."""
    try:
        yield
    except (ArchiveError, CheckpointError) as error:
        log.warning("a model was not accepted: %s", error)
        kind = error.kind if isinstance(error, ArchiveError) else "checkpoint"
        raise Problem(PROBLEMS[kind], limit=LARGEST_MODEL // 10**6) from None
    except OSError as error:
        log.warning("a model could not be written: %s", error)
        raise Problem("problem.model_disk") from None


async def _problem_response(request: Request, problem: Exception) -> JSONResponse:
    assert isinstance(problem, Problem)
    return JSONResponse({"problem": problem.to_json()}, STATUS_BY_PROBLEM.get(problem.key, 422))


async def _client_disconnected(request: Request, error: Exception) -> Response:
    return Response(status_code=400)  # nobody is there to read it
