"""The Attribution tab behind the page: what it asks for is checked, what it is told is what the explanation found."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from app.common.strings import Problem
from app.server.services import Services
from litellama.checkpoint import checkpoints_folder, open_checkpoint
from litellama.explain.attribution import METHODS, attribute, finished
from litellama.explain.scoring import Target
from litellama.explain.tokenized_run import read_chat

QUESTION = "Tom found a red kite. Where is the kite?"


@pytest.fixture
def services(tiny_checkpoint: Path) -> Services:
    return Services(open_checkpoint(tiny_checkpoint))


def request(read: dict[str, Any], **changes: object) -> dict[str, Any]:
    start, end = read["answer_start"], len(read["tokens"])
    return {"method": "ablation", "unit": "word", "start": start, "end": end, "instead": None} | changes


def test_the_page_is_told_what_was_found(services: Services) -> None:
    read = services.attribution.read("a", QUESTION)
    news = list(services.attribution.explain("a", request(read)))
    assert news[0]["state"] == "running"
    done = news[-1]
    assert done["state"] == "done"
    opened = services.page_models.opened("a")
    reading = services.attribution._text("a").reading
    expected = finished(attribute(opened.model, reading, Target(reading.answer_start, len(reading.ids)), "ablation"))
    assert done["units"] == [list(unit) for unit in expected.units]
    torch.testing.assert_close(torch.tensor(done["scores"]), expected.scores, atol=1e-4, rtol=0)


def test_the_likeliest_others_are_named(services: Services) -> None:
    read = services.attribution.read("a", QUESTION)
    assert len(read["others"]) == len(read["tokens"]) - read["answer_start"]
    reading = services.attribution._text("a").reading
    for place, others in zip(reading.answer, read["others"], strict=True):
        assert reading.ids[place] not in [id for id, _, _ in others]
        shares = [share for _, _, share in others]
        assert shares == sorted(shares, reverse=True)
    id, _, _ = read["others"][0][0]
    start = read["answer_start"]
    (*_, done) = services.attribution.explain("a", request(read, start=start, end=start + 1, instead=id))
    assert done["score"] >= 0, "greedy decoding chose it, so it is at least as likely as any other"


def test_the_test_blanks_out_what_was_found(services: Services) -> None:
    read = services.attribution.read("a", QUESTION)
    with pytest.raises(Problem, match="No text has been read"):
        services.attribution.put_to_the_test("a")
    list(services.attribution.explain("a", request(read)))
    curves = services.attribution.put_to_the_test("a")
    for order in ("top", "random"):
        blanked, shown = curves["blanked"][order], curves["shown"][order]
        assert blanked[0] == shown[-1] == 1, "nothing blanked and all shown are the text itself"
        assert blanked[-1] == pytest.approx(shown[0], abs=1e-4), "all blanked and nothing shown are the blank text"


def test_all_methods_are_compared(services: Services) -> None:
    read = services.attribution.read("a", QUESTION)
    list(services.attribution.explain("a", request(read)))
    *progress, done = services.attribution.compare("a")
    assert [news["done"] for news in progress] == list(range(len(METHODS)))
    rows = {row["method"]: row for row in done["rows"]}
    assert list(rows) == list(METHODS)
    assert rows["ablation"]["alike"] == 1, "a method agrees with itself"
    assert all(-1 <= row["alike"] <= 1 and len(row["top"]) == 3 for row in rows.values())
    work = services.attribution.compare("a")
    next(work)
    services.attribution.cancel("a")
    assert [news["state"] for news in work][-1] == "stopped"


def test_an_explanation_can_be_cancelled(services: Services) -> None:
    read = services.attribution.read("a", QUESTION)
    work = services.attribution.explain("a", request(read, method="shapley sampling"))
    assert next(work)["state"] == "running"
    services.attribution.cancel("a")
    assert [news["state"] for news in work] == ["stopped"]
    *_, done = services.attribution.explain("a", request(read))
    assert done["state"] == "done", "the next one is not stopped by an old cancel"
    work = services.attribution.explain("a", request(read, method="shapley sampling"))
    next(work)
    services.lifecycle.forget("a")
    assert [news["state"] for news in work] == ["stopped"], "a closed page wants no answer"
    services.attribution.cancel("nobody")


def test_bad_requests_are_sentences(services: Services) -> None:
    with pytest.raises(Problem, match="No text has been read"):
        next(services.attribution.explain("a", {}))
    read = services.attribution.read("a", QUESTION)
    start, end = read["answer_start"], len(read["tokens"])
    for change in (
        {"method": "magic"}, {"method": None}, {"unit": "page"}, {"start": 0}, {"start": end}, {"end": end + 1},
        {"start": "1"}, {"start": True}, {"instead": "x"}, {"instead": 10**9}, {"instead": True},
        {"start": start + 1, "end": start + 1},
    ):  # fmt: skip
        with pytest.raises(Problem, match="does not understand"):
            next(services.attribution.explain("a", request(read, **change)))
    with pytest.raises(Problem, match="longer than the model can read"):
        services.attribution.read("a", "the tree " * 400)
    with pytest.raises(Problem, match="empty"):
        services.attribution.read("a", " ")


def test_many_texts_are_not_stored_for_ever(services: Services) -> None:
    services.attribution._texts.most = 2
    for key in "abc":
        services.attribution.read(key, QUESTION)
    with pytest.raises(Problem):
        services.attribution.put_to_the_test("a")
    assert services.attribution._text("c").reading.tokens


def test_every_method_has_its_words() -> None:
    from app.common.strings import all_words

    for words in all_words().values():
        for method in METHODS:
            name = method.replace(" ", "_")
            assert words[f"attribution.method_{name}"]
            assert words[f"attribution.method_{name}_why"]


def test_the_embedded_model_rests_on_the_right_words() -> None:
    """Blanking out the only word that names the colour must cost the answer more than any other word of the story."""
    opened = open_checkpoint(checkpoints_folder() / "tinytown")
    from litellama.chat import Message

    reading = read_chat(
        opened.model, opened.tokenizer, [Message("user", "Tom has a red kite. What colour is the kite?")]
    )
    assert reading.text_of(reading.answer) == " The kite is red."
    place = next(place for place in reading.answer if reading.tokens[place] == " red")
    found = finished(attribute(opened.model, reading, Target(place, place + 1), "ablation"))
    best = found.units[int(found.scores.argmax())]
    assert reading.text_of(best) == " red"
