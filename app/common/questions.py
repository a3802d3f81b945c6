"""What the tabs that look inside look at: a question, and the beginning of the model's likeliest answer."""

from __future__ import annotations

import threading
from collections import OrderedDict

from app.common.strings import Problem
from litellama.chat import Message
from litellama.chat.format import ChatFormat
from litellama.explain.tokenized_run import TokenizedRun, read_chat
from litellama.model import LiteLlama
from litellama.tokenizer import Tokenizer

LONGEST_ANSWER = 60
MOST_READINGS = 200


def read_question(
    model: LiteLlama,
    tokenizer: Tokenizer,
    question: str,
    chat_format: ChatFormat | None = None,
    longest: int | None = None,
) -> TokenizedRun:
    """The question with the first paragraph of the greedy answer, `longest` tokens of it at most; a chatty model would
    go on for long, and every view's work grows with the answer. Raises `Problem` if the question does not fit."""
    limit = model.config.max_position_embeddings
    reserved = min(LONGEST_ANSWER, limit // 4)
    most = reserved if longest is None else longest
    try:
        return read_chat(
            model,
            tokenizer,
            [Message("user", question)],
            max_new_tokens=most,
            chat_format=chat_format,
            one_paragraph=True,
        )
    except ValueError as error:
        raise Problem("problem.does_not_fit", limit=limit - reserved) from error


class Readings:
    """Each page's last question as its model read it, so that the next tab need not have it answered again; the least
    recently used are forgotten."""

    def __init__(self) -> None:
        self._readings: OrderedDict[str, tuple[str, TokenizedRun]] = OrderedDict()
        self._lock = threading.Lock()

    def store(self, key: str, question: str, reading: TokenizedRun) -> None:
        with self._lock:
            self._readings[key] = (question, reading)
            self._readings.move_to_end(key)
            while len(self._readings) > MOST_READINGS:
                self._readings.popitem(last=False)

    def get(self, key: str, question: str) -> TokenizedRun | None:
        """None if the page's last question was another one."""
        with self._lock:
            asked, reading = self._readings.get(key, (None, None))
        return reading if asked == question else None

    def forget(self, key: str) -> None:
        with self._lock:
            self._readings.pop(key, None)
