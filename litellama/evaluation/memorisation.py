"""How much of a text does a model give back word for word, if it is shown the beginning?

A text counts as memorised, given `prefix` of its tokens, if the model's greedy continuation of them is the text's own
(Carlini et al. 2022, https://arxiv.org/abs/2202.07646, who took 50 tokens after the prefix). What a model was trained
on is compared with what it never saw: what is easy to guess comes back in both. A text that ends earlier counts to its
end.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from itertools import islice
from typing import Any

import torch

from litellama.chat import beginning_id
from litellama.data.batches import encode_row
from litellama.evaluation.statistics import Interval, bootstrap_mean, wilson
from litellama.model import LiteLlama
from litellama.tinytown.corpus import TinyTownDocument, make_document
from litellama.tokenizer import Tokenizer

PREFIX, LENGTH = 20, 50
ROWS_AT_ONCE = 8
SEEN_BLOCKS = range(1500, 1560)
"""Blocks of batches that the lab's `tinytown` read near the end, in its steps 14,400 to 14,880."""
DOCUMENTS_PER_BLOCK = 192


@dataclass(frozen=True)
class Recall:
    """One text: of the `tokens` after the prefix, the first `verbatim` come back; `text` is what these say."""

    tokens: int
    verbatim: int
    text: str

    @property
    def complete(self) -> bool:
        return self.verbatim == self.tokens


@dataclass(frozen=True)
class Memorised:
    """Over all texts long enough: tokens given back in a row on average (with a bootstrap's 95 % interval), and the
    share of texts given back completely (Wilson's)."""

    prefix: int
    texts: int
    verbatim: Interval
    complete: Interval
    recalls: tuple[Recall, ...]

    def to_json(self) -> dict[str, Any]:
        """Everything as plain data."""
        return asdict(self)


def memorised(
    model: LiteLlama, tokenizer: Tokenizer, texts: Sequence[Sequence[int]], prefix: int = PREFIX, length: int = LENGTH
) -> Iterator[int | Memorised]:
    """Show the model the first `prefix` ids of each text: yields how many texts are done, at last what was `Memorised`
    of the up to `length` ids that follow.

    `told_ids` and `text_ids` make ids. Texts of no more than `prefix` ids are left out. Raises `ValueError`, at once,
    if none is left, or the numbers make no sense.
    """
    if prefix < 1 or length < 1:
        raise ValueError(f"prefix is {prefix} and length is {length}; at least 1 token each was expected")
    most = model.config.max_position_embeddings
    if prefix >= most:
        raise ValueError(f"prefix is {prefix}, but the model reads {most} tokens at once; choose a shorter one")
    cut = [list(ids[: min(most, prefix + length)]) for ids in texts if len(ids) > prefix]
    if not cut:
        raise ValueError(
            f"none of {len(texts)} texts has more than {prefix} tokens; give longer ones or a shorter prefix"
        )
    return _memorised(model, tokenizer, cut, prefix)


def _memorised(
    model: LiteLlama, tokenizer: Tokenizer, texts: list[list[int]], prefix: int
) -> Iterator[int | Memorised]:
    recalls: list[Recall] = []
    for start in range(0, len(texts), ROWS_AT_ONCE):
        recalls += _recalls(model, tokenizer, texts[start : start + ROWS_AT_ONCE], prefix)
        yield len(recalls)
    verbatim = bootstrap_mean([one.verbatim for one in recalls])
    complete = wilson(sum(one.complete for one in recalls), len(recalls))
    yield Memorised(prefix, len(recalls), verbatim, complete, tuple(recalls))


@torch.inference_mode()
def _recalls(model: LiteLlama, tokenizer: Tokenizer, texts: list[list[int]], prefix: int) -> list[Recall]:
    """One pass over the true texts says it all: greedy decoding repeats a text as long as each of its tokens is the
    likeliest after those before it."""
    length = max(map(len, texts))
    ids = torch.zeros(len(texts), length, dtype=torch.long)
    for row, text in enumerate(texts):
        ids[row, : len(text)] = torch.tensor(text)
    logits = model(ids[:, :-1].to(model.device), logits_to_keep=length - prefix).logits
    same = logits.argmax(-1).cpu() == ids[:, prefix:]
    found = []
    for row, text in enumerate(texts):
        rest = len(text) - prefix
        verbatim = int(same[row, :rest].long().cumprod(0).sum())
        found.append(Recall(rest, verbatim, tokenizer.decode(text[prefix : prefix + verbatim])))
    return found


# --- Texts -----------------------------------------------------------------------------------------------------------


def told_ids(document: TinyTownDocument, tokenizer: Tokenizer) -> list[int]:
    """A request for a story, and the story, as training reads them; what is asked about it is left out."""
    row = encode_row(document, tokenizer)
    return [id for id, message in zip(row.ids, row.messages, strict=True) if message < 2]


def text_ids(model: LiteLlama, tokenizer: Tokenizer, text: str) -> list[int]:
    """A text's ids as the model reads a text from its beginning."""
    first = beginning_id(model, tokenizer)
    space = " " if tokenizer.special("<|begin|>") is not None else ""  # the lab's own begin each text with a space
    return [*([] if first is None else [first]), *tokenizer.encode(space + text)]


def told_stories(count: int, *, seen: bool) -> list[TinyTownDocument]:
    """TinyTown documents that begin with a story told by the assistant: of those that the lab's `tinytown` was trained
    on, each once, or (not `seen`) made in the same way from seeds that no training uses."""
    blocks = (f"0/{block}" if seen else f"unseen/{block}" for block in SEEN_BLOCKS)
    seeds = (f"{block}/{serial}" for block in blocks for serial in range(DOCUMENTS_PER_BLOCK))
    made = (make_document(seed) for seed in seeds)
    found = list(islice((one for one in made if any(asked.story == 1 for asked in one.questions)), count))
    if count < 1 or len(found) < count:
        raise ValueError(f"{count} stories were asked for; from 1 to {len(found) or 'some hundreds'} were expected")
    return found
