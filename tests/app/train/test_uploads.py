"""Uploaded documents: what they say, in order and in full, and a sentence for what cannot or should not be read."""

from __future__ import annotations

import io
import os
import subprocess
import sys
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest
from pypdf import PdfReader, PdfWriter

from app.common.strings import Problem
from app.train import documents, uploads
from app.train.documents import MOST_CHARACTERS
from app.train.uploads import LARGEST_FILE, Upload, read_upload, tidy

ROOT = Path(__file__).resolve().parents[3]


def text_of(name: str, data: bytes) -> str:
    return read_upload(name, data).text


# --- Plain text ------------------------------------------------------------------------------------------------------

GREETING = "Grüße aus „Städtchen“ – 5 €\n"


@pytest.mark.parametrize("ending", [".txt", ".md", ".TXT"])
@pytest.mark.parametrize(
    ("stored", "encoding"),
    [
        ("utf-8", "utf-8"), ("utf-8-sig", "utf-8"), ("utf-16", "utf-16"), ("cp1252", "windows-1252"),
    ],
)  # fmt: skip
def test_letters(ending: str, stored: str, encoding: str) -> None:
    assert read_upload("Brief" + ending, GREETING.encode(stored)) == Upload("text", GREETING.strip(), encoding)


def test_letters_of_the_other_end() -> None:
    assert text_of("x.txt", b"\xfe\xff" + "Drachen 🪁".encode("utf-16-be")) == "Drachen 🪁"


@pytest.mark.parametrize(
    "data", [b"\x89PNG\r\n\x1a\n\0\0", bytes(range(256)), b"a\0b", b"\xff\xfea", b"\xff\xd8\xff\xe0\x10JFIF\x81"]
)
@pytest.mark.parametrize("name", ["x.txt", "x.csv", "x.jsonl"])
def test_what_is_no_text(name: str, data: bytes) -> None:
    with pytest.raises(Problem, match="does not hold plain text"):
        read_upload(name, data)


def test_tidy() -> None:
    assert tidy("\ufeff a\u00adb \r\n\r\n\r\r\nu\u0308ber \u2028 \ud800\x0c!\n") == "ab\n\nüber\n \ufffd\n!"
    assert tidy("a\n\nb\n\tc") == "a\n\nb\n\tc"
    assert tidy("ﬁndet Schiﬀe ½ Ⅳ") == "findet Schiffe ½ Ⅳ"


def test_chats_stay_as_they_are() -> None:
    lines = '{"messages": [{"role": "user", "content": "Hi\\n"}]}  \r\n\n\n\n{"x": 1}\n'
    assert read_upload("chats.jsonl", lines.encode()) == Upload("chat", lines, "utf-8")


@pytest.mark.parametrize("data", [b"", b" \n\t ", b"\xef\xbb\xbf"])
def test_nothing(data: bytes) -> None:
    for name in ("x.txt", "x.csv", "x.md", "x.jsonl"):
        with pytest.raises(Problem, match="no text"):
            read_upload(name, data)


@pytest.mark.parametrize("name", ["x.doc", "x.exe", "txt", "", ".", "x.txt.zip", "x.txt\0", "a/b.pdf/c"])
def test_other_kinds(name: str) -> None:
    with pytest.raises(Problem, match=r"only these: \.txt, \.md, \.jsonl, \.csv, \.pdf, \.docx"):
        read_upload(name, b"hello")


@pytest.mark.parametrize("ending", [".txt", ".csv", ".pdf", ".docx", ".jsonl"])
def test_too_large(ending: str) -> None:
    with pytest.raises(Problem, match="at most 5 MB"):
        read_upload("x" + ending, bytes(LARGEST_FILE + 1))


def test_too_long() -> None:
    assert len(text_of("x.txt", b"x" * MOST_CHARACTERS)) == MOST_CHARACTERS
    with pytest.raises(Problem, match="2000000 characters"):
        read_upload("x.txt", b"x" * (MOST_CHARACTERS + 1))


# --- Tables ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("table", "text"),
    [
        (
            "Name;Stadt;Größe\r\nTom;Ulm;1,50\r\nMia;Köln;1,45\r\n",
            "Name, Stadt, Größe\nTom, Ulm, 1,50\nMia, Köln, 1,45",
        ),
        ("a,b\n1,2\n", "a, b\n1, 2"),
        ("a\tb\tc\n1\t\t3\n", "a, b, c\n1, 3"),
        ('x;"he said ""hi""; twice\nor so"\ny;z\n', 'x, he said "hi"; twice or so\ny, z'),
        ("One, two.\nThree, four, and five.\nSix.\n", "One, two.\nThree, four, and five.\nSix."),
        ('"One, two."\n"Three ""four""."\n', 'One, two.\nThree "four".'),
        ('"Hello," said Tom.\n"Hi," said Mia, and left.\n', '"Hello," said Tom.\n"Hi," said Mia, and left.'),
        ('a;"b\nc;d\n', 'a;"b\nc;d'),
        ("\n\na|b\n\nc|d\n", "a, b\n\nc, d"),
        ("word\nanother\n", "word\nanother"),
        ("1,5;2,3\n2,5;3,5\n", "1,5, 2,3\n2,5, 3,5"),
        ("Er kam;sie ging.\nNichts.\nStille;Nacht.\nEnde.\n", "Er kam;sie ging.\nNichts.\nStille;Nacht.\nEnde."),
    ],
)
def test_tables(table: str, text: str) -> None:
    for encoding in ("utf-8", "cp1252"):
        assert text_of("x.csv", table.encode(encoding)) == text


def test_a_large_cell_is_no_table() -> None:
    cell = "x" * 200_000  # more than the csv module takes
    assert text_of("x.csv", f"a;b\nc;{cell}\n".encode()) == f"a;b\nc;{cell}"


# --- PDF -------------------------------------------------------------------------------------------------------------


def pdf(*streams: bytes, flate: bool = False) -> bytes:
    """A PDF of one page per stream of drawing operators, written by hand."""
    kids = b" ".join(b"%d 0 R" % (4 + 2 * number) for number in range(len(streams)))
    objects = [
        b"<< /Type /Catalog /Pages 2 0 R >>",
        b"<< /Type /Pages /Count %d /Kids [%s] >>" % (len(streams), kids),
        b"<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica /Encoding /WinAnsiEncoding >>",
    ]
    for number, stream in enumerate(streams):
        resources = b"/Resources << /Font << /F1 3 0 R >> >>"
        contents = b"/Contents %d 0 R" % (5 + 2 * number)
        objects.append(b"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 595 842] %s %s >>" % (resources, contents))
        data, how = (zlib.compress(stream, 9), b"/Filter /FlateDecode") if flate else (stream, b"")
        objects.append(b"<< /Length %d %s >>\nstream\n%s\nendstream" % (len(data), how, data))
    out, places = bytearray(b"%PDF-1.4\n"), []
    for number, one in enumerate(objects, 1):
        places.append(len(out))
        out += b"%d 0 obj\n%s\nendobj\n" % (number, one)
    table = b"".join(b"%010d 00000 n \n" % place for place in places)
    start, size = len(out), len(objects) + 1
    out += b"xref\n0 %d\n0000000000 65535 f \n%s" % (size, table)
    out += b"trailer\n<< /Size %d /Root 1 0 R >>\nstartxref\n%d\n%%%%EOF\n" % (size, start)
    return bytes(out)


def lines(*texts: str) -> bytes:
    shown = b" ".join(b"(%s) Tj T*" % text.encode("cp1252") for text in texts)
    return b"BT /F1 12 Tf 14 TL 50 800 Td %s ET" % shown


def locked(password: str) -> bytes:
    writer, out = PdfWriter(clone_from=PdfReader(io.BytesIO(pdf(lines("secret"))))), io.BytesIO()
    writer.encrypt(password, owner_password="another", algorithm="RC4-128")
    writer.write(out)
    return out.getvalue()


def test_pdf() -> None:
    data = pdf(
        lines("Grüße aus dem Städt-", "chen! Die Nord-", "Süd-Bahn und 3-", "4 Drachen, 2-", "fach."),
        lines("Seite zwei"),
    )
    text = "Grüße aus dem Städtchen! Die Nord-\nSüd-Bahn und 3-\n4 Drachen, 2-\nfach.\n\nSeite zwei"
    assert read_upload("Brief.PDF", data) == Upload("text", text, "")


@pytest.mark.parametrize(
    ("made", "says"),
    [
        (lambda: pdf(b"0 0 595 842 re f"), "holds pictures of pages"),
        (lambda: locked("kite"), "is locked"),
        (lambda: locked(""), "is locked"),
        (lambda: pdf(lines("cut short"))[:300], "is damaged"),
        (lambda: pdf(lines("cut at the end"))[:-40].replace(b"endobj", b""), "is damaged|pictures"),
        (lambda: b"%PDF-1.4\n" + b"<<" * 10**6, "is damaged"),
        (lambda: b"hello", "is damaged"),
        (lambda: b"", "is damaged"),
        (lambda: pdf(b" " * 300_000_000, flate=True), "is damaged"),  # 0.3 MB that would be 300
        (lambda: pdf(*[lines("x" * 5000)] * 401), "2000000 characters"),
    ],
)
def test_pdfs_that_are_not_read(made: Callable[[], bytes], says: str) -> None:
    with pytest.raises(Problem, match=says):
        read_upload("x.pdf", made())


def test_a_parse_without_end_is_ended() -> None:
    """This one keeps pypdf busy for many seconds."""
    data = pdf(b"BT /F1 12 Tf " + b"(a) Tj " * 10**6 + b"ET", flate=True)
    before = psutil.Process().children()
    with pytest.raises(Problem, match="longer than 1 seconds"):
        read_upload("x.pdf", data, seconds=1.0)
    assert psutil.Process().children() == before, "nobody is left"


# --- Word ------------------------------------------------------------------------------------------------------------

W = 'xmlns:w="http://schemas.openxmlformats.org/wordprocessingml/2006/main"'
MC = 'xmlns:mc="http://schemas.openxmlformats.org/markup-compatibility/2006"'


def docx(body: str, prolog: str = "", name: str = "word/document.xml") -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("[Content_Types].xml", "<Types/>")
        archive.writestr(name, f"{prolog}<w:document {W} {MC}><w:body>{body}</w:body></w:document>")
    return out.getvalue()


def p(*runs: str) -> str:
    return "<w:p>" + "".join(f"<w:r><w:t>{run}</w:t></w:r>" for run in runs) + "</w:p>"


def row(*cells: str) -> str:
    return "<w:tr>" + "".join(f"<w:tc>{cell}</w:tc>" for cell in cells) + "</w:tr>"


def test_docx() -> None:
    inner = f"<w:tbl>{row(p('1'), p('2'))}</w:tbl>"
    box = f"<mc:AlternateContent><mc:Choice>{p('box')}</mc:Choice><mc:Fallback>{p('box')}</mc:Fallback>"
    body = (
        p("Titel")
        + "<w:p><w:pPr><w:tabs><w:tab/></w:tabs></w:pPr><w:r><w:t>Es war </w:t><w:tab/><w:t>einmal</w:t></w:r></w:p>"
        + f"<w:tbl>{row(p('Name'), p('Größe') + p('in cm'))}{row(p('Tom'), p(), p('150'))}{row(p('x'), inner)}</w:tbl>"
        + "<w:p><w:r><w:t>ein &lt;Drache&gt;</w:t><w:br/><w:t>&#252;ber</w:t></w:r>"
        + "<w:del><w:r><w:delText>gone</w:delText></w:r></w:del><w:r><w:instrText>PAGE</w:instrText></w:r>"
        + "<x:t xmlns:x='urn:drawing'>drawn</x:t></w:p>"
        + f"<w:p>{box}</mc:AlternateContent><w:r><w:t>round it</w:t></w:r></w:p>"
        + p() + p("Ende")
    )  # fmt: skip
    expected = "Titel\nEs war \teinmal\nName, Größe in cm\nTom, 150\nx, 1, 2\nein <Drache>\nüber\nbox\nround it\n\nEnde"
    assert read_upload("Märchen.docx", docx(body)) == Upload("text", expected, "")


LAUGHS = "".join(f'<!ENTITY l{n} "{f"&l{n - 1};" * 10}">' for n in range(1, 10))
LAUGHS = f'<?xml version="1.0"?><!DOCTYPE w [<!ENTITY l0 "ha">{LAUGHS}]>'
OUTSIDE = '<!DOCTYPE w [<!ENTITY secret SYSTEM "file:///etc/hostname">]>'


def declared(size: int) -> bytes:
    """A bomb that says of itself that it is small."""
    whole = docx(p("x" * 50_000_000))
    real = zipfile.ZipFile(io.BytesIO(whole)).getinfo("word/document.xml").file_size
    return whole.replace(real.to_bytes(4, "little"), size.to_bytes(4, "little"))


@pytest.mark.parametrize(
    ("made", "says"),
    [
        (lambda: docx(p("x" * 50_000_000)), "2000000 characters"),  # 50 kB that would be 50 MB
        (lambda: declared(1000), "is damaged"),
        (lambda: docx(p("x" * 2_100_000)), "2000000 characters"),
        (lambda: docx(p("&l9;"), LAUGHS), "is damaged"),
        (lambda: docx(p("&secret;"), OUTSIDE), "is damaged"),
        (lambda: docx(p("hi"), "<!DOCTYPE w>"), "is damaged"),
        (lambda: docx(p("hi"))[:200], "is damaged"),
        (lambda: docx(p("hi"), name="word/other.xml"), "is damaged"),
        (lambda: docx("<w:t>astray</w:t>"), "is damaged"),
        (lambda: docx("<w:p>"), "is damaged"),
        (lambda: docx("<w:tc></w:tc>"), "is damaged"),
        (lambda: docx(""), "no text"),
        (lambda: b"\xd0\xcf\x11\xe0 as Word once wrote", "is damaged"),
    ],
)
def test_docx_that_are_not_read(made: Callable[[], bytes], says: str) -> None:
    with pytest.raises(Problem, match=says):
        read_upload("x.docx", made())


def test_long_documents_are_given_up_early(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(documents, "MOST_CHARACTERS", 5)
    monkeypatch.setattr(documents, "MOST_XML", 5)
    with pytest.raises(Problem, match="more text than is accepted"):
        documents.read_pdf(pdf(lines("longer"), b"broken").replace(b"broken", b"(((((("))
    with pytest.raises(Problem, match="more text than is accepted"):
        documents.read_docx(docx("<not even XML"))


def test_deep_xml_needs_no_stack() -> None:
    assert text_of("x.docx", docx("<w:x>" * 100_000 + p("deep") + "</w:x>" * 100_000)) == "deep"


# --- The process apart -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("program", "error"),
    [
        ("import socket; socket.socket()", "PermissionError"),
        ("import socket; socket.getaddrinfo('localhost', 80)", "PermissionError"),
        ("import subprocess; subprocess.run(['true'])", "PermissionError"),
        ("import os; os.system('true')", "PermissionError"),
        ("open('harm.txt', 'w')", "PermissionError"),
        ("import os; os.open('harm.txt', os.O_CREAT | os.O_RDWR)", "PermissionError"),
        ("import os; os.remove('keep.txt')", "PermissionError"),
        ("import os; os.rename('keep.txt', 'harm.txt')", "PermissionError"),
        ("x = bytearray(2**31)", "MemoryError"),
    ],
)
def test_confined(tmp_path: Path, program: str, error: str) -> None:
    if error == "MemoryError" and sys.platform != "linux":
        pytest.skip("only Linux limits a process's memory")
    (tmp_path / "keep.txt").write_text("kept")
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    confined = "from app.train import uploads; uploads.confine()"
    ran = subprocess.run(
        [sys.executable, "-B", "-c", f"{confined}; print('there', flush=True); {program}"],
        cwd=tmp_path, env=environment, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert ran.stdout == "there\n"
    assert ran.stderr.splitlines()[-1].startswith(error)
    assert [path.name for path in tmp_path.iterdir()] == ["keep.txt"]


def test_what_reads_apart_needs_no_model() -> None:
    """It starts once for every file, so it must start quickly: without torch, Gradio and the server."""
    program = "import sys, app.train.uploads, pypdf; print({'torch', 'gradio', 'fastapi'} & sys.modules.keys())"
    ran = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True)
    assert ran.stdout == "set()\n"


def test_pdf_and_word_are_never_read_in_the_server(monkeypatch: pytest.MonkeyPatch) -> None:
    def never(data: bytes) -> documents.Document:
        raise AssertionError("read in this process")

    for ending in uploads.APART:
        monkeypatch.setitem(uploads.APART, ending, never)
    assert text_of("x.pdf", pdf(lines("apart"))) == "apart"
    assert text_of("x.docx", docx(p("apart"))) == "apart"
