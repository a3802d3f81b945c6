"""TinyTown's stories as plain text: a corpus for small experiments that any machine makes in a second.

Path("stories.txt").write_text(story_text(2000), encoding="utf-8")
"""

from __future__ import annotations

import random

from litellama.data.documents import SEPARATOR
from litellama.tinytown.story import Cast, write_story
from litellama.tinytown.tellings import TELLINGS

LONGEST = 3  # of the five sizes of a story


def story_text(count: int, *, seed: int = 0, tellings: float = 0.0) -> str:
    """`count` short stories about people whose names every model meets often, a document each, none of them twice on
    purpose. `tellings` is the share that have a plot; the others state facts, which are learned sooner.

    Raises `ValueError` for less than one story.
    """
    if count < 1:
        raise ValueError(f"{count} stories were asked for; at least 1 was expected")
    rng = random.Random(f"text/{seed}")
    kinds = list(TELLINGS)
    stories: list[str] = []
    while len(stories) < count:
        kind = rng.choice(kinds) if rng.random() < tellings else ""
        story = write_story(Cast(rng, made_up_names=0.0), rng.randint(1, LONGEST), kind)
        if story.facts:
            stories.append(story.text)
    return f"\n{SEPARATOR}\n".join(stories) + "\n"
