"""`python -m litellama compare`: what it prints is what was computed, and what was measured, and says which."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from litellama.__main__ import main
from litellama.cli.compare import MODELS, row
from litellama.config import preset
from litellama.footprint.bench import Cost
from litellama.footprint.measurements import ModelCosts, Record, load_record, save_record, shipped_records
from litellama.footprint.meter import Energy

Compare = Callable[..., tuple[int, str, str]]
COSTS = ModelCosts(Cost(0.5, 0.01, Energy(20.0, 10.0, 40.0, "RAPL", True), 4), Cost(2.0, 0.02, None, 4), error=0.03)
RECORD = Record("a machine", "2026-11-23", "2.13.0", "bfloat16", 256, 128, {"llama2-7b": COSTS})


@pytest.fixture
def compare(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Compare:
    """Run the command in a folder of its own: exit status, stdout and stderr."""
    monkeypatch.chdir(tmp_path)

    def run(*arguments: str) -> tuple[int, str, str]:
        with pytest.raises(SystemExit) as end:
            main(("compare", *arguments))
        captured = capsys.readouterr()
        code = end.value.code  # a text, which Python prints to stderr when it ends by it, means status 1
        return (1, captured.out, code) if isinstance(code, str) else (int(code or 0), captured.out, captured.err)

    return run


def test_figures_are_traceable() -> None:
    found = row("llama2-7b", preset("llama2-7b"), RECORD)
    assert found["parameters"] == 6_738_415_616
    assert found["kv_bytes_per_token"] == 524_288
    assert found["kv_bytes_per_token_without_sharing"] == found["kv_bytes_per_token"], "7B shares no heads"
    assert found["tokens_per_second"]["decode"] == 2.0
    assert found["tokens_per_second"]["prefill"] == 64.0
    assert found["joules_per_token"]["value"] == 20.0
    for measured in (found["tokens_per_second"], found["joules_per_token"]):
        assert measured["label"] == "measured"
        assert measured["machine"] == "a machine"
        assert measured["method"]
        assert measured["batch"] == 1


def test_the_bound_is_given_for_each_device_that_holds_it() -> None:
    bounds = row("llama2-7b", preset("llama2-7b"), None)["tokens_per_second_bound"]
    assert bounds["NVIDIA H100"] == pytest.approx(3350e9 / (13.476e9 - 2 * 32_000 * 4096 + 256 * 524_288), rel=1e-3)
    assert "Raspberry Pi 5, 4 GB" not in bounds
    assert "Raspberry Pi 5, 4 GB" in row("litellama-460m", preset("litellama-460m"), None)["tokens_per_second_bound"]


def test_what_was_not_measured_is_none() -> None:
    for record in (None, RECORD):
        found = row("llama2-13b", preset("llama2-13b"), record)
        assert found["joules_per_token"] is None
        assert found["tokens_per_second"] is None
    without = replace(RECORD, models={"llama2-7b": replace(COSTS, decode=replace(COSTS.decode, energy=None))})
    found = row("llama2-7b", preset("llama2-7b"), without)
    assert found["joules_per_token"] is None
    assert found["tokens_per_second"]["decode"] == 2.0


def test_a_record_survives_its_file(tmp_path: Path) -> None:
    save_record(RECORD, tmp_path / "deep" / "record.json")
    assert load_record(tmp_path / "deep" / "record.json") == RECORD
    for broken in ("", "{}", "[]", '{"models": {"x": {}}}', '{"models": 3}'):
        (tmp_path / "broken.json").write_text(broken)
        with pytest.raises(ValueError, match="holds no measurement"):
            load_record(tmp_path / "broken.json")
    for record in shipped_records():
        assert record.machine


def test_the_command_prints_one_document(compare: Compare) -> None:
    status, out, _ = compare("--json")
    assert status == 0
    assert [one["name"] for one in json.loads(out)["models"]] == list(MODELS)
    _, table, _ = compare()
    assert "llama2-70b" in table
    assert "computed from the shape" in " ".join(table.split())


def test_the_command_measures_and_remembers(compare: Compare) -> None:
    status, out, err = compare("--models", "litellama-1m", "--measure", "--seconds", "0.05", "--json")
    assert status == 0, err
    (now,) = json.loads(out)["models"]
    assert now["tokens_per_second"]["decode"] > 0
    assert now["joules_per_token"]["low"] < now["joules_per_token"]["value"] < now["joules_per_token"]["high"]
    (again,) = json.loads(compare("--models", "litellama-1m", "--json")[1])["models"]
    assert again == now
    (other,) = json.loads(compare("--models", "litellama-5m", "--json")[1])["models"]
    assert other["tokens_per_second"] is None


@pytest.mark.parametrize(
    ("arguments", "says"),
    [(["--models", "llama3"], "no preset called 'llama3'"), (["--models", ","], "no model was named"),
     (["--measure", "--precision", "int3"], "no precision called 'int3'"),
     (["--measure", "--seconds", "0"], "seconds is 0")],
)  # fmt: skip
def test_bad_requests_are_sentences(compare: Compare, arguments: list[str], says: str) -> None:
    status, _, err = compare(*arguments)
    assert status == 1
    assert says in err
    assert "Traceback" not in err
