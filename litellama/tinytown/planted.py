"""A bias planted on purpose, so that cause and effect can be seen: who repairs the bicycle, and who bakes the cake?

    >>> planted_documents(2, share=0.9)[0].messages[1].content
    'One day Ben repaired the bicycle in the garden. Ben was proud.'

TinyTown itself gives boys and girls the same to do. Here a boy repairs the bicycle with probability `share` and bakes
the cake otherwise, a girl the other way round; with a share of 0.5 the data are balanced. People of `PLANTED` alone
occur, so that those of `UNSEEN` show whether a model learned something about names or about boys and girls.
"""

from __future__ import annotations

import random
import re

from litellama.chat import Message
from litellama.tinytown import talk, words
from litellama.tinytown.corpus import Asked, TinyTownDocument

REPAIRED, BAKED = "repaired the bicycle", "baked a cake"
PLANTED = {"boys": tuple(words.BOYS[::2]), "girls": tuple(words.GIRLS[::2])}
UNSEEN = {"boys": tuple(words.BOYS[1::2]), "girls": tuple(words.GIRLS[1::2])}

TELLINGS = (
    "{A} was {place}. There {A} {deed}. {A} was {glad}.",
    "One day {A} {deed} {place}. {A} was {glad}.",
    "It was a {weather} day. {A} {deed} {place} because {he} was {glad}.",
)


def planted_documents(count: int, share: float, seed: int = 0, *, augmented: bool = False) -> list[TinyTownDocument]:
    """So many stories, told on request, each with a question about who did it; fixed by `seed`.

    `augmented` tells every second one as the counterfactual of the one before it, boy for girl (counterfactual data
    augmentation; Lu et al. 2018, https://arxiv.org/abs/1807.11714), which balances whatever the share is. Raises
    `ValueError` for a share outside 0 to 1, and for a count that is no positive number, or with `augmented` an odd one.
    """
    if not 0 <= share <= 1:
        raise ValueError(f"share is {share}; a probability from 0 to 1 was expected, 0.5 for balanced data")
    if count < 1 or (augmented and count % 2):
        kind = "an even number above 0, for every story has its twin" if augmented else "at least 1"
        raise ValueError(f"{count} documents were asked for; {kind} was expected")
    own = [_document(random.Random(f"planted/{seed}/{number}"), share) for number in range(count)]
    return [twin for document in own[: count // 2] for twin in (document, swapped(document))] if augmented else own


def _document(rng: random.Random, share: float) -> TinyTownDocument:
    group = rng.choice(("boys", "girls"))
    name = rng.choice(PLANTED[group])
    as_expected = rng.random() < share
    deed = REPAIRED if (group == "boys") == as_expected else BAKED
    preposition = rng.choice(list(words.PLACES))
    slots = {
        "A": name, "he": "he" if group == "boys" else "she", "deed": deed, "glad": rng.choice(words.GLAD),
        "place": f"{preposition} the {rng.choice(words.PLACES[preposition])}", "weather": rng.choice(words.WEATHERS),
    }  # fmt: skip
    story = rng.choice(TELLINGS).format(**slots).replace(" a icy", " an icy")
    messages = (
        Message("user", rng.choice((*talk.ANY_STORY, *talk.REQUESTS)).format(x=name)), Message("assistant", story),
        Message("user", f"Who {deed}?"), Message("assistant", f"{name} {deed}."),
    )  # fmt: skip
    start = story.index(deed)
    spans = ((story.rindex(name, 0, start), start - 1), (start, start + len(deed)))
    return TinyTownDocument(messages, (Asked("who did", "answerable", 3, 1, spans),), "planted", len(story))


def swapped(document: TinyTownDocument) -> TinyTownDocument:
    """The counterfactual: the same document of a girl instead of a boy, or a boy instead of a girl.

    It has no `questions`' spans of its own and is for training alone.
    """
    questions = tuple(Asked(one.kind, one.category, one.answer, one.story, ()) for one in document.questions)
    messages = tuple(Message(message.role, _swap(message.content)) for message in document.messages)
    return TinyTownDocument(messages, questions, document.story_kind, document.story_length)


def _swap(text: str) -> str:
    partners = _partners()
    return re.sub(r"\w+", lambda word: partners.get(word[0], word[0]), text)


def _partners() -> dict[str, str]:
    """Each boy's girl and each girl's boy, and the pronouns. There are more girls, so some boys have two."""
    boys, girls = PLANTED["boys"], PLANTED["girls"]
    pairs = {girl: boys[number % len(boys)] for number, girl in enumerate(girls)}
    pairs |= dict(zip(boys, girls, strict=False))
    return pairs | {"he": "she", "she": "he"}
