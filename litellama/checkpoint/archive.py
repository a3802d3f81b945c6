"""A checkpoint as one zip file, to be taken to another machine. A file to be opened is treated as an attack.

    kite.zip:   kite/card.json   kite/config.json   kite/manifest.json   kite/model.safetensors   kite/tokenizer.json

The same checkpoint gives the same bytes on every machine: nothing is compressed (weights would hardly shrink, and
compressors differ) and all dates are the same. Nothing that an archive says of itself is believed without a check.
"""

from __future__ import annotations

import errno
import hashlib
import os
import re
import shutil
import stat
import struct
import tempfile
import unicodedata
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

from litellama.checkpoint.layout import (
    CARD,
    CONFIG,
    MANIFEST,
    TOKENIZER,
    WEIGHTS,
    CheckpointError,
    existing_folder,
    previous_folder,
    read_manifest,
)
from litellama.checkpoint.load import open_checkpoint

LARGEST = 2**31 - 1
"""Bytes of all files together. More needs zip's 64-bit extension, which is not read here."""

KNOWN = {CONFIG: 2**20, CARD: 2**20, MANIFEST: 2**20, TOKENIZER: 64 * 2**20, WEIGHTS: LARGEST}  # name -> most bytes
NEEDED = {CONFIG, MANIFEST, TOKENIZER, WEIGHTS}
LARGEST_LIST = 64 * 1024  # bytes of the list of entries at an archive's end
MOST_SHRUNK = 100  # times; deflate reaches 1,000 on nothing but zeros, JSON with much indentation 20, weights 1.2
LONGEST_NAME = 60
BLOCK = 2**20
RESERVED = re.compile(r"(con|prn|aux|nul|com\d|lpt\d)(\..*)?", re.IGNORECASE)  # on Windows a device, whatever follows
SPELT = {"ä": "ae", "ö": "oe", "ü": "ue", "ß": "ss", "æ": "ae", "œ": "oe", "ø": "o", "ł": "l", "đ": "d"}


class ArchiveError(ValueError):
    """Why an archive is not opened, in one sentence. `kind`: format, content, size, damaged or checkpoint."""

    def __init__(self, kind: str, sentence: str) -> None:
        super().__init__(sentence)
        self.kind = kind


# --- Names -----------------------------------------------------------------------------------------------------------


def is_name(text: str) -> bool:
    """Whether a folder may be called `text` on every system: letters, digits and inner "-", "_", "."; 60 at most."""
    fits = re.fullmatch(r"[A-Za-z0-9]([A-Za-z0-9._-]*[A-Za-z0-9])?", text) and len(text) <= LONGEST_NAME
    return bool(fits) and ".." not in text and not RESERVED.fullmatch(text)


def safe_name(text: str) -> str:
    """A name made of what somebody typed: "Mein Märchen!" -> "mein-maerchen", "con" -> "model-con", "?" -> "model"."""
    spelt = "".join(SPELT.get(character, character) for character in unicodedata.normalize("NFC", text).lower())
    plain = unicodedata.normalize("NFKD", spelt).encode("ascii", "ignore").decode()
    name = re.sub(r"\.{2,}", ".", re.sub(r"[^a-z0-9._-]+", "-", plain))[:LONGEST_NAME].strip("-._") or "model"
    return f"model-{name}"[:LONGEST_NAME].rstrip("-._") if RESERVED.fullmatch(name) else name


# --- Packing ---------------------------------------------------------------------------------------------------------


def pack(folder: str | Path, file: str | Path | BinaryIO) -> None:
    """Write a checkpoint as a zip file: its manifest, and the files that it lists, each checked against it.

    A `file` given as a path is written whole or not at all. Raises `CheckpointError` for a folder without a manifest,
    or whose files do not match it, and `ArchiveError` for one with other files than the lab's own, or over 2 GiB.
    """
    named, folder = Path(folder).resolve().name, existing_folder(Path(folder)).resolve()
    files = read_manifest(folder)
    if files is None:
        raise CheckpointError(f"{named} has no manifest; only the lab's own checkpoints can be packed")
    if not NEEDED <= files.keys() | {MANIFEST} <= KNOWN.keys():
        raise ArchiveError(
            "content", f"{named} consists of {', '.join(sorted(files))}; {', '.join(KNOWN)} were expected"
        )
    if sum((folder / name).stat().st_size for name in files if (folder / name).is_file()) > LARGEST - 2**20:
        raise ArchiveError("size", f"{named} is larger than an archive may be, 2 GiB; copy the folder as it is")
    top = named if is_name(named) else safe_name(named)
    if isinstance(file, str | Path):
        with _written_whole(Path(file)) as target:
            _write_archive(folder, files, top, target)
    else:
        _write_archive(folder, files, top, file)


def _write_archive(folder: Path, files: dict[str, Any], top: str, file: BinaryIO) -> None:
    with zipfile.ZipFile(file, "w", allowZip64=False) as archive:
        for name in sorted({*files, MANIFEST}):
            entry = zipfile.ZipInfo(f"{top}/{name}", (1980, 1, 1, 0, 0, 0))
            entry.create_system = 3  # as on Unix, wherever this runs
            entry.external_attr = (stat.S_IFREG | 0o644) << 16
            print_ = _copy_in(archive, entry, folder / name)
            if name != MANIFEST and print_ != files[name]:
                raise CheckpointError(f"{name} in {top} is not the file that was saved; it differs from the manifest's")


def _copy_in(archive: zipfile.ZipFile, entry: zipfile.ZipInfo, path: Path) -> dict[str, Any]:
    if not path.is_file():
        raise CheckpointError(f"{path.parent.name} has no file {path.name}, which its manifest lists")
    digest, count = hashlib.sha256(), 0
    with open(path, "rb") as source, archive.open(entry, "w") as target:
        while block := source.read(BLOCK):
            digest.update(block)
            count += len(block)
            target.write(block)
    return {"bytes": count, "sha256": digest.hexdigest()}


@contextmanager
def _written_whole(path: Path) -> Iterator[BinaryIO]:
    """A new file that gets the name `path` when all is written, and is removed if something goes wrong."""
    handle, new = tempfile.mkstemp(prefix=f".{path.name}.new-", dir=path.parent)
    try:
        with os.fdopen(handle, "wb") as file:
            yield file
            file.flush()
            os.fsync(handle)
        os.chmod(new, 0o644)  # mkstemp shuts others out
        os.replace(new, path)
    finally:
        Path(new).unlink(missing_ok=True)


# --- Unpacking -------------------------------------------------------------------------------------------------------


def unpack(file: str | Path | BinaryIO, into: str | Path, *, name: str | None = None, largest: int = LARGEST) -> Path:
    """Open an archive as a new folder of `into`, which is returned; what fails leaves nothing behind.

    The folder is called `name`, or else as in the archive, with "-2" and so on if there is one already. Raises
    `ArchiveError` for anything but one whole checkpoint of the lab, of at most `largest` bytes, and `ValueError` for a
    `name` that is none.
    """
    if name is not None and not is_name(name):
        raise ValueError(f"{name!r} is no name for a model; letters, digits and inner '-', '_', '.' were expected")
    if isinstance(file, str | Path):
        with open(file, "rb") as opened:
            return _unpack(opened, Path(into), name, Path(file).stem, largest)
    return _unpack(file, Path(into), name, "model", largest)


def _unpack(file: BinaryIO, into: Path, name: str | None, fallback: str, largest: int) -> Path:
    into.mkdir(parents=True, exist_ok=True)
    hidden = Path(tempfile.mkdtemp(prefix=".unpacking-", dir=into))
    try:
        with _faults_named():
            list_start = _list_start(file)
            with zipfile.ZipFile(file) as archive:
                entries, top = _checked_entries(archive, largest)
                _check_places(file, entries, list_start)
                name = name or (top if is_name(top) else safe_name(top or fallback))
                (hidden / name).mkdir()
                for known, entry in entries.items():
                    _copy_out(archive, entry, hidden / name / known)
        _verify(hidden / name)
        return _take_name(hidden / name, into)
    finally:
        shutil.rmtree(hidden, ignore_errors=True)


@contextmanager
def _faults_named() -> Iterator[None]:
    """What `zipfile` raises for a forged archive becomes `ArchiveError`; errors of the disk stay `OSError`."""
    try:
        yield
    except ArchiveError:
        raise
    except (zipfile.BadZipFile, zlib.error, struct.error, RuntimeError, ValueError) as bad:
        raise ArchiveError("damaged", f"this archive is damaged ({bad}); copy or download it again") from None


def _list_start(file: BinaryIO) -> int:
    """Where the list of entries begins, by the last 22 bytes. A long one is refused: `zipfile` reads it into memory."""
    size = file.seek(0, os.SEEK_END)
    file.seek(max(0, size - 42))
    end = file.read(42)
    if len(end) < 22 or end[-22:-18] != b"PK\5\6":
        raise ArchiveError("format", "this is not a zip archive, or it was cut short on its way")
    if len(end) == 42 and end[:4] == b"PK\6\7":
        raise ArchiveError("size", "this archive is of zip's 64-bit form, which no model of up to 2 GiB needs")
    (length,) = struct.unpack("<L", end[-10:-6])
    if length > min(LARGEST_LIST, size - 22):
        raise ArchiveError("content", "this archive lists far more files than a model has")
    return size - 22 - length


def _checked_entries(archive: zipfile.ZipFile, largest: int) -> tuple[dict[str, zipfile.ZipInfo], str]:
    """The archive's entries by their names, and its top folder ("" if it has none), all as they are declared."""
    entries: dict[str, zipfile.ZipInfo] = {}
    tops = set()
    for entry in archive.infolist():
        top, _, name = entry.orig_filename.rpartition("/")
        if top.startswith("__MACOSX") or name == ".DS_Store":
            continue  # a Mac adds these when somebody packs the folder by hand; they are not read
        tops.add(top)
        _check_kind(entry)
        if top and not re.fullmatch(r"[^/\\:*?\"<>|\x00-\x1f]{1,200}(?<![. ])", top):
            raise ArchiveError("content", f"this archive holds {entry.orig_filename!r}, which may lead elsewhere")
        if not name and top and not entry.file_size:
            continue  # the folder itself, which some programs list too
        if name not in KNOWN:
            raise ArchiveError("content", f"this archive holds {entry.orig_filename!r}, which is no part of a model")
        if name in entries:
            raise ArchiveError("content", f"this archive holds {name} twice")
        entries[name] = entry
    if missing := sorted(NEEDED - entries.keys()):
        raise ArchiveError("content", f"this archive lacks {', '.join(missing)}; it is not one of the lab's models")
    if len(tops) > 1:
        raise ArchiveError("content", "this archive holds more than one folder")
    _check_sizes(entries, largest)
    return entries, tops.pop()


def _check_kind(entry: zipfile.ZipInfo) -> None:
    kind = stat.S_IFMT(entry.external_attr >> 16)
    if kind not in (0, stat.S_IFDIR if entry.orig_filename.endswith("/") else stat.S_IFREG):
        raise ArchiveError("content", f"{entry.orig_filename!r} in this archive is a link or another special file")
    if entry.flag_bits & ~0x080E:  # allowed: how hard it was compressed, sizes that follow the data, names in UTF-8
        raise ArchiveError("content", f"{entry.orig_filename!r} in this archive is encrypted or of an unknown form")
    if entry.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        raise ArchiveError("content", f"{entry.orig_filename!r} in this archive is compressed in an unusual way")


def _check_sizes(entries: dict[str, zipfile.ZipInfo], largest: int) -> None:
    if sum(entry.file_size for entry in entries.values()) > largest:
        raise ArchiveError("size", f"unpacked, this archive is larger than {largest:,} bytes, the most accepted")
    for name, entry in entries.items():
        if entry.file_size > KNOWN[name]:
            raise ArchiveError("size", f"{name} has {entry.file_size:,} bytes; at most {KNOWN[name]:,} can be right")
        if entry.file_size > MOST_SHRUNK * entry.compress_size + BLOCK:
            raise ArchiveError(
                "size", f"{name} unpacks to {entry.file_size:,} bytes from almost nothing; no model does"
            )


def _check_places(file: BinaryIO, entries: dict[str, zipfile.ZipInfo], list_start: int) -> None:
    """Raise `ArchiveError` if entries share bytes: a zip bomb lists the same ones several times (Fifield 2019)."""
    free = 0
    for entry in sorted(entries.values(), key=lambda entry: entry.header_offset):
        if entry.header_offset < free:
            raise ArchiveError("content", "this archive gives the same bytes out as several files")
        file.seek(entry.header_offset + 26)
        lengths = struct.unpack("<HH", file.read(4))  # of the name and of what follows it
        free = entry.header_offset + 30 + sum(lengths) + entry.compress_size
    if free > list_start:
        raise ArchiveError("content", "this archive gives its list of files out as a file")


def _copy_out(archive: zipfile.ZipFile, entry: zipfile.ZipInfo, path: Path) -> None:
    declared, count = entry.file_size, 0
    entry.file_size += 1  # `zipfile` stops at the size declared; asked for one byte more, it shows what it would hide
    with archive.open(entry) as source, open(path, "xb") as target:
        while block := source.read(BLOCK):
            count += len(block)
            target.write(block)
        target.flush()
        os.fsync(target.fileno())
    if count != declared:
        raise ArchiveError("damaged", f"{path.name} says it has {declared:,} bytes, which is not true")


def _verify(folder: Path) -> None:
    try:
        open_checkpoint(folder)
    except Exception as wrong:  # a forged file may make a reader raise anything
        raise ArchiveError("checkpoint", f"what is in this archive is not a whole model: {wrong}") from None


def _take_name(folder: Path, into: Path) -> Path:
    """Move a finished folder into `into`, under its own name or the first free one of name-2, name-3, ..."""
    for number in range(1, 10_000):
        ending = "" if number == 1 else f"-{number}"
        place = into / (folder.name[: LONGEST_NAME - len(ending)].rstrip("-._") + ending)
        if place.exists() or previous_folder(place.absolute()).exists():
            continue
        try:
            return folder.rename(place)
        except OSError as wrong:
            if wrong.errno not in (errno.EEXIST, errno.ENOTEMPTY) and not place.exists():
                raise
    raise FileExistsError(f"{into} holds thousands of models called {folder.name}")
