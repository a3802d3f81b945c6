"""Tiny real packages for the tests of `run`: wheels made by hand, an index that serves them, and a build backend.

A project copy takes this file along as its build backend (PEP 660), so that an editable install needs no setuptools.
"""

from __future__ import annotations

import hashlib
import tomllib
import zipfile
from base64 import urlsafe_b64encode
from collections.abc import Sequence
from pathlib import Path


def make_wheel(
    folder: Path, name: str, version: str, requires: Sequence[str] = (), files: dict[str, str] | None = None
):
    """Write NAME-VERSION-py3-none-any.whl with `files` (path -> text) into `folder`; returns its path."""
    distribution = name.replace("-", "_")
    info = f"{distribution}-{version}.dist-info"
    metadata = [f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}"]
    extras = sorted({line.partition("extra == '")[2].rstrip("'") for line in requires if "extra ==" in line})
    metadata += [f"Provides-Extra: {extra}" for extra in extras]
    metadata += [f"Requires-Dist: {line}" for line in requires]
    contents = {
        **(files or {}),
        f"{info}/METADATA": "\n".join(metadata) + "\n",
        f"{info}/WHEEL": "Wheel-Version: 1.0\nGenerator: tests\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    record = "".join(f"{path},{_digest(text)},{len(text.encode())}\n" for path, text in contents.items())
    contents[f"{info}/RECORD"] = record + f"{info}/RECORD,,\n"
    wheel = folder / f"{distribution}-{version}-py3-none-any.whl"
    with zipfile.ZipFile(wheel, "w") as archive:
        for path, text in contents.items():
            archive.writestr(path, text)
    return wheel


def make_index(folder: Path, wheels: Sequence[Path]) -> None:
    """Lay `wheels` out as a package index (PEP 503) that any file server can serve."""
    for wheel in wheels:
        page = folder / wheel.name.partition("-")[0].replace("_", "-").lower()
        page.mkdir(parents=True, exist_ok=True)
        wheel = wheel.rename(page / wheel.name)
        links = [f'<a href="{file.name}">{file.name}</a>' for file in page.glob("*.whl")]
        (page / "index.html").write_text(f"<!DOCTYPE html><html><body>{''.join(links)}</body></html>")


def build_editable(wheel_directory: str, config_settings: object = None, metadata_directory: object = None) -> str:
    """PEP 660's hook: a wheel that holds nothing but a path to the project in the current folder."""
    project = tomllib.loads(Path("pyproject.toml").read_text(encoding="utf-8"))["project"]
    requires = list(project["dependencies"])
    for extra, lines in project["optional-dependencies"].items():
        requires += [f"{line} ; extra == '{extra}'" for line in lines]
    path_file = {f"{project['name']}.pth": f"{Path.cwd()}\n"}
    return make_wheel(Path(wheel_directory), project["name"], project["version"], requires, path_file).name


def _digest(text: str) -> str:
    return "sha256=" + urlsafe_b64encode(hashlib.sha256(text.encode()).digest()).rstrip(b"=").decode()
