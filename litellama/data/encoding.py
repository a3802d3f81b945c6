"""Documents to ids for training.

A conversation becomes what `encode_document` makes of it; a text likewise

    <|begin|> Once upon a time ...<|end|>

with a space before its first word, as before a message's. Foreign tokenizers frame texts by tokens of other names, and
without that space.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from litellama.chat import encode_document
from litellama.data.documents import Conversation, Item, Kind, TextChunk
from litellama.tokenizer import Tokenizer

AT_ONCE = 2**20  # characters that are tokenised together

BEGINNINGS = ("<|begin|>", "<s>", "<|begin_of_text|>", "<|endoftext|>")
ENDINGS = ("<|end|>", "</s>", "<|end_of_text|>", "<|endoftext|>")


@dataclass(frozen=True)
class TokenChunk:
    """Ids of a document, and for conversations which of them are the assistant's; `ends` where the document does."""

    kind: Kind
    ids: list[int]
    wanted: list[bool]
    ends: bool


def frame(tokenizer: Tokenizer) -> tuple[list[int], list[int]]:
    """The ids before and behind each text: a model is prompted with the one and stops at the other.

    Where both are the same token, as GPT-2's <|endoftext|>, it stands before each text only: one is enough between two.
    """
    opening, closing = (
        [id for name in names if (id := tokenizer.special(name)) is not None][:1] for names in (BEGINNINGS, ENDINGS)
    )
    return opening, [] if closing == opening else closing


def encode(items: Iterable[Item], tokenizer: Tokenizer) -> Iterator[TokenChunk]:
    """Everything in order, texts in bundles, which uses all cores.

    Raises `ValueError` for conversations and a tokenizer that has no tokens to frame them.
    """
    opening, closing = frame(tokenizer)
    space = " " if tokenizer.special("<|begin|>") is not None else ""
    begun = False
    for bundle in _bundles(items):
        if not isinstance(bundle, list):
            ids, roles = encode_document(bundle, tokenizer)
            yield TokenChunk("chat", ids, [role == "assistant" for role in roles], ends=True)
            continue
        first = [not begun, *(part.ends for part in bundle[:-1])]  # which parts a text begins with
        texts = (space + part.text if begins else part.text for begins, part in zip(first, bundle, strict=True))
        for begins, part, ids in zip(first, bundle, tokenizer.encode_many(texts), strict=True):
            yield TokenChunk("text", [*(opening * begins), *ids, *(closing * part.ends)], [], part.ends)
        begun = not bundle[-1].ends


def _bundles(items: Iterable[Item]) -> Iterator[list[TextChunk] | Conversation]:
    """Neighbouring parts of texts together, as many as are tokenised at once; conversations one by one."""
    bundle: list[TextChunk] = []
    characters = 0
    for item in items:
        if not isinstance(item, TextChunk):
            yield item
            continue
        bundle.append(item)
        characters += len(item.text)
        if characters >= AT_ONCE:
            yield bundle
            bundle, characters = [], 0
    if bundle:
        yield bundle
