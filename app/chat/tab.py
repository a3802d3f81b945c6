"""The Chat tab: ask, watch the reply come token by token, and click a token to see what else it might have been."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, nullcontext
from dataclasses import asdict
from typing import Any

import gradio as gr

from app.chat.blind_test import read_pair_request
from app.classroom.auth import class_cookie
from app.classroom.classroom import ReplyCounter
from app.common.assets import scripts, template
from app.common.events import answer, page_key, page_of, sent_by, stream
from app.common.figures import source
from app.common.settings import KNOBS, MOST_TOKENS_IN_CLASS, SEED, read_settings
from app.common.strings import Problem
from app.session import Session, read_message
from litellama.footprint.facts import LITELLAMA_EXAMPLE, LITELLAMA_MMLU, MMLU_CHANCE, fact

TITLE = "chat.title"
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


def build(session: Session) -> None:
    """Lay the tab out and wire it. The page sends what was typed and clicked; everything else is decided here."""
    knobs = {name: asdict(knob) for name, knob in KNOBS.items()}
    if session.room is not None:
        knobs["max_tokens"]["high"] = MOST_TOKENS_IN_CLASS
    view = gr.HTML(
        None,
        html_template=template("chat.html"),
        head=scripts("lab.js", "energy.js", "replies.js", "beside.js", "chat.js"),
        js_on_load="lab.chat(element, ...lab.line(trigger, props, watch));"
        "  // triggers 'ask' 'redo' 'stop' 'clear' 'pick' 'vote' 'ask_both' 'redo_both' 'resume'",
        apply_default_css=False,
        elem_id="lab-chat",
        knobs=knobs,
        largest_seed=int(SEED.high),
        welcomes={
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
        },
        litellama=litellama_says(),
        record=session.scale.record_json(),
    )
    alternatives = gr.HTML(
        None,
        html_template=template("alternatives.html"),
        head=scripts("lab.js", "alternatives.js"),
        js_on_load="lab.alternatives(element, props, watch);",
        apply_default_css=False,
        elem_id="lab-alternatives",
    )

    def ask(event: gr.EventData, request: gr.Request) -> Iterator[dict[str, Any]]:
        yield from _updates(session, session.ask, event, request)

    def redo(event: gr.EventData, request: gr.Request) -> Iterator[dict[str, Any]]:
        yield from _updates(session, session.redo, event, request)

    def ask_both(event: gr.EventData, request: gr.Request) -> Iterator[dict[str, Any]]:
        yield from _updates_of_both(session, event, request, again=False)

    def redo_both(event: gr.EventData, request: gr.Request) -> Iterator[dict[str, Any]]:
        yield from _updates_of_both(session, event, request, again=True)

    def stop(event: gr.EventData, request: gr.Request) -> None:
        session.stop(page_of(request), sent_by(event).get("request"))

    def clear(event: gr.EventData, request: gr.Request) -> dict[str, Any]:
        forget = session.beside.clear if sent_by(event).get("both") else session.forget
        forget(page_of(request))
        return {"request": sent_by(event).get("request"), "state": "cleared"}

    def pick(event: gr.EventData, request: gr.Request) -> dict[str, Any]:
        sent = sent_by(event)
        turn, token, side = (sent.get(name) for name in ("turn", "token", "side"))

        def alternatives() -> dict[str, Any]:
            key = page_key(session, event, request)
            if side is None:
                return session.alternatives(key, turn, token)
            return session.alternatives_of(session.beside.voice(key, sent.get("round"), side), turn, token)

        return answer(sent, alternatives)

    def resume(event: gr.EventData, request: gr.Request) -> dict[str, Any]:
        sent = sent_by(event)

        def turns() -> dict[str, Any]:
            former = sent.get("page")
            if not isinstance(former, str):
                raise Problem("problem.request")
            return {"turns": session.resume(page_key(session, event, request), page_of(request, former))}

        return answer(sent, turns) | {"state": "resumed"}

    def vote(event: gr.EventData, request: gr.Request) -> dict[str, Any]:
        sent = sent_by(event)
        wish = (sent.get("round"), sent.get("vote"))
        told = answer(sent, lambda: session.beside.vote(page_key(session, event, request), *wish))
        return told | {"state": "voted"}

    quiet: dict[str, Any] = {"show_progress": "hidden", "api_visibility": "private"}
    view.ask(ask, outputs=view, trigger_mode="multiple", api_name="ask", **quiet)
    view.redo(redo, outputs=view, trigger_mode="multiple", api_name="redo", **quiet)
    view.ask_both(ask_both, outputs=view, trigger_mode="multiple", api_name="ask_both", **quiet)
    view.redo_both(redo_both, outputs=view, trigger_mode="multiple", api_name="redo_both", **quiet)
    # These answer at once, also while all forty places for replies are taken.
    view.stop(stop, trigger_mode="multiple", api_name="stop", concurrency_limit=None, **quiet)
    view.clear(clear, outputs=view, trigger_mode="multiple", api_name="clear", concurrency_limit=None, **quiet)
    view.vote(vote, outputs=view, trigger_mode="multiple", api_name="vote", concurrency_limit=None, **quiet)
    view.resume(resume, outputs=view, trigger_mode="multiple", api_name="resume", concurrency_limit=None, **quiet)
    view.pick(pick, outputs=alternatives, trigger_mode="multiple", api_name="pick", concurrency_limit=None, **quiet)


def _tally(session: Session, request: gr.Request) -> AbstractContextManager[ReplyCounter]:
    """A pupil's one place for a reply, where a class uses the server. Raises `Problem`, when entered, if it's taken."""
    return nullcontext(ReplyCounter()) if session.room is None else session.room.writing(class_cookie(request.headers))


def _updates(session: Session, action: Any, event: gr.EventData, request: gr.Request) -> Iterator[dict[str, Any]]:
    sent = sent_by(event)

    def updates() -> Iterator[dict[str, Any]]:
        settings = read_settings(sent.get("settings"))
        with _tally(session, request) as tally:
            key = page_key(session, event, request)
            for update in action(key, sent.get("text"), settings, sent.get("request")):
                tally.set_tokens(len(update.tokens))
                if update.bill is not None and update.bill.energy is not None:
                    tally.joules, tally.estimated = update.bill.energy.joules, not update.bill.energy.measured
                yield update.to_json()

    yield from stream(sent, updates)


def _updates_of_both(
    session: Session, event: gr.EventData, request: gr.Request, again: bool
) -> Iterator[dict[str, Any]]:
    sent, text = sent_by(event), sent_by(event).get("text")

    def updates() -> Iterator[dict[str, Any]]:
        key = page_key(session, event, request)
        session.check_wanted(key, sent.get("request"))
        wish = read_pair_request(
            sent.get("model") or session.models.first.name, sent.get("settings"), sent.get("beside")
        )
        if again:
            both = session.beside.redo(key, None if text is None else read_message(text), wish)
        else:
            both = session.beside.ask(key, read_message(text), wish)
        with _tally(session, request):
            yield from both

    yield from stream(sent, updates)
