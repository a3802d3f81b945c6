"""The few hand-made components of the page: a template and a script each, one style. Python only reads them.

`lab.js` is what the scripts share: words, languages, colours. They put users' and models' text into the page as text
(`textContent`), never as HTML.
"""

from __future__ import annotations

import json
from pathlib import Path

from fastapi.responses import FileResponse, Response

from app.words import all_words

VIEWS = Path(__file__).parent


def template(name: str) -> str:
    """The HTML of one component, such as "chat.html"."""
    return (VIEWS / name).read_text(encoding="utf-8")


def view_address(name: str) -> str:
    """Where the browser finds a file of this folder; another address after each change, past the browser's cache."""
    return f"/views/{name}?{int((VIEWS / name).stat().st_mtime)}"


def scripts(*names: str) -> str:
    """Tags for a component's `head`: Gradio loads them, once and in order, before it starts the component."""
    addresses = ["/words.js", *(view_address(name) for name in names)]
    return "".join(f'<script src="{address}"></script>' for address in addresses)


def view_file(name: str) -> Response:
    """A script, style or icon of this folder, for the browser."""
    served = {path.name: path for path in VIEWS.iterdir() if path.suffix in (".js", ".css", ".svg", ".png")}
    return FileResponse(served[name]) if name in served else Response(status_code=404)


def manifest() -> Response:
    """What a browser must know to install the page as an app. Gradio's page names it so."""
    return FileResponse(VIEWS / "manifest.json", media_type="application/manifest+json")


def favicon() -> Response:
    """The icon, where browsers look for it unasked."""
    return FileResponse(VIEWS / "icon-192.png")


def words_script() -> Response:
    """The words of every language, as the script that `lab.js` reads them from."""
    return Response(f"window.labWords = {json.dumps(all_words())};", media_type="text/javascript")
