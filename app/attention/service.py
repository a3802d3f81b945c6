"""What the Attention tab stores of one text, the reading and every head's map; and the same as numbers for the page."""

from __future__ import annotations

import base64
import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any
from weakref import WeakKeyDictionary

import torch
from torch import Tensor

from app.common.page_lifecycle import PageService
from app.common.page_store import PageStore
from app.common.questions import QuestionReader, read_message, read_question
from app.common.strings import Problem
from app.models.page_models import PageModels
from litellama.chat.format import ChatFormat
from litellama.checkpoint import Opened
from litellama.config import ModelConfig
from litellama.explain.attention import (
    LONGEST_WINDOW,
    AttentionMaps,
    HeadRoles,
    attention_maps,
    head_roles,
    roles_in,
    rollout,
)
from litellama.explain.tokenized_run import TokenizedRun
from litellama.model import LiteLlama
from litellama.tokenizer import Tokenizer

MOST_BYTES = 600 * 2**20  # of maps held for all pages together; a 460M model's of 512 tokens are 384 MB
MOST_TEXTS = 50
QUICK = 30_000_000  # parameters; a model of so many answers before anybody waits
LARGEST_PICTURE = 64  # pixels along a side of a head's small picture
MOST_PIXELS = 400_000  # of all small pictures together, a byte each
VIEWS = ("head", "layer", "rollout")


@dataclass(frozen=True)
class TextMaps:
    """One text and the maps of one window of it."""

    reading: TokenizedRun
    maps: AttentionMaps

    @property
    def bytes(self) -> int:
        return self.maps.weights.nbytes


def maps_store(most_bytes: int = MOST_BYTES) -> PageStore[TextMaps]:
    return PageStore(MOST_TEXTS, most_bytes=most_bytes, size=lambda maps: maps.bytes)


class AttentionService(PageService):
    """The maps of each page's last text."""

    def __init__(self, models: PageModels, questions: QuestionReader) -> None:
        self._models, self._questions = models, questions
        self._maps = maps_store()
        self._roles: WeakKeyDictionary[LiteLlama, HeadRoles] = WeakKeyDictionary()
        super().__init__(self._maps)

    def look(self, page: str, text: object, start: object = None) -> Iterator[dict[str, Any]]:
        """Read and answer `text` and show every head; with `start`, another window of the text looked at last.

        The heads' roles, a property of the model, are measured at the first look and come after its pictures; with
        them, the same scores on this text.
        """
        opened = self._models.opened(page)
        model, config = opened.model, opened.model.config
        found = self._read(page, opened, text) if start is None else iter([move_window(model, self._text(page), start)])
        for maps in found:
            self._maps.put(page, maps)
            here = None if maps.maps.start else roles_json(roles_in(maps.maps, maps.reading))
            shown = overview(maps, config, here)
            roles = self._roles.get(model)
            yield {**shown, "roles": roles and roles_json(roles)}
        if roles is None:
            roles = self._roles[model] = head_roles(model, opened.tokenizer)
            yield {**shown, "roles": roles_json(roles)}

    def head(self, page: str, view: object, layer: object, head: object) -> dict[str, Any]:
        """One head's map of the text looked at last, or a layer's mean, or the rollout."""
        return picture(self._text(page), view, layer, head)

    def _read(self, page: str, opened: Opened, text: object) -> Iterator[TextMaps]:
        question = read_message(text)
        if (known := self._questions.known(page, question)) is not None:
            yield maps_of(opened.model, known)
            return
        for maps in read_and_look(opened.model, opened.tokenizer, question, opened.chat_format):
            if maps.reading.answer:
                self._questions.put(page, question, maps.reading)
            yield maps

    def _text(self, page: str) -> TextMaps:
        maps = self._maps.get(page)
        if maps is None:
            raise Problem("problem.no_look")
        return maps


def read_and_look(
    model: LiteLlama, tokenizer: Tokenizer, question: str, chat_format: ChatFormat | None = None
) -> Iterator[TextMaps]:
    """Answer a question greedily and see what every head attended to. Raises `Problem` if it does not fit.

    A large model answers slowly, so the maps of the question alone come first.
    """
    if model.config.num_parameters > QUICK:
        yield maps_of(model, read_question(model, tokenizer, question, chat_format, longest=0))
    yield maps_of(model, read_question(model, tokenizer, question, chat_format))


def maps_of(model: LiteLlama, reading: TokenizedRun) -> TextMaps:
    """The maps of the text's last window, since it holds the answer."""
    length = len(reading.ids)
    return TextMaps(reading, attention_maps(model, reading.ids, max(0, length - LONGEST_WINDOW), length))


def move_window(model: LiteLlama, text: TextMaps, start: object) -> TextMaps:
    """The same text, another window."""
    if type(start) is not int or not 0 <= start < len(text.reading.ids):
        raise Problem("problem.request")
    return TextMaps(text.reading, attention_maps(model, text.reading.ids, start))


def overview(text: TextMaps, config: ModelConfig, here: object = None) -> dict[str, Any]:
    """The tokens, and a small picture of every head: bytes of the square root, so that faint attention is seen too.
    `here` are the roles' scores on this text."""
    reading, maps = text.reading, text.maps
    end = maps.weights.shape[-1]
    layers, heads = maps.weights.shape[:2]
    pictures = maps.thumbnails(min(LARGEST_PICTURE, math.isqrt(MOST_PIXELS // (layers * heads))))
    return {
        "tokens": list(reading.tokens), "special": sorted(reading.special), "answer_start": reading.answer_start,
        "goes_on": reading.goes_on, "start": maps.start, "end": end, "window": LONGEST_WINDOW,
        "layers": layers, "heads": heads,
        "groups": config.num_key_value_heads, "side": pictures.shape[-1],
        "pictures": _base64((pictures.clamp(0, 1).sqrt() * 255).round().to(torch.uint8)), "here": here,
    }  # fmt: skip


def picture(text: TextMaps, view: object, layer: object, head: object) -> dict[str, Any]:
    """One map of the window, as 16-bit numbers: a head's, the mean of a layer's heads, or the rollout of all layers.

    `before` is what each token gave to the tokens before the window.
    """
    maps = text.maps
    layers, heads = maps.weights.shape[:2]
    if view not in VIEWS or type(layer) is not int or type(head) is not int:
        raise Problem("problem.request")
    if not (0 <= layer < layers and 0 <= head < heads):
        raise Problem("problem.request")
    if view == "rollout" and maps.start:
        raise Problem("problem.rollout_window")
    if view == "rollout":
        weights = rollout(maps)
    else:
        weights = maps.weights[layer, head] if view == "head" else maps.weights[layer].mean(0)
    before = weights[:, : maps.start].sum(-1)
    inside = weights[:, maps.start :].clamp(0, 1)
    return {
        "view": view, "layer": layer, "head": head, "size": inside.shape[-1],
        "weights": _base64((inside * 65535).round().to(torch.int32).to(torch.uint16)),
        "before": [round(share, 4) for share in before.tolist()] if maps.start else [],
    }  # fmt: skip


def roles_json(roles: HeadRoles) -> list[list[dict[str, Any]]]:
    """Per layer and head: its role (a key of the strings) or null, and the scores of the roles it could have."""
    layers, heads = next(iter(roles.scores.values())).shape
    rows = []
    for layer in range(layers):
        row = []
        for head in range(heads):
            role, score = roles.role(layer, head)
            scores = {
                _key(name): round(share, 3)
                for name, found in roles.scores.items()
                if (share := float(found[layer, head])) == share  # not a number where a role was never possible
            }
            row.append({"role": role and _key(role), "score": round(score, 3), "scores": scores})
        rows.append(row)
    return rows


def _key(role: str) -> str:
    return role.replace(" ", "_")


def _base64(numbers: Tensor) -> str:
    return base64.b64encode(numbers.contiguous().numpy().tobytes()).decode("ascii")
