"""What the lab stands on: exact versions, and licences under which it may be used and passed on."""

from __future__ import annotations

import re
from importlib.metadata import PackageNotFoundError, metadata

import pytest

from tests.tools.audit import ROOT, pins

PERMISSIVE = re.compile(r"MIT|BSD|Apache|ISC|PSF|Python Software Foundation|HPND|Zlib|Unlicense", re.IGNORECASE)
BY_FILE = re.compile(r"MPL|Mozilla Public License")  # what is changed in its files must be shared; we change nothing
COPYLEFT = re.compile(r"\b[AL]?GPL|General Public License|SSPL|Commons Clause|Non.?Commercial", re.IGNORECASE)
PINNED = sorted(pins())


def licence(name: str) -> str:
    """What a package says of itself; skips the test if it isn't installed."""
    try:
        told = metadata(name)
    except PackageNotFoundError:
        pytest.skip(f"{name} is not installed")
    classes = [line.split("::")[-1].strip() for line in told.get_all("Classifier") or [] if line.startswith("License")]
    return told.get("License-Expression") or "; ".join(classes) or (told.get("License") or "")[:200]


def test_every_version_is_exact() -> None:
    lines = (ROOT / "requirements.txt").read_text(encoding="utf-8").splitlines()
    wanted = [line for line in lines if line.strip() and not line.startswith("#")]
    assert len(wanted) == len(PINNED) > 100


@pytest.mark.parametrize("name", PINNED)
def test_its_licence_is_permissive(name: str) -> None:
    told = licence(name)
    assert not COPYLEFT.search(told), told
    assert PERMISSIVE.search(told) or BY_FILE.search(told), told
