"""Files of any bytes, and sound ones with a few bytes changed: read, or refused in a sentence, and nothing is left."""

from __future__ import annotations

import io
import tempfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.common.strings import Problem
from app.train.uploads import APART, HARMLESS, read_upload
from litellama.checkpoint import CheckpointError, open_checkpoint
from litellama.checkpoint.archive import ArchiveError, pack, unpack
from tests.app.train.test_uploads import docx, lines, p, pdf
from tests.support.arbitrary import anything, bodies, examples, harmed, json_bytes, texts

SOUND = {
    ".txt": "Grüße aus dem Städtchen! 😀\r\n".encode() * 5, ".md": b"# Kites\n\nA kite is *red*.\n",
    ".csv": 'Name;Ort\n"Mia; Tom";"im ""Park"""\n'.encode("utf-16"), ".jsonl": b'{"messages": [{"role": "user"}]}\n',
    ".pdf": pdf(lines("A kite is red.")), ".docx": docx(p("A kite is red.")),
}  # fmt: skip


def check(name: str, data: bytes) -> None:
    try:
        upload = read_upload(name, data)
    except Problem as problem:
        said = str(problem)
    else:
        said = upload.text
        upload.text.encode()  # it can be written, and sent to the page
    assert said.strip()


def test_every_kind_of_document_is_among_those_tried() -> None:
    assert set(SOUND) == {*HARMLESS, *APART}


@given(name=texts, ending=st.sampled_from(sorted(HARMLESS)), data=bodies)
@examples(60)
def test_any_bytes_are_read_or_refused(name: str, ending: str, data: bytes) -> None:
    check(name, data)
    check(name + ending, data)


@pytest.mark.parametrize("ending", sorted(HARMLESS))
@given(data=st.data())
@examples(30)
def test_harmed_texts_are_read_or_refused(ending: str, data: st.DataObject) -> None:
    check(f"a{ending}", data.draw(harmed(SOUND[ending])))


@pytest.mark.parametrize("ending", sorted(APART))
@given(data=st.data())
@examples(2)
def test_harmed_documents_are_read_or_refused(ending: str, data: st.DataObject) -> None:
    """Each in a process of its own, which takes its time."""
    check(f"a{ending}", data.draw(st.one_of(harmed(SOUND[ending]), bodies)))


@given(data=st.data())
@examples(40)
def test_a_harmed_archive_leaves_nothing_behind(tiny_checkpoint: Path, data: st.DataObject) -> None:
    packed = io.BytesIO()
    pack(tiny_checkpoint, packed)
    sent = data.draw(st.one_of(harmed(packed.getvalue()), bodies))
    with tempfile.TemporaryDirectory() as folder:
        try:
            found = unpack(io.BytesIO(sent), folder)
            assert open_checkpoint(found).verified
        except (ArchiveError, CheckpointError):
            assert list(Path(folder).iterdir()) == []


@pytest.mark.parametrize("name", ["config.json", "tokenizer.json", "model.safetensors", "manifest.json", "card.json"])
@pytest.mark.parametrize("manifest", [True, False])
@given(data=st.data())
@examples(8)
def test_a_harmed_checkpoint_is_refused_in_a_sentence(
    tiny_checkpoint: Path, name: str, manifest: bool, data: st.DataObject
) -> None:
    """Or opened, where no manifest says what its bytes should be and they are as good."""
    sound = (tiny_checkpoint / name).read_bytes()
    sent = data.draw(st.one_of(harmed(sound), bodies, anything.map(json_bytes)))
    with tempfile.TemporaryDirectory() as folder:
        for path in tiny_checkpoint.iterdir():
            if manifest or path.name != "manifest.json" or name == path.name:
                (Path(folder) / path.name).write_bytes(sent if path.name == name else path.read_bytes())
        try:
            verified = open_checkpoint(folder).verified
        except (ValueError, OSError) as wrong:
            said, verified = str(wrong), False
        else:
            said = "opened"
        assert said
        assert not verified or sent == sound
