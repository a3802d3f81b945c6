"""One wheel from the Python package index, downloaded by pip, which follows the user's own settings: a school's mirror,
a proxy, a certificate. Nothing is installed, and no code of the wheel is run."""

from __future__ import annotations

import importlib.util
import os
import re
import subprocess
import sys
import time
from collections.abc import Generator
from pathlib import Path

from litellama.hub.client import HubError

SECONDS = 15  # without a byte, after which pip takes the connection for broken
RETRIES = 1
SECONDS_BETWEEN_LOOKS = 0.2
NO_CONNECTION = r"connection broken by|ConnectionError|NameResolutionError|ConnectTimeout|ReadTimeout|ProxyError"
# Settings for pip in the environment that are ignored here; the others, such as PIP_INDEX_URL, are followed.
NOT_FOLLOWED = ("PIP_DEST", "PIP_LOG", "PIP_REQUIREMENT", "PIP_REQUIRE_HASHES", "PIP_NO_BINARY", "PIP_QUIET")


def download_wheel(requirement: str, folder: Path) -> Generator[int, None, Path]:
    """Download the wheel of `requirement`, such as "name==1.0", into the empty `folder`. Yields the bytes received, a
    few times a second, and returns the file. Closing the generator ends pip. Raises `HubError`."""
    if importlib.util.find_spec("pip") is None:
        raise HubError(
            "pip", "this Python has no pip, which fetches the package; install it with: python -m ensurepip --upgrade"
        )
    work, log, wheels = folder / "work", folder / "pip.log", folder / "wheels"
    work.mkdir()
    command = [
        sys.executable, "-m", "pip", "--disable-pip-version-check", "--no-input", "--quiet", "--log", str(log),
        "--timeout", str(SECONDS), "--retries", str(RETRIES),
        "download", "--no-deps", "--only-binary", ":all:", "--dest", str(wheels), requirement,
    ]  # fmt: skip
    environment = {name: value for name, value in os.environ.items() if name not in NOT_FOLLOWED}
    environment |= dict.fromkeys(("TMPDIR", "TEMP", "TMP"), str(work))  # so that nothing is left elsewhere
    pip = subprocess.Popen(
        command, env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        while pip.poll() is None:
            yield _bytes_in(folder)
            time.sleep(SECONDS_BETWEEN_LOOKS)
    finally:
        if pip.poll() is None:
            pip.kill()
        pip.wait()
    found = list(wheels.glob("*.whl")) if wheels.is_dir() else []
    if pip.returncode != 0 or len(found) != 1:
        raise _explained(requirement, log)
    return found[0]


def _bytes_in(folder: Path) -> int:
    """Bytes of the wheel that were received; pip writes it to its own temporary folder first."""
    sizes = [0]
    for path in folder.rglob("*.whl"):
        try:
            sizes.append(path.stat().st_size)
        except OSError:  # pip has moved it meanwhile
            continue
    return max(sizes)


def _explained(requirement: str, log: Path) -> HubError:
    """What pip's log says went wrong, in one sentence."""
    text = log.read_text(encoding="utf-8", errors="replace") if log.exists() else ""
    if "No space left on device" in text or "Disk quota exceeded" in text:
        return HubError("room", "the disk is full; make room and try again (nothing was left behind)")
    if "CERTIFICATE_VERIFY_FAILED" in text:
        return HubError(
            "certificate",
            "pip does not trust the network's certificate; ask your school or company for the certificate and name its "
            "file in the environment variable PIP_CERT",
        )
    if "hash" in text and "DO NOT MATCH THE HASHES" in text:
        return HubError("package", f"{requirement} did not match the hash that the package index gives for it")
    if re.search(NO_CONNECTION, text):
        return HubError("index", "the Python package index cannot be reached; connect to the internet and try again")
    if "No matching distribution found" in text:
        return HubError(
            "index",
            f"the package index that pip is set up for has no {requirement}; `pip config list` shows which it is",
        )
    lines = [line for line in text.splitlines() if "ERROR:" in line]
    why = lines[-1].partition("ERROR:")[2].strip()[:200] if lines else "it gave no reason"
    return HubError("index", f"pip could not download {requirement}: {why}")
