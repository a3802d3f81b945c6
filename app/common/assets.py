"""The few hand-made components of the page, each in the folder of its tab: a template, a script and a style. Python
only reads them; a file's name is its address, so no two have the same.

`lab.js` is what the scripts share: words, languages, colours. They put users' and models' text into the page as text
(`textContent`), never as HTML.
"""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path

from fastapi.responses import FileResponse, Response

from app.common.strings import all_words

APP = Path(__file__).parents[1]
COMMON = Path(__file__).parent
SERVED = (".js", ".css", ".svg", ".png")


@cache
def asset_paths() -> dict[str, Path]:
    """Where each template, script, style and icon lies, by its name: {"chat.js": app/chat/chat.js, ...}."""
    return {path.name: path for path in sorted(APP.glob("*/*")) if path.suffix in (".html", *SERVED)}


def template(name: str) -> str:
    """The HTML of one component, such as "chat.html"."""
    return asset_paths()[name].read_text(encoding="utf-8")


def view_address(name: str) -> str:
    """Where the browser finds a file; another address after each change, past the browser's cache."""
    return f"/views/{name}?{int(asset_paths()[name].stat().st_mtime)}"


def scripts(*names: str) -> str:
    """Tags for a component's `head`: Gradio loads them, once and in order, before it starts the component. The words
    and what works around Gradio's client come first."""
    addresses = ["/words.js", *(view_address(name) for name in ("gradio_compat.js", *names))]
    return "".join(f'<script src="{address}"></script>' for address in addresses)


def view_file(name: str) -> Response:
    """A script, style or icon, for the browser."""
    path = asset_paths().get(name)
    return Response(status_code=404) if path is None or path.suffix not in SERVED else FileResponse(path)


def manifest() -> Response:
    """What a browser must know to install the page as an app. Gradio's page names it so."""
    return FileResponse(COMMON / "manifest.json", media_type="application/manifest+json")


def favicon() -> Response:
    """The icon, where browsers look for it unasked."""
    return FileResponse(COMMON / "icon-192.png")


def words_script() -> Response:
    """The words of every language, as the script that `lab.js` reads them from."""
    return Response(f"window.labWords = {json.dumps(all_words())};", media_type="text/javascript")
