"""What the Intervene tab does: the answer without some heads, what each head is worth, the few that suffice."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Any

import torch

from app.common.page_lifecycle import PageService
from app.common.page_store import PageStore
from app.common.progress import SECONDS_BETWEEN_UPDATES, progress_json
from app.common.questions import QuestionReader, read_message
from app.common.strings import Problem
from app.models.page_models import PageModels
from litellama.chat import Message, answer_steps, choose_format, stop_ids
from litellama.chat.format import ChatFormat
from litellama.config import ModelConfig
from litellama.explain.heads import (
    HeadEffects,
    Work,
    iter_patch_each,
    iter_switch_off_each,
    search_smallest_set,
    with_heads,
)
from litellama.explain.scoring import Target
from litellama.explain.tokenized_run import TokenizedRun, read_chat
from litellama.generate import generate
from litellama.model import LiteLlama
from litellama.sampling import Sampling
from litellama.tokenizer import Tokenizer

MOST_TEXTS = 200
LOUDEST = 3
"""By so much, at most, a head's output is multiplied."""


@dataclass
class ChangedText:
    """One page's text, and whether the work under way is to end."""

    reading: TokenizedRun
    stop: threading.Event = field(default_factory=threading.Event)


class InterveneService(PageService):
    """The text of each page, which is answered with other heads."""

    def __init__(self, models: PageModels, questions: QuestionReader) -> None:
        self._models, self._questions = models, questions
        self._texts: PageStore[ChangedText] = PageStore(MOST_TEXTS, lambda _, text: text.stop.set())
        super().__init__(self._texts)

    def begin(self, page: str, text: object) -> dict[str, Any]:
        """Read and answer `text`."""
        opened = self._models.opened(page)
        reading = self._questions.read(page, opened, text)
        self._texts.put(page, ChangedText(reading))
        return begin(opened.model, opened.tokenizer, reading, opened.chat_format)

    def change(self, page: str, heads: object, strength: object = 0) -> dict[str, Any]:
        """The answer with the outputs of `heads`, [[layer, head], ...], multiplied by `strength`."""
        opened, text = self._models.opened(page), self._text(page)
        return answer_with(opened.model, opened.tokenizer, text.reading, heads, strength, opened.chat_format)

    def worth(self, page: str) -> Iterator[dict[str, Any]]:
        """What the answer loses when each head alone is switched off."""
        yield from worth_of_each(self._models.opened(page).model, self._text(page))

    def patch(self, page: str, other: object) -> Iterator[dict[str, Any]]:
        """What the answer loses when each head alone says what it says of the question `other`."""
        opened, text = self._models.opened(page), self._text(page)
        question = read_message(other)
        yield from patched_from(opened.model, opened.tokenizer, text, question, opened.chat_format)

    def few(self, page: str) -> Iterator[dict[str, Any]]:
        """Search for the few heads that suffice for the answer."""
        opened, text = self._models.opened(page), self._text(page)
        yield from few_that_suffice(opened.model, opened.tokenizer, text, opened.chat_format)

    def cancel(self, page: str) -> None:
        """Let the work under way, if there is any, end where it is."""
        text = self._texts.get(page)
        if text is not None:
            text.stop.set()

    def _text(self, page: str) -> ChangedText:
        text = self._texts.get(page)
        if text is None:
            raise Problem("problem.no_text")
        return text


def begin(
    model: LiteLlama, tokenizer: Tokenizer, reading: TokenizedRun, chat_format: ChatFormat | None = None
) -> dict[str, Any]:
    """The answer as it is, and how many heads there are to play with."""
    config = model.config
    shape = {
        "layers": config.num_hidden_layers,
        "heads": config.num_attention_heads,
        "groups": config.num_key_value_heads,
    }
    return shape | {"goes_on": reading.goes_on} | answer_with(model, tokenizer, reading, [], chat_format=chat_format)


def answer_with(
    model: LiteLlama,
    tokenizer: Tokenizer,
    reading: TokenizedRun,
    chosen: object,
    strength: object = 0,
    chat_format: ChatFormat | None = None,
) -> dict[str, Any]:
    """The greedy answer with the outputs of the heads `chosen`, [[layer, head], ...], multiplied by `strength`, 0 for
    off: its tokens and their probabilities.

    `before` are the probabilities that the first answer's tokens still have.
    """
    if isinstance(strength, bool) or not isinstance(strength, int | float) or not 0 <= strength <= LOUDEST:
        raise Problem("problem.request")
    scales = torch.ones(1, model.config.num_hidden_layers, model.config.num_attention_heads)
    for layer, head in _read_heads(chosen, model.config):
        scales[0, layer, head] = strength
    changed = with_heads(model, scales)
    chat_format = choose_format(tokenizer, model.config) if chat_format is None else chat_format
    # An answer that was cut off is compared as far as it was read.
    length = len(reading.answer) if reading.goes_on else max(20, len(reading.answer) + 5)
    room = model.config.max_position_embeddings - reading.answer_start
    steps = generate(
        changed, reading.ids[: reading.answer_start], sampling=Sampling(temperature=0), seed=0,
        max_new_tokens=min(length, room), stop_ids=stop_ids(model, tokenizer, chat_format),
    )  # fmt: skip
    answer = answer_steps(steps, tokenizer, chat_format)
    now = [[tokenizer.token_text(step.id), round(step.probability, 4)] for step in answer]
    with torch.inference_mode():
        logits = changed(torch.tensor([reading.ids], device=model.device)).logits[0].float().softmax(-1)
    before = [
        [reading.tokens[position], round(logits[position - 1, reading.ids[position]].item(), 4)]
        for position in reading.answer
    ]
    return {"now": now, "before": before}


def worth_of_each(model: LiteLlama, text: ChangedText) -> Iterator[dict[str, Any]]:
    """How far it is, a few times a second, and at last what the answer loses when each head alone is switched off."""
    yield from _followed(iter_switch_off_each(model, text.reading, _answer(text.reading)), text.stop)


def patched_from(
    model: LiteLlama, tokenizer: Tokenizer, text: ChangedText, question: str, chat_format: ChatFormat | None = None
) -> Iterator[dict[str, Any]]:
    """The same of each head alone saying what it says of another question with as many tokens. Raises `Problem`."""
    reading = text.reading
    try:
        answer = reading.text_of(reading.answer).strip()
        other = read_chat(model, tokenizer, [Message("user", question)], answer=answer, chat_format=chat_format)
    except ValueError as error:
        raise Problem("problem.does_not_fit", limit=model.config.max_position_embeddings) from error
    if other.answer_start != reading.answer_start:
        raise Problem("problem.other_length", first=reading.answer_start, other=other.answer_start)
    aligned = replace(other, ids=other.ids[: other.answer_start] + reading.ids[reading.answer_start :])
    yield from _followed(iter_patch_each(model, reading, _answer(reading), aligned.ids), text.stop)


def few_that_suffice(
    model: LiteLlama, tokenizer: Tokenizer, text: ChangedText, chat_format: ChatFormat | None = None
) -> Iterator[dict[str, Any]]:
    """The heads that are switched off so far while the answer, its end included, stays; a few times a second."""
    text.stop.clear()
    last_update, off = 0.0, -1
    ended = _with_its_end(model, tokenizer, text.reading, chat_format)
    for state in search_smallest_set(model, ended, _answer(ended)):
        result: dict[str, Any] = {"off": (~state.left).nonzero().tolist(), "tried": state.tried, "to_try": state.to_try}
        if text.stop.is_set():
            yield {"state": "stopped"} | result
            return
        if len(result["off"]) != off or time.monotonic() - last_update >= SECONDS_BETWEEN_UPDATES:
            last_update, off = time.monotonic(), len(result["off"])
            yield {"state": "running"} | result
    yield {"state": "done"} | result


@torch.inference_mode()
def _with_its_end(
    model: LiteLlama, tokenizer: Tokenizer, reading: TokenizedRun, chat_format: ChatFormat | None
) -> TokenizedRun:
    """The reading and the stop token that comes next, if one does: an answer that goes on is another answer."""
    logits = model(torch.tensor([reading.ids], device=model.device), logits_to_keep=1).logits[0, -1]
    likeliest = int(logits.argmax())
    ends = likeliest in stop_ids(model, tokenizer, chat_format)
    return replace(reading, ids=(*reading.ids, likeliest)) if ends else reading


def _followed(work: Work, stop: threading.Event) -> Iterator[dict[str, Any]]:
    stop.clear()
    last_update = 0.0
    for result in work:
        if stop.is_set():
            yield {"state": "stopped"}
            return
        if isinstance(result, HeadEffects):
            yield {"state": "done"} | _effects_json(result)
        elif time.monotonic() - last_update >= SECONDS_BETWEEN_UPDATES:
            last_update = time.monotonic()
            yield progress_json(result)


def _answer(reading: TokenizedRun) -> Target:
    return Target(reading.answer_start, len(reading.ids))


def _effects_json(found: HeadEffects) -> dict[str, Any]:
    return {"score": round(found.score, 4), "effects": [[round(e, 4) for e in row] for row in found.effects.tolist()]}


def _read_heads(chosen: object, config: ModelConfig) -> list[tuple[int, int]]:
    if not isinstance(chosen, list) or len(chosen) > config.num_hidden_layers * config.num_attention_heads:
        raise Problem("problem.request")
    heads = []
    for pair in chosen:
        if not (isinstance(pair, list) and len(pair) == 2 and all(type(number) is int for number in pair)):
            raise Problem("problem.request")
        layer, head = pair
        if not (0 <= layer < config.num_hidden_layers and 0 <= head < config.num_attention_heads):
            raise Problem("problem.request")
        heads.append((layer, head))
    return heads
