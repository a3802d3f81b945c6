"""The lessons: notebooks come from their sources, run from top to bottom, and their checks know wrong from right."""

from __future__ import annotations

import ast
import csv
import hashlib
import importlib
import inspect
import json
import os
import re
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from typer.testing import CliRunner

from lessons.__main__ import cli
from lessons.build import (
    LANGUAGES,
    LESSONS,
    Source,
    as_text,
    build_all,
    contents,
    in_language,
    notebook,
    notebook_path,
    read_source,
    solved,
    sources,
    unsolved,
)
from lessons.kit import begin
from lessons.kit.checking import CHECKS, NotYet, Wrong, judge
from lessons.kit.lesson import Lesson
from lessons.kit.progress import Row, class_sheet, read, record
from lessons.lab import own_copies
from litellama.tokenizer import Tokenizer
from tests.test_house import TABS

LESSON_SOURCES = sources()
NAMES = [source.name for source in LESSON_SOURCES]
each_lesson = pytest.mark.parametrize("source", LESSON_SOURCES, ids=NAMES)


def wrong_answers(source: Source) -> ModuleType:
    return importlib.import_module(f"tests.lessons.wrong_answers.lesson_{source.header.number:02d}")


WRONG_ANSWERS = [
    (number, answers, said) for source in LESSON_SOURCES for number, answers, said in wrong_answers(source).WRONG
]
OTHER_RIGHT_ANSWERS = [right for source in LESSON_SOURCES for right in getattr(wrong_answers(source), "RIGHT", [])]

# --- Sources and notebooks -------------------------------------------------------------------------------------------


def test_the_committed_notebooks_are_what_their_sources_give(tmp_path: Path) -> None:
    built = {path.relative_to(tmp_path): path.read_bytes() for path in build_all(tmp_path)}
    committed = {
        path.relative_to(LESSONS): path.read_bytes()
        for path in LESSONS.rglob("*.ipynb")
        if ".ipynb_checkpoints" not in path.parts
    }
    assert built.keys() == committed.keys()
    assert [path for path in built if built[path] != committed[path]] == [], "run `python -m lessons build`"


@each_lesson
def test_a_lesson_has_all_its_parts(source: Source) -> None:
    assert source.name.startswith(f"{source.header.number:02d}_")
    assert 30 <= source.header.minutes <= 45
    assert 4 <= len(source.exercises) <= 8
    assert [number.split(".")[0] for number in source.exercises] == [str(source.header.number)] * len(source.exercises)
    for language, heading in (("en", "To discuss"), ("de", "Zum Besprechen")):
        texts = [cell.source for cell in source.cells if cell.language == language and not cell.teacher]
        (discussion,) = [text for text in texts if text.startswith(f"## {heading}")]
        assert len(re.findall(r"^\d\. ", discussion, flags=re.MULTILINE)) == 3
        for number in source.exercises:
            assert any(re.search(rf"^### (Exercise|Aufgabe) {re.escape(number)}\b", text, re.M) for text in texts)
    assert any("lesson.picture(" in cell.source for cell in source.cells)
    assert any(cell.role == "test" for cell in source.cells)
    assert all((LESSONS.parent / path).is_file() for path in source.header.code)


def test_each_tab_of_the_app_names_its_lessons_and_they_name_it() -> None:
    for language in LANGUAGES:
        words = json.loads(
            (LESSONS.parent / "app" / "common" / "strings" / f"{language}.json").read_text(encoding="utf-8")
        )
        named = {
            key.removesuffix(".lesson"): set(re.findall(r"\d+", text))
            for key, text in words.items() if key.endswith(".lesson")
        }  # fmt: skip
        assert named.keys() == TABS
        for source in LESSON_SOURCES:
            assert str(source.header.number) in named[source.header.tab], (language, source.name)
        assert {int(number) for numbers in named.values() for number in numbers} == set(range(1, 14))


@each_lesson
def test_both_languages_have_the_same_cells(source: Source) -> None:
    def order(language: str) -> list[tuple[str, str, bool]]:
        chosen = [cell for cell in source.cells if cell.language in ("", language)]
        return [(cell.role, cell.number, cell.teacher) for cell in chosen]

    assert order("en") == order("de")


@each_lesson
def test_both_languages_run_the_same_code(source: Source) -> None:
    def shape(code: str) -> str:
        tree = ast.parse(code)
        for node in ast.walk(tree):
            if isinstance(node, ast.JoinedStr):
                node.values = []
            elif isinstance(node, ast.Constant) and isinstance(node.value, str):
                node.value = ""
        return ast.dump(tree)

    for cell in source.cells:
        if cell.role != "text":
            assert shape(in_language(cell.source, "en")) == shape(in_language(cell.source, "de")), cell.source


@each_lesson
def test_notebooks_are_valid(source: Source) -> None:
    import nbformat  # takes seconds, which others need not wait

    for language in LANGUAGES:
        for audience in ("learner", "teacher"):
            made = nbformat.reads(as_text(notebook(source, language, audience)), as_version=4)
            nbformat.validate(made)
            assert all(not cell.outputs for cell in made.cells if cell.cell_type == "code")


@each_lesson
def test_a_learner_finds_no_solution_but_a_folded_one(source: Source) -> None:
    for language in LANGUAGES:
        cells = notebook(source, language, "learner")["cells"]
        given = [("".join(cell["source"]), cell["metadata"].get("tags", [])) for cell in cells]
        assert not any("SOLUTION" in text for text, _ in given)
        assert sum(tags == ["solution"] for _, tags in given) == len(source.exercises)
        for cell in source.cells:
            if cell.role == "exercise":
                text = unsolved(in_language(cell.source, language), language)
                ast.parse(text)  # a learner can run it as it is
                assert "..." in text


@each_lesson
def test_exercises_bear_what_nbgrader_reads(source: Source) -> None:
    cells = notebook(source, "en", "teacher")["cells"]
    tags = [cell["metadata"]["nbgrader"] for cell in cells if "nbgrader" in cell["metadata"]]
    names = [one["grade_id"] for one in tags]
    assert len(set(names)) == len(names) == 2 * len(source.exercises)
    assert all(re.fullmatch(r"[a-zA-Z0-9_\-]+", name) for name in names)  # as its schema asks
    assert sum(one.get("points", 0) for one in tags if one["grade"]) == len(source.exercises)


def test_the_list_of_lessons_leads_to_each() -> None:
    text = "".join("".join(cell["source"]) for cell in contents(LESSON_SOURCES)["cells"])
    links = re.findall(r"\]\((.+?\.ipynb)\)", text)
    assert sorted(links) == sorted(
        notebook_path(source, language, "learner").as_posix() for source in LESSON_SOURCES for language in LANGUAGES
    )


HEAD = '''"""
number = 3
minutes = 30
tab = "attention"
code = []
[en]
title = "A"
question = "Q"
goals = ["g"]
needs = "n"
[de]
title = "A"
question = "F"
goals = ["z"]
needs = "b"
"""
'''
EXERCISE = """# %% exercise 3.1
### BEGIN SOLUTION
#: x = ...
x = 1
### END SOLUTION
# %% check 3.1
lesson.check("3.1", x)
"""


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ("# %% drawing\n", "none of those"),
        (EXERCISE.replace("### END SOLUTION\n", ""), "END SOLUTION"),
        (EXERCISE.replace("check 3.1", "check 3.2"), "same"),
        (EXERCISE.replace('check("3.1"', 'check("3.9"'), "must call"),
        ("# %%\nx = 1  # one\n", "needs `# en: `"),
        ('# %%\nx = T("one")\n', "English and the German"),
        ("# %%\nx = = 1\n", "invalid syntax"),
    ],
)
def test_a_source_that_cannot_be_built_says_why(tmp_path: Path, body: str, said: str) -> None:
    path = tmp_path / "03_broken.py"
    path.write_text(HEAD + body, encoding="utf-8")
    with pytest.raises(ValueError, match=f"03_broken.py: .*{re.escape(said)}"):
        read_source(path)


def test_one_source_gives_two_languages() -> None:
    code = 'draw(T("loss ä", "Verlust"), T(f"{x} a", f"{x} b"))\n# en: why\n# de: warum\ny = 1  # (B, T)'
    assert in_language(code, "en") == 'draw("loss ä", f"{x} a")\n# why\ny = 1  # (B, T)'
    assert in_language(code, "de") == 'draw("Verlust", f"{x} b")\n# warum\ny = 1  # (B, T)'
    assert ast.parse(in_language('x = T(\n    "one "\n    "two",\n    "eins",\n)', "en")).body
    assert in_language('T("a", T("b", "c"))', "de") == '"c"'


def test_an_exercise_is_its_solution_with_dots_instead() -> None:
    code = "def f(x):\n    ### BEGIN SOLUTION\n    return x + 1\n    ### END SOLUTION\n\n\nf(1)"
    assert unsolved(code, "en") == "def f(x):\n    ...  # your code here\n\n\nf(1)"
    code = "### BEGIN SOLUTION\n#: a = ...\n#: b = ...\na, b = 1, 2\n### END SOLUTION"
    assert unsolved(code, "de") == "a = ...\nb = ...  # dein Code"
    assert "#:" not in solved(code)
    assert "a, b = 1, 2" in solved(code)


# --- Checks ----------------------------------------------------------------------------------------------------------


@each_lesson
def test_each_exercise_has_a_check_and_wrong_answers(source: Source) -> None:
    importlib.import_module(f"lessons.checks.lesson_{source.header.number:02d}")
    own = {name for name in CHECKS if name.split(".")[0] == str(source.header.number)}
    assert own == set(source.exercises)
    tried = [number for number, _, _ in wrong_answers(source).WRONG]
    assert {number for number in own if tried.count(number) < 2} == set(), "two wrong answers at least"


@pytest.mark.parametrize("number", [number for source in LESSON_SOURCES for number in source.exercises])
def test_no_answer_is_told_apart(number: str) -> None:
    importlib.import_module(f"lessons.checks.lesson_{int(number.split('.')[0]):02d}")
    others = [None] * (len(inspect.signature(CHECKS[number]).parameters) - 1)
    with pytest.raises(Wrong, match="no answer yet"):
        judge(number, (..., *others))


@pytest.mark.parametrize(
    ("number", "answers", "said"), WRONG_ANSWERS, ids=[f"{n}-{said}" for n, _, said in WRONG_ANSWERS]
)
def test_wrong_answers_are_explained(number: str, answers: tuple[Any, ...], said: str) -> None:
    with pytest.raises(Wrong) as caught:
        judge(number, answers)
    en, de = caught.value.sentences["en"], caught.value.sentences["de"]
    assert said in en
    assert de != en
    assert len(de) > 15
    assert en[-1] in '.?!)`”"'


@pytest.mark.parametrize(("number", "answers"), OTHER_RIGHT_ANSWERS)
def test_other_right_answers_pass(number: str, answers: tuple[Any, ...]) -> None:
    judge(number, answers)


# --- The kit ---------------------------------------------------------------------------------------------------------


@pytest.fixture
def lesson(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Lesson:
    monkeypatch.setenv("LITELLAMA_LESSONS_WORK", str(tmp_path))
    monkeypatch.setenv("LITELLAMA_PUPIL", "Mia <b>")
    return begin(1, "en")


def test_a_try_is_counted_and_the_report_holds_it(lesson: Lesson, tmp_path: Path) -> None:
    with pytest.raises(NotYet, match="other way round") as caught:
        lesson.check("1.4", 1 / 149.4)
    assert caught.value._render_traceback_()[0].split() == str(caught.value).split()
    lesson.check("1.4", 149.4)
    lesson.result("weights <i>", 1234567, kind="computed", how="counted")
    lesson.note("My sentence & mine.")
    page = lesson.report(pdf=False).read_text(encoding="utf-8")
    assert "<td>1.4</td><td>yes</td><td>2</td>" in page
    assert "<td>weights &lt;i&gt;</td><td>1,234,567</td><td>computed, counted</td>" in page
    assert "My sentence &amp; mine." in page
    assert "Mia &lt;b&gt;" in page
    assert read(tmp_path / "progress.csv")[0].tries == 2


def test_a_number_needs_a_source(lesson: Lesson) -> None:
    with pytest.raises(ValueError, match="measured, estimated, published or computed"):
        lesson.result("loss", 1.0, kind="guessed")  # type: ignore[arg-type]


def test_code_is_shown_as_it_stands_with_its_place(lesson: Lesson, monkeypatch: pytest.MonkeyPatch) -> None:
    shown: list[str] = []
    monkeypatch.setattr("lessons.kit.lesson.display", lambda page: shown.append(page.data))
    lesson.code(Tokenizer.encode)
    assert re.match(r"`litellama/tokenizer.py`, line \d+:\n\n```python\ndef encode\(", shown[0])
    assert '\n    """Ids of plain text' in shown[0], "a method's lines keep their indentation"


def test_tokens_are_shown_in_boxes(lesson: Lesson, monkeypatch: pytest.MonkeyPatch) -> None:
    shown: list[str] = []
    monkeypatch.setattr("lessons.kit.lesson.display", lambda boxes: shown.append(boxes._repr_html_()))
    lesson.tokens(lesson.gpt2(), " strawberry")
    lesson.tokens(lesson.gpt2(), [50256])
    assert " strawberry<" in shown[0]
    assert "41236" in shown[0]
    assert "&lt;|endoftext|&gt;" in shown[1], "ids may be special, text never is"


def test_a_class_sheet_has_a_line_for_each_pupil(tmp_path: Path) -> None:
    for pupil, tries in (("Mia", (False, True)), ("=Tom", (False,))):
        for right in tries:
            record(tmp_path / pupil.strip("="), pupil, "2.10", right)
        record(tmp_path / pupil.strip("="), pupil, "2.9", True)
    assert read(tmp_path / "Mia" / "progress.csv")[0] == Row(
        "Mia", "2.10", 2, read(tmp_path / "Mia" / "progress.csv")[0].solved
    )
    files = [str(path) for path in tmp_path.glob("*/progress.csv")]
    result = CliRunner().invoke(cli, ["sheet", *files, "--out", str(tmp_path / "class.csv")])
    assert result.exit_code == 0, result.output
    with open(tmp_path / "class.csv", encoding="utf-8", newline="") as file:
        rows = list(csv.reader(file))
    assert rows == [["pupil", "solved", "2.9", "2.10"], ["'=Tom", "1", "1", "-"], ["Mia", "2", "1", "2"]]
    (tmp_path / "other.csv").write_text("a,b\n1,2\n", encoding="utf-8")
    with pytest.raises(ValueError, match="no progress sheet"):
        class_sheet([tmp_path / "other.csv"], tmp_path / "x.csv")


def test_learners_work_on_copies_that_are_never_overwritten(tmp_path: Path) -> None:
    copied = own_copies(tmp_path)
    assert tmp_path / "en" / "01_hello.ipynb" in copied
    assert not (tmp_path / "teacher").exists()
    own, other = tmp_path / "en" / "01_hello.ipynb", tmp_path / "de" / "01_hello.ipynb"
    own.write_text("my work", encoding="utf-8")
    known = json.loads((tmp_path / ".copies.json").read_text(encoding="utf-8"))
    other.write_text("an older build", encoding="utf-8")
    known["de/01_hello.ipynb"] = hashlib.sha256(b"an older build").hexdigest()
    (tmp_path / ".copies.json").write_text(json.dumps(known), encoding="utf-8")
    assert own_copies(tmp_path) == [other]
    assert own.read_text(encoding="utf-8") == "my work"
    assert other.read_bytes() == (LESSONS / "de" / "01_hello.ipynb").read_bytes()
    assert own_copies(tmp_path) == []
    assert tmp_path / "teacher" / "de" / "01_hello.ipynb" in own_copies(tmp_path, teacher=True)


# --- Whole lessons ---------------------------------------------------------------------------------------------------


def run_notebook(made: dict[str, Any], folder: Path, work: Path) -> Any:
    """Run a notebook in a kernel of its own, as JupyterLab does, in fast mode."""
    import nbformat
    from nbclient import NotebookClient

    environment = os.environ | {"LITELLAMA_LESSONS": "fast", "LITELLAMA_LESSONS_WORK": str(work)}
    environment |= {"PYTHONPATH": str(LESSONS.parent), "HF_HUB_OFFLINE": "1"}
    run = nbformat.reads(json.dumps(made), as_version=4)
    client = NotebookClient(run, timeout=300, kernel_name="python3", resources={"metadata": {"path": str(folder)}})
    client.execute(env=environment)
    return run


@pytest.mark.slow
@each_lesson
def test_a_lesson_runs_and_what_it_says_is_true(source: Source, tmp_path: Path) -> None:
    run = run_notebook(notebook(source, "en", "test"), LESSONS / "en", tmp_path)
    outputs = [output for cell in run.cells if cell.cell_type == "code" for output in cell.outputs]
    assert not any(output.output_type == "error" for output in outputs)
    complaints = [output.text for output in outputs if output.output_type == "stream" and output.name == "stderr"]
    assert complaints == []
    rows = read(tmp_path / "progress.csv")
    assert {row.exercise for row in rows if row.solved} == set(source.exercises)
    (page,) = tmp_path.glob("report-*.html")
    assert "<figure>" in page.read_text(encoding="utf-8")


@pytest.mark.slow
def test_run_all_goes_on_behind_an_exercise_that_is_not_solved(tmp_path: Path) -> None:
    source = LESSON_SOURCES[0]
    run = run_notebook(notebook(source, "de", "learner"), LESSONS / "de", tmp_path)
    said = [out.evalue for cell in run.cells for out in cell.get("outputs", []) if out.output_type == "error"]
    assert len([text for text in said if text.startswith("Hier steht noch keine Antwort")]) == len(source.exercises)
