"""`python -m litellama doctor`: what this machine is like, what may go wrong on it, and what to do about it."""

from __future__ import annotations

import importlib.metadata
import json
import platform
import shutil
import socket
import sys
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

import torch
import typer
from rich.console import Console
from rich.markup import escape

from litellama.checkpoint import checkpoints_folder, is_whole, list_models
from litellama.checkpoint.layout import CheckpointError, existing_folder, verify_manifest
from litellama.checkpoint.memory import free_memory, weight_bytes
from litellama.cli.options import Json
from litellama.config import PRESETS

State = Literal["good", "note", "bad"]
MARKS = {"good": "[green]✓[/green]", "note": "[yellow]![/yellow]", "bad": "[red]✗[/red]"}
OLDEST_PYTHON, SAFE_TORCH = (3, 11), (2, 10)  # before 2.10 even `weights_only=True` could be made to run code
APP_PORT = 7860
ROOMY_DISK = 2e9  # bytes: an installation, or LiteLlama's weights twice
PARTS = {"App": ("gradio", "./run app"), "Lessons": ("jupyterlab", "./run lab")}


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at: "bad" keeps the lab from working, a "note" is good to know. `advice` can be ""."""

    about: str
    state: State
    found: str
    advice: str = ""


def diagnose(folder: Path | None = None) -> Iterator[Finding]:
    """Look at everything, one finding after the other; `folder` holds the checkpoints."""
    folder = checkpoints_folder() if folder is None else folder
    yield _python(sys.version_info[:3], sys.maxsize)
    yield _torch(torch.__version__)
    yield _processor(torch.backends.cpu.get_cpu_capability(), bool(torch.cpu._is_avx512_bf16_supported()))
    yield _gpu(torch.cuda.is_available(), torch.version.cuda, shutil.which("nvidia-smi"))
    yield _memory(free_memory())
    yield _disk(folder, shutil.disk_usage(folder if folder.exists() else Path.cwd()).free)
    yield from _checkpoints(folder)
    yield _port(APP_PORT)
    yield from (_part(name, package, task) for name, (package, task) in PARTS.items())


def _python(version: tuple[int, ...], largest: int) -> Finding:
    found = ".".join(map(str, version)) + (", 64 bits" if largest > 2**32 else ", 32 bits")
    if largest <= 2**32:
        return Finding("Python", "bad", found, "PyTorch needs a 64-bit Python; install one from python.org")
    if version < OLDEST_PYTHON:
        return Finding("Python", "bad", found, "the lab needs 3.11 or newer; install one from python.org")
    return Finding("Python", "good", found)


def _torch(version: str) -> Finding:
    numbers = tuple(int(part) for part in version.split("+")[0].split(".")[:2] if part.isdecimal())
    if numbers < SAFE_TORCH:
        advice = "converting a pickled checkpoint is not safe with it; delete .venv and start again for the pinned one"
        return Finding("PyTorch", "note", version, advice)
    return Finding("PyTorch", "good", version)


def _processor(capability: str, bfloat16: bool) -> Finding:
    found = f"{platform.processor() or platform.machine()}, {capability}{', bfloat16' if bfloat16 else ''}"
    if capability in ("DEFAULT", "NO AVX"):
        advice = "no wide arithmetic (AVX2) is used here: small models work, but large ones will be slow"
        return Finding("Processor", "note", found, advice)
    return Finding("Processor", "good", found)


def _gpu(usable: bool, cuda: str | None, smi: str | None) -> Finding:
    if usable:
        return Finding("GPU", "good", torch.cuda.get_device_name())
    if smi is None:
        return Finding("GPU", "good", "none; nothing in the lab needs one")
    if cuda is None:
        advice = "this PyTorch is built for processors only; delete .venv and start again to get one that uses it"
        return Finding("GPU", "note", "an NVIDIA driver is there, but is not used", advice)
    advice = "run nvidia-smi to see what the driver says; it may be older than this PyTorch's CUDA"
    return Finding("GPU", "note", f"PyTorch with CUDA {cuda} cannot use it", advice)


def _memory(free: int | None) -> Finding:
    if free is None:
        return Finding("Memory", "note", "this system does not say how much is free")
    fitting = [name for name, config in PRESETS.items() if weight_bytes(config, "float16") <= free]
    largest = max(fitting, key=lambda name: PRESETS[name].num_parameters, default=None)
    found = f"{free / 1e9:.1f} GB free"
    if largest is None or free < 500e6:
        return Finding("Memory", "bad", found, "close other programs; the app itself needs about half a GB")
    return Finding("Memory", "good", f"{found}: enough for the weights of {largest} in 16 bits")


def _disk(folder: Path, free: int) -> Finding:
    found = f"{free / 1e9:.1f} GB free where {folder.name}/ lies"
    if free < ROOMY_DISK:
        return Finding("Disk", "note", found, "trainings and downloads may fail; nothing that is there gets lost then")
    return Finding("Disk", "good", found)


def _checkpoints(folder: Path) -> Iterator[Finding]:
    """A finding for each checkpoint that is not in order, and one that counts the others."""
    good = 0
    for row in list_models(folder):
        if row["kind"] != "checkpoint":
            continue
        name = f"Model {row['name']}"
        again = "bring it anew, from the repository or with `python -m litellama download`"
        if "problem" in row:
            yield Finding(name, "bad", row["problem"], again)
            continue
        path = existing_folder(folder / row["name"])
        try:
            if not is_whole(path):
                yield Finding(name, "bad", "files are missing", again)
            elif verify_manifest(path):
                good += 1
            else:
                yield Finding(name, "note", "it has no manifest, so a changed file would not be noticed")
        except (CheckpointError, OSError) as wrong:
            yield Finding(name, "bad", str(wrong), again)
    if good:
        yield Finding("Models", "good", f"{good} in {folder.name}/ with every file as its manifest says")
    else:
        advice = "run this in the lab's folder, or fetch a model with `python -m litellama download`"
        yield Finding("Models", "bad", f"no model in order in {folder}", advice)


def _port(port: int) -> Finding:
    with socket.socket() as asked:
        if sys.platform != "win32":  # a port that was in use a moment ago is free
            asked.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            asked.bind(("127.0.0.1", port))
        except OSError:
            advice = "the app takes the next free one; or the app is running already: look in your browser's tabs"
            return Finding("Port", "note", f"{port} is in use", advice)
    return Finding("Port", "good", f"{port} is free for the app")


def _part(name: str, package: str, task: str) -> Finding:
    try:
        return Finding(name, "good", f"{package} {importlib.metadata.version(package)}")
    except importlib.metadata.PackageNotFoundError:
        return Finding(name, "note", f"{package} is not installed", f"`{task}` installs it")


def doctor(as_json: Json = False) -> None:
    """Look for what could keep the lab from working here, and say what to do. Exit status 1 if something does."""
    findings, console = [], Console(highlight=False)
    for finding in diagnose():
        findings.append(finding)
        if not as_json:
            console.print(f"{MARKS[finding.state]} {finding.about}: {escape(finding.found)}")
            if finding.advice:
                console.print(f"    {escape(finding.advice)}")
    if as_json:
        print(json.dumps([asdict(finding) for finding in findings], ensure_ascii=False, indent=2))
    raise typer.Exit(int(any(finding.state == "bad" for finding in findings)))
