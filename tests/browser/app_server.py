"""The app as a user starts it, a process of its own, and a caller that speaks its page's protocol without a browser."""

from __future__ import annotations

import json
import os
import secrets
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import psutil

ROOT = Path(__file__).resolve().parents[2]


@contextmanager
def running_app(checkpoint: Path, log: Path, *options: str, folder: Path = ROOT, threads: int = 1) -> Iterator[str]:
    """Start `python -m app` in `folder` on a free port; gives its address once it is there, and ends it afterwards."""
    command = [sys.executable, "-m", "app", "--no-browser", "--port", "0", "--checkpoint", str(checkpoint), *options]
    places = os.pathsep.join([str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])])
    environment = {**os.environ, "OMP_NUM_THREADS": str(threads), "PYTHONPATH": places}
    with open(log, "w") as errors:
        process = subprocess.Popen(
            command, cwd=folder, env=environment, stdout=subprocess.PIPE, stderr=errors, text=True
        )
        try:
            assert process.stdout is not None
            line = process.stdout.readline()
            assert "http://" in line, f"the app did not start: {line}{log.read_text()}"
            yield line[line.index("http://") :].split()[0]
        finally:
            process.terminate()
            process.wait(timeout=20)
            process.stdout.close()


def server_of(address: str) -> psutil.Process:
    """The process that `running_app` started."""
    port = urlsplit(address).port
    for process in psutil.Process().children(recursive=True):
        if any(one.laddr.port == port for one in process.net_connections("tcp") if one.status == "LISTEN"):
            return process
    raise RuntimeError(f"no process of ours listens on {port}")


class Page:
    """What one open page can ask of the server."""

    def __init__(self, client: httpx.Client) -> None:
        self.client = client
        self.session = secrets.token_hex(8)
        functions = client.get("/config").json()["dependencies"]
        self.functions = {function["api_name"]: function["id"] for function in functions if function["api_name"]}

    def join(self, name: str, sent: object) -> httpx.Response:
        body = {"data": [], "event_data": sent, "fn_index": self.functions[name], "session_hash": self.session}
        content = json.dumps(body).encode(
            "utf-8"
        )  # json.dumps writes NaN and lone surrogates, which httpx's own will not
        return self.client.post("/gradio_api/queue/join", content=content, headers={"content-type": "application/json"})

    def call(self, name: str, sent: object) -> Any:
        """The last value the server gave for one event."""
        return self.stream(name, sent)[-1]

    def stream(self, name: str, sent: object) -> list[Any]:
        """Every value the server gave for one event, in order."""
        event = self.join(name, sent).raise_for_status().json()["event_id"]
        return list(self.listen(event))

    def listen(self, event: str) -> Iterator[Any]:
        value: Any = None
        with self.client.stream("GET", "/gradio_api/queue/data", params={"session_hash": self.session}) as stream:
            for line in stream.iter_lines():
                if not line.startswith("data:"):
                    continue
                message = json.loads(line.removeprefix("data:"))
                if message.get("event_id") != event:
                    continue
                if message["msg"] in ("process_generating", "process_completed"):
                    assert message["success"], message
                    for data in message["output"].get("data", [])[:1]:
                        value = patched(value, data)
                        yield value
                if message["msg"] == "process_completed":
                    return


def patched(value: Any, data: Any) -> Any:
    """Apply one streamed message: a whole value, or a list of [action, path, value] changes to the last one."""
    is_diff = isinstance(data, list) and all(isinstance(change, list) and len(change) == 3 for change in data)
    if not is_diff or value is None:
        return data
    value = json.loads(json.dumps(value))  # a copy: the caller keeps the earlier ones
    for action, path, new in data:
        if not path:
            value = new
            continue
        place = value
        for step in path[:-1]:
            place = place[step]
        if action == "append":
            place[path[-1]] += new
        elif action == "add" and isinstance(place, list):
            place.insert(path[-1], new)
        elif action == "delete":
            del place[path[-1]]
        else:
            place[path[-1]] = new
    return value
