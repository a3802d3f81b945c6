"""The Chat tab: ask, watch the reply come token by token, and click a token to see what else it might have been."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import asdict
from typing import Any

import gradio as gr

from app.chat.blind_test import read_pair_request
from app.chat.conversation import Update
from app.chat.examples import WELCOMES, litellama_says
from app.chat.service import ChatService
from app.common.assets import scripts, template
from app.common.events import PageEvents, Sent, sent_by
from app.common.questions import read_message
from app.common.settings import KNOBS, MOST_TOKENS_IN_CLASS, SEED, Settings, read_settings
from app.common.strings import Problem

TITLE = "chat.title"

Answer = Callable[[str, object, Settings, object], Iterator[Update]]


def build(service: ChatService, events: PageEvents) -> None:
    """Lay the tab out. The page sends what was typed and clicked; everything else is decided here."""
    knobs = {name: asdict(knob) for name, knob in KNOBS.items()}
    if service.classroom is not None:
        knobs["max_tokens"]["high"] = MOST_TOKENS_IN_CLASS
    view = gr.HTML(
        None,
        html_template=template("chat.html"),
        head=scripts("lab.js", "energy.js", "replies.js", "side_by_side.js", "chat.js"),
        js_on_load="lab.chat(element, ...lab.line(trigger, props, watch));"
        "  // triggers 'ask' 'redo' 'stop' 'clear' 'pick' 'vote' 'ask_both' 'redo_both' 'resume'",
        apply_default_css=False,
        elem_id="lab-chat",
        knobs=knobs,
        largest_seed=int(SEED.high),
        welcomes=WELCOMES,
        litellama=litellama_says(),
        record=service.writer.meter.record_json(),
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
        yield from one_reply(service.ask, event, request)

    def redo(event: gr.EventData, request: gr.Request) -> Iterator[dict[str, Any]]:
        yield from one_reply(service.redo, event, request)

    def one_reply(answer: Answer, event: gr.EventData, request: gr.Request) -> Iterator[dict[str, Any]]:
        def updates(page: str, sent: Sent) -> Iterator[dict[str, Any]]:
            settings = read_settings(sent.get("settings"))
            with service.counted(events.member_of(request)) as tally:
                for update in answer(page, sent.get("text"), settings, sent.get("request")):
                    tally.set_tokens(len(update.tokens))
                    if update.cost is not None and update.cost.energy is not None:
                        tally.joules, tally.estimated = update.cost.energy.joules, not update.cost.energy.measured
                    if update.state == "running":
                        yield update.to_json()
            yield update.to_json()  # when all is given back, so that the next message may follow at once

        yield from events.stream(event, request, updates)

    def ask_both(event: gr.EventData, request: gr.Request) -> Iterator[dict[str, Any]]:
        def updates(page: str, sent: Sent) -> Iterator[dict[str, Any]]:
            service.check_wanted(page, sent.get("request"))
            pair = read_pair_request(service.model_of(page), sent.get("settings"), sent.get("side_by_side"))
            question = read_message(sent.get("text"))
            yield from both_replies(service.side_by_side.ask(page, question, pair), request)

        yield from events.stream(event, request, updates)

    def redo_both(event: gr.EventData, request: gr.Request) -> Iterator[dict[str, Any]]:
        def updates(page: str, sent: Sent) -> Iterator[dict[str, Any]]:
            service.check_wanted(page, sent.get("request"))
            pair = read_pair_request(service.model_of(page), sent.get("settings"), sent.get("side_by_side"))
            question = None if sent.get("text") is None else read_message(sent["text"])
            yield from both_replies(service.side_by_side.redo(page, question, pair), request)

        yield from events.stream(event, request, updates)

    def both_replies(updates: Iterator[dict[str, Any]], request: gr.Request) -> Iterator[dict[str, Any]]:
        with service.counted(events.member_of(request)):
            for update in updates:
                if not update["over"]:
                    yield update
        yield update  # when all is given back

    def stop(event: gr.EventData, request: gr.Request) -> None:
        service.stop(events.page_of(request), sent_by(event).get("request"))

    def clear(event: gr.EventData, request: gr.Request) -> dict[str, Any]:
        erase = service.side_by_side.erase if sent_by(event).get("both") else service.erase
        erase(events.page_of(request))
        return {"request": sent_by(event).get("request"), "state": "cleared"}

    def pick(event: gr.EventData, request: gr.Request) -> dict[str, Any]:
        def others(page: str, sent: Sent) -> dict[str, Any]:
            turn, token, side = (sent.get(name) for name in ("turn", "token", "side"))
            if side is None:
                found = service.alternatives(page, turn, token)
            else:
                found = service.side_by_side.alternatives(page, sent.get("round"), side, turn, token)
            return found

        return events.answer(event, request, others)

    def resume(event: gr.EventData, request: gr.Request) -> dict[str, Any]:
        def turns(page: str, sent: Sent) -> dict[str, Any]:
            former = sent.get("page")
            if not isinstance(former, str):
                raise Problem("problem.request")
            return {"turns": service.resume(page, events.page_of(request, former))}

        return events.answer(event, request, turns) | {"state": "resumed"}

    def vote(event: gr.EventData, request: gr.Request) -> dict[str, Any]:
        def revealed(page: str, sent: Sent) -> dict[str, Any]:
            return service.side_by_side.vote(page, sent.get("round"), sent.get("vote"))

        return events.answer(event, request, revealed) | {"state": "voted"}

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
