"""No fault that the lab claims to survive is without a test that proves it, and a guard that was seen to matter."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from tests import faults
from tests.faults import FAULTS, ROOT, Fault
from tests.guards import Mark, find_marks, unknown_names, without

MARKS = find_marks(ROOT)


def test_the_faults_are_numbered() -> None:
    assert [fault.number for fault in FAULTS] == list(range(1, 33))


def test_the_marks_in_the_source_are_the_guards() -> None:
    assert MARKS.keys() == {guard.name for fault in FAULTS for guard in fault.guards}
    assert {name: marks for name, marks in MARKS.items() if len(marks) > 1} == {}, "each name marks one line"


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: f"{fault.number}")
def test_each_has_tests_and_guards_that_can_be_taken_away(fault: Fault) -> None:
    assert faults.tests_of(fault.number)
    assert fault.guards
    for guard in fault.guards:
        (mark,) = MARKS[guard.name]
        changed = without(mark, guard.instead)
        assert changed != mark.path.read_text(encoding="utf-8")
        if mark.path.suffix == ".py":
            ast.parse(changed)
        assert unknown_names(mark, guard.instead) == set(), guard


SOURCE = """
if len(text) > 9:  # guard: length
    raise ValueError("ä" * 3)  # too long; guard: said
try:
    made = make(
        first=[1],
        second={"ä": 2},  # guard: second
    )
except (TypeError, ValueError) as error:  # guard: errors
    # guard: above
    return error.args
finally:
    del text[:-9]  # guard: bounded
shown = "# guard: none"
"""


@pytest.mark.parametrize(
    ("name", "instead", "old", "new"),
    [
        ("length", "False", "if len(text) > 9:", "if (False):"),
        ("said", "pass", 'raise ValueError("ä" * 3)', "pass"),
        ("second", "{**_, 1: 2}", 'second={"ä": 2}', 'second=({**({"ä": 2}), 1: 2})'),
        ("errors", "OSError", "except (TypeError, ValueError) as", "except (OSError) as"),
        ("above", "_[0]", "return error.args", "return ((error.args)[0])"),
        ("bounded", "pass", "del text[:-9]", "pass"),
    ],
)
def test_what_a_mark_stands_for(tmp_path: Path, name: str, instead: str, old: str, new: str) -> None:
    path = tmp_path / "app" / "room" / "some.py"
    path.parent.mkdir(parents=True)
    path.write_text(SOURCE, encoding="utf-8")
    marks = find_marks(tmp_path)
    assert sorted(marks) == ["above", "bounded", "errors", "length", "said", "second"]
    assert without(*marks[name], instead) == SOURCE.replace(old, new)


def test_what_stands_on_a_line_of_a_script(tmp_path: Path) -> None:
    path = tmp_path / "lab.js"
    path.write_text('const A = "x";\n  make(A);  // guard: made\n', encoding="utf-8")
    assert without(Mark(path, 2), "skip(A);") == 'const A = "x";\n  skip(A);  // guard: made\n'
    assert unknown_names(Mark(path, 2), 'B.skip("C");') == {"B"}


def test_a_replacement_that_cannot_stand_there_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "some.py"
    path.write_text(SOURCE, encoding="utf-8")
    for line, instead in ((2, "pass"), (13, "False"), (1, "False")):
        with pytest.raises(ValueError, match="can't replace"):
            without(Mark(path, line), instead)
    assert unknown_names(Mark(path, 2), "_.lower() + text.upper() + str(word)") == {"upper", "word"}
