"""The doctor: it finds what is wrong, says what to do, and is content with a machine in order."""

from __future__ import annotations

import json
import shutil
import socket
from pathlib import Path

import pytest
from typer.testing import CliRunner

from litellama.cli import doctor
from litellama.cli.doctor import Finding, diagnose
from litellama.cli.main import app


@pytest.fixture
def models(tmp_path: Path, tiny_checkpoint: Path) -> Path:
    """A folder of checkpoints: one in order, one with a turned bit, one cut off, one without weights."""
    for name in ("whole", "turned", "cut", "empty"):
        shutil.copytree(tiny_checkpoint, tmp_path / name)
    weights = tmp_path / "turned" / "model.safetensors"
    content = bytearray(weights.read_bytes())
    content[-1] ^= 1
    weights.write_bytes(content)
    (tmp_path / "cut" / "config.json").write_text('{"vocab_size": ', encoding="utf-8")
    (tmp_path / "empty" / "model.safetensors").unlink()
    return tmp_path


def test_broken_checkpoints_are_named_and_whole_ones_counted(models: Path) -> None:
    found = {finding.about: finding for finding in diagnose(models)}
    assert [name for name, finding in found.items() if finding.state == "bad"] == [
        "Model cut", "Model empty", "Model turned",
    ]  # fmt: skip
    assert "model.safetensors" in found["Model turned"].found
    assert all(found[f"Model {name}"].advice for name in ("cut", "empty", "turned"))
    assert found["Models"].found.startswith("1 in ")


def test_no_model_at_all_is_bad(tmp_path: Path) -> None:
    (found,) = [finding for finding in diagnose(tmp_path / "nowhere") if finding.about == "Models"]
    assert found.state == "bad"
    assert "download" in found.advice


@pytest.mark.parametrize(
    ("finding", "state", "said"),
    [
        (doctor._python((3, 11, 0), 2**63 - 1), "good", ""),
        (doctor._python((3, 10, 4), 2**63 - 1), "bad", "3.11"),
        (doctor._python((3, 12, 0), 2**31 - 1), "bad", "64-bit"),
        (doctor._torch("2.13.0+cpu"), "good", ""),
        (doctor._torch("2.9.1"), "note", "not safe"),
        (doctor._processor("AVX2", False), "good", ""),
        (doctor._processor("DEFAULT", False), "note", "slow"),
        (doctor._gpu(False, None, None), "good", ""),
        (doctor._gpu(False, None, "/usr/bin/nvidia-smi"), "note", "delete .venv"),
        (doctor._gpu(False, "13.0", "/usr/bin/nvidia-smi"), "note", "driver"),
        (doctor._memory(100_000_000), "bad", "half a GB"),
        (doctor._memory(2_000_000_000), "good", ""),
        (doctor._memory(None), "note", ""),
        (doctor._disk(Path("checkpoints"), 10**9), "note", "may fail"),
        (doctor._disk(Path("checkpoints"), 10**11), "good", ""),
        (doctor._part("App", "no-such-package", "./run app"), "note", "./run app"),
    ],
)
def test_each_thing_is_judged(finding: Finding, state: str, said: str) -> None:
    assert finding.state == state
    assert said in finding.advice


def test_memory_says_what_fits() -> None:
    assert "litellama-460m in 16 bits" in doctor._memory(2_000_000_000).found


def test_a_port_in_use_is_seen() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        assert doctor._port(taken.getsockname()[1]).state == "note"


def test_the_command_prints_json_and_fails_where_something_is_bad(
    models: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(doctor, "checkpoints_folder", lambda: models)
    result = CliRunner().invoke(app, ["doctor", "--json"])
    assert result.exit_code == 1
    assert {finding["about"] for finding in json.loads(result.stdout)} >= {"Python", "Model turned", "Port"}
    for name in ("turned", "cut", "empty"):
        shutil.rmtree(models / name)
    result = CliRunner().invoke(app, ["doctor"])
    assert result.exit_code == 0, result.output
    assert "✓ Models: 1 in" in result.output
