"""What the Attention tab holds of one text: the reading and every head's map; and the same as numbers for the page."""

from __future__ import annotations

import base64
import math
import threading
from collections import OrderedDict
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from app.common.questions import read_question
from app.common.strings import Problem
from litellama.chat.format import ChatFormat
from litellama.config import ModelConfig
from litellama.explain.attention import LONGEST_WINDOW, AttentionMaps, HeadRoles, attention_maps, rollout
from litellama.explain.tokenized_run import TokenizedRun
from litellama.model import LiteLlama
from litellama.tokenizer import Tokenizer

MOST_BYTES = 600 * 2**20  # of maps held for all pages together; a 460M model's of 512 tokens are 384 MB
MOST_LOOKS = 50
QUICK = 30_000_000  # parameters; a model of so many answers before anybody waits
LARGEST_PICTURE = 64  # pixels along a side of a head's small picture
MOST_PIXELS = 400_000  # of all small pictures together, a byte each
VIEWS = ("head", "layer", "rollout")


@dataclass(frozen=True)
class Look:
    """One text and the maps of one window of it."""

    reading: TokenizedRun
    maps: AttentionMaps

    @property
    def bytes(self) -> int:
        return self.maps.weights.nbytes


class Looks:
    """The last look of each page. When they grow too many, the least recently used are forgotten."""

    def __init__(self, most_bytes: int = MOST_BYTES) -> None:
        self.most_bytes = most_bytes
        self._looks: OrderedDict[str, Look] = OrderedDict()
        self._lock = threading.Lock()

    def keep(self, key: str, look: Look) -> None:
        with self._lock:
            self._looks.pop(key, None)
            self._looks[key] = look
            while len(self._looks) > 1 and (
                len(self._looks) > MOST_LOOKS or sum(one.bytes for one in self._looks.values()) > self.most_bytes
            ):
                self._looks.popitem(last=False)

    def get(self, key: str) -> Look:
        with self._lock:
            if key not in self._looks:
                raise Problem("problem.no_look")
            self._looks.move_to_end(key)
            return self._looks[key]

    def forget(self, key: str) -> None:
        with self._lock:
            self._looks.pop(key, None)


def look_at(
    model: LiteLlama, tokenizer: Tokenizer, question: str, chat_format: ChatFormat | None = None
) -> Iterator[Look]:
    """Answer a question greedily and keep what every head looked at. Raises `Problem` if it does not fit.

    A large model answers slowly, so its look at the question alone comes first.
    """
    if model.config.num_parameters > QUICK:
        yield look_again(model, read_question(model, tokenizer, question, chat_format, longest=0))
    yield look_again(model, read_question(model, tokenizer, question, chat_format))


def look_again(model: LiteLlama, reading: TokenizedRun) -> Look:
    """The maps of the text's last window, since it holds the answer."""
    length = len(reading.ids)
    return Look(reading, attention_maps(model, reading.ids, max(0, length - LONGEST_WINDOW), length))


def move_window(model: LiteLlama, look: Look, start: object) -> Look:
    """The same text, another window."""
    if type(start) is not int or not 0 <= start < len(look.reading.ids):
        raise Problem("problem.request")
    return Look(look.reading, attention_maps(model, look.reading.ids, start))


def overview(look: Look, config: ModelConfig) -> dict[str, Any]:
    """The tokens, and a small picture of every head: bytes of the square root, so that faint looks are seen too."""
    reading, maps = look.reading, look.maps
    end = maps.weights.shape[-1]
    layers, heads = maps.weights.shape[:2]
    pictures = maps.thumbnails(min(LARGEST_PICTURE, math.isqrt(MOST_PIXELS // (layers * heads))))
    return {
        "tokens": list(reading.tokens), "special": sorted(reading.special), "answer_start": reading.answer_start,
        "goes_on": reading.goes_on, "start": maps.start, "end": end, "window": LONGEST_WINDOW,
        "layers": layers, "heads": heads,
        "groups": config.num_key_value_heads, "side": pictures.shape[-1],
        "pictures": _base64((pictures.clamp(0, 1).sqrt() * 255).round().to(torch.uint8)),
    }  # fmt: skip


def picture(look: Look, view: object, layer: object, head: object) -> dict[str, Any]:
    """One map of the window, as 16-bit numbers: a head's, the mean of a layer's heads, or the rollout of all layers.

    `before` is what each token gave to the tokens before the window.
    """
    maps = look.maps
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
