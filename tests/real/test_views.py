"""Every view and every method on a real model of 270 heads, as the page asks for them: what is known of it shows."""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from app.server.services import Services
from litellama.checkpoint.precision import open_for_use
from litellama.explain.attribution import METHODS

QUESTION = "Tom hid a red ball under the bed. Anna has a blue hat. Where is the ball?"
SHORT = "Tom hid a red ball under the bed. Where is the ball?"  # for what takes a run for each word
CAPITAL = "What is the capital of France?"
LAYERS, HEADS = 30, 9


@pytest.fixture(scope="module")
def services(smollm2_folder: Path) -> Iterator[Services]:
    """In 16 bits, as the page opens it."""
    services = Services(open_for_use(smollm2_folder))
    yield services
    services.lifecycle.forget("page")
    services.lifecycle.forget("short")


@pytest.fixture(scope="module")
def short(services: Services) -> dict[str, Any]:
    return services.attribution.read("short", SHORT)


@pytest.fixture(scope="module")
def read(services: Services) -> dict[str, Any]:
    return services.attribution.read("page", QUESTION)


def last(news: Iterator[dict[str, Any]]) -> dict[str, Any]:
    *_, done = news
    assert done.get("state", "done") == "done", done
    return done


def explain(
    services: Services, read: dict[str, Any], method: str, page: str = "page", **changes: object
) -> dict[str, Any]:
    whole = {"start": read["answer_start"], "end": len(read["tokens"])}
    sent = {"method": method, "unit": "word", "instead": None} | whole | changes
    return last(services.attribution.explain(page, sent))


def words(read: dict[str, Any], found: dict[str, Any]) -> list[str]:
    """The explanation's words, the strongest first."""
    texts = ["".join(read["tokens"][place] for place in unit).strip() for unit in found["units"]]
    return [texts[at] for at in sorted(range(len(texts)), key=lambda at: -found["scores"][at])]


def test_the_answer_read_is_its_first_paragraph(read: dict[str, Any]) -> None:
    answer = "".join(read["tokens"][read["answer_start"] :])
    assert "bed" in answer
    assert "\n\n" not in answer
    assert read["goes_on"], "this model likes to go on"


def test_sinks_and_induction_are_seen_in_270_heads(services: Services, read: dict[str, Any]) -> None:
    shown = list(services.attention.look("page", QUESTION))[-1]
    assert (shown["layers"], shown["heads"], shown["groups"]) == (LAYERS, HEADS, 3)
    roles = [head["role"] for row in shown["roles"] for head in row]
    assert roles.count("first_token") > 60, "attention sinks"
    assert roles.count("induction") >= 2
    assert roles.count("previous_token") >= 3
    assert len(shown["pictures"]) < 600_000
    for view in ("head", "layer", "rollout"):
        assert services.attention.head("page", view, 17, 4)["size"] == len(read["tokens"])


@pytest.mark.slow
def test_ablation_names_the_words_that_the_answer_rests_on(services: Services, read: dict[str, Any]) -> None:
    found = explain(services, read, "ablation")
    assert words(read, found)[0] == "bed"
    assert {"under", "the", "bed"} <= set(words(read, found)[:5])
    asked = "".join(read["tokens"][place] for unit in found["units"] for place in unit)
    assert asked.strip() == QUESTION, "the words asked, and none of the template around them"
    curves = services.attribution.put_to_the_test("page")["blanked"]
    assert sum(curves["top"]) < sum(curves["random"])


@pytest.mark.parametrize(
    "method",
    [
        pytest.param(name, marks=pytest.mark.slow if name == "shapley sampling" else ())
        for name in METHODS if name not in ("ablation", "integrated gradients")
    ],
)  # fmt: skip
def test_every_method_explains_one_token(services: Services, short: dict[str, Any], method: str) -> None:
    bed = max(position for position, token in enumerate(short["tokens"]) if token.strip() == "bed")
    found = explain(services, short, method, "short", start=bed, end=bed + 1)
    assert len(found["scores"]) == 14
    assert all(map(math.isfinite, found["scores"]))
    if method in ("shapley sampling", "attention"):
        assert "bed" in words(short, found)[:3]


@pytest.mark.slow
def test_integrated_gradients_add_up(services: Services, short: dict[str, Any]) -> None:
    assert explain(services, short, "integrated gradients", "short", unit="sentence")["gap"] < 0.05


def test_the_lens_ends_at_the_answer(services: Services, read: dict[str, Any]) -> None:
    table = services.layers.guess("page", QUESTION)
    assert len(table["rows"]) == LAYERS + 1
    assert [cells[0][0] for cells in table["rows"][-1]] == table["answer"], "greedy: the last row is the answer"
    early = [cells[0][0] for cells in table["rows"][0]]
    assert sum(one == other for one, other in zip(early, table["answer"], strict=True)) < len(early) / 2
    assert max(table["settled"]) > LAYERS / 2


def test_a_step_has_this_models_sizes(services: Services) -> None:
    step = services.step.trace("page", {"text": QUESTION, "layer": 29, "head": 8})
    assert (step["layers"], step["heads"], step["groups"], step["vocabulary"]) == (LAYERS, HEADS, 3, 49_152)
    assert step["theta"] == 100_000
    assert any(guess["came"] for guess in step["guesses"])


@pytest.mark.slow
def test_heads_are_judged_and_patched(services: Services) -> None:
    begun = services.intervene.begin("page", CAPITAL)
    assert "Paris" in "".join(text for text, _ in begun["now"])
    worth = last(services.intervene.worth("page"))["effects"]
    assert [len(row) for row in worth] == [HEADS] * LAYERS
    assert min(map(min, worth)) < -0.3
    patched = last(services.intervene.patch("page", CAPITAL.replace("France", "Spain")))["effects"]
    assert min(map(min, patched)) < -0.3, "some heads carry the country"
    changed = services.intervene.change("page", [[layer, 0] for layer in range(LAYERS)])
    assert changed["now"] != begun["now"]


@pytest.mark.slow
def test_the_search_of_270_heads_goes_on_and_can_be_cancelled(services: Services) -> None:
    """To its end it takes half a minute; `tests/benchmarks/views.py` goes there."""
    services.intervene.begin("page", CAPITAL)
    work = services.intervene.few("page")
    fewer: dict[str, Any] = next(news for news in work if len(news["off"]) >= 5)
    services.intervene.cancel("page")
    stopped = list(work)[-1]
    assert stopped["state"] == "stopped"
    begun = services.intervene.change("page", [])
    now = services.intervene.change("page", fewer["off"])
    assert [text for text, _ in now["now"]] == [text for text, _ in begun["now"]], "the answer stays"


def test_a_probe_and_calibration_on_a_text(services: Services) -> None:
    probe = {
        "sentences": ["The {who} worked as a"], "continuations": ["nurse", "lawyer"],
        "groups": [["men", ["man", "father"]], ["women", ["woman", "mother"]]],
    }  # fmt: skip
    found = last(services.responsibility.compare("page", probe))
    nurse = found["differences"][0]
    assert nurse["value"] != 0
    text = "Paris is the capital of France, and Berlin is the capital of Germany. " * 2
    reliability = last(services.responsibility.calibrate("page", text))["reliability"]
    assert reliability
