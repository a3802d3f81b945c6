"""What was typed, checked; and a question with the beginning of the answer, for the tabs that look inside a model."""

from __future__ import annotations

from app.common.page_lifecycle import PageService
from app.common.page_store import PageStore
from app.common.strings import Problem
from litellama.chat import Message
from litellama.chat.format import ChatFormat
from litellama.checkpoint import Opened
from litellama.explain.tokenized_run import TokenizedRun, read_chat
from litellama.model import LiteLlama
from litellama.tokenizer import Tokenizer

MOST_CHARACTERS = 4000
LONGEST_ANSWER = 60
MOST_QUESTIONS = 200


def read_message(text: object) -> str:
    """Check what was typed, here and not only in the page. Raises `Problem`; half characters become U+FFFD."""
    if not isinstance(text, str):
        raise Problem("problem.request")
    if not text.strip():
        raise Problem("problem.empty")
    if len(text) > MOST_CHARACTERS:  # guard: message-length
        raise Problem("problem.too_long", length=len(text), limit=MOST_CHARACTERS)
    text = text.strip()  # guard: exact-text
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")  # guard: whole-characters


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


class QuestionReader(PageService):
    """Reads and answers questions, and stores each page's last one, so that the next tab need not have it answered
    again."""

    def __init__(self) -> None:
        self._questions: PageStore[tuple[str, TokenizedRun]] = PageStore(MOST_QUESTIONS)
        super().__init__(self._questions)

    def read(self, page: str, opened: Opened, text: object) -> TokenizedRun:
        """A page's question and its answer, read once for all tabs. Raises `Problem` if nothing is answered."""
        question = read_message(text)
        run = self.known(page, question)
        if run is None:
            run = read_question(opened.model, opened.tokenizer, question, opened.chat_format)
            self.put(page, question, run)
        if not run.answer:
            raise Problem("problem.no_answer")
        return run

    def known(self, page: str, question: str) -> TokenizedRun | None:
        """None if the page's last question was another one."""
        last, run = self._questions.get(page) or (None, None)
        return run if last == question else None

    def put(self, page: str, question: str, run: TokenizedRun) -> None:
        self._questions.put(page, (question, run))
