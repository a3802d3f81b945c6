"""`python -m app`: serve the lab's page on this machine and open it in the browser."""

from __future__ import annotations

import argparse
import logging
import os
import socket
import subprocess
import sys
import webbrowser
from collections.abc import Callable
from contextlib import nullcontext
from typing import TYPE_CHECKING

import uvicorn
from anyio.to_thread import current_default_thread_limiter

from app.launch.options import (
    CLASS_PASSWORD,
    DEFAULT_PORT,
    KEY,
    LOOPBACK,
    TEACHER_PASSWORD,
    first_checkpoints,
    is_plain,
    parse_options,
)
from app.launch.single_instance import InstanceToken, announce, find_running, user_folder
from app.launch.window import open_window

if TYPE_CHECKING:
    from fastapi import FastAPI

    from app.classroom.classroom import Classroom
    from app.models.engines import RemoteEngine
    from app.server.services import Services
    from litellama.checkpoint.load import Opened

PORTS_TO_TRY = 100
THREADS = 100  # forty for replies, each of which may wait for its model, and enough for what pages ask meanwhile

log = logging.getLogger("litellama.app")


def open_socket(host: str, port: int | None) -> socket.socket:
    """A socket bound to `port`; without a port, to the default or the next free one. Raises `OSError` if none is."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    ports = range(DEFAULT_PORT, DEFAULT_PORT + PORTS_TO_TRY) if port is None else [port]
    for candidate in ports:
        listener = socket.socket(family, socket.SOCK_STREAM)
        if sys.platform != "win32":  # there, reuse would let two servers share a port
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind((host, candidate))
            listener.listen()  # held from now on; a browser that is early waits until the model is open
            return listener
        except OSError:
            listener.close()
    where = f"port {port} is" if port is not None else f"ports {ports[0]} to {ports[-1]} are all"
    raise OSError(f"{where} in use or not allowed; choose another with --port")


class LabServer(uvicorn.Server):
    """A server that prints its address, and shows the page, as soon as it can be reached."""

    def __init__(self, config: uvicorn.Config, address: str, show: Callable[[LabServer], None], message: str) -> None:
        super().__init__(config)
        self.address, self.show, self.message = address, show, message
        self.window: subprocess.Popen[bytes] | None = None

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        current_default_thread_limiter().total_tokens = THREADS
        await super().startup(sockets)
        print(f"LiteLlama Lab is at {self.address}  (Ctrl+C ends it)", flush=True)
        if self.message:
            print(self.message, flush=True)
        self.show(self)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        # An open page always has a request waiting. That it is cut off now is normal, and needs no traceback.
        logging.getLogger("uvicorn.error").setLevel(logging.CRITICAL)
        if self.window is not None:
            self.window.terminate()
        await super().shutdown(sockets)


def show_nothing(server: LabServer) -> None:
    """For `--no-browser`."""


def show_in_browser(server: LabServer) -> None:
    webbrowser.open(server.address)


def show_in_window(server: LabServer) -> None:
    """For `--window`: to close it ends the server."""

    def closed() -> None:
        server.should_exit = True

    def failed() -> None:
        print("A window of its own could not be opened; opening the usual browser.", flush=True)
        show_in_browser(server)

    server.window = open_window(server.address, user_folder(), closed, failed)
    if server.window is None:
        failed()


def main(arguments: list[str] | None = None) -> int:
    """Run until Ctrl+C. Returns 2, after one sentence on stderr, if the model or the port cannot be had."""
    options = parse_options(arguments)
    logging.basicConfig(level=logging.WARNING, format="%(levelname)s %(name)s: %(message)s")
    if is_plain(options) and (address := find_running(user_folder())) is not None:
        opened = not options.no_browser and webbrowser.open(address)
        print(f"LiteLlama Lab is running already, at {address}{'; it was opened in your browser' if opened else ''}")
        return 0
    try:
        with open_socket(options.host, options.port) as listener:
            name, port = f"[{options.host}]" if ":" in options.host else options.host, listener.getsockname()[1]
            address = f"http://{name}:{port}/"
            # From now on, so that a start in the same moment waits for this one.
            with announce(user_folder(), address) if is_plain(options) else nullcontext() as token:
                serve(listener, options, address, token)
    except KeyboardInterrupt:  # the server has ended in order, and hands it on
        pass
    except (OSError, ValueError) as error:
        print(f"LiteLlama Lab cannot start: {error}", file=sys.stderr)
        return 2
    return 0


def open_engines(options: argparse.Namespace) -> list[RemoteEngine]:
    """The servers that were named, each with its key, if the environment holds one."""
    from app.models.engines import RemoteEngine

    engines = []
    for number, address in enumerate(options.engine, 1):
        key = os.environ.get(KEY if number == 1 else f"{KEY}_{number}", "").strip()
        engine = RemoteEngine(address, key or None, options.engine_model)
        if not engine.client.is_private:
            log.warning(
                "%s is asked without encryption: whoever is on the way there can read what is asked and answered%s",
                engine.where, ", and the key" if key else "",
            )  # fmt: skip
        engines.append(engine)
    return engines


def open_first(options: argparse.Namespace) -> Opened:
    """The model that the page opens with. Where the fetched one can't be opened, the terminal says why."""
    from litellama.checkpoint.layout import checkpoints_folder
    from litellama.checkpoint.precision import open_for_use
    from litellama.device import choose_device
    from litellama.hub.packaged import SMOLLM2

    device = choose_device(options.device)
    *better, last = first_checkpoints(options, checkpoints_folder() / SMOLLM2.name)
    for folder in better:
        try:
            return open_for_use(folder, device=device)
        except (OSError, ValueError, RuntimeError, MemoryError) as error:
            log.warning("%s can't be opened, so the lab begins with %s: %s", folder.name, last.name, error)
    return open_for_use(last, device=device)


def open_services(options: argparse.Namespace, classroom: Classroom | None) -> Services:
    """What the server does for pages, with the first model opened."""
    from app.server.services import Services
    from litellama.checkpoint import checkpoints_folder

    models = options.models or checkpoints_folder()
    services = Services(open_first(options), models, engines=open_engines(options), classroom=classroom)
    services.models.remote_models()  # asked before anybody waits for it
    return services


def open_classroom(options: argparse.Namespace, port: int) -> tuple[FastAPI, str, str]:
    """The app for a class, the teacher's address, and what the terminal shows. Passwords are never logged."""
    from app.classroom.classroom import Classroom
    from app.launch.lan import class_instructions, host_names, lan_addresses, new_password
    from app.server.app import create_app

    password = os.environ.get(CLASS_PASSWORD, "").strip() or new_password()
    teacher_password = os.environ.get(TEACHER_PASSWORD, "").strip() or new_password()
    # First: where the model cannot be had, nothing else is done.
    services = open_services(options, Classroom(password, teacher_password))
    here = [] if options.host in LOOPBACK else lan_addresses()
    hosts = [*LOOPBACK, *here, *(host_names() if here else []), *(name.casefold() for name in options.public_name)]
    allowed = options.allow_models
    app = create_app(
        services, hosts=hosts, secure=bool(options.public_name), uploads=allowed,
        downloads=allowed and not options.no_downloads,
    )  # fmt: skip
    local = f"http://{LOOPBACK[0]}:{port}/"
    addresses = [f"https://{name}/" for name in options.public_name] or [f"http://{name}:{port}/" for name in here]
    message = class_instructions(addresses or [local], password, teacher_password, bool(options.public_name))
    return app, f"{local}teacher", message


def serve(listener: socket.socket, options: argparse.Namespace, address: str, token: InstanceToken | None) -> None:
    """Open the model and answer on `listener` until the process is stopped; later starts know it by `token`."""
    # Imported only now: torch and Gradio take seconds, `--help` and a wrong option should not.
    from app.server.app import create_app

    if options.classroom:
        app, address, message = open_classroom(options, listener.getsockname()[1])
    else:
        identity = token.public_id if token else None
        app = create_app(open_services(options, None), downloads=not options.no_downloads, identity=identity)
        message = ""
    # A second for what is being answered; an open page's heartbeat would otherwise keep the server for ever.
    config = uvicorn.Config(app, log_level="warning", server_header=False, timeout_graceful_shutdown=1)
    show = show_nothing if options.no_browser else show_in_window if options.window else show_in_browser
    try:
        LabServer(config, address, show, message).run(sockets=[listener])
    finally:
        if app.state.downloads is not None:
            app.state.downloads.close()
        if app.state.trainings is not None:
            app.state.trainings.close()


if __name__ == "__main__":
    sys.exit(main())
