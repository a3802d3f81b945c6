"""A hub on loopback: the routes that a download uses, answered as the real one does, and every way to answer badly.

Small files are led on to another path of the same host, large ones to a CDN, which is another server. Each request is
kept in `requests`. `faults[name]` says how the file is answered badly: a list is used up one by one, a dict stays.
"""

from __future__ import annotations

import hashlib
import json
import re
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

COMMIT = "a4e23ccd367649f503414c85d5541a59baabc998"
REPO = "ahxt/LiteLlama-460M-1T"
LARGE = (".safetensors", ".bin")


@dataclass
class Asked:
    """One request as it came, and which server it came to: hub or cdn."""

    server: str
    path: str
    range: str | None
    authorization: str | None
    agent: str


@dataclass
class Hub:
    files: dict[str, bytes]
    repo: str = REPO
    commit: str = COMMIT
    card: dict[str, Any] = field(default_factory=lambda: {"license": "mit"})
    gated_for: str | None = None  # the only token that may fetch
    faults: dict[str, Any] = field(default_factory=dict)
    listing_faults: list[dict[str, Any]] = field(default_factory=list)
    more_siblings: list[dict[str, Any]] = field(default_factory=list)
    requests: list[Asked] = field(default_factory=list)
    endpoint: str = ""
    cdn: str = ""

    def listing(self) -> dict[str, Any]:
        siblings: list[dict[str, Any]] = []
        for name, content in self.files.items():
            blob = hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()
            one: dict[str, Any] = {"rfilename": name, "size": len(content), "blobId": blob}
            if name.endswith(LARGE):
                hashed = hashlib.sha256(content).hexdigest()
                pointer = f"version https://git-lfs.github.com/spec/v1\noid sha256:{hashed}\nsize {len(content)}\n"
                one["lfs"] = {"sha256": hashed, "size": len(content), "pointerSize": len(pointer)}
                one["blobId"] = hashlib.sha1(b"blob %d\0" % len(pointer) + pointer.encode()).hexdigest()
            siblings.append(one)
        return {
            "_id": "659b", "id": self.repo, "modelId": self.repo, "author": self.repo.partition("/")[0],
            "sha": self.commit, "lastModified": "2024-01-13T12:00:00.000Z", "createdAt": "2024-01-07T10:00:00.000Z",
            "private": False, "gated": "manual" if self.gated_for else False, "disabled": False, "downloads": 1,
            "likes": 1, "tags": ["transformers"], "cardData": self.card, "siblings": siblings + self.more_siblings,
        }  # fmt: skip

    def fault(self, name: str) -> dict[str, Any]:
        faults = self.faults.get(name, {})
        if isinstance(faults, dict):
            return faults
        return dict(faults.pop(0)) if faults else {}

    def asked(self, name: str, server: str = "cdn") -> list[str | None]:
        """The ranges that were asked for of a file, in order."""
        return [one.range for one in self.requests if one.server == server and name in one.path]


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    hub: Hub
    name = "hub"

    def log_message(self, *_: object) -> None:
        pass

    def do_GET(self) -> None:
        sent = self.headers
        self.hub.requests.append(
            Asked(self.name, self.path, sent.get("range"), sent.get("authorization"), sent.get("user-agent", ""))
        )
        try:
            self.route()
        except (BrokenPipeError, ConnectionResetError):
            self.close_connection = True

    def route(self) -> None:
        hub, path = self.hub, urlsplit(self.path).path
        if found := re.fullmatch(r"/api/models/([\w.-]+/[\w.-]+)/revision/([^/]+)", path):
            self.give_listing(found[1], unquote(found[2]))
        elif found := re.fullmatch(r"/([\w.-]+/[\w.-]+)/resolve/([^/]+)/(.+)", path):
            self.resolve(found[1], found[2], unquote(found[3]))
        elif found := re.fullmatch(rf"/api/resolve-cache/models/{hub.repo}/{hub.commit}/(.+)", path):
            self.give(unquote(found[1]))
        else:
            self.refuse(404, "", "")

    def refuse(self, status: int, code: str, message: str, **headers: str) -> None:
        body = json.dumps({"error": message}).encode()
        headers |= {"x-error-code": code, "x-error-message": message} if code else {}
        self.answer(status, body, {"content-type": "application/json"} | headers)

    def answer(self, status: int, body: bytes, headers: dict[str, str]) -> None:
        self.send_response(status)
        for key, value in ({"content-length": str(len(body))} | headers).items():
            self.send_header(key.replace("_", "-"), value)
        self.end_headers()
        self.wfile.write(body)

    def give_listing(self, repo: str, revision: str) -> None:
        hub = self.hub
        fault = hub.listing_faults.pop(0) if hub.listing_faults else {}
        if "location" in fault:
            self.answer(307, b"", {"location": fault["location"]})
        elif "status" in fault:
            self.refuse(fault["status"], fault.get("code", ""), fault.get("message", ""))
        elif "body" in fault:
            self.answer(200, fault["body"], {"content-type": "application/json"})
        elif repo != hub.repo:  # what the hub answers to who is not logged in, also where there is no such repository
            self.refuse(401, "RepoNotFound", "Invalid username or password.")
        elif revision not in ("main", hub.commit):
            self.refuse(404, "RevisionNotFound", f"Invalid rev id: {revision}")
        else:
            assert parse_qs(urlsplit(self.path).query)["blobs"][0].lower() == "true"
            self.answer(200, json.dumps(hub.listing()).encode(), {"content-type": "application/json"})

    def resolve(self, repo: str, commit: str, name: str) -> None:
        hub = self.hub
        if hub.gated_for and self.headers.get("authorization") != f"Bearer {hub.gated_for}":
            known = self.headers.get("authorization") is not None
            words = "you are not in the authorized list" if known else "you must have access to it and be authenticated"
            self.refuse(403 if known else 401, "GatedRepo", f"Access to model {repo} is restricted and {words}.")
            return
        if repo != hub.repo or commit != hub.commit or name not in hub.files:
            self.refuse(404, "EntryNotFound", "Entry not found")
            return
        content = hub.files[name]
        headers = {"x-repo-commit": hub.commit, "x-linked-size": str(len(content))}
        headers["x-linked-etag"] = f'"{hashlib.sha256(content).hexdigest()}"'
        fault = hub.faults.get(name)
        if isinstance(fault, dict) and "redirect" in fault:
            self.answer(302, b"", headers | {"location": fault["redirect"]})
        elif name.endswith(LARGE):
            self.answer(302, b"", headers | {"location": f"{hub.cdn}/xet/{name}?Expires=1&Signature=s"})
        else:
            etag = hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()
            where = f"/api/resolve-cache/models/{hub.repo}/{hub.commit}/{name}?etag=%22{etag}%22"
            self.answer(307, b"", headers | {"x-linked-etag": f'"{etag}"', "location": where})

    def give(self, name: str) -> None:
        """The file's own bytes, of the range asked for, with whatever fault is due."""
        fault = self.hub.fault(name)
        if "status" in fault:
            self.refuse(fault["status"], "", "", **fault.get("headers", {}))
            return
        content = fault.get("body", self.hub.files[name])
        asked = re.fullmatch(r"bytes=(\d+)-", self.headers.get("range", ""))
        begin = int(asked[1]) if asked and not fault.get("ignore_range") else 0
        if begin and begin >= len(content):
            self.answer(416, b"", {"content-range": f"bytes */{len(content)}"})
            return
        self.send_response(206 if begin else 200)
        if begin:
            shown = begin + fault.get("shifted", 0)
            self.send_header("content-range", f"bytes {shown}-{len(content) - 1}/{len(content)}")
        if not fault.get("unsaid"):
            self.send_header("content-length", str(len(content) - begin))
        else:
            self.send_header("connection", "close")
        self.send_header("accept-ranges", "bytes")
        self.end_headers()
        self.write(content[begin : begin + fault["cut"]] if "cut" in fault else content[begin:], fault.get("slow", 0))
        if "cut" in fault or fault.get("unsaid"):
            self.close_connection = True
            self.wfile.flush()
            self.connection.shutdown(socket.SHUT_RDWR)

    def write(self, content: bytes, slow: float) -> None:
        step = max(1, len(content) // 40) if slow else max(1, len(content))
        for start in range(0, len(content), step):
            self.wfile.write(content[start : start + step])
            self.wfile.flush()
            time.sleep(slow)


class _Cdn(_Handler):
    name = "cdn"

    def route(self) -> None:
        path = urlsplit(self.path).path
        if path.startswith("/xet/"):
            self.give(unquote(path.removeprefix("/xet/")))
        else:
            self.refuse(404, "", "")


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False

    def handle_error(self, *_: object) -> None:
        """A client that hung up is what some tests are about."""


@contextmanager
def running_hub(files: dict[str, bytes], **about: Any) -> Iterator[Hub]:
    """A hub with one repository of these files, and its CDN, each on a port of its own."""
    hub = Hub(files, **about)
    servers = [_Server(("127.0.0.1", 0), type("Bound", (kind,), {"hub": hub})) for kind in (_Handler, _Cdn)]
    hub.endpoint, hub.cdn = (f"http://127.0.0.1:{server.server_port}" for server in servers)
    for server in servers:
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
    try:
        yield hub
    finally:
        for server in servers:
            server.shutdown()
            server.server_close()
