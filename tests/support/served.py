"""The app in a process of its own, with its routes known and everything that it logs kept to be read.

`python -m tests.support.served CHECKPOINT MODELS personal|class`; the process may not reach any other machine.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

ROOT = Path(__file__).resolve().parents[2]
PASSWORD, TEACHER_PASSWORD = "red-kite", "blue-hat"


@dataclass
class Served:
    """A caller of the app, the app's own routes as (methods, path), and where it logs."""

    client: httpx.Client
    routes: list[tuple[list[str], str]]
    log: Path
    heard: int = 0

    def said(self) -> str:
        """What was logged and printed since the last call."""
        text = self.log.read_bytes()[self.heard :]
        self.heard += len(text)
        return text.decode("utf-8", "replace")


@contextmanager
def served(checkpoint: Path, folder: Path, mode: str = "personal") -> Iterator[Served]:
    """Serve the app on a free port until the block ends; `folder` is for its log and its models."""
    log, models = folder / "app.log", folder / "models"
    models.mkdir()
    command = [sys.executable, "-m", "tests.support.served", str(checkpoint), str(models), mode]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT), "HF_HUB_OFFLINE": "1"}
    with open(log, "w") as errors:
        process = subprocess.Popen(command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, stderr=errors, text=True)
    with process:
        assert process.stdout is not None
        line = process.stdout.readline()
        try:
            assert line, log.read_text()
            told = json.loads(line)
            with httpx.Client(base_url=told["address"], timeout=30) as client:
                yield Served(client, [(methods, path) for methods, path in told["routes"]], log)
        finally:
            process.terminate()


def every_route(routes: Any) -> Iterator[tuple[list[str], str]]:
    """Methods and path of each route, Gradio's own among them."""
    for route in routes:
        if hasattr(route, "methods"):
            yield sorted(route.methods), route.path
        else:
            yield from every_route(getattr(route, "original_router", route).routes or [])


def main(checkpoint: str, models: str, mode: str) -> None:
    """Serve, after one line that says where and what."""
    import torch
    import uvicorn

    from app.classroom import auth
    from app.classroom.classroom import Classroom
    from app.server.app import create_app
    from app.server.services import Services
    from litellama.checkpoint import open_checkpoint
    from tests.support.confined import confined

    torch.set_num_threads(1)
    auth.WRONG_PASSWORD_SECONDS = 0.0  # many are tried
    classroom = Classroom(PASSWORD, TEACHER_PASSWORD) if mode == "class" else None
    services = Services(open_checkpoint(Path(checkpoint)), classroom=classroom)
    app = create_app(services, Path(models), downloads=classroom is None)
    routes = list(every_route(app.routes))
    if classroom is not None:
        routes += [([method], path) for method, path in auth.ClassroomAuth(app, classroom)._routes]

    class Server(uvicorn.Server):
        async def startup(self, sockets: Any = None) -> None:
            await super().startup(sockets)
            port = self.servers[0].sockets[0].getsockname()[1]
            print(json.dumps({"address": f"http://127.0.0.1:{port}", "routes": routes}), flush=True)

    with confined():
        Server(uvicorn.Config(app, port=0, log_level="warning", server_header=False, timeout_graceful_shutdown=1)).run()


if __name__ == "__main__":
    main(*sys.argv[1:])
