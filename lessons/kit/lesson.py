"""One lesson while it runs: what it was tried on, what came out, and what of it goes into the report."""

from __future__ import annotations

import html
import inspect
import json
import os
import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import plotly.graph_objects as go
import torch
from IPython.display import HTML, Markdown, display

from lessons.kit import progress
from lessons.kit.asking import GREEDY, ask, device, gpt2, opened
from lessons.kit.checking import CHECKS, NotYet, Wrong, judge
from lessons.kit.figures import as_output
from lessons.kit.folders import ROOT, work_folder
from lessons.kit.report import Numbered, Report, html_table, write_report
from lessons.kit.words import WORDS
from litellama.checkpoint import checkpoints_folder
from litellama.checkpoint.load import Opened
from litellama.footprint.machine import machine
from litellama.plots import scaling_law, token_boxes
from litellama.sampling import Sampling
from litellama.tokenizer import Tokenizer

if TYPE_CHECKING:  # the trainings' imports take a second, which only lessons that train should wait
    from lessons.kit.watching import Watched
    from litellama.model import LiteLlama
    from litellama.scaling.law import ScalingLaw
    from litellama.scaling.sweep import SweepRecipe, SweepResult
    from litellama.training.dataset import Dataset
    from litellama.training.recipe import Recipe

FAST = "LITELLAMA_LESSONS"  # set to "fast", trainings and measurements are short
PUPIL = "LITELLAMA_PUPIL"  # a name or pseudonym for report and progress

Kind = Literal["measured", "estimated", "published", "computed"]


def begin(number: int, language: Literal["en", "de"] = "en", title: str = "", *, seed: int = 0) -> Lesson:
    """Start lesson `number`: seeds chance, and says which machine it runs on."""
    torch.manual_seed(seed)
    lesson = Lesson(number, language, title)
    words = WORDS[language]
    said = [words["ready"].format(number=number, machine=lesson.machine)]
    said += [words["cpu" if lesson.device == "cpu" else "gpu"]]
    said += [words["fast"]] if lesson.fast else []
    display(HTML(_card(" ".join(said))))
    return lesson


class Lesson:
    """A notebook's own helper; `begin` makes it."""

    def __init__(self, number: int, language: Literal["en", "de"], title: str = "") -> None:
        self.number, self.language = number, language
        self.fast = os.environ.get(FAST) == "fast"
        self.device = device()
        self.machine = machine(self.device)
        self.folder = work_folder()
        """Where this lesson may write: reports, progress, models that were trained."""
        self.pupil = os.environ.get(PUPIL, "")
        self.solved: set[str] = set()
        self._report = Report(number, title, language, self.machine, self.fast, self.pupil)

    def pick(self, *, fast: Any, full: Any) -> Any:
        """A number of steps, questions or seconds for the mode that the lesson runs in."""
        return fast if self.fast else full

    def data(self, name: str) -> Any:
        """Measurements that come with the lessons, by the name of their file in `lessons/data`."""
        return json.loads((ROOT / "lessons" / "data" / f"{name}.json").read_text(encoding="utf-8"))

    def model(self, name: str = "tinytown") -> Opened:
        """One of the lab's checkpoints by its name, or a folder: its `.model`, `.tokenizer`, `.config`, `.card`."""
        model = opened(name)
        self._report.models[model.folder.name] = model.card or {}
        return model

    def gpt2(self) -> Tokenizer:
        """GPT-2's tokenizer, a file of this repository: 50,257 tokens, which LiteLlama has too."""
        return gpt2()

    def ask(self, text: str, name: str = "tinytown", *, sampling: Sampling = GREEDY, seed: int = 0) -> str:
        """What a model replies to one message; by itself it takes the likeliest token each time."""
        self.model(name)
        return ask(text, name, sampling=sampling, seed=seed)

    # --- What is shown and kept --------------------------------------------------------------------------------------

    def show(self, figure: go.Figure) -> None:
        """Show a Plotly figure, offline and without a button that would send it anywhere."""
        if self.language == "de":
            figure.update_layout(separators=",.")
        display(as_output(figure), raw=True)

    def picture(self, figure: go.Figure, caption: str) -> None:
        """Show a figure and keep it for the report, with a sentence that says what is seen in it."""
        self.show(figure)
        display(HTML(f"<p><em>{html.escape(caption)}</em></p>"))
        self._report.pictures.append((figure, caption))

    def result(self, what: str, value: float | str, unit: str = "", *, kind: Kind = "measured", how: str = "") -> None:
        """Show a number with where it comes from, and keep it for the report. A number is rounded to four digits."""
        if kind not in ("measured", "estimated", "published", "computed"):
            raise ValueError(f"kind is {kind!r}; measured, estimated, published or computed was expected")
        shown = value if isinstance(value, str) else self.digits(value)
        source = ", ".join(part for part in (WORDS[self.language][kind], how) if part)
        kept = Numbered(what, f"{shown} {unit}".strip(), source)
        display(
            HTML(f"<p>{html.escape(what)}: <b>{html.escape(kept.value)}</b> <small>({html.escape(source)})</small>")
        )
        self._report.numbers.append(kept)

    def digits(self, value: float) -> str:
        """A number as people write it: whole ones with all digits, others rounded to four."""
        shown = f"{value:,}" if isinstance(value, int) else f"{value:.4g}"
        return shown.translate(str.maketrans(",.", ".,")) if self.language == "de" else shown

    def tokens(self, tokenizer: Tokenizer, text: str | Sequence[int]) -> None:
        """Show where a tokenizer cuts a text, or the tokens of some ids, each with its id."""
        ids = tokenizer.encode(text) if isinstance(text, str) else list(text)
        display(token_boxes([tokenizer.token_text(id) for id in ids], ids))

    def table(self, head: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
        """Show a table; text and numbers stand as they are given."""
        display(HTML(html_table(head, rows)))

    def note(self, text: str) -> None:
        """Keep a sentence of one's own for the report."""
        self._report.notes.append(text)
        display(HTML(_card(text)))

    def code(self, thing: Any) -> None:
        """Show the code of one of the lab's functions or classes, as it stands in the file, with file and line."""
        lines, start = inspect.getsourcelines(thing)
        path = Path(inspect.getsourcefile(thing) or "").resolve()
        where = path.relative_to(ROOT).as_posix() if path.is_relative_to(ROOT) else path.name
        code = textwrap.dedent("".join(lines))
        display(Markdown(f"`{where}`, {WORDS[self.language]['line']} {start}:\n\n```python\n{code.rstrip()}\n```"))

    # --- Trainings ---------------------------------------------------------------------------------------------------

    def untrained(self, recipe: Recipe) -> tuple[LiteLlama, Dataset]:
        """A job's model before its first step, and what it is to read; `recipe.folder` then holds both ready for others
        (`Recipe(dataset_folder=...)`)."""
        from lessons.kit import watching

        return watching.untrained(recipe)

    def watch(self, recipe: Recipe) -> Watched:
        """Do a training, and see the loss fall. The stop button saves; the same cell then goes on. A job that is done,
        or has changed, begins anew: `recipe.out` must lie in `lesson.folder`."""
        from lessons.kit import watching

        return watching.watch(recipe, self.folder, self.language)

    def watch_all(self, recipes: Mapping[str, Recipe]) -> dict[str, Watched]:
        """Do several trainings, one after another, their losses in one figure; else as `watch`."""
        from lessons.kit import watching

        return watching.watch_all(recipes, self.folder, self.language)

    def sweep(self, order: SweepRecipe) -> list[SweepResult]:
        """Train a ladder of sizes, and see the points appear. The stop button saves; what is done stays done."""
        from lessons.kit import watching

        return watching.watch_sweep(order, self.folder, self.language)

    def keep(self, watched: Watched, title: str) -> Path:
        """Put a trained model where the app finds it, among the lab's checkpoints; in fast mode, which only tries
        things out, into `lesson.folder`. Never in place of another model than one that this lesson has kept."""
        from lessons.kit import watching

        words = WORDS[self.language]
        if watched.checkpoint is None:
            raise NotYet(words["not_whole"])
        shelf = self.folder / "checkpoints" if self.fast else checkpoints_folder()
        folder = watching.keep(watched.checkpoint, shelf, title, self.number)
        display(HTML(_card(words["kept"].format(folder=folder, name=folder.name))))
        return folder

    def ladder(self, runs: Sequence[SweepResult], law: ScalingLaw | None = None, **more: Any) -> go.Figure:
        """`litellama.plots.scaling_law` in the lesson's language."""
        fitted = None if law is None else asdict(law)
        return scaling_law([asdict(run) for run in runs], fitted, words=WORDS[self.language]["ladder"], **more)

    # --- Exercises ---------------------------------------------------------------------------------------------------

    def check(self, number: str, *answers: Any) -> None:
        """Look at the answers to an exercise, such as "3.2". Raises `NotYet` with a sentence that helps if one is
        wrong; either way the try is counted."""
        try:
            judge(number, answers)
        except Wrong as wrong:
            progress.record(self.folder, self.pupil, number, right=False)
            raise NotYet(wrong.sentences[self.language]) from None
        progress.record(self.folder, self.pupil, number, right=True)
        self.solved.add(number)
        words = WORDS[self.language]
        said = words["passed"].format(number=number)
        count = sum(name.split(".")[0] == str(self.number) for name in CHECKS)
        if len(self.solved) == count:
            said += " " + words["passed_all"].format(count=count)
        display(HTML(_card(f"✓ {said}")))

    def report(self, *, pdf: bool = True) -> Path:
        """Write the lab report: machine and settings, exercises, numbers, pictures, notes, the models' cards.

        A page of its own that needs no network, to be printed; also as PDF where a Chromium, Chrome or Edge is found.
        """
        tries = [row for row in self._tries() if row.exercise.split(".")[0] == str(self.number)]
        page, as_pdf = write_report(self.folder, self._report, tries, pdf=pdf)
        words = WORDS[self.language]
        said = f"{words['report_file']}: {page.name}"
        said += f", {words['report_pdf']}: {as_pdf.name}." if as_pdf else f". {words['report_print']}"
        display(HTML(_card(f"{said} ({page.parent})")))
        return page

    def _tries(self) -> list[progress.Row]:
        path = self.folder / progress.FILE
        return [row for row in progress.read(path) if row.pupil == self.pupil] if path.exists() else []


def _card(text: str) -> str:
    style = "border-left:4px solid #0f6b60;padding:6px 12px;margin:6px 0"
    return f'<div style="{style}">{html.escape(text)}</div>'
