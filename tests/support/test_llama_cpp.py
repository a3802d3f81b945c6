"""The tests' way into llama.cpp: what it tells of a position, and how it fails."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from tests.export.test_export import TINYTOWN, leave
from tests.support.llama_cpp import LlamaCpp


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return next(leave(TINYTOWN, tmp_path_factory.mktemp("gguf") / "out", "gguf").glob("*.gguf"))


def test_probabilities_are_of_the_whole_vocabulary_and_greedy_takes_the_likeliest(file: Path) -> None:
    with LlamaCpp(file) as engine:
        ids = engine.tokenize("<|begin|><|user|> What is a llama?<|end|><|assistant|>", parse_special=True)
        everything = engine.log_probabilities(ids)
        assert everything.shape == (len(ids), engine.vocab_size)
        torch.testing.assert_close(everything.exp().sum(-1), torch.ones(len(ids)), atol=1e-3, rtol=0)
        few = engine.log_probabilities(ids, start=3, top=5)
        listed = ~few.isnan()
        assert listed.sum(-1).tolist() == [5] * (len(ids) - 3)
        torch.testing.assert_close(few[listed], everything[3:][listed], atol=0.03, rtol=0)  # read in other parts
        written = engine.greedy(ids, 40)
        assert written[0] == int(everything[-1].argmax())
        assert engine.end_of_text in written[:-1], "it goes on after the end of a text"
        assert engine.log_probabilities([*ids, *written], start=len(ids)).argmax(-1).tolist()[:-1] == written[1:]


def test_faults_are_told(file: Path, tmp_path: Path) -> None:
    (tmp_path / "cut.gguf").write_bytes(file.read_bytes()[:100_000])
    with pytest.raises(RuntimeError, match=r"does not open cut\.gguf"):
        LlamaCpp(tmp_path / "cut.gguf")
    with LlamaCpp(file, context=256) as engine:
        with pytest.raises(RuntimeError, match="exceeds the available context size"):
            engine.greedy([5] * 300, 1)
        process = engine.process
    assert process.returncode == 0
