"""How fast one LiteLlama-sized model reads a prompt and writes, against transformers and llama.cpp at equal bits; and
how many tokens forty conversations get from one engine, against forty threads.

    python -m tests.benchmarks.decoding [rounds] [precisions: 16, 8, 4]

The same random weights of LiteLlama-460M's shape for all, written to a temporary folder and exported for llama.cpp
(3 GB of disk, some minutes). Each round runs everybody in turn; medians, with the lowest and the highest. The forty
conversations are TinyTown's. llama.cpp is the package xllamacpp's, whose wheel for Linux is built for every x86-64
processor with AVX2, not for the one at hand. Needs the extras `bench` and `dev`.
"""

from __future__ import annotations

import os
import statistics
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import torch

from litellama.checkpoint import checkpoints_folder
from litellama.checkpoint.precision import open_for_use
from litellama.export.run import export
from litellama.footprint.machine import machine
from litellama.generate import Step, generate
from litellama.sampling import Sampling
from litellama.serving.engine import Engine
from litellama.tokenizer import Tokenizer
from tests.support.folders import GPT2, litellama_config, write_folder
from tests.support.llama_cpp import LlamaCpp

PROMPT, NEW = list(range(100, 164)), 48
GREEDY = Sampling(greedy=True)
STREAMS, STREAM_LENGTH = 40, 40

Run = Callable[[], tuple[float, float]]
"""Tokens per second of reading the prompt, and of writing behind it."""


def ours(folder: Path, precision: str) -> Run:
    model = open_for_use(folder, precision).model

    def run() -> tuple[float, float]:
        start = time.perf_counter()
        steps = generate(model, PROMPT, sampling=GREEDY, max_new_tokens=NEW + 1, seed=0)
        next(steps)
        read = time.perf_counter()
        count = sum(1 for _ in steps)
        return len(PROMPT) / (read - start), count / (time.perf_counter() - read)

    return run


def transformers(folder: Path, dtype: torch.dtype) -> Run:
    from transformers import LlamaForCausalLM

    model = LlamaForCausalLM.from_pretrained(folder, dtype=dtype).eval()

    @torch.inference_mode()
    def run() -> tuple[float, float]:
        start = time.perf_counter()
        output = model(torch.tensor([PROMPT]), use_cache=True, logits_to_keep=1)
        id = output.logits[:, -1:].argmax(-1)
        read = time.perf_counter()
        for _ in range(NEW):
            output = model(id, past_key_values=output.past_key_values, use_cache=True)
            id = output.logits[:, -1:].argmax(-1)
        return len(PROMPT) / (read - start), NEW / (time.perf_counter() - read)

    return run


def llama_cpp(folder: Path, dtype: str, opened: ExitStack) -> Run:
    """By the server's own clock, so that HTTP is no part of it."""
    out = folder.parent / f"gguf-{dtype}"
    for _ in export(folder, out, "gguf", dtype):
        pass
    [file] = out.glob("*.gguf")
    server = opened.enter_context(LlamaCpp(file, threads=torch.get_num_threads(), exact=False))

    def run() -> tuple[float, float]:
        taken = server.timings(PROMPT, NEW + 1)  # the first token comes with the reading
        return len(PROMPT) / taken["prompt_ms"] * 1000, NEW / taken["predicted_ms"] * 1000

    return run


def peers(folder: Path, bits: str, opened: ExitStack) -> dict[str, Run]:
    """Who is compared at so many bits; the lab first."""
    if bits == "16":
        return {
            "ours float16": ours(folder, "float16"), "llama.cpp BF16": llama_cpp(folder, "bfloat16", opened),
            "transformers float16": transformers(folder, torch.float16),
            "transformers bfloat16": transformers(folder, torch.bfloat16),
        }  # fmt: skip
    if bits == "8":
        return {"ours int8": ours(folder, "int8"), "llama.cpp Q8_0": llama_cpp(folder, "q8_0", opened)}
    return {"ours int4": ours(folder, "int4"), "llama.cpp Q4_0": llama_cpp(folder, "q4_0", opened)}


def one_model(folder: Path, bits: str, rounds: int) -> None:
    """Print each one's speeds, and how ours compares in each round."""
    with ExitStack() as opened:
        runs = peers(folder, bits, opened)
        found: dict[str, list[tuple[float, float]]] = {name: [] for name in runs}
        for number in range(rounds + 1):
            for name, run in runs.items():
                speeds = run()
                if number:  # the first one warms up
                    found[name].append(speeds)
    first = next(iter(found))
    for name, speeds in found.items():
        reads, writes = zip(*speeds, strict=True)
        line = f"{name:22} writes {_spread(writes)} tokens/s, reads {_spread(reads)} tokens/s"
        if name != first:
            ratio = [mine[1] / other[1] for mine, other in zip(found[first], speeds, strict=True)]
            line += f"; ours / this, writing: {_spread(ratio, 2)}"
        print(line, flush=True)


def many_conversations(rounds: int) -> None:
    """Print how fast forty conversations go on together, in one engine and in forty threads of their own."""
    opened = open_for_use(checkpoints_folder() / "tinytown", "float32")
    engine = Engine(opened.model)
    told = "Tom hid a red ball under the bed. Anna has a blue hat. "
    prompts = [opened.tokenizer.encode(told * (1 + number % 5) + f"Question {number}?") for number in range(STREAMS)]

    def in_engine(prompt: list[int]) -> Iterator[Step]:
        return engine.generate(prompt, sampling=GREEDY, max_new_tokens=STREAM_LENGTH, seed=0)

    def alone(prompt: list[int]) -> Iterator[Step]:
        return generate(opened.model, prompt, sampling=GREEDY, max_new_tokens=STREAM_LENGTH, seed=0)

    def speed(way: Callable[[list[int]], Iterator[Step]]) -> float:
        threads = [threading.Thread(target=lambda prompt=prompt: list(way(prompt))) for prompt in prompts]
        start = time.perf_counter()
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        return STREAMS * STREAM_LENGTH / (time.perf_counter() - start)

    pairs = [(speed(in_engine), speed(alone)) for _ in range(rounds + 1)][1:]
    together, apart = zip(*pairs, strict=True)
    print(f"{STREAMS} conversations: engine {_spread(together)} tokens/s, threads {_spread(apart)} tokens/s, "
          f"ratio {_spread([one / other for one, other in pairs])}", flush=True)  # fmt: skip


def _spread(values: tuple[float, ...] | list[float], digits: int = 1) -> str:
    middle, low, high = statistics.median(values), min(values), max(values)
    return f"{middle:.{digits}f} ({low:.{digits}f} to {high:.{digits}f})"


def main(rounds: int = 7, bits: str = "16,8,4") -> None:
    print(f"{machine('cpu')}, {torch.get_num_threads()} threads; load before: {os.getloadavg()[0]:.1f}")
    with tempfile.TemporaryDirectory() as parent:
        tokenizer = Tokenizer.load(GPT2)
        folder = write_folder(Path(parent) / "model", litellama_config(), tokenizer, torch.float16)
        for one in bits.split(","):
            one_model(folder, one.strip(), rounds)
    many_conversations(rounds)


if __name__ == "__main__":
    arguments = sys.argv[1:]
    main(*([int(arguments[0])] if arguments else []), *arguments[1:2])
