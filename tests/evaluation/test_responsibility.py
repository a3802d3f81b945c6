"""Differences, certainty and memory are measured right: on models made by hand, and where the truth is known."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from litellama.chat import Message, encode_document
from litellama.checkpoint import Opened, checkpoints_folder, open_checkpoint
from litellama.cli.main import main
from litellama.cli.probe import probe as probe_command
from litellama.evaluation.calibration import Calibration, examine_calibration, next_token_reliability, reliability
from litellama.evaluation.memorisation import Memorised, memorised, text_ids, told_ids, told_stories
from litellama.evaluation.paired_prompts import MeasuredPrompt, PairResult, compare_pairs, log_probabilities, summarised
from litellama.evaluation.probes import Probe, Template, english_probes, tinytown_probes
from litellama.evaluation.statistics import bootstrap_mean, permutation_chance, wilson
from litellama.generate import generate
from litellama.model import LiteLlama
from litellama.sampling import Sampling
from litellama.tinytown import words
from litellama.tinytown.planted import UNSEEN
from litellama.tokenizer import Tokenizer
from tests.conftest import TINY, random_model

EMBEDDED = checkpoints_folder() / "tinytown"
SMALL = Probe(
    "small", (Template("{who} found"), Template("is", "Where is {who}?")), {"a": ("Tom", "Mia"), "b": ("the kite",)},
    ("a red kite", "the park"),
)  # fmt: skip


@pytest.fixture(scope="module")
def tinytown() -> Opened:
    return open_checkpoint(EMBEDDED)


@pytest.fixture
def tiny_model(tokenizer: Tokenizer) -> LiteLlama:
    """As in conftest, only that texts begin with <|begin|>, as a trained model's do."""
    begin = tokenizer.special("<|begin|>")
    return random_model(replace(TINY, vocab_size=tokenizer.vocab_size, bos_token_id=begin))


def last(news: Iterator[Any]) -> Any:
    *_, result = news
    return result


# --- Statistics ------------------------------------------------------------------------------------------------------


def test_wilsons_interval_is_the_books() -> None:
    found = wilson(8, 10)
    assert (found.value, round(found.low or 0, 4), round(found.high or 0, 4)) == (0.8, 0.4902, 0.9433)
    assert wilson(0, 10).low == 0
    assert 0 < (wilson(0, 10).high or 0) < 0.3
    assert (wilson(0, 0).low, wilson(0, 0).high) == (0, 1)
    with pytest.raises(ValueError, match="11 of 10"):
        wilson(11, 10)


def test_the_bootstrap_covers_the_truth_as_often_as_it_says() -> None:
    rng = np.random.default_rng(0)
    covered = 0
    for trial in range(200):
        found = bootstrap_mean(rng.normal(3, 1, 40), seed=trial)
        assert found.low is not None
        assert found.high is not None
        covered += found.low <= 3 <= found.high
    assert 0.88 <= covered / 200 <= 0.99
    assert bootstrap_mean([2.0]).low is None
    with pytest.raises(ValueError, match="at least one"):
        bootstrap_mean([])


def test_the_permutation_test_is_uniform_without_a_difference_and_small_with_one() -> None:
    rng = np.random.default_rng(1)
    chances = [permutation_chance(rng.normal(size=8), rng.normal(size=8), seed) for seed in range(100)]
    assert 0.01 <= np.mean([chance is not None and chance < 0.1 for chance in chances]) <= 0.2
    far = permutation_chance(np.arange(20.0), np.arange(20.0) + 100, 0)
    assert far == 1 / 2001, "of 2,000 deals none is as far apart, but the true one is"
    assert permutation_chance(np.zeros(2), np.ones(3), 0) is None, "ten deals cannot say anything"
    assert permutation_chance(np.ones(8), np.ones(8), 0) == 1


# --- Probes ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"templates": ()}, "0 templates"),
        ({"templates": "{who}"}, "a tuple"),
        ({"groups": {"a": ("Tom",)}}, "1 groups"),
        ({"groups": {"a": ("Tom",), "b": ()}}, "words of 'b'"),
        ({"groups": {"a": ("Tom", "Tom"), "b": ("Mia",)}}, "'Tom' is twice"),
        ({"groups": {"a": ("Tom",), "b": (" ",)}}, "without space"),
        ({"groups": {"a": ("Tom",), "b": "Mia"}}, "a tuple"),
        ({"continuations": ("a kite",)}, "1 continuations"),
        ({"continuations": ("a", "a kite")}, "begins with"),
        ({"groups": {"a": tuple(map(str, range(101))), "b": ("Mia",)}}, "from 1 to 100"),
    ],
)
def test_a_probe_that_cannot_be_asked_says_why(change: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        replace(SMALL, **change)


def test_a_template_needs_its_blank() -> None:
    with pytest.raises(ValueError, match=r"no blank; write \{who\}"):
        Template("Tom found")
    with pytest.raises(ValueError, match="characters"):
        Template("{who}" + "a" * 500)
    assert Template("{who}, {who} ", "Is {who} glad?").filled("Mia") == ("Mia, Mia", "Is Mia glad?")
    assert Template("100 % {x} {who}").filled("Mia")[0] == "100 % {x} Mia", "no other braces mean anything"


def test_the_ready_probes_use_words_that_are_there() -> None:
    for probe in (*tinytown_probes().values(), *english_probes().values()):
        assert len(probe.groups) == 2
        sizes = {len(group) for group in probe.groups.values()}
        assert min(sizes) >= 6
    known = {*words.BOYS, *words.GIRLS, *words.HELD_OUT_BOYS, *words.HELD_OUT_GIRLS}
    for probe in tinytown_probes().values():
        assert {word for group in probe.groups.values() for word in group} <= known


# --- Pairs -----------------------------------------------------------------------------------------------------------


def test_probabilities_are_those_of_each_text_alone(tiny_model: LiteLlama, tokenizer: Tokenizer) -> None:
    result = last(compare_pairs(tiny_model, tokenizer, SMALL))
    assert isinstance(result, PairResult)
    assert len(result.values) == SMALL.prompts == 6
    begin = tokenizer.special("<|begin|>")
    for value in result.values:
        for number, continuation in enumerate(SMALL.continuations):
            if value.template == 0:
                prompt = [begin, *tokenizer.encode(f" {value.word} found")]
                whole = [begin, *tokenizer.encode(f" {value.word} found {continuation}")]
            else:
                chat = [Message("user", f"Where is {value.word}?"), Message("assistant", "is")]
                prompt = encode_document(chat, tokenizer)[0][:-1]
                chat[1] = Message("assistant", f"is {continuation}")
                whole = encode_document(chat, tokenizer)[0][:-1]
            assert whole[: len(prompt)] == prompt
            with torch.no_grad():
                shares = tiny_model(torch.tensor([whole])).logits[0].softmax(-1)
            expected = 1.0
            for place in range(len(prompt), len(whole)):
                expected *= float(shares[place - 1, whole[place]])
            assert value.raw[number] == pytest.approx(expected, rel=1e-4)
        assert sum(value.shares) == pytest.approx(1)
        assert value.shares[0] == pytest.approx(value.raw[0] / sum(value.raw))
    assert result.covered == pytest.approx(np.mean([sum(value.raw) for value in result.values]))


def test_a_merge_across_the_border_changes_nothing(tiny_model: LiteLlama, tokenizer: Tokenizer) -> None:
    """log p of the ids from a place on: the parts of a text's probability add up."""
    ids = tokenizer.encode(" Tom went to the park")
    whole, first, rest = log_probabilities(tiny_model, [(1, ids), (1, ids[:3]), (3, ids)])
    assert whole == pytest.approx(first + rest, rel=1e-5)


def table(values: Sequence[tuple[int, str, str, float]]) -> tuple[MeasuredPrompt, ...]:
    return tuple(
        MeasuredPrompt(t, group, word, (share, 1 - share), (share, 1 - share)) for t, group, word, share in values
    )


def test_differences_are_means_over_words_and_templates() -> None:
    values = table([
        (0, "a", "Tom", 0.9), (0, "a", "Mia", 0.7), (0, "b", "the kite", 0.1),
        (1, "a", "Tom", 0.5), (1, "a", "Mia", 0.3), (1, "b", "the kite", 0.3),
    ])  # fmt: skip
    means, (found, mirrored) = summarised(SMALL, values)
    assert means["a"]["a red kite"].value == pytest.approx(0.6)
    assert found.value == pytest.approx(0.4)
    assert mirrored.value == pytest.approx(-0.4)
    assert found.low is not None
    assert found.high is not None
    # One word of b: drawn anew are the templates, 0.7 and 0.1 apart, and a's words, 0.1 up or down.
    assert (found.low, found.high) == (pytest.approx(0.0, abs=0.02), pytest.approx(0.8, abs=0.02))
    assert found.chance is None
    assert summarised(SMALL, values, seed=3) == summarised(SMALL, values, seed=3)


def test_one_word_in_one_template_has_no_interval() -> None:
    probe = replace(SMALL, templates=SMALL.templates[:1])
    means, (found, _) = summarised(probe, table([(0, "a", "Tom", 0.9), (0, "a", "Mia", 0.7), (0, "b", "kite", 0.1)]))
    assert (found.low, found.high, found.clear) == (None, None, False)
    assert means["b"]["a red kite"].low is None
    assert means["a"]["a red kite"].low is not None


def test_templates_are_drawn_alike_for_all_groups() -> None:
    """What a template does to everybody is no difference between groups, however large it is."""
    names = tuple("abcdefgh")
    probe = Probe("x", tuple(Template(f"{number} {{who}}") for number in range(4)),
                  {"a": names, "b": tuple(name * 2 for name in names)}, ("y", "z"))  # fmt: skip
    values = table([
        (number, group, word, 0.2 * number + 0.1) for number in range(4) for group in "ab"
        for word in probe.groups[group]
    ])  # fmt: skip
    _, (found, _) = summarised(probe, values)
    assert (found.low, found.high) == (pytest.approx(0, abs=1e-9), pytest.approx(0, abs=1e-9))
    assert found.chance == 1


def test_a_template_that_is_too_long_is_refused_at_once(tiny_model: LiteLlama, tokenizer: Tokenizer) -> None:
    long = replace(SMALL, templates=(Template("{who} " + "x y " * 90),))
    with pytest.raises(ValueError, match="tokens and the model reads 128"):
        compare_pairs(tiny_model, tokenizer, long)


def test_tinytown_repairs_as_it_bakes(tinytown: Opened) -> None:
    """Nobody planted anything in the published model, and the probe finds nothing."""
    probe = tinytown_probes()["moods"]
    small = replace(probe, templates=probe.templates[:2], groups={name: UNSEEN[name][:12] for name in UNSEEN})
    result = last(compare_pairs(tinytown.model, tinytown.tokenizer, small))
    assert not any(one.clear and abs(one.value) > 0.15 for one in result.differences)
    with pytest.raises(ValueError, match="happy, proud"):
        result.difference("glad")


def test_the_command_prints_everything(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    probe_command(EMBEDDED, name="who repairs", as_json=True, seed=0)
    (result,) = json.loads(capsys.readouterr().out)
    assert {one["continuation"] for one in result["differences"]} == {"repaired the bicycle", "baked a cake"}
    assert len(result["values"]) == tinytown_probes()["who repairs"].prompts
    with pytest.raises(ValueError, match="there is no probe called 'x'"):
        probe_command(EMBEDDED, name="x", as_json=True, seed=0)
    with pytest.raises(SystemExit, match="litellama probe: "):
        main(["probe", str(tmp_path / "nothing")])


# --- Calibration -----------------------------------------------------------------------------------------------------


def test_a_reliability_worked_out_by_hand() -> None:
    found = reliability([0.95, 0.95, 0.95, 0.95, 0.15, 0.15], [True, True, True, False, False, False])
    assert [one.count for one in found.bins] == [0, 2, 0, 0, 0, 0, 0, 0, 0, 4]
    assert found.error == pytest.approx(4 / 6 * abs(0.95 - 0.75) + 2 / 6 * 0.15)
    assert found.brier == pytest.approx((3 * 0.05**2 + 0.95**2 + 2 * 0.15**2) / 6)
    assert found.right.value == 0.5
    assert found.bins[0].right is None
    assert found.bins[9].right == wilson(3, 4)
    assert reliability([0.55], [True]).error == pytest.approx(0.45), "too little certainty is an error as well"
    assert reliability([1.0, 0.0], [True, False]).error == 0, "a confidence of 1 belongs to the last bin"


def test_a_calibrated_forecaster_has_a_small_error() -> None:
    rng = np.random.default_rng(0)
    sure = rng.uniform(size=20000)
    right = rng.uniform(size=20000) < sure
    assert reliability(sure.tolist(), right.tolist()).error < 0.02
    assert reliability((sure**0.3).tolist(), right.tolist()).error > 0.2, "and an overconfident one a large one"


def test_what_cannot_be_judged_says_so() -> None:
    for confidences, right in (([], []), ([0.5], []), ([1.5], [True]), ([float("nan")], [True])):
        with pytest.raises(ValueError, match=r"expected"):
            reliability(confidences, right)


def test_answers_and_confidences_are_those_of_greedy_decoding(tinytown: Opened) -> None:
    found = last(examine_calibration(tinytown.model, tinytown.tokenizer, 12))
    assert isinstance(found, Calibration)
    assert found.reliability.count == len(found.answers)
    assert found.reliability.right.value > 0.85
    for one in found.answers:
        assert one.right == (one.answer == one.expected)
        assert 0 < one.confidence <= one.per_token <= 1
    again = last(examine_calibration(tinytown.model, tinytown.tokenizer, 12))
    assert again == found
    assert "answers" not in json.loads(json.dumps(found.to_json()))


def test_a_heard_answer_is_judged_as_one_read(tinytown: Opened, monkeypatch: pytest.MonkeyPatch) -> None:
    """Wrong answers are generated, right ones only looked up; both ways must agree on how sure the model was."""
    unsure = copy.deepcopy(tinytown.model)
    with torch.no_grad():
        unsure.model.norm.weight *= 0.4  # the same answers, each token of them with more doubt, the last one too
    found = last(examine_calibration(unsure, tinytown.tokenizer, 6))
    monkeypatch.setattr(torch.Tensor, "all", lambda self, *more: torch.tensor(False))
    heard = last(examine_calibration(unsure, tinytown.tokenizer, 6))
    for one, other in zip(found.answers, heard.answers, strict=True):
        assert (one.answer, one.right) == (other.answer, other.right)
        assert one.confidence == pytest.approx(other.confidence, rel=1e-3)


def test_only_the_labs_conversations_can_be_asked(tiny_model: LiteLlama) -> None:
    plain = Tokenizer.train(["a text"] * 3, 280, special_tokens=["<|begin|>"])
    with pytest.raises(ValueError, match="only TinyTown"):
        examine_calibration(tiny_model, plain)
    with pytest.raises(ValueError, match="at least 3"):
        examine_calibration(tiny_model, plain, 2)


def test_next_tokens_are_counted_right(tiny_model: LiteLlama, tokenizer: Tokenizer) -> None:
    text = "Tom went to the park. He found a red kite near the old tree. " * 12  # longer than the context
    found = next_token_reliability(tiny_model, tokenizer, text)
    assert found.count == len(tokenizer.encode(text))
    begin = tokenizer.special("<|begin|>")
    ids = [begin, *tokenizer.encode(text)[:127]]
    with torch.no_grad():
        right = tiny_model(torch.tensor([ids[:-1]])).logits[0].argmax(-1) == torch.tensor(ids[1:])
    assert found.right.value * found.count >= int(right.sum())
    with pytest.raises(ValueError, match="at least 2"):
        next_token_reliability(tiny_model, tokenizer, "")


# --- Memorisation ----------------------------------------------------------------------------------------------------


def test_a_models_own_continuation_counts_as_memorised(tiny_model: LiteLlama, tokenizer: Tokenizer) -> None:
    prompt = text_ids(tiny_model, tokenizer, "Tom went to the park")
    own = [
        step.id for step in generate(tiny_model, prompt, sampling=Sampling(temperature=0), max_new_tokens=12, seed=0)
    ]
    changed = [*own[:5], (own[5] + 1) % 300, *own[6:]]
    found = last(memorised(tiny_model, tokenizer, [[*prompt, *own], [*prompt, *changed]], len(prompt), 12))
    assert isinstance(found, Memorised)
    assert [one.verbatim for one in found.recalls] == [12, 5]
    assert [one.complete for one in found.recalls] == [True, False]
    assert found.complete.value == 0.5
    assert found.verbatim.value == 8.5
    assert found.recalls[1].text == tokenizer.decode(own[:5])
    shorter = last(memorised(tiny_model, tokenizer, [[*prompt, *own]], len(prompt), 3))
    assert shorter.recalls[0].tokens == 3


def test_bad_numbers_are_refused_at_once(tiny_model: LiteLlama, tokenizer: Tokenizer) -> None:
    with pytest.raises(ValueError, match="more than 20 tokens"):
        memorised(tiny_model, tokenizer, [[1, 2, 3]])
    with pytest.raises(ValueError, match="at least 1 token"):
        memorised(tiny_model, tokenizer, [[1, 2, 3]], prefix=0)
    with pytest.raises(ValueError, match="128 tokens at once"):
        memorised(tiny_model, tokenizer, [[1, 2, 3]], prefix=128)


def test_stories_seen_and_unseen_differ_and_stop_before_the_questions(tokenizer: Tokenizer) -> None:
    seen, unseen = told_stories(5, seen=True), told_stories(5, seen=False)
    texts = [{document.messages[1].content for document in group} for group in (seen, unseen)]
    assert not texts[0] & texts[1]
    for document in (*seen, *unseen):
        ids = told_ids(document, tokenizer)
        assert tokenizer.decode(ids[-4:]).strip() in document.messages[1].content
        assert ids[-1] == tokenizer.special("<|end|>")
        assert ids.count(ids[-1]) == 2
    with pytest.raises(ValueError, match="were expected"):
        told_stories(0, seen=True)
