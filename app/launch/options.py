"""The options of `python -m app`."""

from __future__ import annotations

import argparse
from pathlib import Path

from app.models.default_model import DEFAULT_CHECKPOINT
from litellama.hub.packaged import is_there

DEFAULT_PORT = 7860
LOOPBACK = ("127.0.0.1", "localhost", "::1")
KEY = "LITELLAMA_ENGINE_KEY"
CLASS_PASSWORD, TEACHER_PASSWORD = "LITELLAMA_CLASS_PASSWORD", "LITELLAMA_TEACHER_PASSWORD"


def parse_options(arguments: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m app",
        description="LiteLlama Lab in your browser. Without options, one that is running already is opened.",
    )
    parser.add_argument("--host", help="address to listen on: this machine's own, or any of it for --classroom")
    parser.add_argument("--port", type=int, help=f"port to listen on (default: {DEFAULT_PORT} or the next free one)")
    parser.add_argument("--no-browser", action="store_true", help="do not open the browser")
    parser.add_argument(
        "--window", action="store_true", help="open a window of its own instead; closing it ends the lab"
    )
    parser.add_argument(
        "--checkpoint", type=Path,
        help="folder of the first model (default: SmolLM2-135M-Instruct where it was fetched, TinyTown otherwise and "
        "for --classroom)",
    )  # fmt: skip
    parser.add_argument("--models", type=Path, help="folder of the models to choose from (default: checkpoints)")
    parser.add_argument(
        "--device", default="auto", metavar="NAME",
        help="cpu, cuda, cuda:1 (the second GPU) or mps (Apple); auto, the default, takes the best that works here",
    )  # fmt: skip
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
    if options.window and (options.classroom or options.no_browser):
        parser.error("--window is for one person at this machine; leave out --classroom and --no-browser")
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


def first_checkpoints(options: argparse.Namespace, fetched: Path) -> list[Path]:
    """Folders of the model that the page opens with, the best one first; the next one is for when it can't be opened.

    `fetched` is where the packaged model would be. A class begins with TinyTown, which is right about its world, and so
    does who chooses among models of another folder, where TinyTown might not be found again.
    """
    if options.checkpoint is not None:
        return [options.checkpoint]
    plain = options.models is None and not options.classroom
    return [*([fetched] if plain and is_there(fetched) else []), DEFAULT_CHECKPOINT]


START_OPTIONS = ("no_browser", "window")
"""Options that say nothing of the server itself."""


def is_plain(options: argparse.Namespace) -> bool:
    """Whether the lab was started as it is for everybody, so that one that is running will do as well."""
    defaults = parse_options([])
    return all(getattr(options, name) == value for name, value in vars(defaults).items() if name not in START_OPTIONS)
