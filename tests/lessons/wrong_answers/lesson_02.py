"""Answers to lesson 2: (exercise, what is handed to `lesson.check`, a piece of the English sentence)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from itertools import pairwise
from typing import Any

from lessons.kit.asking import opened

Words = list[list[str]]
MESSAGE = "Hi <|end|>."
TOKENIZER = opened().tokenizer
PROMPT = [1, 3, *TOKENIZER.encode(" " + MESSAGE), 2, 4]


def each_once(words: Words) -> dict[Any, int]:
    return {pair: 1 for word in words for pair in pairwise(word)}


def by_token(words: Words) -> dict[Any, int]:
    return Counter(token for word in words for token in word)


def across_words(words: Words) -> dict[Any, int]:
    text = [token for word in words for token in word]
    return Counter(pairwise(text))


def first_pair_only(words: Words) -> dict[Any, int]:
    return Counter((word[0], word[1]) for word in words if len(word) > 1)


def one_too_many(words: Words) -> dict[Any, int]:
    return {pair: 2 * count for pair, count in right_count(words).items()}


def right_count(words: Words) -> dict[Any, int]:
    return Counter(pair for word in words for pair in pairwise(word))


def with_zeros(words: Words) -> dict[Any, int]:
    return {("q", "q"): 0, **right_count(words)}


def forgets_return(words: Words) -> None:
    right_count(words)


def breaks(words: Words) -> dict[Any, int]:
    raise KeyError(("t", "h"))


def merging(inside: Callable[[list[str], str, str, str], None]) -> Callable[..., list[str]]:
    def merge(word: list[str], pair: tuple[str, str]) -> list[str]:
        merged: list[str] = []
        for token in word:
            inside(merged, token, *pair)
        return merged

    return merge


def keeps_left(merged: list[str], token: str, left: str, right: str) -> None:
    merged.append(left + right if merged and merged[-1] == left and token == right else token)


def only_merged(merged: list[str], token: str, left: str, right: str) -> None:
    if merged and merged[-1] == left and token == right:
        merged[-1] = left + right
    elif token == left:
        merged.append(token)


def never(merged: list[str], token: str, left: str, right: str) -> None:
    merged.append(token)


def drops_right(merged: list[str], token: str, left: str, right: str) -> None:
    if not (merged and merged[-1] == left and token == right):
        merged.append(token)


def first_only(word: list[str], pair: tuple[str, str]) -> list[str]:
    for place in range(len(word) - 1):
        if tuple(word[place : place + 2]) == pair:
            return [*word[:place], "".join(pair), *word[place + 2 :]]
    return word


def empty_for_others(word: list[str], pair: tuple[str, str]) -> list[str]:
    return ["th", "e"] if word[:2] == ["t", "h"] else []


def with_while(word: list[str], pair: tuple[str, str]) -> tuple[str, ...]:
    merged, place = [], 0
    while place < len(word):
        both = tuple(word[place : place + 2]) == pair
        merged.append("".join(word[place : place + 1 + both]))
        place += 1 + both
    return tuple(merged)


WRONG: list[tuple[str, tuple[Any, ...], str]] = [
    ("2.1", ("a red ball",), "one word"),
    ("2.1", (5,), "one word"),
    ("2.1", ("tree",), "4 letters"),
    ("2.1", ("strawberries",), "another"),
    ("2.1", ("rhinoceros",), "is cut into"),
    ("2.1", ("Erdbeeren",), "is cut into"),
    ("2.2", (5,), "A function was expected"),
    ("2.2", (lambda words: {},), "no answer yet"),
    ("2.2", (lambda words: [("t", "h")],), "A dictionary"),
    ("2.2", (lambda words: {("t", "h"): ["e"]},), "A dictionary"),
    ("2.2", (each_once,), "once only"),
    ("2.2", (by_token,), "must be the pairs"),
    ("2.2", (across_words,), "not neighbours"),
    ("2.2", (first_pair_only,), "is not counted"),
    ("2.2", (one_too_many,), "Add 1 each time"),
    ("2.2", (forgets_return,), "gives nothing back"),
    ("2.2", (breaks,), "stopped with an error"),
    ("2.3", (merging(lambda *given: None),), "no answer yet"),
    ("2.3", (merging(keeps_left),), "still there"),
    ("2.3", (merging(never),), "stays as it is"),
    ("2.3", (merging(only_merged),), "must become"),
    ("2.3", (merging(drops_right),), "must become"),
    ("2.3", (first_only,), "must become"),
    ("2.3", (empty_for_others,), "empty list"),
    ("2.3", (lambda word, pair: "the",), "must become"),
    ("2.3", ([" the"],), "A function was expected"),
    ("2.4", (" theatre",), "A list"),
    ("2.4", ([" ", 5],), "quotation marks"),
    ("2.4", (["the", "at", "r", "e"],), "space in front"),
    ("2.4", ([" the", "ater"],), "Put together"),
    ("2.4", ([" the", "at", "re"],), "none of the six"),
    ("2.4", ([" ", "the", "at", "r", "e"],), "One merge more"),
    ("2.4", (list(" theatre"),), "One merge more"),
    ("2.5", (9,), "quotation marks"),
    ("2.5", ("",), "quotation marks"),
    ("2.5", ("strawberry",), "at most 3"),
    ("2.5", ("abc",), "only 1"),
    ("2.5", ("äöü",), "only 3"),
    ("2.6", (78, 13, 139, 1024), "two numbers"),
    ("2.6", (("78", "7"), 13, 139, 1024), "two numbers"),
    ("2.6", ((7, 78), 13, 139, 1024), "other order"),
    ("2.6", ((13, 139), 13, 139, 1024), "one sentence costs"),
    ("2.6", ((1024 / 13, 1024 / 139), 13, 139, 1024), "whole sentences"),
    ("2.6", ((79, 8), 13, 139, 1024), "round up"),
    ("2.6", ((16, 11), 13, 139, 1024), "Divide 1024"),
    ("2.6", ((float("nan"), 7), 13, 139, 1024), "two numbers"),
    ("2.6", ((float("inf"), 7), 13, 139, 1024), "two numbers"),
    ("2.7", ("<|begin|>", MESSAGE), "list of ids"),
    ("2.7", ([*PROMPT[:-2], ...], MESSAGE), "no answer yet"),
    ("2.7", ([*PROMPT[:-2], "<|end|>", "<|assistant|>"], MESSAGE), "Not all parts"),
    ("2.7", (PROMPT[:-1], MESSAGE), "<|assistant|> is missing"),
    ("2.7", ([*PROMPT[:-2], 4], MESSAGE), "<|end|> is missing"),
    ("2.7", ([*PROMPT[:-2], 4, 2], MESSAGE), "exchange"),
    ("2.7", ([*PROMPT[:-2], *TOKENIZER.encode("<|end|><|assistant|>")], MESSAGE), "as text"),
    ("2.7", ([1, 3, *TOKENIZER.encode(MESSAGE), 2, 4], MESSAGE), "not the order"),
]
RIGHT: list[tuple[str, tuple[Any, ...]]] = [
    ("2.1", ("weather",)),
    ("2.1", (" Wednesday",)),
    ("2.2", (right_count,)),
    ("2.2", (with_zeros,)),
    ("2.3", (with_while,)),
    ("2.4", ((" the", "at", "r", "e"),)),
    ("2.5", ("𒀀𒀁𒀂",)),
    ("2.6", ([78.0, 7], 13, 139, 1024)),
    ("2.7", (tuple(PROMPT), MESSAGE)),
]
"""Answers other than the source's own that must pass as well."""
