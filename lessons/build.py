"""Makes the notebooks from their sources: `python -m lessons build`.

    source/03_attention.py  ->  en/03_attention.ipynb, de/03_attention.ipynb                        for learners
                                teacher/en/03_attention.ipynb, teacher/de/03_attention.ipynb        with solutions

A source is Python in the percent format. It begins with a docstring in TOML (`Header`); then each cell has a line:

    # %% [markdown] en          text in one language, the other's follows; `teacher`: for teachers only
    # %%                        code for both; `teacher`: for teachers only
    # %% exercise 3.2           code with the solution between BEGIN SOLUTION and END SOLUTION. What a learner finds in
                                its place stands there too, behind `#: `, or is three dots
    # %% check 3.2              calls lesson.check("3.2", ...)
    # %% test                   what must be true of the results: run by the tests, in no notebook

Code is one for both languages: T("Loss", "Verlust") becomes the text of the notebook's language; comments are lines
that begin with `# en: ` or `# de: `; only shapes such as `# (B, H, T, D)` may stand as they are.

Notebooks come out the same to the byte, without outputs. Exercises and checks bear nbgrader's tags.
"""

from __future__ import annotations

import ast
import hashlib
import io
import json
import re
import tokenize
import tomllib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

LESSONS = Path(__file__).resolve().parent
Language = Literal["en", "de"]
Audience = Literal["learner", "teacher", "test"]
Notebook = dict[str, Any]

LANGUAGES: tuple[Language, ...] = ("en", "de")
BEGIN, END, STUB = "### BEGIN SOLUTION", "### END SOLUTION", "#: "
COMMENTS = (BEGIN, END, STUB.rstrip(), "# (", "# en: ", "# de: ", "# fmt:", "# noqa")
WORDS = {
    "en": {
        "lesson": "Lesson", "project": "Project", "goals": "You will", "time": "Time", "minutes": "about {} minutes",
        "needs": "You need", "tab": "In the app", "tab_name": "the tab *{}*", "code": "The code", "all": "All lessons",
        "solution": "A solution", "your_code": "your code here", "report": "Your report",
        "report_text": "This writes machine, exercises, numbers and pictures of this lesson to a page that can be "
        "printed. `lesson.note(\"...\")` adds a sentence of your own.",
        "teacher": "For the teacher", "title": "Lessons", "learner": "Notebook", "question": "Question",
        "start": "Open a lesson. Run its cells from top to bottom with Shift+Enter. Nothing here needs the internet.",
    },
    "de": {
        "lesson": "Lektion", "project": "Projekt", "goals": "Du wirst", "time": "Zeit", "minutes": "etwa {} Minuten",
        "needs": "Du brauchst", "tab": "In der App", "tab_name": "der Reiter *{}*", "code": "Der Code",
        "all": "Alle Lektionen", "solution": "Eine Lösung", "your_code": "dein Code", "report": "Dein Protokoll",
        "report_text": "Diese Zelle schreibt Rechner, Aufgaben, Zahlen und Bilder der Lektion auf eine Seite, die sich "
        "drucken lässt. `lesson.note(\"...\")` fügt einen eigenen Satz hinzu.",
        "teacher": "Für Lehrende", "title": "Lektionen", "learner": "Notebook", "question": "Frage",
        "start": "Öffne eine Lektion und führe ihre Zellen mit Umschalt+Enter von oben nach unten aus. Nichts hier "
        "braucht das Internet.",
    },
}  # fmt: skip


class SourceError(ValueError):
    """A source that no notebook can be made of; says where and why."""


@dataclass(frozen=True)
class Cell:
    """`role` is text, code, exercise, check or test; `number` the exercise's; `language` of a text, "" for both."""

    role: str
    source: str
    number: str = ""
    language: str = ""
    teacher: bool = False


@dataclass(frozen=True)
class Header:
    """The docstring: number, minutes, `tab` (its key in the app's strings, or ""), `code` (files of the repository),
    and for each language title, question, goals, needs."""

    number: int
    minutes: int
    tab: str
    code: tuple[str, ...]
    texts: dict[Language, dict[str, Any]]


@dataclass(frozen=True)
class Source:
    """One lesson as it stands in its file."""

    name: str
    header: Header
    cells: tuple[Cell, ...]

    @property
    def exercises(self) -> tuple[str, ...]:
        return tuple(cell.number for cell in self.cells if cell.role == "exercise")


# --- Reading ---------------------------------------------------------------------------------------------------------


def sources(folder: Path = LESSONS / "source") -> list[Source]:
    """All lessons in their order."""
    return [read_source(path) for path in sorted(folder.glob("[0-9][0-9]_*.py"))]


def read_source(path: Path) -> Source:
    """One lesson. Raises `SourceError`."""
    text = path.read_text(encoding="utf-8")
    parts = re.split(r"^# %%(.*)$", text, flags=re.MULTILINE)
    try:
        header = _header(ast.get_docstring(ast.parse(parts[0])) or "")
        cells = tuple(
            _cell(line.split(), body.strip("\n")) for line, body in zip(parts[1::2], parts[2::2], strict=True)
        )
        source = Source(path.stem, header, cells)
        _check_exercises(source)
    except (ValueError, KeyError, SyntaxError) as wrong:
        raise SourceError(f"{path.name}: {wrong}") from None
    return source


def _header(text: str) -> Header:
    values = tomllib.loads(text)
    texts: dict[Language, dict[str, Any]] = {language: values[language] for language in LANGUAGES}
    for language, words in texts.items():
        if set(words) != {"title", "question", "goals", "needs"}:
            raise ValueError(f"[{language}] has {sorted(words)}; title, question, goals and needs were expected")
    return Header(values["number"], values["minutes"], values["tab"], tuple(values["code"]), texts)


def _cell(words: list[str], body: str) -> Cell:
    teacher = "teacher" in words
    words = [word for word in words if word != "teacher"]
    match words:
        case ["[markdown]", ("en" | "de") as language]:
            lines = [re.sub(r"^# ?", "", line) for line in body.split("\n")]
            return Cell("text", "\n".join(lines).strip("\n"), language=language, teacher=teacher)
        case [("exercise" | "check") as role, number]:
            return Cell(role, body, number=number)
        case ["test"]:
            return Cell("test", body)
        case []:
            return Cell("code", body, teacher=teacher)
    raise ValueError(f"a cell begins with `# %% {' '.join(words)}`, which is none of those that build.py names")


def _check_exercises(source: Source) -> None:
    """Each exercise has a solution and its check behind it."""
    checks = [cell.number for cell in source.cells if cell.role == "check"]
    if list(source.exercises) != checks:
        raise ValueError(f"exercises {list(source.exercises)} and checks {checks} must be the same, in the same order")
    for cell in source.cells:
        if cell.role == "exercise" and (cell.source.count(BEGIN) != 1 or cell.source.count(END) != 1):
            raise ValueError(f"exercise {cell.number} needs one {BEGIN} and one {END}")
        if cell.role == "check" and f'lesson.check("{cell.number}"' not in cell.source:
            raise ValueError(f'the check {cell.number} must call lesson.check("{cell.number}", ...)')
        if cell.role != "text":
            for language in LANGUAGES:
                in_language(cell.source, language)


# --- One language, one audience --------------------------------------------------------------------------------------


def in_language(code: str, language: Language) -> str:
    """`code` with T(english, german) and comments in one language. Raises `ValueError` for a comment in neither."""
    for token in tokenize.generate_tokens(io.StringIO(code).readline):
        if token.type == tokenize.COMMENT and not token.string.startswith(COMMENTS):
            raise ValueError(f"the comment {token.string!r} needs `# en: ` and `# de: ` lines")
    lines = []
    for line in code.split("\n"):
        mark = re.match(r"(\s*)# (en|de): (.*)$", line)
        if mark is None:
            lines.append(line)
        elif mark[2] == language:
            lines.append(f"{mark[1]}# {mark[3]}")
    lines = [re.sub(r"  # (fmt|noqa).*$", "", line) for line in lines]  # for the source's own tools
    return _choose_texts("\n".join(lines), LANGUAGES.index(language))


def _choose_texts(code: str, index: int) -> str:
    """Put in place of each T(english, german) the one with that index."""
    calls = [
        node for node in ast.walk(ast.parse(code))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "T"
    ]  # fmt: skip
    if not calls:
        return code
    call = calls[0]  # the outermost comes first
    if len(call.args) != 2 or call.keywords:
        raise ValueError(f"T takes the English and the German text: {ast.unparse(call)}")
    chosen = ast.get_source_segment(code, call.args[index]) or ""
    if "\n" in chosen and not chosen.lstrip("f").startswith(('"""', "'''")):
        chosen = f"({chosen})"  # pieces of text on several lines
    before, after = _outside(code, call)
    return _choose_texts(before + chosen + after, index)


def _outside(code: str, node: ast.expr) -> tuple[str, str]:
    """What stands before and behind a node; `ast` counts a line's columns in bytes."""
    lines = code.split("\n")
    assert node.end_lineno is not None
    assert node.end_col_offset is not None
    first, last = lines[node.lineno - 1].encode(), lines[node.end_lineno - 1].encode()
    before = "\n".join([*lines[: node.lineno - 1], first[: node.col_offset].decode()])
    after = "\n".join([last[node.end_col_offset :].decode(), *lines[node.end_lineno :]])
    return before, after


def solved(code: str) -> str:
    """An exercise with its solution, without what learners find."""
    return "\n".join(line for line in code.split("\n") if not line.strip().startswith(STUB.rstrip()))


def unsolved(code: str, language: Language) -> str:
    """An exercise as a learner finds it: instead of the solution its stub, or three dots."""
    before, rest = code.split(BEGIN)
    inside, after = rest.split(END)
    indent = before[before.rfind("\n") + 1 :]
    stubs = [line.strip()[len(STUB) :] for line in inside.split("\n") if line.strip().startswith(STUB.rstrip())]
    stub = f"\n{indent}".join(stubs or ["..."])
    return f"{before}{stub}  # {WORDS[language]['your_code']}{after}"


# --- Notebooks -------------------------------------------------------------------------------------------------------


def build_all(into: Path = LESSONS) -> list[Path]:
    """Write every lesson's notebooks and the list of lessons below `into`; the paths."""
    lessons = sources()
    written = []
    for source in lessons:
        for language in LANGUAGES:
            for audience in ("learner", "teacher"):
                path = into / notebook_path(source, language, audience)
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text(as_text(notebook(source, language, audience)), encoding="utf-8", newline="\n")
                written.append(path)
    start = into / "start.ipynb"
    start.write_text(as_text(contents(lessons)), encoding="utf-8", newline="\n")
    return [*written, start]


def notebook_path(source: Source, language: Language, audience: Audience) -> Path:
    """Where a notebook lies, seen from lessons/."""
    return Path("teacher" if audience == "teacher" else "", language, f"{source.name}.ipynb")


def as_text(made: Notebook) -> str:
    return json.dumps(made, indent=1, ensure_ascii=False) + "\n"


def notebook(source: Source, language: Language, audience: Audience) -> Notebook:
    """One lesson for one reader: a learner, a teacher, or a test, which runs what is claimed."""
    return _framed([*_opening(source, language, audience), *_body(source, language, audience), *_closing(language)])


def _body(source: Source, language: Language, audience: Audience) -> Iterator[Notebook]:
    solution = ""
    for cell in source.cells:
        if (cell.language not in ("", language)) or (cell.teacher and audience == "learner"):
            continue
        if cell.role == "text":
            label = f"**{WORDS[language]['teacher']}.** " if cell.teacher else ""
            yield _text(label + cell.source, ["teacher"] if cell.teacher else [])
            continue
        code = in_language(cell.source, language)
        if cell.role == "exercise":
            solution = solved(code)
            code = unsolved(code, language) if audience == "learner" else solution
            yield _code(code, ["exercise"], _nbgrader(f"exercise-{cell.number}", grade=False))
        elif cell.role == "check":
            # In JupyterLab, "Run all cells" goes on behind a check that isn't passed yet.
            tags = ["check", *(["raises-exception"] if audience == "learner" else [])]
            yield _code(code, tags, _nbgrader(f"check-{cell.number}", grade=True))
            if audience == "learner":
                yield _text(_folded(solution, language), ["solution"])
        elif cell.role == "code" or audience == "test":
            yield _code(code, ["test"] if cell.role == "test" else [])


def _folded(solution: str, language: Language) -> str:
    """A solution that shows when its line is clicked."""
    lines = [line for line in solution.split("\n") if line.strip() not in (BEGIN, END)]
    code = "\n".join(lines)
    return f"<details><summary>{WORDS[language]['solution']}</summary>\n\n```python\n{code}\n```\n\n</details>"


def _opening(source: Source, language: Language, audience: Audience) -> Iterator[Notebook]:
    words, header, texts = WORDS[language], source.header, source.header.texts[language]
    up = "../../" if audience == "teacher" else "../"
    goals = "\n".join(f"- {goal}" for goal in texts["goals"])
    facts = [
        f"**{words['time']}:** {words['minutes'].format(header.minutes)}",
        f"**{words['needs']}:** {texts['needs']}",
    ]
    if header.tab:
        facts.append(f"**{words['tab']}:** {words['tab_name'].format(tab_name(header.tab, language))}")
    files = ", ".join(f"[{file}]({up}../{file})" for file in header.code)
    facts.append(f"**{words['code']}:** {files}")
    yield _text(
        f"# {header.number} · {texts['title']}\n\n*{texts['question']}*\n\n**{words['goals']}**\n\n{goals}\n\n"
        + "  \n".join(facts)
        + f"\n\n[{words['all']}]({up}start.ipynb)"
    )
    beginning = f'lesson = begin({header.number}, "{language}", {texts["title"]!r})'
    yield _code(f"from lessons.kit import begin\n\n{beginning}")


def _closing(language: Language) -> Iterator[Notebook]:
    yield _text(f"## {WORDS[language]['report']}\n\n{WORDS[language]['report_text']}")
    yield _code("lesson.report();")


def tab_name(key: str, language: Language) -> str:
    """What the app calls one of its tabs."""
    strings = json.loads(
        (LESSONS.parent / "app" / "common" / "strings" / f"{language}.json").read_text(encoding="utf-8")
    )
    return str(strings[f"{key}.title"])


def contents(lessons: Sequence[Source]) -> Notebook:
    """The list of lessons, where JupyterLab begins."""
    cells = []
    for language in LANGUAGES:
        words = WORDS[language]
        lines = [f"# LiteLlama Lab · {words['title']}", "", words["start"], ""]
        lines += [f"| | {words['lesson']} | {words['question']} | {words['time']} |", "|---|---|---|---|"]
        for source in lessons:
            texts, path = source.header.texts[language], notebook_path(source, language, "learner").as_posix()
            time = f"{source.header.minutes} min"
            lines.append(f"| {source.header.number} | [{texts['title']}]({path}) | {texts['question']} | {time} |")
        cells.append(_text("\n".join(lines)))
    return _framed(cells)


def _framed(cells: Sequence[Notebook]) -> Notebook:
    """A notebook of these cells. A cell's id is made of what stands in it, so that it is the same each time."""
    seen: dict[str, int] = {}
    for cell in cells:
        digest = hashlib.sha256(json.dumps(cell, sort_keys=True).encode()).hexdigest()[:12]
        seen[digest] = seen.get(digest, 0) + 1
        cell["id"] = digest if seen[digest] == 1 else f"{digest}-{seen[digest]}"
    kernel = {"display_name": "Python 3 (ipykernel)", "language": "python", "name": "python3"}
    return {
        "cells": list(cells),
        "metadata": {"kernelspec": kernel, "language_info": {"name": "python"}},
        "nbformat": 4,
        "nbformat_minor": 5,
    }


def _text(source: str, tags: Sequence[str] = ()) -> Notebook:
    return {"cell_type": "markdown", "metadata": {"tags": list(tags)} if tags else {}, "source": _lines(source)}


def _code(source: str, tags: Sequence[str] = (), grading: dict[str, Any] | None = None) -> Notebook:
    metadata: dict[str, Any] = {"tags": list(tags)} if tags else {}
    metadata |= {"nbgrader": grading} if grading else {}
    lines = _lines(source.strip("\n"))
    return {"cell_type": "code", "execution_count": None, "metadata": metadata, "outputs": [], "source": lines}


def _lines(source: str) -> list[str]:
    return source.splitlines(keepends=True)


def _nbgrader(name: str, *, grade: bool) -> dict[str, Any]:
    """What nbgrader reads: a cell to be filled in (`solution`), or one that gives a point (`grade`)."""
    name = name.replace(".", "-")  # it allows no dots
    tags = {"grade_id": name, "grade": grade, "solution": not grade, "locked": grade, "task": False}
    return tags | {"schema_version": 3} | ({"points": 1} if grade else {})
