"""Conversations about TinyTown, as many as wanted, each fixed by a seed.

    >>> document = make_document(seed=1)
    >>> [message.role for message in document.messages][:2]
    ['user', 'assistant']

A document is a story (pasted by the user or told on request) with questions about it, or talk without a story. Every
question carries its kind, its answer and the character spans of the words the answer rests on.
"""

from __future__ import annotations

import random
import re
from dataclasses import dataclass
from typing import Literal

from litellama.chat import Message
from litellama.config import ModelConfig, preset
from litellama.tinytown import talk, words
from litellama.tinytown.questions import Question, all_questions, phrase
from litellama.tinytown.story import Cast, Pet, Spans, Story, with_article, write_exercise, write_story
from litellama.tinytown.tellings import TELLINGS

DATA_VERSION = "tinytown-3"
LONGEST_EXERCISE = 8

SPLITS = ("train", "combinations", "names", "tellings")

Split = Literal["train", "combinations", "names", "tellings"]
Category = Literal["answerable", "unanswerable", "outside", "talk"]


@dataclass(frozen=True)
class Asked:
    """One question of a document: message `answer` holds its answer, and `evidence` are spans of message `story`."""

    kind: str
    category: Category
    answer: int
    story: int | None
    evidence: Spans


@dataclass(frozen=True)
class TinyTownDocument:
    messages: tuple[Message, ...]
    questions: tuple[Asked, ...]
    story_kind: str
    story_length: int = 0  # so many characters of the story's message are the story; a question may follow


@dataclass(frozen=True)
class TalkExchange:
    """A question outside any story and its answer."""

    kind: str
    category: Category
    question: str
    answer: str


def make_document(
    seed: int | str, split: Split = "train", model: ModelConfig | None = None, exercise: bool = False
) -> TinyTownDocument:
    """The document of this seed. `model` is what the answers about the model itself are true of (default: `tinytown`).

    One in seven is an exercise in looking up, or, if `exercise` is asked for, every one.

    Splits other than "train" hold what training never sees: pairs of thing and colour, whole names, one telling of each
    kind of story; and all three ask about topics that training leaves out.
    """
    rng = random.Random(f"{DATA_VERSION}/{split}/{seed}")
    shape = model or preset("tinytown")
    sort = rng.random()
    if exercise or (sort < 0.15 and split != "tellings"):
        return _exercise_document(rng, split)
    if sort > 0.85:
        return _talk_document(rng, split, shape)
    told = sort > 0.67
    kind = "" if sort < 0.28 and split != "tellings" else rng.choice(list(TELLINGS))
    # Made-up names are for copying; a story told by the model uses those it knows.
    cast = Cast(rng, split, made_up_names=0.0 if told or rng.random() < 0.45 else 0.7)
    story = write_story(cast, rng.randint(1, 5), kind, props=not told)
    if not story.facts:
        return make_document(f"{seed}+", split, model)
    return _story_document(rng, split, shape, story, told)


def _story_document(rng: random.Random, split: Split, shape: ModelConfig, story: Story, told: bool) -> TinyTownDocument:
    """A story, told or pasted, and questions about it, with a little talk between."""
    messages: list[Message] = []
    if told:
        messages = [Message("user", _request(rng, story)), Message("assistant", story.text)]
    elif rng.random() < 0.15:
        messages = [Message("user", story.text), Message("assistant", talk.STORY_ALONE)]
    pasted = not messages
    asked: list[Asked] = []
    for question in _choose(rng, all_questions(story, rng), rng.randint(5, 12)):
        if not pasted and rng.random() < 0.07:
            _add(messages, asked, make_exchange(rng, split, shape))
        _ask(messages, asked, question, rng, f"{story.text} " if pasted else "", 1 if told else 0)
        pasted = False
    return TinyTownDocument(tuple(messages), tuple(asked), story.kind, len(story.text))


def _exercise_document(rng: random.Random, split: Split) -> TinyTownDocument:
    """Facts of one sort, and the same questions about each of them. Only what is asked about tells which fact to take,
    and no earlier answer gives it away. "A red ball. A blue hat. What colour is the hat?" stood at chance after 10,000
    steps of stories, where it is rare; 75 steps of nothing but such questions made it always right."""
    cast = Cast(rng, split, made_up_names=0.0 if rng.random() < 0.45 else 0.7)
    story = write_exercise(cast)
    by_kind = _by_kind(rng, all_questions(story, rng))
    several = [kind for kind in by_kind if kind != "unanswerable" and len(by_kind[kind]) > 1]
    chosen = [question for kind in several[:2] for question in by_kind[kind]] or by_kind["unanswerable"]
    messages: list[Message] = []
    asked: list[Asked] = []
    for question in chosen[:LONGEST_EXERCISE]:
        _ask(messages, asked, question, rng, "" if messages else f"{story.text} ", 0)
    return TinyTownDocument(tuple(messages), tuple(asked), story.kind, len(story.text))


def _ask(
    messages: list[Message], asked: list[Asked], question: Question, rng: random.Random, before: str, story: int
) -> None:
    """Add the question, with the story `before` it if it is the first, and its answer."""
    messages += [Message("user", before + add_slips(phrase(question, rng), rng)), Message("assistant", question.answer)]
    category: Category = "unanswerable" if question.kind == "unanswerable" else "answerable"
    asked.append(Asked(question.kind, category, len(messages) - 1, story, question.evidence))


def _choose(rng: random.Random, questions: list[Question], count: int) -> list[Question]:
    """Some of the questions: one of each kind, and then, of a story too short for that, second ones of a kind.

    Kind by kind, so that the frequent kinds do not crowd out the rare ones.
    """
    by_kind = _by_kind(rng, questions)
    rounds = [[of_kind[number] for of_kind in by_kind.values() if number < len(of_kind)] for number in range(3)]
    chosen = [question for one_each in rounds for question in one_each][:count]
    if rng.random() < 0.3 and not any(question.kind == "unanswerable" for question in chosen):
        chosen[rng.randrange(len(chosen))] = by_kind["unanswerable"][0]
    rng.shuffle(chosen)
    return chosen


def _by_kind(rng: random.Random, questions: list[Question]) -> dict[str, list[Question]]:
    """All that differ, by kind, kinds and questions shuffled."""
    by_kind: dict[str, list[Question]] = {}
    for question in rng.sample(questions, len(questions)):
        of_kind = by_kind.setdefault(question.kind, [])
        if all(question.slots != other.slots for other in of_kind):
            of_kind.append(question)
    return {kind: by_kind[kind] for kind in rng.sample(list(by_kind), len(by_kind))}


def _request(rng: random.Random, story: Story) -> str:
    """A request that this story answers."""
    if rng.random() < 0.25:
        return add_slips(rng.choice(talk.ANY_STORY), rng)
    pets = [pet for pet in story.bodies.values() if isinstance(pet, Pet)]
    subjects = [person.name for person in story.people]
    subjects += [with_article(thing) for thing in story.things]
    subjects += [with_article(f"{f.arguments[1]} {f.arguments[0]}") for f in story.all("colour")[:1]]
    subjects += [with_article(pet.kind) for pet in pets] * 2 + [
        f"{with_article(pet.kind)} called {pet.name}" for pet in pets
    ]
    topic = rng.choice(talk.TOPICS[story.kind]).format(x=next(iter(story.things), "thing"))
    subject = rng.choice(subjects) if subjects and rng.random() < 0.6 else topic
    return add_slips(rng.choice(talk.REQUESTS).format(x=subject), rng)


def _talk_document(rng: random.Random, split: Split, shape: ModelConfig) -> TinyTownDocument:
    messages: list[Message] = []
    asked: list[Asked] = []
    for _ in range(rng.randint(4, 9)):
        _add(messages, asked, make_exchange(rng, split, shape))
    return TinyTownDocument(tuple(messages), tuple(asked), "talk")


def _add(messages: list[Message], asked: list[Asked], exchange: TalkExchange) -> None:
    messages += [Message("user", exchange.question), Message("assistant", exchange.answer)]
    asked.append(Asked(exchange.kind, exchange.category, len(messages) - 1, None, ()))


# --- Talk without a story --------------------------------------------------------------------------------------------


def make_exchange(rng: random.Random, split: Split, shape: ModelConfig) -> TalkExchange:
    """Small talk, a question about the model, a bit of knowledge, or something from outside TinyTown."""
    sort = rng.random()
    if sort < 0.22:
        wordings, answer = rng.choice(talk.SMALL_TALK)
        question = rng.choice(wordings).format(name=rng.choice(words.BOYS + words.GIRLS))
        exchange = TalkExchange("small talk", "talk", _with_manners(question, rng), answer)
    elif sort < 0.36:
        wordings, answer = rng.choice(talk.ABOUT)
        exchange = TalkExchange("about the model", "answerable", rng.choice(wordings), answer.format(**about(shape)))
    elif sort < 0.62:
        exchange = TalkExchange("outside", "outside", _outside(rng, split), talk.OUTSIDE)
    else:
        exchange = _knowledge(rng)
    return TalkExchange(exchange.kind, exchange.category, add_slips(exchange.question, rng), exchange.answer)


def _with_manners(text: str, rng: random.Random) -> str:
    """Small talk with what people put around it: "oh, hello!! :)"."""
    if rng.random() < 0.15:
        text = f"{rng.choice(talk.BEFORE_TALK)} {text if text.startswith('I ') else text[0].lower() + text[1:]}"
    if rng.random() < 0.25:
        text = text.rstrip(".!") + rng.choice(talk.AFTER_TALK)
    return text


def about(shape: ModelConfig) -> dict[str, str]:
    """What the model truthfully says of itself, in words: "I have five million parameters." """
    return {
        "parameters": words.NUMBERS[round(shape.num_parameters / 1e6)],
        "layers": words.NUMBERS[shape.num_hidden_layers],
        "heads": words.NUMBERS[shape.num_attention_heads],
    }


def _outside(rng: random.Random, split: Split) -> str:
    known = split == "train"
    sort = rng.random()
    if sort < 0.2:
        country = rng.choice(talk.COUNTRIES if known else talk.HELD_OUT_COUNTRIES)
        return rng.choice(talk.OUTSIDE_QUESTIONS).format(country=country)
    if sort < 0.4:
        return rng.choice(talk.OUTSIDE_PLAIN if known else talk.HELD_OUT_PLAIN)
    topic = rng.choice(talk.OUTSIDE_TOPICS if known else talk.HELD_OUT_TOPICS)
    return rng.choice(talk.OUTSIDE_PHRASES).format(x=topic)


def _knowledge(rng: random.Random) -> TalkExchange:
    kind = rng.choice(("sum", "sum", "minus", "opposite", "opposite", "definition", "definition", "definition",
                       "sound", "next", "previous", "larger"))  # fmt: skip
    slots, answer = _KNOWLEDGE[kind](rng)
    question = rng.choice(talk.KNOWLEDGE_PHRASES[kind]).format(**slots)
    return TalkExchange(kind, "answerable", question, answer[0].upper() + answer[1:])


def _sum(rng: random.Random) -> tuple[dict[str, str], str]:
    total = rng.randint(0, 20)
    first = rng.randint(0, total)
    one, two, both = (words.NUMBERS[n] for n in (first, total - first, total))
    return {"a": one, "b": two, "A": one.capitalize()}, f"{one} plus {two} is {both}."


def _minus(rng: random.Random) -> tuple[dict[str, str], str]:
    first = rng.randint(0, 20)
    second = rng.randint(0, first)
    one, two, left = (words.NUMBERS[n] for n in (first, second, first - second))
    return {"a": one, "b": two}, f"{one} minus {two} is {left}."


def _opposite(rng: random.Random) -> tuple[dict[str, str], str]:
    pair = rng.choice(talk.OPPOSITES.replace("\n", " ").split(",")).split()
    one, two = rng.sample(pair, 2)
    return {"a": one}, f"the opposite of {one} is {two}."


def _definition(rng: random.Random) -> tuple[dict[str, str], str]:
    noun, _, meaning = rng.choice(talk.DEFINITIONS.splitlines()).partition(": ")
    named = noun if noun in talk.MASS_NOUNS else f"the {noun}" if noun in talk.ONE_OF_A_KIND else with_article(noun)
    return {"a": named}, f"{named} is {meaning}."


def _sound(rng: random.Random) -> tuple[dict[str, str], str]:
    animal, sound = rng.choice(talk.SOUNDS.replace("\n", " ").split(",")).split()
    return {"a": with_article(animal)}, f"{with_article(animal)} says {sound}."


def _next(rng: random.Random) -> tuple[dict[str, str], str]:
    series = rng.choice((words.NUMBERS, *talk.SERIES))
    place = rng.randrange(len(series) - 1)
    return {"a": series[place]}, f"{series[place + 1]} comes after {series[place]}."


def _previous(rng: random.Random) -> tuple[dict[str, str], str]:
    series = rng.choice((words.NUMBERS, *talk.SERIES))
    place = rng.randrange(1, len(series))
    return {"a": series[place]}, f"{series[place - 1]} comes before {series[place]}."


def _larger(rng: random.Random) -> tuple[dict[str, str], str]:
    one, two = rng.sample(range(21), 2)
    return {"a": words.NUMBERS[one], "b": words.NUMBERS[two]}, f"{words.NUMBERS[max(one, two)]} is more."


_KNOWLEDGE = {
    "sum": _sum, "minus": _minus, "opposite": _opposite, "definition": _definition, "sound": _sound,
    "next": _next, "previous": _previous, "larger": _larger,
}  # fmt: skip


# --- How people type -------------------------------------------------------------------------------------------------

KNOWN_CAPITALS = {*words.BOYS, *words.GIRLS, *words.PET_NAMES, *(day for series in talk.SERIES for day in series)}
SLIPS = """where what which colour does have happened feel many together story tell opposite animal called first know
who with about plus minus likes before after why was""".split()


def add_slips(text: str, rng: random.Random) -> str:
    """The question as people type it: sometimes all in lower case, without its punctuation, or with a typing slip."""
    if rng.random() < 0.06:
        text = re.sub(r"[a-z]{3,}", lambda word: _slip(word[0], rng) if word[0] in SLIPS else word[0], text, count=3)
    if rng.random() < 0.12:
        text = text.rstrip("?.!")
    capitals = re.findall(r"(?<=[a-z,] )[A-Z]\w+", text)  # names, unless they come first; those no question starts with
    if rng.random() < 0.12 and all(name in KNOWN_CAPITALS for name in capitals):
        text = text.lower()
    return text


def _slip(word: str, rng: random.Random) -> str:
    """One letter dropped, doubled, or exchanged with its neighbour."""
    at = rng.randrange(1, len(word) - 1)
    return rng.choice(
        (
            word[:at] + word[at + 1 :],
            word[:at] + word[at] + word[at:],
            word[:at] + word[at + 1] + word[at] + word[at + 2 :],
        )
    )
