"""Every visible word is there in every language."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from app.common.strings import Problem, all_words
from litellama.explain.trace import STAGES

APP = Path(__file__).parents[3] / "app"
LANGUAGES = sorted(all_words())


def blanks(text: str) -> list[str]:
    return sorted(re.findall(r"\{\w*\}", text))


def test_english_and_german_are_there() -> None:
    assert {"en", "de"} <= set(LANGUAGES)


@pytest.mark.parametrize("language", LANGUAGES)
def test_language_is_complete(language: str) -> None:
    english, words = all_words()["en"], all_words()[language]
    assert words.keys() == english.keys()
    assert [key for key, text in words.items() if not text.strip()] == []
    assert [key for key, text in words.items() if blanks(text) != blanks(english[key])] == []


def test_every_word_is_used_and_every_used_word_is_there() -> None:
    sources = [path for path in APP.rglob("*") if path.suffix in (".py", ".js", ".html")]
    code = "\n".join(path.read_text(encoding="utf-8") for path in sources)
    keys = all_words()["en"].keys()
    rooms = "|".join(sorted({key.split(".")[0] for key in keys}))
    used = set(re.findall(rf"[\"'@]((?:{rooms})\.[a-z][a-z_]+)[\"']", code))
    files = {path.name for path in APP.rglob("*")}
    assert used - keys - files == set()
    made = re.compile(  # put together in code
        r"chat\.(temperature|top_p|top_k|repetition_penalty|max_tokens|seed|tint)(_why)?|chat\.state_\w+"
        r"|side_by_side\.((switch|model|temperature|blind|in_turn)(_why)?|voted?_\w+)"
        r"|attention\.(role_\w+|view_\w+_why|layer|head)|attribution\.(method_\w+|unit_\w+|column_\w+|curves_\w+)"
        r"|compare\.(precision_\w+|column_[\w-]+|kind_\w+|part_\w+|count_\w+|same_\d"
        r"|how_(gpu_hours|operations|core_hours))"
        r"|train\.(state_\w+|figure_\w+)|fetch\.state_\w+"
        r"|responsibility\.((probe|group|kind|progress|column)_\w+|sentences|words|continuations)"
        r"|class\.((pupil|teacher)_\w+|energy(_estimated)?|here|writing|waiting|per_second|replies|tokens)"
        r"|step\.(vector_\w+|" + "|".join(station.name for station in STAGES) + ")(_why)?"
    )
    assert {key for key in keys - used if not made.fullmatch(key)} == set()


def test_a_problem_is_one_sentence() -> None:
    problem = Problem("problem.setting", setting="@chat.top_p", low="0.05", high="1")
    assert str(problem) == "Top-p must be a number from 0.05 to 1."
    for language in LANGUAGES:
        for key, text in all_words()[language].items():
            if key.startswith("problem."):
                assert text.endswith("."), key
                assert len(text) < 140, key
