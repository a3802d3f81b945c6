"""EleutherAI's lm-evaluation-harness on an exported folder, offline, beside what the lab finds on the same questions.

    python -m pip install "lm_eval[hf]"
    python -m tests.benchmarks.lm_eval_local [checkpoint] [documents]

TinyTown's held-out questions become two tasks of the harness: answers written greedily that must be exactly right, and
the likelihood of the right answer among four. The first must come out as in the lab; both run through `transformers`.

LiteLlama's published table is the harness's group `openllm` (25-shot ARC-challenge, 10-shot HellaSwag, 5-shot MMLU,
0-shot TruthfulQA, 5-shot Winogrande, 5-shot GSM8K), which downloads its questions:

    python -m litellama export checkpoints/LiteLlama-460M-1T --format hf --out exported
    lm_eval --model hf --model_args pretrained=exported,dtype=float32 --tasks openllm --batch_size 8

Published for ahxt/LiteLlama-460M-1T are 24.83, 38.39, 25.96 and 41.59 % for the first four and, for its elder copy,
49.88 and 0.00 % for the last two (ids "1-5-open-llm-leaderboard-v1-rows..." in litellama/footprint/facts.json). The
leaderboard ran an older harness, so a few tenths may differ. It was not run where this was written: neither the weights
nor the questions can be reached from there.
"""

from __future__ import annotations

import json
import os
import random
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from litellama.chat import Message, prompt_ids
from litellama.checkpoint import Opened, open_checkpoint
from litellama.evaluation.exact_match import HELD_OUT_SPLITS
from litellama.export.run import export
from litellama.generate import generate
from litellama.sampling import Sampling
from litellama.tinytown.corpus import make_document

LONGEST = 64  # tokens of an answer

SHARED = """\
dataset_path: json
dataset_kwargs: {{data_files: {{test: {questions}}}}}
test_split: test
doc_to_text: "{{{{prompt}}}}"
target_delimiter: ""
num_fewshot: 0
"""
WRITTEN = """\
task: tinytown_written
output_type: generate_until
doc_to_target: "{{{{answer}}}}"
generation_kwargs: {{until: ["<|end|>"], do_sample: false, max_gen_toks: {longest}}}
metric_list: [{{metric: exact_match, aggregation: mean, higher_is_better: true}}]
"""
CHOSEN = """\
task: tinytown_chosen
output_type: multiple_choice
doc_to_choice: "{{{{choices}}}}"
doc_to_target: 0
metric_list: [{{metric: acc, aggregation: mean, higher_is_better: true}}]
"""


def main() -> None:
    checkpoint = sys.argv[1] if len(sys.argv) > 1 else "checkpoints/tinytown"
    documents = int(sys.argv[2]) if len(sys.argv) > 2 else 30
    opened = open_checkpoint(checkpoint)
    asked = list(questions(documents, opened))
    with tempfile.TemporaryDirectory() as place:
        os.environ |= {"HF_HUB_OFFLINE": "1", "HF_HOME": place, "TOKENIZERS_PARALLELISM": "false"}
        for _ in export(checkpoint, Path(place) / "model", "hf"):
            pass
        found = harness(Path(place), asked)
    ours = sum(answer(opened, one["messages"]) == one["answer"] for one in asked) / len(asked)
    print(f"{len(asked)} questions of {documents} held-out documents of TinyTown (measured)\n")
    print("| | lm_eval on the export | the lab |\n|---|---|---|")
    print(f"| written exactly | {found['tinytown_written']['exact_match,none']:.1%} | {ours:.1%} |")
    print(f"| likeliest of four | {found['tinytown_chosen']['acc,none']:.1%} | |")


def questions(documents: int, opened: Opened) -> Iterator[dict[str, Any]]:
    """Each question with the true conversation before it, as messages and text; the right answer and three wrong."""
    keys = [(f"0/{number}", split) for number in range(documents // 3) for split in HELD_OUT_SPLITS]
    made = [make_document(key, split, opened.config) for key, split in keys]
    answers = sorted({d.messages[question.answer].content for d in made for question in d.questions})
    for document in made:
        for question in document.questions:
            messages, right = document.messages[: question.answer], document.messages[question.answer].content
            talk = "".join(f"<|{message.role}|> {message.content}<|end|>" for message in messages)
            others = random.Random(right).sample([one for one in answers if one != right], 3)
            yield {
                "prompt": f"<|begin|>{talk}<|assistant|>", "answer": f" {right}",
                "choices": [f" {one}<|end|>" for one in (right, *others)], "messages": messages,
            }  # fmt: skip


def harness(place: Path, asked: list[dict[str, Any]]) -> dict[str, Any]:
    """What lm_eval finds for the two tasks."""
    import lm_eval
    from lm_eval.tasks import TaskManager

    tasks = place / "tasks"
    tasks.mkdir()
    lines = [json.dumps({name: one[name] for name in ("prompt", "answer", "choices")}) for one in asked]
    (place / "questions.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8", newline="\n")
    for name, task in (("written", WRITTEN), ("chosen", CHOSEN)):
        text = (SHARED + task).format(questions=json.dumps(str(place / "questions.jsonl")), longest=LONGEST)
        (tasks / f"{name}.yaml").write_text(text, encoding="utf-8", newline="\n")
    result = lm_eval.simple_evaluate(
        model="hf", model_args=f"pretrained={place / 'model'},dtype=float32", device="cpu", batch_size=8,
        tasks=["tinytown_written", "tinytown_chosen"], bootstrap_iters=0,
        task_manager=TaskManager(include_path=str(tasks), include_defaults=False),
    )  # fmt: skip
    return dict(result["results"])


def answer(opened: Opened, messages: list[Message]) -> str:
    """The lab's own greedy answer, with the space that leads every text."""
    ids = prompt_ids(messages, opened.tokenizer, opened.config.max_position_embeddings, LONGEST).ids
    end = opened.tokenizer.special("<|end|>")
    stops = () if end is None else (end,)
    steps = generate(
        opened.model, ids, sampling=Sampling(greedy=True), max_new_tokens=LONGEST, seed=0, stop_ids=stops
    )  # fmt: skip
    return opened.tokenizer.decode([step.id for step in steps])


if __name__ == "__main__":
    main()
