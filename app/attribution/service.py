"""What the Attribution tab does with one text: reads it, explains its answer by a method, and puts that to the test."""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import torch

from app.common.strings import Problem
from litellama.explain.attribution import METHODS, Attribution, attribute
from litellama.explain.scoring import (
    Scorer,
    ScoringProgress,
    Target,
    deletion_curve,
    rank_correlation,
    sufficiency_curve,
)
from litellama.explain.tokenized_run import TokenizedRun, Unit
from litellama.model import LiteLlama
from litellama.tokenizer import Tokenizer

UNITS = ("token", "word", "sentence")
MOST_TEXTS = 200
ALTERNATIVES = 6
RANDOM_ORDERS = 5
SECONDS_BETWEEN_UPDATES = 0.3


@dataclass
class Explained:
    """One page's text, what was last found about it, and the wish to end the work under way."""

    reading: TokenizedRun
    found: Attribution | None = None
    target: Target | None = None
    stop: threading.Event = field(default_factory=threading.Event)


class Texts:
    """The last text of each page; the least recently used are forgotten."""

    def __init__(self) -> None:
        self._texts: OrderedDict[str, Explained] = OrderedDict()
        self._lock = threading.Lock()

    def keep(self, key: str, text: Explained) -> None:
        self.forget(key)
        with self._lock:
            self._texts[key] = text
            while len(self._texts) > MOST_TEXTS:
                self._texts.popitem(last=False)[1].stop.set()

    def get(self, key: str) -> Explained:
        with self._lock:
            if key not in self._texts:
                raise Problem("problem.no_text")
            self._texts.move_to_end(key)
            return self._texts[key]

    def stop(self, key: str) -> None:
        with self._lock:
            text = self._texts.get(key)
        if text is not None:
            text.stop.set()

    def forget(self, key: str) -> None:
        self.stop(key)
        with self._lock:
            self._texts.pop(key, None)


@torch.inference_mode()
def reading_json(model: LiteLlama, tokenizer: Tokenizer, reading: TokenizedRun) -> dict[str, Any]:
    """The tokens, and for each of the answer's the likeliest others: (id, text, probability)."""
    logits = model(torch.tensor([reading.ids], device=model.device)).logits[0]
    others = []
    for place in reading.answer:
        values, ids = logits[place - 1].float().softmax(-1).topk(ALTERNATIVES)
        pairs = zip(ids.tolist(), values.tolist(), strict=True)
        others.append([[id, tokenizer.token_text(id), round(p, 4)] for id, p in pairs if id != reading.ids[place]])
    return {
        "tokens": list(reading.tokens), "special": sorted(reading.special), "answer_start": reading.answer_start,
        "goes_on": reading.goes_on, "others": others,
    }  # fmt: skip


def explain(model: LiteLlama, text: Explained, sent: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Explain what was asked for: how far it is, a few times a second, and at last what each unit adds."""
    method, units, target = _read_request(text.reading, sent)
    text.stop.clear()
    try:
        work = attribute(model, text.reading, target, method, units)
    except ValueError as error:
        raise Problem("problem.request") from error
    told = 0.0
    for news in work:
        if text.stop.is_set():
            yield {"state": "stopped"}
            return
        if isinstance(news, Attribution):
            text.found, text.target = news, target
            yield _found_json(news)
        elif time.monotonic() - told >= SECONDS_BETWEEN_UPDATES:
            told = time.monotonic()
            yield progress_json(news)


def put_to_the_test(model: LiteLlama, text: Explained) -> dict[str, Any]:
    """What is left of the answer while units are blanked out, the method's top ones first, or random ones; and what is
    there of it while units are shown to a blank text in the same orders.

    `random` is the mean of `RANDOM_ORDERS` orders. Raises `Problem` if nothing was explained yet.
    """
    found, scorer = _found(text), _scorer(model, text)
    generator = torch.Generator().manual_seed(0)
    orders = [torch.randperm(len(found.units), generator=generator, device="cpu") for _ in range(RANDOM_ORDERS)]
    best = found.scores.argsort(descending=True, stable=True)
    curves = {}
    for name, curve in (("blanked", deletion_curve), ("shown", sufficiency_curve)):
        chance = torch.stack([curve(scorer, order) for order in orders]).mean(0)
        curves[name] = {"top": _rounded(curve(scorer, best)), "random": _rounded(chance)}
    return curves


def compare(model: LiteLlama, text: Explained) -> Iterator[dict[str, Any]]:
    """Every method on the same target and units: its top three, and how alike its order is to that found last."""
    found, target = _found(text), text.target
    assert target is not None
    text.stop.clear()
    rows: list[dict[str, Any]] = []
    for number, method in enumerate(METHODS):
        yield {"state": "running", "done": number, "total": len(METHODS)}
        for news in attribute(model, text.reading, target, method, found.units):
            if text.stop.is_set():
                yield {"state": "stopped"}
                return
            if isinstance(news, Attribution):
                top = news.scores.argsort(descending=True, stable=True)[:3].tolist()
                alike = round(rank_correlation(found.scores, news.scores), 3)
                rows.append({"method": method, "top": top, "alike": alike, "seconds": round(news.seconds, 2)})
    yield {"state": "done", "method": found.method, "rows": rows}


def _found(text: Explained) -> Attribution:
    if text.found is None:
        raise Problem("problem.no_text")
    return text.found


def _scorer(model: LiteLlama, text: Explained) -> Scorer:
    assert text.target is not None
    return Scorer(model, text.reading, text.target, _found(text).units)


def _read_request(reading: TokenizedRun, sent: dict[str, Any]) -> tuple[str, tuple[Unit, ...], Target]:
    method, unit, start, end, instead = (sent.get(name) for name in ("method", "unit", "start", "end", "instead"))
    if method not in METHODS or unit not in UNITS or type(start) is not int or type(end) is not int:
        raise Problem("problem.request")
    if not (instead is None or type(instead) is int):
        raise Problem("problem.request")
    if not reading.answer_start <= start < end <= len(reading.ids):
        raise Problem("problem.request")
    units = reading.units(unit)
    if not units:
        raise Problem("problem.no_words")
    return method, units, Target(start, end, instead)


def progress_json(progress: ScoringProgress) -> dict[str, Any]:
    return {
        "state": "running", "done": progress.done, "total": progress.total,
        "seconds_left": round(progress.seconds_left, 1),
    }  # fmt: skip


def _found_json(found: Attribution) -> dict[str, Any]:
    return {
        "state": "done", "method": found.method, "units": [list(unit) for unit in found.units],
        "scores": _rounded(found.scores), "score": round(found.score, 4), "blank": round(found.blank_score, 4),
        "gap": None if found.gap is None else round(found.gap, 5), "seconds": round(found.seconds, 2),
    }  # fmt: skip


def _rounded(values: torch.Tensor) -> list[float]:
    return [round(value, 5) for value in values.tolist()]
