"""Training: resumed = uninterrupted, bit for bit; it learns; the evaluation counts what greedy decoding says."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

import pytest
import torch
import typer
from typer.main import get_command

from litellama.chat import reply
from litellama.checkpoint import checkpoints_folder, open_checkpoint
from litellama.cli.evaluate import evaluate as evaluate_command
from litellama.cli.train import train as train_command
from litellama.config import ModelConfig, preset
from litellama.data.batches import ANSWER, STEPS_PER_BLOCK, TOLD_STORY, USER, TinyTownBatches, TokenBatch, encode_row
from litellama.evaluation.exact_match import HELD_OUT_SPLITS, Score, evaluate, held_out_batches
from litellama.evaluation.perplexity import validation_loss
from litellama.model import LiteLlama
from litellama.sampling import Sampling
from litellama.tinytown.corpus import make_document
from litellama.tokenizer import Tokenizer
from litellama.training.initial_weights import initialise, new_model
from litellama.training.loop import train
from litellama.training.objective import Objective
from litellama.training.optimizers import learning_rate
from litellama.training.recipe import Recipe
from litellama.training.replicas import Replicas
from tests.conftest import random_model


@pytest.fixture(scope="module")
def tokenizer() -> Tokenizer:
    documents = (make_document(f"tokenizer/{number}") for number in range(400))
    return Tokenizer.train((" " + m.content for d in documents for m in d.messages), 900)


@pytest.fixture
def config(tokenizer: Tokenizer) -> ModelConfig:
    return replace(
        preset("tinytown"), vocab_size=tokenizer.vocab_size, hidden_size=32, intermediate_size=64,
        num_hidden_layers=2, num_attention_heads=2, num_key_value_heads=1, head_dim=16,
    )  # fmt: skip


@pytest.fixture
def recipe() -> Recipe:
    return Recipe(steps=6, warmup_steps=2, save_every=2, bfloat16=False)


@pytest.fixture
def batches(tokenizer: Tokenizer) -> TinyTownBatches:
    return TinyTownBatches(tokenizer, seed=0, rows_per_batch=4, max_length=512)


def loss_of(module: torch.nn.Module, batch: TokenBatch) -> tuple[torch.Tensor, torch.Tensor]:
    loss, right = module(batch.input_ids, batch.targets, batch.weights, batch.documents)
    return loss, right


def score_of(model: LiteLlama, tokenizer: Tokenizer, documents: int, seed: int = 0) -> Score:
    *_, score = evaluate(model, tokenizer, documents, seed)
    assert isinstance(score, Score)
    return score


@pytest.mark.parametrize("optimizer", ["adamw", "muon"])
@pytest.mark.fault(29)
def test_resumed_is_uninterrupted_bit_for_bit(
    config: ModelConfig, recipe: Recipe, batches: TinyTownBatches, tmp_path: Path, optimizer: Literal["adamw", "muon"]
) -> None:
    recipe = replace(recipe, optimizer=optimizer)
    whole, resumed = new_model(config, 0), new_model(config, 1)
    losses = [metrics.loss for metrics in train(recipe, whole, batches, tmp_path / "a")]
    stream = train(recipe, new_model(config, 0), batches, tmp_path / "b")
    first = [next(stream).loss for _ in range(3)]
    stream.close()  # as Ctrl-C does: between two saves
    rest = [metrics.loss for metrics in train(recipe, resumed, batches, tmp_path / "b", resume=True)]
    assert first + rest == losses
    for name, parameter in whole.state_dict().items():
        assert torch.equal(parameter, resumed.state_dict()[name]), name


def test_it_learns(config: ModelConfig, recipe: Recipe, batches: TinyTownBatches, tmp_path: Path) -> None:
    recipe = replace(recipe, steps=40, learning_rate=5e-3)
    losses = [metrics.loss for metrics in train(recipe, new_model(config, 0), batches, tmp_path)]
    assert sum(losses[-5:]) < 0.8 * sum(losses[:5])


def test_resuming_nothing_or_another_shape_is_refused(
    config: ModelConfig, recipe: Recipe, batches: TinyTownBatches, tmp_path: Path
) -> None:
    with pytest.raises(ValueError, match="no training to resume"):
        next(train(recipe, new_model(config, 0), batches, tmp_path, resume=True))
    list(train(replace(recipe, steps=1), new_model(config, 0), batches, tmp_path))
    other = new_model(replace(config, hidden_size=64), 0)
    with pytest.raises(ValueError, match="another shape"):
        next(train(recipe, other, batches, tmp_path, resume=True))


@pytest.mark.parametrize("way", [{"accumulate": 2}, {"accumulate": 3, "threads": 2}, {"recompute": True}])
def test_however_the_work_is_done_the_losses_are_the_same(
    config: ModelConfig, recipe: Recipe, batches: TinyTownBatches, tmp_path: Path, way: dict[str, Any]
) -> None:
    runs = []
    for number, one in enumerate((recipe, replace(recipe, **way))):
        runs.append(list(train(one, new_model(config, 0), batches, tmp_path / str(number))))
    for a, b in zip(*runs, strict=True):
        assert b.loss == pytest.approx(a.loss, rel=1e-4)
        assert b.gradient_norm == pytest.approx(a.gradient_norm, rel=1e-3)
        assert b.accuracy == a.accuracy
        assert b.tokens_seen == a.tokens_seen


def test_recomputing_holds_less(config: ModelConfig, recipe: Recipe, batches: TinyTownBatches) -> None:
    """What is kept for the way back, in bytes, with and without."""
    from litellama.training.objective import recompute

    held = []
    for again in (False, True):
        model = new_model(config, 0)
        if again:
            recompute(model)
        kept = 0

        def note(tensor: torch.Tensor) -> torch.Tensor:
            nonlocal kept
            kept += tensor.numel() * tensor.element_size()
            return tensor

        with torch.autograd.graph.saved_tensors_hooks(note, lambda tensor: tensor):
            loss_of(Objective(model, bfloat16=False, everywhere=False), batches[0])
        held.append(kept)
    assert held[1] < 0.6 * held[0]


def test_computing_the_head_everywhere_is_the_same(config: ModelConfig, batches: TinyTownBatches) -> None:
    """The way of GPUs and compilers against that of the CPU."""
    model, batch = random_model(config), batches[1]
    batch = replace(batch, weights=batch.weights * torch.linspace(0.25, 1, batch.weights.shape[1]))  # of many sizes
    found, gradients = [], []
    for everywhere in (False, True):
        model.zero_grad()
        loss, right = loss_of(Objective(model, bfloat16=False, everywhere=everywhere), batch)
        (loss * 0.5).backward()
        found.append((loss.item(), right.item()))
        gradients.append(
            {name: weight.grad.clone() for name, weight in model.named_parameters() if weight.grad is not None}
        )
    assert found[0] == (pytest.approx(found[1][0], rel=1e-5), found[1][1])
    assert len(gradients[0]) == len(gradients[1]) == len(list(model.parameters()))
    for name, gradient in gradients[0].items():
        torch.testing.assert_close(gradient, gradients[1][name], rtol=1e-3, atol=1e-4, msg=name)


@pytest.mark.parametrize("where", ["loss", "gradient"])
@pytest.mark.fault(30)
def test_a_loss_that_is_no_number_stops_before_the_update(
    config: ModelConfig, recipe: Recipe, batches: TinyTownBatches, tmp_path: Path, where: str
) -> None:
    model = new_model(config, 0)
    stream = train(recipe, model, batches, tmp_path)
    next(stream)
    if where == "loss":
        with torch.no_grad():
            model.model.norm.weight.fill_(torch.nan)
    else:
        model.model.layers[0].mlp.down_proj.weight.register_hook(lambda gradient: gradient * torch.inf)
    before = model.model.layers[0].mlp.up_proj.weight.clone()
    with pytest.raises(FloatingPointError, match="nothing was changed"):
        next(stream)
    assert torch.equal(model.model.layers[0].mlp.up_proj.weight, before)


@pytest.mark.parametrize(
    ("step", "schedule", "expected"),
    [(0, "cosine", 0.5e-3), (1, "cosine", 1e-3), (2, "cosine", 1e-3), (12, "cosine", 1e-4),
     (5, "wsd", 1e-3), (9, "wsd", 1e-3), (11, "wsd", 0.33333e-3), (12, "wsd", 0.0)],
)  # fmt: skip
def test_learning_rate(step: int, schedule: str, expected: float) -> None:
    recipe = Recipe(steps=12, warmup_steps=2, schedule=schedule, decay=0.25)  # type: ignore[arg-type]
    assert learning_rate(step, recipe) == pytest.approx(expected, rel=1e-3)


def test_a_plan_that_makes_no_sense_is_refused() -> None:
    for wrong in ({"steps": 0}, {"learning_rate": 3.0}, {"schedule": "linear"}, {"accumulate": 0}, {"spread": "thin"}):
        with pytest.raises(ValueError, match="expected"):
            Recipe(**{"steps": 5, **wrong})


def test_blocks_begin_as_do_nothing(config: ModelConfig) -> None:
    model = LiteLlama(config)
    initialise(model, seed=0)
    output = model(torch.arange(6)[None], output_hidden_states=True)
    assert torch.equal(output.hidden_states[0], output.hidden_states[-1])


def test_weights_count_answers_most(tokenizer: Tokenizer) -> None:
    for number in range(60):
        document = make_document(number)
        row = encode_row(document, tokenizer)
        answers = [document.messages[question.answer].content for question in document.questions]
        alone = sum(len(tokenizer.encode(" " + answer)) + 1 for answer in answers)
        counted = sum(weight == ANSWER for weight in row.weights)
        assert counted >= alone  # and the reply to a story without a question
        assert set(row.weights) <= {0.0, USER, TOLD_STORY, ANSWER}
        story = document.messages[1].content if any(q.story == 1 for q in document.questions) else None
        expected = len(tokenizer.encode(" " + story)) + 1 if story else 0
        assert sum(weight == TOLD_STORY for weight in row.weights) == expected


def test_batches_depend_on_seed_and_step_alone(tokenizer: Tokenizer) -> None:
    forth = TinyTownBatches(tokenizer, seed=1, rows_per_batch=3, max_length=256)
    back = TinyTownBatches(tokenizer, seed=1, rows_per_batch=3, max_length=256)
    steps = range(2 * STEPS_PER_BLOCK)
    one = [forth[step].input_ids for step in steps]
    two = [back[step].input_ids for step in reversed(steps)][::-1]
    assert all(torch.equal(a, b) for a, b in zip(one, two, strict=True))
    other = TinyTownBatches(tokenizer, seed=2, rows_per_batch=3, max_length=256)
    assert other[0].input_ids.shape != one[0].shape or not torch.equal(other[0].input_ids, one[0])
    assert max(batch.shape[1] for batch in one) < 256


def test_exercises_come_before_stories(tokenizer: Tokenizer) -> None:
    """As many batches as asked for, to the next full block, hold exercises only; then documents of all sorts come."""
    batches = TinyTownBatches(tokenizer, 0, 2, 4096, exercises=STEPS_PER_BLOCK + 1)
    for block, exercise in ((0, True), (1, True), (2, False)):
        made = [make_document(f"0/{block}/{number}", exercise=exercise) for number in range(2 * STEPS_PER_BLOCK)]
        expected = {tuple(encode_row(document, tokenizer).ids[:20]) for document in made}
        steps = range(block * STEPS_PER_BLOCK, (block + 1) * STEPS_PER_BLOCK)
        assert {tuple(row[:20].tolist()) for step in steps for row in batches[step].input_ids} == expected


def test_the_loss_ignores_padding(config: ModelConfig, tokenizer: Tokenizer) -> None:
    torch.manual_seed(0)
    objective = Objective(LiteLlama(config), bfloat16=False, everywhere=False)
    batch = TinyTownBatches(tokenizer, seed=1, rows_per_batch=4, max_length=256)[0]
    spoiled = replace(batch, input_ids=torch.where(batch.input_ids == 0, 7, batch.input_ids))
    assert not torch.equal(batch.input_ids, spoiled.input_ids)
    assert loss_of(objective, batch)[0].item() == pytest.approx(loss_of(objective, spoiled)[0].item())


def test_threads_together_have_the_whole_batchs_gradient(config: ModelConfig, tokenizer: Tokenizer) -> None:
    batch = TinyTownBatches(tokenizer, seed=1, rows_per_batch=5, max_length=256)[0]
    torch.manual_seed(0)
    model = LiteLlama(config)
    objective = Objective(model, bfloat16=False, everywhere=False)
    gradients = []
    for threads in (1, 3):
        model.zero_grad()
        with Replicas(objective, threads) as replicas:
            loss, right = replicas.backward([batch], loss_of)
        gradients.append({name: p.grad.clone() for name, p in model.named_parameters() if p.grad is not None})
        assert loss == pytest.approx(loss_of(objective, batch)[0].item(), rel=1e-5)
        assert right == loss_of(objective, batch)[1]
    assert len(gradients[0]) == len(list(model.parameters()))
    for name, whole in gradients[0].items():
        torch.testing.assert_close(gradients[1][name], whole, rtol=1e-4, atol=1e-5, msg=name)


def test_two_threads_resume_bit_for_bit_too(
    config: ModelConfig, recipe: Recipe, batches: TinyTownBatches, tmp_path: Path
) -> None:
    two = replace(recipe, threads=2)
    whole = [metrics.loss for metrics in train(two, new_model(config, 0), batches, tmp_path / "a")]
    stream = train(two, new_model(config, 0), batches, tmp_path / "b")
    first = [next(stream).loss for _ in range(3)]
    stream.close()
    rest = [metrics.loss for metrics in train(two, new_model(config, 2), batches, tmp_path / "b", resume=True)]
    assert first + rest == whole


def test_an_answer_counts_if_greedy_decoding_gives_it() -> None:
    """The evaluation's one forward pass against generating every answer for real."""
    opened = open_checkpoint(checkpoints_folder() / "tinytown")
    score = score_of(opened.model, opened.tokenizer, 9)
    right: list[bool] = []
    for split in HELD_OUT_SPLITS:
        for number in range(3):
            document = make_document(f"0/{number}", split)
            for question in document.questions:
                if question.category == "answerable":
                    history = document.messages[: question.answer]
                    pieces = reply(opened.model, opened.tokenizer, history, Sampling(temperature=0), 60, seed=0)
                    said = "".join(piece.text for piece in pieces)
                    right.append(said == document.messages[question.answer].content)
    assert any(right)
    assert score.answerable == pytest.approx(sum(right) / len(right), abs=1e-4)


def test_the_evaluation_repeats_itself(config: ModelConfig, tokenizer: Tokenizer) -> None:
    torch.manual_seed(0)
    model = LiteLlama(config)
    assert score_of(model, tokenizer, 6) == score_of(model, tokenizer, 6)
    assert score_of(model, tokenizer, 6).documents == 6
    with pytest.raises(ValueError, match="at least 3"):
        score_of(model, tokenizer, 2)


def test_the_documents_of_the_evaluation_come_as_batches_too(config: ModelConfig, tokenizer: Tokenizer) -> None:
    torch.manual_seed(0)
    model = LiteLlama(config)
    found = held_out_batches(tokenizer, config, 51)
    assert [len(batch.input_ids) for batch in found] == [16, 16, 16, 3]
    lengths = [batch.input_ids.shape[1] for batch in found]
    assert lengths == sorted(lengths)
    answers = [TokenBatch(b.input_ids, b.targets, (b.weights == ANSWER).float()) for b in found]
    assert validation_loss(model, answers).loss == pytest.approx(score_of(model, tokenizer, 51).loss, abs=1e-4)
    with pytest.raises(ValueError, match="at least 3"):
        held_out_batches(tokenizer, config, 2)


def test_the_command_line_trains_resumes_and_evaluates(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "small"
    common = "--preset litellama-1m --save-every 2 --rows-per-batch 2 --device cpu --questions 6"

    def train(folder: Path, options: str) -> None:
        app = typer.Typer()
        app.command()(train_command)
        get_command(app).main(["--out", str(folder), *common.split(), *options.split()], standalone_mode=False)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("litellama.training.dataset.TOKENIZER_DOCUMENTS", 300)
        train(out, "--steps 2")
        train(out, "--steps 3 --resume")
        shutil.rmtree(out)  # as if it had been killed after its last step
        train(out, "--steps 3 --resume")
        with pytest.raises(ValueError, match="has done 3 steps already"):
            train(out, "--steps 2 --resume")
        with pytest.raises(ValueError, match="holds a training already"):
            train(out, "--steps 3")
        with pytest.raises(ValueError, match="no training to resume"):
            train(tmp_path / "none", "--steps 2 --resume")
        with pytest.raises(ValueError, match="no corpus 'news'"):
            train(tmp_path / "other", "--steps 3 --corpus news")
        with pytest.raises(ValueError, match="either a number of steps or of minutes"):
            train(tmp_path / "other", "--steps 3 --minutes 1")
    opened = open_checkpoint(out)
    assert opened.verified
    assert opened.card is not None
    assert opened.card["steps"] == 3
    capsys.readouterr()
    evaluate_command(out, as_json=True, documents=6, seed=0)
    result = json.loads(capsys.readouterr().out)
    assert {"loss", "answerable", "unanswerable", "outside", "kinds", "documents"} <= set(result)
    lines = [json.loads(line) for line in (tmp_path / "small-training" / "metrics.jsonl").read_text().splitlines()]
    assert [line["step"] for line in lines if line["news"] == "Stepped"] == [1, 2, 3]
    assert sum(line["news"] == "Ended" and line["checkpoint"] is not None for line in lines) == 3
    assert any(line["news"] == "Sample" and line["text"] for line in lines)


def test_tensorboard_reads_the_news(tmp_path: Path) -> None:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    from litellama.training.events import Sample, Stepped, TrainingEnded, Validated
    from litellama.training.loop import Metrics
    from litellama.training.tensorboard import tensorboard

    tell = tensorboard(tmp_path)
    for step in (1, 2):
        tell(Stepped(Metrics(step, 4.0 / step, 0.1, 1e-3, 1.0, 8, 1.0, 8.0, 1e9), 0.5, None, "no sensor", 10**9))
    tell(Validated(2, {"loss": 3.0}))
    tell(Sample(2, "Once", " upon a time"))
    tell(TrainingEnded(2, None))
    found = EventAccumulator(str(tmp_path)).Reload()
    assert [(one.step, one.value) for one in found.Scalars("training/loss")] == [(1, 4.0), (2, 2.0)]
    assert [one.value for one in found.Scalars("held_out/loss")] == [3.0]
    assert "machine/joules" not in found.Tags()["scalars"], "what nobody measured is not drawn as nought"
