"""Drills: before its first story, a small model learns to look things up.

    1 7 3 | 1 7 3           repeat the list
    1 7 3 | 3 7 1           say it backwards
    1 7 . 3 9 . | 3 9 1 7   pairs: the key is given, the value is asked for
    1 7 . 3 9 . | 9 3 7 1   the value is given, the key is asked for

The tokens mean nothing and are drawn anew for each row, so nothing but looking them up helps. A model that starts with
stories instead learns to answer with any one of the things named, by attending to all of them alike, and stays there:
from so even a look no small change leads to the right one. In a list nearly every token has to be looked up, which
makes the signal far denser than in stories, and few different tokens at first make it easy to tell them apart. The
difficulty is a function of the step: first the number of different tokens grows, then the distance between key and
value. (Olsson et al. 2022 on induction heads; Arora et al. 2023 on associative recall.)
"""

from __future__ import annotations

import random
from collections.abc import Callable

from litellama.data.batches import ANSWER, Row, TokenBatch, collate
from litellama.tokenizer import Tokenizer

ROWS = 64
"""Rows in a batch: they are a sixth as long as TinyTown's."""

FEW_TOKENS = 60
WIDER_FROM, WIDE_AT = 0.35, 0.75  # shares of all drills: between them the tokens grow from a few to all
MOST_BETWEEN = 4  # tokens between key and value at the end
LONGEST_LIST, MOST_PAIRS = 12, 6
MARKS, FILLERS = 6, 40  # how many ids are reserved to say which drill it is, and to stand between key and value


class LookupDrillBatches:
    """Batch `step` of `steps`: a function of (seed, step), so that a resumed training drills as an unbroken one."""

    def __init__(self, tokenizer: Tokenizer, seed: int, steps: int) -> None:
        self.seed, self.steps = seed, steps
        pad, begin = tokenizer.special("<|pad|>"), tokenizer.special("<|begin|>")
        self.pad_id = pad or 0
        self.opening = [] if begin is None else [begin]
        ids = [id for id in range(tokenizer.vocab_size) if not tokenizer.is_special(id)]
        random.Random(f"{seed}/ids").shuffle(ids)
        self.marks, self.fillers, self.ids = ids[:MARKS], ids[MARKS : MARKS + FILLERS], ids[MARKS + FILLERS :]

    def difficulty(self, step: int) -> tuple[int, int]:
        """How many different tokens there are, and how many may stand between a key and its value."""
        done = step / self.steps
        wide = min(1.0, max(0.0, (done - WIDER_FROM) / (WIDE_AT - WIDER_FROM)))
        tokens = round(FEW_TOKENS * (len(self.ids) / FEW_TOKENS) ** wide)
        return tokens, max(0, int((done - WIDE_AT) / (1 - WIDE_AT) * (MOST_BETWEEN + 1)))

    def __getitem__(self, step: int) -> TokenBatch:
        rng = random.Random(f"{self.seed}/{step}")
        tokens, between = self.difficulty(step)
        drills: tuple[Callable[[], tuple[list[int], list[bool]]], ...] = (
            lambda: self._list(rng, tokens, backwards=False), lambda: self._list(rng, tokens, backwards=True),
            lambda: self._pairs(rng, tokens, between, backwards=False),
            lambda: self._pairs(rng, tokens, between, backwards=True),
        )  # fmt: skip
        return collate([self._row(*drills[number % len(drills)]()) for number in range(ROWS)], self.pad_id)

    def _row(self, ids: list[int], asked: list[bool]) -> Row:
        begun = self.opening + ids
        return Row(begun, [0.0] * len(self.opening) + [ANSWER * one for one in asked], [0] * len(begun))

    def _list(self, rng: random.Random, tokens: int, *, backwards: bool) -> tuple[list[int], list[bool]]:
        items = self._draw(rng, tokens, rng.randint(2, LONGEST_LIST))
        again = items[::-1] if backwards else items
        return [*items, self.marks[0 + backwards], *again], [False] * (len(items) + 1) + [True] * len(items)

    def _pairs(self, rng: random.Random, tokens: int, between: int, *, backwards: bool) -> tuple[list[int], list[bool]]:
        items = self._draw(rng, tokens, 2 * rng.randint(1, MOST_PAIRS))
        pairs = list(zip(items[::2], items[1::2], strict=True))
        gap = self._gap(rng, rng.randint(0, between))
        ids = [id for key, value in pairs for id in (key, *gap, value, self.marks[2])]
        ids.append(self.marks[3 + backwards])
        asked = [False] * len(ids)
        rng.shuffle(pairs)
        for key, value in pairs:
            first, second = (value, key) if backwards else (key, value)
            ids += [first, *gap, second]
            asked += [False] * (1 + len(gap)) + [True]
        return ids, asked

    def _draw(self, rng: random.Random, tokens: int, count: int) -> list[int]:
        return [self.ids[number] for number in rng.sample(range(tokens), count)]

    def _gap(self, rng: random.Random, length: int) -> list[int]:
        """What stands between key and value, the same in all of a row's pairs, as words do in sentences."""
        return [rng.choice(self.fillers) for _ in range(length)]
