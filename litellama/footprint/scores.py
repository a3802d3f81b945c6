"""How good models are, by figures that can be compared: one leaderboard, the same prompts, and what guessing gets.

    >>> [round(one.above_chance, 1) for one in scores() if one.model == "litellama-460m"]
    [4.7]

Only results of one evaluation harness are here. TruthfulQA is shown but not counted: broken models score higher on it
than LLaMA 2 70B ("7 Contradictions for lessons").
"""

from __future__ import annotations

from dataclasses import dataclass

from litellama.footprint.facts import Fact, fact

_BOARD = "1-5-open-llm-leaderboard-v1-rows."
TASKS = ("ARC-challenge", "HellaSwag", "MMLU")
"""Questions with four answers each, so guessing gets a quarter."""

NOT_COUNTED = "TruthfulQA"
_SLUGS = {
    "ARC-challenge": "arc-challenge-25-shot-acc-norm", "HellaSwag": "hellaswag-10-shot-acc-norm",
    "MMLU": "mmlu-5-shot", "TruthfulQA": "truthfulqa-mc2-0-shot",
}  # fmt: skip
_PEER_SLUGS = {
    "ARC-challenge": "arc-challenge-25-shot-leaderboard", "HellaSwag": "hellaswag-10-shot-leaderboard",
    "MMLU": "mmlu-5-shot-leaderboard", "TruthfulQA": "truthfulqa-mc2-leaderboard",
}  # fmt: skip
_ROWS = {
    "litellama-460m": (_BOARD + "litellama-460m-1t-own-row.", _SLUGS),
    "tinyllama-1.1b": ("3-peers.tinyllama-1-1b.", _PEER_SLUGS),
    "llama2-7b": (_BOARD + "llama-2-7b.", _SLUGS),
    "llama2-13b": (_BOARD + "llama-2-13b.", _SLUGS),
    "llama2-70b": (_BOARD + "llama-2-70b.", _SLUGS),
}


@dataclass(frozen=True)
class Scores:
    """One model's percentages by task."""

    model: str
    by_task: dict[str, Fact]

    @property
    def above_chance(self) -> float:
        """The mean over `TASKS`, in percentage points above guessing."""
        return sum(self.by_task[task].number - chance(task).number for task in TASKS) / len(TASKS)


def scores() -> list[Scores]:
    """The scores of every model that comparable figures were published of."""
    return [
        Scores(model, {task: fact(start + slug) for task, slug in slugs.items()})
        for model, (start, slugs) in _ROWS.items()
    ]


def chance(task: str) -> Fact:
    """What guessing gets, in percent. Raises `ValueError` for a task without such a figure."""
    return fact(f"{_BOARD}random-guessing.{task.lower()}-chance-level")
