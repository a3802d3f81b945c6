"""Who solved what: a CSV file that each check keeps up to date, and the sheet of a class made of several."""

from __future__ import annotations

import csv
import os
import re
from collections.abc import Iterable
from dataclasses import asdict, dataclass, fields, replace
from datetime import datetime
from pathlib import Path

FILE = "progress.csv"
NUMBER = r"[0-9]{1,9}"
EXERCISE = rf"{NUMBER}(\.{NUMBER})*"


@dataclass(frozen=True)
class Row:
    """One exercise of one learner. `solved` is when it first was right, or empty."""

    pupil: str
    exercise: str
    tries: int
    solved: str

    @property
    def key(self) -> tuple[str, ...]:
        return self.pupil, self.exercise


def record(folder: Path, pupil: str, exercise: str, right: bool) -> None:
    """Count one try in `folder`'s sheet."""
    rows = {row.key: row for row in read(folder / FILE)} if (folder / FILE).exists() else {}
    row = rows.get((pupil, exercise), Row(pupil, exercise, 0, ""))
    solved = row.solved or (datetime.now().isoformat(timespec="seconds") if right else "")
    rows[row.key] = replace(row, tries=row.tries + 1, solved=solved)
    folder.mkdir(parents=True, exist_ok=True)
    _write(
        folder / FILE, [[field.name for field in fields(Row)], *(list(asdict(row).values()) for row in rows.values())]
    )


def read(path: Path) -> list[Row]:
    """A learner's sheet. Raises `ValueError` for a file that is none."""
    try:
        with open(path, encoding="utf-8", newline="") as file:
            table = csv.DictReader(file)
            if table.fieldnames != [field.name for field in fields(Row)]:
                raise ValueError(f"{path} is no progress sheet: its first line must be pupil,exercise,tries,solved")
            return [_row(path, line) for line in table]
    except (csv.Error, UnicodeDecodeError) as wrong:
        raise ValueError(f"{path} is no progress sheet: {wrong}") from None


def _row(path: Path, line: dict[str, str]) -> Row:
    whole = None not in line and None not in line.values()  # neither too many cells nor too few
    if not whole or not re.fullmatch(EXERCISE, line["exercise"]) or not re.fullmatch(NUMBER, line["tries"]):
        raise ValueError(f"{path} has a line that is none of a progress sheet's, such as Mia,3.2,1,2026-11-23")
    return Row(line["pupil"], line["exercise"], int(line["tries"]), line["solved"])


def class_sheet(paths: Iterable[Path], out: Path) -> None:
    """A table of several learners' sheets: a line each; under each exercise the tries it took, or "-" if unsolved."""
    rows = [replace(row, pupil=row.pupil or path.parent.name) for path in paths for row in read(path)]
    exercises = sorted({row.exercise for row in rows}, key=lambda number: [int(part) for part in number.split(".")])
    table = [["pupil", "solved", *exercises]]
    for pupil in sorted({row.pupil for row in rows}):
        own = {row.exercise: row for row in rows if row.pupil == pupil}
        marks = [_mark(own.get(name)) for name in exercises]
        table.append([_harmless(pupil), str(sum(bool(row.solved) for row in own.values())), *marks])
    _write(out, table)


def _mark(row: Row | None) -> str:
    if row is None:
        return ""
    return str(row.tries) if row.solved else "-"


def _write(path: Path, table: Iterable[Iterable[object]]) -> None:
    new = path.with_name(f"{path.name}.{os.getpid()}.new")
    with open(new, "w", encoding="utf-8", newline="") as file:
        csv.writer(file, lineterminator="\n").writerows(table)
    new.replace(path)


def _harmless(cell: str) -> str:
    """A name that a spreadsheet would take for a formula gets an apostrophe in front."""
    return f"'{cell}" if cell[:1] in ("=", "+", "-", "@", "\t") else cell
