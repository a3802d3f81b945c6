"""Text files and chat files to documents, read as a stream: a corpus may be far larger than the memory.

    story.txt, notes.md    text; a line <|endoftext|> stands between two documents, without one the file is one document
    any.jsonl              one JSON object a line: {"text": "..."} or
                           {"messages": [{"role": "user", "content": "..."}, {"role": "assistant", "content": "..."}]}

Text is UTF-8, with or without a byte order mark; line ends become "\\n". All of a corpus is text, or all is chat.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from litellama.data.documents import LINES_ENDING, TEXT_ENDINGS, Item, Kind, TextChunk, read_file


def ignore(problem: str) -> None:
    """Do nothing about a line that was skipped."""


@dataclass(frozen=True)
class Corpus:
    """Documents of one kind that can be gone through as often as needed; each time `read` reads them anew.

    `left_out` names a folder's files that are of another format.
    """

    source: str
    kind: Kind
    read: Callable[[], Iterator[Item]]
    left_out: tuple[str, ...] = ()

    def __iter__(self) -> Iterator[Item]:
        return self.read()


def read_corpus(path: str | Path, *, skip_bad: bool = False, on_bad: Callable[[str], None] = ignore) -> Corpus:
    """Find a file's or a folder's documents; folders are walked in sorted order, hidden files left out.

    Raises `ValueError` for what cannot be read as a corpus, for files of which some hold texts and some conversations,
    and at a bad line when it is come to; with `skip_bad` such lines are told to `on_bad` and left out.
    """
    path = Path(path).absolute()
    files, left_out = _find(path)

    def bad(problem: str) -> None:
        if not skip_bad:
            raise ValueError(problem)
        on_bad(problem)

    kind = _kind(files, path.name, ignore if skip_bad else bad)

    def read() -> Iterator[Item]:
        for name, file in files.items():
            yield from read_file(file, name, kind, bad)

    return Corpus(path.name, kind, read, left_out)


def _kind(files: dict[str, Path], source: str, bad: Callable[[str], None]) -> Kind:
    """What all files hold, as the first good document of each says."""
    kinds: dict[Kind, list[str]] = {"text": [], "chat": []}
    for name, file in files.items():
        first = next(read_file(file, name, None, bad), None)
        if first is not None:
            kinds["text" if isinstance(first, TextChunk) else "chat"].append(name)
    if kinds["text"] and kinds["chat"]:
        raise ValueError(
            f"{source} holds texts ({_some(kinds['text'])}) and conversations ({_some(kinds['chat'])}); a model is "
            "trained on one or the other, so put them into two folders"
        )
    if not kinds["text"] and not kinds["chat"]:
        raise ValueError(f"{source} holds not a single document; give a file or a folder with something to learn")
    return "text" if kinds["text"] else "chat"


# --- Finding files ---------------------------------------------------------------------------------------------------


def _find(path: Path) -> tuple[dict[str, Path], tuple[str, ...]]:
    """The files to read by the names that problems are told with, and the names of those left out."""
    endings = f"{', '.join(TEXT_ENDINGS)} or {LINES_ENDING}"
    if path.is_file():
        if not _is_known(path):
            raise ValueError(f"{path.name} cannot be read: its name would have to end in {endings}; save it as such")
        return {path.name: path}, ()
    if not path.is_dir():
        raise ValueError(f"there is no file or folder {path}; give one with {endings} files")
    found = {file.relative_to(path).as_posix(): file for file in sorted(path.rglob("*")) if file.is_file()}
    seen = {name: file for name, file in found.items() if not any(part.startswith(".") for part in name.split("/"))}
    known = {name: file for name, file in seen.items() if _is_known(file)}
    if not known:
        raise ValueError(f"the folder {path.name} holds no {endings} files; put some there, or give another folder")
    return known, tuple(name for name in seen if name not in known)


def _is_known(path: Path) -> bool:
    return path.suffix.lower() in (*TEXT_ENDINGS, LINES_ENDING)


def _some(names: list[str]) -> str:
    return ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")
