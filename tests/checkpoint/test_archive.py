"""A packed checkpoint unpacks to the same bytes, and what is not one is refused with a sentence, leaving nothing."""

from __future__ import annotations

import hashlib
import io
import json
import pickle
import shutil
import stat
import struct
import tracemalloc
import zipfile
import zlib
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from litellama.__main__ import main
from litellama.checkpoint import CheckpointError, open_checkpoint
from litellama.checkpoint.archive import KNOWN, LARGEST, LONGEST_NAME, ArchiveError, is_name, pack, safe_name, unpack

MANIFEST, WEIGHTS = "manifest.json", "model.safetensors"


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


@pytest.fixture
def into(tmp_path: Path) -> Path:
    return tmp_path / "models"


@pytest.fixture
def files(tiny_checkpoint: Path) -> dict[str, bytes]:
    """The tiny checkpoint's files, to be archived in evil ways."""
    return contents(tiny_checkpoint)


# --- There and back --------------------------------------------------------------------------------------------------


def test_what_is_packed_is_what_is_unpacked(tmp_path: Path, tiny_checkpoint: Path, into: Path) -> None:
    pack(tiny_checkpoint, tmp_path / "tiny.zip")
    folder = unpack(tmp_path / "tiny.zip", into)
    assert folder == into / "tiny"
    assert contents(folder) == contents(tiny_checkpoint)
    assert open_checkpoint(folder).verified
    assert [path.name for path in into.iterdir()] == ["tiny"]
    with zipfile.ZipFile(tmp_path / "tiny.zip") as archive:
        assert archive.testzip() is None
        assert archive.namelist() == [f"tiny/{name}" for name in sorted(KNOWN)]


def test_same_checkpoint_same_bytes(tmp_path: Path, tiny_checkpoint: Path) -> None:
    copy = tmp_path / "elsewhere" / "tiny"
    shutil.copytree(tiny_checkpoint, copy, copy_function=shutil.copyfile)  # other dates and rights
    (copy / "notes.txt").write_text("of no manifest")
    in_memory = io.BytesIO()
    pack(tiny_checkpoint, in_memory)
    pack(copy, tmp_path / "tiny.zip")
    assert (tmp_path / "tiny.zip").read_bytes() == in_memory.getvalue()
    assert stat.S_IMODE((tmp_path / "tiny.zip").stat().st_mode) == 0o644
    assert unpack(in_memory, tmp_path / "models").name == "tiny"


def test_the_bytes_are_those_of_every_machine(tmp_path: Path) -> None:
    """Packing looks at no weight, so files of a few letters will do."""
    folder = make_folder(tmp_path / "Kite 1", {name: name.encode() for name in KNOWN if name != MANIFEST})
    written = io.BytesIO()
    pack(folder, written)
    assert zipfile.ZipFile(written).namelist()[0] == "kite-1/card.json"
    digest = hashlib.sha256(written.getvalue()).hexdigest()
    assert digest == "15bb7d700d9073cd938c789aedf4b51103ecf87e39da7d7e6e5cb6972d8710ce"


def make_folder(folder: Path, files: dict[str, bytes]) -> Path:
    """A folder of these files with the manifest that fits them."""
    folder.mkdir(parents=True)
    for name, data in with_manifest(files).items():
        (folder / name).write_bytes(data)
    return folder


def with_manifest(files: dict[str, bytes]) -> dict[str, bytes]:
    prints = {
        name: {"bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()}
        for name, data in files.items()
        if name != MANIFEST
    }
    return files | {MANIFEST: json.dumps({"version": 1, "files": prints}).encode()}


def other_name(folder: Path) -> None:
    (folder / "model-00001.safetensors").write_bytes(b"x")
    make = with_manifest(contents(folder))
    (folder / MANIFEST).write_bytes(make[MANIFEST])


def grow(folder: Path) -> None:
    with open(folder / WEIGHTS, "r+b") as file:
        file.truncate(LARGEST + 1)  # a sparse file takes no room


@pytest.mark.parametrize(
    ("harm", "says"),
    [
        (lambda folder: (folder / MANIFEST).unlink(), "has no manifest"),
        (lambda folder: (folder / WEIGHTS).unlink(), "has no file model.safetensors"),
        (lambda folder: (folder / "card.json").write_text("{}"), "card.json in broken is not the file that was saved"),
        (lambda folder: (folder / MANIFEST).write_text('{"files": {}}'), "were expected"),
        (lambda folder: (folder / MANIFEST).write_text('{"files": {"../../etc/passwd": {}}}'), "were expected"),
        (other_name, "were expected"),
        (grow, "larger than an archive may be"),
        (shutil.rmtree, "there is no checkpoint folder"),
    ],
)
def test_a_broken_folder_is_not_packed(
    tmp_path: Path, tiny_checkpoint: Path, harm: Callable[[Path], None], says: str
) -> None:
    folder = Path(shutil.copytree(tiny_checkpoint, tmp_path / "broken"))
    harm(folder)
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "old.zip").write_bytes(b"an older archive")
    with pytest.raises((CheckpointError, ArchiveError), match=says):
        pack(folder, tmp_path / "out" / "old.zip")
    assert contents(tmp_path / "out") == {"old.zip": b"an older archive"}


# --- Names -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("typed", "name"),
    [
        ("Mein Märchen!", "mein-maerchen"), ("Ma\u0308rchen", "maerchen"), ("Straße 3.1", "strasse-3.1"), ("", "model"),
        ("  ...  ", "model"), ("../../etc/passwd", "etc-passwd"), ("CON", "model-con"), ("nul.txt", "model-nul.txt"),
        ("Café Ⅳ", "cafe-iv"), ("Дракон", "model"), ("a" * 99, "a" * 60), ("x\0y", "x-y"), ("a..b", "a.b"),
        ("console", "console"),
    ],
)  # fmt: skip
def test_typed_names(typed: str, name: str) -> None:
    assert safe_name(typed) == name


@given(st.text() | st.text(alphabet="conCON1.-_ ä", max_size=80))
def test_whatever_is_typed_becomes_a_name(typed: str) -> None:
    name = safe_name(typed)
    assert is_name(name)
    assert safe_name(name) == name


@pytest.mark.parametrize(
    "bad",
    ["", ".", "..", ".x", "x.", "-x", "x y", "a/b", "a\\b", "C:x", "x\n", "ä", "con", "NUL.zip", "a..b", "a" * 61],
)
def test_bad_names(bad: str, into: Path, tmp_path: Path) -> None:
    assert not is_name(bad)
    with pytest.raises(ValueError, match="is no name for a model"):
        unpack(tmp_path / "unread.zip", into, name=bad)


def test_a_name_that_is_taken_gets_a_number(tmp_path: Path, tiny_checkpoint: Path, into: Path) -> None:
    packed = io.BytesIO()
    pack(tiny_checkpoint, packed)
    (into / "tiny").mkdir(parents=True)  # also an empty one, which a rename would replace
    (into / "tiny-2").write_text("a file")
    (into / ".tiny-3.previous").mkdir()  # a save of tiny-3 was killed; open_checkpoint finds it there
    assert unpack(packed, into).name == "tiny-4"
    assert unpack(packed, into, name="Kite_1.0") == into / "Kite_1.0"
    long = "a" * (LONGEST_NAME - 3) + "-bb"
    names = [unpack(packed, into, name=long).name for _ in range(2)]
    assert names == [long, "a" * (LONGEST_NAME - 3) + "-2"]
    assert list((into / "tiny").iterdir()) == []


# --- Archives that others wrote --------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Entry:
    """One entry of a zip, every field free to lie. `at` is where the list says it begins, if not where it does."""

    name: str
    data: bytes  # as it lies in the archive
    size: int
    crc: int
    method: int = zipfile.ZIP_STORED
    flags: int = 0
    mode: int = 0
    at: int | None = None
    packed: int | None = None  # the length of `data`, as declared


def stored(name: str, data: bytes) -> Entry:
    return Entry(name, data, len(data), zlib.crc32(data))


def deflated(name: str, data: bytes) -> Entry:
    coder = zlib.compressobj(9, zlib.DEFLATED, -15)
    return replace(stored(name, data), data=coder.compress(data) + coder.flush(), method=zipfile.ZIP_DEFLATED)


def zip_of(entries: list[Entry], before: bytes = b"", comment: bytes = b"") -> io.BytesIO:
    out, listed = bytearray(before), bytearray()
    for one in entries:
        name = one.name.encode()
        packed = len(one.data) if one.packed is None else one.packed
        common = struct.pack(
            "<HHHHHLLLHH", 20, one.flags, one.method, 0, 33, one.crc, packed, one.size, len(name), 0
        )  # fmt: skip
        at = len(out) if one.at is None else one.at
        listed += b"PK\1\2" + struct.pack("<H", 0x0314) + common + struct.pack("<HHHLL", 0, 0, 0, one.mode << 16, at)
        listed += name
        if one.at is None:
            out += b"PK\3\4" + common + name + one.data
    count = min(len(entries), 0xFFFF)
    end = struct.pack("<HHHHLLH", 0, 0, count, count, len(listed), len(out), len(comment))
    return io.BytesIO(bytes(out + listed + b"PK\5\6" + end + comment))


def all_of(files: dict[str, bytes], **changed: Entry) -> list[Entry]:
    """Everything as it should be, but for what is changed: {"model_safetensors": Entry, ...}."""
    return [changed.get(name.replace(".", "_"), stored(f"kite/{name}", data)) for name, data in files.items()]


def test_the_zips_made_here_are_zips(files: dict[str, bytes], into: Path) -> None:
    made = zip_of(all_of(files))
    assert zipfile.ZipFile(made).testzip() is None
    assert contents(unpack(made, into)) == files


def test_packed_by_hand(files: dict[str, bytes], into: Path) -> None:
    """As desktops do it: compressed, the folder listed too, a Mac's leavings; or the files alone, without a folder."""
    entries = [deflated(f"Mein Märchen/{name}", data) for name, data in files.items()]
    entries = [replace(entry, flags=0x800) for entry in entries]
    extra = [stored("__MACOSX/Mein Märchen/._config.json", b"x"), stored("Mein Märchen/.DS_Store", b"x")]
    extra = [replace(entry, flags=0x800) for entry in [stored("Mein Märchen/", b""), *extra]]
    assert contents(unpack(zip_of(extra + entries), into)) == files
    assert contents(unpack(zip_of([stored(name, data) for name, data in files.items()]), into)) == files
    assert sorted(path.name for path in into.iterdir()) == ["mein-maerchen", "model"]


def test_streamed_by_another_program(files: dict[str, bytes], into: Path) -> None:
    class Pipe(io.RawIOBase):
        def __init__(self) -> None:
            self.data = bytearray()

        def writable(self) -> bool:
            return True

        def write(self, data: Any) -> int:
            self.data += data
            return len(data)

    pipe = Pipe()
    with zipfile.ZipFile(pipe, "w", zipfile.ZIP_DEFLATED) as archive:  # type: ignore[arg-type]
        for name, data in files.items():
            archive.writestr(f"kite/{name}", data)
    assert pipe.data[6] & 8, "sizes follow the data"
    assert contents(unpack(io.BytesIO(pipe.data), into)) == files


# --- Attacks ---------------------------------------------------------------------------------------------------------

Files = dict[str, bytes]


def zeros(count: int) -> Entry:
    """`count` MiB of zeros, deflated; made of one block over and over, so it is quick."""
    coder = zlib.compressobj(9, zlib.DEFLATED, -15)
    block = coder.compress(bytes(2**20)) + coder.flush(zlib.Z_FULL_FLUSH)
    last = coder.flush()
    crc = 0
    for _ in range(count):
        crc = zlib.crc32(bytes(2**20), crc)
    return Entry(f"kite/{WEIGHTS}", block * count + last, count * 2**20, crc, zipfile.ZIP_DEFLATED)


def named(name: str, data: bytes = b"harm") -> Callable[[Files], io.BytesIO]:
    return lambda files: zip_of([*all_of(files), stored(name, data)])


def weights(**lies: Any) -> Callable[[Files], io.BytesIO]:
    """The weights' entry as it should be, but for these fields."""

    def make(files: Files) -> io.BytesIO:
        return zip_of(all_of(files, model_safetensors=replace(stored(f"kite/{WEIGHTS}", files[WEIGHTS]), **lies)))

    return make


def bomb(**lies: Any) -> Callable[[Files], io.BytesIO]:
    return lambda files: zip_of(all_of(files, model_safetensors=replace(zeros(1024), **lies)))


def a_little_longer(files: Files) -> io.BytesIO:
    """More than is declared, and the sum of what is declared is right: `zipfile` alone would not notice."""
    longer = deflated(f"kite/{WEIGHTS}", files[WEIGHTS] + bytes(5 * 2**20))
    entry = replace(longer, size=len(files[WEIGHTS]), crc=zlib.crc32(files[WEIGHTS]))
    made = zip_of(all_of(files, model_safetensors=entry))
    assert zipfile.ZipFile(made).testzip() is None
    return made


def overlapping(files: Files) -> io.BytesIO:
    """Two entries of the list point at one place, as in the "better zip bomb"."""
    first, second, *rest = all_of(files)
    return zip_of([first, replace(second, at=0), *rest])


def quoted(files: Files) -> io.BytesIO:
    """The weights' bytes hold another file's whole entry, which the list gives out once more."""
    inner = zip_of([stored("kite/card.json", files["card.json"])]).getvalue()
    entries = [one for one in all_of(files) if not one.name.endswith("card.json")]
    outer = Entry(f"kite/{WEIGHTS}", inner, len(inner), zlib.crc32(inner))
    entries = [outer, *(one for one in entries if WEIGHTS not in one.name)]
    header = 30 + len(outer.name)
    return zip_of([*entries, replace(stored("kite/card.json", files["card.json"]), at=header)])


def last_is_longer(files: Files) -> io.BytesIO:
    last = stored("kite/tokenizer.json", files["tokenizer.json"])
    return zip_of(all_of(files, tokenizer_json=replace(last, packed=last.size + 60, size=last.size + 60)))


def many(files: Files) -> io.BytesIO:
    return zip_of([*all_of(files), *(stored(f"kite/{number}", b"") for number in range(10_000))])


def wide_list(files: Files) -> io.BytesIO:
    """64-bit zips say twice where their list is; the second, which counts, is not the one that was looked at."""
    made = zip_of(all_of(files)).getvalue()
    return io.BytesIO(made[:-22] + b"PK\6\7" + struct.pack("<LQL", 0, 0, 1) + made[-22:])


def pickled(files: Files) -> io.BytesIO:
    return zip_of(all_of(with_manifest(files | {WEIGHTS: pickle.dumps({"weight": [1.0]})})))


def flipped(files: Files) -> io.BytesIO:
    data = bytearray(files[WEIGHTS])
    data[-1] ^= 1
    return zip_of(all_of(files | {WEIGHTS: bytes(data)}))


def config(**changes: Any) -> Callable[[Files], io.BytesIO]:
    """A forged config, with a manifest that vouches for it."""

    def make(files: Files) -> io.BytesIO:
        changed = json.dumps(json.loads(files["config.json"]) | changes).encode()
        return zip_of(all_of(with_manifest(files | {"config.json": changed})))

    return make


def no_letters(files: Files) -> io.BytesIO:
    made = zip_of([replace(one, flags=0x800) for one in all_of(files)])
    return io.BytesIO(made.getvalue().replace(b"kite/card.json", b"\xff\xfe\xfd\xfc/card.json"))


def future(files: Files) -> io.BytesIO:
    """An entry that asks for version 12.7 of the format."""
    made = bytearray(zip_of(all_of(files)).getvalue())
    made[made.index(b"PK\1\2") + 6] = 127
    return io.BytesIO(made)


def cut(share: float) -> Callable[[Files], io.BytesIO]:
    def make(files: Files) -> io.BytesIO:
        whole = zip_of(all_of(files)).getvalue()
        return io.BytesIO(whole[: int(len(whole) * share)])

    return make


ATTACKS: dict[str, tuple[Callable[[Files], io.BytesIO], str, str]] = {
    "bomb": (bomb(), "size", "from almost nothing"),
    "bomb that says it is small": (bomb(size=1000), "damaged", "Bad CRC-32"),
    "and has the sum": (bomb(size=1000, crc=zlib.crc32(bytes(1001))), "damaged", "which is not true"),
    "bomb that says it is huge": (bomb(size=2**32 - 2), "size", "larger than 2,147,483,647"),
    "bomb that says it is no bomb": (bomb(packed=2**31), "content", "the same bytes"),
    "longer than declared": (a_little_longer, "damaged", "Bad CRC-32"),
    "shorter than declared": (weights(size=10**6), "damaged", "which is not true"),
    "large config": (lambda f: zip_of(all_of(f | {"config.json": b" " * 2**21})), "size", "config.json has 2,097,152"),
    "up": (named("../x"), "content", "may lead elsewhere"),
    "up as a known name": (named("../config.json"), "content", "may lead elsewhere"),
    "up inside": (named("kite/../../config.json"), "content", "may lead elsewhere"),
    "here": (named("./config.json"), "content", "may lead elsewhere"),
    "absolute": (named("/etc/x"), "content", "may lead elsewhere"),
    "root": (named("/config.json"), "content", "twice|more than one folder|lead elsewhere"),
    "backslashes": (named("a\\..\\b"), "content", "is no part of a model"),
    "backslashed folder": (named("a\\..\\b/config.json"), "content", "may lead elsewhere"),
    "drive": (named("C:x"), "content", "is no part of a model"),
    "drive's folder": (named("C:/config.json"), "content", "may lead elsewhere"),
    "deeper": (named("kite/deep/config.json"), "content", "may lead elsewhere"),
    "NUL": (named("kite/config.json\0.exe"), "content", "is no part of a model"),
    "NUL in front": (named("kite/card.json\0"), "content", "is no part of a model"),
    "control character": (named("ki\nte/card.json"), "content", "may lead elsewhere"),
    "another file": (named("kite/run.py"), "content", "is no part of a model"),
    "capitals": (named("kite/CONFIG.JSON"), "content", "is no part of a model"),
    "second folder": (named("kite2/", b""), "content", "more than one folder"),
    "folder with bytes": (named("kite/"), "content", "is no part of a model"),
    "link": (weights(mode=stat.S_IFLNK | 0o777), "content", "a link or another special file"),
    "device": (weights(mode=stat.S_IFCHR | 0o666), "content", "a link or another special file"),
    "pipe": (weights(mode=stat.S_IFIFO | 0o666), "content", "a link or another special file"),
    "folder as a file": (weights(mode=stat.S_IFDIR | 0o755), "content", "a link or another special file"),
    "encrypted": (weights(flags=1), "content", "encrypted"),
    "strongly encrypted": (weights(flags=0x41), "content", "encrypted"),
    "patched": (weights(flags=0x20), "content", "of an unknown form"),
    "bzip2": (weights(method=zipfile.ZIP_BZIP2), "content", "compressed in an unusual way"),
    "lzma": (weights(method=zipfile.ZIP_LZMA), "content", "compressed in an unusual way"),
    "unknown method": (weights(method=99), "content", "compressed in an unusual way"),
    "twice": (lambda f: zip_of([*all_of(f), stored("kite/config.json", b"{}")]), "content", "config.json twice"),
    "ten thousand": (many, "content", "far more files"),
    "overlapping": (overlapping, "content", "the same bytes"),
    "one inside another": (quoted, "content", "the same bytes"),
    "list as a file": (last_is_longer, "content", "list of files"),
    "beyond the end": (weights(at=10**9), "damaged", "is damaged"),
    "no header there": (weights(at=7), "content|damaged", "the same bytes|is damaged"),
    "64 bits": (wide_list, "size", "64-bit form"),
    "wrong sum": (weights(crc=1), "damaged", "Bad CRC-32"),
    "no deflate": (weights(method=zipfile.ZIP_DEFLATED), "damaged", "is damaged"),
    "names that are no text": (no_letters, "damaged", "can't decode"),
    "a form of the future": (future, "damaged", "is damaged"),
    "cut short": (cut(0.5), "format", "cut short"),
    "cut shorter": (cut(0.0001), "format", "cut short"),
    "nothing": (cut(0), "format", "not a zip archive"),
    "no zip": (lambda f: io.BytesIO(f[WEIGHTS]), "format", "not a zip archive"),
    "empty zip": (lambda f: zip_of([]), "content", "lacks config.json"),
    "comment": (lambda f: zip_of(all_of(f), comment=b"x" * 22), "format", "not a zip archive"),
    "no manifest": (lambda f: zip_of(all_of({n: d for n, d in f.items() if n != MANIFEST})), "content", "lacks man"),
    "no weights": (lambda f: zip_of(all_of({n: d for n, d in f.items() if n != WEIGHTS})), "content", "lacks model"),
    "no card": (lambda f: zip_of(all_of({n: d for n, d in f.items() if n != "card.json"})), "checkpoint", "card.json"),
    "pickle": (pickled, "checkpoint", "not a sound safetensors file"),
    "manifest of another": (lambda f: zip_of(all_of(f | {"card.json": b"{}"})), "checkpoint", "is not the file that"),
    "flipped bit": (flipped, "checkpoint", "model.safetensors in kite is not the file that was saved"),
    "broken manifest": (lambda f: zip_of(all_of(f | {MANIFEST: b"[" * 10**6})), "checkpoint", "not readable JSON"),
    "deep config": (lambda f: zip_of(all_of(with_manifest(f | {"config.json": b"[" * 10**6}))), "checkpoint", "JSON"),
    "config of a million layers": (config(num_hidden_layers=10**6), "checkpoint", "layers"),
    "config of a vast vocabulary": (config(vocab_size=10**15), "checkpoint", "shape"),
    "config of a wrong kind": (config(rope_parameters=[1]), "checkpoint", "not a whole model"),
    "config of words": (config(hidden_size="large"), "checkpoint", "not a whole model"),
    "config beyond numbers": (config(rope_theta=10**400), "checkpoint", "not a whole model"),
    "tokenizer of nothing": (
        lambda f: zip_of(all_of(with_manifest(f | {"tokenizer.json": b"{}"}))), "checkpoint", "not a tokenizer",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", ATTACKS)
def test_attack(name: str, tmp_path: Path, files: Files, into: Path) -> None:
    make, kind, says = ATTACKS[name]
    into.mkdir()
    with pytest.raises(ArchiveError, match=says) as caught:
        unpack(make(files), into)
    assert caught.value.kind in kind.split("|")
    assert "\n" not in str(caught.value).strip()
    assert list(into.iterdir()) == []
    assert [path.name for path in tmp_path.iterdir()] == ["models"]


@pytest.mark.parametrize("place", range(0, 60, 3))
def test_any_byte_of_the_list_may_be_wrong(place: int, files: Files, into: Path) -> None:
    """Whatever is forged, it is an ArchiveError or the very same model."""
    whole = zip_of(all_of(files)).getvalue()
    start = whole.index(b"PK\1\2")
    for value in (0, 1, 0x7F, 0xFF):
        forged = bytearray(whole)
        forged[start + place] = value
        with suppress(ArchiveError):
            assert contents(unpack(io.BytesIO(forged), into)) == files
        assert list(into.glob(".*")) == []


def test_more_than_wanted(tiny_checkpoint: Path, into: Path) -> None:
    packed = io.BytesIO()
    pack(tiny_checkpoint, packed)
    total = sum(len(data) for data in contents(tiny_checkpoint).values())
    with pytest.raises(ArchiveError, match=f"larger than {total - 1:,} bytes"):
        unpack(packed, into, largest=total - 1)
    assert unpack(packed, into, largest=total).name == "tiny"


def test_memory_stays_flat(tmp_path: Path, files: Files, into: Path) -> None:
    """A hundred MiB go out and in by a few at a time; they are no weights, so opening them comes to nothing."""
    folder = make_folder(tmp_path / "large", files | {WEIGHTS: bytes(range(256)) * 4096 * 100})
    with open(tmp_path / "large.zip", "w+b") as file:
        tracemalloc.start()
        try:
            pack(folder, file)
            with pytest.raises(ArchiveError, match="not a sound safetensors file"):
                unpack(file, into)
            peak = tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()
        assert file.tell() > 100 * 2**20 or file.seek(0, 2) > 100 * 2**20
    assert peak < 8 * 2**20


@pytest.mark.fault(28)
def test_a_full_disk_leaves_nothing(
    tmp_path: Path, tiny_checkpoint: Path, into: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pack(tiny_checkpoint, tmp_path / "tiny.zip")

    def full(handle: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("litellama.checkpoint.archive.os.fsync", full)
    with pytest.raises(OSError, match="No space left"):
        unpack(tmp_path / "tiny.zip", into)
    with pytest.raises(OSError, match="No space left"):
        pack(tiny_checkpoint, tmp_path / "again.zip")
    assert list(into.iterdir()) == []
    assert sorted(path.name for path in tmp_path.iterdir()) == ["models", "tiny.zip"]


# --- The command line ------------------------------------------------------------------------------------------------


def run(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[object, str, str]:
    with pytest.raises(SystemExit) as end:
        main(arguments)
    captured = capsys.readouterr()
    return end.value.code, captured.out, captured.err


def test_command_line(
    capsys: pytest.CaptureFixture[str], tiny_checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(tiny_checkpoint, tmp_path / "checkpoints" / "Kite")
    monkeypatch.chdir(tmp_path)
    assert run(capsys, "pack", "Kite")[:2] == (0, "kite.zip\n")
    assert run(capsys, "pack", "checkpoints/Kite", "--out", "other.zip")[:2] == (0, "other.zip\n")
    assert (tmp_path / "kite.zip").read_bytes() == (tmp_path / "other.zip").read_bytes()
    assert run(capsys, "unpack", "kite.zip")[:2] == (0, f"{Path('checkpoints/Kite-2')}\n")
    assert run(capsys, "unpack", "kite.zip", "--into", "deep/er")[1] == f"{Path('deep/er/Kite')}\n"
    for bad in (["pack", "nowhere"], ["unpack", "nowhere.zip"], ["unpack", "checkpoints/Kite/config.json"]):
        code, out, _ = run(capsys, *bad)
        assert str(code).startswith(f"litellama {bad[0]}: ")
        assert out == ""
    helped = run(capsys, "--help")[1]
    assert "one zip file" in helped
