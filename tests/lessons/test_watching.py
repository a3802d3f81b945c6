"""Trainings in a notebook: shown while they go on, stopped without a loss, never over what is not theirs, and kept."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from lessons.kit import NotYet, begin
from lessons.kit import watching as kit
from lessons.kit.lesson import Lesson
from lessons.kit.watching import Watched, keep
from litellama.checkpoint import list_models, open_checkpoint
from litellama.config import preset
from litellama.data.tinytown_text import story_text
from litellama.scaling.sweep import SweepRecipe, SweepResult
from litellama.training.events import Stepped, TrainingEvent
from litellama.training.recipe import Recipe

SHAPE = replace(
    preset("litellama-300k"), vocab_size=512, hidden_size=16, intermediate_size=32, num_hidden_layers=1,
    num_attention_heads=2, num_key_value_heads=1, head_dim=8,
)  # fmt: skip


@pytest.fixture
def lesson(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Lesson:
    monkeypatch.setenv("LITELLAMA_LESSONS_WORK", str(tmp_path / "work"))
    monkeypatch.setenv("LITELLAMA_LESSONS", "fast")
    return begin(5, "de")


@pytest.fixture
def recipe(lesson: Lesson) -> Recipe:
    lesson.folder.mkdir()
    (lesson.folder / "text.txt").write_text(story_text(120), encoding="utf-8")
    return Recipe(
        out=lesson.folder / "train" / "one", corpus=str(lesson.folder / "text.txt"), config=SHAPE, steps=6, rows=2,
        length=32, evaluate_every=2, samples=2, prompt="Anna has",
    )  # fmt: skip


def interrupting(monkeypatch: pytest.MonkeyPatch, step: int) -> None:
    """Press the stop button, as Jupyter does it, once behind this step."""
    hear, pressed = Watched.hear, []

    def press(seen: Watched, event: TrainingEvent) -> None:
        hear(seen, event)
        if isinstance(event, Stepped) and event.metrics.step == step and not pressed:
            pressed.append(step)
            os.kill(os.getpid(), signal.SIGINT)

    monkeypatch.setattr(Watched, "hear", press)


def test_what_a_training_told_is_there_afterwards(lesson: Lesson, recipe: Recipe) -> None:
    seen = lesson.watch(recipe)
    assert len(seen.losses) == seen.steps == 6
    assert [step for step, _ in seen.held] == [2, 4, 6]
    assert seen.samples[-1][:2] == (6, "Anna has")
    assert seen.checkpoint == recipe.out
    assert seen.parameters == open_checkpoint(recipe.out).config.num_parameters
    assert seen.tokens == 6 * 2 * 32
    assert seen.tokens_per_second > 0
    assert lesson.watch(recipe).losses == seen.losses, "done, so it begins anew"


def test_the_stop_button_saves_and_the_same_cell_goes_on(
    lesson: Lesson, recipe: Recipe, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = lesson.watch(replace(recipe, out=recipe.out.with_name("whole")))
    interrupting(monkeypatch, 3)
    stopped = lesson.watch(recipe)
    assert stopped.stopped
    assert stopped.checkpoint is None
    assert stopped.losses == whole.losses[:3]
    with pytest.raises(NotYet, match="nicht zu Ende"):
        lesson.keep(stopped, "mine")
    seen = lesson.watch(recipe)
    assert seen.losses == whole.losses
    assert seen.held == whole.held
    assert [step for step, _, _ in seen.samples] == [step for step, _, _ in whole.samples]
    assert not seen.stopped
    assert seen.checkpoint == recipe.out


def test_another_job_in_the_same_folder_begins_anew(
    lesson: Lesson, recipe: Recipe, monkeypatch: pytest.MonkeyPatch
) -> None:
    interrupting(monkeypatch, 3)
    lesson.watch(recipe)
    assert len(lesson.watch(replace(recipe, learning_rate=1e-2)).losses) == 6


def test_a_training_may_clear_nothing_outside_the_lessons_folder(
    lesson: Lesson, recipe: Recipe, tmp_path: Path
) -> None:
    outside = tmp_path / "dear"
    outside.mkdir()
    for folder in (outside, lesson.folder, lesson.folder / ".." / "dear"):
        with pytest.raises(ValueError, match=r"must lie in lesson\.folder"):
            lesson.watch(replace(recipe, out=folder))
    assert outside.is_dir()
    assert (lesson.folder / "text.txt").exists()


def test_a_training_that_breaks_down_keeps_its_losses(
    lesson: Lesson, recipe: Recipe, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = kit.run

    def breaking(*arguments: Any) -> Iterator[TrainingEvent]:
        for event in run(*arguments):
            yield event
            if isinstance(event, Stepped) and event.metrics.step == 2:
                raise FloatingPointError("the loss became nan")

    monkeypatch.setattr(kit, "run", breaking)
    seen = lesson.watch(recipe)
    assert seen.diverged
    assert len(seen.losses) == 2


def test_several_stand_in_one_figure_and_stop_together(
    lesson: Lesson, recipe: Recipe, monkeypatch: pytest.MonkeyPatch
) -> None:
    recipes = {name: replace(recipe, out=lesson.folder / name) for name in "abc"}
    seen = lesson.watch_all(recipes)
    assert [len(one.losses) for one in seen.values()] == [6, 6, 6]
    interrupting(monkeypatch, 2)
    assert list(lesson.watch_all(recipes)) == ["a"]


def test_an_untrained_model_comes_with_what_it_is_to_read(lesson: Lesson, recipe: Recipe) -> None:
    model, material = lesson.untrained(recipe)
    assert model.config.vocab_size == material.tokenizer.vocab_size
    first = lesson.watch(replace(recipe, out=recipe.out.with_name("other"), dataset_folder=recipe.folder))
    batch = material.batches(recipe.seed, recipe.rows, 32)[0]
    assert first.tokens == 6 * batch.tokens


def test_a_kept_model_takes_no_other_ones_place(lesson: Lesson, recipe: Recipe, tmp_path: Path) -> None:
    seen = lesson.watch(recipe)
    kept = lesson.keep(seen, "Mein Lama!")
    assert lesson.folder in kept.parents
    card = open_checkpoint(kept).card
    assert card is not None
    assert (card["name"], card["lesson"], card["steps"]) == ("Mein Lama!", 5, 6)
    shelf = tmp_path / "shelf"
    others = shelf / "mein-lama"
    others.mkdir(parents=True)
    (others / "card.json").write_text(json.dumps({"name": "dear to somebody"}), encoding="utf-8")
    first = keep(recipe.out, shelf, "Mein Lama", 5)
    assert first != others
    assert keep(recipe.out, shelf, "Mein Lama", 5) == first, "the same lesson's own is replaced"
    assert keep(recipe.out, shelf, "Mein Lama", 13) not in (first, others)
    assert json.loads((others / "card.json").read_text(encoding="utf-8")) == {"name": "dear to somebody"}
    assert first.name in [row["name"] for row in list_models(shelf)]


def test_a_ladder_is_trained_once(lesson: Lesson, monkeypatch: pytest.MonkeyPatch) -> None:
    lesson.folder.mkdir()
    (lesson.folder / "text.txt").write_text(story_text(120), encoding="utf-8")
    order = SweepRecipe(
        out=lesson.folder / "ladder", corpus=str(lesson.folder / "text.txt"),
        sizes={"a": SHAPE, "b": replace(SHAPE, hidden_size=24)}, budgets=(128, 256), rows=2, length=32,
    )  # fmt: skip
    found = lesson.sweep(order)
    assert [(one.size, one.budget) for one in found] == [("a", 128), ("b", 128), ("a", 256), ("b", 256)]
    assert all(isinstance(one, SweepResult) for one in found)
    assert lesson.sweep(order) == found, "nothing is trained again"
    assert lesson.sweep(replace(order, budgets=(256,))) == found[2:]
    other = lesson.sweep(replace(order, budgets=(128,), learning_rate=1e-2))
    assert [one.loss for one in other] != [one.loss for one in found[:2]]
    names = [trace.name for trace in lesson.ladder(found).data]
    assert names == ["128 Tokens, gemessen", "256 Tokens, gemessen"]
