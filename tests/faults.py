"""The faults that the lab is built to survive, who causes them, and the guards that are in their way.

    python -m tests.faults            # every fault: its tests pass, and fail as soon as a guard is taken away
    python -m tests.faults 4 15 24    # only these

A test that proves the answer to a fault bears its number: `@pytest.mark.fault(4)`. A guard is a piece of the source
with its name in a comment, as `tests/guards.py` tells; what stands `instead` of it lets the fault through.
`tests/test_faults.py` holds that no fault lacks a test or a guard.
"""

from __future__ import annotations

import argparse
import ast
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from tests.guards import Guard, find_marks, without

ROOT = Path(__file__).resolve().parents[1]
SECONDS = 900  # for the tests of one fault; a guard may be all that keeps them from going on for ever
PUPIL, NETWORK, FILE, POWER = "a playful pupil", "a broken network", "a hostile file", "a power cut"


@dataclass(frozen=True)
class Fault:
    """One thing that goes wrong or is done on purpose: who does it, what happens, what the lab answers."""

    number: int
    cause: str
    happens: str
    answer: str
    guards: tuple[Guard, ...]


CLOSED_ROUTES = Guard("closed-routes", "False")

FAULTS = (
    Fault(1, PUPIL, "half a character, which no UTF-8 can hold", "it becomes U+FFFD", (
        Guard("whole-characters", "text"),
    )),
    Fault(2, PUPIL, "NUL, text that runs backwards, joined emoji, heaps of accents", "they come back exactly", (
        Guard("every-byte", "[]"), Guard("exact-text", '_.replace("\\0", "").strip()'),
    )),
    Fault(3, PUPIL, "more characters than the box allows", "a sentence with both numbers", (
        Guard("message-length", "False"),
    )),
    Fault(4, PUPIL, "a message of megabytes", "413, before it is read", (
        Guard("declared-size", "False"), Guard("received-size", "False"),
    )),
    Fault(5, PUPIL, "a made-up history of 20,000 messages", "what was said is known by the server, and bounded", (
        Guard("bounded-history", "pass"),
    )),
    Fault(6, PUPIL, "a slider at NaN", "a sentence with the range", (
        Guard("setting-range", "not is_number or value < self.low or value > self.high"),
    )),
    Fault(7, PUPIL, "huge numbers, texts, null and lists for a number", "the same", (Guard("setting-type", "True"),)),
    Fault(8, PUPIL, "<|end|> typed by hand", "ordinary characters", (Guard("typed-markers", "False"),)),
    Fault(9, PUPIL, "an emoji whose bytes come as three tokens", "it appears when it is whole", (
        Guard("held-back", "text"),
    )),
    Fault(10, PUPIL, "a model that writes bytes that are no text", "U+FFFD at the end", (Guard("last-bytes", '""'),)),
    Fault(11, PUPIL, "broken or deep JSON, numbers of functions there are none of", "4xx", (
        Guard("bad-requests", '{**_, "exception_handlers": {}}'),
    )),
    Fault(12, PUPIL, "paths that lead out of the folder, addresses of other hosts", "404", (CLOSED_ROUTES,)),
    Fault(13, PUPIL, "a message that claims to be a file of the server", "it is data, and no file is touched", (
        Guard("no-paths", "True"),
    )),
    Fault(14, PUPIL, "Gradio's own upload route", "404", (CLOSED_ROUTES,)),
    Fault(15, PUPIL, "another site's page, or another name for this server", "400", (
        Guard("own-hosts", '"x-gradio-server" in headers'), Guard("own-origin", "False"),
    )),
    Fault(16, PUPIL, "scripts, images, forms and frames in what is typed", "text, in every tab", (
        Guard("never-html", 'for (const child of children) typeof child === "string" '
              '? node.insertAdjacentHTML("beforeend", child) : node.append(child);'),
    )),
    Fault(17, NETWORK, "a page is closed while its reply is written", "the reply ends with the token it is at", (
        Guard("closed-page", "pass"),
    )),
    Fault(18, NETWORK, "a request whose answer nobody listens to", "the wall clock ends it, and frees its place", (
        Guard("reply-time", "False"), Guard("busy-ends", "self._busy_until"),
    )),
    Fault(19, NETWORK, "more requests than the line has places", "a sentence, and the message comes back", (
        Guard("refusal-shown", ""), Guard("waiting-line", "False"),
    )),
    Fault(20, NETWORK, "so many pages of one browser that they hold all its connections", "a warning on each", (
        Guard("many-pages", "const MANY_PAGES = 500;"),
    )),
    Fault(21, PUPIL, "an attempt to read what another wrote", "each page has its own, by cookie and session", (
        Guard("own-key", "f\"{page or request.session_hash or ''}\""),
        Guard("own-page", 'self._pages.get_or_create("all", lambda: ChatPage(Conversation(model)))'),
    )),
    Fault(22, PUPIL, "a model that fails in the middle", "one sentence for one user, one line for the log", (
        Guard("failing-model", "Problem"), Guard("quoted-errors", "str(error)"),
    )),
    Fault(23, FILE, "weights cut short, overlapping, with huge headers, or a pickle by another name", "one sentence", (
        Guard("checked-header", "None"), Guard("no-pickles", "None"),
    )),
    Fault(24, FILE, "a flipped bit, a tail of zeros", "the manifest tells", (
        Guard("manifest-hash", '{**_, "sha256": ""}'),
    )),
    Fault(25, FILE, "a config that fits no weights, weights that are no numbers, a huge tokenizer", "refused unread", (
        Guard("matching-shapes", "pass"), Guard("finite-weights", "False"), Guard("tokenizer-size", "False"),
    )),
    Fault(26, NETWORK, "a download that breaks off, begins anew, or is another file", "on, anew, or the old model", (
        Guard("download-goes-on", "{}"), Guard("download-anew", "False"), Guard("download-hash", "False"),
    )),
    Fault(27, POWER, "the end at any moment of a save", "the checkpoint before, or the new one", (
        Guard("previous-folder", "False"), Guard("damaged-state", "False"),
    )),
    Fault(28, POWER, "a disk that is full or may not be written", "a sentence, and the old checkpoint", (
        Guard("no-half-state", "pass"), Guard("no-half-folder", "new.exists() and put_in_place(new, folder)"),
    )),
    Fault(29, POWER, "a training that goes on later", "bit for bit as if it had never stopped", (
        Guard("exact-state", "_.half().to(_.dtype)"),
    )),
    Fault(30, POWER, "a loss that is no number", "an end before the update", (Guard("finite-loss", "False"),)),
    Fault(31, POWER, "one of several processes dies", "all end, with an error", (
        Guard("no-restarts", '(*_[:2], "--max-restarts", "9", *_[2:])'),
    )),
    Fault(32, POWER, "a training that goes on with another number of processes", "it does", (
        Guard("every-part", "places[key] = [(first, file)]"),
    )),
)  # fmt: skip


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("numbers", nargs="*", type=int, help="of faults (default: all)")
    wanted = parser.parse_args().numbers or [fault.number for fault in FAULTS]
    wrong = 0
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder) / "lab"
        hidden = shutil.ignore_patterns(".*", "__pycache__", "runs", "my-lessons", "*.egg-info")
        shutil.copytree(ROOT, copy, ignore=hidden)
        for fault in FAULTS:
            if fault.number not in wanted:
                continue
            tests = tests_of(fault.number)
            passed = runs(copy, tests)
            print(f"{fault.number:2}  {fault.cause}: {fault.happens}")
            print(f"    {'pass' if passed else 'FAIL'}: {len(tests)} tests", flush=True)
            wrong += not passed
            for guard in fault.guards:
                with removed(copy, guard):
                    noticed = not runs(copy, tests, first_only=True)
                print(f"    {'noticed' if noticed else 'NOT NOTICED'}: without {guard.name}", flush=True)
                wrong += not noticed
    return int(wrong > 0)


def tests_of(number: int) -> list[str]:
    """The marked tests of a fault, as pytest names them."""
    return _marked_tests().get(number, [])


@cache
def _marked_tests() -> dict[int, list[str]]:
    found: dict[int, list[str]] = {}
    for path in sorted(ROOT.glob("tests/**/test_*.py")):
        source = path.read_text(encoding="utf-8")
        for node in ast.parse(source).body if "mark.fault" in source else ():
            if isinstance(node, ast.FunctionDef):
                for number in _marks(node):
                    found.setdefault(number, []).append(f"{path.relative_to(ROOT).as_posix()}::{node.name}")
    return found


def _marks(test: ast.FunctionDef) -> set[int]:
    """The numbers that a test bears, or one of its parameters does."""
    calls = [one for line in test.decorator_list for one in ast.walk(line) if isinstance(one, ast.Call)]
    marks = [one for one in calls if ast.unparse(one.func) == "pytest.mark.fault"]
    return {int(ast.literal_eval(number)) for mark in marks for number in mark.args}


@contextmanager
def removed(folder: Path, guard: Guard) -> Iterator[None]:
    """The lab in `folder` without one of its guards."""
    (mark,) = find_marks(folder)[guard.name]
    whole = mark.path.read_text(encoding="utf-8")
    mark.path.write_text(without(mark, guard.instead), encoding="utf-8")
    try:
        yield
    finally:
        mark.path.write_text(whole, encoding="utf-8")


def runs(folder: Path, tests: Sequence[str], first_only: bool = False) -> bool:
    """Whether tests pass in `folder`. What does not end in time does not pass."""
    command = [sys.executable, "-B", "-m", "pytest", "-q", "-p", "no:cacheprovider", *tests]
    process = subprocess.Popen(
        [*command, "-x"] if first_only else command, cwd=folder, start_new_session=True,
        env={**os.environ, "PYTHONPATH": str(folder), "OMP_NUM_THREADS": "1", "LITELLAMA_REQUIRE_BROWSER": "1"},
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    try:
        return process.wait(SECONDS) == 0
    except subprocess.TimeoutExpired:
        return False
    finally:
        with suppress(ProcessLookupError):  # and what it started
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


if __name__ == "__main__":
    sys.exit(main())
