"""The Chat tab: ask, watch the reply come token by token, and click a token to see what else it might have been."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict
from typing import Any

import gradio as gr

from app.session import Session
from app.settings import KNOBS, SEED, read_settings
from app.tabs import page_key, sent_by
from app.views import scripts, template
from app.words import Problem

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
# Of any other model the lab knows no more than that it goes on with what it reads.
EXAMPLES = (
    ("chat.example_story", "Once upon a time there was a girl who"),
    ("chat.example_facts", "Tom hid a red ball under the bed. The ball is"),
    ("chat.example_meaning", "A llama is"),
)


def build(session: Session) -> None:
    """Lay the tab out and wire it. The page sends what was typed and clicked; everything else is decided here."""
    knobs = {name: asdict(knob) for name, knob in KNOBS.items()}
    view = gr.HTML(
        None,
        html_template=template("chat.html"),
        head=scripts("lab.js", "energy.js", "chat.js"),
        js_on_load="lab.chat(element, lab.surely(trigger), props, watch);"
        "  // triggers 'ask' 'redo' 'stop' 'clear' 'pick'",
        apply_default_css=False,
        elem_id="lab-chat",
        knobs=knobs,
        largest_seed=int(SEED.high),
        tinytown={"examples": TINYTOWN_EXAMPLES, "why": "chat.welcome_tinytown"},
        elsewhere={"examples": ELSEWHERE_EXAMPLES, "why": "chat.welcome_engine", "title": "chat.welcome_engine_title"},
        other={"examples": EXAMPLES, "why": "chat.welcome_other"},
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

    def stop(request: gr.Request) -> None:
        session.stop(request.session_hash or "")

    def clear(event: gr.EventData, request: gr.Request) -> dict[str, Any]:
        session.forget(request.session_hash or "")
        return {"request": sent_by(event).get("request"), "state": "cleared"}

    def pick(event: gr.EventData, request: gr.Request) -> dict[str, Any]:
        asked = {name: sent_by(event).get(name) for name in ("turn", "token", "nonce")}
        try:
            return asked | session.alternatives(page_key(session, event, request), asked["turn"], asked["token"])
        except Problem as problem:
            return asked | {"problem": problem.to_json()}

    quiet: dict[str, Any] = {"show_progress": "hidden", "api_visibility": "private"}
    view.ask(ask, outputs=view, trigger_mode="multiple", api_name="ask", **quiet)
    view.redo(redo, outputs=view, trigger_mode="multiple", api_name="redo", **quiet)
    # These answer at once, also while all forty places for replies are taken.
    view.stop(stop, trigger_mode="multiple", api_name="stop", concurrency_limit=None, **quiet)
    view.clear(clear, outputs=view, trigger_mode="multiple", api_name="clear", concurrency_limit=None, **quiet)
    view.pick(pick, outputs=alternatives, trigger_mode="multiple", api_name="pick", concurrency_limit=None, **quiet)


def _updates(session: Session, action: Any, event: gr.EventData, request: gr.Request) -> Iterator[dict[str, Any]]:
    sent = sent_by(event)
    try:
        settings = read_settings(sent.get("settings"))
        for update in action(page_key(session, event, request), sent.get("text"), settings):
            yield {"request": sent.get("request"), **update.to_json()}
    except Problem as problem:
        yield {"request": sent.get("request"), "state": "problem", "problem": problem.to_json()}
