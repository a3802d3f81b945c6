"""A story is text with a world behind it: every sentence says what it changes, and where in the text it says so.

story.text                      "Tom has a blue hat. Anna has a red ball."
story.all("colour", "hat")      [Fact(relation="colour", arguments=("hat", "blue"), spans=((10, 14), (15, 18)))]
"""

from __future__ import annotations

import random
import re
import zlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cache

from litellama.tinytown import talk, words
from litellama.tinytown.tellings import MOVES, OPENINGS, PROPS, TELLINGS

Spans = tuple[tuple[int, int], ...]


@dataclass(frozen=True)
class Person:
    name: str
    he: str  # "he" or "she"


@dataclass(frozen=True)
class Place:
    noun: str
    preposition: str


@dataclass(frozen=True)
class Pet:
    name: str
    kind: str


@dataclass(frozen=True)
class StoryFact:
    """One thing the text says: `relation` of `arguments`, and the character spans of the words that say it."""

    relation: str
    arguments: tuple[str, ...]
    spans: Spans


Value = Person | Place | Pet | str
PRONOUNS = {"he": {"his": "his", "him": "him", "he": "he"}, "she": {"his": "her", "him": "her", "he": "she"}}


def with_article(noun: str) -> str:
    return f"{'an' if noun[0] in 'aeiou' else 'a'} {noun}"


def word_of(value: Value, form: str = "") -> str:
    """The words a slot is filled with, in the form asked for: `in`, `to`, `a`, `kind`, or a pronoun."""
    if isinstance(value, Person):
        if not form:
            return value.name
        pronoun = PRONOUNS[value.he][form.lower()]
        return pronoun.capitalize() if form[0].isupper() else pronoun
    if isinstance(value, Place):
        return {"in": f"{value.preposition} the {value.noun}", "to": f"to the {value.noun}", "": value.noun}[form]
    if isinstance(value, Pet):
        return {"a": with_article(value.kind), "kind": value.kind, "": value.name}[form]
    return value


class Cast:
    """Draws the people, things and places of one story: no two alike, so every question has one answer.

    `split` says which of them are allowed: "train" leaves out the held-out names, pairs of thing and colour, and
    tellings; "names", "combinations" and "tellings" draw just those, and keep to what is known in all other respects.
    """

    def __init__(self, rng: random.Random, split: str = "train", made_up_names: float = 0.25) -> None:
        self.rng = rng
        self.split = split
        self.made_up_names = made_up_names
        self.used: set[str] = set()
        self.bodies: dict[str, Person | Pet] = {}

    def pick(self, choices: Sequence[str]) -> str:
        """One that the story has not used yet."""
        while (choice := self.rng.choice(choices)) in self.used:
            pass
        self.used.add(choice)
        return choice

    def person(self) -> Person:
        he = self.rng.choice(("he", "she"))
        if self.split == "names":
            name = self.pick(words.HELD_OUT_BOYS if he == "he" else words.HELD_OUT_GIRLS)
        elif self.rng.random() < self.made_up_names:
            name = self.made_up_name()
        else:
            name = self.pick(words.BOYS if he == "he" else words.GIRLS)
        person = Person(name, he)
        self.bodies[name] = person
        return person

    def made_up_name(self) -> str:
        held_out = {*words.HELD_OUT_BOYS, *words.HELD_OUT_GIRLS, *talk.HELD_OUT_COUNTRIES}  # "Zambia" came up
        while True:
            name = self._syllables() if self.rng.random() < 0.4 else self._sounds()
            if name not in self.used and name not in held_out:
                self.used.add(name)
                return name

    def _syllables(self) -> str:
        middle = self.rng.choice(words.NAME_MIDDLES) if self.rng.random() < 0.8 else ""
        return self.rng.choice(words.NAME_STARTS) + middle + self.rng.choice(words.NAME_ENDS)

    def _sounds(self) -> str:
        choice = self.rng.choice
        sounds = [choice(words.ONSETS) + choice(words.VOWELS) for _ in range(self.rng.choice((1, 2, 2, 2, 3)))]
        start = choice(words.VOWELS)[0] if self.rng.random() < 0.15 else ""
        end = choice(words.CODAS) if len(sounds) < 2 or self.rng.random() < 0.6 else ""
        return (start + "".join(sounds) + end).capitalize()

    def pet(self) -> Pet:
        pet = Pet(self.pick(words.PET_NAMES), self.pick(words.PETS))
        self.bodies[pet.name] = pet
        return pet

    def colour_for(self, thing: str) -> str:
        """A colour this split may pair with `thing`."""
        wanted = self.split == "combinations"
        allowed = [colour for colour in words.COLOURS if is_held_out(thing, colour) == wanted]
        fresh = [colour for colour in allowed if colour not in self.used]
        colour = self.rng.choice(fresh or allowed or words.COLOURS)
        self.used.add(colour)
        return colour

    def thing(self) -> str:
        """A thing; for the split "combinations" one that has held-out colours to give."""
        if self.split != "combinations":
            return self.pick(words.THINGS)
        while True:
            thing = self.pick(words.THINGS)
            if any(is_held_out(thing, colour) and colour not in self.used for colour in words.COLOURS):
                return thing
            if len(self.used) > len(words.THINGS):
                return thing

    def draw(self, slot: str, filled: dict[str, Value]) -> Value:
        """Something fitting for `slot`; digits at its end only tell two of a kind apart."""
        stem = slot.rstrip("0123456789")
        if stem == "colour":
            thing = filled.get("thing" + slot.removeprefix("colour")) or filled.get("thing")
            return self.colour_for(str(thing)) if thing else self.pick(words.COLOURS)
        return MAKERS[stem](self)


def _number(low: int, high: int) -> Callable[[Cast], Value]:
    return lambda cast: words.NUMBERS[cast.rng.randint(low, high)]


def _from(choices: Sequence[str]) -> Callable[[Cast], Value]:
    return lambda cast: cast.pick(choices)


def _where(table: dict[str, list[str]]) -> Callable[[Cast], Value]:
    choices = [(noun, preposition) for preposition, nouns in table.items() for noun in nouns]

    def draw(cast: Cast) -> Value:
        while True:
            noun, preposition = cast.rng.choice(choices)
            if noun not in cast.used:
                cast.used.add(noun)
                return Place(noun, preposition)

    return draw


def _time(cast: Cast) -> Value:
    preposition = cast.rng.choice(list(words.TIMES))
    return f"{preposition} {cast.rng.choice(words.TIMES[preposition])}"


def _animals(cast: Cast) -> Value:
    return cast.pick([animal for animal in words.ANIMALS if animal[-1] not in "shxfye"]) + "s"


MAKERS: dict[str, Callable[[Cast], Value]] = {
    "A": Cast.person, "B": Cast.person, "C": Cast.person, "pet": Cast.pet,
    "thing": Cast.thing, "items": _from(words.ITEMS), "food": _from(words.FOODS), "dish": _from(words.DISHES),
    "place": _where(words.PLACES), "spot": _where(words.SPOTS), "animals": _animals,
    "n": _number(5, 10), "m": _number(2, 3), "glad": _from(words.GLAD), "upset": _from(words.UPSET),
    "mood": _from(words.GLAD + words.UPSET), "taller": _from(list(words.COMPARATIVES)),
    "weather": _from(words.WEATHERS), "time": _time,
}  # fmt: skip


def is_held_out(thing: str, colour: str) -> bool:
    """Whether training never sees this thing in this colour: about one pair in ten, fixed for ever by a checksum."""
    return thing not in words.FIXTURES and zlib.crc32(f"{colour} {thing}".encode()) % 10 == 0


# --- Templates -------------------------------------------------------------------------------------------------------

THEY = re.compile(r"\b(?:[Tt]hey|all)\b")
PIECE = re.compile(r"\{(\w+)(?:\.(\w+))?\}|([<>])|([^{}<>]+)")


@dataclass(frozen=True)
class Sentence:
    """A parsed line: pieces are ("slot", name, form), ("mark", "<" or ">", "") and ("text", words, "")."""

    pieces: tuple[tuple[str, str, str], ...]
    facts: tuple[str, ...]
    slots: tuple[str, ...]


@cache
def parse(line: str) -> Sentence:
    text, _, facts = line.partition(" |")
    pieces = []
    for slot, form, mark, literal in PIECE.findall(text.strip()):
        pieces.append(("slot", slot, form) if slot else ("mark", mark, "") if mark else ("text", literal, ""))
    named = [name for kind, name, _ in pieces if kind == "slot"]
    return Sentence(
        tuple(pieces), tuple(fact.strip() for fact in facts.split(";") if fact.strip()), tuple(dict.fromkeys(named))
    )


@dataclass
class Story:
    """Sentences told so far and every fact they stated, in order."""

    kind: str
    telling: int
    text: str = ""
    facts: list[StoryFact] = field(default_factory=list)
    people: list[Person] = field(default_factory=list)
    things: list[str] = field(default_factory=list)
    bodies: dict[str, Person | Pet] = field(default_factory=dict)

    def tell(self, line: str, filled: dict[str, Value]) -> None:
        """Add the sentence `line` with its slots `filled`, and remember its facts with the words that state them."""
        sentence = parse(line)
        text = self.text + (" " if self.text else "")
        spans: dict[str, list[tuple[int, int]]] = {}
        pronouns: dict[str, list[tuple[int, int]]] = {}
        marked: list[tuple[int, int]] = []
        they: list[tuple[int, int]] = []
        opened = 0
        for kind, name, form in sentence.pieces:
            if kind == "mark":
                if name == "<":
                    opened = len(text)
                else:
                    marked.append((opened, len(text)))
                continue
            words_here = name if kind == "text" else word_of(filled[name], form)
            if kind == "slot" and text.endswith(" a ") and words_here[0] in "aeiou":
                text = text[:-1] + "n "
            start = len(text)
            text += words_here
            if kind == "text":
                they += [(start + found.start(), start + found.end()) for found in THEY.finditer(words_here)]
            if kind == "slot":
                by_pronoun = isinstance(filled[name], Person) and form
                (pronouns if by_pronoun else spans).setdefault(name, []).append((start, len(text)))
                if isinstance(filled[name], Person | Pet):
                    self._meet(filled[name])
        self.text = text
        for name, where in pronouns.items():
            spans.setdefault(name, where)  # "he" counts where the sentence does not say the name itself
        for name, value in filled.items():
            if isinstance(value, Person):
                spans.setdefault(name, they)  # and "they" for whoever is not named at all
        for fact in sentence.facts:
            self.facts.append(_state(fact, filled, spans, marked))

    def _meet(self, value: Value) -> None:
        if isinstance(value, Person | Pet) and value.name not in self.bodies:
            self.bodies[value.name] = value
            if isinstance(value, Person):
                self.people.append(value)

    def all(self, relation: str, subject: str | None = None) -> list[StoryFact]:
        """The facts of this relation (about `subject`, its first argument) as they were told; the last one counts."""
        return [f for f in self.facts if f.relation == relation and (subject is None or f.arguments[0] == subject)]


def _state(
    fact: str, filled: dict[str, Value], spans: dict[str, list[tuple[int, int]]], marked: list[tuple[int, int]]
) -> StoryFact:
    """Turn the note "colour thing colour" into a Fact about this story's hat."""
    relation, _, rest = fact.partition(" ")
    fields = rest.split()
    if relation in ("did", "why"):  # the first argument is who; the rest is wording, to be filled like a sentence
        subject = word_of(filled[fields[0]])
        wording = _fill(rest.partition(" ")[2], filled, fields[0])
        named = {fields[0], *re.findall(r"\{(\w+)", rest)}
        arguments: tuple[str, ...] = (subject, wording)
        if relation == "did":
            forms, _, tail = wording.partition(" ")
            base, _, past = forms.partition("|")
            arguments = (subject, base, past, tail)
    else:
        named = set(fields)
        arguments = tuple(_argument(relation, position, name, filled) for position, name in enumerate(fields))
        if relation == "has":  # kept as (thing, who), so that "who has it" is a look-up like all others
            arguments = arguments[::-1]
    said = {span for name in named for span in spans.get(name, ())}
    if relation in ("colour", "at", "feels"):
        marked = []  # the marked words tell what happened, not how a thing looks or where it is
    return StoryFact(relation, arguments, tuple(sorted(said | set(marked))))


def _argument(relation: str, position: int, name: str, filled: dict[str, Value]) -> str:
    value = filled.get(name, name)
    return word_of(value, "in") if relation == "at" and position == 1 else word_of(value)


def _fill(template: str, filled: dict[str, Value], subject: str) -> str:
    def word(match: re.Match[str]) -> str:
        name, form = match[1], match[2] or ""
        if name in ("he", "him", "his"):
            value = filled[subject]
            return PRONOUNS[value.he][name] if isinstance(value, Person) else "it"
        return word_of(filled[name], form)

    return re.sub(r"\{(\w+)(?:\.(\w+))?\}", word, template)


# --- Composition -----------------------------------------------------------------------------------------------------


def _bind(cast: Cast, line: str, filled: dict[str, Value]) -> dict[str, Value]:
    """Fill the still empty slots of `line` and its facts. Things come first, for their colours depend on them."""
    sentence = parse(line)
    noted = [name for fact in sentence.facts for name in re.findall(r"\{(\w+)", fact)]
    for slot in sorted(
        {*sentence.slots, *noted} - {"he", "him", "his"}, key=lambda name: (name.startswith("colour"), name)
    ):
        if slot not in filled:
            filled[slot] = cast.draw(slot, filled)
    return filled


def write_story(cast: Cast, size: int, kind: str = "", props: bool = True) -> Story:
    """Write one story. `size` 1 to 5 sets how much is told: more people, props and moves.

    Without a `kind`, plain props and moves are told, which is the look-up exercise that everything else rests on.
    A story that the model is to tell itself goes without `props` that lead nowhere.
    """
    rng = cast.rng
    telling, sentences = _choose_telling(cast, kind) if kind else (0, [])
    story = Story(kind or "facts", telling)
    if rng.random() < 0.25:
        has_weather = any("weather" in line for line in sentences)
        line = rng.choice(OPENINGS["time" if has_weather else rng.choice(list(OPENINGS))])
        story.tell(line, _bind(cast, line, {}))
    people: list[Person] = [cast.person() for _ in range(_number_of_people(size, sentences, rng))]
    shared: dict[str, Value] = {"items": cast.draw("items", {})}
    told = _tell_props(story, cast, people, shared, 1 if kind else 1 + (size > 2), always=not kind) if props else []
    if sentences:
        filled: dict[str, Value] = dict(zip("ABC", rng.sample(people, min(3, len(people))), strict=False))
        for line in sentences:
            _bind(cast, line, filled)
        for line in sentences:
            story.tell(line, filled)
    else:
        for _ in range(rng.randint(0, max(0, size - 1))):
            _tell_move(story, cast, people, told)
    story.things = _things(story)
    return story


def write_exercise(cast: Cast) -> Story:
    """The same sort of fact about two to four people and nothing else: what a look-up has to keep apart."""
    story = Story("exercise", 0)
    people = [cast.person() for _ in range(cast.rng.randint(2, 4))]
    _tell_props(story, cast, people, {"items": cast.draw("items", {})}, 1, always=True)
    story.things = _things(story)
    return story


def _things(story: Story) -> list[str]:
    return list(dict.fromkeys(f.arguments[0] for f in story.facts if f.relation in ("has", "colour")))


def _choose_telling(cast: Cast, kind: str) -> tuple[int, list[str]]:
    tellings = TELLINGS[kind]
    last = len(tellings) - 1
    number = last if cast.split == "tellings" else cast.rng.randrange(last)
    return number, [line.strip() for line in tellings[number].splitlines()]


def _number_of_people(size: int, sentences: list[str], rng: random.Random) -> int:
    needed = len({slot for line in sentences for slot in parse(line).slots} & {"A", "B", "C"})
    return max(needed, min(size, rng.randint(1, 4)) if not sentences else 0)


def _tell_props(
    story: Story, cast: Cast, people: list[Person], shared: dict[str, Value], groups: int, always: bool
) -> list[tuple[str, Person, dict[str, Value]]]:
    """Tell the same sort of thing about each person, in like words or others: pairs a look-up has to keep apart."""
    rng = cast.rng
    told: list[tuple[str, Person, dict[str, Value]]] = []
    if not always and rng.random() < 0.55:
        return told
    # Counting, and finding the word before a word ("a red hat": which colour?), are hard: more of them.
    for group in dict.fromkeys(rng.choice((*PROPS, "count", *["thing"] * 3)) for _ in range(groups)):
        wordings = PROPS[group]
        same = rng.choice(wordings) if rng.random() < 0.5 else None
        order = rng.sample(people, len(people)) if always else rng.sample(people, min(2, len(people)))
        for number, person in enumerate(order):
            line = same or rng.choice(wordings)
            filled: dict[str, Value] = {"A": person}
            if group == "count":
                filled["items"] = shared["items"]
                filled["n"] = words.NUMBERS[rng.randint(4, 10)]
            if group == "taller":
                if number + 1 >= len(order):
                    continue
                filled["B"] = order[number + 1]
                filled["taller"] = shared.setdefault("taller", cast.draw("taller", {}))
            story.tell(line, _bind(cast, line, filled))
            told.append((group, person, filled))
    return told


def _tell_move(
    story: Story, cast: Cast, people: list[Person], props: list[tuple[str, Person, dict[str, Value]]]
) -> None:
    """Change something that was told before: who has it, where it is, how many there are."""
    rng = cast.rng
    holders = [(f.arguments[0], f.arguments[1]) for f in story.facts if f.relation == "has"]
    now = dict(holders)
    options: list[str] = []
    if now:
        options += ["put", "paint"] + (["give", "give", "take"] if len(people) > 1 else [])
    if story.all("at") and any(p.name == f.arguments[0] for f in story.all("at") for p in people):
        options += ["go", "go"]
    counters = [filled for group, _, filled in props if group == "count"]
    if counters:
        options += ["more", "fewer"]
    if not options:
        return
    move = rng.choice(options)
    line = rng.choice(MOVES[move])
    filled: dict[str, Value] = {}
    if move in ("give", "take", "put", "paint"):
        thing = rng.choice(list(now))
        giver = next(p for p in people if p.name == now[thing])
        lost_or_put = _newest(story, thing)
        if lost_or_put != "has":
            return
        filled = {"thing": thing, "A": giver}
        if len(people) > 1:
            filled["B"] = rng.choice([p for p in people if p is not giver])
    elif move == "go":
        filled = {"A": rng.choice(people)}
    else:
        filled = dict(rng.choice(counters))
        if any(f.relation in ("more", "fewer") and f.arguments[0] == word_of(filled["A"]) for f in story.facts):
            return  # one change for each count keeps the sum within twenty
        filled["m"] = words.NUMBERS[rng.randint(2, 3)]
    story.tell(line, _bind(cast, line, filled))


def _newest(story: Story, thing: str) -> str:
    """Which relation speaks last of where `thing` is: "has", "at", "lost", or "" when nothing was said."""
    for fact in reversed(story.facts):
        if fact.relation in ("has", "at", "lost") and fact.arguments[0] == thing:
            return fact.relation
    return ""


def stories(rng: random.Random, split: str = "train") -> Iterator[Story]:
    """Stories of every kind in turn, without end."""
    while True:
        kind = rng.choice(list(TELLINGS))
        yield write_story(Cast(rng, split), rng.randint(1, 5), kind)
