"""Sweeps: a real one, tiny; what is done is not done again; what was stopped goes on to the same losses; the words."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest
import torch

from litellama import plots
from litellama.__main__ import main
from litellama.checkpoint import open_checkpoint
from litellama.cli import sweep as sweep_command
from litellama.cli.sweep import count
from litellama.config import LITELLAMA_460M, LLAMA2_7B, ModelConfig, preset
from litellama.footprint.facts import fact
from litellama.footprint.machine import Peak
from litellama.scaling.extrapolation import findings
from litellama.scaling.law import CHINCHILLA
from litellama.scaling.planning import ARITHMETIC
from litellama.scaling.sweep import (
    SweepEstimate,
    SweepEvent,
    SweepRecipe,
    SweepResult,
    SweepRunStarted,
    read_settings,
    sweep,
    sweep_results,
)
from litellama.training import run as run_module
from litellama.training.control import Control
from litellama.training.events import Stepped, TrainingEnded, TrainingStarted
from litellama.training.state import states
from tests.conftest import TINY

LADDER = ("litellama-300k", "litellama-1m", "litellama-2m", "litellama-5m")
NASTY = '<img src=x onerror="alert(1)">'


def wider(width: int) -> ModelConfig:
    return replace(TINY, vocab_size=300 + width, hidden_size=width, intermediate_size=2 * width)


SIZES = {"small": wider(16), "middle": wider(24), "large": wider(48)}
BUDGETS = (2 * 128, 4 * 128, 12 * 128)  # of steps of 4 rows of 32


@pytest.fixture(autouse=True, scope="module")
def quick_peak() -> Iterator[None]:
    """How fast this machine is at best is not asked about here, and takes longer than these trainings."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(run_module, "peak", lambda device, bfloat16: Peak(1e12, "not measured"))
        yield


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    chance = random.Random(0)
    syllables = "ka lo mi re tu san den por vel gri".split()
    people, things = (["".join(chance.choices(syllables, k=2)) for _ in range(12)] for _ in range(2))
    lines = (f"{chance.choice(people)} gave {chance.choice(people)} a {chance.choice(things)}." for _ in range(3000))
    path = tmp_path_factory.mktemp("corpus") / "gifts.txt"
    path.write_text("\n".join(lines), encoding="utf-8", newline="\n")
    return path


@pytest.fixture(scope="module")
def order(tmp_path_factory: pytest.TempPathFactory, corpus: Path) -> SweepRecipe:
    out = tmp_path_factory.mktemp("sweep") / "all"
    return SweepRecipe(out=out, corpus=str(corpus), sizes=SIZES, budgets=BUDGETS, rows=4, length=32, learning_rate=5e-3)


@pytest.fixture(scope="module")
def told(order: SweepRecipe) -> list[SweepEvent]:
    """All events of one whole sweep."""
    return list(sweep(order))


def of(told: list[SweepEvent], kind: Any) -> list[Any]:
    return [event for event in told if isinstance(event, kind)]


# --- A sweep ---------------------------------------------------------------------------------------------------------


def test_every_size_is_trained_on_every_budget(told: list[SweepEvent], order: SweepRecipe) -> None:
    runs = sweep_results(order.out)
    assert runs == of(told, SweepResult)
    assert {(run.size, run.budget) for run in runs} == {(size, budget) for size in SIZES for budget in BUDGETS}
    assert all(run.tokens == run.budget == 128 * run.steps for run in runs)
    assert [event.number for event in of(told, SweepRunStarted)] == list(range(1, 10))
    (before,) = of(told, SweepEstimate)
    assert (before.runs, before.tokens) == (9, 3 * sum(BUDGETS))
    assert before.seconds > 0
    assert told.index(before) < told.index(of(told, TrainingStarted)[0])


def test_one_vocabulary_for_all_the_smallest(told: list[SweepEvent], order: SweepRecipe) -> None:
    vocabulary = read_settings(order.out)["vocabulary"]
    assert vocabulary == 316
    stored = {}
    for run in sweep_results(order.out):
        opened = open_checkpoint(order.out / "runs" / f"{run.size}-{run.budget}")
        stored[opened.tokenizer.sha256] = opened.config.vocab_size
        assert run.parameters == opened.config.num_parameters, "embedding and head are counted"
        assert opened.config.num_parameters == replace(SIZES[run.size], vocab_size=vocabulary).num_parameters
    assert list(stored.values()) == [vocabulary]


def test_each_budget_is_a_run_with_a_schedule_of_its_own(told: list[SweepEvent]) -> None:
    """Its learning rate has come down at its own end."""
    starts = [place for place, event in enumerate(told) if isinstance(event, TrainingStarted)]
    for start, end in zip(starts, [*starts[1:], len(told)], strict=True):
        steps = of(told[start:end], Stepped)
        assert steps[0].metrics.step == 1
        if len(steps) > 2:
            assert steps[-1].metrics.learning_rate < 0.4 * 5e-3


def test_the_loss_is_the_held_out_one(told: list[SweepEvent], order: SweepRecipe) -> None:
    for ended, run in zip(of(told, TrainingEnded), of(told, SweepResult), strict=True):
        assert run.loss == ended.figures["loss"]
    losses = {(run.size, run.budget): run.loss for run in sweep_results(order.out)}
    assert losses["large", BUDGETS[-1]] < losses["large", BUDGETS[0]], "it learned"


def test_what_is_of_no_more_use_is_removed(told: list[SweepEvent], order: SweepRecipe) -> None:
    folders = list((order.out / "runs").glob("*-training"))
    assert len(folders) == 9
    assert [states(folder) for folder in folders] == [[]] * 9
    assert list((order.out / "runs").rglob("corpus")) == [], "all read the same shards"


def test_what_is_done_is_not_done_again(told: list[SweepEvent], order: SweepRecipe) -> None:
    assert list(sweep(replace(order, resume=True))) == []
    more = list(sweep(replace(order, resume=True, sizes={"small": SIZES["small"]}, budgets=(BUDGETS[0], 3 * 128))))
    assert [(run.size, run.budget) for run in of(more, SweepResult)] == [("small", 3 * 128)]
    assert len(sweep_results(order.out)) == 10
    lines = (order.out / "sweep.jsonl").read_text(encoding="utf-8").splitlines(keepends=True)
    (order.out / "sweep.jsonl").write_text("".join(lines[:9]), encoding="utf-8", newline="\n")


def test_threads_are_as_before(corpus: Path, tmp_path: Path) -> None:
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        stream = sweep(
            SweepRecipe(out=tmp_path / "a", corpus=str(corpus), sizes=SIZES, budgets=BUDGETS, rows=4, length=32)
        )
        for event in stream:
            if isinstance(event, SweepRunStarted) and event.number == 2:
                break
        stream.close()
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)


# --- Stopped, killed, refused ----------------------------------------------------------------------------------------


def test_a_stopped_sweep_goes_on_to_the_same_losses(told: list[SweepEvent], order: SweepRecipe, tmp_path: Path) -> None:
    """Stopped within its second run, then cut off as a kill would do it, in its third: behind its last step."""
    first, control = replace(order, out=tmp_path / "again", budgets=BUDGETS[1:2]), Control()
    seen: list[SweepEvent] = []
    for event in sweep(first, control):
        seen.append(event)
        if len(of(seen, SweepResult)) == 1 and isinstance(event, Stepped) and event.metrics.step == 2:
            control.command("stop")
    assert of(seen, TrainingEnded)[-1].checkpoint is None
    assert len(sweep_results(first.out)) == 1

    resumed = replace(first, resume=True)
    seen = []
    stream = sweep(resumed)
    for event in stream:
        seen.append(event)
        if len(of(seen, SweepResult)) == 1 and isinstance(event, TrainingEnded):
            break
    stream.close()
    assert [event.metrics.step for event in of(seen, Stepped)][:2] == [3, 4], "it went on behind the second step"
    assert len(sweep_results(first.out)) == 2, "the third has its checkpoint, but no line yet"

    seen = list(sweep(resumed))
    assert of(seen, Stepped) == []
    found = {run.size: (run.tokens, run.loss) for run in sweep_results(first.out)}
    whole = {run.size: (run.tokens, run.loss) for run in sweep_results(order.out) if run.budget == BUDGETS[1]}
    assert found == whole


def test_a_run_cut_off_before_its_first_save_begins_anew(order: SweepRecipe, tmp_path: Path) -> None:
    tiny = replace(order, out=tmp_path / "a", sizes={"small": SIZES["small"]}, budgets=BUDGETS[:1])
    folder = tiny.out / "runs" / f"small-{BUDGETS[0]}-training"
    folder.mkdir(parents=True)
    (folder / "metrics.jsonl").write_text(
        '{"news": "Stepped", "step": 1, "loss": 99.0, "of": "the cut-off run"}\n', "utf-8"
    )
    list(sweep(tiny))
    assert "the cut-off run" not in (folder / "metrics.jsonl").read_text(encoding="utf-8")


def test_other_settings_are_refused(told: list[SweepEvent], order: SweepRecipe, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="holds a sweep already; go on with it by --resume"):
        next(sweep(order))
    with pytest.raises(ValueError, match="has seed 0, and 1 is asked for"):
        next(sweep(replace(order, resume=True, seed=1)))
    with pytest.raises(ValueError, match="there is no sweep in"):
        next(sweep(replace(order, out=tmp_path, resume=True)))


def test_a_corpus_too_small_to_judge_by_is_refused_before_any_training(order: SweepRecipe, tmp_path: Path) -> None:
    (tmp_path / "short.txt").write_text("Tom gave Mia a kite. " * 9, encoding="utf-8")
    stream = sweep(replace(order, out=tmp_path / "out", corpus=str(tmp_path / "short.txt")))
    with pytest.raises(ValueError, match="too few to hold any out"):
        list(stream)
    assert not (tmp_path / "out" / "sweep.json").exists()


@pytest.mark.parametrize("wrong", [{"budgets": ()}, {"sizes": {}}, {"budgets": (0, 5)}, {"budgets": (5, 5)}])
def test_bad_orders_are_refused(order: SweepRecipe, wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"(were|was) expected"):
        replace(order, **wrong)


# --- What is made of the runs ----------------------------------------------------------------------------------------


def world(
    sizes: tuple[str, ...] = LADDER, budgets: tuple[int, ...] = (500_000, 1_000_000, 2_000_000)
) -> list[SweepResult]:
    """Runs of presets in a world in which Chinchilla's law holds exactly, with a vocabulary of 1,024."""
    runs = []
    for size in sizes:
        parameters = replace(preset(size), vocab_size=1024).num_parameters
        runs += [SweepResult(size, parameters, b, b // 2048, b, CHINCHILLA.loss(parameters, b), 0.1) for b in budgets]
    return runs


def settings(**changes: Any) -> dict[str, Any]:
    same = {"corpus": "gifts.txt", "seed": 0, "rows": 8, "length": None, "limit": None, "learning_rate": 1e-3}
    return {**same, "vocabulary": 1024, "epoch_tokens": 10**9, "tokens_per_step": 2048.0, **changes}


def test_findings_of_a_world_where_the_law_holds() -> None:
    document = findings(settings(), world())
    lite, claimed, llama = document["extrapolated"]
    assert (lite["parameters"], llama["parameters"]) == (LITELLAMA_460M.num_parameters, LLAMA2_7B.num_parameters)
    assert (lite["tokens"], llama["tokens"]) == (fact(ARITHMETIC).value, 2e12)
    assert claimed["tokens"] == pytest.approx(10 * lite["tokens"], rel=0.01), "both readings of the card"
    for one in (lite, claimed, llama):
        assert one["label"] == "extrapolated"
        assert one["loss"] == pytest.approx(CHINCHILLA.loss(one["parameters"], one["tokens"]), rel=0.01)
        assert one["low"] <= one["loss"] <= one["high"]
    assert {run["label"] for run in document["runs"]} == {"measured"}
    assert document["law"]["label"] == "fitted"
    best = document["best"]
    assert 6 * best["parameters"] * best["tokens"] == pytest.approx(best["flops"])
    assert best["tokens"] > 2_000_000, "more than any run read"
    assert best["label"] == "extrapolated"
    longer = findings(settings(), world(budgets=(500_000, 2_000_000, 8_000_000, 64_000_000)))["best"]
    assert longer["tokens"] < 64_000_000
    assert longer["label"] == "fitted"


def test_the_words_say_how_far_it_can_be_trusted() -> None:
    said = "\n".join(findings(settings(), world())["caveats"])
    largest = replace(preset("litellama-5m"), vocab_size=1024).num_parameters
    assert f": {float(f'{LITELLAMA_460M.num_parameters / largest:.2g}'):,.0f} times beyond in parameters" in said
    assert "two standard errors" in said
    assert "no loss that they reported can be compared" in said
    assert "Muennighoff" not in said
    assert "do not tell" not in said
    assert "TinyTown" not in said
    repeated = "\n".join(findings(settings(epoch_tokens=500_000), world())["caveats"])
    assert "read it 4.0 times" in repeated
    assert "TinyTown" in "\n".join(findings(settings(corpus="tinytown", epoch_tokens=None), world())["caveats"])
    chance = random.Random(0)
    noisy = [replace(run, loss=run.loss * (1 + chance.gauss(0, 0.02))) for run in world()]
    assert "do not tell" in "\n".join(findings(settings(), noisy)["caveats"])
    floorless = [replace(run, loss=CHINCHILLA.loss(run.parameters, run.tokens) - 1.69) for run in world()]
    assert "no floor E above zero" in "\n".join(findings(settings(), floorless)["caveats"])


def test_the_picture_shows_what_was_measured_and_what_was_not() -> None:
    document = findings(settings(), world())
    figure = plots.scaling_law(document["runs"], document["law"], document["extrapolated"], title=NASTY)
    dots = [trace for trace in figure.data if trace.mode == "markers"]
    lines = [trace for trace in figure.data if trace.mode == "lines"]
    measured_dots = [trace for trace in dots if trace.name.endswith("measured")]
    hollow = [trace for trace in dots if trace.name.endswith("extrapolated")]
    assert sorted(y for trace in measured_dots for y in trace.y) == sorted(run["loss"] for run in document["runs"])
    assert len(measured_dots) == len(hollow) == 3
    for trace, one in zip(hollow, document["extrapolated"], strict=True):
        assert trace.marker.symbol.endswith("-open")
        assert trace.y[0] + trace.error_y.array[0] == pytest.approx(one["high"])
        assert trace.y[0] - trace.error_y.arrayminus[0] == pytest.approx(one["low"])
    assert all(not trace.marker.symbol.endswith("-open") for trace in measured_dots)
    budget = min(run["budget"] for run in document["runs"])
    (curve,) = [trace for trace in lines if trace.name == f"{budget:,} tokens, fitted"]
    assert list(curve.y) == pytest.approx([CHINCHILLA.loss(size, budget) for size in curve.x], rel=0.01)
    assert {trace.line.dash for trace in lines if trace.name.endswith("extrapolated")} == {"dot"}
    assert figure.layout.xaxis.type == figure.layout.yaxis.type == "log"
    assert "<img" not in figure.to_json().replace("\\u003c", "<")


# --- The command -----------------------------------------------------------------------------------------------------


def done_sweep(out: Path) -> tuple[str, ...]:
    """The folder of a sweep in which nothing is left to do, and the command that goes on with it."""
    out.mkdir()
    (out / "sweep.json").write_text(json.dumps(settings()), encoding="utf-8")
    (out / "sweep.jsonl").write_text("".join(json.dumps(asdict(run)) + "\n" for run in world()), encoding="utf-8")
    budgets = ("--tokens-per-size", "500k,1m,2m")
    return ("sweep", "--corpus", "gifts.txt", "--out", str(out), "--device", "cpu", *budgets, "--resume")


def test_the_command_prints_one_document_and_draws(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    command = done_sweep(tmp_path / "out")
    with pytest.raises(SystemExit) as end:
        main([*command, "--json"])
    assert not end.value.code
    document = json.loads(capsys.readouterr().out)
    assert document["law"]["alpha"] == pytest.approx(0.34, rel=0.02)
    assert document == json.loads((tmp_path / "out" / "law.json").read_text(encoding="utf-8"))
    page = (tmp_path / "out" / "law.html").read_text(encoding="utf-8")
    assert "LLaMA 2 7B, extrapolated" in page
    assert "cdn.plot" not in page.split("<body>")[1][:2000], "it needs no network"


def test_without_json_there_is_a_table_with_labels_and_doubts(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "160")
    monkeypatch.setattr(sweep_command, "_can_draw", lambda: False)
    command = done_sweep(tmp_path / "out")
    with pytest.raises(SystemExit) as end:
        main(list(command))
    assert not end.value.code
    said = capsys.readouterr()
    for words in ("(measured)", "(fitted", "extrapolated", "LLaMA 2 7B", "How far this can be trusted", "1.69 + 40"):
        assert words in said.out, words
    assert "pip install plotly" in said.err
    assert not (tmp_path / "out" / "law.html").exists()


def test_what_could_never_be_fitted_is_refused_before_training(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    base = ["sweep", "--corpus", "tinytown", "--out", str(tmp_path / "out")]
    for options, problem in (
        (["--sizes", "litellama-300k,litellama-1m"], "2 sizes and 4 token budgets"),
        (["--tokens-per-size", "1m"], "4 sizes and 1 token budgets"),
        (["--tokens-per-size", "1m,2m,lots"], "'lots' is no number of tokens"),
        (["--sizes", "nothing"], "no preset called 'nothing'"),
    ):
        with pytest.raises(SystemExit) as end:
            main([*base, *options])
        said = f"{end.value.code} {capsys.readouterr().err}"
        assert problem in said
    assert not (tmp_path / "out").exists()


def test_numbers_of_tokens() -> None:
    assert [count(text) for text in ("500k", "1.5M", "2_000_000", "1b")] == [500_000, 1_500_000, 2_000_000, 10**9]
    for wrong in ("", "-1", "1t", "many"):
        with pytest.raises(ValueError, match="no number of tokens"):
            count(wrong)
