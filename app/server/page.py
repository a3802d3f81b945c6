"""The page around the tabs: head, theme, a header that says which model answers, and a Gradio tab for each of ours."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import gradio as gr

from app.attention import tab as attention
from app.attribution import tab as attribution
from app.chat import tab as chat
from app.common.assets import scripts, template, view_address
from app.common.events import PageEvents, sent_by
from app.common.strings import FALLBACK, all_words
from app.compare import tab as compare
from app.intervene import tab as intervene
from app.layers import tab as layers
from app.models.sources import suggested_models
from app.responsibility import tab as responsibility
from app.server.services import Services
from app.step import tab as step
from app.train import tab as train

STYLES = tuple(
    f"{name}.css"
    for name in (
        "lab download side_by_side attention attribution layers intervene responsibility step compare train classroom"
    ).split()
)


def tabs_of(services: Services, events: PageEvents) -> dict[str, Callable[[], None]]:
    """What builds each tab, by the key of its title, in the order the page shows them. A class has no Train tab: a
    training would take the others' processor."""
    tabs: dict[str, Callable[[], None]] = {
        chat.TITLE: partial(chat.build, services.chat, events),
        attention.TITLE: partial(attention.build, services.attention, events),
        step.TITLE: partial(step.build, services.step, events),
        layers.TITLE: partial(layers.build, services.layers, events),
        attribution.TITLE: partial(attribution.build, services.attribution, events),
        intervene.TITLE: partial(intervene.build, services.intervene, events),
        responsibility.TITLE: partial(responsibility.build, services.responsibility, events),
        compare.TITLE: partial(compare.build, services.compare, events),
    }
    return tabs if services.classroom is not None else tabs | {train.TITLE: train.build}


def build_page(services: Services, events: PageEvents, downloads: bool = False) -> gr.Blocks:
    """The header and the tabs, relabelled when the language is switched. With `downloads` the header has a button to
    fetch models with."""
    words, tabs = all_words(), tabs_of(services, events)
    with gr.Blocks(title="LiteLlama Lab", fill_width=True, delete_cache=(600, 3600), analytics_enabled=False) as page:
        header = gr.HTML(
            None,
            html_template=template("header.html"),
            head=scripts("lab.js", "pages.js", "download.js", "classroom.js", "header.js"),
            js_on_load="lab.header(element, trigger, props);  // triggers 'language' 'nudge'",
            apply_default_css=False,
            elem_id="lab-header",
            classroom=services.classroom is not None,
            offers=suggested_models() if downloads else [],
        )
        built = []
        with gr.Tabs(elem_id="lab-tabs"):
            for title, build in tabs.items():
                with gr.Tab(words[FALLBACK][title]) as tab:
                    build()
                built.append(tab)

        def relabel(event: gr.EventData) -> dict[gr.Tab, Any]:
            chosen = words.get(str(sent_by(event).get("language")), words[FALLBACK])
            return {tab: gr.update(label=chosen[title]) for tab, title in zip(built, tabs, strict=True)}

        def nudge() -> None:
            """Answered, and nothing else: see `lab.line`."""

        def leave(request: gr.Request) -> None:
            services.lifecycle.close(events.page_of(request))

        quiet: dict[str, Any] = {"api_visibility": "private", "show_progress": "hidden"}
        header.language(relabel, outputs=built, api_name="language", **quiet)
        header.nudge(nudge, api_name="nudge", trigger_mode="multiple", concurrency_limit=None, **quiet)
        page.unload(leave)
    return page


def head() -> str:
    """What every page loads first: the styles, and what it looks like as an app of its own."""
    styles = "".join(f'<link rel="stylesheet" href="{view_address(name)}">' for name in STYLES)
    return (
        f'{styles}<link rel="icon" type="image/svg+xml" href="{view_address("icon.svg")}">'
        f'<link rel="apple-touch-icon" href="{view_address("icon-192.png")}">'
        '<meta name="theme-color" content="#0f6b60">'
    )


def theme() -> gr.themes.Base:
    """Gradio's plainest theme, with fonts every machine has: a named web font would be asked for elsewhere."""
    return gr.themes.Base(font=["system-ui", "sans-serif"], font_mono=["ui-monospace", "monospace"])
