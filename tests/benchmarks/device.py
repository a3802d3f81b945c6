"""Whether a GPU and the CPU agree, and how fast the lab is on the GPU: one script, under eight minutes there.

    python -m tests.benchmarks.device [--device auto] [--quick] [--out FILE.json]

    agreement   logits, greedy texts, conversations together, attribution, one training step: the device against the CPU
    quantized   whether PyTorch's kernels for 8 and 4 bits work there
    speed       prefill and decoding of LiteLlama-460M's shape in 16 bits, against transformers
    training    MFU of real training steps of that shape, against transformers' Trainer
    energy      joules of a reply, by the device's own counter

Needs what the package needs, and PyTorch for the device; transformers and accelerate where they are there. Everything
is measured here unless it says otherwise. Ends with status 1 if the device and the CPU disagree, or a part fails.
`--quick` takes small shapes, to try the script itself on any machine.
"""

from __future__ import annotations

import argparse
import copy
import ctypes
import importlib.util
import json
import statistics
import sys
import tempfile
import time
import traceback
import warnings
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from litellama.chat import Message
from litellama.checkpoint import checkpoints_folder
from litellama.checkpoint.load import Opened, open_checkpoint
from litellama.checkpoint.precision import open_for_use
from litellama.config import ModelConfig, preset
from litellama.data.batches import ANSWER, TinyTownBatches, TokenBatch
from litellama.decoding import Decoding
from litellama.device import NOISE, choose_device, device_name, logit_difference, sixteen_bits, synchronize
from litellama.explain.attribution import METHODS, attribute, finished
from litellama.explain.scoring import Target, rank_correlation
from litellama.explain.tokenized_run import read_chat
from litellama.footprint.machine import machine, peak
from litellama.footprint.meter import Meter
from litellama.footprint.sensors import Nvml, SensorGone
from litellama.generate import generate
from litellama.model import LiteLlama, empty_model, rotary_frequencies
from litellama.quantize import WHOLE_NUMBERS, is_quantized, kernel_works
from litellama.sampling import Sampling
from litellama.serving.engine import Engine
from litellama.training.initial_weights import new_model
from litellama.training.loop import train
from litellama.training.recipe import Recipe

GREEDY = Sampling(greedy=True)
LAST_START = 400  # seconds after which no further part begins
PROMPTS = (
    "Tell me a story about Tom and a red kite.", "Who are you?", "What is a llama?", "Where is the ball?",
    "Tell me a story about Anna in the garden.", "What can you do?", "Is Mia glad?", "What is two plus three?",
)  # fmt: skip

Found = dict[str, Any]


class Sizes:
    """How much is done: of a real model, or of a small one to try the script."""

    def __init__(self, quick: bool) -> None:
        self.shape = preset("litellama-300k" if quick else "litellama-460m")
        self.read, self.written, self.rounds = (16, 8, 2) if quick else (512, 128, 5)
        self.together = 4 if quick else 32
        self.rows, self.length, self.steps = (2, 32, 4) if quick else (16, 1024, 12)
        self.prompts = PROMPTS[:2] if quick else PROMPTS
        self.methods = ("gradient x input", "ablation") if quick else METHODS
        self.seconds_of_replies = 0.5 if quick else 10.0


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.device", description=__doc__.split("\n\n")[0])
    parser.add_argument("--device", default="auto")
    parser.add_argument("--quick", action="store_true", help="small shapes, to try the script")
    parser.add_argument("--out", type=Path, help="write everything as JSON into this file too")
    options = parser.parse_args(arguments)
    device, sizes, began = choose_device(options.device), Sizes(options.quick), time.monotonic()
    found: Found = {"machine": machine(device), "device": device_name(device), "quick": options.quick}
    print(f"{found['device']}: {found['machine']}", flush=True)
    if options.quick:
        torch.set_num_threads(1)
    parts: dict[str, Callable[[torch.device, Sizes], Found]] = {
        "agreement": agreement, "quantized": quantized, "speed": speed, "energy": energy, "training": training,
    }  # fmt: skip
    failed = []
    for name, part in parts.items():
        if time.monotonic() - began > LAST_START:
            found[name] = {"not run": "out of time"}
            failed.append(name)
            continue
        start = time.monotonic()
        try:
            found[name] = part(device, sizes)
            failed += [name] if found[name].get("disagree") else []
        except Exception:  # told, and the next part is run
            found[name] = {"failed": traceback.format_exc()}
            failed.append(name)
        found[name]["took seconds"] = round(time.monotonic() - start, 1)
        show(name, found[name])
    found["failed"] = failed
    print(f"{'failed: ' + ', '.join(failed) if failed else 'all parts went well'}, "
          f"{time.monotonic() - began:.0f} s in all")  # fmt: skip
    if options.out is not None:
        options.out.write_text(json.dumps(found, indent=2) + "\n", encoding="utf-8")
    return 1 if failed else 0


def show(name: str, found: Found) -> None:
    print(f"\n{name}")
    for key, value in found.items():
        print(f"  {key:44} {value}", flush=True)


# --- The device against the CPU --------------------------------------------------------------------------------------


def town(device: torch.device | str) -> Opened:
    return open_checkpoint(checkpoints_folder() / "tinytown", device=device)


def agreement(device: torch.device, sizes: Sizes) -> Found:
    """Every figure of the device beside what it may be at most; `disagree` names those beyond."""
    here, there = town("cpu"), town(device)
    ids = here.tokenizer.encode(" ".join(PROMPTS))
    told: Found = {}
    wrong = []

    def check(what: str, value: float, most: float) -> None:
        told[what] = f"{value:.3g} (at most {most:.3g})"
        if not value <= most:
            wrong.append(what)

    check("logits, float32, relative difference", logit_difference(there.model, here.model, ids), 1e-3)
    narrow = copy.deepcopy(there.model).to(getattr(torch, sixteen_bits(device)))
    check(f"logits, {sixteen_bits(device)}, relative difference", logit_difference(narrow, here.model, ids), NOISE)
    texts = [[writes(one.model, one.tokenizer.encode(prompt), 32) for prompt in sizes.prompts] for one in (here, there)]
    check("greedy texts that differ", sum(one != other for one, other in zip(*texts, strict=True)), 0)
    check("of them, written together", sum(o != a for o, a in zip(together(there, sizes), texts[0], strict=True)), 0)
    alike = explained(here, there, sizes)
    check("attribution, 1 - rank correlation, worst", 1 - min(alike.values()), 0.05)
    steps = [one_step(here, str(where)) for where in ("cpu", device)]
    for what, ours, theirs in zip(("loss", "gradient norm"), *steps, strict=True):
        check(f"training step, {what}, relative difference", abs(ours - theirs) / abs(ours), 1e-3)
    return told | {"disagree": wrong} if wrong else told


def writes(model: LiteLlama, ids: list[int], count: int) -> list[int]:
    return [step.id for step in generate(model, ids, sampling=GREEDY, max_new_tokens=count, seed=0)]


def together(opened: Opened, sizes: Sizes) -> list[list[int]]:
    """The same texts, all at once in one engine."""
    served = Engine(opened.model)

    def listen(prompt: str) -> list[int]:
        ids = opened.tokenizer.encode(prompt)
        return [step.id for step in served.generate(ids, sampling=GREEDY, max_new_tokens=32, seed=0)]

    with ThreadPoolExecutor(len(sizes.prompts)) as pool:
        return list(pool.map(listen, sizes.prompts))


def explained(here: Opened, there: Opened, sizes: Sizes) -> dict[str, float]:
    """How alike the orders are in which a method puts the words on both devices."""
    question = [Message("user", "Tom has a red kite. Mia has a blue ball. Who has the red kite?")]
    reading = read_chat(here.model, here.tokenizer, question, max_new_tokens=12, chat_format=here.chat_format)
    target = Target(reading.answer_start, len(reading.ids))
    return {
        method: rank_correlation(*(finished(attribute(one.model, reading, target, method)).scores
                                   for one in (here, there)))
        for method in sizes.methods
    }  # fmt: skip


def one_step(opened: Opened, device: str) -> tuple[float, float]:
    """Of an untrained model: a trained one's losses are so small that only their rounding would be compared."""
    model = new_model(opened.config, seed=0)
    rows = TinyTownBatches(opened.tokenizer, 0, 4, opened.config.max_position_embeddings)
    with tempfile.TemporaryDirectory() as folder:
        recipe = Recipe(steps=1, device=device, bfloat16=False)
        [metrics] = train(recipe, model, rows, Path(folder))
    return metrics.loss, metrics.gradient_norm


def quantized(device: torch.device, sizes: Sizes) -> Found:
    """8 and 4 bits: by PyTorch's kernels, or 16 bits where there are none."""
    folder, reference = checkpoints_folder() / "tinytown", town("cpu")
    ids, told, wrong = reference.tokenizer.encode(" ".join(PROMPTS)), {}, []
    for precision in WHOLE_NUMBERS:
        on_cpu = logit_difference(open_for_use(folder, precision).model, reference.model, ids)
        opened = open_for_use(folder, precision, device)
        difference = logit_difference(opened.model, reference.model, ids)
        told[precision] = (
            f"kernel {'works' if kernel_works(precision, device) else 'is not there'}, "
            f"kept so: {is_quantized(opened.model)}, logits differ by {difference:.3g} (CPU: {on_cpu:.3g})"
        )
        if difference > 2 * on_cpu + NOISE:
            wrong.append(precision)
    return told | ({"disagree": wrong} if wrong else {})


# --- Speed -----------------------------------------------------------------------------------------------------------


def random_model(shape: ModelConfig, device: torch.device, dtype: torch.dtype) -> LiteLlama:
    model = empty_model(shape).to(dtype).to_empty(device=device).eval()
    torch.manual_seed(0)
    with torch.no_grad():
        for weight in model.parameters():
            weight.fill_(1) if weight.dim() == 1 else weight.normal_(0, 0.02)
    model.model.rotary = rotary_frequencies(shape).to(device)
    return model


def speed(device: torch.device, sizes: Sizes) -> Found:
    """Tokens per second in 16 bits, medians of some rounds in turn, with the lowest and the highest."""
    dtype = getattr(torch, sixteen_bits(device))
    model = random_model(sizes.shape, device, dtype)
    prompt = [id % sizes.shape.vocab_size for id in range(sizes.read)]
    runs: dict[str, Callable[[], tuple[float, float]]] = {"the lab": lambda: lab_speed(model, prompt, sizes)}
    told: Found = {"model": f"{sizes.shape.num_parameters:,} parameters, random, {str(dtype).removeprefix('torch.')}"}
    if importlib.util.find_spec("transformers"):
        theirs = in_transformers(model, dtype)
        runs["transformers"] = lambda: their_speed(theirs, prompt, sizes, device)
    else:
        told["transformers"] = "not there"
    speeds: dict[str, list[tuple[float, float]]] = {name: [] for name in runs}
    for number in range(sizes.rounds + 1):
        for name, run in runs.items():
            found = run()
            if number:  # the first one warms up
                speeds[name].append(found)
    for name, each in speeds.items():
        reads, wrote = zip(*each, strict=True)
        told[f"{name}: prefill of {sizes.read}, tokens/s"] = spread(reads)
        told[f"{name}: decoding, one text, tokens/s"] = spread(wrote)
    many = [together_speed(model, sizes) for _ in range(sizes.rounds)]
    told[f"the lab: decoding, {sizes.together} texts at once, tokens/s"] = spread(many)
    return told


def lab_speed(model: LiteLlama, prompt: list[int], sizes: Sizes) -> tuple[float, float]:
    synchronize(model.device)
    start = time.perf_counter()
    steps = generate(model, prompt, sampling=GREEDY, max_new_tokens=sizes.written + 1, seed=0)
    next(steps)
    read = time.perf_counter()
    count = sum(1 for _ in steps)
    return len(prompt) / (read - start), count / (time.perf_counter() - read)


def in_transformers(model: LiteLlama, dtype: torch.dtype) -> Any:
    from transformers import LlamaConfig, LlamaForCausalLM

    theirs = LlamaForCausalLM(LlamaConfig(**model.config.to_hf("float32"))).to(model.device, dtype).eval()
    theirs.load_state_dict(model.state_dict(), strict=False)
    return theirs


@torch.inference_mode()
def their_speed(model: Any, prompt: list[int], sizes: Sizes, device: torch.device) -> tuple[float, float]:
    synchronize(device)
    start = time.perf_counter()
    output = model(torch.tensor([prompt], device=device), use_cache=True, logits_to_keep=1)
    id = output.logits[:, -1:].argmax(-1)
    int(id)  # as whoever shows the text must
    read = time.perf_counter()
    for _ in range(sizes.written):
        output = model(id, past_key_values=output.past_key_values, use_cache=True)
        id = output.logits[:, -1:].argmax(-1)
        int(id)
    return len(prompt) / (read - start), sizes.written / (time.perf_counter() - read)


def together_speed(model: LiteLlama, sizes: Sizes) -> float:
    decoding = Decoding(model, sizes.together, sizes.written + 8)
    for slot in range(sizes.together):
        decoding.read(decoding.open(), [1 + slot, 2, 3])
    ids = list(range(1, sizes.together + 1))
    start = time.perf_counter()
    for _ in range(sizes.written):
        ids = decoding.step(ids).argmax(-1).tolist()
    return sizes.together * sizes.written / (time.perf_counter() - start)


def spread(values: tuple[float, ...] | list[float]) -> str:
    return f"{statistics.median(values):,.1f} ({min(values):,.1f} to {max(values):,.1f})"


# --- Training --------------------------------------------------------------------------------------------------------


def training(device: torch.device, sizes: Sizes) -> Found:
    """Real steps: forward, backward, clipping, AdamW; the share of the device's highest speed that they use (MFU)."""
    shape = replace(sizes.shape, max_position_embeddings=sizes.length)
    bfloat16 = sixteen_bits(device) == "bfloat16" and device.type != "cpu"
    highest = peak(str(device), bfloat16)
    told: Found = {
        "model": f"{shape.num_parameters:,} parameters, {sizes.rows} rows of {sizes.length}, "
        f"{'bfloat16' if bfloat16 else 'float32'} products",
        "highest speed, FLOP/s": f"{highest.flops:.3g} ({highest.how})",
    }
    torch.manual_seed(0)
    rows = torch.randint(0, shape.vocab_size, (sizes.steps * sizes.rows, sizes.length + 1))
    for compiled in (False, True) if device.type == "cuda" else (False,):
        name = "the lab, compiled" if compiled else "the lab"
        try:
            metrics = lab_steps(shape, device, rows, sizes, bfloat16, compiled)
        except Exception as wrong:  # such as a compiler that is not there: the rest is still worth knowing
            told[f"{name}: MFU"] = f"failed: {wrong}"
            told["disagree"] = [name]
            continue
        flops = statistics.median(one.flops_per_second for one in metrics)
        tokens = statistics.median(one.tokens_per_second for one in metrics)
        told[f"{name}: MFU"] = f"{flops / highest.flops:.1%}, {tokens:,.0f} tokens/s, loss {metrics[-1].loss:.3f}"
    if importlib.util.find_spec("transformers") and importlib.util.find_spec("accelerate"):
        tokens = trainer_speed(shape, device, rows, sizes, bfloat16)
        told["transformers' Trainer"] = f"{tokens:,.0f} tokens/s"
    else:
        told["transformers' Trainer"] = "not there"
    return told


def lab_steps(
    shape: ModelConfig, device: torch.device, rows: Tensor, sizes: Sizes, bfloat16: bool, compiled: bool
) -> list[Any]:
    """What each step but the first few told."""
    batches = [
        TokenBatch(some[:, :-1].contiguous(), some[:, 1:].contiguous(), torch.full(some[:, 1:].shape, ANSWER))
        for some in rows.split(sizes.rows)
    ]
    recipe = Recipe(
        steps=sizes.steps, device=str(device), bfloat16=bfloat16, compile=compiled, save_every=10**9, learning_rate=1e-4
    )
    model = random_model(shape, device, torch.float32)
    with tempfile.TemporaryDirectory() as folder:
        stream = train(recipe, model, batches, Path(folder))
        metrics = [next(stream) for _ in range(sizes.steps - 1)]  # the last one would also save the state
    return metrics[sizes.steps // 3 :]


def trainer_speed(shape: ModelConfig, device: torch.device, rows: Tensor, sizes: Sizes, bfloat16: bool) -> float:
    from transformers import (
        LlamaConfig,
        LlamaForCausalLM,
        PrinterCallback,
        Trainer,
        TrainerCallback,
        TrainingArguments,
    )

    ends: list[float] = []

    class Clock(TrainerCallback):
        def on_step_end(self, *args: Any, **named: Any) -> None:
            synchronize(device)
            ends.append(time.perf_counter())

    model = LlamaForCausalLM(LlamaConfig(**shape.to_hf("float32")))
    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        options = TrainingArguments(
            output_dir=folder, use_cpu=device.type == "cpu", bf16=bfloat16, optim="adamw_torch_fused",
            max_grad_norm=1.0, per_device_train_batch_size=sizes.rows, max_steps=sizes.steps, learning_rate=1e-4,
            weight_decay=0.05, save_strategy="no", eval_strategy="no", logging_strategy="no", report_to="none",
            disable_tqdm=True, dataloader_pin_memory=False,
        )  # fmt: skip
        examples = [{"input_ids": row[:-1], "labels": row[:-1]} for row in rows]
        trainer = Trainer(model, options, train_dataset=examples, callbacks=[Clock()])
        trainer.remove_callback(PrinterCallback)
        trainer.train()
    first = sizes.steps // 3
    return (len(ends) - 1 - first) * sizes.rows * sizes.length / (ends[-1] - ends[first])


# --- Energy ----------------------------------------------------------------------------------------------------------


def energy(device: torch.device, sizes: Sizes) -> Found:
    """Joules of the whole device while one reply after another is written, by NVML's counter."""
    if device.type != "cuda":
        return {"joules": "not measured: NVML counts NVIDIA's GPUs only"}
    model = random_model(sizes.shape, device, getattr(torch, sixteen_bits(device)))
    prompt = [id % sizes.shape.vocab_size for id in range(sizes.read)]
    lab_speed(model, prompt, sizes)
    try:
        meter = Meter([gpu_sensor()])
    except SensorGone as gone:
        return {"joules": f"not measured: {gone}"}
    meter.start()
    began, replies = time.monotonic(), 0
    while time.monotonic() - began < sizes.seconds_of_replies:
        lab_speed(model, prompt, sizes)
        replies += 1
    meter.stop()
    found = meter.reading().gpu
    if found is None:
        return {"joules": f"not measured: {'; '.join(meter.reading().notes) or 'no sensor'}"}
    each, seconds = found.joules / replies, meter.reading().seconds
    return {
        "a reply": f"{sizes.read} tokens read, {sizes.written + 1} written, one at a time; {replies} replies",
        "joules per reply": f"{each:.1f} ({found.low / replies:.1f} to {found.high / replies:.1f}), {found.method}",
        "joules per token written": f"{each / (sizes.written + 1):.3f}",
        "watts meanwhile": f"{found.joules / seconds:.0f}",
    }


def gpu_sensor() -> Nvml:
    try:
        return Nvml()
    except SensorGone:  # without the package nvidia-ml-py, NVIDIA's library itself
        return Nvml(_Library())


class _Library:
    """Of pynvml, what `Nvml` calls, around the driver's own library."""

    NVMLError = SensorGone

    def __init__(self) -> None:
        try:
            self._nvml = ctypes.CDLL("libnvidia-ml.so.1")
        except OSError as missing:
            raise SensorGone(f"NVIDIA's library is not here ({missing})") from None

    def nvmlInit(self) -> None:
        self._checked(self._nvml.nvmlInit_v2())

    def nvmlDeviceGetCount(self) -> int:
        count = ctypes.c_uint()
        self._checked(self._nvml.nvmlDeviceGetCount_v2(ctypes.byref(count)))
        return count.value

    def nvmlDeviceGetHandleByIndex(self, index: int) -> ctypes.c_void_p:
        handle = ctypes.c_void_p()
        self._checked(self._nvml.nvmlDeviceGetHandleByIndex_v2(index, ctypes.byref(handle)))
        return handle

    def nvmlDeviceGetTotalEnergyConsumption(self, handle: ctypes.c_void_p) -> int:
        millijoules = ctypes.c_ulonglong()
        self._checked(self._nvml.nvmlDeviceGetTotalEnergyConsumption(handle, ctypes.byref(millijoules)))
        return millijoules.value

    def nvmlDeviceGetPowerUsage(self, handle: ctypes.c_void_p) -> int:
        milliwatts = ctypes.c_uint()
        self._checked(self._nvml.nvmlDeviceGetPowerUsage(handle, ctypes.byref(milliwatts)))
        return milliwatts.value

    @staticmethod
    def _checked(code: int) -> None:
        if code:
            raise SensorGone(f"NVML answered with error {code}")


if __name__ == "__main__":
    sys.exit(main())
