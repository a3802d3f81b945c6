"""`python -m app`: serve the lab's page on this machine and open it in the browser."""

from __future__ import annotations

import argparse
import logging
import os
import socket
import sys
import webbrowser
from pathlib import Path
from typing import TYPE_CHECKING

import uvicorn

if TYPE_CHECKING:
    from fastapi import FastAPI

    from app.engines import RemoteEngine
    from app.session import Session

DEFAULT_PORT = 7860
PORTS_TO_TRY = 100
LOOPBACK = ("127.0.0.1", "localhost", "::1")
KEY = "LITELLAMA_ENGINE_KEY"
CLASS_PASSWORD, TEACHER_PASSWORD = "LITELLAMA_CLASS_PASSWORD", "LITELLAMA_TEACHER_PASSWORD"
DEFAULT_CHECKPOINT = Path(__file__).parent.parent / "checkpoints" / "tinytown"

log = logging.getLogger("litellama.app")


def parse_options(arguments: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m app", description="LiteLlama Lab in your browser.")
    parser.add_argument("--host", help="address to listen on: this machine's own, or any of it for --classroom")
    parser.add_argument("--port", type=int, help=f"port to listen on (default: {DEFAULT_PORT} or the next free one)")
    parser.add_argument("--no-browser", action="store_true", help="do not open the browser")
    parser.add_argument("--checkpoint", type=Path, default=DEFAULT_CHECKPOINT, help="folder of the first model")
    parser.add_argument("--models", type=Path, help="folder of the models to choose from (default: checkpoints)")
    parser.add_argument("--no-downloads", action="store_true", help="fetch no models; for a server that many share")
    parser.add_argument(
        "--engine", action="append", default=[], metavar="URL",
        help="an OpenAI-compatible server (vLLM, llama.cpp, Ollama) whose models can be chosen too, such as "
        f"http://localhost:8080; may be given several times. Its key, if it wants one, is taken from {KEY} in the "
        f"environment, the second one's from {KEY}_2, and so on",
    )  # fmt: skip
    parser.add_argument("--engine-model", metavar="NAME", help="the only model of the engine that is to be offered")
    parser.add_argument(
        "--classroom", action="store_true",
        help="let a class use this machine over the network, with a password (new each time, or from "
        f"{CLASS_PASSWORD}) and a page for the teacher (password: new, or from {TEACHER_PASSWORD})",
    )  # fmt: skip
    parser.add_argument(
        "--public-name", action="append", default=[], metavar="NAME",
        help="of a class: a name that pupils reach it by through an encrypting server (TLS) in front of it",
    )  # fmt: skip
    parser.add_argument(
        "--allow-models", action="store_true",
        help="of a class: let the teacher add models, uploaded or fetched from the Hugging Face hub; pupils never can",
    )  # fmt: skip
    options = parser.parse_args(arguments)
    if options.host is None:
        options.host = "0.0.0.0" if options.classroom and not options.public_name else LOOPBACK[0]
    if options.host not in LOOPBACK and not options.classroom:
        parser.error(
            f"--host is {options.host}; other machines could then use the lab, and it has no password. "
            f"Choose one of {', '.join(LOOPBACK)}, or --classroom"
        )
    if options.public_name and not options.classroom:
        parser.error("--public-name is for a class; give --classroom too")
    if options.allow_models and not options.classroom:
        parser.error("--allow-models is for a class; alone you may add models anyway")
    if options.models is not None and not options.models.is_dir():
        parser.error(f"--models is {options.models}; a folder that holds checkpoint folders was expected")
    if options.engine_model is not None and len(options.engine) != 1:
        parser.error(f"--engine-model names a model of one engine; --engine was given {len(options.engine)} times")
    if options.port is not None and not 0 <= options.port <= 65535:
        parser.error(f"--port is {options.port}; a number from 1 to 65535 was expected, or 0 for any free one")
    return options


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


class Announcer(uvicorn.Server):
    """A server that says where it is as soon as it can be reached."""

    def __init__(self, config: uvicorn.Config, address: str, open_browser: bool, said: str = "") -> None:
        super().__init__(config)
        self.said = said
        self.address = address
        self.open_browser = open_browser

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        print(f"LiteLlama Lab is at {self.address}  (Ctrl+C ends it)", flush=True)
        if self.said:
            print(self.said, flush=True)
        if self.open_browser:
            webbrowser.open(self.address)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        # An open page always has a request waiting; that it is cut off now is no news, and no reason for a traceback.
        logging.getLogger("uvicorn.error").setLevel(logging.CRITICAL)
        await super().shutdown(sockets)


def main(arguments: list[str] | None = None) -> int:
    """Run until Ctrl+C. Returns 2, after one sentence on stderr, if the model or the port cannot be had."""
    options = parse_options(arguments)
    logging.basicConfig(level=logging.WARNING, format="%(levelname)s %(name)s: %(message)s")
    try:
        with open_socket(options.host, options.port) as listener:
            serve(listener, options)
    except (OSError, ValueError) as error:
        print(f"LiteLlama Lab cannot start: {error}", file=sys.stderr)
        return 2
    return 0


def open_engines(options: argparse.Namespace) -> list[RemoteEngine]:
    """The servers that were named, each with its key, if the environment holds one."""
    from app.engines import RemoteEngine

    engines = []
    for number, address in enumerate(options.engine, 1):
        key = os.environ.get(KEY if number == 1 else f"{KEY}_{number}", "").strip()
        engine = RemoteEngine(address, key or None, options.engine_model)
        if not engine.caller.is_private:
            log.warning(
                "%s is asked without encryption: whoever is on the way there can read what is asked and answered%s",
                engine.where, ", and the key" if key else "",
            )  # fmt: skip
        engines.append(engine)
    return engines


def open_classroom(session: Session, options: argparse.Namespace, port: int) -> tuple[FastAPI, str, str]:
    """The app for a class, the teacher's address, and what the terminal shows. Passwords are never logged."""
    from app.addresses import class_begins, host_names, lan_addresses, new_password
    from app.classroom import Classroom
    from app.server import create_app

    password = os.environ.get(CLASS_PASSWORD, "").strip() or new_password()
    teacher_password = os.environ.get(TEACHER_PASSWORD, "").strip() or new_password()
    here = [] if options.host in LOOPBACK else lan_addresses()
    hosts = [*LOOPBACK, *here, *(host_names() if here else []), *(name.casefold() for name in options.public_name)]
    allowed = options.allow_models
    app = create_app(
        session, room=Classroom(password, teacher_password), hosts=hosts, secure=bool(options.public_name),
        uploads=allowed, downloads=allowed and not options.no_downloads,
    )  # fmt: skip
    local = f"http://{LOOPBACK[0]}:{port}/"
    addresses = [f"https://{name}/" for name in options.public_name] or [f"http://{name}:{port}/" for name in here]
    said = class_begins(addresses or [local], password, teacher_password, bool(options.public_name))
    return app, f"{local}teacher", said


def serve(listener: socket.socket, options: argparse.Namespace) -> None:
    """Open the model and answer on `listener` until the process is told to stop."""
    # Imported only now: torch and Gradio take seconds, `--help` and a wrong option should not.
    from app.server import create_app
    from app.session import Session
    from litellama.checkpoint import checkpoints_folder
    from litellama.precision import open_for_use

    models = options.models or checkpoints_folder()
    session = Session(open_for_use(options.checkpoint), models, engines=open_engines(options))
    session.models.elsewhere()  # asked before anybody waits for it
    port = listener.getsockname()[1]
    if options.classroom:
        app, address, said = open_classroom(session, options, port)
    else:
        app, said = create_app(session, downloads=not options.no_downloads), ""
        name = f"[{options.host}]" if ":" in options.host else options.host
        address = f"http://{name}:{port}/"
    # A second for what is being answered; an open page's heartbeat would otherwise keep the server for ever.
    config = uvicorn.Config(app, log_level="warning", server_header=False, timeout_graceful_shutdown=1)
    try:
        Announcer(config, address, not options.no_browser, said).run(sockets=[listener])
    finally:
        if app.state.downloads is not None:
            app.state.downloads.close()
        if app.state.trainings is not None:
            app.state.trainings.close()


if __name__ == "__main__":
    sys.exit(main())
