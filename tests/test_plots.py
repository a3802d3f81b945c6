"""Figures hold exactly the numbers they were given, and text that looks like HTML stays text."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy
import pytest
import torch

from litellama import plots
from litellama.chat import Message
from litellama.cli.compare import row
from litellama.config import preset
from litellama.evaluation.calibration import reliability
from litellama.explain.attention import attention_maps
from litellama.explain.attribution import attribute, finished
from litellama.explain.lens import logit_lens
from litellama.explain.scoring import Target
from litellama.explain.tokenized_run import TokenizedRun, read_chat
from litellama.footprint.scores import scores
from litellama.model import LiteLlama
from litellama.tokenizer import Tokenizer
from tests.conftest import RECORD

NASTY = '<img src=x onerror="alert(1)">'


@pytest.fixture
def reading(tiny_model: LiteLlama, tokenizer: Tokenizer) -> TokenizedRun:
    return read_chat(tiny_model, tokenizer, [Message("user", "Tom found a red kite. Where is it?")], answer="the park")


def test_an_attention_map_shows_what_was_measured(tiny_model: LiteLlama, reading: TokenizedRun) -> None:
    weights = attention_maps(tiny_model, reading.ids).weights[1, 2]
    (picture,) = plots.attention_map(reading.tokens, weights, title="one head").data
    numpy.testing.assert_allclose(numpy.nan_to_num(picture.z), weights.numpy(), atol=1e-6)
    assert numpy.isnan(picture.z[0][1:]).all(), "no token looks at what comes later"
    assert len(set(picture.x)) == len(reading.ids), "equal tokens keep columns of their own"


def test_all_heads_stand_in_their_places() -> None:
    weights = torch.zeros(3, 2, 24, 24)
    weights[2, 1, 5, 3] = 0.25
    weights[0, 0, 7, 2] = 1.0
    figure = plots.all_heads(weights)
    canvas = numpy.asarray(figure.data[0].z)
    step = 24 + 2
    assert canvas[5, step + 3] == 0.5, "the last layer on top, the second head beside the first; the root of the share"
    assert canvas[2 * step + 7, 2] == 1.0
    assert list(figure.layout.yaxis.ticktext) == ["1", "2", "3"]


def test_guesses_scores_and_curves(tiny_model: LiteLlama, tokenizer: Tokenizer, reading: TokenizedRun) -> None:
    places = [place - 1 for place in reading.answer]
    lens = logit_lens(tiny_model, reading.ids, places, top=1)
    texts = [[tokenizer.token_text(id) for (id,) in row] for row in lens.ids.tolist()]
    answer = [reading.tokens[place] for place in reading.answer]
    (picture,) = plots.layer_guesses(answer, texts, lens.probabilities[..., 0]).data
    numpy.testing.assert_allclose(picture.z, lens.probabilities[..., 0].numpy(), atol=1e-6)
    assert len(picture.y) == tiny_model.config.num_hidden_layers + 1

    units = reading.units("word")
    found = finished(attribute(tiny_model, reading, Target(reading.answer_start, len(reading.ids)), "ablation", units))
    words = [reading.text_of(unit) for unit in units]
    (bars,) = plots.word_scores(words, found.scores).data
    assert list(bars.x) == pytest.approx(found.scores.tolist())
    assert len(set(bars.y)) == len(words)
    shaded = plots.shaded_text(words, found.scores)
    assert "".join(shaded.words) == "".join(words)

    figure = plots.curves({"top": [1, 0.5, 0.1], "random": [1, 0.9, 0.8]})
    assert [tuple(line.x) for line in figure.data] == [(0, 0.5, 1)] * 2
    assert len({line.line.dash for line in figure.data}) == 2
    grid = plots.head_grid([[0.5, -2.0], [0.0, 1.0]]).data[0]
    assert (grid.zmin, grid.zmax) == (-2, 2), "zero is white"


def test_the_table_of_trust_as_the_command_prints_it() -> None:
    card = json.loads((Path(__file__).parent.parent / "checkpoints" / "tinytown" / "card.json").read_text("utf-8"))
    (bars,) = plots.trust_table(card["trust"]["methods"]).data
    assert list(bars.x) == sorted((method["pointing"] for method in card["trust"]["methods"].values()), reverse=True)


def test_trust_has_whiskers_where_an_interval_is_known() -> None:
    fact = {"pointing": 0.5, "deletion_auc": 0.2, "seconds": 1.0}
    methods = {"random": fact, "ablation": fact | {"pointing": 0.75, "low": 0.5, "high": 1.0}}
    (bars,) = plots.trust_table(methods, names={"ablation": "<i>"}).data
    assert list(bars.y) == ["&lt;i&gt;", "random"]
    assert list(bars.marker.color) == [plots.LINES[0], plots.LINES[3]]
    assert (list(bars.error_x.array), list(bars.error_x.arrayminus)) == ([0.25, 0], [0.25, 0])
    assert bars.error_x.visible
    assert not plots.trust_table({"random": fact}).data[0].error_x.visible


def test_costs_and_scores_as_the_command_prints_them() -> None:
    rows = [row(name, preset(name), RECORD) for name in ("litellama-460m", "llama2-7b")]
    rows[1]["joules_per_token"]["low"] = 15.0
    (sizes,) = plots.model_sizes(rows).data
    assert list(sizes.x) == pytest.approx([0.923, 13.477], abs=1e-3)
    (energy,) = plots.model_energy(rows).data
    assert energy.name == "estimated"
    assert list(energy.x) == [20.0], "the other was not measured"
    assert (list(energy.error_x.arrayminus), list(energy.error_x.array)) == ([5.0], [20.0])
    above = {one.model: one.above_chance for one in scores()}
    (dots,) = plots.worth(rows, above).data
    assert (list(dots.x), list(dots.y)) == ([20.0], [above["llama2-7b"]])


def figures_of(text: str) -> list[Any]:
    joules = {"value": 2.0, "low": 1.0, "high": 4.0, "label": "measured", "method": text}
    model = {"name": text, "bytes": {"float16": 1e9}, "joules_per_token": joules}
    return [
        plots.model_sizes([model], title=text), plots.model_energy([model], title=text),
        plots.worth([model], {text: 3.0}, title=text),
        plots.attention_map([text, "b"], [[1, 0], [0.5, 0.5]], title=text),
        plots.word_scores([text], [1.0], title=text),
        plots.layer_guesses([text], [[text]], [[0.5]], title=text), plots.curves({text: [1, 0]}, title=text),
        plots.trust_table({text: {"pointing": 0.5, "deletion_auc": 0.2, "seconds": 1.0}}, title=text),
    ]  # fmt: skip


def test_text_is_never_html() -> None:
    for figure in figures_of(NASTY):
        assert "<img" not in figure.to_json().replace("\\u003c", "<")
    assert "<img" not in plots.shaded_text([NASTY], [1.0])._repr_html_()
    assert "<img" not in plots.token_boxes([NASTY], [1])._repr_html_()


def test_each_token_stands_in_a_box_with_its_id() -> None:
    page = plots.token_boxes([" the", " cat\n"], [5, 17])._repr_html_()
    assert page.count("display:inline-block") == 2
    assert page.index("> the<") < page.index(">5<") < page.index("> cat↵<") < page.index(">17<")


def test_wrong_shapes_are_named() -> None:
    with pytest.raises(ValueError, match=r"\(2, 2\) was expected"):
        plots.attention_map(["a", "b"], [[1.0]])
    with pytest.raises(ValueError, match=r"\(layers, heads, tokens, tokens\) was expected"):
        plots.all_heads([[1.0]])
    with pytest.raises(ValueError, match=r"\(layers, heads\) was expected"):
        plots.head_grid([1.0])
    with pytest.raises(ValueError, match="as many as the names"):
        plots.shaded_text(["a"], [1.0, 2.0])
    with pytest.raises(ValueError, match="one id for each token"):
        plots.token_boxes(["a"], [1, 2])


def test_differences_stand_beside_no_difference_hollow_where_they_may_be_none() -> None:
    rows = [
        {"continuation": NASTY, "one": "boys", "other": "girls", "value": 0.5, "low": 0.3, "high": 0.6},
        {"continuation": "b", "one": "boys", "other": "girls", "value": -0.1, "low": -0.2, "high": 0.1},
        {"continuation": "c", "one": "boys", "other": "girls", "value": 0.2, "low": None, "high": None},
    ]
    figure = plots.pair_differences(rows)
    (dots,) = figure.data
    assert list(dots.x) == [0.5, -0.1, 0.2]
    numpy.testing.assert_allclose(dots.error_x.array, [0.1, 0.2, 0])
    numpy.testing.assert_allclose(dots.error_x.arrayminus, [0.2, 0.1, 0])
    assert list(dots.marker.symbol) == ["circle", "circle-open", "circle-open"]
    assert figure.layout.shapes[0].x0 == figure.layout.shapes[0].x1 == 0
    assert NASTY not in figure.to_json()
    both = plots.pair_differences({"before": rows, "after": rows[:1]})
    assert [trace.name for trace in both.data] == ["before", "after"]
    assert plots.pair_differences([]).data[0].x is not None


def test_a_reliability_diagram_shows_every_bin_that_holds_answers() -> None:
    found = reliability([0.95, 0.95, 0.15], [True, False, False]).to_json()
    line, dots = plots.reliability_diagram(found["bins"]).data
    assert list(line.x) == list(line.y) == [0, 1]
    numpy.testing.assert_allclose(dots.x, [0.15, 0.95])
    numpy.testing.assert_allclose(dots.y, [0, 0.5])
    assert [one[0] for one in dots.customdata] == [1, 2]
    numpy.testing.assert_allclose(dots.error_y.array[1], found["bins"][9]["right"]["high"] - 0.5)


def test_loss_curves_are_short_and_true() -> None:
    losses = [8 - number / 100 for number in range(500)]
    figure = plots.loss_curves({NASTY: losses, "held out": [(10, 5.0), (20, 4.5)]})
    line, held = figure.data
    assert len(line.x) == len(line.y) == 166
    assert list(line.x[:2]) == [3, 6]
    assert line.y[0] == pytest.approx(sum(losses[:3]) / 3)
    assert list(held.x) == [10, 20]
    assert list(held.y) == [5.0, 4.5]
    assert held.mode == "lines+markers"
    assert "<" not in line.name
    assert list(plots.loss_curves({"short": [3.0, 2.0]}).data[0].y) == [3.0, 2.0]
    assert len(plots.loss_curves({"none yet": []}).data) == 1


def test_a_ladder_without_a_law_is_drawn_as_lines_in_any_language() -> None:
    runs = [
        {"size": name, "parameters": n, "budget": 64_000, "tokens": 64_000, "loss": loss}
        for name, n, loss in (("large", 300, 2.0), ("small", 100, 3.0))
    ]
    words = plots.LADDER_WORDS | {"measured": "{tokens} Tokens", "thousands": ".", "loss": "Verlust"}
    figure = plots.scaling_law(runs, words=words)
    (dots,) = figure.data
    assert dots.name == "64.000 Tokens"
    assert list(dots.x) == [100, 300]
    assert dots.mode == "markers+lines"
    assert figure.layout.yaxis.title.text == "Verlust"
    assert not plots.scaling_law([]).data
