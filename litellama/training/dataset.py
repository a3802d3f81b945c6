"""What a model is trained on and evaluated by: TinyTown, or any corpus of texts or chats, in one form for the loop."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

from litellama.chat import Message, prompt_ids
from litellama.data.batches import TinyTownBatches, TokenBatch, TokenBatches
from litellama.data.corpora import Corpus, read_corpus
from litellama.data.documents import texts
from litellama.data.encoding import frame
from litellama.data.hub_corpora import HUB, hub_corpus
from litellama.data.lookup_drills import LookupDrillBatches
from litellama.data.shards import Shards
from litellama.evaluation.exact_match import Score
from litellama.evaluation.exact_match import evaluate as evaluate_tinytown
from litellama.evaluation.perplexity import ValidationLoss, validation_loss
from litellama.model import LiteLlama
from litellama.tinytown.corpus import DATA_VERSION, make_document
from litellama.tokenizer import CHAT_TOKENS, SPECIAL_TOKENS, Tokenizer
from litellama.training.recipe import TINYTOWN

TOKENIZER_DOCUMENTS = 30_000
QUICK_DOCUMENTS = 90
TINYTOWN_PROMPT = "Tell me a story."
VALIDATION_ROWS, VALIDATION_LOGITS = 16, 2**26  # at once, at most


@dataclass(frozen=True)
class Evaluation:
    """What an evaluation found: `figures` by name, the most important one first, and all of it for the card."""

    figures: dict[str, float]
    card: dict[str, Any]


@dataclass(frozen=True)
class Dataset:
    """A corpus that one model can be trained on.

    `batches(seed, rows, length)` gives the batches. `evaluate(model, questions)` yields its progress and at last the
    `Evaluation`; `questions` is the number of TinyTown documents to ask about, None for a few. The model continues
    `prompt` while it learns, to show what it can do. `epoch_tokens` is None for a corpus without end.
    """

    corpus: str
    kind: Literal["tinytown", "chat", "text"]
    tokenizer: Tokenizer
    batches: Callable[[int, int, int], TokenBatches]
    evaluate: Callable[[LiteLlama, int | None], Iterator[int | Evaluation]]
    prompt: str
    epoch_tokens: int | None

    def encode_prompt(self, prompt: str, context_length: int) -> list[int]:
        """The prompt as this model reads it: a message to a chat model, the beginning of a text to any other."""
        if self.kind == "text":
            opening, _ = frame(self.tokenizer)
            return [*opening, *self.tokenizer.encode(" " + prompt)]
        return prompt_ids([Message("user", prompt)], self.tokenizer, context_length, reserve=1).ids


# --- TinyTown --------------------------------------------------------------------------------------------------------


class TinyTownCurriculum:
    """The batches of TinyTown by step: first lookup drills, then exercises in words, then stories and talk."""

    def __init__(
        self, tokenizer: Tokenizer, seed: int, rows: int, length: int, lookup_drills: int, exercises: int
    ) -> None:
        self.lookup_drills = lookup_drills
        self._drills = LookupDrillBatches(tokenizer, seed, lookup_drills)
        self._stories = TinyTownBatches(tokenizer, seed, rows, length, exercises)

    def __getitem__(self, step: int) -> TokenBatch:
        return self._drills[step] if step < self.lookup_drills else self._stories[step - self.lookup_drills]


def tinytown_tokenizer(vocab_size: int) -> Tokenizer:
    """Merges learned from TinyTown's own texts."""
    made = (make_document(f"tokenizer/{number}") for number in range(TOKENIZER_DOCUMENTS))
    return Tokenizer.train((" " + message.content for document in made for message in document.messages), vocab_size)


def tinytown_dataset(tokenizer: Tokenizer, lookup_drills: int = 0, exercises: int = 0) -> Dataset:
    """The lab's own world. Raises `ValueError` for a negative number of steps of either practice."""
    for name, steps in (("drills", lookup_drills), ("exercises", exercises)):
        if steps < 0:
            raise ValueError(f"{name} is {steps}; a number of steps was expected, 0 for none")

    def batches(seed: int, rows: int, length: int) -> TokenBatches:
        return TinyTownCurriculum(tokenizer, seed, rows, length, lookup_drills, exercises)

    def evaluate(model: LiteLlama, questions: int | None) -> Iterator[int | Evaluation]:
        for event in evaluate_tinytown(model, tokenizer, questions or QUICK_DOCUMENTS):
            yield Evaluation(_shares(event), {"evaluation": asdict(event)}) if isinstance(event, Score) else event

    return Dataset(DATA_VERSION, "tinytown", tokenizer, batches, evaluate, TINYTOWN_PROMPT, None)


def _shares(score: Score) -> dict[str, float]:
    return {name: getattr(score, name) for name in ("answerable", "unanswerable", "outside", "loss")}


# --- Any text or chat ------------------------------------------------------------------------------------------------


def find_corpus(corpus: str, *, skip_bad: bool, limit: int | None, on_bad: Callable[[str], None]) -> Corpus:
    """A file, a folder, or one of the hub's corpora by name; only the last is fetched from another machine."""
    if corpus in HUB:
        return hub_corpus(corpus, limit)
    if not Path(corpus).exists():
        names = ", ".join((TINYTOWN, *HUB))
        raise ValueError(f"there is no corpus {corpus!r}: neither a file or folder nor one of {names}")
    return read_corpus(corpus, skip_bad=skip_bad, on_bad=on_bad)


def corpus_tokenizer(corpus: Corpus, vocab_size: int) -> Tokenizer:
    """Merges learned from the corpus itself; only conversations get the tokens that frame them."""
    special = [name for name in SPECIAL_TOKENS if corpus.kind == "chat" or name not in CHAT_TOKENS]
    return Tokenizer.train(texts(corpus), vocab_size, special)


def corpus_dataset(shards: Shards, tokenizer: Tokenizer, prompt: str, separate: bool | None = None) -> Dataset:
    """A tokenised corpus: evaluated by the part that is held out."""

    def batches(seed: int, rows: int, length: int) -> TokenBatches:
        return shards.batches(seed, rows, length, separate=separate)

    def evaluate(model: LiteLlama, questions: int | None) -> Iterator[int | Evaluation]:
        length = model.config.max_position_embeddings
        rows = max(1, min(VALIDATION_ROWS, VALIDATION_LOGITS // (length * model.config.vocab_size)))
        parts = shards.held_out(rows, length, separate=separate)
        if not parts:
            return
        found = validation_loss(model, parts, tokenizer=tokenizer)
        yield Evaluation({"loss": found.loss, "perplexity": found.perplexity}, _validation_card(found))

    return Dataset(shards.source, shards.kind, tokenizer, batches, evaluate, prompt, shards.epoch_tokens)


def _validation_card(found: ValidationLoss) -> dict[str, Any]:
    return {"held_out": {name: round(value, 4) for name, value in asdict(found).items() if value is not None}}
