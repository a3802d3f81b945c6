"""Every path of the library and the app that computes with a model, as functions of an opened one.

Each takes what `open_checkpoint` gives, wherever its model lies, and returns numbers (in any nesting) that must be the
same on every device. They never change the model.
"""

from __future__ import annotations

import copy
import tempfile
import time
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from app.attention.service import roles_json
from app.common.settings import Settings
from app.server.services import Services
from litellama.chat import Message, reply
from litellama.checkpoint.load import Opened
from litellama.checkpoint.precision import open_for_use
from litellama.cli.bench import _judge, measure
from litellama.config import PRESETS
from litellama.data.batches import TinyTownBatches
from litellama.device import logit_difference
from litellama.evaluation.calibration import examine_calibration, next_token_reliability
from litellama.evaluation.exact_match import evaluate, held_out_batches
from litellama.evaluation.faithfulness import Faithfulness, measure_faithfulness
from litellama.evaluation.memorisation import memorised, text_ids
from litellama.evaluation.paired_prompts import compare_pairs
from litellama.evaluation.perplexity import validation_loss
from litellama.evaluation.probes import tinytown_probes
from litellama.explain.attention import attention_maps, head_roles, roles_in, rollout
from litellama.explain.attribution import METHODS, attribute, finished
from litellama.explain.heads import patch_each, smallest_set, switch_off_each, with_heads
from litellama.explain.lens import logit_lens
from litellama.explain.scoring import Scorer, Target, deletion_curve, rank_correlation, sufficiency_curve
from litellama.explain.tokenized_run import TokenizedRun, read_chat
from litellama.explain.trace import trace_step, vectors
from litellama.export.run import export
from litellama.footprint.bench import Work, cost_by_layers, scaling_error
from litellama.footprint.machine import machine, peak, peak_memory
from litellama.generate import Progress, Step, generate
from litellama.model import LiteLlama
from litellama.sampling import Sampling
from litellama.serving.engine import Engine
from litellama.tinytown.corpus import make_document
from litellama.training.events import Stepped, TrainingEnded
from litellama.training.fine_tuning import fine_tuned
from litellama.training.initial_weights import new_model
from litellama.training.loop import train
from litellama.training.lora import add_lora, load_adapter, merge_lora, save_adapter, without_lora
from litellama.training.recipe import Recipe
from litellama.training.run import run

Path_ = Callable[[Opened], Any]
PATHS: dict[str, Path_] = {}
QUESTION = "Tom has a red kite. Who has the kite?"
TEXT = "Tom went to the park. He found a red kite near the old tree, and Mia was glad."


def path(function: Path_) -> Path_:
    PATHS[function.__name__] = function
    return function


def reading_of(opened: Opened) -> tuple[TokenizedRun, Target]:
    asked = [Message("user", QUESTION)]
    reading = read_chat(opened.model, opened.tokenizer, asked, max_new_tokens=8, chat_format=opened.chat_format)
    return reading, Target(reading.answer_start, len(reading.ids))


def last(work: Iterable[Any]) -> Any:
    *_, found = work
    return found


def steps_of(steps: Iterable[Step]) -> list[Any]:
    return [(step.id, step.probability, step.alternatives[:3]) for step in steps]


# --- Writing ---------------------------------------------------------------------------------------------------------


@path
def chat(opened: Opened) -> Any:
    said = reply(
        opened.model, opened.tokenizer, [Message("user", QUESTION)], Sampling(repetition_penalty=1.2), 12, 3,
        chat_format=opened.chat_format,
    )  # fmt: skip
    return [ord(letter) for piece in said for letter in piece.text]


@path
def generation(opened: Opened) -> Any:
    ids = opened.tokenizer.encode(TEXT)
    return [
        steps_of(generate(opened.model, ids, sampling=sampling, max_new_tokens=6, seed=1, alternatives=5))
        for sampling in (Sampling(greedy=True), Sampling(top_k=20), Sampling(top_p=0.9, repetition_penalty=1.3))
    ]


@path
def engine(opened: Opened) -> Any:
    """Conversations of different lengths side by side, one of which ends while the others go on."""
    served, ids = Engine(opened.model, slots=3), opened.tokenizer.encode(TEXT)

    def listen(asked: tuple[int, int]) -> list[Any]:
        length, count = asked
        return steps_of(served.generate(ids[:length], sampling=Sampling(greedy=True), max_new_tokens=count, seed=0))

    with ThreadPoolExecutor(4) as pool:
        return list(pool.map(listen, ((4, 9), (11, 3), (7, 6), (5, 5))))


@path
def stored_tokens(opened: Opened) -> Any:
    """A second turn, which goes on from what was read for the first one."""
    served, ids = Engine(opened.model), opened.tokenizer.encode(TEXT * 3)

    def ask(count: int) -> tuple[list[Any], int]:
        wanted = {"sampling": Sampling(greedy=True), "max_new_tokens": 3, "seed": 0, "owner": "Mia"}
        events = list(served.follow(ids[:count], **wanted))  # type: ignore[arg-type]
        until = time.monotonic() + 60
        while served._working and time.monotonic() < until:
            time.sleep(0.001)
        stored = max(event.stored for event in events if isinstance(event, Progress))
        return steps_of(event for event in events if isinstance(event, Step)), stored

    first, second = ask(30), ask(45)
    assert second[1] > 20
    return first, second


@path
def side_by_side(opened: Opened) -> Any:
    ids = torch.tensor([[5, 6, 7, 0], [8, 9, 10, 11]], device=opened.model.device)
    mask = torch.tensor([[1, 1, 1, 0], [1, 1, 1, 1]], device=opened.model.device)
    with torch.inference_mode():
        return opened.model(ids, attention_mask=mask, output_attentions=True).logits[1]


@path
def comparison_with_a_twin(opened: Opened) -> Any:
    return logit_difference(opened.model, copy.deepcopy(opened.model), opened.tokenizer.encode(TEXT))


# --- Explaining ------------------------------------------------------------------------------------------------------


@path
def attention(opened: Opened) -> Any:
    ids = opened.tokenizer.encode(TEXT)
    maps = attention_maps(opened.model, ids)
    window = attention_maps(opened.model, ids, 5, 12)
    return maps.weights, maps.by_layer, maps.thumbnails(4), window.weights, rollout(maps)


@path
def roles(opened: Opened) -> Any:
    reading, _ = reading_of(opened)
    here = roles_in(attention_maps(opened.model, reading.ids), reading)
    found = head_roles(opened.model, opened.tokenizer)
    return list(found.scores.values()), [score.nan_to_num(-1) for score in here.scores.values()], roles_json(found)


@path
def lens(opened: Opened) -> Any:
    table = logit_lens(opened.model, opened.tokenizer.encode(TEXT), [2, 5])
    return table.ids, table.probabilities, table.settled


@path
def step_by_step(opened: Opened) -> Any:
    ids = opened.tokenizer.encode(TEXT)
    return list(vectors(trace_step(opened.model, ids, position=6, layer=1, head=2)).values())


@path
def heads(opened: Opened) -> Any:
    reading, target = reading_of(opened)
    sets = smallest_set(opened.model, reading, target)
    some = [next(sets) for _ in range(3)]
    other = (reading.ids[1], *reading.ids[1:])
    scales = torch.ones(1, opened.config.num_hidden_layers, opened.config.num_attention_heads)
    scales[0, 0, 1] = 0
    changed = generate(
        with_heads(opened.model, scales), reading.ids, sampling=Sampling(greedy=True), max_new_tokens=3, seed=0
    )
    return (
        switch_off_each(opened.model, reading, target).effects,
        patch_each(opened.model, reading, target, other).effects,
        switch_off_each(opened.model, reading, Target(target.start, target.end, 5)).effects,
        [left.float() for left in some], steps_of(changed),
    )  # fmt: skip


@path
def attribution(opened: Opened) -> Any:
    reading, target = reading_of(opened)
    target = Target(target.start, target.start + 1)
    return [finished(attribute(opened.model, reading, target, method)).scores for method in METHODS]


@path
def attribution_against_another_token(opened: Opened) -> Any:
    reading, target = reading_of(opened)
    why = Target(target.start, target.start + 1, 7)
    return [finished(attribute(opened.model, reading, why, one)).scores for one in ("gradient x input", "ablation")]


@path
def attribution_tests(opened: Opened) -> Any:
    reading, target = reading_of(opened)
    scorer = Scorer(opened.model, reading, target, reading.units("word"))
    order = torch.arange(len(scorer.units), device="cpu")
    return (
        deletion_curve(scorer, order), sufficiency_curve(scorer, order), scorer.ends(),
        scorer.score(scorer.blank[None]),
        rank_correlation(order.float(), order.flip(0).float()),
    )  # fmt: skip


@path
def faithfulness(opened: Opened) -> Any:
    found = last(measure_faithfulness(opened.model, opened.tokenizer, 2, methods=("ablation", "attention", "random")))
    assert isinstance(found, Faithfulness)
    return found.chance, [(one.pointing, one.deletion_auc) for one in found.methods.values()]


# --- Judging ---------------------------------------------------------------------------------------------------------


@path
def probes(opened: Opened) -> Any:
    probe = tinytown_probes()["moods"]
    return [
        one.raw
        for one in last(compare_pairs(opened.model, opened.tokenizer, probe, chat_format=opened.chat_format)).values
    ]


@path
def calibration(opened: Opened) -> Any:
    tokens = next_token_reliability(opened.model, opened.tokenizer, TEXT * 3)
    asked = last(examine_calibration(opened.model, opened.tokenizer, 3))
    return tokens.error, tokens.confidence, [one.confidence for one in asked.answers]


@path
def memorisation(opened: Opened) -> Any:
    texts = [text_ids(opened.model, opened.tokenizer, TEXT), text_ids(opened.model, opened.tokenizer, TEXT[20:])]
    return [one.verbatim for one in last(memorised(opened.model, opened.tokenizer, texts, prefix=5)).recalls]


@path
def evaluation(opened: Opened) -> Any:
    score = last(evaluate(opened.model, opened.tokenizer, 6))
    return score.loss, score.answerable


@path
def perplexity(opened: Opened) -> Any:
    batches = held_out_batches(opened.tokenizer, opened.config, 6)
    found = validation_loss(opened.model, batches, tokenizer=opened.tokenizer)
    return found.loss, found.bits_per_byte


@path
def bench(opened: Opened) -> Any:
    """Every precision; speeds differ, what is judged does not."""
    device = opened.model.device
    judge = opened.tokenizer.encode(TEXT)
    found = list(measure(opened.folder, ("float32", "int8", "int4"), 2, 1, judge, device))
    list(measure("litellama-300k", ("float32", "bfloat16", "float16", "int8"), 2, 1, (), device))
    return [one.perplexity for one in found]


@path
def own_words(opened: Opened) -> Any:
    """What `bench` judges a model by."""
    return _judge(opened.folder, None, opened.model.device)[:30]


@path
def comparison(opened: Opened) -> Any:
    """`compare --measure`."""
    shape, device = PRESETS["litellama-300k"], opened.model.device
    cost_by_layers(shape, torch.float32, Work.decode(16), seconds=0.05, cache_bytes=1, device=device)
    cost_by_layers(shape, torch.float32, Work.prefill(8), seconds=0.05, cache_bytes=1, device=device)
    scaling_error(shape, torch.float32, Work.decode(16), seconds=0.05, cache_bytes=1, device=device)
    return []


@path
def opening(opened: Opened) -> Any:
    ids = opened.tokenizer.encode(TEXT)
    found = []
    for precision in ("auto", "int8", "int4"):
        again = open_for_use(opened.folder, precision, opened.model.device)
        assert again.model.device == opened.model.device
        found.append(steps_of(generate(again.model, ids, sampling=Sampling(greedy=True), max_new_tokens=3, seed=0)))
    return found


@path
def opening_gguf(opened: Opened) -> Any:
    """From a file of another project's format, tensor by tensor."""
    found = []
    with tempfile.TemporaryDirectory() as folder:
        last(export(opened.folder, Path(folder) / "made", "gguf", "q8_0"))
        [file] = (Path(folder) / "made").glob("*.gguf")
        for precision in ("float32", "bfloat16", "int8"):
            again = open_for_use(file, precision, opened.model.device)
            assert again.model.device == opened.model.device
            ids = again.tokenizer.encode(TEXT)
            found.append(steps_of(generate(again.model, ids, sampling=Sampling(greedy=True), max_new_tokens=2, seed=0)))
    return found


# --- Training --------------------------------------------------------------------------------------------------------


def small_model(opened: Opened) -> LiteLlama:
    """A model to be trained, as every training gets it: on the CPU."""
    shape = replace(opened.config, hidden_size=64, intermediate_size=96, num_hidden_layers=2, head_dim=16,
                    num_attention_heads=4, num_key_value_heads=2)  # fmt: skip
    return new_model(shape, seed=0)


def losses(opened: Opened, model: LiteLlama, **changes: Any) -> Any:
    """Two steps, one more after loading the state, and the weights at the end."""
    rows = TinyTownBatches(opened.tokenizer, 0, 2, model.config.max_position_embeddings)
    settings: dict[str, Any] = {"device": str(opened.model.device), "bfloat16": False, "warmup_steps": 1} | changes
    with tempfile.TemporaryDirectory() as folder:
        first = list(train(Recipe(steps=2, **settings), model, rows, Path(folder)))
        again = list(train(Recipe(steps=3, **settings), model, rows, Path(folder), resume=True))
    return [metrics.loss for metrics in (*first, *again)], [metrics.gradient_norm for metrics in (*first, *again)]


@path
def training_step(opened: Opened) -> Any:
    return losses(opened, small_model(opened))


@path
def training_with_muon(opened: Opened) -> Any:
    return losses(opened, small_model(opened), optimizer="muon", accumulate=2, recompute=True)


@path
def low_rank_training(opened: Opened) -> Any:
    model = add_lora(copy.deepcopy(opened.model), rank=2)
    found = losses(opened, model)
    ids = torch.tensor([opened.tokenizer.encode(TEXT)], device=model.device)
    model.eval()
    with tempfile.TemporaryDirectory() as folder, torch.inference_mode():
        with without_lora(model) as plain:
            before = plain(ids).logits[0, -1]
        save_adapter(Path(folder) / "adapter", model)
        again = load_adapter(Path(folder) / "adapter", copy.deepcopy(opened.model))
        after = again(ids).logits[0, -1]
    return found, before, after, merge_lora(model)(ids).logits[0, -1]


@path
def fine_tuning(opened: Opened) -> Any:
    documents = [make_document(f"device/{number}") for number in range(4)]
    model = last(fine_tuned(opened.model, opened.tokenizer, documents, steps=1, seed=0, rows=2))
    return model.lm_head.weight[:4]


@path
def whole_training(opened: Opened) -> Any:
    """From the order to the checkpoint, with samples and an examination on the way."""
    with tempfile.TemporaryDirectory() as folder:
        corpus = Path(folder) / "texts.txt"
        corpus.write_text("\n\n".join([TEXT] * 60), encoding="utf-8")
        job = Recipe(
            out=Path(folder) / "made", preset="litellama-300k", corpus=str(corpus), steps=2, rows=2, length=32,
            samples=1, device=str(opened.model.device), bfloat16=False, questions=3, save_every=1,
        )  # fmt: skip
        events = list(run(job))
    assert isinstance(events[-1], TrainingEnded)
    return [one.metrics.loss for one in events if isinstance(one, Stepped)], list(events[-1].figures.values())


@path
def the_machine(opened: Opened) -> Any:
    device = str(opened.model.device)
    assert machine(device)
    assert peak(device, False).flops > 0
    peak_memory(device)
    return []


# --- The app ---------------------------------------------------------------------------------------------------------


@path
def page_chat(opened: Opened) -> Any:
    services = Services(opened)
    updates = list(services.chat.ask("a", QUESTION, Settings(0.7, 0.95, 5, 8, 1)))
    return [asdict(step) for step in services.chat.conversation("a").turns[0].steps] if updates else []


@path
def page_attention(opened: Opened) -> Any:
    services = Services(opened)
    shown = last(services.attention.look("a", QUESTION))
    pictures = [services.attention.head("a", view, 1, 0) for view in ("head", "layer", "rollout")]
    return shown["roles"], shown["here"], [picture["before"] for picture in pictures]


@path
def page_attribution(opened: Opened) -> Any:
    services = Services(opened)
    told = services.attribution.read("a", QUESTION)
    start = told["answer_start"]
    found = last(
        services.attribution.explain(
            "a", {"method": "ablation", "unit": "word", "start": start, "end": start + 1, "instead": None}
        )
    )
    compared = last(services.attribution.compare("a"))
    return (
        told["others"],
        found["scores"],
        services.attribution.put_to_the_test("a"),
        [row["top"] for row in compared["rows"]],
    )


@path
def page_layers_and_step(opened: Opened) -> Any:
    services = Services(opened)
    return services.layers.guess("a", QUESTION)["settled"], len(services.step.trace("a", {"text": QUESTION}))


@path
def page_interventions(opened: Opened) -> Any:
    services = Services(opened)
    begun = services.intervene.begin("a", QUESTION)
    changed = services.intervene.change("a", [[0, 0]])
    worth = last(services.intervene.worth("a"))
    with closing(services.intervene.few("a")) as few:
        return begun["before"], changed["before"], worth["effects"], next(few)["off"]


def numbers(found: Any) -> list[float]:
    """All numbers in any nesting, in order."""
    if isinstance(found, Tensor):
        return [float(value) for value in found.detach().to("cpu", torch.float64).flatten()]
    if isinstance(found, dict):
        return [value for one in found.values() for value in numbers(one)]
    if isinstance(found, list | tuple):
        return [value for one in found for value in numbers(one)]
    return [] if found is None or isinstance(found, str) else [float(found)]
