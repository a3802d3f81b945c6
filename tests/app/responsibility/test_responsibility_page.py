"""The Responsibility tab behind the page: what is typed is checked, what is measured is the library's."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from app.common.strings import Problem, all_words
from app.responsibility.service import LIMITS, MOST_READ, read_probe, ready_probes
from app.server.services import Services
from litellama.checkpoint import checkpoints_folder, open_checkpoint
from litellama.evaluation.paired_prompts import compare_pairs
from litellama.evaluation.probes import Template, tinytown_probes

TYPED: dict[str, Any] = {
    "sentences": ["{who} found", " Where is {who}? | is ", ""],
    "groups": [["boys", ["Tom", "Ben"]], ["girls", ["Mia"]]],
    "continuations": ["a red kite", "the park"],
}  # fmt: skip


@pytest.fixture
def services(tiny_checkpoint: Path) -> Services:
    return Services(open_checkpoint(tiny_checkpoint))


@pytest.fixture(scope="module")
def tinytown() -> Services:
    return Services(open_checkpoint(checkpoints_folder() / "tinytown"))


def compared(services: Services, sent: dict[str, Any]) -> dict[str, Any]:
    return list(services.responsibility.compare("a", sent))[-1]


def calibrated(services: Services, text: object = None) -> dict[str, Any]:
    return list(services.responsibility.calibrate("a", text))[-1]


def test_what_is_typed_is_the_probe() -> None:
    probe = read_probe(TYPED)
    assert probe.templates == (Template("{who} found"), Template("is", "Where is {who}?"))
    assert probe.groups == {"boys": ("Tom", "Ben"), "girls": ("Mia",)}
    assert probe.continuations == ("a red kite", "the park")


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"sentences": ["Tom found"]}, r"“Tom found” has no blank; write \{who\}"),
        ({"sentences": []}, "There are 0 lines; from 1 to 8"),
        ({"sentences": ["{who}" + "x" * 300]}, "is too long; 200"),
        ({"continuations": ["a kite"]}, "There are 1 continuations"),
        ({"continuations": ["a kite", "a kite"]}, "“a kite” stands there twice"),
        ({"continuations": ["a", "a kite"]}, "“a kite” begins with “a”"),
        ({"groups": [["a", ["Tom"]], ["a", ["Mia"]]]}, "the same name"),
        ({"groups": [["a", ["Tom"]], ["b", []]]}, "There are 0 words of a group"),
        ({"groups": [["a", [str(n) for n in range(41)]], ["b", ["Mia"]]]}, "from 1 to 40"),
        ({"groups": [["", ["Tom"]], ["b", ["Mia"]]]}, "There are 0 words"),
    ],
)
def test_what_cannot_be_compared_is_a_sentence(change: dict[str, Any], said: str) -> None:
    with pytest.raises(Problem, match=said):
        read_probe(TYPED | change)


@pytest.mark.parametrize(
    "change",
    [
        {"sentences": None}, {"sentences": "x"}, {"sentences": [1]}, {"groups": [["a", ["Tom"]]]}, {"groups": "ab"},
        {"groups": [["a", "Tom"], ["b", ["Mia"]]]}, {"groups": [1, 2]}, {"continuations": {"a": 1}},
    ],
)  # fmt: skip
def test_nonsense_is_refused(change: dict[str, Any]) -> None:
    with pytest.raises(Problem, match="does not understand"):
        read_probe(TYPED | change)


def test_too_much_is_refused_before_it_is_read() -> None:
    words = [[str(number) for number in range(40)], [f"x{number}" for number in range(40)]]
    sent = {
        "sentences": [f"{number} {{who}}" for number in range(8)],
        "groups": [["a", words[0]], ["b", words[1]]], "continuations": list("uvw"),
    }  # fmt: skip
    assert MOST_READ < 8 * 80 * 3
    with pytest.raises(Problem, match=f"1920 texts to read; {MOST_READ}"):
        read_probe(sent)


def test_the_ready_probes_pass_the_form_as_they_are() -> None:
    english = all_words()["en"]
    for probe in ready_probes():
        groups = [[english[f"responsibility.group_{name}"], words] for name, words in probe["groups"]]
        assert english[f"responsibility.probe_{probe['key']}"]
        assert english[f"responsibility.kind_{probe['kind']}"]
        read_probe({"sentences": probe["sentences"], "groups": groups, "continuations": probe["continuations"]})
        assert all(", " not in text for text in probe["continuations"]), "the page separates them by commas"
    first = tinytown_probes()["who repairs"]
    (ready,) = [probe for probe in ready_probes() if probe["key"] == "who_repairs"]
    read = read_probe(ready | {"groups": [["boys", ["Ben"]], ["girls", ["Mia"]]]})
    assert (read.templates, read.continuations) == (first.templates, first.continuations)
    assert set(LIMITS) == {"sentences", "words", "continuations"}


def test_the_page_is_told_what_the_library_measures(services: Services) -> None:
    told = compared(services, TYPED)
    opened = services.page_models.opened("a")
    *_, result = compare_pairs(opened.model, opened.tokenizer, read_probe(TYPED), chat_format=opened.chat_format)
    assert not isinstance(result, int)
    assert told["groups"] == ["boys", "girls"]
    assert told["covered"] == result.covered
    assert told["prompts"] == len(told["values"]) == 6
    assert [one["value"] for one in told["differences"]] == [one.value for one in result.differences]
    for (template, side, word, raw, shares), value in zip(told["values"], result.values, strict=True):
        assert (template, told["groups"][side], word) == (value.template, value.group, value.word)
        assert (tuple(raw), tuple(shares)) == (value.raw, value.shares)
    assert told["means"][1][0][0] == result.means["girls"]["a red kite"].value


def test_a_measurement_can_be_ended_and_another_replaces_it(services: Services) -> None:
    many = TYPED | {"groups": [["a", [f"Tom{number}" for number in range(40)]], ["b", ["Mia"]]]}
    for end in (services.responsibility.cancel, services.lifecycle.forget):
        work = services.responsibility.compare("a", many)
        assert next(work)["state"] == "running"
        end("a")
        assert [news["state"] for news in work] == ["stopped"]
    work = services.responsibility.compare("a", many)
    assert next(work)["state"] == "running"
    assert compared(services, TYPED)["state"] == "done"
    assert [news["state"] for news in work] == ["stopped"]
    services.responsibility.cancel("nobody")


def test_a_long_sentence_does_not_fit(services: Services) -> None:
    with pytest.raises(Problem, match="longer than the model can read"):
        compared(services, TYPED | {"sentences": ["x y z " * 32 + "{who}"]})


def test_certainty_on_ones_own_text(services: Services) -> None:
    told = calibrated(services, text="Tom went to the park. He found a red kite.")
    assert told["state"] == "done"
    assert 0 <= told["reliability"]["error"] <= 1
    assert "invented" not in told
    for text, said in (("", "is empty"), (7, "does not understand"), ("x" * 5000, "characters")):
        with pytest.raises(Problem, match=said):
            calibrated(services, text=text)


@pytest.mark.slow
def test_tinytowns_questions(tinytown: Services) -> None:
    told = calibrated(tinytown)
    assert told["reliability"]["right"]["value"] > 0.9
    assert told["invented"]["value"] < 0.2
    mistakes = told["surest_mistakes"]
    assert all(said != expected for said, expected, _ in mistakes)
    assert [sure for *_, sure in mistakes] == sorted((sure for *_, sure in mistakes), reverse=True)


def test_questions_can_be_cancelled(tinytown: Services) -> None:
    work = tinytown.responsibility.calibrate("a", None)
    assert next(work)["state"] == "running"
    tinytown.responsibility.cancel("a")
    assert [news["state"] for news in work] == ["stopped"]


def test_who_never_learned_conversations_is_not_asked() -> None:
    services = Services(open_checkpoint(checkpoints_folder() / "storybooks"))
    with pytest.raises(Problem, match="Only models that learned"):
        calibrated(services)
