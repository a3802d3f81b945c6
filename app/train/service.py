"""The Train tab behind the page: one training at a time, in a process of its own that lets the chat go first.

The process is `python -m litellama train --json`: it tells what happens line by line, and takes commands (pause, go,
stop, finish) the same way. If the server ends, the commands end, and it saves and ends as well.
"""

from __future__ import annotations

import json
import logging
import os
import secrets
import shutil
import subprocess
import sys
import threading
import time
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from app.common.errors import log_error
from app.common.settings import Knob
from app.common.strings import Problem
from app.train.upload_store import UploadStore
from litellama.checkpoint import CARD, replace_card
from litellama.checkpoint.archive import safe_name
from litellama.config import PRESETS

SIZES = ("litellama-300k", "litellama-1m", "litellama-2m", "tinytown", "litellama-5m", "litellama-15m")
FIRST_SIZE, FIRST_MINUTES = "litellama-1m", 3
MINUTES = Knob(low=0.25, high=60, step=0.25, default=FIRST_MINUTES)
SHORTEST_TEXT = 200  # characters; from less there is nothing to learn
SAMPLES = 30
KEPT_RUNS = 3
LONGEST_TITLE = 60
POINTS = 240  # of the loss curve, at most
SECONDS_UNSEEN = 120  # after which a training whose page is gone obeys any page
SECONDS_TO_SAVE = 20
NICENESS = 15  # the chat's replies, at 0, get about thirty times this share of a core that both want
OPTIONS = (
    "--rows-per-batch 8 --optimizer muon --schedule wsd --learning-rate 2e-3 --save-every 100 --questions 90 "
    "--examine-every 1000000 --json"
).split()

log = logging.getLogger("litellama.app")


class Curve:
    """The loss by step, as means over more and more steps, so that there are never more than `POINTS`."""

    def __init__(self) -> None:
        self.points: list[tuple[int, float]] = []
        self._width = 1
        self._open: list[float] = []

    def add(self, step: int, loss: float) -> None:
        self._open.append(loss)
        if len(self._open) == self._width:
            self.points.append((step, sum(self._open) / self._width))
            self._open = []
        if len(self.points) == POINTS:
            pairs = zip(self.points[::2], self.points[1::2], strict=True)
            self.points = [(late, (a + b) / 2) for (_, a), (late, b) in pairs]
            self._width *= 2


@dataclass
class Run:
    """One training: its folder, its process, and what that has told. `state`: preparing, running, paused, finishing,
    ended, stopped or failed."""

    folder: Path
    size: str
    corpus: str
    minutes: float
    token: str
    process: subprocess.Popen[str] | None = None
    listener: threading.Thread | None = None
    state: str = "preparing"
    seen: float = field(default_factory=time.monotonic)
    curve: Curve = field(default_factory=Curve)
    begun: dict[str, Any] = field(default_factory=dict)
    last: dict[str, Any] = field(default_factory=dict)
    samples: list[dict[str, Any]] = field(default_factory=list)
    figures: dict[str, float] = field(default_factory=dict)
    note: str = ""
    trouble: str = ""
    kept: str | None = None
    speed: float = 0.0  # steps per second, smoothed

    @property
    def is_busy(self) -> bool:
        return self.state in ("preparing", "running", "paused", "finishing")

    @property
    def model(self) -> Path:
        return self.folder / "model"

    def add(self, event: dict[str, Any]) -> None:
        """Take in one event of the process."""
        kind = event["news"]
        if kind == "Note":
            self.note = event["text"]
            self.state = "finishing" if self.state in ("running", "paused") else self.state
        elif kind == "Begun":
            self.begun, self.note = event, ""
            self.state = "running"
        elif kind == "Stepped":
            took = event["seconds"] - self.last.get("seconds", 0.0)
            if self.last and took > 0:
                self.speed = 0.9 * self.speed + 0.1 / took if self.speed else 1 / took
            self.last = event
            self.curve.add(event["step"], event["loss"])
        elif kind == "Sample":
            self.samples = [*self.samples, {"step": event["step"], "prompt": event["prompt"], "text": event["text"]}]
        elif kind == "Ended":
            self.figures = event["figures"]
            self.state = "stopped" if event["checkpoint"] is None else "ended"


class Trainings:
    """The training there is, and what a page may ask of it. Safe to be used by many threads."""

    def __init__(self, models: Path, upload_store: UploadStore, device: str = "cpu") -> None:
        self._models = models
        self._device = device
        self._upload_store = upload_store
        self._folder = models / ".trainings"  # hidden from the list of models, and on the same disk as they
        self._run: Run | None = None
        self._lock = threading.Lock()

    def act(self, sent: object) -> dict[str, Any]:
        """Do what a page asks: see, start, pause, go, stop, more or keep; gives what there is to see then.

        Raises `Problem`.
        """
        if not isinstance(sent, dict):
            raise Problem("problem.request")
        action, token = sent.get("action"), sent.get("token")
        with self._lock:
            run = self._run
            if action == "start":
                return self._start(sent)
            elif run is None:
                if action != "see":
                    raise Problem("problem.no_training")
            elif action == "see":
                if token == run.token:
                    run.seen = time.monotonic()
            else:
                self._check_may(run, token)
                self._obey(run, action, sent)
            return self._seen(token)

    def close(self) -> None:
        """Let the training save and end; called when the server ends."""
        with self._lock:
            run = self._run
            if run is None or run.process is None or run.listener is None:
                return
            self._command(run, "stop")
        run.listener.join(SECONDS_TO_SAVE)
        run.process.kill()
        run.listener.join()

    # --- What a page may ask -----------------------------------------------------------------------------------------

    def _start(self, sent: dict[str, Any]) -> dict[str, Any]:
        """Begin; the page is given the token that lets it change the training, also after it was loaded again."""
        if self._run is not None and self._run.is_busy:
            raise Problem("problem.training_busy")
        size, corpus = sent.get("size"), sent.get("corpus")
        if size not in SIZES or corpus not in ("tinytown", "own"):
            raise Problem("problem.request")
        minutes = _minutes(sent)
        own = None
        if corpus == "own":
            own = self._upload_store.get(sent.get("upload"))
            if len(own.text) < SHORTEST_TEXT:
                raise Problem("problem.text_short", length=len(own.text), limit=SHORTEST_TEXT)
        folder = self._new_folder()
        path = "tinytown"
        if own is not None:
            path = str(folder / ("own.jsonl" if own.kind == "chat" else "own.txt"))
            try:
                Path(path).write_text(own.text, encoding="utf-8", newline="\n")
            except OSError as error:
                log.warning("a text could not be written: %s", error)
                raise Problem("problem.model_disk") from None
        self._run = run = Run(folder, str(size), path, minutes, secrets.token_hex(16))
        self._launch(run)
        return self._seen(run.token) | {"token": run.token}

    def _obey(self, run: Run, action: object, sent: dict[str, Any]) -> None:
        if action in ("pause", "go", "stop"):
            if not run.is_busy:
                raise Problem("problem.no_training")
            self._command(run, "finish" if action == "stop" else str(action))
            if action != "stop" and run.state in ("running", "paused"):
                run.state = "paused" if action == "pause" else "running"
        elif action == "more":
            if run.is_busy:
                raise Problem("problem.training_busy")
            run.minutes, run.state, run.trouble, run.kept = _minutes(sent), "preparing", "", None
            self._launch(run, "--resume")
        elif action == "keep":
            run.kept = self._keep(run, sent.get("name"))
        else:
            raise Problem("problem.request")

    def _check_may(self, run: Run, token: object) -> None:
        """Only the page that began a training may change it, unless that page is long gone or the training over."""
        gone = time.monotonic() - run.seen > SECONDS_UNSEEN
        if token != run.token and run.is_busy and not gone:
            raise Problem("problem.training_others")

    def _keep(self, run: Run, name: object) -> str:
        """Put the trained model among those that can be chosen; gives the name it has there."""
        if run.is_busy or not run.model.is_dir():
            raise Problem("problem.nothing_to_keep")
        title = name.strip()[:LONGEST_TITLE] if isinstance(name, str) else ""
        wanted = safe_name(title)
        title = title or wanted
        found, number = wanted, 2
        while (self._models / found).exists():
            found, number = f"{wanted}-{number}", number + 1
        new = self._models / f".{found}.new"
        shutil.rmtree(new, ignore_errors=True)
        try:
            shutil.copytree(run.model, new)
            card = json.loads((new / CARD).read_text(encoding="utf-8"))
            replace_card(new, card | {"name": title})
            new.rename(self._models / found)
        except OSError as error:
            shutil.rmtree(new, ignore_errors=True)
            log.warning("a model could not be kept: %s", error)
            raise Problem("problem.model_disk") from None
        return found

    def _new_folder(self) -> Path:
        """A fresh folder; of the earlier ones, the last few stay."""
        old = sorted(self._folder.glob("[0-9]*"))
        for folder in old[: max(0, len(old) - KEPT_RUNS + 1)]:
            shutil.rmtree(folder, ignore_errors=True)
        number = int(old[-1].name) + 1 if old else 1
        folder = self._folder / f"{number:05}"
        try:
            folder.mkdir(parents=True)
        except OSError as error:
            log.warning("a training could not begin: %s", error)
            raise Problem("problem.model_disk") from None
        return folder

    def _seen(self, token: object) -> dict[str, Any]:
        """What there is to see."""
        run = self._run
        if run is None:
            return {"state": "none"}
        last, steps = run.last, run.begun.get("steps", 0)
        left = (steps - last.get("step", 0)) / run.speed if run.speed else None
        return {
            "state": run.state, "mine": token == run.token, "size": run.size, "minutes": run.minutes,
            "own": run.corpus != "tinytown", "note": run.note, "trouble": run.trouble, "kept": run.kept,
            "parameters": run.begun.get("parameters"), "steps": steps, "step": last.get("step", 0),
            "curve": run.curve.points, "samples": run.samples[-SAMPLES:], "figures": run.figures,
            "tokens": last.get("tokens_seen"), "speed": last.get("tokens_per_second"), "mfu": last.get("mfu"),
            "joules": last.get("joules"), "joules_how": last.get("joules_how"), "memory": last.get("memory"),
            "machine": run.begun.get("machine"), "epoch_tokens": run.begun.get("epoch_tokens"),
            "seconds": last.get("seconds"), "seconds_left": left if run.is_busy else None,
        }  # fmt: skip

    # --- The process -------------------------------------------------------------------------------------------------

    def _launch(self, run: Run, *more: str) -> None:
        command = [
            sys.executable, "-m", "litellama", "train", "--out", str(run.model), "--preset", run.size, "--corpus",
            run.corpus, "--minutes", str(run.minutes), "--looks", str(SAMPLES), "--device",
            self._device, *OPTIONS, *more,
        ]  # fmt: skip
        flags: dict[str, Any] = {"creationflags": 0x00004000} if sys.platform == "win32" else {}  # below normal
        with open(run.folder / "errors.txt", "a", encoding="utf-8") as errors:
            run.process = subprocess.Popen(
                command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=errors, text=True, encoding="utf-8",
                **flags,
            )  # fmt: skip
        if sys.platform != "win32":
            os.setpriority(os.PRIO_PROCESS, run.process.pid, NICENESS)
        run.listener = threading.Thread(target=self._listen, args=(run, run.process), daemon=True)
        run.listener.start()

    def _listen(self, run: Run, process: subprocess.Popen[str]) -> None:
        assert process.stdout is not None
        with process:
            for line in process.stdout:
                with self._lock, suppress(ValueError):  # of a process that was killed the last line may be half a one
                    run.add(json.loads(line))
        with self._lock:
            if run.is_busy and run.process is process:  # it ended without a word, and no other goes on for it
                said = _last_line(run.folder / "errors.txt") or f"exit status {process.returncode}"
                number = log_error(f"a training ended before its time: {said}")
                killed = process.returncode < 0  # by a signal, such as the system's when memory runs out
                run.state, run.trouble = ("killed", number) if killed else ("failed", said)

    def _command(self, run: Run, command: str) -> None:
        assert run.process is not None
        assert run.process.stdin is not None
        try:
            run.process.stdin.write(command + "\n")
            run.process.stdin.flush()
        except (OSError, ValueError):  # it has just ended, and its last event says how
            pass


def sizes() -> list[dict[str, Any]]:
    """What the slider chooses from: each size's shape and number of weights."""
    return [
        {
            "name": name, "parameters": PRESETS[name].num_parameters, "layers": PRESETS[name].num_hidden_layers,
            "hidden": PRESETS[name].hidden_size, "heads": PRESETS[name].num_attention_heads,
            "groups": PRESETS[name].num_key_value_heads, "vocabulary": PRESETS[name].vocab_size,
            "parts": PRESETS[name].parameters_by_part,
        }
        for name in SIZES
    ]  # fmt: skip


def _minutes(sent: dict[str, Any]) -> float:
    value = sent.get("minutes")
    if isinstance(value, bool) or not isinstance(value, int | float) or not MINUTES.low <= value <= MINUTES.high:
        raise Problem("problem.minutes", low=f"{MINUTES.low:g}", high=f"{MINUTES.high:g}")
    return float(value)


def _last_line(path: Path) -> str:
    lines = path.read_text(encoding="utf-8", errors="replace").strip().splitlines()
    return lines[-1].removeprefix("litellama train: ")[:300] if lines else ""
