"""Beyond one process, for real: torchrun, two processes, gloo. They train as one does, and fall together."""

from __future__ import annotations

import os
import random
import shutil
import signal
import subprocess
import time
from pathlib import Path

import pytest

from litellama.checkpoint import open_checkpoint
from litellama.training.launch import ROOT, launch, launch_command
from litellama.training.parallel import ALONE
from litellama.training.state import states

pytestmark = pytest.mark.slow
WORDS = "the red kite flew over a quiet town while Mia and Tom looked for their small grey llama".split()


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("corpus") / "words.txt"
    rng = random.Random(0)
    lines = [" ".join(rng.choice(WORDS) for _ in range(12)) + "." for _ in range(600)]
    path.write_text("\n".join(lines), encoding="utf-8")
    return path


SETTINGS = (
    "--preset litellama-1m --rows-per-batch 4 --length 32 --save-every 2 --looks 1 --float32 --device cpu "
    "--learning-rate 3e-3 "
)


def train(out: Path, corpus: Path, options: str, processes: int = 1) -> list[float]:
    """The losses, after the process or the processes have ended well."""
    events = launch(out, corpus, SETTINGS + options, processes=processes)
    return [one["loss"] for one in events if one["news"] == "Stepped"]


@pytest.fixture(scope="module")
def alone(corpus: Path, tmp_path_factory: pytest.TempPathFactory) -> list[float]:
    return train(tmp_path_factory.mktemp("alone") / "one", corpus, "--steps 6")


@pytest.mark.parametrize("spread", ["ddp", "fsdp"])
@pytest.mark.fault(32)
def test_two_processes_train_as_one_does(spread: str, corpus: Path, alone: list[float], tmp_path: Path) -> None:
    """And a training that two began, one can end."""
    together = train(tmp_path / "two", corpus, f"--steps 6 --spread {spread}", processes=2)
    assert together == pytest.approx(alone, rel=2e-4)
    parts = list(states(tmp_path / "two-training")[0].glob("part-*.safetensors"))
    assert len(parts) == (2 if spread == "fsdp" else 1), "with fsdp each process saves its own rows"
    assert open_checkpoint(tmp_path / "two").verified
    assert go_back(tmp_path / "two") == 4
    ended = train(tmp_path / "two", corpus, "--steps 6 --resume")
    assert ended == pytest.approx(alone, rel=2e-4)


@pytest.mark.fault(32)
def test_what_one_process_began_two_can_end(corpus: Path, alone: list[float], tmp_path: Path) -> None:
    train(tmp_path / "one", corpus, "--steps 6")
    assert go_back(tmp_path / "one") == 4
    ended = train(tmp_path / "one", corpus, "--steps 6 --resume --spread fsdp", processes=2)
    assert ended == pytest.approx(alone, rel=2e-4)


def go_back(out: Path) -> int:
    """Take away the newest state, as if the training had been killed before it; gives the step that is left."""
    found = states(out.with_name(out.name + "-training"))
    shutil.rmtree(found[0])
    return int(found[1].name.removeprefix("state-"))


@pytest.mark.fault(31)
def test_one_killed_process_ends_them_all_with_an_error(corpus: Path, tmp_path: Path) -> None:
    out = tmp_path / "killed"
    launched = subprocess.Popen(
        launch_command(out, corpus, SETTINGS + "--steps 100000", processes=2), cwd=ROOT, stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL, env={**os.environ, "OMP_NUM_THREADS": "1"},
    )  # fmt: skip
    try:
        until = time.monotonic() + 120
        while not states(tmp_path / "killed-training"):
            assert launched.poll() is None
            assert time.monotonic() < until, "no state was saved"
            time.sleep(0.2)
        workers = children(launched.pid)
        assert len(workers) == 2
        os.kill(workers[1], signal.SIGKILL)
        assert launched.wait(timeout=120) != 0
        time.sleep(0.5)
        assert not any(Path(f"/proc/{worker}").exists() for worker in workers)
    finally:
        launched.kill()
    before = states(tmp_path / "killed-training")[0]
    step = int(before.name.removeprefix("state-"))
    assert len(train(out, corpus, f"--steps {step + 2} --resume")) >= 2


def children(pid: int) -> list[int]:
    """The processes that another one started."""
    text = Path(f"/proc/{pid}/task/{pid}/children")
    if not text.exists():
        pytest.skip("this machine does not say which process started which")
    return [int(child) for child in text.read_text().split()]


def test_a_training_that_cannot_begin_says_why(corpus: Path, tmp_path: Path) -> None:
    with pytest.raises(RuntimeError, match=r"ended with code 1: (.|\s)*no-such-preset"):
        launch(tmp_path / "none", corpus, "--preset no-such-preset --steps 1")
    with pytest.raises(ValueError, match="processes is 0"):
        launch_command(tmp_path / "none", corpus, "", processes=0)


def test_alone_nothing_is_asked_of_others() -> None:
    assert ALONE.is_first
    ALONE.wait()
    assert ALONE.gather({"a": 1}) == [{"a": 1}]
    assert ALONE.sum([1.0, 2.0]) == [1.0, 2.0]
