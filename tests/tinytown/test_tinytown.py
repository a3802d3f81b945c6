"""TinyTown: every answer true, every evidence in its place, nothing held out in training, and enough of everything."""

from __future__ import annotations

import random
import re
from pathlib import Path

import pytest

from litellama.config import preset
from litellama.data.corpora import read_corpus
from litellama.data.documents import TextChunk
from litellama.data.tinytown_text import story_text
from litellama.tinytown import talk, words
from litellama.tinytown.corpus import SPLITS, TinyTownDocument, about, add_slips, make_document
from litellama.tinytown.questions import PHRASES, Question, all_questions
from litellama.tinytown.story import Cast, Story, _bind, is_held_out, parse, write_story
from litellama.tinytown.tellings import TELLINGS

LOOK_UPS = ("colour", "colour by owner", "which is", "who has", "what has", "where who", "likes", "how many", "feels")


def told(*lines: str, **filled: object) -> Story:
    """A story of these sentences with these fillings."""
    cast = Cast(random.Random(0))
    story = Story("test", 0)
    values = dict(filled)
    for line in lines:
        story.tell(line, _bind(cast, line, values))  # type: ignore[arg-type]
    story.things = list(dict.fromkeys(f.arguments[0] for f in story.facts if f.relation in ("has", "colour")))
    return story


def answers(story: Story, kind: str) -> list[Question]:
    return [question for question in all_questions(story, random.Random(0)) if question.kind == kind]


@pytest.fixture(scope="module")
def documents() -> list[TinyTownDocument]:
    return [make_document(number) for number in range(2500)]


def test_a_seed_fixes_its_document() -> None:
    assert make_document(7) == make_document(7)
    assert make_document(7) != make_document(8)


def test_a_worked_example() -> None:
    story = told(
        "{A} has a {colour} {thing}. | has A thing; colour thing colour",
        "{A} <gave> the {thing} to {B}. | has B thing; did A give|gave the {thing} to {B}",
        thing="hat", colour="blue", A=Cast(random.Random(1), made_up_names=0).person(),
        B=Cast(random.Random(2), made_up_names=0).person(),
    )  # fmt: skip
    giver, taker = (person.name for person in story.people)
    assert story.text == f"{giver} has a blue hat. {giver} gave the hat to {taker}."
    (who,) = answers(story, "who has")
    assert who.answer == f"{taker} has the hat."  # the last fact counts
    assert [story.text[start:end] for start, end in who.evidence] == [giver, "gave", "hat", taker] or [
        story.text[start:end] for start, end in who.evidence
    ] == ["gave", "hat", taker]
    (first,) = answers(story, "who had first")
    assert first.answer == f"{giver} had the hat at first."
    (colour,) = answers(story, "colour")
    assert [story.text[start:end] for start, end in colour.evidence] == ["blue", "hat"]


def test_counting_follows_every_change() -> None:
    story = told(
        "{A} has {n} {items}. | count A items n", "{A} <got> {m} more {items}. | more A items m",
        n="seven", m="three", items="apples",
    )  # fmt: skip
    (now,) = answers(story, "how many")
    (before,) = answers(story, "how many first")
    assert now.answer.endswith("has ten apples.")
    assert before.answer.endswith("had seven apples at first.")


def test_counting_down() -> None:
    story = told(
        "{A} has {n} {items}. | count A items n", "{A} <lost> {m} {items}. | fewer A items m",
        n="seven", m="three", items="apples",
    )  # fmt: skip
    (now,) = answers(story, "how many")
    assert now.answer.endswith("has four apples.")
    evidence = [story.text[start:end] for start, end in now.evidence]
    assert {"seven", "lost", "three"} <= set(evidence)


def test_a_thing_laid_down_is_nobodys() -> None:
    story = told(
        "{A} has a {colour} {thing}. | has A thing; colour thing colour",
        "{A} <put> the {thing} {spot.in}. | lost thing; at thing spot",
    )
    assert answers(story, "where thing")
    assert not answers(story, "who has")


@pytest.mark.parametrize("split", SPLITS)
def test_evidence_points_into_the_story(split: str) -> None:
    for number in range(300):
        document = make_document(number, split)  # type: ignore[arg-type]
        for question in document.questions:
            assert document.messages[question.answer].role == "assistant"
            answer = document.messages[question.answer].content
            if question.category == "unanswerable":
                assert answer == talk.UNANSWERABLE
            if question.category == "outside":
                assert answer == talk.OUTSIDE
            if question.story is None or question.category != "answerable":
                assert not question.evidence
                continue
            story = document.messages[question.story].content
            assert question.evidence, question
            for start, end in question.evidence:
                assert 0 <= start < end <= len(story)
                assert re.fullmatch(r"\S(.*\S)?", story[start:end])


def test_answers_use_words_of_their_evidence() -> None:
    """What is asked for stands among the words the answer is said to rest on."""
    for number in range(400):
        document = make_document(number)
        for question in document.questions:
            if question.kind in ("colour", "who has", "where thing", "where who", "feels"):
                assert question.story is not None
                story = document.messages[question.story].content
                evidence = " ".join(story[start:end] for start, end in question.evidence)
                value = document.messages[question.answer].content.rstrip(".").split()[-1]
                person = document.messages[question.answer].content.split()[0]
                assert value in evidence or person in evidence


def test_training_never_sees_what_is_held_out(documents: list[TinyTownDocument]) -> None:
    text = " ".join(message.content for document in documents for message in document.messages)
    for name in words.HELD_OUT_BOYS + words.HELD_OUT_GIRLS:
        assert not re.search(rf"\b{name}\b", text, re.IGNORECASE)
    for topic in talk.HELD_OUT_TOPICS + talk.HELD_OUT_COUNTRIES + talk.HELD_OUT_PLAIN:
        assert topic not in text
    pairs = re.findall(rf"\b({'|'.join(words.COLOURS)}) ({'|'.join(words.THINGS)})\b", text)
    assert len(pairs) > 300
    assert not [pair for pair in pairs if is_held_out(pair[1], pair[0])]


def test_held_out_splits_hold_it() -> None:
    def stories(split: str) -> list[Story]:
        rng = random.Random(3)
        return [write_story(Cast(rng, split), 3, kind) for kind in list(TELLINGS) * 2]

    for story in stories("tellings"):
        assert story.telling == len(TELLINGS[story.kind]) - 1
    for story in stories("names"):
        assert {p.name for p in story.people} <= {*words.HELD_OUT_BOYS, *words.HELD_OUT_GIRLS}
    painted = [f.arguments for story in stories("combinations") for f in story.all("colour")]
    assert sum(is_held_out(thing, colour) for thing, colour in painted) > 0.9 * len(painted)


def test_there_is_enough_of_everything(documents: list[TinyTownDocument]) -> None:
    kinds = {question.kind for document in documents for question in document.questions}
    assert len(TELLINGS) >= 30
    assert all(len(tellings) >= 3 for tellings in TELLINGS.values())
    assert len(kinds) >= 30
    assert {document.story_kind for document in documents} >= set(TELLINGS)
    assert all(len(set(choices)) >= 2 for choices in PHRASES.values())
    seen = re.findall(r"[a-z][a-z'-]+", " ".join(m.content for d in documents for m in d.messages).lower())
    known = {word for word in set(seen) if seen.count(word) > 1} if len(seen) < 1000 else set(seen)
    made_up = {word for word in known if word.capitalize() not in words.BOYS + words.GIRLS}
    assert len(made_up) > 1500


def test_an_exercise_asks_the_same_of_each_and_gives_nothing_away() -> None:
    """Without looking up, the first questions of an exercise can't be answered from those before."""
    several = 0
    for number in range(300):
        document = make_document(number, exercise=True)
        assert document.story_kind == "exercise"
        kinds = list(dict.fromkeys(question.kind for question in document.questions))
        assert len(kinds) <= 2
        lead = [question for question in document.questions if question.kind == kinds[0]]
        if kinds[0] in LOOK_UPS:
            assert len({question.evidence for question in lead}) == len(lead)
        several += len(lead) > 1
        assert all(document.messages[question.answer].content for question in lead)
    assert several > 250
    held_out = make_document(1, "names", exercise=True).messages[0].content
    assert re.search("|".join(words.HELD_OUT_BOYS + words.HELD_OUT_GIRLS), held_out)


def test_hard_look_ups_are_asked_first_of_all(documents: list[TinyTownDocument]) -> None:
    """Which colour the hat has, of two things and more, before any answer told it: often enough to be learned."""
    asked = 0
    for document in documents:
        question = document.questions[0]
        story = document.messages[question.story or 0].content
        asked += question.kind == "colour" and len(set(re.findall("|".join(words.COLOURS), story))) > 1
    assert asked > 0.01 * len(documents)


def test_a_story_told_on_request_keeps_to_its_point() -> None:
    """No facts that lead nowhere: at most an opening before the telling's own sentences."""
    for kind, tellings in TELLINGS.items():
        for number in range(10):
            story = write_story(Cast(random.Random(f"{kind}{number}")), 5, kind, props=False)
            told_lines = [parse(line) for line in tellings[story.telling].splitlines()]
            sentences = sum(text.count(".") for line in told_lines for sort, text, _ in line.pieces if sort == "text")
            assert story.text.count(".") <= sentences + 1
    assert set(talk.TOPICS) == set(TELLINGS)


def test_every_telling_can_be_told_and_asked_about() -> None:
    rng = random.Random(5)
    for kind, tellings in TELLINGS.items():
        for number in range(len(tellings)):
            split = "tellings" if number == len(tellings) - 1 else "train"
            story = write_story(Cast(rng, split), 2, kind)
            assert "{" not in story.text
            assert "<" not in story.text
            assert len({question.kind for question in all_questions(story, rng)}) >= 3


def test_no_question_of_a_story_has_two_answers() -> None:
    rng = random.Random(9)
    for kind in list(TELLINGS) * 3:
        story = write_story(Cast(rng), 3, kind)
        given: dict[tuple[str, str], str] = {}
        for question in all_questions(story, rng):
            slots = {name: value for name, value in question.slots.items() if name not in ("c", "d", "x", "y", "no")}
            if question.kind in (
                "where thing",
                "where who",
                "who has",
                "how many",
                "feels",
                "why",
                "colour",
                "who did",
            ):
                key = (question.kind, repr(sorted({**slots, "x": question.slots.get("x", "")}.items())))
                assert given.setdefault(key, question.answer) == question.answer


def test_yes_and_no_and_comparisons_are_true(documents: list[TinyTownDocument]) -> None:
    """Said from the answer alone: it names the place or the numbers that it concludes from."""
    seen = set()
    for document in documents:
        for question in document.questions:
            asked, answer = (document.messages[question.answer + step].content for step in (-1, 0))
            if question.kind in ("is there", "is it there"):
                place = answer.rstrip(".").split(" is ", 1)[1]
                alone = asked.rsplit(". ", 1)[-1].lower()  # without the story, which stands before the first question
                assert answer.startswith("Yes") == (place.lower() in alone), (asked, answer)
            elif question.kind in ("more", "fewer"):
                (first, one), (second, two), (last, _) = re.findall(r"(\S+) has (\w+)", answer)
                larger = first if words.NUMBERS.index(one) > words.NUMBERS.index(two) else second
                assert (last == larger) == (question.kind == "more"), answer
            else:
                continue
            seen.add(question.kind)
    assert seen == {"is there", "is it there", "more", "fewer"}


def test_the_model_tells_the_truth_about_itself() -> None:
    said = about(preset("tinytown"))
    shape = preset("tinytown")
    assert said["parameters"] == words.NUMBERS[round(shape.num_parameters / 1e6)]
    assert said["layers"] == words.NUMBERS[shape.num_hidden_layers]


def test_slips_never_touch_a_name_the_model_would_have_to_guess() -> None:
    rng = random.Random(0)
    for _ in range(500):
        assert "Zorbina" in add_slips("Where is Zorbina?", rng)


def test_stories_as_plain_text(tmp_path: Path) -> None:
    path = tmp_path / "stories.txt"
    path.write_text(story_text(40, tellings=0.5), encoding="utf-8")
    documents = [item for item in read_corpus(path) if isinstance(item, TextChunk)]
    assert len(documents) == 40
    assert all(part.ends for part in documents)
    assert story_text(40, tellings=0.5) == path.read_text(encoding="utf-8")
    assert story_text(40, seed=1) != story_text(40)
    assert len(story_text(300, tellings=1.0)) > 1.3 * len(story_text(300)), "a plot takes more words"
    with pytest.raises(ValueError, match="at least 1"):
        story_text(0)
