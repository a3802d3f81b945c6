"""The command line as a user or a script meets it: one JSON document on stdout, sentences on stderr."""

from __future__ import annotations

import io
import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from litellama.__main__ import main
from litellama.chat import Message, prompt_ids, reply
from litellama.checkpoint import open_checkpoint
from litellama.config import PRESETS
from litellama.generate import generate
from litellama.sampling import Sampling

Capture = pytest.CaptureFixture[str]


def run(capsys: Capture, *arguments: str) -> tuple[int, str, str]:
    """Exit status, stdout and stderr of one command."""
    with pytest.raises(SystemExit) as end:
        main(arguments)
    captured, code = capsys.readouterr(), end.value.code
    if isinstance(code, str):  # Python prints a text to stderr when it ends by it, and the exit status is 1
        return 1, captured.out, f"{captured.err}{code}\n"
    return int(code or 0), captured.out, captured.err


def test_generate_prints_one_document_of_the_agreed_form(capsys: Capture, tiny_checkpoint: Path) -> None:
    base = ("generate", "--checkpoint", str(tiny_checkpoint), "--max-new-tokens", "9", "--json", "--ignore-eos")
    status, out, err = run(capsys, *base, "--prompt-ids", "1,3,80", "--greedy")
    document = json.loads(out)
    opened = open_checkpoint(tiny_checkpoint)
    steps = generate(opened.model, [1, 3, 80], sampling=Sampling(greedy=True), max_new_tokens=9, seed=0)
    ids = [step.id for step in steps]
    assert status == 0
    assert list(document) == ["prompt_ids", "ids", "text", "tokens_per_second"]
    assert document["prompt_ids"] == [1, 3, 80]
    assert document["ids"] == ids
    assert document["text"] == opened.tokenizer.decode(ids)
    assert document["tokens_per_second"] > 0
    assert "tiny: " in err


def test_a_prompt_is_a_message_to_a_chat_model(capsys: Capture, tiny_checkpoint: Path) -> None:
    base = ("generate", "--checkpoint", str(tiny_checkpoint), "--max-new-tokens", "20", "--seed", "4", "--json")
    document = json.loads(run(capsys, *base, "--prompt", "Where is Tom? <|end|>")[1])
    opened = open_checkpoint(tiny_checkpoint)
    asked = [Message("user", "Where is Tom? <|end|>")]
    assert document["prompt_ids"] == prompt_ids(asked, opened.tokenizer, 128, 1).ids
    pieces = reply(opened.model, opened.tokenizer, asked, Sampling(0.7, 0, 0.95), 20, 4)
    assert document["ids"] == [piece.step.id for piece in pieces if piece.step]


def test_without_json_the_text_streams_to_stdout(capsys: Capture, tiny_checkpoint: Path) -> None:
    base = ("generate", "--checkpoint", str(tiny_checkpoint), "--prompt", "Hi", "--max-new-tokens", "9", "--greedy")
    _, plain, err = run(capsys, *base)
    _, as_json, _ = run(capsys, *base, "--json")
    assert plain == json.loads(as_json)["text"] + "\n"
    assert "tokens" in err


def test_seed_and_settings_reach_the_model(capsys: Capture, tiny_checkpoint: Path) -> None:
    base = ("generate", "--checkpoint", str(tiny_checkpoint), "--prompt-ids", "1,3,80", "--ignore-eos", "--json")

    def ids(*options: str) -> list[int]:
        return list(json.loads(run(capsys, *base, "--max-new-tokens", "15", *options)[1])["ids"])

    assert ids("--seed", "1") == ids("--seed", "1") != ids("--seed", "2")
    greedy = ids("--greedy")
    assert ids("--top-k", "1") == ids("--temperature", "0") == ids("--top-p", "1e-9") == greedy


def test_ignore_eos_goes_on_where_the_model_would_stop(capsys: Capture, tiny_checkpoint: Path) -> None:
    opened = open_checkpoint(tiny_checkpoint)

    def first_stop(seed: int) -> int:
        steps = generate(opened.model, [1], sampling=Sampling(10.0, 0, 1.0), max_new_tokens=99, seed=seed)
        return next((place for place, step in enumerate(steps) if step.id <= 4), 99)

    seed = next(seed for seed in range(20) if first_stop(seed) < 99)
    base = ("generate", "--checkpoint", str(tiny_checkpoint), "--prompt-ids", "1", "--json", "--seed", str(seed))
    base += ("--max-new-tokens", "99", "--temperature", "10", "--top-p", "1")
    assert len(json.loads(run(capsys, *base)[1])["ids"]) == first_stop(seed)
    assert len(json.loads(run(capsys, *base, "--ignore-eos")[1])["ids"]) == 99


def test_list_names_presets_and_checkpoints(
    capsys: Capture, tiny_checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(tiny_checkpoint, tmp_path / "checkpoints" / "mine")
    monkeypatch.chdir(tmp_path)
    rows = json.loads(run(capsys, "list", "--json")[1])
    assert [row["name"] for row in rows] == [*PRESETS, "mine"]
    assert {row["kind"] for row in rows} == {"preset", "checkpoint"}
    assert all(row["parameters"] == PRESETS[row["name"]].num_parameters for row in rows if row["kind"] == "preset")
    table = run(capsys, "list")[1]
    assert "6,738,415,616" in table
    assert "mine" in table
    status, out, _ = run(capsys, "generate", "--checkpoint", "mine", "--prompt", "Hi", "--json")  # found by its name
    assert status == 0
    assert json.loads(out)["prompt_ids"]


def test_chat_talks_until_the_input_ends(
    capsys: Capture, tiny_checkpoint: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    typed = "Where is Tom?\n\nWhy?\n/clear\nWhere is Tom?\n" + "~" * 400 + "\n/quit\nnever read\n"
    monkeypatch.setattr(sys, "stdin", io.StringIO(typed))
    arguments = ("--checkpoint", str(tiny_checkpoint), "--seed", "5", "--max-new-tokens", "12")
    status, out, err = run(capsys, "chat", *arguments)
    opened = open_checkpoint(tiny_checkpoint)

    def answer(messages: list[Message], seed: int) -> str:
        pieces = reply(opened.model, opened.tokenizer, messages, Sampling(0.7, 0, 0.95), 12, seed)
        return "".join(piece.text for piece in pieces)

    first = [Message("user", "Where is Tom?")]
    said = answer(first, 5)
    more = answer([*first, Message("assistant", said), Message("user", "Why?")], 7)
    assert status == 0
    assert out == f"{said}\n{more}\n{said}\n".replace("\x1b", "\u241b")
    assert "shorten it" in " ".join(err.split())


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--checkpoint", "nowhere", "--prompt", "Hi"], "there is no checkpoint folder"),
        ([], "either --prompt TEXT or --prompt-ids"),
        (["--prompt", "Hi", "--prompt-ids", "1"], "either --prompt TEXT or --prompt-ids"),
        (["--prompt-ids", "1,x"], "whole numbers"),
        (["--prompt-ids", "1,999999"], "ids go from 0"),
        (["--prompt", "Hi", "--temperature", "nan"], "temperature is nan"),
        (["--prompt", "Hi", "--seed", "-1"], "seed is -1"),
    ],
)
def test_what_a_user_can_put_right_is_one_sentence(
    capsys: Capture, tiny_checkpoint: Path, arguments: list[str], says: str
) -> None:
    checkpoint = [] if "--checkpoint" in arguments else ["--checkpoint", str(tiny_checkpoint)]
    status, out, err = run(capsys, "generate", *checkpoint, *arguments, "--json")
    assert status == 1
    assert out == ""
    *_, last = err.strip().splitlines()
    assert last.startswith("error: ")
    assert says in last


def test_the_package_runs_and_a_chat_needs_no_training_code(tiny_checkpoint: Path) -> None:
    program = (
        "import sys, runpy\n"
        f"sys.argv = ['litellama', 'generate', '--checkpoint', {str(tiny_checkpoint)!r}, '--prompt', 'Hi', '--json']\n"
        "try:\n    runpy.run_module('litellama', run_name='__main__')\n"
        "finally:\n    assert not any(name.startswith('litellama.training') for name in sys.modules)\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["prompt_ids"]


def test_bench_measures_each_precision_and_what_it_loses(capsys: Capture) -> None:
    arguments = ("--precisions", "float32,int8,int4", "--rounds", "1", "--new-tokens", "4", "--json")
    status, out, _ = run(capsys, "bench", "tinytown", *arguments)
    assert status == 0
    found = {row["precision"]: row for row in json.loads(out)["measured"]}
    assert list(found) == ["float32", "int8", "int4"]
    assert found["float32"]["bytes"] > 2 * found["int8"]["bytes"] > 2 * found["int4"]["bytes"]
    assert 1 < found["float32"]["perplexity"] < found["int4"]["perplexity"]
    assert found["int8"]["perplexity"] == pytest.approx(found["float32"]["perplexity"], rel=0.05)
    assert all(row["writes"][1] <= row["writes"][0] <= row["writes"][2] for row in found.values())


def test_bench_of_a_preset_and_of_a_wrong_precision(capsys: Capture) -> None:
    few = ("--rounds", "1", "--new-tokens", "2")
    assert "random weights" in run(capsys, "bench", "litellama-300k", "--precisions", "float16", *few)[1]
    status, _, problem = run(capsys, "bench", "tinytown", "--precisions", "int3")
    assert status == 1
    assert "names 'int3'; choose among float32" in problem
