"""The faults that the lab is built to survive, who causes them, and the guards that are in their way.

    python -m tests.faults            # every fault: its tests pass, and fail as soon as a guard is taken away
    python -m tests.faults 4 15 24    # only these

A test that proves the answer to a fault bears its number: `@pytest.mark.fault(4)`. A guard is a piece of the source;
what stands `instead` of it lets the fault through. `tests/test_faults.py` holds that no fault lacks a test or a guard.
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
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
SECONDS = 900  # for the tests of one fault; a guard may be all that keeps them from going on for ever
PUPIL, NETWORK, FILE, POWER = "a playful pupil", "a broken network", "a hostile file", "a power cut"


@dataclass(frozen=True)
class Guard:
    """What protects, word for word in `file`, and what would not."""

    file: str
    text: str
    instead: str


@dataclass(frozen=True)
class Fault:
    """One thing that goes wrong or is done on purpose: who does it, what happens, what the lab answers."""

    number: int
    cause: str
    happens: str
    answer: str
    guards: tuple[Guard, ...]


SESSION, DOORS, SETTINGS, SERVER = (
    "app/session.py",
    "app/server/request_filter.py",
    "app/common/settings.py",
    "app/server/app.py",
)
CONVERSATION, GATE, ENGINE, TABS = (
    "app/chat/conversation.py",
    "app/classroom/auth.py",
    "litellama/serving/engine.py",
    "app/common/events.py",
)
TOKENIZER, WEIGHTS, FOLDER = (
    "litellama/tokenizer.py",
    "litellama/checkpoint/weights.py",
    "litellama/checkpoint/layout.py",
)
STREAM, STATE, LOOP = "litellama/hub/stream.py", "litellama/training/state.py", "litellama/training/loop.py"
CLOSED_ROUTES = Guard(DOORS, "elif not (path in self.open or path.startswith(OPEN_FOLDERS)) or", "elif False and")

FAULTS = (
    Fault(1, PUPIL, "half a character, which no UTF-8 can hold", "it becomes U+FFFD", (
        Guard(SESSION, '.encode("utf-16", "surrogatepass").decode("utf-16", "replace")', ""),
    )),
    Fault(2, PUPIL, "NUL, text that runs backwards, joined emoji, heaps of accents", "they come back exactly", (
        Guard(TOKENIZER, "initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),", ""),
        Guard(SESSION, "return text.strip()", 'return text.replace("\\0", "").strip()'),
    )),
    Fault(3, PUPIL, "more characters than the box allows", "a sentence with both numbers", (
        Guard(SESSION, "if len(text) > MOST_CHARACTERS:", "if False:"),
    )),
    Fault(4, PUPIL, "a message of megabytes", "413, before it is read", (
        Guard(DOORS, "if not length.isdecimal() or len(length) > MOST_DIGITS or int(length) > largest:", "if False:"),
        Guard(DOORS, "if self._received > self.largest:", "if False:"),
    )),
    Fault(5, PUPIL, "a made-up history of 20,000 messages", "what was said is known by the server, and bounded", (
        Guard(CONVERSATION, "del self.turns[:-MOST_TURNS]", "pass"),
    )),
    Fault(6, PUPIL, "a slider at NaN", "a sentence with the range", (
        Guard(SETTINGS, "not self.low <= value <= self.high", "(value < self.low or value > self.high)"),
    )),
    Fault(7, PUPIL, "huge numbers, texts, null and lists for a number", "the same", (
        Guard(SETTINGS, "isinstance(value, int | float) and not isinstance(value, bool)", "True"),
    )),
    Fault(8, PUPIL, "<|end|> typed by hand", "ordinary characters", (
        Guard(TOKENIZER, "        inner.encode_special_tokens = True\n        # A foreign", "        # A foreign"),
    )),
    Fault(9, PUPIL, "an emoji whose bytes come as three tokens", "it appears when it is whole", (
        Guard(TOKENIZER, "certain = text.rstrip(REPLACEMENT)", "certain = text"),
    )),
    Fault(10, PUPIL, "a model that writes bytes that are no text", "U+FFFD at the end", (
        Guard(TOKENIZER, "        piece = self._open_text()[self._given :]\n", '        piece = ""\n'),
    )),
    Fault(11, PUPIL, "broken or deep JSON, numbers of functions there are none of", "4xx", (
        Guard(SERVER, 'app_kwargs={**APIS_SHUT, "exception_handlers": MISTAKES}', "app_kwargs={**APIS_SHUT}"),
    )),
    Fault(12, PUPIL, "paths that lead out of the folder, addresses of other hosts", "404", (CLOSED_ROUTES,)),
    Fault(13, PUPIL, "a message that claims to be a file of the server", "it is data, and no file is touched", (
        Guard("app/server/gradio_compat.py", ' if name != "path"', ""),
    )),
    Fault(14, PUPIL, "Gradio's own upload route", "404", (CLOSED_ROUTES,)),
    Fault(15, PUPIL, "another site's page, or another name for this server", "400", (
        Guard(DOORS, "not self.hosts.issuperset(map(_host_name, named))", "False"),
        Guard(DOORS, "if origin is not None and _place(origin) != host:", "if False:"),
    )),
    Fault(16, PUPIL, "scripts, images, forms and frames in what is typed", "text, in every tab", (
        Guard("app/common/lab.js", "node.append(...children);",
              'for (const child of children) typeof child === "string" '
              '? node.insertAdjacentHTML("beforeend", child) : node.append(child);'),
    )),
    Fault(17, NETWORK, "a page is closed while its reply is written", "the reply ends with the token it is at", (
        Guard(ENGINE, "        finally:\n            conversation.left = True", "        finally:\n            pass"),
    )),
    Fault(18, NETWORK, "a request whose answer nobody listens to", "the wall clock ends it, and frees its place", (
        Guard(SESSION, "if time.monotonic() - start > most_seconds:", "if False:"),
        Guard(CONVERSATION, "if time.monotonic() < self._busy_until:", "if self._busy_until:"),
    )),
    Fault(19, NETWORK, "more requests than the line has places", "a sentence, and the message comes back", (
        Guard("app/server/gradio_compat.js", "for (const callback of callbacks) callback();", ""),
        Guard(GATE, ">= MOST_WAITING:", ">= 10**9:"),
    )),
    Fault(20, NETWORK, "so many pages of one browser that they hold all its connections", "a warning on each", (
        Guard("app/server/header.js", "const MANY_PAGES = 5;", "const MANY_PAGES = 500;"),
    )),
    Fault(21, PUPIL, "a wish to read what another wrote", "each page has its own, by cookie and session", (
        Guard(TABS, 'return f"{class_cookie(request.headers)}{page or request.session_hash or \'\'}"',
              'return f"{page or request.session_hash or \'\'}"'),
        Guard(SESSION, "self._pages.setdefault(key, Voice(self.models.first.name))",
              'self._pages.setdefault("all", Voice(self.models.first.name)); self._pages[key] = page'),
    )),
    Fault(22, PUPIL, "a model that fails in the middle", "one sentence for one user, one line for the log", (
        Guard(SESSION, "except Exception as error:  # one user's failure: a sentence for that user",
              "except Problem as error:"),
        Guard("app/common/errors.py", "if isinstance(error, LOGGABLE_ERRORS)", "if True"),
    )),
    Fault(23, FILE, "weights cut short, overlapping, with huge headers, or a pickle by another name", "one sentence", (
        Guard(WEIGHTS, "= _open(path)  # which checks", "= None  # which checks"),
        Guard(WEIGHTS, "if pickle := next(", "if pickle := None and next("),
    )),
    Fault(24, FILE, "a flipped bit, a tail of zeros", "the manifest tells", (
        Guard(FOLDER, '"sha256": digest}', '"sha256": ""}'),
    )),
    Fault(25, FILE, "a config that fits no weights, weights that are no numbers, a huge tokenizer", "refused unread", (
        Guard(WEIGHTS, "_compare(source.name, expected, source.shapes_of(expected))", "pass"),
        Guard(WEIGHTS, "if not _is_finite(weight):", "if False:"),
        Guard(TOKENIZER, "if (size := path.stat().st_size) > LARGEST_FILE:",
              "if (size := path.stat().st_size) > 2**60:"),
    )),
    Fault(26, NETWORK, "a download that breaks off, begins anew, or is another file", "on, anew, or the old model", (
        Guard(STREAM, 'headers = {"range": f"bytes={part.bytes}-"} if part.bytes else {}', "headers = {}"),
        Guard(STREAM, "if part.bytes:  # it does not know how to go on in the middle\n                part.restart()",
              "pass"),
        Guard(STREAM, "if self._digest.hexdigest() != self.file.hash:", "if False:"),
    )),
    Fault(27, POWER, "the end at any moment of a save", "the checkpoint before, or the new one", (
        Guard(FOLDER, "if previous.is_dir():  # a save was killed between its two renames", "if False:"),
        Guard(STATE, "        if damaged:\n", "        if False:\n"),
    )),
    Fault(28, POWER, "a disk that is full or may not be written", "a sentence, and the old checkpoint", (
        Guard(STATE, "        shutil.rmtree(new, ignore_errors=True)\n        before = states(folder)",
              "        before = states(folder)"),
        Guard(FOLDER, "        put_in_place(new, folder)\n    finally:",
              "    finally:\n        put_in_place(new, folder)"),
    )),
    Fault(29, POWER, "a training that goes on later", "bit for bit as if it had never stopped", (
        Guard(STATE, "tensors[key] = (first, list(value.shape)), local.contiguous()",
              "tensors[key] = (first, list(value.shape)), local.half().to(local.dtype).contiguous()"),
    )),
    Fault(30, POWER, "a loss that is no number", "an end before the update", (
        Guard(LOOP, "if not (math.isfinite(loss) and math.isfinite(norm)):", "if False:"),
    )),
    Fault(31, POWER, "one of several processes dies", "all end, with an error", (
        Guard("litellama/training/launch.py", '"--standalone", ', '"--standalone", "--max-restarts", "9", '),
    )),
    Fault(32, POWER, "a training that goes on with another number of processes", "it does", (
        Guard(STATE, "places.setdefault(key, []).append((first, file))", "places[key] = [(first, file)]"),
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
                shown = " ".join(guard.text.split())[:70]
                print(f"    {'noticed' if noticed else 'NOT NOTICED'}: without {guard.file}: {shown}", flush=True)
                wrong += not noticed
    return int(wrong > 0)


def tests_of(number: int) -> list[str]:
    """The marked tests of a fault, as pytest names them."""
    found = []
    for path in sorted(ROOT.glob("tests/**/test_*.py")):
        for node in ast.parse(path.read_text(encoding="utf-8")).body:
            if isinstance(node, ast.FunctionDef) and number in _marks(node):
                found.append(f"{path.relative_to(ROOT).as_posix()}::{node.name}")
    return found


def _marks(test: ast.FunctionDef) -> list[int]:
    """The numbers that a test bears, or one of its parameters does."""
    calls = [one for line in test.decorator_list for one in ast.walk(line) if isinstance(one, ast.Call)]
    marks = [one for one in calls if ast.unparse(one.func) == "pytest.mark.fault"]
    return [int(ast.literal_eval(number)) for mark in marks for number in mark.args]


@contextmanager
def removed(folder: Path, guard: Guard) -> Iterator[None]:
    """The lab in `folder` without one of its guards."""
    path = folder / guard.file
    whole = path.read_text(encoding="utf-8")
    path.write_text(whole.replace(guard.text, guard.instead), encoding="utf-8")
    try:
        yield
    finally:
        path.write_text(whole, encoding="utf-8")


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
