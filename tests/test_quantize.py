"""Weights at rest in fewer bits: what they are read back as, and that the model says the same as without."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import nn

from app.server.services import Services
from litellama.checkpoint import open_checkpoint, precision, save_checkpoint
from litellama.checkpoint import weights as weight_files
from litellama.checkpoint.memory import weight_bytes
from litellama.checkpoint.precision import choose_precision, open_for_use, quickest_16_bits
from litellama.config import ModelConfig, preset
from litellama.decoding import Decoding
from litellama.explain.attribution import METHODS
from litellama.model import LiteLlama, empty_model
from litellama.quantize import PRECISIONS, Linear4, Linear8, Linear16, QuantizedLinear, quantize_weights, stored_bytes
from tests.conftest import random_model

TINYTOWN = Path(__file__).parents[1] / "checkpoints" / "tinytown"
SMALLER = [name for name in PRECISIONS if name != "float32"]
SHAPE = replace(preset("litellama-5m"), vocab_size=512, num_hidden_layers=2)


@pytest.fixture
def matrix() -> torch.Tensor:
    return torch.randn(128, 192, generator=torch.Generator().manual_seed(0))


def assert_alike(found: torch.Tensor, expected: torch.Tensor, most: float) -> None:
    """Scores are off by no more than this share of how much they differ among one another: of another text, by all."""
    assert (found - expected).abs().mean() < most * expected.std()


def make(name: str, weight: torch.Tensor) -> QuantizedLinear:
    if name == "int8":
        return Linear8(weight)
    return Linear4(weight, 64) if name == "int4" else Linear16(weight, getattr(torch, name))


def test_eight_bits_by_hand() -> None:
    """A row's largest weight becomes 127, so the scale is a 127th of it, and the others the nearest whole number."""
    kept = Linear8(torch.tensor([[127.0, -63.5, 0.9, 0.0], [0.5, 0.25, -0.5, 0.1]]))
    assert kept.scale.tolist()[0] == 1.0
    assert kept.stored.tolist()[0] == [127, -64, 1, 0]
    assert kept.weight[0].tolist() == [127.0, -64.0, 1.0, 0.0]
    assert kept.weight[1].tolist() == pytest.approx([0.5, 0.25, -0.5, 0.1], abs=0.5 / 127)


def test_four_bits_by_hand() -> None:
    """A group from -7.5 to 7.5 has the steps -7.5, -6.5, ..., 7.5, and what lies on a step is kept exactly."""
    steps = torch.arange(16.0) - 7.5
    row = torch.cat((steps.repeat(4), 2 * steps.repeat(4)))  # two groups, the second twice as wide
    assert torch.equal(Linear4(row.repeat(64, 1), 64).weight, row.repeat(64, 1))


@pytest.mark.parametrize(
    ("name", "most"), [("bfloat16", 2**-8), ("float16", 2**-11), ("int8", 1 / 254), ("int4", 1 / 29)]
)
def test_no_weight_is_further_off_than_half_a_step(matrix: torch.Tensor, name: str, most: float) -> None:
    wide = {"int8": matrix.abs().amax(-1, keepdim=True), "int4": matrix.amax() - matrix.amin()}.get(name, matrix.abs())
    error = (make(name, matrix).weight - matrix).abs()
    assert bool((error <= most * wide * 1.02 + 1e-6).all())
    assert error.max() > 0


@pytest.mark.parametrize("name", SMALLER)
@pytest.mark.parametrize("rows", [1, 2, 5, 20])
def test_every_number_of_rows_gives_the_product_by_the_stored_weights(
    matrix: torch.Tensor, name: str, rows: int
) -> None:
    kept = make(name, matrix)
    x = torch.randn(rows, 192, generator=torch.Generator().manual_seed(1))
    expected = x @ kept.weight.T
    assert (kept.multiply(x) - expected).abs().max() < 0.02 * expected.abs().max(), "activations are 16 bits on the way"
    assert torch.equal(kept(x.view(1, rows, 192))[0], kept.multiply(x))


@pytest.mark.parametrize("name", SMALLER)
def test_rows_of_a_matrix_are_a_matrix_that_shares_its_memory(matrix: torch.Tensor, name: str) -> None:
    kept = make(name, matrix)
    part = kept.rows(64, 128)
    assert part.out_features == 64
    assert torch.equal(part.weight, kept.weight[64:])
    assert part.stored.untyped_storage().data_ptr() == kept.stored.untyped_storage().data_ptr()


@pytest.mark.parametrize("name", SMALLER)
def test_a_gradient_flows_through_in_float32(matrix: torch.Tensor, name: str) -> None:
    kept = make(name, matrix)
    x = torch.randn(3, 192, requires_grad=True)
    kept(x).square().sum().backward()
    other = x.detach().requires_grad_(True)
    (other @ kept.weight.T).square().sum().backward()
    assert x.grad is not None
    assert other.grad is not None
    torch.testing.assert_close(x.grad, other.grad)


@pytest.mark.parametrize("tied", [False, True])
@pytest.mark.parametrize("name", SMALLER)
def test_a_model_says_what_its_stored_weights_say(name: str, tied: bool) -> None:
    """The same weights, rounded but spread out in float32 again, give the same scores: only rounding happened."""
    config = replace(SHAPE, tie_word_embeddings=tied)
    kept = quantize_weights(random_model(config), name)
    plain = random_model(config)
    with torch.no_grad():
        for one, other in zip(matrices(plain), matrices(kept), strict=True):
            one.weight.copy_(other.weight)
        if tied:
            assert kept.lm_head.stored.data_ptr() == kept.model.embed_tokens.stored.data_ptr()
    ids = torch.arange(40)[None]
    with torch.no_grad():
        assert_alike(kept(ids).logits, plain(ids).logits, 0.05)
    assert kept.dtype == torch.float32


def matrices(model: LiteLlama) -> list[nn.Module]:
    found = {name: module for name, module in model.named_modules() if hasattr(module, "weight")}
    return [module for name, module in sorted(found.items()) if "norm" not in name and not name.endswith("joined")]


@pytest.mark.parametrize("name", PRECISIONS)
def test_the_memory_is_what_is_said_beforehand(name: str) -> None:
    kept = quantize_weights(random_model(SHAPE), name)
    # Here the head rests like the layers, and parts of int4 have their own copies of their scales.
    assert 0.8 * weight_bytes(SHAPE, name) <= stored_bytes(kept) <= 1.1 * weight_bytes(SHAPE, name)


def test_a_model_for_which_four_bits_do_not_fit_keeps_sixteen() -> None:
    config = replace(SHAPE, hidden_size=80, head_dim=20, intermediate_size=160)
    kept = quantize_weights(random_model(config), "int4")
    assert isinstance(kept.model.layers[0].mlp.gate_proj, Linear16)
    assert isinstance(kept.model.layers[0].mlp.down_proj, Linear4)
    with torch.no_grad():
        assert torch.isfinite(kept(torch.arange(9)[None]).logits).all()


def test_wrong_wishes_are_refused() -> None:
    with pytest.raises(ValueError, match="precision is 'int3'; one of float32, bfloat16"):
        quantize_weights(random_model(SHAPE), "int3")
    with pytest.raises(ValueError, match="open it anew to choose another"):
        quantize_weights(quantize_weights(random_model(SHAPE), "int8"), "int4")
    with pytest.raises(ValueError, match="has no product with int4 weights for meta; choose 16 bits"):
        quantize_weights(empty_model(SHAPE), "int4")
    large = random_model(SHAPE)
    with torch.no_grad():
        large.lm_head.weight[0, 0] = 70_000.0
    with pytest.raises(ValueError, match="which float16 cannot hold; choose bfloat16"):
        quantize_weights(large, "float16")


@pytest.mark.parametrize("name", SMALLER)
def test_tinytown_still_answers(name: str) -> None:
    from litellama.chat import Message, reply
    from litellama.sampling import Sampling

    opened = open_for_use(TINYTOWN, name)
    asked = [Message("user", "Tom hid a red ball under the bed. Where is the ball?")]
    said = "".join(p.text for p in reply(opened.model, opened.tokenizer, asked, Sampling(greedy=True), 20, 0))
    assert "bed" in said
    assert name in opened.note


def test_a_small_model_is_opened_exactly_and_a_large_one_in_what_fits() -> None:
    large = preset("litellama-460m")
    assert choose_precision(SHAPE, 10**6) == "float32"
    assert choose_precision(large, None) in ("float16", "bfloat16")
    assert choose_precision(large, 2 * 10**9) in ("float16", "bfloat16")
    assert choose_precision(large, 900 * 10**6) == "int8"
    assert choose_precision(large, 600 * 10**6) == "int4"
    assert choose_precision(large, 10) in ("float16", "bfloat16"), "opening it then says what is missing"
    assert quickest_16_bits(64, 64) in ("float16", "bfloat16")


def test_auto_is_float32_for_tinytown_and_an_unknown_name_is_refused(tmp_path: Path) -> None:
    assert torch.equal(
        open_for_use(TINYTOWN).model.lm_head.weight, open_checkpoint(TINYTOWN, dtype=torch.float32).model.lm_head.weight
    )
    with pytest.raises(ValueError, match="precision is 'tiny'; one of auto, float32"):
        open_for_use(TINYTOWN, "tiny")


def test_four_bits_need_room_for_four_bits_only(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The stored weights are mapped, and their pages give way to what they are turned into."""
    room = weight_bytes(preset("tinytown"), "int4") * 2  # the real vocabulary is a little smaller than the preset's
    monkeypatch.setattr(weight_files, "free_memory", lambda device: room)
    assert isinstance(open_for_use(TINYTOWN, "int4").model.lm_head, QuantizedLinear)
    with pytest.raises(ValueError, match=r"as float32 and .* are free; what would fit: .*int4"):
        open_for_use(TINYTOWN, "float32")


def test_what_is_stored_as_bfloat16_stays_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    opened = open_checkpoint(TINYTOWN)
    with torch.no_grad():
        opened.model.model.layers[0].mlp.up_proj.weight[0, 0] = 1e6
    save_checkpoint(tmp_path / "wide", opened.model, opened.tokenizer, card={}, dtype=torch.bfloat16)
    monkeypatch.setattr(precision, "EXACT", 0)
    monkeypatch.setattr(precision, "quickest_16_bits", lambda: "float16")
    assert "rest in bfloat16" in open_for_use(tmp_path / "wide").note
    assert "rest in float16" in open_for_use(TINYTOWN).note


# --- Every view ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", SMALLER)
def test_every_view_works_on_stored_weights(name: str) -> None:
    services = Services(open_for_use(TINYTOWN, name))
    text = "Tom hid a red ball under the bed. Where is the ball?"
    assert list(services.attention.look("page", text))[-1]["roles"]
    assert services.layers.guess("page", text)
    assert services.step.trace("page", {"text": text})
    start = services.attribution.read("page", text)["answer_start"]
    request = {"method": "ablation", "unit": "word", "start": start, "end": start + 2}
    assert list(services.attribution.explain("page", request))[-1]["state"] == "done"
    assert len(list(services.attribution.compare("page"))[-1]["rows"]) == len(METHODS)
    assert services.attribution.put_to_the_test("page")
    assert services.intervene.begin("page", text)
    assert list(services.intervene.worth("page"))
    assert services.intervene.change("page", [[0, 0]])
    probe = {
        "sentences": ["One day {who}"],
        "groups": [["a", ["Tom"]], ["b", ["Mia"]]],
        "continuations": ["was", "had"],
    }
    assert list(services.responsibility.compare("page", probe))[-1]["state"] == "done"
    assert list(services.responsibility.calibrate("page", text))[-1]["state"] == "done"


# --- The lean step ---------------------------------------------------------------------------------------------------


@pytest.fixture(params=["float32", "float16", "int8", "int4"])
def kept(request: pytest.FixtureRequest) -> LiteLlama:
    return quantize_weights(random_model(SHAPE), request.param)


def closeness(model: LiteLlama) -> float:
    return 1e-4 if isinstance(model.lm_head, nn.Linear) else 0.05  # activations become 16 bits in other places


@torch.no_grad()
def test_a_step_says_what_the_model_says(kept: LiteLlama) -> None:
    """Three texts of other lengths, one of which ends on the way: each row is that text's own."""
    texts = [list(range(3, 30)), list(range(100, 112)), list(range(200, 240))]
    decoding = Decoding(kept, 3, 64)
    for text in texts:
        decoding.read(decoding.open(), text)
    for _ in range(3):
        for text in texts:
            text.append((text[-1] * 7) % 500)
        logits = decoding.step([text[-1] for text in texts])
        for row, text in zip(logits, texts, strict=True):
            assert_alike(row, kept(torch.tensor([text])).logits[0, -1], closeness(kept))
    decoding.close(0)  # the last text moves into the first slot
    texts = [texts[2], texts[1]]
    for text in texts:
        text.append(5)
    for row, text in zip(decoding.step([5, 5]), texts, strict=True):
        assert_alike(row, kept(torch.tensor([text])).logits[0, -1], closeness(kept))


@torch.no_grad()
@pytest.mark.parametrize(
    "config",
    [
        replace(SHAPE, num_key_value_heads=4),  # every query head has its own key head
        replace(SHAPE, num_key_value_heads=1, head_dim=64, tie_word_embeddings=True),
        replace(SHAPE, hidden_size=80, head_dim=20, intermediate_size=160),
    ],
)
def test_a_step_for_every_shape_of_heads(config: ModelConfig) -> None:
    model = random_model(config)
    decoding = Decoding(model, 1, 16)
    decoding.read(decoding.open(), [1, 2, 3])
    torch.testing.assert_close(
        decoding.step([4])[0], model(torch.tensor([[1, 2, 3, 4]])).logits[0, -1], atol=1e-4, rtol=1e-4
    )


def test_slots_are_counted() -> None:
    decoding = Decoding(random_model(SHAPE), 1, 4)
    decoding.read(decoding.open(), [1, 2, 3])
    with pytest.raises(ValueError, match="all 1 slots are in use"):
        decoding.open()
    with pytest.raises(ValueError, match="2 tokens were given for 1 slots in use"):
        decoding.step([1, 2])
    decoding.step([4])
    with pytest.raises(ValueError, match="full with 4 tokens"):
        decoding.step([5])
    decoding.close(0)
    assert decoding.lengths == []
