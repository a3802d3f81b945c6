"""Models as Meta ships them become the same models in Hugging Face's form, and what does not fit is refused."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor
from transformers import LlamaForCausalLM

from litellama.checkpoint import CheckpointError, meta_format, open_checkpoint, pickle_process
from litellama.checkpoint import pickles as conversion
from litellama.checkpoint.pickles import convert
from litellama.checkpoint.tokenizers import TokenizerFiles
from litellama.config import ModelConfig
from litellama.model import LiteLlama
from tests.checkpoint.test_pickles import listing
from tests.checkpoint.test_sentencepiece import MODEL
from tests.conftest import random_model
from tests.support.folders import llama2_tokenizer

PARAMS: dict[str, Any] = {
    "dim": 32, "n_layers": 2, "n_heads": 4, "n_kv_heads": 2, "multiple_of": 16, "ffn_dim_multiplier": 1.3,
    "norm_eps": 1e-5, "vocab_size": -1,
}  # fmt: skip
IDS = [1, 300, 400, 33, 5, 260, 7, 7, 639]
PLACES = {"q_proj": "wq", "k_proj": "wk", "v_proj": "wv", "o_proj": "wo"}
FEED_FORWARD = {"gate_proj": "w1", "down_proj": "w2", "up_proj": "w3"}


def original() -> LiteLlama:
    return random_model(
        ModelConfig(
            vocab_size=640, hidden_size=32, intermediate_size=112, num_hidden_layers=2, num_attention_heads=4,
            num_key_value_heads=2, head_dim=8, max_position_embeddings=4096, bos_token_id=1, eos_token_ids=(2,),
        )
    )  # fmt: skip


def metas_weights(model: LiteLlama) -> dict[str, Tensor]:
    """Written out anew, so that a mistake in the library's map of names does not cancel out."""
    weights = {}
    for name, weight in model.state_dict().items():
        name = name.replace("model.embed_tokens", "tok_embeddings").replace("lm_head", "output").replace("model.", "")
        name = name.replace("input_layernorm", "attention_norm").replace("post_attention_layernorm", "ffn_norm")
        for theirs, metas in PLACES.items():
            name = name.replace(f"self_attn.{theirs}", f"attention.{metas}")
        for theirs, metas in FEED_FORWARD.items():
            name = name.replace(f"mlp.{theirs}", f"feed_forward.{metas}")
        if ".wq." in name or ".wk." in name:  # rows 0 4 1 5 2 6 3 7 of each head
            weight = torch.cat([head[[0, 4, 1, 5, 2, 6, 3, 7]] for head in weight.split(8)])
        weights[name] = weight.to(torch.float16)
    return weights


def make(folder: Path, count: int, embedding_along: int = 1, **changes: Any) -> Path:
    """Meta's folder of the original in `count` files, with its tokenizer outside, as in Meta's own download."""
    folder.mkdir(parents=True)
    (folder / "params.json").write_text(json.dumps(PARAMS | changes), encoding="utf-8")
    for number in range(count):
        part: dict[str, Tensor] = {"rope.freqs": torch.ones(4)}
        for name, weight in metas_weights(original()).items():
            along = 1 if ".wo." in name or ".w2." in name else embedding_along if name.startswith("tok") else 0
            part[name] = weight if weight.dim() == 1 else weight.chunk(count, dim=along)[number].clone()
        torch.save(part, folder / f"consolidated.{number:02}.pth")
    shutil.copyfile(MODEL, folder.parent / "tokenizer.model")
    return folder


@torch.inference_mode()
def logits(folder: Path) -> Tensor:
    return open_checkpoint(folder).model(torch.tensor([IDS])).logits


@torch.inference_mode()
def expected() -> Tensor:
    model = original()
    for weight in model.parameters():
        weight.copy_(weight.to(torch.float16))
    return model(torch.tensor([IDS])).logits


# --- The same model --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("count", "embedding_along"), [(1, 1), (2, 1), (2, 0)])
def test_it_computes_what_the_original_and_transformers_compute(
    tmp_path: Path, count: int, embedding_along: int
) -> None:
    folder = make(tmp_path / "llama-2-tiny", count, embedding_along)
    before = listing(folder)
    with pytest.raises(CheckpointError, match=r"only as a pickle \(consolidated\.00\.pth\).*litellama convert .*tiny`"):
        open_checkpoint(folder)
    written = [(one.name, one.number, one.count) for one in convert(folder)]
    assert written == [("model.safetensors", 1, 1)]
    assert before.items() <= listing(folder).items(), "what was there is there as it was"
    assert listing(folder).keys() - before.keys() == {
        "config.json", "manifest.json", "model.safetensors", "tokenizer.model",
    }  # fmt: skip
    found = logits(folder)
    assert expected().std() > 0.1
    torch.testing.assert_close(found, expected(), atol=1e-5, rtol=1e-5)
    theirs = LlamaForCausalLM.from_pretrained(folder, dtype=torch.float32)
    with torch.inference_mode():
        torch.testing.assert_close(theirs(torch.tensor([IDS])).logits, found, atol=1e-4, rtol=1e-4)
    opened = open_checkpoint(folder)
    assert opened.verified
    assert (opened.config.bos_token_id, opened.config.eos_token_ids) == (1, (2,))
    stored = load_file(folder / "model.safetensors")
    assert {weight.dtype for weight in stored.values()} == {torch.float16}


@pytest.fixture
def here(monkeypatch: pytest.MonkeyPatch) -> None:
    """Does in this process, for speed, what another one does; the tests above are of that one."""

    def run(model: Any, targets: list[Path]) -> Any:
        for answer in pickle_process.metas_answers(model.values, [str(one) for one in model.pickles], targets):
            if "problem" in answer:
                raise CheckpointError(answer["problem"])
            yield answer["names"]

    monkeypatch.setattr(conversion, "_run", run)


@pytest.mark.usefixtures("here")
def test_a_large_model_is_written_in_several_files_and_into_a_new_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = make(tmp_path / "m", 2)
    (folder / "checklist.chk").write_text("0 consolidated.00.pth", encoding="utf-8")
    (folder / "LICENSE.txt").write_text("LLaMA 2", encoding="utf-8")
    before = listing(folder)
    monkeypatch.setattr(meta_format, "AT_ONCE", 15_000)
    written = list(convert(folder, tmp_path / "new"))
    assert len(written) == 4
    assert listing(folder) == before
    assert listing(tmp_path / "new").keys() >= {"model.safetensors.index.json", "LICENSE.txt", "params.json"}
    torch.testing.assert_close(logits(tmp_path / "new"), expected(), atol=1e-5, rtol=1e-5)
    sizes = [path.stat().st_size for path in (tmp_path / "new").glob("*.safetensors")]
    assert max(sizes) < 2 * 640 * 32 + 2000, "no file holds more than the largest weight, or 15,000 numbers"


@pytest.mark.usefixtures("here")
def test_a_config_that_is_there_is_followed(tmp_path: Path) -> None:
    folder = make(tmp_path / "m", 1)
    shutil.copyfile(MODEL, folder / "tokenizer.model")
    list(convert(folder, tmp_path / "first"))
    values = json.loads((tmp_path / "first" / "config.json").read_text(encoding="utf-8"))
    (folder / "config.json").write_text(json.dumps(values | {"max_position_embeddings": 77}), encoding="utf-8")
    before = listing(folder)
    list(convert(folder))
    assert before.items() <= listing(folder).items()
    assert open_checkpoint(folder).config.max_position_embeddings == 77


PUBLISHED = [  # params.json as Meta published them -> sizes as Hugging Face has them
    (
        {"dim": 4096, "multiple_of": 256, "n_heads": 32, "n_layers": 32, "norm_eps": 1e-05, "vocab_size": -1},
        {"intermediate_size": 11008, "num_key_value_heads": 32, "max_position_embeddings": 4096},
    ),
    (
        {"dim": 5120, "multiple_of": 256, "n_heads": 40, "n_layers": 40, "norm_eps": 1e-05, "vocab_size": -1},
        {"intermediate_size": 13824, "num_hidden_layers": 40, "head_dim": 128},
    ),
    (
        {"dim": 8192, "multiple_of": 4096, "ffn_dim_multiplier": 1.3, "n_heads": 64, "n_kv_heads": 8, "n_layers": 80,
         "norm_eps": 1e-05, "vocab_size": -1},
        {"intermediate_size": 28672, "num_key_value_heads": 8, "rope_theta": 10000.0},
    ),
    (
        {"dim": 4096, "multiple_of": 256, "n_heads": 32, "n_layers": 32, "norm_eps": 1e-06, "vocab_size": -1},
        {"rms_norm_eps": 1e-6, "max_position_embeddings": 2048},
    ),
    (
        {"dim": 4096, "n_layers": 32, "n_heads": 32, "n_kv_heads": 8, "vocab_size": 128256, "multiple_of": 1024,
         "ffn_dim_multiplier": 1.3, "norm_eps": 1e-05, "rope_theta": 500000.0},
        {"intermediate_size": 14336, "vocab_size": 128256, "max_position_embeddings": 8192, "rope_theta": 500000.0},
    ),
    (
        {"dim": 4096, "n_layers": 32, "head_dim": 128, "hidden_dim": 14336, "n_heads": 32, "n_kv_heads": 8,
         "norm_eps": 1e-05, "vocab_size": 32000},
        {"intermediate_size": 14336, "num_key_value_heads": 8},
    ),
]  # fmt: skip


@pytest.mark.parametrize(("params", "sizes"), PUBLISHED)
def test_params_as_published_give_the_published_sizes(
    tmp_path: Path, params: dict[str, Any], sizes: dict[str, Any]
) -> None:
    (tmp_path / "params.json").write_text(json.dumps(params), encoding="utf-8")
    files = TokenizerFiles(llama2_tokenizer(), {}, None, bos_id=1, eos_ids=(2,))
    values = meta_format.config_values(tmp_path, files)
    assert {key: values[key] for key in sizes} == sizes
    assert values["vocab_size"] == (files.tokenizer.id_limit if params["vocab_size"] == -1 else params["vocab_size"])
    ModelConfig.from_hf(values)


# --- What is refused -------------------------------------------------------------------------------------------------


def params(**changes: Any) -> Callable[[Path], None]:
    return lambda folder: (folder / "params.json").write_text(json.dumps(PARAMS | changes), encoding="utf-8") and None


def slices(change: Callable[[dict[str, Tensor]], Any]) -> Callable[[Path], None]:
    """Change what the second file holds."""

    def do(folder: Path) -> None:
        part = torch.load(folder / "consolidated.01.pth", weights_only=True)
        change(part)
        torch.save(part, folder / "consolidated.01.pth")

    return do


FAULTS: dict[str, tuple[Callable[[Path], None], str]] = {
    "no second file": (lambda folder: (folder / "consolidated.01.pth").unlink(), "one file, .* is a file missing"),
    "no first file": (lambda folder: (folder / "consolidated.00.pth").unlink(), r"but not consolidated\.00\.pth"),
    "no params": (lambda folder: (folder / "params.json").unlink(), r"no file params\.json"),
    "no tokenizer": (lambda folder: (folder.parent / "tokenizer.model").unlink(), "has a tokenizer.model; Meta"),
    "params of a wider model": (params(dim=64), r"has the shape \(.*\) in each of its 2 files, .* another model"),
    "params of a deeper model": (params(n_layers=3), r"9 weights that .* asks for are missing, first layers\.2"),
    "params of a flatter model": (params(n_layers=1), r"9 weights that params\.json has no place for, first layers\.1"),
    "params without heads": (params(n_heads=None), "has no entry n_heads"),
    "more key heads than heads": (params(n_kv_heads=8), "4 query heads cannot be shared out evenly among 8"),
    "a million layers": (params(n_layers=10**6), "n_layers in m's params.json is 1000000; .* below 1,000"),
    "sizes as texts": (params(dim="32"), "dim in m's params.json is '32'"),
    "sizes below zero": (params(dim=-32), "dim in m's params.json is -32"),
    "experts": (params(moe={"num_experts": 8}), "params.json in m asks for moe, which can't be converted"),
    "Llama 3.1's positions": (params(use_scaled_rope=True), "asks for use_scaled_rope, which can't be"),
    "another vocabulary": (params(vocab_size=600), "tok_embeddings.weight has the shape"),
    "another type": (slices(lambda part: part.update({"norm.weight": torch.ones(32)})), "stored as another type"),
    "slices of two models": (
        slices(lambda part: part.update({"output.weight": torch.ones(320, 16)})), "output.weight has the shape",
    ),
    "a weight missing": (slices(lambda part: part.pop("norm.weight")), "the 1 weights .* missing, first norm.weight"),
    "no weights": (slices(lambda part: part.update(extra=3)), "extra in it is no plain tensor"),
    "not finite": (slices(lambda part: part["output.weight"].fill_(torch.nan)), "not finite"),
    "cut short": (
        lambda folder: (folder / "consolidated.01.pth").write_bytes(b"PK" + bytes(100)) and None, "it is damaged",
    ),
}  # fmt: skip


@pytest.mark.usefixtures("here")
@pytest.mark.parametrize(("break_it", "says"), FAULTS.values(), ids=FAULTS.keys())
def test_what_does_not_fit_is_refused_and_leaves_nothing_behind(
    tmp_path: Path, break_it: Callable[[Path], None], says: str
) -> None:
    folder = make(tmp_path / "m", 2)
    break_it(folder)
    before = listing(tmp_path)
    with pytest.raises(CheckpointError, match=says) as refusal:
        list(convert(folder))
    assert "\n" not in str(refusal.value)
    assert listing(tmp_path) == before


def test_llama_3s_tokenizer_is_refused_with_the_way_out(tmp_path: Path) -> None:
    folder = make(tmp_path / "m", 1)
    (folder / "tokenizer.model").write_bytes(b"IQ== 0\nIg== 1\n")
    with pytest.raises(CheckpointError, match=r"Llama 3's own file.* put tokenizer\.json from"):
        list(convert(folder))


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="where else a process's peak memory stands is not known here")
def test_conversion_needs_little_more_memory_than_one_of_its_files(tmp_path: Path) -> None:
    """Half a billion weights in two files, 1 GB, of which 64 MB are written at once."""
    folder = tmp_path / "m"
    folder.mkdir()
    config = {"dim": 2048, "n_layers": 8, "n_heads": 16, "multiple_of": 256, "norm_eps": 1e-5, "vocab_size": 640}
    (folder / "params.json").write_text(json.dumps(config), encoding="utf-8")
    shutil.copyfile(MODEL, folder / "tokenizer.model")
    generator = torch.Generator().manual_seed(0)
    for number in range(2):
        part = {"tok_embeddings.weight": (640, 1024), "norm.weight": (2048,), "output.weight": (320, 2048)}
        for layer in range(8):
            part |= {f"layers.{layer}.{norm}.weight": (2048,) for norm in ("attention_norm", "ffn_norm")}
            part |= {f"layers.{layer}.attention.{name}.weight": (1024, 2048) for name in ("wq", "wk", "wv")}
            part |= {f"layers.{layer}.attention.wo.weight": (2048, 1024)}
            part |= {f"layers.{layer}.feed_forward.{name}.weight": (2816, 2048) for name in ("w1", "w3")}
            part |= {f"layers.{layer}.feed_forward.w2.weight": (2048, 2816)}
        weights = {
            name: torch.empty(shape, dtype=torch.float16).normal_(0, 0.02, generator=generator)
            for name, shape in part.items()
        }
        torch.save(weights, folder / f"consolidated.{number:02}.pth")
    program = (
        "import json, pathlib, sys\n"
        "from litellama.checkpoint import meta_format, pickle_process\n"
        "meta_format.AT_ONCE = 2**25\n"
        "values = json.loads(sys.argv[1])\n"
        "count = len(meta_format.groups(meta_format.ModelConfig.from_hf(values)))\n"
        "sources = sorted(map(str, pathlib.Path(sys.argv[2]).glob('*.pth')))\n"
        "before = pathlib.Path('/proc/self/status').read_text()\n"
        "targets = [f'{sys.argv[2]}/{one}.safetensors' for one in range(count)]\n"
        "answers = list(pickle_process.metas_answers(values, sources, targets))\n"
        "assert all('names' in one for one in answers), answers\n"
        "print(before, pathlib.Path('/proc/self/status').read_text())\n"
    )
    files = TokenizerFiles(llama2_tokenizer(), {}, None)
    values = json.dumps(meta_format.config_values(folder, files))
    status = subprocess.run(
        [sys.executable, "-c", program, values, str(folder)], check=True, capture_output=True, text=True
    ).stdout
    anonymous = [int(found) * 1024 for found in re.findall(r"RssAnon:\s+(\d+) kB", status)]
    highest = [int(found) * 1024 for found in re.findall(r"VmHWM:\s+(\d+) kB", status)]
    whole = sum(path.stat().st_size for path in folder.glob("*.pth"))
    assert anonymous[1] - anonymous[0] < 0.3e9
    # Mapped pages of the sources count as well, and give way when memory is needed.
    assert highest[1] - highest[0] < whole + 0.4e9
