"""A hostile or damaged model among those that can be chosen: the page says so in a sentence, the others answer on."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from app.server.services import Services
from litellama.checkpoint import open_checkpoint
from tests.support.serving import QUIET, Served, asking, served

pytestmark = QUIET
WEIGHTS = "model.safetensors"


def cut_short(folder: Path) -> None:
    (folder / WEIGHTS).write_bytes((folder / WEIGHTS).read_bytes()[:-100])


def a_pickle(folder: Path) -> None:
    (folder / WEIGHTS).write_bytes(b"\x80\x04K\x01.")


def one_bit(folder: Path) -> None:
    content = bytearray((folder / WEIGHTS).read_bytes())
    content[-1] ^= 1
    (folder / WEIGHTS).write_bytes(content)


def no_tail(folder: Path) -> None:
    content = (folder / WEIGHTS).read_bytes()
    (folder / WEIGHTS).write_bytes(content[:-1000] + bytes(1000))


def no_numbers(folder: Path) -> None:
    (folder / "manifest.json").unlink()
    weights = load_file(folder / WEIGHTS)
    weights["model.norm.weight"][0] = torch.nan
    save_file(weights, folder / WEIGHTS)


def another_shape(folder: Path) -> None:
    (folder / "manifest.json").unlink()
    config = folder / "config.json"
    config.write_text(config.read_text().replace('"intermediate_size": 64', '"intermediate_size": 65'))


def a_huge_tokenizer(folder: Path) -> None:
    (folder / "manifest.json").unlink()
    with open(folder / "tokenizer.json", "r+b") as file:
        file.truncate(2**27)


@pytest.fixture
def lab(tiny_checkpoint: Path, tmp_path: Path) -> Iterator[Served]:
    for name in ("good", "bad"):
        shutil.copytree(tiny_checkpoint, tmp_path / name)
    with served(Services(open_checkpoint(tmp_path / "good"), tmp_path)) as lab:
        yield lab


@pytest.mark.parametrize(
    ("damage", "why"),
    [
        pytest.param(cut_short, "SHA-256", marks=pytest.mark.fault(23)),
        pytest.param(a_pickle, "SHA-256", marks=pytest.mark.fault(23)),
        pytest.param(one_bit, "SHA-256", marks=pytest.mark.fault(24)),
        pytest.param(no_tail, "SHA-256", marks=pytest.mark.fault(24)),
        pytest.param(no_numbers, "not finite", marks=pytest.mark.fault(25)),
        pytest.param(another_shape, "config asks for", marks=pytest.mark.fault(25)),
        pytest.param(a_huge_tokenizer, "at most", marks=pytest.mark.fault(25)),
    ],
)
def test_a_damaged_model_is_a_sentence_and_the_others_answer(
    lab: Served, tmp_path: Path, damage: Callable[[Path], None], why: str, caplog: pytest.LogCaptureFixture
) -> None:
    damage(tmp_path / "bad")
    before = {path.name: path.read_bytes()[: 10**6] for path in (tmp_path / "bad").iterdir()}
    page, other = lab.page(), lab.page()
    alone = other.call("ask", asking("Where is the kite?"))["tokens"]
    other.call("clear", {"request": "2"})
    event = other.join("ask", asking("Where is the kite?")).json()["event_id"]
    answer = page.call("ask", asking("Hello?") | {"model": "bad"})
    *_, meanwhile = other.listen(event)
    assert answer["problem"]["key"] == "problem.model_broken"
    assert why in caplog.text, "the log says what is wrong with it"
    assert meanwhile["tokens"] == alone
    assert page.call("ask", asking("Hello?") | {"model": "good"})["state"] in ("done", "length")
    assert {path.name: path.read_bytes()[: 10**6] for path in (tmp_path / "bad").iterdir()} == before
