"""The lab report of one lesson: a page that stands alone and prints well."""

from __future__ import annotations

import html
import os
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

import plotly.graph_objects as go
from plotly.offline import get_plotlyjs

from lessons.kit.progress import Row
from lessons.kit.words import WORDS
from litellama.plots import CONFIG

BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "msedge", "microsoft-edge")
APPLICATIONS = (  # where they lie if they are not on the path
    "/Applications/Google Chrome.app/Contents/MacOS/Google Chrome",
    "/Applications/Microsoft Edge.app/Contents/MacOS/Microsoft Edge",
    "C:/Program Files/Google/Chrome/Application/chrome.exe",
    "C:/Program Files (x86)/Microsoft/Edge/Application/msedge.exe",
)
CARD_FACTS = ("name", "parameters", "licence", "license", "corpus", "data", "description", "trained_on", "hours")
SENTENCE = 40  # characters
STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; max-width: 760px; margin: 24px auto; padding: 0 16px; color: #1d2530 }
h1 { font-size: 24px } h2 { font-size: 18px; margin-top: 28px }
table { border-collapse: collapse; width: 100% }
td, th { text-align: left; vertical-align: top; padding: 4px 10px 4px 0; border-bottom: 1px solid #d5dae1 }
figure { margin: 16px 0; break-inside: avoid } figcaption { font-style: italic }
h2, h3 { break-after: avoid }
@media print { body { margin: 0; max-width: none } .modebar { display: none !important } }
"""


@dataclass(frozen=True)
class Numbered:
    """A number as it is shown, with its unit, and how it is known."""

    what: str
    value: str
    source: str


@dataclass
class Report:
    """Where a lesson runs, and what it has kept so far."""

    number: int
    title: str
    language: str
    machine: str
    fast: bool
    pupil: str
    numbers: list[Numbered] = field(default_factory=list)
    pictures: list[tuple[go.Figure, str]] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    models: dict[str, dict[str, Any]] = field(default_factory=dict)


def write_report(folder: Path, report: Report, tries: Sequence[Row], *, pdf: bool) -> tuple[Path, Path | None]:
    """The page, and the PDF that a browser made of it, if there is one."""
    folder.mkdir(parents=True, exist_ok=True)
    page = folder / f"report-{report.number:02d}-{report.language}.html"
    new = page.with_suffix(f".{os.getpid()}.new")
    new.write_text(_page(report, tries), encoding="utf-8", newline="\n")
    new.replace(page)
    return page, _printed(page) if pdf else None


def _page(report: Report, tries: Sequence[Row]) -> str:
    words = WORDS[report.language]
    title = " · ".join(filter(None, ["LiteLlama Lab", words["report"], str(report.number), report.title]))
    facts = [
        (words["name"], report.pupil),
        (words["date"], datetime.now().strftime("%Y-%m-%d %H:%M")),
        (words["machine"], report.machine),
        (words["mode"], words["mode_fast" if report.fast else "mode_full"]),
    ]
    rows: list[tuple[object, ...]]
    parts = [html_table((), [fact for fact in facts if fact[1]])]
    if tries:
        rows = [(row.exercise, words["yes" if row.solved else "no"], row.tries) for row in tries]
        parts += [_heading(words["exercises"]), html_table((words["exercise"], words["done"], words["tries"]), rows)]
    if report.numbers:
        rows = [(number.what, number.value, number.source) for number in report.numbers]
        parts += [_heading(words["numbers"]), html_table((words["what"], words["value"], words["how"]), rows)]
    if report.pictures:
        parts += [_heading(words["pictures"]), f"<script>{get_plotlyjs()}</script>"]
        for number, (figure, caption) in enumerate(report.pictures):
            # An id of its own choice would differ each time; a report is the same for the same run.
            drawn = figure.to_html(full_html=False, include_plotlyjs=False, config=CONFIG, div_id=f"picture-{number}")
            parts.append(f"<figure>{drawn}<figcaption>{html.escape(caption)}</figcaption></figure>")
    if report.notes:
        parts += [_heading(words["notes"]), *(f"<p>{html.escape(note)}</p>" for note in report.notes)]
    if report.models:
        parts.append(_heading(words["models"]))
        for name, card in report.models.items():
            rows = [(key, card[key]) for key in CARD_FACTS if isinstance(card.get(key), str | int | float)]
            parts += [f"<h3>{html.escape(name)}</h3>", html_table((), rows)]
    return (
        f'<!doctype html><html lang="{report.language}"><head><meta charset="utf-8"><title>{html.escape(title)}</title>'
        f"<style>{STYLE}</style></head><body><h1>{html.escape(title)}</h1>{''.join(parts)}</body></html>\n"
    )


def _heading(text: str) -> str:
    return f"<h2>{html.escape(text)}</h2>"


def html_table(head: Sequence[object], rows: Sequence[Sequence[object]]) -> str:
    """A table in which texts and numbers stand as they are given."""

    def line(cells: Sequence[object], tag: str) -> str:
        return "<tr>" + "".join(f"<{tag}{align(cell)}>{html.escape(str(cell))}</{tag}>" for cell in cells) + "</tr>"

    def align(cell: object) -> str:
        """JupyterLab sets all cells flush right, which is hard to read where a cell holds sentences."""
        return ' style="text-align:left"' if isinstance(cell, str) and len(cell) > SENTENCE else ""

    return f"<table>{line(head, 'th') if head else ''}{''.join(line(row, 'td') for row in rows)}</table>"


def _printed(page: Path) -> Path | None:
    """The page as PDF, made by a browser without a window. None if there is no browser or it did not manage."""
    browser = next((found for name in BROWSERS if (found := shutil.which(name))), None)
    browser = browser or next((name for name in APPLICATIONS if Path(name).is_file()), None)
    if browser is None:
        return None
    out = page.with_suffix(".pdf")
    with tempfile.TemporaryDirectory() as profile:
        new = Path(profile) / "page.pdf"
        # Chromium has no sandbox for root, who runs it in containers; the page holds nothing but our own.
        sandbox = ["--no-sandbox"] if hasattr(os, "geteuid") and os.geteuid() == 0 else []
        command = [
            browser, "--headless", "--disable-gpu", *sandbox, "--disable-background-networking",
            "--disable-component-update", "--disable-sync", "--no-first-run", f"--user-data-dir={profile}",
            "--virtual-time-budget=5000", "--no-pdf-header-footer", f"--print-to-pdf={new}", page.as_uri(),
        ]  # fmt: skip
        try:
            subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, timeout=60, check=True)
            shutil.move(new, out)
        except (OSError, subprocess.SubprocessError):
            return None
    return out
