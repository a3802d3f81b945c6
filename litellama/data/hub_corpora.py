"""Corpora of the Hugging Face hub by name, streamed: only as much is fetched as is read.

Nothing here runs unless someone names such a corpus, for it asks another host. It needs the library `datasets`. Tried
on local files of the same formats; the hub itself was out of reach where this was written.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from typing import Any

from litellama.data.corpora import Corpus
from litellama.data.documents import TextChunk, whole_text
from litellama.hub.client import hub_library

CHARACTERS = 100_000_000  # about 25 million tokens


@dataclass(frozen=True)
class HubCorpus:
    """A corpus with a column `text`: what `datasets.load_dataset` is told to find it, and its licence."""

    where: dict[str, Any]
    licence: str


HUB = {
    "tinystories": HubCorpus({"path": "roneneldan/TinyStories"}, "CDLA-Sharing-1.0"),
    "slimpajama": HubCorpus(
        {"path": "DKYoon/SlimPajama-6B"}, "Apache-2.0 for the collection; each text keeps the licence of its source"
    ),
    "fineweb-edu": HubCorpus(
        {"path": "HuggingFaceFW/fineweb-edu", "name": "sample-10BT"}, "ODC-By-1.0, and Common Crawl's terms of use"
    ),
}


def hub_corpus(name: str, documents: int | None = None, characters: int = CHARACTERS) -> Corpus:
    """The first texts of the corpus called `name`, so many documents or characters, fetched as they are read.

    Raises `ValueError` for a name that is not in `HUB` and if the library `datasets` is missing, `OSError` if the hub
    cannot be reached.
    """
    if name not in HUB:
        raise ValueError(f"there is no hub corpus called {name!r}; choose one of {', '.join(HUB)}")
    return Corpus(name, "text", partial(_read, _load(HUB[name]), documents, characters))


def _load(corpus: HubCorpus) -> Any:
    try:
        import datasets
    except ModuleNotFoundError:
        raise ValueError(
            "corpora of the Hugging Face hub are read by the library datasets, which is not installed here; install it "
            "by: python -m pip install datasets"
        ) from None
    # Both would tell the hub about this machine and that the corpus was opened.
    datasets.config.HF_UPDATE_DOWNLOAD_COUNTS = False
    hub_library()
    return datasets.load_dataset(**corpus.where, split="train", streaming=True)


def _read(rows: Any, documents: int | None, characters: int) -> Iterator[TextChunk]:
    # Closed, not only left: a stream that is given up half-read must end its threads before the program ends.
    with closing(iter(rows.select_columns(["text"]))) as lines:
        for number, row in enumerate(lines):
            if characters <= 0 or number == documents:
                return
            yield from whole_text(row["text"])
            characters -= len(row["text"])
