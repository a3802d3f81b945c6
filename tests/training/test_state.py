"""Nothing lost: killed, a full disk, a damaged file; a state that loads is always there."""

from __future__ import annotations

import json
import logging
import multiprocessing
import os
import random
import signal
import time
from pathlib import Path

import pytest
import torch
from torch import nn

from litellama.model import LiteLlama
from litellama.training.optimizers import make_optimizers
from litellama.training.recipe import Recipe
from litellama.training.state import PROGRESS, StateError, load_state, save_state, states
from tests.conftest import TINY

resource = pytest.importorskip("resource")  # Windows has neither it nor SIGKILL
KILLS = 100


def trained(step: int) -> tuple[LiteLlama, list[torch.optim.Optimizer]]:
    """A model all of whose weights, and an optimizer all of whose moments, say which step they are of."""
    model = LiteLlama(TINY)
    optimizers = make_optimizers(model, Recipe(steps=1, optimizer="muon"))
    for optimizer in optimizers:
        for group in optimizer.param_groups:
            for parameter in group["params"]:
                nn.init.constant_(parameter, step)
                optimizer.state[parameter] = {"exp_avg": torch.full_like(parameter, -step), "step": torch.tensor(step)}
    return model, optimizers


def check_is_whole(folder: Path) -> int:
    """Load the newest state; everything in it must be of one step, which is returned."""
    model, optimizers = trained(0)
    step = load_state(folder, model, optimizers)["step"]
    for optimizer in optimizers:
        for parameter, moments in optimizer.state.items():
            assert (parameter == step).all()
            assert (moments["exp_avg"] == -step).all()
            assert moments["step"] == step
    return int(step)


def save(folder: Path, step: int) -> None:
    save_state(folder, *trained(step), {"step": step})


def save_for_ever(folder: str, first: int) -> None:
    torch.set_num_threads(1)
    for step in range(first, first + 10_000):
        save(Path(folder), step)


@pytest.mark.slow
@pytest.mark.fault(27)
def test_killed_at_any_moment_a_whole_state_is_left(tmp_path: Path) -> None:
    """SIGKILL at 100 random moments of saving; what is left goes on from where it was, never further back."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["pytest", "litellama.training.optimizers", "litellama.training.state"])
    save(tmp_path, 1)
    step, rng = 1, random.Random(0)
    unfinished = 0
    for _ in range(KILLS):
        process = context.Process(target=save_for_ever, args=(str(tmp_path), step + 1))
        process.start()
        while not any(path.name > f"state-{step:08}" for path in tmp_path.glob("state-*")):
            time.sleep(0.001)
        time.sleep(rng.random() * 0.05)
        assert process.pid is not None
        os.kill(process.pid, signal.SIGKILL)
        process.join()
        unfinished += any(tmp_path.glob(".state-*"))
        found = check_is_whole(tmp_path)
        assert found > step
        step = found
    assert unfinished > KILLS // 4, "the kills must come while a state is written"
    assert len(states(tmp_path)) <= 3  # two, and one that the killed process had no time to remove


def test_two_states_are_kept(tmp_path: Path) -> None:
    for step in (1, 2, 3, 10):
        save(tmp_path, step)
    assert [path.name for path in sorted(tmp_path.iterdir())] == ["state-00000003", "state-00000010"]


@pytest.mark.fault(27)
def test_a_damaged_state_gives_way_to_the_one_before(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    save(tmp_path, 1)
    save(tmp_path, 2)
    part = tmp_path / "state-00000002" / "part-0.safetensors"
    data = bytearray(part.read_bytes())
    data[-3] ^= 1  # one flipped bit
    part.write_bytes(data)
    with caplog.at_level(logging.WARNING):
        assert check_is_whole(tmp_path) == 1
    assert "damaged" in caplog.text
    (tmp_path / "state-00000001" / PROGRESS).write_text("{", encoding="utf-8")
    with pytest.raises(StateError, match="every state in"):
        check_is_whole(tmp_path)


def test_a_part_that_is_missing_is_damage(tmp_path: Path) -> None:
    save(tmp_path, 1)
    save(tmp_path, 2)
    (tmp_path / "state-00000002" / "part-0.safetensors").unlink()
    assert check_is_whole(tmp_path) == 1


@pytest.mark.fault(28)
def test_a_full_disk_leaves_the_state_before(tmp_path: Path) -> None:
    """A real limit on the size of files, as a full disk or a quota would set one."""
    save(tmp_path, 1)
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4096, before[1]))
    try:
        with pytest.raises(OSError, match=r"the state of step 1 is intact.*--resume"):
            save(tmp_path, 2)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, handler)
    assert check_is_whole(tmp_path) == 1
    assert [path.name for path in tmp_path.iterdir()] == ["state-00000001"]
    save(tmp_path, 2)
    assert check_is_whole(tmp_path) == 2


def test_states_hold_no_pickle(tmp_path: Path) -> None:
    save(tmp_path, 1)
    names = sorted(path.name for path in (tmp_path / "state-00000001").iterdir())
    assert names == ["part-0.safetensors", PROGRESS]
    assert json.loads((tmp_path / "state-00000001" / PROGRESS).read_text())["progress"] == {"step": 1}


def test_frozen_weights_are_not_saved(tmp_path: Path) -> None:
    model, optimizers = trained(1)
    for name, parameter in model.named_parameters():
        parameter.requires_grad_("layers.0" in name)
    save_state(tmp_path, model, optimizers, {"step": 1})
    fresh, moments = trained(5)
    for name, parameter in fresh.named_parameters():
        parameter.requires_grad_("layers.0" in name)
    load_state(tmp_path, fresh, moments)
    for name, parameter in fresh.named_parameters():
        assert (parameter == (1 if "layers.0" in name else 5)).all(), name
