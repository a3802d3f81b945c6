"""What the Attribution tab does with one text: reads it, explains its answer by a method, and puts that to the test."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import torch

from app.common.page_lifecycle import PageService
from app.common.page_store import PageStore
from app.common.progress import SECONDS_BETWEEN_UPDATES, progress_json
from app.common.questions import QuestionReader
from app.common.strings import Problem
from app.models.page_models import PageModels
from litellama.explain.attribution import METHODS, Attribution, attribute
from litellama.explain.scoring import Scorer, Target, deletion_curve, rank_correlation, sufficiency_curve
from litellama.explain.tokenized_run import TokenizedRun, Unit
from litellama.model import LiteLlama
from litellama.tokenizer import Tokenizer

UNITS = ("token", "word", "sentence")
MOST_TEXTS = 200
ALTERNATIVES = 6
RANDOM_ORDERS = 5


@dataclass
class ExplainedText:
    """One page's text, what was last found about it, and whether the work under way is to end."""

    reading: TokenizedRun
    found: Attribution | None = None
    target: Target | None = None
    stop: threading.Event = field(default_factory=threading.Event)


class AttributionService(PageService):
    """The text of each page, whose answer is explained."""

    def __init__(self, models: PageModels, questions: QuestionReader) -> None:
        self._models, self._questions = models, questions
        self._texts: PageStore[ExplainedText] = PageStore(MOST_TEXTS, lambda _, text: text.stop.set())
        super().__init__(self._texts)

    def read(self, page: str, text: object) -> dict[str, Any]:
        """Read and answer `text`, whose answer is to be explained."""
        opened = self._models.opened(page)
        reading = self._questions.read(page, opened, text)
        self._texts.put(page, ExplainedText(reading))
        return reading_json(opened.model, opened.tokenizer, reading)

    def explain(self, page: str, sent: dict[str, Any]) -> Iterator[dict[str, Any]]:
        """Explain the answer read last by one method, and tell how far it is."""
        yield from explain(self._models.opened(page).model, self._text(page), sent)

    def put_to_the_test(self, page: str) -> dict[str, Any]:
        """Blank out words by what the explanation found last says of them, and at random."""
        return put_to_the_test(self._models.opened(page).model, self._text(page))

    def compare(self, page: str) -> Iterator[dict[str, Any]]:
        """What every method says of what was explained last."""
        yield from compare(self._models.opened(page).model, self._text(page))

    def cancel(self, page: str) -> None:
        """Let the explanation under way, if there is one, end where it is."""
        text = self._texts.get(page)
        if text is not None:
            text.stop.set()

    def _text(self, page: str) -> ExplainedText:
        text = self._texts.get(page)
        if text is None:
            raise Problem("problem.no_text")
        return text


@torch.inference_mode()
def reading_json(model: LiteLlama, tokenizer: Tokenizer, reading: TokenizedRun) -> dict[str, Any]:
    """The tokens, and for each of the answer's the likeliest others: (id, text, probability)."""
    logits = model(torch.tensor([reading.ids], device=model.device)).logits[0]
    others = []
    for position in reading.answer:
        values, ids = logits[position - 1].float().softmax(-1).topk(ALTERNATIVES)
        pairs = zip(ids.tolist(), values.tolist(), strict=True)
        others.append([[id, tokenizer.token_text(id), round(p, 4)] for id, p in pairs if id != reading.ids[position]])
    return {
        "tokens": list(reading.tokens), "special": sorted(reading.special), "answer_start": reading.answer_start,
        "goes_on": reading.goes_on, "others": others,
    }  # fmt: skip


def explain(model: LiteLlama, text: ExplainedText, sent: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Explain what was asked for: how far it is, a few times a second, and at last what each unit adds."""
    method, units, target = _read_request(text.reading, sent)
    text.stop.clear()
    try:
        work = attribute(model, text.reading, target, method, units)
    except ValueError as error:
        raise Problem("problem.request") from error
    last_update = 0.0
    for result in work:
        if text.stop.is_set():
            yield {"state": "stopped"}
            return
        if isinstance(result, Attribution):
            text.found, text.target = result, target
            yield _found_json(result)
        elif time.monotonic() - last_update >= SECONDS_BETWEEN_UPDATES:
            last_update = time.monotonic()
            yield progress_json(result)


def put_to_the_test(model: LiteLlama, text: ExplainedText) -> dict[str, Any]:
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


def compare(model: LiteLlama, text: ExplainedText) -> Iterator[dict[str, Any]]:
    """Every method on the same target and units: its top three, and how alike its order is to that found last."""
    found, target = _found(text), text.target
    assert target is not None
    text.stop.clear()
    rows: list[dict[str, Any]] = []
    for number, method in enumerate(METHODS):
        yield {"state": "running", "done": number, "total": len(METHODS)}
        for result in attribute(model, text.reading, target, method, found.units):
            if text.stop.is_set():
                yield {"state": "stopped"}
                return
            if isinstance(result, Attribution):
                top = result.scores.argsort(descending=True, stable=True)[:3].tolist()
                alike = round(rank_correlation(found.scores, result.scores), 3)
                rows.append({"method": method, "top": top, "alike": alike, "seconds": round(result.seconds, 2)})
    yield {"state": "done", "method": found.method, "rows": rows}


def _found(text: ExplainedText) -> Attribution:
    if text.found is None:
        raise Problem("problem.no_text")
    return text.found


def _scorer(model: LiteLlama, text: ExplainedText) -> Scorer:
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


def _found_json(found: Attribution) -> dict[str, Any]:
    return {
        "state": "done", "method": found.method, "units": [list(unit) for unit in found.units],
        "scores": _rounded(found.scores), "score": round(found.score, 4), "blank": round(found.blank_score, 4),
        "gap": None if found.gap is None else round(found.gap, 5), "seconds": round(found.seconds, 2),
    }  # fmt: skip


def _rounded(values: torch.Tensor) -> list[float]:
    return [round(value, 5) for value in values.tolist()]
