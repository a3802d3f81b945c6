"""The page around the tabs: head, theme, a header that says which model answers, and one Gradio tab per module."""

from __future__ import annotations

from typing import Any

import gradio as gr

from app.attention import tab as attention
from app.attribution import tab as attribution
from app.chat import tab as chat
from app.common.assets import scripts, template, view_address
from app.common.events import page_of, sent_by
from app.common.strings import FALLBACK, all_words
from app.compare import tab as compare
from app.intervene import tab as intervene
from app.layers import tab as layers
from app.models.sources import suggested_models
from app.responsibility import tab as responsibility
from app.session import Session
from app.step import tab as step
from app.train import tab as train

# In the order the page shows them. Each has a `TITLE`, a key of the strings, and `build(session)`.
TABS = (chat, attention, step, layers, attribution, intervene, responsibility, compare, train)

STYLES = tuple(
    f"{name}.css"
    for name in (
        "lab download beside attention attribution layers intervene responsibility step compare train classroom"
    ).split()
)


def build_page(session: Session, downloads: bool = False, classroom: bool = False) -> gr.Blocks:
    """The header, and a tab for each of `TABS`, relabelled when the language is switched. With `downloads` the header
    has a button to fetch models with. A class has no Train tab: a training would take the others' processor."""
    words, tabs = all_words(), tuple(tab for tab in TABS if not (classroom and tab is train))
    with gr.Blocks(title="LiteLlama Lab", fill_width=True, delete_cache=(600, 3600), analytics_enabled=False) as page:
        header = gr.HTML(
            None,
            html_template=template("header.html"),
            head=scripts("lab.js", "pages.js", "download.js", "classroom.js", "header.js"),
            js_on_load="lab.header(element, trigger, props);  // triggers 'language' 'nudge'",
            apply_default_css=False,
            elem_id="lab-header",
            classroom=classroom,
            offers=suggested_models() if downloads else [],
        )
        gr_tabs = []
        with gr.Tabs(elem_id="lab-tabs"):
            for tab in tabs:
                with gr.Tab(words[FALLBACK][tab.TITLE]) as gr_tab:
                    tab.build(session)
                gr_tabs.append(gr_tab)

        def relabel(event: gr.EventData) -> dict[gr.Tab, Any]:
            chosen = words.get(str(sent_by(event).get("language")), words[FALLBACK])
            return {gr_tab: gr.update(label=chosen[tab.TITLE]) for gr_tab, tab in zip(gr_tabs, tabs, strict=True)}

        def nudge() -> None:
            """Answered, and nothing else: see `lab.line`."""

        def leave(request: gr.Request) -> None:
            session.set_aside(page_of(request))

        quiet: dict[str, Any] = {"api_visibility": "private", "show_progress": "hidden"}
        header.language(relabel, outputs=gr_tabs, api_name="language", **quiet)
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
