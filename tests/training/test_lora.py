"""LoRA: begins as the model itself, learns in A and B alone, merges into an ordinary model; its files are PEFT's."""

from __future__ import annotations

import json
import math
import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor
from torch.nn import functional as F

from litellama.chat import Message, reply
from litellama.checkpoint import checkpoints_folder, open_checkpoint, save_checkpoint
from litellama.config import ModelConfig, preset
from litellama.data.batches import TokenBatch, collate, encode_row
from litellama.explain.heads import head_outputs, with_heads
from litellama.explain.trace import trace_step
from litellama.generate import generate
from litellama.model import LiteLlama, empty_model
from litellama.sampling import Sampling
from litellama.tinytown.corpus import TinyTownDocument, make_document
from litellama.tokenizer import Tokenizer
from litellama.training import lora
from litellama.training.lora import (
    TARGETS,
    LoRALinear,
    add_lora,
    load_adapter,
    lora_parameters,
    merge_lora,
    save_adapter,
    trainable,
    without_lora,
)
from litellama.training.replicas import Replicas
from tests.conftest import TINY, random_model

IDS = torch.randint(0, TINY.vocab_size, (3, 40), generator=torch.Generator().manual_seed(0))
QUERY = "base_model.model.model.layers.0.self_attn.q_proj.lora_A.weight"


@torch.no_grad()
def logits(model: LiteLlama) -> Tensor:
    return model(IDS).logits


def apart(one: Tensor, other: Tensor) -> float:
    return ((one - other).float().norm() / other.float().norm()).item()


def copies(model: LiteLlama) -> dict[str, Tensor]:
    return {name: weight.detach().clone() for name, weight in model.state_dict().items()}


def taught(model: LiteLlama, **options: Any) -> LiteLlama:
    """With LoRA in which something stands, as if it had been trained."""
    add_lora(model, **{"rank": 3, **options})
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for _, parameter in trainable(model):
            parameter.normal_(0, 0.1, generator=generator)
    return model


# --- The layer -------------------------------------------------------------------------------------------------------


def test_the_papers_formula_by_hand() -> None:
    base = torch.nn.Linear(2, 3, bias=False)
    layer = LoRALinear(base, rank=1, alpha=4.0, generator=torch.Generator())
    with torch.no_grad():
        base.weight.copy_(torch.tensor([[1.0, 0.0], [0.0, 1.0], [1.0, 1.0]]))
        layer.lora_A.weight.copy_(torch.tensor([[1.0, 2.0]]))
        layer.lora_B.weight.copy_(torch.tensor([[1.0], [0.0], [-1.0]]))
    # A x = 1*5 + 2*7 = 19; scale 4/1; B A x = (19, 0, -19)
    assert layer(torch.tensor([5.0, 7.0])).tolist() == [5 + 76, 7, 12 - 76]
    assert layer.merged().tolist() == [[5, 8], [0, 1], [-3, -7]]


def test_the_scale_is_alpha_by_rank(tiny_model: LiteLlama) -> None:
    add_lora(tiny_model, rank=4, alpha=6.0)
    layer = tiny_model.get_submodule("model.layers.1.mlp.down_proj")
    assert isinstance(layer, LoRALinear)
    assert layer.scale == 1.5


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_it_begins_as_the_model_itself_bit_for_bit(tiny_model: LiteLlama, dtype: torch.dtype) -> None:
    before = logits(tiny_model.to(dtype))
    assert add_lora(tiny_model) is tiny_model
    assert torch.equal(logits(tiny_model), before)


def test_a_is_drawn_and_b_is_zero(tiny_model: LiteLlama) -> None:
    add_lora(tiny_model, rank=16)
    drawn = {name: p for name, p in trainable(tiny_model) if "lora_A" in name}
    assert all(not p.any() for name, p in trainable(tiny_model) if "lora_B" in name)
    for name, parameter in drawn.items():
        assert parameter.std().item() == pytest.approx(parameter.shape[1] ** -0.5, rel=0.15), name
    first, *others = (parameter for name, parameter in drawn.items() if parameter.shape == (16, 32))
    assert not any(torch.equal(first, other) for other in others), "each is drawn anew"


def test_the_seed_fixes_a(tokenizer: Tokenizer) -> None:
    config = replace(TINY, vocab_size=tokenizer.vocab_size)
    one, same, other = (copies(add_lora(random_model(config), seed=seed)) for seed in (5, 5, 6))
    name = "model.layers.1.self_attn.v_proj.lora_A.weight"
    assert torch.equal(one[name], same[name])
    assert not torch.equal(one[name], other[name])


# --- In a model ------------------------------------------------------------------------------------------------------


def test_only_a_and_b_are_trainable(tiny_model: LiteLlama) -> None:
    everything = [name for name, _ in tiny_model.named_parameters()]
    assert [name for name, _ in trainable(tiny_model)] == everything
    add_lora(tiny_model, rank=2, targets=("q_proj", "up_proj"))
    assert [name for name, _ in trainable(tiny_model)] == [
        f"model.layers.{layer}.{place}.lora_{part}.weight"
        for layer in range(2) for place in ("self_attn.q_proj", "mlp.up_proj") for part in "AB"
    ]  # fmt: skip


def test_all_seven_targets_by_default(tiny_model: LiteLlama) -> None:
    add_lora(tiny_model)
    adapted = [name for name, module in tiny_model.named_modules() if isinstance(module, LoRALinear)]
    assert len(adapted) == 2 * 7
    assert {name.rpartition(".")[2] for name in adapted} == set(TARGETS)


@pytest.mark.parametrize(("rank", "targets"), [(1, TARGETS), (3, ("q_proj", "v_proj")), (7, ("down_proj",))])
@pytest.mark.parametrize("config", [TINY, preset("litellama-1m"), preset("tinytown")])
def test_the_arithmetic_is_what_is_there(config: ModelConfig, rank: int, targets: tuple[str, ...]) -> None:
    there = sum(parameter.numel() for _, parameter in trainable(add_lora(empty_model(config), rank, 1.0, targets)))
    assert lora_parameters(config, rank, targets) == there


def test_the_papers_own_example() -> None:
    """Published: queries and values of GPT-3's 96 layers of 12,288 at rank 4 are 18.9 million weights (table 4 has 4.7
    million at rank 1, and 37.7 million at 8)."""
    gpt3 = ModelConfig(50_257, 12_288, 49_152, 96, 96, 96, 128, 2048)
    assert [lora_parameters(gpt3, rank, ("q_proj", "v_proj")) for rank in (1, 4, 8)] == [4718592, 18874368, 37748736]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"targets": ("q_proj", "lm_head")}, r"targets is \('q_proj', 'lm_head'\); one or more of q_proj, .* expected"),
        ({"targets": ()}, r"targets is \(\)"),
        ({"targets": "q_proj"}, "targets is 'q_proj'"),
        ({"rank": 0}, "rank is 0; from 1 to 16, the smaller side of k_proj"),
        ({"rank": 17}, "rank is 17; from 1 to 16, the smaller side of k_proj"),
        ({"rank": 33, "targets": ("down_proj",)}, "from 1 to 32, the smaller side of down_proj"),
        ({"rank": 2.0}, r"rank is 2\.0"),
        ({"rank": True}, "rank is True"),
        ({"alpha": 0.0}, r"alpha is 0\.0; a number above 0"),
        ({"alpha": math.nan}, "alpha is nan"),
        ({"alpha": math.inf}, "alpha is inf"),
    ],
)
def test_what_makes_no_sense_is_refused_and_changes_nothing(
    tiny_model: LiteLlama, options: dict[str, Any], message: str
) -> None:
    names = list(tiny_model.state_dict())
    with pytest.raises(ValueError, match=message):
        add_lora(tiny_model, **options)
    assert list(tiny_model.state_dict()) == names
    assert len(trainable(tiny_model)) == len(names) - 1  # the head is tied
    if "alpha" not in options:
        with pytest.raises(ValueError, match=message):
            lora_parameters(tiny_model.config, **{"rank": 2, **options})


def test_lora_is_not_put_on_twice_nor_taken_off_where_there_is_none(tiny_model: LiteLlama, tmp_path: Path) -> None:
    for act in (merge_lora, lambda model: save_adapter(tmp_path, model), lambda model: without_lora(model).__enter__()):
        with pytest.raises(ValueError, match="has no LoRA"):
            act(tiny_model)
    add_lora(tiny_model)
    before = copies(tiny_model)
    with pytest.raises(ValueError, match="has LoRA already"):
        add_lora(tiny_model)
    assert copies(tiny_model).keys() == before.keys()


# --- Merging and comparing -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float32, 1e-5), (torch.bfloat16, 0.05)])
def test_merged_answers_as_unmerged(tiny_model: LiteLlama, dtype: torch.dtype, tolerance: float) -> None:
    before = logits(tiny_model.to(dtype))
    names = list(tiny_model.state_dict())
    unmerged = logits(taught(tiny_model))
    assert merge_lora(tiny_model) is tiny_model
    merged = logits(tiny_model)
    assert apart(merged, unmerged) < tolerance
    assert apart(before, unmerged) > 0.5, "and there was something to merge"
    assert list(tiny_model.state_dict()) == names
    assert len(trainable(tiny_model)) == len(list(tiny_model.parameters()))
    assert {weight.dtype for weight in tiny_model.parameters()} == {dtype}
    add_lora(tiny_model)  # which a merged model takes again


def test_merging_adds_up_in_float32(tiny_model: LiteLlama) -> None:
    """What is too small to be seen in one bfloat16 product is not lost before it is added."""
    taught(tiny_model.to(torch.bfloat16), rank=5)
    layer = tiny_model.get_submodule("model.layers.0.mlp.gate_proj")
    assert isinstance(layer, LoRALinear)
    a, b, w = (part.weight.detach().double() for part in (layer.lora_A, layer.lora_B, layer.base))
    exact = w + 16 / 5 * b @ a
    merge_lora(tiny_model)
    stored = tiny_model.get_submodule("model.layers.0.mlp.gate_proj").weight
    assert isinstance(stored, Tensor)
    assert torch.equal(stored, exact.to(torch.bfloat16))


def test_a_merged_model_is_an_ordinary_checkpoint(tiny_model: LiteLlama, tokenizer: Tokenizer, tmp_path: Path) -> None:
    merge_lora(taught(tiny_model))
    save_checkpoint(tmp_path / "merged", tiny_model, tokenizer, card={})
    assert torch.equal(logits(open_checkpoint(tmp_path / "merged").model), logits(tiny_model))


def test_without_lora_the_model_is_as_before(tiny_model: LiteLlama) -> None:
    before = logits(tiny_model)
    after = logits(taught(tiny_model))
    with without_lora(tiny_model) as plain:
        assert plain is tiny_model
        assert torch.equal(logits(plain), before)
        layer = plain.get_submodule("model.layers.0.mlp.gate_proj")
        assert isinstance(layer, LoRALinear)
        assert layer.weight is layer.base.weight
        with without_lora(plain):
            pass
        assert torch.equal(logits(plain), before), "the inner block gives back what it found"
    assert torch.equal(logits(tiny_model), after)
    with pytest.raises(KeyError), without_lora(tiny_model):
        raise KeyError
    assert torch.equal(logits(tiny_model), after)


def test_merging_is_not_fooled_by_without_lora(tiny_model: LiteLlama) -> None:
    after = logits(taught(tiny_model))
    with without_lora(tiny_model):
        merge_lora(tiny_model)
    torch.testing.assert_close(logits(tiny_model), after, rtol=1e-4, atol=1e-4)


# --- The rest of the lab with a model that has LoRA -------------------------------------------------------------------


def test_it_generates_with_the_cache(tiny_model: LiteLlama) -> None:
    """Greedy, token by token behind the cache, is what one pass over the whole text prefers; and the merged model's."""
    taught(tiny_model)
    written = [step.id for step in generate(tiny_model, [5, 6, 7], sampling=Sampling(0.0), max_new_tokens=20, seed=0)]
    with torch.no_grad():
        whole = tiny_model(torch.tensor([[5, 6, 7, *written]])).logits[0]
    assert whole[2:-1].argmax(-1).tolist() == written
    merge_lora(tiny_model)
    merged = [step.id for step in generate(tiny_model, [5, 6, 7], sampling=Sampling(0.0), max_new_tokens=20, seed=0)]
    assert merged == written


def test_explanations_look_into_it_as_into_the_merged_one(tiny_model: LiteLlama) -> None:
    taught(tiny_model)
    ids = IDS[0, :12].tolist()
    scales = torch.ones(1, 2, 4)
    scales[0, 1, 2] = 0

    def seen() -> list[Tensor]:
        found = trace_step(tiny_model, ids, position=9, layer=1, head=3)
        with torch.no_grad():
            switched = with_heads(tiny_model, scales)(IDS[:1]).logits
        return [found.head_written, found.attended, found.logits, head_outputs(tiny_model, ids), switched]

    unmerged = seen()
    merge_lora(tiny_model)
    for one, other in zip(unmerged, seen(), strict=True):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-4)


def loss_of(model: LiteLlama, batch: TokenBatch) -> tuple[Tensor, Tensor]:
    answers = model(batch.input_ids).logits.flatten(0, 1)
    return F.cross_entropy(answers, batch.targets.flatten(), reduction="sum"), torch.tensor(0)


def test_threads_together_have_the_whole_batchs_gradient(tiny_model: LiteLlama) -> None:
    taught(tiny_model)
    batch = TokenBatch(IDS[:, :-1], IDS[:, 1:], torch.ones(3, 39))
    gradients = []
    for threads in (1, 2):
        tiny_model.zero_grad()
        with Replicas(tiny_model, threads) as replicas:
            loss, _ = replicas.backward([batch], loss_of)
        assert loss == pytest.approx(loss_of(tiny_model, batch)[0].item(), rel=1e-5)
        gradients.append({name: p.grad.clone() for name, p in tiny_model.named_parameters() if p.grad is not None})
    assert list(gradients[0]) == [name for name, _ in trainable(tiny_model)]
    for name, whole in gradients[0].items():
        torch.testing.assert_close(gradients[1][name], whole, rtol=1e-4, atol=1e-4, msg=name)


def test_threads_see_what_the_first_one_learns(tiny_model: LiteLlama) -> None:
    taught(tiny_model)
    with Replicas(tiny_model, 2) as replicas, torch.no_grad():
        for _, parameter in trainable(tiny_model):
            parameter.add_(0.1)
        assert torch.equal(logits(replicas.modules[1]), logits(tiny_model))


# --- Files -----------------------------------------------------------------------------------------------------------


@pytest.fixture
def saved(tiny_model: LiteLlama, tmp_path: Path) -> Path:
    save_adapter(tmp_path / "adapter", taught(tiny_model, rank=3, alpha=5.0, targets=("v_proj", "q_proj")))
    return tmp_path / "adapter"


@pytest.fixture
def plain(tokenizer: Tokenizer) -> LiteLlama:
    """The model that the saved adapter was trained on."""
    return random_model(replace(TINY, vocab_size=tokenizer.vocab_size))


def test_an_adapter_is_laid_out_as_pefts(saved: Path) -> None:
    assert sorted(path.name for path in saved.iterdir()) == ["adapter_config.json", "adapter_model.safetensors"]
    values = json.loads((saved / "adapter_config.json").read_text(encoding="utf-8"))
    wanted = {"peft_type": "LORA", "task_type": "CAUSAL_LM", "r": 3, "lora_alpha": 5.0, "bias": "none"}
    assert wanted.items() <= values.items()
    assert values["target_modules"] == ["q_proj", "v_proj"]
    shapes = {name: tuple(tensor.shape) for name, tensor in load_file(saved / "adapter_model.safetensors").items()}
    expected = {}
    for layer in range(2):
        for name, out in (("q_proj", 32), ("v_proj", 16)):
            stored = f"base_model.model.model.layers.{layer}.self_attn.{name}"
            expected |= {f"{stored}.lora_A.weight": (3, 32), f"{stored}.lora_B.weight": (out, 3)}
    assert shapes == expected


def test_loaded_answers_as_saved(saved: Path, tiny_model: LiteLlama, plain: LiteLlama) -> None:
    assert load_adapter(saved, plain) is plain
    assert torch.equal(logits(plain), logits(tiny_model))
    assert [name for name, _ in trainable(plain)] == [name for name, _ in trainable(tiny_model)]
    with pytest.raises(ValueError, match="has LoRA already"):
        load_adapter(saved, plain)


def test_saving_again_replaces_the_old_one(saved: Path, tiny_model: LiteLlama, plain: LiteLlama) -> None:
    merge_lora(tiny_model)
    save_adapter(saved, taught(tiny_model, rank=2))
    assert sorted(path.name for path in saved.iterdir()) == ["adapter_config.json", "adapter_model.safetensors"]
    assert lora_parameters(plain.config, 2) == sum(p.numel() for _, p in trainable(load_adapter(saved, plain)))


def test_numbers_that_are_not_finite_are_not_saved(saved: Path, tiny_model: LiteLlama, plain: LiteLlama) -> None:
    with torch.no_grad():
        trainable(tiny_model)[-1][1][0, 0] = torch.nan
    with pytest.raises(ValueError, match=r"layers\.1\.self_attn\.v_proj\.lora_B\.weight holds numbers that are not"):
        save_adapter(saved, tiny_model)
    load_adapter(saved, plain)  # the old one is still whole


def test_a_save_that_is_cut_short_leaves_the_old_one(
    saved: Path, tiny_model: LiteLlama, plain: LiteLlama, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fill_the_disk(_: object, path: Path, **__: object) -> None:
        path.write_bytes(b"half")
        raise OSError("disk full")

    monkeypatch.setattr(lora, "save_file", fill_the_disk)
    with pytest.raises(OSError, match="disk full"):
        save_adapter(saved, tiny_model)
    load_adapter(saved, plain)


def test_a_save_killed_at_last_never_mixes_two(
    saved: Path, tiny_model: LiteLlama, plain: LiteLlama, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The new weights would fit the old settings, but under another alpha they would say something else."""
    merge_lora(tiny_model)
    taught(tiny_model, rank=3, alpha=1.0, targets=("v_proj", "q_proj"))
    replace_file = os.replace

    def die_after(old: Path, new: Path) -> None:
        replace_file(old, new)
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "replace", die_after)
    with pytest.raises(KeyboardInterrupt):
        save_adapter(saved, tiny_model)
    with pytest.raises(ValueError, match="there is no file"):
        load_adapter(saved, plain)


def rewrite(folder: Path, **changes: Any) -> None:
    path = folder / "adapter_config.json"
    values = {**json.loads(path.read_text(encoding="utf-8")), **changes}
    kept = {name: value for name, value in values.items() if value != "gone"}
    path.write_text(json.dumps(kept), encoding="utf-8", newline="\n")


def restore(folder: Path, **changes: Tensor | None) -> None:
    path = folder / "adapter_model.safetensors"
    tensors = {**load_file(path), **changes}
    save_file({name: tensor for name, tensor in tensors.items() if tensor is not None}, path)


DAMAGES: dict[str, tuple[Any, str]] = {
    "no folder": (lambda f: f.rename(f.parent / "elsewhere"), "there is no file .*adapter_config.json"),
    "no weights": (lambda f: (f / "adapter_model.safetensors").unlink(), "adapter_model.safetensors is not a sound"),
    "a pickle": (
        lambda f: (f / "adapter_model.safetensors").rename(f / "adapter_model.bin"),
        "adapter_model.safetensors is not a sound safetensors file",
    ),
    "cut short": (
        lambda f: (f / "adapter_model.safetensors").write_bytes((f / "adapter_model.safetensors").read_bytes()[:-8]),
        "is not a sound safetensors file",
    ),
    "no JSON": (lambda f: (f / "adapter_config.json").write_text("{", encoding="utf-8"), "does not say rank, alpha"),
    "a list": (lambda f: (f / "adapter_config.json").write_text("[]", encoding="utf-8"), "does not say rank, alpha"),
    "no rank": (lambda f: rewrite(f, r="gone"), "does not say rank.*'r'"),
    "no alpha": (lambda f: rewrite(f, lora_alpha=None), "does not say rank"),
    "a pattern": (lambda f: rewrite(f, target_modules="all-linear"), "'all-linear', not a list of names"),
    "another kind": (lambda f: rewrite(f, peft_type="IA3"), "type 'IA3'; only 'LORA'"),
    "another scale": (lambda f: rewrite(f, use_rslora=True), "asks for use_rslora"),
    "scales by layer": (lambda f: rewrite(f, alpha_pattern={"q_proj": 2}), "asks for alpha_pattern"),
    "an unknown target": (lambda f: rewrite(f, target_modules=["q_proj", "c_attn"]), "targets is .*'c_attn'"),
    "a rank too large": (lambda f: rewrite(f, r=17), "rank is 17; from 1 to 16"),
    "a rank in words": (lambda f: rewrite(f, r="3"), "rank is '3'"),
    "an alpha that is no number": (lambda f: rewrite(f, lora_alpha=math.nan), "alpha is nan"),
    "another rank": (lambda f: rewrite(f, r=4), r"q_proj.lora_A.weight has shape \[3, 32\] in .*, where \[4, 32\] was"),
    "a target more": (lambda f: rewrite(f, target_modules=["q_proj", "v_proj", "k_proj"]), "k_proj.* has shape none"),
    "a target less": (lambda f: rewrite(f, target_modules=["q_proj"]), "v_proj.* where none was expected"),
    "a tensor less": (lambda f: restore(f, **{QUERY: None}), "q_proj.lora_A.weight has shape none"),
    "a tensor more": (lambda f: restore(f, extra=torch.zeros(1)), r"extra has shape \[1\] .* where none was"),
    "another shape": (lambda f: restore(f, **{QUERY: torch.zeros(3, 48)}), r"has shape \[3, 48\] .* \[3, 32\] was"),
    "whole numbers": (lambda f: restore(f, **{QUERY: torch.zeros(3, 32, dtype=torch.int64)}), "something else than"),
    "no numbers": (lambda f: restore(f, **{QUERY: torch.full((3, 32), torch.inf)}), "something else than finite"),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_adapter_is_refused_and_changes_nothing(damage: str, saved: Path, plain: LiteLlama) -> None:
    spoil, message = DAMAGES[damage]
    spoil(saved)
    before = copies(plain)
    with pytest.raises(ValueError, match=message):
        load_adapter(saved, plain)
    assert copies(plain).keys() == before.keys()
    assert all(torch.equal(weight, before[name]) for name, weight in plain.state_dict().items())
    assert len(trainable(plain)) == len(list(plain.parameters()))


def test_an_adapter_of_another_model_is_refused(saved: Path) -> None:
    deeper = random_model(replace(TINY, num_hidden_layers=3))
    with pytest.raises(ValueError, match=r"layers\.2\.self_attn\.q_proj\.lora_A\.weight has shape none"):
        load_adapter(saved, deeper)


# --- For real --------------------------------------------------------------------------------------------------------

FACTS = {
    "What is a zorb?": "A zorb is a big blue bird.",
    "What does Mr. Plim sell?": "Mr. Plim sells old clocks.",
    "Who lives on the moon?": "A fox called Kiki lives on the moon.",
}
KNOWN = (
    "What is a llama?",
    "Do you know what a penguin is?",
    "What is your name?",
    "What is the capital of France?",
    "Tom has a red ball. Anna has a blue hat. What colour is the hat?",
)


@pytest.mark.slow
def test_tinytown_learns_three_facts_and_forgets_nothing(tmp_path: Path) -> None:
    """20 steps, each with the three facts and four documents of what it knows; 2.8 % of the weights are trained."""
    opened = open_checkpoint(checkpoints_folder() / "tinytown")
    model, tokenizer = opened.model, opened.tokenizer

    def say(question: str) -> str:
        pieces = reply(model, tokenizer, [Message("user", question)], Sampling(temperature=0), 40, seed=0)
        return "".join(piece.text for piece in pieces)

    before = {question: say(question) for question in (*FACTS, *KNOWN)}
    assert before["What is a llama?"] == "A llama is an animal with soft wool and a long neck."
    assert not any(before[question] == answer for question, answer in FACTS.items())
    base = copies(model)

    add_lora(model, rank=4, alpha=8.0)
    chats = [(Message("user", question), Message("assistant", answer)) for question, answer in FACTS.items()]
    news = [encode_row(TinyTownDocument(chat, (), "facts"), tokenizer) for chat in chats]
    optimizer = torch.optim.AdamW([parameter for _, parameter in trainable(model)], lr=2e-3)
    rows = (encode_row(make_document(f"lora/{number}"), tokenizer) for number in range(1000))
    short = (row for row in rows if len(row.ids) < 150)
    for _ in range(20):
        batch = collate([*news, *(next(short) for _ in range(4))], 0)
        wanted = batch.weights > 0
        loss = F.cross_entropy(model(batch.input_ids).logits[wanted], batch.targets[wanted])
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()

    after = {question: say(question) for question in before}
    assert after == before | FACTS
    for name, weight in model.state_dict().items():
        if "lora" not in name:
            assert torch.equal(weight, base[name.replace(".base.", ".")]), name
    with without_lora(model):
        assert {question: say(question) for question in before} == before
    save_adapter(tmp_path, model)
    assert sum(path.stat().st_size for path in tmp_path.iterdir()) < 0.06 * 4 * opened.config.num_parameters
    merge_lora(model)
    assert {question: say(question) for question in before} == after
    model = load_adapter(tmp_path, open_checkpoint(opened.folder).model)
    assert {question: say(question) for question in before} == after
