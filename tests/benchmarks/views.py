"""How long each view of a real model takes, as the page asks for it, with the issue's targets for two cores.

    python -m tests.benchmarks.views [folder] [rounds] [threads]

Measured in the session, without a browser, on a model opened as the page opens it. Medians of all rounds; each round
reads its text anew. The search for the fewest heads runs once, since it takes so long.
"""

from __future__ import annotations

import statistics
import sys
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import torch

from app.common.settings import Settings
from app.session import Session
from litellama.checkpoint import checkpoints_folder
from litellama.checkpoint.precision import open_for_use
from litellama.explain.attribution import METHODS
from litellama.footprint.machine import machine

TEXT = "Tom hid a red ball under the bed. Anna has a blue hat. Where is the ball?"
LONG = (
    "Yesterday Tom hid a red ball under the bed in his room, and Anna put her blue hat on the old chair. Where is the "
    "ball now?"
)
TARGETS = {"chat: first token": 0.3, "attention: every head": 1.5, "attribution: ablation": 3.0, "layers": 0.5}
KEY = "page"


def exhaust(work: Iterable[object]) -> None:
    for _ in work:
        pass


def views(session: Session) -> dict[str, Callable[[], object]]:
    """What is timed, by name, in an order in which each can use what the one before made."""
    shape = session.opened(KEY).config

    def explain(method: str) -> Callable[[], object]:
        def run() -> None:
            read = session.read(KEY, LONG)
            start, end = read["answer_start"], len(read["tokens"])
            exhaust(session.explain(KEY, {"method": method, "unit": "word", "start": start, "end": end}))

        return run

    def first_token() -> None:
        session.forget(KEY)
        settings = Settings(temperature=0, top_p=1, top_k=0, max_tokens=1, seed=0)
        exhaust(session.ask(KEY, TEXT, settings))

    def anew(work: Callable[[], object]) -> Callable[[], object]:
        def run() -> object:
            session._readings.forget(KEY)
            return work()

        return run

    return {
        "chat: first token": first_token,
        "attention: every head": anew(lambda: next(iter(session.look(KEY, TEXT)))),
        "attention: with its answer": anew(lambda: exhaust(session.look(KEY, TEXT))),
        "attention: one head": lambda: session.head(KEY, "head", shape.num_hidden_layers // 2, 0),
        "attention: rollout": lambda: session.head(KEY, "rollout", 0, 0),
        "layers, answer included": anew(lambda: session.guesses(KEY, TEXT)),
        "layers": lambda: session.guesses(KEY, TEXT),
        "step": lambda: session.step(KEY, {"text": TEXT}),
        **{f"attribution: {method}": explain(method) for method in METHODS},
        "attribution: test": lambda: session.put_to_the_test(KEY),
        "intervene: begin": lambda: exhaust(session.intervene(KEY, "begin", {"text": TEXT})),
        "intervene: one head off": lambda: session_last(session, "change", {"off": [[0, 0]]}),
        "intervene: worth of each": lambda: session_last(session, "worth", {}),
        "intervene: patch": lambda: session_last(session, "patch", {"other": TEXT.replace("red", "green")}),
    }


def session_last(session: Session, action: str, sent: dict[str, Any]) -> dict[str, Any]:
    *_, done = session.intervene(KEY, action, sent)
    return done


def timed(work: Callable[[], object]) -> tuple[float, float]:
    """Seconds by the clock, and of the processor."""
    clock, processor = time.perf_counter(), time.process_time()
    work()
    return time.perf_counter() - clock, time.process_time() - processor


def main() -> None:
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else checkpoints_folder() / "SmolLM2-135M-Instruct"
    rounds = int(sys.argv[2]) if len(sys.argv) > 2 else 3
    torch.set_num_threads(int(sys.argv[3]) if len(sys.argv) > 3 else 2)
    opened = open_for_use(folder)
    session = Session(opened)
    print(f"{folder.name}: {opened.note}\n{machine('cpu')}, {torch.get_num_threads()} thread(s), measured")
    exhaust(session.look(KEY, TEXT))  # the heads' roles, once for each model, and all that is slow the first time
    for name, work in views(session).items():
        taken = [timed(work) for _ in range(rounds)]
        clock, processor = (statistics.median(column) for column in zip(*taken, strict=True))
        target = f"  (target {TARGETS[name]} s)" if name in TARGETS else ""
        print(f"  {name:34} {clock:7.2f} s  {processor:7.2f} s of processor{target}", flush=True)
    clock, processor = timed(lambda: print("   ", session_last(session, "few", {})["state"]))
    print(f"  {'intervene: fewest heads, once':34} {clock:7.2f} s  {processor:7.2f} s of processor")


if __name__ == "__main__":
    main()
