"""What the Layers tab shows: the model's guess after each layer, for each token of its answer."""

from __future__ import annotations

from typing import Any

from app.common.questions import QuestionReader
from app.models.page_models import PageModels
from litellama.explain.lens import logit_lens
from litellama.explain.tokenized_run import TokenizedRun
from litellama.model import LiteLlama
from litellama.tokenizer import Tokenizer

GUESSES = 5


class LayersService:
    """What a page's model would say after each layer. Nothing is stored for a page."""

    def __init__(self, models: PageModels, questions: QuestionReader) -> None:
        self._models, self._questions = models, questions

    def guess(self, page: str, text: object) -> dict[str, Any]:
        """Read and answer `text`; for each token of the answer, what each layer would have said."""
        opened = self._models.opened(page)
        return lens_json(opened.model, opened.tokenizer, self._questions.read(page, opened, text))


def lens_json(model: LiteLlama, tokenizer: Tokenizer, reading: TokenizedRun) -> dict[str, Any]:
    """Row 0 is the embedding, row l what stands after layer l; each cell its likeliest tokens as (text, probability).

    `settled` says for each column from which row on the likeliest token is the one that was chosen in the end.
    """
    table = logit_lens(model, reading.ids, [position - 1 for position in reading.answer], top=GUESSES)
    rows = [
        [
            [[tokenizer.token_text(id), round(p, 4)] for id, p in zip(ids, ps, strict=True)]
            for ids, ps in zip(row_ids, row_ps, strict=True)
        ]
        for row_ids, row_ps in zip(table.ids.tolist(), table.probabilities.tolist(), strict=True)
    ]
    return {
        "answer": [reading.tokens[position] for position in reading.answer], "goes_on": reading.goes_on, "rows": rows,
        "settled": table.settled.tolist(),
    }  # fmt: skip
