"""What the Responsibility tab measures: paired prompts, and how well a model's certainty is founded."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from typing import Any

from app.common.page_lifecycle import PageService
from app.common.page_store import PageStore
from app.common.progress import SECONDS_BETWEEN_UPDATES
from app.common.questions import read_message
from app.common.strings import Problem
from app.common.text import replace_surrogates
from app.models.page_models import MOST_PAGES, PageModels
from litellama.checkpoint import Opened
from litellama.evaluation.calibration import Calibration, Reliability, examine_calibration, next_token_reliability
from litellama.evaluation.paired_prompts import PairResult, compare_pairs
from litellama.evaluation.probes import SLOT, Probe, Template, english_probes, tinytown_probes

LIMITS = {"sentences": (1, 8), "words": (1, 40), "continuations": (2, 6)}
MOST_CHARACTERS = 200
MOST_READ = 1500
"""Texts, each a prompt with one continuation, that one comparison may have a model read."""
DOCUMENTS = 120


class ResponsibilityService(PageService):
    """The measurement under way for each page; a new one ends the one before."""

    def __init__(self, models: PageModels) -> None:
        self._models = models
        self._stops: PageStore[threading.Event] = PageStore(MOST_PAGES, lambda _, stop: stop.set())
        super().__init__(self._stops)

    def compare(self, page: str, sent: dict[str, Any]) -> Iterator[dict[str, Any]]:
        """Compare groups of words."""
        yield from compare(self._models.opened(page), sent, self._begin(page))

    def calibrate(self, page: str, text: object) -> Iterator[dict[str, Any]]:
        """Judge how well the model's certainty is founded, on a `text` or, if that is None, on TinyTown's questions."""
        opened = self._models.opened(page)
        yield from calibrate(opened, {} if text is None else {"text": read_message(text)}, self._begin(page))

    def cancel(self, page: str) -> None:
        """Let the measurement under way, if there is one, end where it is."""
        self._stops.forget(page)

    def _begin(self, page: str) -> threading.Event:
        """When this is set, the measurement that begins now is to end."""
        stop = threading.Event()
        self._stops.put(page, stop)
        return stop


def ready_probes() -> list[dict[str, Any]]:
    """The ready-made probes as the page's form shows them. `key` and the groups' names are ends of keys of the strings;
    `kind` says which models a probe is for."""
    kinds = {"tinytown": tinytown_probes(), "english": english_probes()}
    return [_ready(kind, probe) for kind, probes in kinds.items() for probe in probes.values()]


def _ready(kind: str, probe: Probe) -> dict[str, Any]:
    written = [f"{one.question} | {one.opening}" if one.question else one.opening for one in probe.templates]
    return {
        "key": _word(probe.name), "kind": kind, "sentences": written,
        "groups": [[_word(name), list(words)] for name, words in probe.groups.items()],
        "continuations": list(probe.continuations),
    }  # fmt: skip


def _word(name: str) -> str:
    """ "who repairs, other people" -> "who_repairs_other_people" """
    return name.lower().replace(",", "").replace(" ", "_")


def read_probe(sent: dict[str, Any]) -> Probe:
    """Check what was typed: sentences with a blank, "question | beginning" or a beginning alone, two groups of words,
    and continuations. Raises `Problem`."""
    sentences, continuations = (
        _texts(sent.get("sentences"), "sentences"),
        _texts(sent.get("continuations"), "continuations"),
    )
    groups = sent.get("groups")
    if not isinstance(groups, list) or len(groups) != 2:
        raise Problem("problem.request")
    named = {}
    for group in groups:
        if not (isinstance(group, list) and len(group) == 2):
            raise Problem("problem.request")
        (name,) = _texts([group[0]], "words")
        named[name] = tuple(_texts(group[1], "words"))
    if len(named) < 2:
        raise Problem("problem.probe_names")
    if bad := [sentence for sentence in sentences if SLOT not in sentence]:
        raise Problem("problem.probe_blank", sentence=_short(bad[0]), blank=SLOT)
    count = len(sentences) * len(continuations) * sum(map(len, named.values()))
    if count > MOST_READ:
        raise Problem("problem.probe_large", count=count, limit=MOST_READ)
    for one in continuations:
        if longer := [other for other in continuations if other.startswith(f"{one} ")]:
            raise Problem("problem.probe_begins", one=_short(one), other=_short(longer[0]))
    return Probe("", tuple(map(_template, sentences)), named, tuple(continuations))


def _template(sentence: str) -> Template:
    question, bar, opening = sentence.partition("|")
    return Template(opening.strip(), question.strip()) if bar else Template(sentence)


def _texts(sent: object, what: str) -> list[str]:
    """Several short texts, none of them twice; empty ones are passed over."""
    if not isinstance(sent, list) or not all(isinstance(text, str) for text in sent):
        raise Problem("problem.request")
    # Half characters become U+FFFD, as everywhere.
    whole = (replace_surrogates(text.strip()) for text in sent)
    texts = [text for text in whole if text]
    low, high = LIMITS[what]
    if not low <= len(texts) <= high:
        raise Problem("problem.probe_number", what=f"@responsibility.{what}", count=len(texts), low=low, high=high)
    if longest := [text for text in texts if len(text) > MOST_CHARACTERS]:
        raise Problem("problem.probe_long", text=_short(longest[0]), limit=MOST_CHARACTERS)
    if twice := [text for number, text in enumerate(texts) if text in texts[:number]]:
        raise Problem("problem.probe_twice", text=_short(twice[0]))
    return texts


def _short(text: str) -> str:
    return text if len(text) <= 30 else text[:29] + "…"


def compare(opened: Opened, sent: dict[str, Any], stop: threading.Event) -> Iterator[dict[str, Any]]:
    """Measure a probe: how far it is, a few times a second, and at last all values, means and differences."""
    probe = read_probe(sent)
    try:
        work = compare_pairs(opened.model, opened.tokenizer, probe, chat_format=opened.chat_format)
    except ValueError as error:
        raise Problem("problem.does_not_fit", limit=opened.config.max_position_embeddings) from error
    for result in _followed(work, probe.prompts, stop):
        yield _pairs_json(result) if isinstance(result, PairResult) else result


def calibrate(opened: Opened, sent: dict[str, Any], stop: threading.Event) -> Iterator[dict[str, Any]]:
    """Judge certainty: by TinyTown's held-out questions, or on a `text` by how often the likeliest next token comes."""
    text = sent.get("text")
    if text is not None:
        if not isinstance(text, str):
            raise Problem("problem.request")
        try:
            found = next_token_reliability(opened.model, opened.tokenizer, text)
        except ValueError as error:
            raise Problem("problem.empty") from error
        yield {"state": "done"} | _reliability_json(found)
        return
    try:
        work = examine_calibration(opened.model, opened.tokenizer, DOCUMENTS)
    except ValueError as error:
        raise Problem("problem.no_questions") from error
    for result in _followed(work, DOCUMENTS, stop):
        yield _calibration_json(result) if isinstance(result, Calibration) else result


def _followed(work: Iterator[Any], total: int, stop: threading.Event) -> Iterator[Any]:
    """The work's result, and before it how far it is; "stopped" instead, if it was."""
    last_update = 0.0
    for result in work:
        if stop.is_set():
            yield {"state": "stopped"}
            return
        if not isinstance(result, int):
            yield result
        elif time.monotonic() - last_update >= SECONDS_BETWEEN_UPDATES:
            last_update = time.monotonic()
            yield {"state": "running", "done": result, "total": total}


def _pairs_json(result: PairResult) -> dict[str, Any]:
    probe, groups = result.probe, list(result.probe.groups)
    return {
        "state": "done", "groups": groups, "continuations": list(probe.continuations), "prompts": probe.prompts,
        "sentences": [[one.question, one.opening] for one in probe.templates], "covered": result.covered,
        "values": [
            [one.template, groups.index(one.group), one.word, list(one.raw), list(one.shares)] for one in result.values
        ],
        "means": [[[one.value, one.low, one.high] for one in result.means[group].values()] for group in groups],
        "differences": [
            {"value": one.value, "low": one.low, "high": one.high, "chance": one.chance, "clear": one.clear}
            for one in result.differences
        ],
    }  # fmt: skip


def _reliability_json(found: Reliability) -> dict[str, Any]:
    return {"reliability": found.to_json()}


def _calibration_json(found: Calibration) -> dict[str, Any]:
    wrong = sorted((one for one in found.answers if not one.right), key=lambda one: -one.confidence)
    return {"state": "done"} | found.to_json() | {
        "surest_mistakes": [[one.answer, one.expected, one.confidence] for one in wrong[:5]],
    }  # fmt: skip
