"""Questions about a story, with the one right answer and the words of the story it rests on.

Each `_ask_...` function reads the story's facts and offers every question of its kinds that has exactly one answer.
Wordings are data (PHRASES); the first of each is the plainest.
"""

from __future__ import annotations

import random
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from typing import TypeVar

from litellama.tinytown import talk, words
from litellama.tinytown.story import Pet, Spans, Story, StoryFact, with_article

T = TypeVar("T")


@dataclass(frozen=True)
class Question:
    """A question before it is worded: `slots` fill its phrase; `evidence` are spans of the story's text."""

    kind: str
    slots: dict[str, str]
    answer: str
    evidence: Spans = ()


PHRASES: dict[str, list[str]] = {
    "where thing": [
        "Where is the {x}?", "Where is the {x} now?", "Do you know where the {x} is?", "Tell me where the {x} is.",
    ],
    "is it there": ["Is the {x} {p}?", "Was the {x} {p}?"],
    "where who": ["Where is {w}?", "Where is {w} now?", "Do you know where {w} is?", "Where can I find {w}?"],
    "where first": ["Where was {w} at first?", "Where was {w} before?", "At first, where was {w}?"],
    "who is there": ["Who is {p}?", "Who was {p}?", "Tell me who is {p}."],
    "who is not there": ["Who is not {p}, {w} or {v}?", "Who was not {p}, {w} or {v}?"],
    "who has": ["Who has the {x}?", "Who has the {x} now?", "Tell me who has the {x}."],
    "who had first": ["Who had the {x} at first?", "Who had the {x} before?", "At first, who had the {x}?"],
    "what has": ["What does {w} have?", "What has {w} got?", "Which thing does {w} have?"],
    "colour": [
        "What colour is the {x}?", "What colour was the {x}?", "Which colour is the {x}?",
        "Tell me the colour of the {x}.",
    ],
    "colour by owner": ["What colour is {w}'s {x}?", "Which colour is {w}'s {x}?", "What is the colour of {w}'s {x}?"],
    "which is": ["What is {c}?", "Which thing is {c}?", "What was {c}?"],
    "choice": ["Is the {x} {c} or {d}?", "Was the {x} {c} or {d}?"],
    "which is not": ["Which is not {c}, the {x} or the {y}?", "What is not {c}, the {x} or the {y}?"],
    "how many": ["How many {x} does {w} have?", "How many {x} has {w} got?", "How many {x} does {w} have now?"],
    "how many first": ["How many {x} did {w} have at first?", "How many {x} did {w} have before?"],
    "more": ["Who has more {x}, {w} or {v}?", "Who has got more {x}, {w} or {v}?"],
    "more of two": ["Who has more {x}?", "Who has got more {x}?"],
    "fewer": ["Who has fewer {x}, {w} or {v}?", "Who has got fewer {x}, {w} or {v}?"],
    "fewer of two": ["Who has fewer {x}?", "Who has got fewer {x}?"],
    "together": ["How many {x} do {w} and {v} have together?", "How many {x} do {w} and {v} have in all?"],
    "compare": ["Who is {c}, {w} or {v}?", "Who is {c}, {v} or {w}?"],
    "feels": ["How does {w} feel?", "How did {w} feel?", "How is {w}?", "How was {w}?"],
    "who feels": ["Who is {f}?", "Who was {f}?", "Who felt {f}?"],
    "why": ["Why is {w} {f}?", "Why was {w} {f}?", "Why did {w} feel {f}?", "What made {w} {f}?"],
    "weather": ["What was the weather like?", "How was the weather?", "What was the weather?"],
    "time": ["When did it happen?", "When was it?", "When was that?"],
    "with": ["Who was with {w}?", "Who was there with {w}?", "Tell me who was with {w}."],
    "who did": ["Who {past} {rest}?", "Tell me who {past} {rest}.", "Who was it that {past} {rest}?"],
    "what did": ["What did {w} do?", "Tell me what {w} did."],
    "did first": ["What did {w} do first?", "What was the first thing {w} did?"],
    "did last": ["What did {w} do last?", "What was the last thing {w} did?", "What did {w} do in the end?"],
    "after": ["What happened after {w} {past} {rest}?", "What came after {w} {past} {rest}?"],
    "before": ["What happened before {w} {past} {rest}?", "What came before {w} {past} {rest}?"],
    "did": ["Did {w} {base} {rest}?", "Is it true that {w} {past} {rest}?"],
    "is the colour": ["Is the {x} {c}?", "Was the {x} {c}?", "Is it true that the {x} is {c}?"],
    "is there": ["Is {w} {p}?", "Was {w} {p}?"],
    "has": ["Does {w} have the {x}?", "Has {w} got the {x}?"],
    "came first": ["Who came first?", "Who was first?", "Who was the winner?"],
    "came last": ["Who came last?", "Who was last?"],
    "pet name": ["What is {w}'s {k} called?", "What is the name of {w}'s {k}?"],
    "whose pet": ["Whose {k} is {n}?", "Who has a {k} called {n}?"],
    "pet kind": ["What animal is {n}?", "What kind of animal is {n}?"],
    "who is pet": ["Who is {n}?", "Do you know who {n} is?"],
    "likes": ["What does {w} like?", "Which food does {w} like?", "What does {w} like to eat?"],
    "who likes": ["Who likes {x}?", "Who loves {x}?", "Tell me who likes {x}."],
    "who is in it": ["Who is in the story?", "Who is the story about?", "Which people are in the story?"],
    # Asked when the story is silent about it. The first ones have answerable twins above.
    "unknown": [
        "How old is {w}?", "What is the name of {w}'s mother?", "What did {w} eat for breakfast?", "How tall is {w}?",
        "Where does {w} live?", "What is {w}'s favourite song?", "Does {w} have a sister?", "What shoes did {w} wear?",
        "When is {w}'s birthday?", "How much did the {x} cost?", "Who made the {x}?", "How heavy is the {x}?",
        "How big is the {x}?", "What did {w} dream about?", "Which school does {w} go to?", "What is {w}'s job?",
    ],
}  # fmt: skip


def _and(names: list[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"


def _reason(clauses: Iterable[str]) -> str:
    """What an answer that compares says first. A model that must decide before it has said what it compares has to do
    two look-ups and a comparison in one step; said aloud, each is one step."""
    text = " and ".join(clauses)
    return text[0].upper() + text[1:]


def _join(*facts: StoryFact) -> Spans:
    return tuple(sorted({span for fact in facts for span in fact.spans}))


def _some_pairs(items: list[T], rng: random.Random) -> list[tuple[T, T]]:
    """Two of `items`, up to three times anew."""
    pairs = [(one, two) for one in items for two in items if one is not two]
    return rng.sample(pairs, min(3, len(pairs)))


def _number(word: str) -> int:
    return words.NUMBERS.index(word)


def all_questions(story: Story, rng: random.Random) -> list[Question]:
    """Every question this story answers, and beside them the ones it leaves open."""
    asked: list[Question] = []
    for ask in (
        _ask_things, _ask_people, _ask_feelings, _ask_counts, _ask_events, _ask_setting, _ask_pets, _ask_unknown,
    ):  # fmt: skip
        asked.extend(ask(story, rng))
    return asked


# --- Things: where, whose, which colour ------------------------------------------------------------------------------


def _where_is_thing(story: Story, thing: str) -> StoryFact | None:
    """The fact that says where `thing` lies now, unless somebody picked it up since."""
    for fact in reversed(story.facts):
        if fact.arguments[0] == thing:
            if fact.relation == "at":
                return fact
            if fact.relation == "has":
                return None
    return None


def _who_has_thing(story: Story, thing: str) -> StoryFact | None:
    """The fact that says who has `thing` now, unless it was lost or laid down since."""
    for fact in reversed(story.facts):
        if fact.arguments[0] == thing:
            if fact.relation == "has":
                return fact
            if fact.relation in ("at", "lost"):
                return None
    return None


def _ask_things(story: Story, rng: random.Random) -> Iterator[Question]:
    yield from _ask_where_things_are(story, rng)
    yield from _ask_who_has(story, rng)
    yield from _ask_colours(story, rng)


def _ask_where_things_are(story: Story, rng: random.Random) -> Iterator[Question]:
    for thing in dict.fromkeys(f.arguments[0] for f in story.all("at") if f.arguments[0] not in story.bodies):
        place = _where_is_thing(story, thing)
        if place:
            where = place.arguments[1]
            yield Question("where thing", {"x": thing}, f"The {thing} is {where}.", place.spans)
            other = rng.choice([where, *(f.arguments[1] for f in story.all("at"))])
            start = "Yes" if other == where else "No"
            yield Question("is it there", {"x": thing, "p": other}, f"{start}, the {thing} is {where}.", place.spans)
    for subject in dict.fromkeys(f.arguments[0] for f in story.all("at")):
        places = story.all("at", subject)
        if len({f.arguments[1] for f in places}) > 1:
            label = subject if subject in story.bodies else f"the {subject}"
            answer = f"{label[0].upper()}{label[1:]} was {places[0].arguments[1]} at first."
            yield Question("where first", {"w": label}, answer, places[0].spans)


def _ask_who_has(story: Story, rng: random.Random) -> Iterator[Question]:
    held: dict[str, list[StoryFact]] = {}
    for thing in dict.fromkeys(f.arguments[0] for f in story.all("has")):
        history = story.all("has", thing)
        if len({f.arguments[1] for f in history}) > 1:
            answer = f"{history[0].arguments[1]} had the {thing} at first."
            yield Question("who had first", {"x": thing}, answer, history[0].spans)
        holder = _who_has_thing(story, thing)
        if holder is None:
            continue
        name = holder.arguments[1]
        held.setdefault(name, []).append(holder)
        yield Question("who has", {"x": thing}, f"{name} has the {thing}.", holder.spans)
        other = rng.choice(story.people).name
        start = "Yes" if other == name else "No"
        yield Question("has", {"w": other, "x": thing}, f"{start}, {name} has the {thing}.", holder.spans)
    counted = {f.arguments[0] for f in story.all("count")}
    for name, facts in held.items():
        if name not in counted and name not in {f.arguments[0] for f in story.all("owns")}:
            things = _and([f"the {f.arguments[0]}" for f in facts])
            yield Question("what has", {"w": name}, f"{name} has {things}.", _join(*facts))


def _ask_colours(story: Story, rng: random.Random) -> Iterator[Question]:
    now = {f.arguments[0]: f for f in story.all("colour")}
    by_colour: dict[str, list[str]] = {}
    for thing, fact in now.items():
        by_colour.setdefault(fact.arguments[1], []).append(thing)
    ever = [f.arguments[1] for f in story.all("colour")]
    for thing, fact in now.items():
        colour = fact.arguments[1]
        answer = f"The {thing} is {colour}."
        yield Question("colour", {"x": thing}, answer, fact.spans)
        owners = story.all("has", thing)
        if len(owners) == 1:
            slots = {"w": owners[0].arguments[1], "x": thing}
            yield Question("colour by owner", slots, answer, _join(fact, owners[0]))
        if ever.count(colour) == 1 and len(by_colour[colour]) == 1:
            yield Question("which is", {"c": colour}, answer, fact.spans)
        other = rng.choice([c for c in (ever + words.COLOURS[:4]) if c != colour])
        first, second = rng.sample((colour, other), 2)
        yield Question("choice", {"x": thing, "c": first, "d": second}, answer, fact.spans)
        asked = rng.choice((colour, other))
        start = "Yes" if asked == colour else "No"
        yield Question("is the colour", {"x": thing, "c": asked}, f"{start}, the {thing} is {colour}.", fact.spans)
    for one, two in _some_pairs(list(now), rng):
        if now[one].arguments[1] != now[two].arguments[1]:
            colour = now[one].arguments[1]
            first, second = rng.sample((one, two), 2)
            reason = _reason(f"the {t} is {now[t].arguments[1]}" for t in (first, second))
            slots = {"c": colour, "x": first, "y": second}
            yield Question("which is not", slots, f"{reason}, so the {two} is not {colour}.", _join(now[one], now[two]))


# --- People: where, how, why -----------------------------------------------------------------------------------------


def _ask_people(story: Story, rng: random.Random) -> Iterator[Question]:
    now = {f.arguments[0]: f for f in story.all("at") if f.arguments[0] in story.bodies}
    people = {p.name for p in story.people}
    for name, fact in now.items():
        place = fact.arguments[1]
        yield Question("where who", {"w": name}, f"{name} is {place}.", fact.spans)
        other = rng.choice([place, *(f.arguments[1] for f in now.values())])
        start = "Yes" if other == place else "No"
        yield Question("is there", {"w": name, "p": other}, f"{start}, {name} is {place}.", fact.spans)
    if now:
        place = rng.choice([f.arguments[1] for f in now.values()])
        there = [f for f in now.values() if f.arguments[1] == place and f.arguments[0] in people]
        if there:
            verb = "is" if len(there) == 1 else "are"
            order = [p.name for p in story.people]  # in the order the story names them, so there is one answer
            names = _and(sorted((f.arguments[0] for f in there), key=order.index))
            yield Question("who is there", {"p": place}, f"{names} {verb} {place}.", _join(*there))
    for here, gone in _some_pairs([f for f in now.values() if f.arguments[0] in people], rng):
        if (place := here.arguments[1]) != gone.arguments[1]:
            pair = rng.sample((here.arguments, gone.arguments), 2)
            reason = _reason(f"{name} is {where}" for name, where in pair)
            slots = {"p": place, "w": pair[0][0], "v": pair[1][0]}
            answer = f"{reason}, so {gone.arguments[0]} is not {place}."
            yield Question("who is not there", slots, answer, _join(here, gone))
    for fact in story.all("compare"):
        one, other, more = fact.arguments
        yield Question("compare", {"c": more, "w": one, "v": other}, f"{one} is {more}.", fact.spans)
    for fact in story.all("with"):
        one, other = rng.sample(fact.arguments, 2)
        if len(story.all("with")) == 1:
            yield Question("with", {"w": one}, f"{other} was with {one}.", fact.spans)
    for fact in story.all("likes"):
        name, food = fact.arguments
        same = [f for f in story.all("likes") if f.arguments[1] == food]
        if len(story.all("likes", name)) == 1:
            yield Question("likes", {"w": name}, f"{name} likes {food}.", fact.spans)
        if len(same) == 1:
            yield Question("who likes", {"x": food}, f"{name} likes {food}.", fact.spans)
    everyone = [p.name for p in story.people]
    if everyone:
        verb = "is" if len(everyone) == 1 else "are"
        first = [found.span() for name in everyone if (found := re.search(rf"\b{name}\b", story.text))]
        yield Question("who is in it", {}, f"{_and(everyone)} {verb} in the story.", tuple(sorted(first)))


def _ask_feelings(story: Story, rng: random.Random) -> Iterator[Question]:
    now = {f.arguments[0]: f for f in story.all("feels")}
    ever = [f.arguments[1] for f in story.all("feels")]
    for name, fact in now.items():
        feeling = fact.arguments[1]
        yield Question("feels", {"w": name}, f"{name} is {feeling}.", fact.spans)
        if ever.count(feeling) == 1:
            yield Question("who feels", {"f": feeling}, f"{name} is {feeling}.", fact.spans)
        reasons = story.all("why", name)
        if len(reasons) == 1 and len(story.all("feels", name)) == 1:
            answer = f"Because {reasons[0].arguments[1]}."
            yield Question("why", {"w": name, "f": feeling}, answer, _join(fact, reasons[0]))


# --- Counts ----------------------------------------------------------------------------------------------------------


def _ask_counts(story: Story, rng: random.Random) -> Iterator[Question]:
    totals: dict[str, tuple[int, tuple[StoryFact, ...]]] = {}
    items = ""
    for fact in story.facts:
        if fact.relation not in ("count", "more", "fewer"):
            continue
        name, what, word = fact.arguments
        if items and what != items:
            return  # two sorts of things: keep to stories where one question has one answer
        items = what
        before, evidence = totals.get(name, (0, ()))
        if fact.relation == "count" and evidence:
            return
        sign = -1 if fact.relation == "fewer" else 1
        totals[name] = (before + sign * _number(word), (*evidence, fact))
    for name, (total, facts) in totals.items():
        answer = f"{name} has {words.NUMBERS[total]} {items}."
        yield Question("how many", {"w": name, "x": items}, answer, _join(*facts))
        if len(facts) > 1:
            answer = f"{name} had {facts[0].arguments[2]} {items} at first."
            yield Question("how many first", {"w": name, "x": items}, answer, facts[0].spans)
    for one, two in _some_pairs(list(totals), rng):
        yield from _compare_counts(one, totals[one], two, totals[two], items)
    if len(totals) == 2:  # then nobody needs to be named, and the story's order is the answer's
        (one, first), (two, second) = totals.items()
        for question in _compare_counts(one, first, two, second, items):
            if question.kind != "together":
                yield replace(question, slots={"x": items, "as": f"{question.kind} of two"})


def _compare_counts(
    one: str, counted: tuple[int, tuple[StoryFact, ...]], two: str, other: tuple[int, tuple[StoryFact, ...]], items: str
) -> Iterator[Question]:
    (first, left), (second, right) = counted, other
    slots, evidence = {"w": one, "v": two, "x": items}, _join(*left, *right)
    reason = f"{one} has {words.NUMBERS[first]} {items} and {two} has {words.NUMBERS[second]}"
    if first != second:
        most, least = (one, two) if first > second else (two, one)
        yield Question("more", slots, f"{reason}, so {most} has more.", evidence)
        yield Question("fewer", slots, f"{reason}, so {least} has fewer.", evidence)
    if first + second <= 20:
        answer = f"{reason}, so they have {words.NUMBERS[first + second]} together."
        yield Question("together", slots, answer, evidence)


# --- Events ----------------------------------------------------------------------------------------------------------


def _sentence(event: StoryFact) -> str:
    who, _, past, rest = event.arguments
    return f"{who} {past} {rest}".strip() + "."


def _ask_events(story: Story, rng: random.Random) -> Iterator[Question]:
    events = story.all("did")
    told = [_sentence(event) for event in events]
    actions = [event.arguments[2:] for event in events]
    for number, event in enumerate(events):
        who, base, past, rest = event.arguments
        if actions.count((past, rest)) > 1 or told.count(told[number]) > 1:
            continue
        slots = {"w": who, "base": base, "past": past, "rest": rest}
        yield Question("who did", slots, told[number], event.spans)
        if number + 1 < len(events):
            yield Question("after", slots, told[number + 1], _join(event, events[number + 1]))
        if number:
            yield Question("before", slots, told[number - 1], _join(event, events[number - 1]))
        asked = rng.choice([who, *(p.name for p in story.people)])
        start = "Yes" if asked == who else "No"
        answer = f"{start}, {told[number]}"
        yield Question(
            "did", {**slots, "w": asked} if asked == who else {**slots, "w": asked, "no": "1"}, answer, event.spans
        )
    by_person: dict[str, list[int]] = {}
    for number, event in enumerate(events):
        by_person.setdefault(event.arguments[0], []).append(number)
    for who, numbers in by_person.items():
        if len(numbers) == 1:
            yield Question("what did", {"w": who}, told[numbers[0]], events[numbers[0]].spans)
        else:
            yield Question("did first", {"w": who}, told[numbers[0]], events[numbers[0]].spans)
            yield Question("did last", {"w": who}, told[numbers[-1]], events[numbers[-1]].spans)
    for relation, kind in (("first", "came first"), ("last", "came last")):
        for fact in story.all(relation):
            yield Question(kind, {}, f"{fact.arguments[0]} came {relation}.", fact.spans)


# --- Setting and animals ---------------------------------------------------------------------------------------------


def _ask_setting(story: Story, rng: random.Random) -> Iterator[Question]:
    for fact in story.all("weather")[-1:]:
        yield Question("weather", {}, f"It was {fact.arguments[0]}.", fact.spans)
    for fact in story.all("time"):
        yield Question("time", {}, f"It happened {fact.arguments[0]}.", fact.spans)


def _ask_pets(story: Story, rng: random.Random) -> Iterator[Question]:
    owned = story.all("owns")
    kinds = [pet.kind for pet in story.bodies.values() if isinstance(pet, Pet)]
    for fact in owned:
        owner, name = fact.arguments
        pet = story.bodies[name]
        assert isinstance(pet, Pet)
        if kinds.count(pet.kind) > 1:
            continue
        slots = {"w": owner, "k": pet.kind, "n": name}
        yield Question("pet name", slots, f"{owner}'s {pet.kind} is called {name}.", fact.spans)
        yield Question("whose pet", slots, f"{name} is {owner}'s {pet.kind}.", fact.spans)
        yield Question("who is pet", slots, f"{name} is {owner}'s {pet.kind}.", fact.spans)
        yield Question("pet kind", slots, f"{name} is {with_article(pet.kind)}.", fact.spans)


# --- What the story leaves open --------------------------------------------------------------------------------------


def _ask_unknown(story: Story, rng: random.Random) -> Iterator[Question]:
    """Questions without an answer, each the twin of one that other stories do answer."""
    names = [p.name for p in story.people]
    stranger = rng.choice([n for n in words.BOYS + words.GIRLS if n not in story.bodies])
    absent = rng.choice([t for t in words.THINGS if t not in story.text])
    name = rng.choice(names) if names else stranger
    thing = rng.choice(story.things) if story.things else absent
    colours = {f.arguments[0] for f in story.all("colour")}
    open_questions = [
        ("where thing", {"x": absent}),
        ("where who", {"w": stranger}),
        ("who has", {"x": absent}),
        ("colour", {"x": absent}),
        ("feels", {"w": stranger}),
        ("what did", {"w": stranger}),
    ]
    if not story.all("weather"):
        open_questions.append(("weather", {}))
    if not story.all("time"):
        open_questions.append(("time", {}))
    open_questions += [("colour", {"x": t}) for t in story.things if t not in colours]
    open_questions += [("where who", {"w": n}) for n in names if not story.all("at", n)]
    for n in names:
        if not story.all("feels", n):
            open_questions.append(("feels", {"w": n}))
        elif not story.all("why", n):
            open_questions.append(("why", {"w": n, "f": story.all("feels", n)[-1].arguments[1]}))
        if not story.all("likes", n):
            open_questions.append(("likes", {"w": n}))
    for kind, slots in rng.sample(open_questions, min(4, len(open_questions))):
        yield Question("unanswerable", {**slots, "as": kind}, talk.UNANSWERABLE)
    yield Question("unanswerable", {"w": name, "x": thing, "as": "unknown"}, talk.UNANSWERABLE)


def phrase(question: Question, rng: random.Random) -> str:
    """One wording of the question."""
    choices = PHRASES[question.slots.get("as", question.kind)]
    if "no" in question.slots:
        choices = choices[:1]  # "Is it true that Anna found ..." would state something false as if told
    text = rng.choice(choices).format(**question.slots)
    return (
        text.replace(" ?", "?")
        .replace(" .", ".")
        .replace(" a o", " an o")
        .replace(" a a", " an a")
        .replace(" a e", " an e")
    )
