"""How long each view of a real model takes, as the page asks for it, with the issue's targets for two cores.

    python -m tests.benchmarks.views [folder] [rounds] [threads]

Measured in the services, without a browser, on a model opened as the page opens it. Medians of all rounds; each round
reads its text anew. The search for the fewest heads runs once, since it takes so long.
"""

from __future__ import annotations

import statistics
import sys
import time
from collections.abc import Callable, Iterable
from pathlib import Path

import torch

from app.common.settings import Settings
from app.server.services import Services
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


def views(services: Services) -> dict[str, Callable[[], object]]:
    """What is timed, by name, in an order in which each can use what the one before made."""
    shape = services.page_models.opened(KEY).config

    def explain(method: str) -> Callable[[], object]:
        def run() -> None:
            read = services.attribution.read(KEY, LONG)
            start, end = read["answer_start"], len(read["tokens"])
            exhaust(services.attribution.explain(KEY, {"method": method, "unit": "word", "start": start, "end": end}))

        return run

    def first_token() -> None:
        services.chat.erase(KEY)
        settings = Settings(temperature=0, top_p=1, top_k=0, max_tokens=1, seed=0)
        exhaust(services.chat.ask(KEY, TEXT, settings))

    def anew(work: Callable[[], object]) -> Callable[[], object]:
        def run() -> object:
            services.questions.forget(KEY)
            return work()

        return run

    return {
        "chat: first token": first_token,
        "attention: every head": anew(lambda: next(iter(services.attention.look(KEY, TEXT)))),
        "attention: with its answer": anew(lambda: exhaust(services.attention.look(KEY, TEXT))),
        "attention: one head": lambda: services.attention.head(KEY, "head", shape.num_hidden_layers // 2, 0),
        "attention: rollout": lambda: services.attention.head(KEY, "rollout", 0, 0),
        "layers, answer included": anew(lambda: services.layers.guess(KEY, TEXT)),
        "layers": lambda: services.layers.guess(KEY, TEXT),
        "step": lambda: services.step.trace(KEY, {"text": TEXT}),
        **{f"attribution: {method}": explain(method) for method in METHODS},
        "attribution: test": lambda: services.attribution.put_to_the_test(KEY),
        "intervene: begin": lambda: services.intervene.begin(KEY, TEXT),
        "intervene: one head off": lambda: services.intervene.change(KEY, [[0, 0]]),
        "intervene: worth of each": lambda: exhaust(services.intervene.worth(KEY)),
        "intervene: patch": lambda: exhaust(services.intervene.patch(KEY, TEXT.replace("red", "green"))),
    }


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
    services = Services(opened)
    print(f"{folder.name}: {opened.note}\n{machine('cpu')}, {torch.get_num_threads()} thread(s), measured")
    exhaust(
        services.attention.look(KEY, TEXT)
    )  # the heads' roles, once for each model, and all that is slow the first time
    for name, work in views(services).items():
        taken = [timed(work) for _ in range(rounds)]
        clock, processor = (statistics.median(column) for column in zip(*taken, strict=True))
        target = f"  (target {TARGETS[name]} s)" if name in TARGETS else ""
        print(f"  {name:34} {clock:7.2f} s  {processor:7.2f} s of processor{target}", flush=True)
    clock, processor = timed(lambda: print("   ", list(services.intervene.few(KEY))[-1]["state"]))
    print(f"  {'intervene: fewest heads, once':34} {clock:7.2f} s  {processor:7.2f} s of processor")


if __name__ == "__main__":
    main()
