"""What a file says, as plain text for a model to learn from: one function for each kind of file, bytes to text."""

from __future__ import annotations

import codecs
import csv
import io
import re
import zipfile
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass
from typing import IO
from xml.parsers import expat

from app.common.strings import Problem

MOST_CHARACTERS = 2_000_000
MOST_XML = 40 * 2**20  # bytes of a .docx's document.xml, unpacked
BINARY = re.compile(r"[\x00-\x08\x0e-\x1f]")  # what no text holds
DELIMITERS = ";\t|,"  # the comma last: in half of Europe it stands inside numbers
NO_DELIMITER = "\x1f"  # stands in no text that is read here


@dataclass(frozen=True)
class Document:
    """A file's text. `encoding` is how its letters were stored, "" where its format says so itself."""

    text: str
    encoding: str = ""


def read_plain(data: bytes) -> Document:
    """UTF-8, UTF-16 if its first two bytes say so, or else Windows-1252, which old programs here write."""
    wide = data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
    for encoding in ("utf-16",) if wide else ("utf-8-sig", "windows-1252"):
        with suppress(UnicodeDecodeError):
            text = data.decode(encoding)
            break
    else:
        raise Problem("problem.upload_not_text")
    if BINARY.search(text):
        raise Problem("problem.upload_not_text")
    return Document(text, encoding.removesuffix("-sig"))


def read_csv(data: bytes) -> Document:
    """A table as lines "a, b, c", empty cells left out. Its first row stays: whether it is a heading is a guess.

    What is no proper table, such as a column of sentences with quotation marks here and there, stays as it is.
    """
    plain = read_plain(data)
    lines = list(io.StringIO(plain.text, newline=""))
    try:
        rows = list(csv.reader(lines, delimiter=_delimiter([line for line in lines if line.strip()][:50]), strict=True))
    except csv.Error:
        return plain
    cells = ([" ".join(cell.split()) for cell in row] for row in rows)
    return Document("\n".join(", ".join(filter(None, row)) for row in cells), plain.encoding)


def _delimiter(lines: list[str]) -> str:
    """What cuts most lines into equally many cells. (Python's `csv.Sniffer` can be kept busy by a forged file.)"""

    def regular(delimiter: str) -> float:
        widths = [len(row) for row in csv.reader(lines, delimiter=delimiter)]
        width, count = Counter(widths).most_common(1)[0]
        return count / len(widths) if width > 1 else 0.0

    best = max(DELIMITERS, key=regular) if lines else NO_DELIMITER
    return best if lines and regular(best) >= 0.8 else NO_DELIMITER


def read_pdf(data: bytes) -> Document:
    """The text layer of a PDF, page by page, words divided at a line's end joined again."""
    from pypdf import PdfReader  # only in the process that reads: it takes a while to load

    reader = PdfReader(io.BytesIO(data))
    if reader.is_encrypted:
        raise Problem("problem.upload_encrypted")
    pages: list[str] = []
    length = 0
    for page in reader.pages:
        pages.append(page.extract_text())
        length += len(pages[-1])
        if length > MOST_CHARACTERS:
            raise Problem("problem.upload_long", limit=MOST_CHARACTERS)
    text = "\n\n".join(pages)
    if not text.strip():
        raise Problem("problem.upload_pictures")
    return Document(re.sub(r"(?<=[^\W\d_])-\n([^\W\d_])", lambda m: m[1] if m[1].islower() else m[0], text))


def read_docx(data: bytes) -> Document:
    """The paragraphs and tables of a Word document in order, a table's row as "a, b, c"."""
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        entry = archive.getinfo("word/document.xml")
        if entry.file_size > MOST_XML:
            raise Problem("problem.upload_long", limit=MOST_CHARACTERS)
        with archive.open(entry) as xml:  # never gives more than the size just checked
            return Document(_WordText().read(xml))


class _WordText:
    """Collects the text while expat goes through the XML; a document type, where bombs of entities live, is refused."""

    def __init__(self) -> None:
        self.blocks: list[list[str]] = [[]]  # paragraphs of the document, and of each table cell that is open
        self.rows: list[list[str]] = []  # cells of each table row that is open
        self.paragraphs: list[list[str]] = []  # pieces of each paragraph that is open
        self.in_text = False
        self.skipped = 0  # how many alternatives for older programs are open, which say everything twice

    def read(self, xml: IO[bytes]) -> str:
        parser = expat.ParserCreate(namespace_separator=" ")
        parser.StartElementHandler = lambda name, attributes: self.start(name)
        parser.EndElementHandler = self.end
        parser.CharacterDataHandler = self.characters
        parser.StartDoctypeDeclHandler = self.refuse
        parser.ParseFile(xml)
        return "\n".join(self.blocks[0])

    def refuse(self, *declared: object) -> None:
        raise Problem("problem.upload_unreadable")

    def start(self, name: str) -> None:
        match _tag(name):
            case "Fallback":
                self.skipped += 1
            case _ if self.skipped:
                pass
            case "p":
                self.paragraphs.append([])
            case "tr":
                self.rows.append([])
            case "tc":
                self.blocks.append([])
            case "t":
                self.in_text = True
            case "tab" | "br" | "cr" as mark if self.paragraphs:
                self.paragraphs[-1].append("\t" if mark == "tab" else "\n")

    def end(self, name: str) -> None:
        match _tag(name):
            case "Fallback":
                self.skipped -= 1
            case _ if self.skipped:
                pass
            case "p":
                self.blocks[-1].append("".join(self.paragraphs.pop()).strip())
            case "tc":
                self.rows[-1].append(" ".join(" ".join(self.blocks.pop()).split()))
            case "tr":
                self.blocks[-1].append(", ".join(filter(None, self.rows.pop())))
            case "t":
                self.in_text = False

    def characters(self, text: str) -> None:
        if self.in_text and not self.skipped:
            self.paragraphs[-1].append(text)


def _tag(name: str) -> str:
    """ "http://.../wordprocessingml/2006/main p" -> "p"; "" for what is no part of the text."""
    space, _, tag = name.rpartition(" ")
    return tag if "wordprocessingml" in space or tag == "Fallback" else ""
