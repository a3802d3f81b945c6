"""What the "Inside one step" tab shows: the numbers between one token and the guess of the next, with the code."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from app.common.page_lifecycle import PageService
from app.common.page_store import PageStore
from app.common.questions import QuestionReader
from app.common.strings import Problem
from app.models.page_models import PageModels
from litellama.explain.tokenized_run import TokenizedRun
from litellama.explain.trace import STAGES, Trace, trace_step, vectors
from litellama.model import LiteLlama
from litellama.sampling import Sampling
from litellama.tokenizer import Tokenizer

MOST_TEXTS = 200
GUESSES = 10
MOST_VALUES = 8  # tokens whose value vectors are drawn
TEMPERATURES = (0.3, 0.7, 1.0, 1.5)
DIGITS = 4


class StepService(PageService):
    """The text of each page, one step of which is shown."""

    def __init__(self, models: PageModels, questions: QuestionReader) -> None:
        self._models, self._questions = models, questions
        self._readings: PageStore[TokenizedRun] = PageStore(MOST_TEXTS)
        super().__init__(self._readings)

    def trace(self, page: str, sent: dict[str, Any]) -> dict[str, Any]:
        """Every number of one step: of a new `text`, or of the text read last at `place`, `layer` and `head`."""
        opened = self._models.opened(page)
        if "text" in sent:
            self._readings.put(page, self._questions.read(page, opened, sent["text"]))
        reading = self._readings.get(page)
        if reading is None:
            raise Problem("problem.no_text")
        position, layer, head = sent.get("place"), sent.get("layer", 0), sent.get("head", 0)
        return trace_json(opened.model, opened.tokenizer, reading, position, layer, head)


def trace_json(
    model: LiteLlama, tokenizer: Tokenizer, reading: TokenizedRun, position: object, layer: object, head: object
) -> dict[str, Any]:
    """One step of the reading, by default the answer's least sure one. Raises `Problem`."""
    config = model.config
    chosen = _least_sure(model, reading) if position is None else position
    if type(chosen) is not int or type(layer) is not int or type(head) is not int:
        raise Problem("problem.request")
    if not (0 <= chosen < len(reading.ids) and 0 <= layer < config.num_hidden_layers):
        raise Problem("problem.request")
    if not 0 <= head < config.num_attention_heads:
        raise Problem("problem.request")
    trace = trace_step(model, reading.ids, position=chosen, layer=layer, head=head)
    numbers = {name: _rounded(tensor) for name, tensor in vectors(trace).items() if name not in _LARGE}
    return {
        "tokens": list(reading.tokens), "special": sorted(reading.special), "answer_start": reading.answer_start,
        "goes_on": reading.goes_on, "place": chosen, "id": reading.ids[chosen],
        "layer": layer, "head": head, "group": trace.group,
        "layers": config.num_hidden_layers, "heads": config.num_attention_heads,
        "groups": config.num_key_value_heads, "vocabulary": config.vocab_size,
        "epsilon": config.rms_norm_eps, "theta": config.rope_theta,
        "stations": [_stage_json(*stage.line(), stage.name, stage.formula) for stage in STAGES],
        "numbers": numbers | {"keys": _rounded(trace.keys)},
        "values": [
            {"place": at, "values": _rounded(trace.values[at])}
            for at in trace.weights.topk(min(MOST_VALUES, len(trace.weights))).indices.tolist()
        ],
        "own_value": _rounded(trace.values[-1]),
        "guesses": _guesses(trace, tokenizer, reading), "temperatures": list(TEMPERATURES),
    }  # fmt: skip


@torch.inference_mode()
def _least_sure(model: LiteLlama, reading: TokenizedRun) -> int:
    """The position from which the answer's least likely token was chosen: the step most worth a look."""
    ids = torch.tensor([reading.ids], device=model.device)
    logs = model(ids).logits[0, reading.answer_start - 1 : -1].float().log_softmax(-1)
    return reading.answer_start - 1 + int(logs.gather(-1, ids[0, reading.answer_start :, None]).argmin())


_LARGE = {"logits", "keys", "keys_turned", "values"}  # the page turns the keys itself


def _stage_json(file: str, line: int, code: str, name: str, formula: str) -> dict[str, Any]:
    return {"name": name, "formula": formula, "file": file, "line": line, "code": code}


def _guesses(trace: Trace, tokenizer: Tokenizer, reading: TokenizedRun) -> list[dict[str, Any]]:
    """The likeliest next tokens: logit, probability at each of `TEMPERATURES`, and whether it is what came next."""
    logits, ids = trace.logits.topk(min(GUESSES, len(trace.logits)))
    shares = [Sampling(temperature=t, top_p=1).probabilities(trace.logits)[ids].tolist() for t in TEMPERATURES]
    came = reading.ids[trace.position + 1] if trace.position + 1 < len(reading.ids) else None
    return [
        {"text": tokenizer.token_text(id), "id": id, "logit": round(logit, DIGITS), "came": id == came,
         "shares": [round(row[number], 4) for row in shares]}
        for number, (id, logit) in enumerate(zip(ids.tolist(), logits.tolist(), strict=True))
    ]  # fmt: skip


def _rounded(numbers: Tensor) -> Any:
    """As (nested) lists, to four digits: what a person reads, and a quarter of the bytes."""
    if numbers.dim() > 1:
        return [_rounded(row) for row in numbers]
    return [float(f"{number:.{DIGITS}g}") for number in numbers.tolist()]
