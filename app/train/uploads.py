"""Documents that a user uploads, read into plain text.

PDF and Word files are read by a process of their own, `python -m app.train.uploads KIND`, with a limit on its time and
its memory and without network: whatever a forged file does to the library that reads it, it does there.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import unicodedata
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any, Literal

from app.common.strings import Problem
from app.common.text import replace_surrogates
from app.train.documents import MOST_CHARACTERS, Document, read_csv, read_docx, read_pdf, read_plain

LARGEST_FILE = 5 * 2**20  # bytes
SECONDS = 20.0
MOST_MEMORY = 2**30  # bytes

LIGATURES = {code: unicodedata.normalize("NFKC", chr(code)) for code in range(0xFB00, 0xFB07)}  # "ﬁ" -> "fi"

HARMLESS: dict[str, Callable[[bytes], Document]] = {
    ".txt": read_plain, ".md": read_plain, ".jsonl": read_plain, ".csv": read_csv,
}  # fmt: skip
APART: dict[str, Callable[[bytes], Document]] = {".pdf": read_pdf, ".docx": read_docx}


@dataclass(frozen=True)
class Upload:
    """What was read: plain text, or ("chat") conversations as JSON lines, left as they are. `encoding` as of the file,
    "" for formats that have none to guess."""

    kind: Literal["text", "chat"]
    text: str
    encoding: str


def read_upload(name: str, data: bytes, seconds: float = SECONDS) -> Upload:
    """Read the file called `name`. Raises `Problem`, in a sentence for its user, for whatever can be wrong with it."""
    ending = PurePosixPath(name.lower()).suffix
    if ending not in HARMLESS and ending not in APART:
        raise Problem("problem.upload_kind", kinds=", ".join([*HARMLESS, *APART]))
    if len(data) > LARGEST_FILE:
        raise Problem("problem.upload_large", limit=LARGEST_FILE // 2**20)
    read = HARMLESS[ending](data) if ending in HARMLESS else _read_apart(ending, data, seconds)
    is_chat = ending == ".jsonl"
    text = read.text if is_chat else tidy(read.text)
    if not text.strip():
        raise Problem("problem.upload_empty")
    if len(text) > MOST_CHARACTERS:
        raise Problem("problem.upload_long", limit=MOST_CHARACTERS)
    return Upload("chat" if is_chat else "text", text, read.encoding)


def tidy(text: str) -> str:
    """One kind of line break, one form of each letter, no invisible characters, never two blank lines in a row."""
    text = replace_surrogates(text)
    text = unicodedata.normalize("NFC", re.sub(r"\r\n|[\r\v\f\x1c-\x1e\x85\u2028\u2029]", "\n", text))
    text = re.sub(r"[\x00-\x08\x0e-\x1f\u00ad\u200b\ufeff]", "", text).translate(LIGATURES)
    return re.sub(r"\n{3,}", "\n\n", re.sub(r"[ \t]+\n", "\n", text)).strip()


# --- The process that reads ------------------------------------------------------------------------------------------


def _read_apart(ending: str, data: bytes, seconds: float) -> Document:
    command = [sys.executable, "-B", "-m", "app.train.uploads", ending]
    try:
        ran = subprocess.run(
            command, input=data, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, timeout=seconds, check=False,
            cwd=Path(__file__).parents[2],
        )  # fmt: skip
    except subprocess.TimeoutExpired:  # and it has been killed
        raise Problem("problem.upload_time", limit=round(seconds)) from None
    if ran.returncode != 0:  # a library that stumbles over a forged file may end in any way
        raise Problem("problem.upload_unreadable")
    answer = json.loads(ran.stdout)
    if "key" in answer:
        raise Problem(answer["key"], **answer["values"])
    return Document(answer["text"])


def main(ending: str) -> None:
    """Read stdin as a file of the kind `ending`, and print what it says, or what is wrong with it, as JSON."""
    confine()
    answer: dict[str, Any]
    try:
        answer = {"text": APART[ending](sys.stdin.buffer.read(LARGEST_FILE)).text}
    except Problem as problem:
        answer = {"key": problem.key, "values": problem.values}
    print(json.dumps(answer))


def confine() -> None:
    """Limit this process, once and for all: its memory, its processor time, and that it opens no socket, starts no
    program and changes no file. The last three bind Python code, such as that of a library led astray."""
    with suppress(ImportError):  # Windows has no such limits; there the clock alone holds
        import resource

        limits = {resource.RLIMIT_AS: MOST_MEMORY, resource.RLIMIT_CPU: int(SECONDS) + 1, resource.RLIMIT_FSIZE: 0}
        for limit, most in limits.items():
            with suppress(ValueError, OSError):  # a system that does not know one of them
                resource.setrlimit(limit, (most, most))
    sys.addaudithook(_refuse)


def _refuse(event: str, details: tuple[Any, ...]) -> None:
    if re.match(
        r"socket\.|subprocess\.|os\.(exec|fork|spawn|posix_spawn|system|startfile|remove|rename|mkdir|rmdir)", event
    ):
        raise PermissionError(f"{event} is not for a process that reads documents")
    if event == "open" and isinstance(details[2], int) and details[2] & (os.O_WRONLY | os.O_RDWR | os.O_CREAT):
        raise PermissionError("a process that reads documents writes none")


if __name__ == "__main__":
    main(sys.argv[1])
