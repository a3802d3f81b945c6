"""Files over the network: read, opened and saved as they should be; refused for other sites, sizes and names."""

from __future__ import annotations

import io
import shutil
import socket
import threading
import time
import zipfile
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from urllib.parse import quote

import httpx
import pytest
import torch
from fastapi import FastAPI
from starlette.testclient import TestClient

from app.common.strings import Problem
from app.server import file_routes as transfers
from app.server.app import LOOPBACK
from app.server.file_routes import CHARACTERS_SHOWN, UPLOADS, RequestLimit, add_file_routes
from app.server.request_filter import FILE, LARGEST_BODY, RequestFilter
from app.train.upload_store import UploadStore
from app.train.uploads import LARGEST_FILE, Upload
from litellama.checkpoint import open_checkpoint
from litellama.checkpoint.archive import pack
from litellama.export.run import export
from tests.browser.app_server import running_app

OWN = "http://127.0.0.1:7860"


def headers(**changes: str) -> dict[str, str]:
    """What the lab's own page sends with a file; "" leaves a header out. x_file_name stands for x-file-name."""
    sent = {"origin": OWN, "content-type": FILE, "x-page": "a", "x-file-name": "Text.txt"}
    sent |= {name.replace("_", "-"): value for name, value in changes.items()}
    return {name: value for name, value in sent.items() if value}


@pytest.fixture
def models(tmp_path: Path, tiny_checkpoint: Path) -> Path:
    """A folder of stored models that holds one, and beside it what nobody may fetch."""
    folder = tmp_path / "models"
    shutil.copytree(tiny_checkpoint, folder / "Kite 1")
    shutil.copytree(tiny_checkpoint, folder / ".unfinished")
    shutil.copytree(tiny_checkpoint, tmp_path / "outside")
    (folder / "notes").mkdir()
    return folder


@pytest.fixture
def shelf() -> UploadStore:
    return UploadStore()


@pytest.fixture
def client(shelf: UploadStore, models: Path) -> Iterator[TestClient]:
    """The three routes behind the request filter, without Gradio."""
    app = FastAPI(openapi_url=None, docs_url=None, redoc_url=None)
    add_file_routes(app, models, shelf)
    app.add_middleware(RequestFilter, hosts=LOOPBACK, uploads=UPLOADS)
    with TestClient(app, base_url=OWN) as client:
        yield client


@pytest.fixture
def packed(tiny_checkpoint: Path) -> bytes:
    file = io.BytesIO()
    pack(tiny_checkpoint, file)
    return file.getvalue()


def problem(response: httpx.Response) -> tuple[int, str]:
    return response.status_code, response.json()["problem"]["key"]


def tree(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*"))


# --- What is asked for -----------------------------------------------------------------------------------------------


def test_a_document_becomes_text(client: TestClient, shelf: UploadStore) -> None:
    answer = client.post("/upload-text", content=b"Es war einmal\r\n", headers=headers())
    assert answer.status_code == 200
    told = answer.json()
    assert shelf.get(told.pop("id")).text == "Es war einmal"
    assert told == {"text": "Es war einmal", "characters": 13, "kind": "text", "encoding": "utf-8"}
    long = client.post("/upload-text", content=b"word " * 1000, headers=headers()).json()
    assert (long["characters"], len(long["text"])) == (4999, CHARACTERS_SHOWN), "the page gets the beginning only"
    assert len(shelf.get(long["id"]).text) == 4999
    named = headers(x_file_name=quote("Mein Märchen.csv"))
    assert client.post("/upload-text", content=b"a;b\nc;d", headers=named).json()["text"] == "a, b\nc, d"
    chat = client.post("/upload-text", content=b'{"x": 1}\n', headers=headers(x_file_name="c.jsonl")).json()
    assert (chat["kind"], chat["text"]) == ("chat", '{"x": 1}\n')


def test_a_model_goes_out_and_comes_back(client: TestClient, models: Path) -> None:
    saved = client.get("/models/Kite%201.zip")
    assert saved.status_code == 200
    assert saved.headers["content-type"] == "application/zip"
    assert saved.headers["content-disposition"] == 'attachment; filename="kite-1.zip"'
    assert int(saved.headers["content-length"]) == len(saved.content)
    assert client.post("/open-model", content=saved.content, headers=headers()).json() == {"name": "kite-1"}
    assert client.post("/open-model", content=saved.content, headers=headers()).json() == {"name": "kite-1-2"}
    for name in ("kite-1", "kite-1-2"):
        assert open_checkpoint(models / name).verified
        before = {path.name: path.read_bytes() for path in (models / "Kite 1").iterdir()}
        assert {path.name: path.read_bytes() for path in (models / name).iterdir()} == before


# --- Who may ask -----------------------------------------------------------------------------------------------------


def test_a_gguf_file_is_taken_in_and_opens(client: TestClient, models: Path, tiny_checkpoint: Path) -> None:
    exported = models.parent / "gguf"
    for _ in export(tiny_checkpoint, exported, "gguf", "float32"):
        pass
    content = next(exported.glob("*.gguf")).read_bytes()
    named = headers(x_file_name=quote("../Mein Märchen.gguf"))
    assert client.post("/open-model", content=content, headers=named).json() == {"name": "mein-maerchen.gguf"}
    assert client.post("/open-model", content=content, headers=named).json() == {"name": "mein-maerchen-2.gguf"}
    ours, back = open_checkpoint(tiny_checkpoint), open_checkpoint(models / "mein-maerchen.gguf")
    assert torch.equal(ours.model.lm_head.weight, back.model.lm_head.weight)
    refused = client.post("/open-model", content=content[:500], headers=named)
    assert problem(refused) == (422, "problem.model_gguf")
    assert "header ends before it is complete" in refused.json()["problem"]["english"]
    assert sorted(path.name for path in models.iterdir() if "maerchen" in path.name or path.name.startswith(".up")) == [
        "mein-maerchen-2.gguf", "mein-maerchen.gguf",
    ]  # fmt: skip


@pytest.mark.parametrize("path", ["/upload-text", "/open-model"])
@pytest.mark.parametrize(
    "changes",
    [
        {"origin": ""}, {"origin": "null"}, {"origin": "http://evil.example"}, {"origin": "http://127.0.0.1:1"},
        {"content_type": ""}, {"content_type": "text/plain"}, {"content_type": "multipart/form-data; boundary=x"},
        {"content_type": "application/x-www-form-urlencoded"}, {"content_type": f"text/plain, {FILE}"},
        {"host": "evil.example", "origin": "http://evil.example"},
    ],
)  # fmt: skip
def test_files_of_other_sites(
    client: TestClient, path: str, changes: dict[str, str], packed: bytes, models: Path
) -> None:
    before = tree(models)
    assert client.post(path, content=packed, headers=headers(**changes)).status_code == 400
    assert tree(models) == before


def test_models_are_not_fetched_by_other_sites(client: TestClient) -> None:
    for site in ("cross-site", "same-site", "anything"):
        assert client.get("/models/Kite%201.zip", headers={"sec-fetch-site": site}).status_code == 400
    for site in ("none", "same-origin"):
        assert client.get("/models/Kite%201.zip", headers={"sec-fetch-site": site}).status_code == 200
    assert client.get("/models/Kite%201.zip", headers={"origin": "http://evil.example"}).status_code == 400


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE", "HEAD", "OPTIONS", "PATCH"])
def test_other_methods(client: TestClient, method: str) -> None:
    for path in ("/upload-text", "/open-model", "/upload-text/", "/open-model/x"):
        assert client.request(method, path, headers=headers()).status_code == 404
    if method != "GET":
        assert client.request(method, "/models/Kite%201.zip", headers=headers()).status_code == 404


@pytest.mark.parametrize(
    "name",
    [
        "../outside", "..%2foutside", "%2e%2e%2foutside", "%2e%2e/outside", "..%5coutside",
        "Kite%201%2fconfig.json", ".unfinished", "notes", "nowhere", "", ".", "..", "*", "Kite%20%2a", "%00",
        "Kite%201%00", "kite%201",
    ],
)  # fmt: skip
def test_only_names_of_the_folder(client: TestClient, name: str) -> None:
    assert client.get(f"/models/{name}.zip").status_code == 404
    assert client.get("/models/" + name).status_code == 404


def test_a_name_that_is_gone_has_a_sentence(client: TestClient, models: Path) -> None:
    assert problem(client.get("/models/nowhere.zip")) == (404, "problem.model_gone")
    (models / "Kite 1" / "card.json").write_text("{}")
    assert problem(client.get("/models/Kite%201.zip")) == (422, "problem.model_checkpoint")


# --- How large -------------------------------------------------------------------------------------------------------


def pieces(count: int, size: int) -> Iterator[bytes]:  # no length is announced
    for _ in range(count):
        yield bytes(size)


@pytest.mark.parametrize(("path", "largest"), UPLOADS.items())
def test_large_files_are_refused_before_they_come(client: TestClient, path: str, largest: int) -> None:
    for length in (str(largest + 1), "1e3", "-1", ""):
        sent = headers(content_length="x") | {"content-length": length}
        assert client.post(path, content=b"x", headers=sent).status_code == 413


def test_bodies_are_counted_as_they_come(client: TestClient, models: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(UPLOADS, "/open-model", 2**20)
    before = tree(models)
    for path, largest in UPLOADS.items():
        refused = client.post(path, content=pieces(largest // 2**16 + 1, 2**16), headers=headers())
        assert refused.status_code == 413
        assert f"at most {largest // 1024} KB" in refused.text
        taken = client.post(path, content=pieces(largest // 2**16, 2**16), headers=headers())
        assert taken.status_code == 422
    assert tree(models) == before


def test_everything_else_stays_small(client: TestClient) -> None:
    for path in ("/gradio_api/queue/join", "/"):
        assert client.post(path, content=pieces(1, LARGEST_BODY + 1), headers=headers()).status_code in (404, 413)
        assert client.post(path, content=bytes(LARGEST_BODY + 1), headers=headers()).status_code == 413


def test_models_are_counted_unpacked_too(
    client: TestClient, packed: bytes, models: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(transfers, "LARGEST_MODEL", 10_000)
    before = tree(models)
    refused = client.post("/open-model", content=packed, headers=headers())
    assert problem(refused) == (422, "problem.model_size")
    assert tree(models) == before


# --- What cannot be read ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "data", "key"),
    [
        ("x.exe", b"MZ", "upload_kind"), ("", b"hi", "upload_kind"), ("..%2f..%2fetc%2fpasswd", b"hi", "upload_kind"),
        ("x.txt", b"", "upload_empty"), ("x.pdf", b"hi", "upload_unreadable"), ("x.docx", b"hi", "upload_unreadable"),
        ("x.txt", b"\0", "upload_not_text"), ("x.txt", b"x" * 2_000_001, "upload_long"),
        ("%ff%fe.txt", b"", "upload_empty"),
    ],
)  # fmt: skip
def test_documents_that_are_not_read(client: TestClient, name: str, data: bytes, key: str) -> None:
    answer = client.post("/upload-text", content=data, headers=headers(x_file_name=name))
    assert problem(answer) == (422, f"problem.{key}")
    assert answer.json()["problem"]["english"].endswith(".")


def hostile(name: str, data: bytes = b"harm") -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(name, data)
    return file.getvalue()


@pytest.mark.parametrize(
    ("data", "key"),
    [
        (b"", "model_format"), (b"PK\3\4 and no more", "model_format"), (hostile("../../harm"), "model_content"),
        (hostile("/tmp/harm"), "model_content"), (hostile("kite/config.json"), "model_content"),
        (hostile("kite/config.json", bytes(10**7)), "model_content"),
    ],
)  # fmt: skip
def test_archives_that_are_not_opened(client: TestClient, tmp_path: Path, data: bytes, key: str) -> None:
    before = tree(tmp_path)
    assert problem(client.post("/open-model", content=data, headers=headers())) == (422, f"problem.{key}")
    assert tree(tmp_path) == before


def test_damaged_archives(client: TestClient, packed: bytes, models: Path) -> None:
    before = tree(models)
    flipped = bytearray(packed)
    flipped[len(packed) // 2] ^= 1
    assert problem(client.post("/open-model", content=bytes(flipped), headers=headers()))[1] == "problem.model_damaged"
    cut = client.post("/open-model", content=packed[: len(packed) // 2], headers=headers())
    assert problem(cut) == (422, "problem.model_format")
    assert tree(models) == before


@pytest.mark.fault(28)
def test_a_full_disk_has_a_sentence(client: TestClient, packed: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*args: object, **more: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(transfers, "unpack", full)
    assert problem(client.post("/open-model", content=packed, headers=headers())) == (422, "problem.model_disk")
    monkeypatch.setattr(transfers, "pack", full)
    assert problem(client.get("/models/Kite%201.zip")) == (422, "problem.model_disk")


# --- How many at once ------------------------------------------------------------------------------------------------


def test_turns() -> None:
    turns = RequestLimit(2)
    with turns.slot("a"):
        with pytest.raises(Problem, match="still being read"), turns.slot("a"):
            pass
        with turns.slot("b"), pytest.raises(Problem), turns.slot("c"):
            pass
        with turns.slot("c"):
            pass
    with pytest.raises(KeyError), turns.slot("a"):
        raise KeyError  # frees it too
    with turns.slot("a"):
        pass


def test_one_file_of_a_page_and_four_in_all(client: TestClient, monkeypatch: pytest.MonkeyPatch) -> None:
    begun, may_end = threading.Semaphore(0), threading.Event()

    def slow(name: str, data: bytes) -> Upload:
        begun.release()
        assert may_end.wait(30)
        return Upload("text", data.decode(), "utf-8")

    monkeypatch.setattr(transfers, "read_upload", slow)

    def send(page: str) -> httpx.Response:
        return client.post("/upload-text", content=page.encode(), headers=headers(x_page=page))

    with ThreadPoolExecutor(5) as threads:
        try:
            first = threads.submit(send, "a")
            assert begun.acquire(timeout=30)
            assert problem(send("a")) == (429, "problem.upload_busy")
            others = [threads.submit(send, page) for page in "bcd"]
            assert all(begun.acquire(timeout=30) for _ in others)
            assert problem(send("e")) == (429, "problem.upload_busy")
        finally:
            may_end.set()
        assert [one.result().json()["text"] for one in [first, *others]] == ["a", "b", "c", "d"]
    assert send("a").json()["text"] == "a"


# --- The server as it is started -------------------------------------------------------------------------------------


def test_the_app_itself(tmp_path: Path, tiny_checkpoint: Path, packed: bytes) -> None:
    """The routes stand before Gradio's, and the models are those of the folder that the app was started in."""
    (tmp_path / "checkpoints").mkdir()
    log = tmp_path / "app.log"
    with (
        running_app(tiny_checkpoint, log, folder=tmp_path) as address,
        httpx.Client(base_url=address, timeout=60) as client,
    ):
        own = headers(origin=address.rstrip("/"))
        names = many_open(client, packed, own)
        assert {path.name for path in (tmp_path / "checkpoints").iterdir()} == set(names)
        saved = zipfile.ZipFile(io.BytesIO(client.get(f"/models/{names[-1]}.zip").content))
        assert saved.namelist()[0] == f"{names[-1]}/card.json"
        assert client.post("/upload-text", content=b"hello", headers=own).json()["text"] == "hello"
        assert client.post("/upload-text", content=b"hello").status_code == 400
        assert client.get("/upload-text").status_code == 404
        large = own | {"content-length": str(LARGEST_FILE + 1)}
        assert b" 413 " in unmended(address, "POST /upload-text", large)
        for path in ("/models/../outside.zip", "/models/..%2foutside.zip", "/models//etc/passwd.zip"):
            assert b" 404 " in unmended(address, f"GET {path}", {})
        with pytest.raises(BrokenPipeError):
            client.post("/upload-text", content=breaking(), headers=own)
        wait_for(lambda: client.post("/upload-text", content=b"hello", headers=own).status_code == 200)
    assert "Traceback" not in log.read_text(), log.read_text()


def many_open(client: httpx.Client, packed: bytes, own: dict[str, str]) -> list[str]:
    """Six pages open the same archive at once: each gets a model of its own, or is told to wait."""

    def send(page: int) -> httpx.Response:
        return client.post("/open-model", content=packed, headers=own | {"x-page": str(page)})

    with ThreadPoolExecutor(6) as threads:
        answers = list(threads.map(send, range(6)))
    names = [answer.json()["name"] for answer in answers if answer.status_code == 200]
    assert {problem(answer) for answer in answers if answer.status_code != 200} <= {(429, "problem.upload_busy")}
    assert len(set(names)) == len(names) >= 2
    return names


def unmended(address: str, request: str, fields: dict[str, str]) -> bytes:
    """The first line of the answer to a request that httpx would put right before it asks, or would not send."""
    host = address.split("/")[2]
    name, port = host.split(":")
    fields = fields | {"host": host, "connection": "close"}
    head = "".join(f"{field}: {value}\r\n" for field, value in fields.items())
    with socket.create_connection((name, int(port)), timeout=30) as connection, connection.makefile("rb") as answer:
        connection.sendall(f"{request} HTTP/1.1\r\n{head}\r\n".encode())
        return answer.readline()


def wait_for(done: Callable[[], bool]) -> None:
    """Until a server has noticed that a page is gone."""
    for _ in range(100):
        if done():
            return
        time.sleep(0.1)
    raise AssertionError("waited in vain")


def breaking() -> Iterator[bytes]:
    """A body that ends in the middle, as when the page is closed."""
    yield b"half a "
    raise BrokenPipeError("the page was closed")
