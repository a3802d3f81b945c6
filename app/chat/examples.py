"""What the welcome offers to ask: for each kind of model what it can do, and where it ends."""

from __future__ import annotations

from typing import Any

from app.common.figures import source
from litellama.footprint.facts import LITELLAMA_EXAMPLE, LITELLAMA_MMLU, MMLU_CHANCE, fact

# What a TinyTown model can do, and where its world ends. The captions are in the strings; it only reads English.
TINYTOWN_EXAMPLES = (
    ("chat.example_story", "Tell me a story about a lost kite."),
    ("chat.example_facts", "Tom hid a red ball under the bed. Where is the ball?"),
    ("chat.example_meaning", "What is a llama?"),
    ("chat.example_itself", "Who are you?"),
    ("chat.example_sum", "What is seven plus five?"),
    ("chat.example_outside", "What is the capital of France?"),
)
ELSEWHERE_EXAMPLES = TINYTOWN_EXAMPLES[:5]
# Of any other model of its own the lab knows no more than that it goes on with what it reads.
EXAMPLES = (
    ("chat.example_story", "Once upon a time there was a girl who"),
    ("chat.example_facts", "Tom hid a red ball under the bed. The ball is"),
    ("chat.example_meaning", "A llama is"),
)
# A base model reads "Q: ... A:": what has a short answer suits it, or a sentence to be completed.
BASE_EXAMPLES = (
    ("chat.example_knowledge", "What is the largest bird?"),
    ("chat.example_knowledge", "What is the capital of France?"),
    ("chat.example_meaning", "What is a llama?"),
    ("chat.example_sum", "What is 7 + 5?"),
    ("chat.example_facts", "Tom hid a red ball under the bed. Where is the ball?"),
    ("chat.example_continue", 'How does this sentence go on: "The sun rises in the"'),
)
CONVERSING_EXAMPLES = (
    ("chat.example_itself", "Who are you?"),
    ("chat.example_knowledge", "What is the capital of France?"),
    ("chat.example_meaning", "What is a llama? Answer in one sentence."),
    ("chat.example_story", "Tell me a very short story about a lost kite."),
)
# A small model that was taught to converse is fluent about anything, and wrong about much.
SMALL_EXAMPLES = (
    ("chat.example_knowledge", "What is the capital of France?"),
    ("chat.example_story", "Tell me a short story about a llama who wants to fly."),
    ("chat.example_meaning", "What is gravity? Explain it to a child."),
    ("chat.example_poem", "Write a poem about the sea."),
    ("chat.example_facts", "Tom hid a red ball under the bed. Where is the ball?"),
    ("chat.example_wrong", "How many legs does a spider have?"),
)

WELCOMES: dict[str, dict[str, Any]] = {
    "tinytown": {"examples": TINYTOWN_EXAMPLES, "why": "chat.welcome_tinytown"},
    "chat": {"examples": EXAMPLES, "why": "chat.welcome_other"},
    "text": {"examples": EXAMPLES, "why": "chat.welcome_other"},
    "template": {"examples": CONVERSING_EXAMPLES, "why": "chat.welcome_template"},
    "small": {"examples": SMALL_EXAMPLES, "why": "chat.welcome_small"},
    "questions": {"examples": BASE_EXAMPLES, "why": "chat.welcome_base"},
    "elsewhere": {
        "examples": ELSEWHERE_EXAMPLES,
        "why": "chat.welcome_engine",
        "title": "chat.welcome_engine_title",
    },
}


def litellama_says() -> list[dict[str, Any]]:
    """What was published of LiteLlama-460M-1T and says what to expect of it: sentences, each with its source."""
    mmlu, chance, example = fact(LITELLAMA_MMLU), fact(MMLU_CHANCE), fact(LITELLAMA_EXAMPLE)
    question, answer = (line.partition(": ")[2] for line in str(example.value).splitlines())
    return [
        {
            "key": "chat.litellama_mmlu",
            "values": {"score": mmlu.number, "chance": chance.number},
            "source": source(mmlu),
        },
        {"key": "chat.litellama_card", "values": {"question": question, "answer": answer}, "source": source(example)},
    ]
