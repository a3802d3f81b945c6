"""A model of the hub, fetched into a folder that is either whole or not there at all.

The files are received into a hidden folder next to it, `.NAME.download`, where a later process can resume. When all are
there and verified, a manifest and a card are written, and one rename gives the folder its name.
"""

from __future__ import annotations

import datetime
import errno
import json
import shutil
import subprocess
import sys
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

from litellama.checkpoint.layout import CARD, MANIFEST, fingerprint, put_in_place, sync_folder, write_file, write_json
from litellama.hub.client import HubError, hub_client, hub_token
from litellama.hub.events import Discarded, DownloadEvent, DownloadFinished, DownloadStarted, Received, Verifying
from litellama.hub.listing import HubFile, Listing
from litellama.hub.stream import PartialFile, WrongFileError, is_file, receive

ROOM_LEFT = 64 * 2**20  # bytes that a download leaves free
LARGEST_CARD = 2**20


def folder_state(listing: Listing, folder: Path) -> Literal["free", "same", "other_commit"]:
    """What `folder` is now: free, this very commit, or another one. Raises `HubError` if it is anything else."""
    if not folder.exists():
        return "free"
    origin = _origin(folder)
    if origin.get("repo") != listing.repo:
        raise HubError("exists", f"{folder} is there and is no download of {listing.repo}; choose another with --to")
    return "same" if origin.get("commit") == listing.commit else "other_commit"


def work_folder(folder: Path) -> Path:
    """Where a download to `folder` stores what it has received."""
    return folder.parent / f".{folder.name}.download"


def downloaded_bytes(listing: Listing, folder: Path) -> int:
    """Bytes of `listing` that an unfinished download to `folder` has stored."""
    work = work_folder(folder.absolute())
    places = [(work / "files" / file.name, _part(work, file)) for file in listing.files]
    return sum(path.stat().st_size for pair in places for path in pair if path.is_file())


def check_room(listing: Listing, folder: Path) -> None:
    """Raise `HubError` if the disk has no room for what is missing, or for the conversion where one is needed."""
    needed = listing.bytes - downloaded_bytes(listing, folder)
    if listing.needs_conversion:
        needed += listing.bytes
    free = free_room(folder)
    if needed + ROOM_LEFT > free:
        raise HubError(
            "disk", f"{gigabytes(needed)} GB more are needed at {folder.parent}, and {gigabytes(free)} GB are free"
        )


def free_room(folder: Path) -> int:
    """Free bytes on the disk of `folder`, which need not exist yet."""
    there = next(place for place in folder.absolute().parents if place.exists())
    return shutil.disk_usage(there).free


def gigabytes(count: int) -> str:
    """923_400_000 -> "0.92", 13_476_831_232 -> "13.5"; in units of 10^9 bytes."""
    return f"{count / 1e9:.{1 if count >= 10**10 else 2 if count >= 10**7 else 4}f}"


def fetch(listing: Listing, folder: Path) -> Generator[DownloadEvent, None, None]:
    """Fetch all of `listing` into `folder`, with an event for each step. Close it to cancel; a later call resumes.

    An earlier commit of the same repository is replaced at the end. Raises `HubError`; then `folder` is as before.
    """
    folder = folder.absolute()
    if folder_state(listing, folder) == "same":
        yield DownloadFinished(folder)
        return
    work, token = work_folder(folder), hub_token()
    with _disk_faults(work), hub_client() as client, _claimed(work):
        _tidy(listing, work)
        check_room(listing, folder)
        yield DownloadStarted(len(listing.files), listing.bytes, downloaded_bytes(listing, folder))
        before = 0
        for file in listing.files:
            for event in _bring(client, listing, file, folder, token):
                yield replace(event, total=before + event.bytes) if isinstance(event, Received) else event
            before += file.bytes
            yield Received(file.name, file.bytes, before)
        _install(listing, work / "files", folder)
    shutil.rmtree(work, ignore_errors=True)
    yield DownloadFinished(folder)


def is_unconverted(folder: Path) -> bool:
    """Whether a fetched model still has its weights as a pickle only."""
    return not any(folder.glob("*.safetensors"))


def convert(folder: Path) -> None:
    """Turn a pickle's weights into safetensors, in a process of its own. Raises `HubError`."""
    command = [sys.executable, "-m", "litellama", "convert", str(folder), "--yes"]
    ended = subprocess.run(command, capture_output=True, text=True, encoding="utf-8", errors="replace", check=False)
    if ended.returncode:
        why = (ended.stderr.strip().splitlines() or [f"exit status {ended.returncode}"])[-1]
        raise HubError("conversion", f"{folder.name} was fetched, but its weights could not be converted: {why}")


def discard(folder: Path) -> None:
    """Delete what an unfinished download to `folder` has stored."""
    shutil.rmtree(work_folder(folder.absolute()), ignore_errors=True)


def _bring(client: Any, listing: Listing, file: HubFile, folder: Path, token: str | None) -> Iterator[DownloadEvent]:
    """One verified file in the work folder: it is there already, or copied from the old model, or received."""
    work = work_folder(folder)
    place = work / "files" / file.name
    for found in (place, folder / file.name):
        if found.is_file():
            yield Verifying(file.name)
            if is_file(found, file):
                if found != place:
                    write_file(place, lambda new, old=found: shutil.copyfile(old, new))  # type: ignore[misc]
                return
    place.unlink(missing_ok=True)
    fault = ""
    for attempt in (1, 2):
        path = _part(work, file)
        if path.exists():
            yield Verifying(file.name)
        try:
            with PartialFile(path, file) as part:
                yield from receive(client, listing, part, token)
                part.finish(place)
                return
        except WrongFileError as wrong:
            fault = str(wrong)
        path.unlink()
        if attempt == 1:
            yield Discarded(file.name, fault)
    raise HubError("damaged", f"{file.name} came wrong twice: {fault}; nothing was installed, try again later")


def _install(listing: Listing, files: Path, folder: Path) -> None:
    """Write the card and the manifest, and give the finished folder its name."""
    today = datetime.datetime.now(datetime.UTC).date().isoformat()
    origin = {"repo": listing.repo, "commit": listing.commit, "revision": listing.revision, "from": listing.endpoint}
    licence = {"licence": listing.licence, "licence_link": listing.licence_link}
    card = {"name": listing.name, "hub": origin | licence | {"fetched": today}}
    write_file(files / CARD, lambda path: write_json(path, card))
    prints = {CARD: fingerprint(files / CARD)}
    for file in listing.files:
        known = file.sha256 and {"bytes": file.bytes, "sha256": file.sha256}
        prints[file.name] = known or fingerprint(files / file.name)
    write_file(files / MANIFEST, lambda path: write_json(path, {"version": 1, "files": prints}))
    sync_folder(files)
    put_in_place(files, folder)


def _tidy(listing: Listing, work: Path) -> None:
    """Make the work folder, and remove files that another commit or a killed process left there."""
    wanted = {work / "files" / file.name for file in listing.files} | {_part(work, file) for file in listing.files}
    for inner in ("files", "parts"):
        (work / inner).mkdir(exist_ok=True)
        for path in (work / inner).iterdir():
            if path not in wanted:
                path.unlink()


def _part(work: Path, file: HubFile) -> Path:
    return work / "parts" / f"{file.name}.{file.hash[:16]}"  # so that another content is never resumed


def _origin(folder: Path) -> dict[str, Any]:
    """Where an earlier download came from, by its card; {} for any other folder."""
    try:
        card = json.loads((folder / CARD).read_bytes()[:LARGEST_CARD])
        return dict(card["hub"])
    except (OSError, ValueError, TypeError, KeyError, RecursionError):
        return {}


@contextmanager
def _claimed(work: Path) -> Iterator[None]:
    """Lock the work folder against other processes. Raises `HubError` if one has locked it."""
    import filelock

    work.mkdir(parents=True, exist_ok=True)
    try:
        with filelock.FileLock(work / "lock", timeout=0):
            yield
    except filelock.Timeout:
        raise HubError("locked", f"another process is fetching to {work.name} at this moment; wait for it") from None


@contextmanager
def _disk_faults(work: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            sentence = f"the disk is full; what came is kept in {work}, so make room and start again"
        else:
            sentence = f"{work.parent} cannot be written to: {error}"
        raise HubError("disk", sentence) from None
