"""What is publicly known against the pinned packages: `python -m tests.tools.audit`. Asks pypi.org, nobody else.

Prints each advisory of a pinned version, and each pin that is not the latest release. Fails if there is an advisory
that `REVIEWED` does not speak of.
"""

from __future__ import annotations

import json
import re
import sys
import urllib.error
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
SECONDS = 30
REVIEWED: dict[str, str] = {}
"""The id of an advisory -> why it does not matter here."""


@dataclass(frozen=True)
class Answer:
    """What the index says of one pin: `known` is None where it told nothing of that very version."""

    name: str
    version: str
    latest: str
    known: tuple[str, ...] | None


def pins() -> dict[str, str]:
    """Name -> version of the pinned set."""
    text = (ROOT / "requirements.txt").read_text(encoding="utf-8")
    return dict(re.findall(r"^([\w.-]+)==(\S+)$", text, re.MULTILINE))


def ask(name: str, version: str) -> Answer:
    """Raises `OSError` if the index cannot be reached."""
    latest = _read(f"{name}/json")
    own = latest if latest["info"]["version"] == version else _read(f"{name}/{version}/json", missing={})
    known = own.get("vulnerabilities")
    ids = None if known is None else tuple(one["id"] for one in known if not one.get("withdrawn"))
    return Answer(name, version, latest["info"]["version"], ids)


def _read(path: str, missing: dict | None = None) -> dict:
    try:
        with urllib.request.urlopen(f"https://pypi.org/pypi/{path}", timeout=SECONDS) as answer:
            return json.load(answer)
    except urllib.error.HTTPError as error:
        if missing is None or error.code != 404:
            raise
        return missing


def main() -> int:
    with ThreadPoolExecutor(12) as pool:
        answers = list(pool.map(lambda pin: ask(*pin), pins().items()))
    unreviewed = 0
    for answer in answers:
        for id in answer.known or ():
            print(f"{answer.name} {answer.version}: {id}: {REVIEWED.get(id, 'NOT REVIEWED')}")
            unreviewed += id not in REVIEWED
        if answer.known is None:
            print(f"{answer.name} {answer.version}: nothing was told of this version; the latest is {answer.latest}")
        elif answer.latest != answer.version:
            print(f"{answer.name} {answer.version}: {answer.latest} is there")
    told = sum(answer.known is not None for answer in answers)
    print(f"{len(answers)} packages, {told} of them told of, {unreviewed} advisories to be looked at")
    return int(unreviewed > 0)


if __name__ == "__main__":
    sys.exit(main())
