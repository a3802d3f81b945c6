"""Every visible word, one file per language: flat files of key -> text; {name} marks what is filled in."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path

STRINGS = Path(__file__).parent
FALLBACK = "en"


@cache
def all_words() -> dict[str, dict[str, str]]:
    """language -> key -> text, for every language there is a file for: `{"en": {"chat.send": "Send", ...}, ...}`."""
    files = sorted(STRINGS.glob("*.json"))
    return {file.stem: json.loads(file.read_text(encoding="utf-8")) for file in files}


def in_english(key: str, values: dict[str, object]) -> str:
    """The text behind `key`, filled in; a value such as "@chat.top_p" stands for the text behind that key.

    The page does the same in its own language (`views/lab.js`).
    """
    words = all_words()[FALLBACK]
    filled = {name: words.get(str(value).removeprefix("@"), value) for name, value in values.items()}
    return words[key].format(**filled)


class Problem(ValueError):
    """Something the user should be told in one sentence, in whatever language the page is in: a key and its values."""

    def __init__(self, key: str, **values: object) -> None:
        super().__init__(in_english(key, values))
        self.key = key
        self.values = values

    def to_json(self) -> dict[str, object]:
        return {"key": self.key, "values": self.values, "english": str(self)}
