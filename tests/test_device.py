"""Whatever computes with a model runs on the model's device: shown without a GPU, in three ways (see `devices.py`)."""

from __future__ import annotations

import copy
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from app.__main__ import main as run_app
from lessons.kit.asking import DEVICE
from lessons.kit.asking import device as lesson_device
from litellama.checkpoint import checkpoints_folder
from litellama.checkpoint.load import Opened, open_checkpoint
from litellama.checkpoint.memory import free_memory
from litellama.checkpoint.precision import open_for_use
from litellama.decoding import Decoding
from litellama.device import agrees, choose_device, device_name, logit_difference, sixteen_bits, synchronize
from litellama.explain.heads import head_outputs, with_heads
from litellama.explain.scoring import Scorer, Target
from litellama.explain.tokenized_run import TokenizedRun
from litellama.explain.trace import twin
from litellama.model import KVCache, LiteLlama
from litellama.quantize import kernel_works
from litellama.training.lora import add_lora, merge_lora
from litellama.training.objective import HeadLoss, recompute
from tests.conftest import TINY, random_model
from tests.support.device_paths import PATHS
from tests.support.devices import FETCHING, MAKING, Explicit, OneDevice, in_all_threads
from tests.support.pretend import SPECIAL

ROOT = Path(__file__).parent.parent
TINYTOWN = checkpoints_folder() / "tinytown"
no_gpu = pytest.mark.skipif(torch.cuda.is_available(), reason="is about machines without a CUDA GPU")


# --- Choosing --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["gpu", "", "cpu:0", "cuda:", "cuda:x", "cuda:-1", "mps:0", "meta", "CPU"])
def test_an_unknown_device_is_refused_with_those_there_are(name: str) -> None:
    with pytest.raises(ValueError, match="one of auto, cpu, cuda, cuda:1, mps was expected"):
        choose_device(name)


@no_gpu
def test_a_device_that_is_not_here_is_refused() -> None:
    assert choose_device("cpu") == torch.device("cpu")
    for name in ("cuda", "cuda:1"):
        with pytest.raises(ValueError, match=rf"--device is {name}, but PyTorch finds no CUDA GPU here; choose cpu"):
            choose_device(name)
    if not torch.backends.mps.is_available():
        assert choose_device("auto") == torch.device("cpu")
        with pytest.raises(ValueError, match="no Apple GPU here"):
            choose_device("mps")


def test_an_index_beyond_the_gpus_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    assert choose_device("cuda") == torch.device("cuda:0")
    assert choose_device("cuda:1") == torch.device("cuda:1")
    with pytest.raises(ValueError, match="go from cuda:0 to cuda:1"):
        choose_device("cuda:2")


@no_gpu
def test_auto_passes_over_a_device_that_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    """A driver that is too old says so only at the first computation."""
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    assert choose_device("auto").type != "cuda"


def test_a_device_is_described_and_measured() -> None:
    assert device_name("cpu") == "CPU"
    assert sixteen_bits("cpu") == "bfloat16"
    assert kernel_works("int8", "cpu")
    assert not kernel_works("int4", "meta")
    assert free_memory("cpu") != 0
    synchronize("cpu")


# --- Comparing -------------------------------------------------------------------------------------------------------

IDS = list(range(3, 15))


def test_a_model_agrees_with_its_copy_in_16_bits_and_not_with_a_wrong_one() -> None:
    model = random_model(TINY)
    assert logit_difference(model, copy.deepcopy(model), IDS) == 0
    assert agrees(copy.deepcopy(model).bfloat16(), model, IDS)
    wrong = copy.deepcopy(model)
    with torch.no_grad():
        wrong.model.layers[1].self_attn.o_proj.weight.neg_()  # type: ignore[union-attr, operator]
    assert not agrees(wrong, model, IDS)
    with torch.no_grad():
        wrong.model.norm.weight.fill_(torch.nan)
    assert not agrees(wrong, model, IDS), "not a number is not small"


def test_the_comparison_reads_with_the_cache_too(monkeypatch: pytest.MonkeyPatch) -> None:
    """A device can be right for a text at once and wrong for a token alone."""
    model, once = random_model(TINY), KVCache.extend

    def wrong(self: KVCache, layer: int, keys: Tensor, values: Tensor) -> tuple[Tensor, Tensor]:
        return once(self, layer, keys, -values if keys.shape[2] == 1 and self is made[0] else values)

    made: list[KVCache] = []
    init = KVCache.__init__

    def remember(self: KVCache, *args: Any, **kwargs: Any) -> None:
        init(self, *args, **kwargs)
        made.append(self)

    monkeypatch.setattr(KVCache, "__init__", remember)
    monkeypatch.setattr(KVCache, "extend", wrong)
    assert not agrees(model, copy.deepcopy(model), IDS)


# --- One: no values, no CPU ------------------------------------------------------------------------------------------


@pytest.fixture
def unreal() -> LiteLlama:
    """A model without numbers: whatever meets it must lie where it lies."""
    model = random_model(TINY).to("meta")
    model.model.rotary = model.model.rotary.to("meta")
    return model


def _forward(model: LiteLlama) -> None:
    ids = torch.zeros(2, 6, dtype=torch.long, device="meta")
    mask = torch.ones(2, 6, dtype=torch.long, device="meta")
    model(ids, attention_mask=mask, output_attentions=True, output_hidden_states=True)
    cache = KVCache(model.config, 2, 9, model.dtype, model.device)
    for part in (ids, ids[:, :1]):
        model(part, cache=cache, logits_to_keep=1)


def _decoding(model: LiteLlama) -> None:
    decoding = Decoding(model, 3, 16)
    for ids in ([1, 2, 3], [4, 5]):
        decoding.read(decoding.open(), ids)
    cache = KVCache(model.config, 1, 4, model.dtype, model.device)
    model(torch.zeros(1, 4, dtype=torch.long, device="meta"), cache=cache)
    decoding.fill(decoding.open(), cache)
    decoding.step([6, 7, 8])
    decoding.close(0)
    decoding.step([6, 7])
    decoding.close(1)
    decoding.step([6])


def _heads(model: LiteLlama) -> None:
    patch = head_outputs(model, [1, 2, 3])
    scales = torch.ones(2, model.config.num_hidden_layers, model.config.num_attention_heads, device="cpu")
    ids = torch.zeros(2, 3, dtype=torch.long, device="meta")
    twin(with_heads(model, scales, patch, scales.bool()))(ids)


def _scores(model: LiteLlama) -> None:
    reading = TokenizedRun(
        (1, 2, 3, 4, 5), 3, tuple("abcde"), tuple((n, n + 1) for n in range(5)), "abcde", frozenset()
    )
    scorer = Scorer(model, reading, Target(3, 5), [(0,), (1, 2)])
    texts = scorer.embeddings[None].detach().requires_grad_()
    torch.autograd.grad(scorer.score(texts).sum(), texts)


def _training(model: LiteLlama) -> None:
    add_lora(model, rank=2)
    recompute(model)
    ids = torch.zeros(2, 6, dtype=torch.long, device="meta")
    # Not the objective: this device knows no `torch.autocast`.
    hidden = model(ids, document_ids=ids, logits_to_keep=0).final
    weights = torch.ones(12, device="meta")
    loss, _ = HeadLoss.apply(hidden.flatten(0, 1), model.lm_head.weight, ids.flatten(), weights)
    loss.backward()
    merge_lora(model)


@pytest.mark.parametrize("work", [_forward, _decoding, _heads, _scores, _training])
def test_it_runs_without_values(unreal: LiteLlama, work: Callable[[LiteLlama], None]) -> None:
    with OneDevice():
        work(unreal)


def test_that_an_embedding_is_asked_with_ids_of_another_device_is_seen(unreal: LiteLlama) -> None:
    """Which PyTorch itself does not see on this device."""
    ids = torch.zeros(1, 2, dtype=torch.long, device="cpu")
    unreal.model.embed_tokens(ids)
    with OneDevice(), pytest.raises(RuntimeError, match=r"tensors of cpu and meta meet"):
        unreal.model.embed_tokens(ids)


# --- Two: real values, every tensor with a device, nothing fetched by the way ----------------------------------------


@pytest.fixture(scope="module")
def town() -> Opened:
    return open_checkpoint(TINYTOWN)


@pytest.mark.parametrize("name", PATHS)
def test_every_tensor_is_made_where_it_is_said_and_stays_there(town: Opened, name: str) -> None:
    with in_all_threads(Explicit):
        PATHS[name](town)


def test_the_guard_is_no_sham() -> None:
    ids = torch.ones(2, device="cpu")
    with in_all_threads(Explicit):
        ids.tolist()  # a test may
        for edge in (MAKING, FETCHING):
            assert all(reason for reason in edge.values())


def test_the_edges_that_are_named_are_there() -> None:
    for name in (*MAKING, *FETCHING):
        module, _, function = name.partition(":")
        source = (ROOT / f"{module.replace('.', '/')}.py").read_text(encoding="utf-8")
        assert f"def {function.rpartition('.')[2]}(" in source, name


# --- Three: a device that is not the CPU, with real values -----------------------------------------------------------


@pytest.fixture(scope="module")
def elsewhere() -> dict[str, str]:
    """What went wrong on the pretended device, by path."""
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-m", "tests.support.pretend"]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=1100, check=False)
    assert done.returncode == 0, done.stderr
    told: dict[str, str] = json.loads(done.stdout.splitlines()[-1])
    return told


@pytest.mark.slow
@pytest.mark.timeout(1200)  # the first one waits for all; a minute or two on an idle machine
@pytest.mark.parametrize("name", [*SPECIAL, *PATHS])
def test_it_gives_the_same_on_another_device(elsewhere: dict[str, str], name: str) -> None:
    assert not elsewhere[name]


@pytest.mark.slow
def test_the_script_for_gpus_runs_to_its_end(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "tests.benchmarks.device", "--device", "cpu", "--quick", "--out"]
    done = subprocess.run(
        [*command, str(tmp_path / "out.json")], cwd=ROOT, capture_output=True, text=True, timeout=600, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    told = json.loads((tmp_path / "out.json").read_text(encoding="utf-8"))
    assert told["failed"] == []
    assert {"agreement", "quantized", "speed", "energy", "training"} <= set(told)


# --- The commands, the app and the lessons ---------------------------------------------------------------------------

COMMANDS = {
    "chat": [], "generate": ["--prompt", "a"], "bench": ["tinytown"], "trust": [str(TINYTOWN)],
    "probe": [str(TINYTOWN)], "evaluate": [str(TINYTOWN)], "compare": ["--measure"],
    "train": ["--out", "{out}", "--steps", "1"], "sweep": ["--corpus", "tinytown", "--out", "{out}"],
}  # fmt: skip


@no_gpu
@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_takes_a_device(name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from litellama.__main__ import main

    arguments = [part.format(out=tmp_path / "out") for part in COMMANDS[name]]
    with pytest.raises(SystemExit) as ended:
        main([name, *arguments, "--device", "cuda"])
    said = f"{ended.value.code}{capsys.readouterr().err}"
    assert "--device is cuda, but PyTorch finds no CUDA GPU here" in said
    assert not (tmp_path / "out").exists()


def test_a_command_says_where_it_runs(capsys: pytest.CaptureFixture[str]) -> None:
    from litellama.__main__ import main

    with pytest.raises(SystemExit) as ended:
        main(["generate", "--prompt", "Hello.", "--max-new-tokens", "1", "--device", "cpu"])
    assert ended.value.code == 0
    assert "Device: CPU." in capsys.readouterr().err


@no_gpu
def test_the_app_takes_a_device(capsys: pytest.CaptureFixture[str]) -> None:
    assert run_app(["--device", "cuda:1", "--no-browser", "--port", "0"]) == 2
    assert "cannot start: --device is cuda:1, but PyTorch finds no CUDA GPU" in capsys.readouterr().err


@no_gpu
def test_a_lesson_runs_where_the_environment_says(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(DEVICE, raising=False)
    assert lesson_device() == "cpu"
    monkeypatch.setenv(DEVICE, "cpu")
    assert lesson_device() == "cpu"
    monkeypatch.setenv(DEVICE, "cuda")
    with pytest.raises(ValueError, match="no CUDA GPU"):
        lesson_device()


def test_a_model_is_opened_on_the_cpu_where_nothing_is_said() -> None:
    assert open_for_use(TINYTOWN).model.device.type == "cpu"
    assert open_for_use(TINYTOWN).refused_device is None
