"""A process of its own for a stranger's program: run as a file by `chat_template.py`, and it imports nothing of ours.

In comes {"template", "conversations", "variables", "seconds"}, out goes {"rendered": [text or null, ...], "problem"}:
each conversation as the template writes it, null where it refuses one; `problem` if it fails with the first of them.
"""

from __future__ import annotations

import contextlib
import datetime
import json
import sys
from typing import Any

from jinja2 import TemplateError
from jinja2.sandbox import ImmutableSandboxedEnvironment

MEMORY = 2**29  # bytes
LONGEST_TEXT = 200_000  # characters
LONGEST_PROBLEM = 200


def main() -> None:
    asked = json.load(sys.stdin)
    _limit(asked["seconds"])
    rendered: list[str | None] = []
    problem = ""
    for conversation in asked["conversations"]:
        try:
            rendered.append(_render(asked["template"], messages=conversation, **asked["variables"]))
        except Exception as error:  # whatever a template does, it is the template's failure
            rendered.append(None)
            problem = problem or str(error) or type(error).__name__
    problem = "".join(sign for sign in problem if sign.isprintable())[:LONGEST_PROBLEM] if rendered[0] is None else ""
    print(json.dumps({"rendered": rendered, "problem": problem}))


def _render(template: str, **variables: Any) -> str:
    """As `transformers` does it."""
    environment = ImmutableSandboxedEnvironment(
        trim_blocks=True, lstrip_blocks=True, extensions=["jinja2.ext.loopcontrols"]
    )
    environment.filters["tojson"] = lambda value, **options: json.dumps(value, ensure_ascii=False, **options)
    environment.globals["raise_exception"] = _refuse
    environment.globals["strftime_now"] = lambda pattern: datetime.datetime.now().strftime(pattern)
    text = environment.from_string(template).render(
        **variables, tools=None, documents=None, add_generation_prompt=True
    )  # fmt: skip
    if len(text) > LONGEST_TEXT:
        raise TemplateError(f"it writes {len(text):,} characters")
    return text


def _refuse(message: str) -> None:
    raise TemplateError(message)


def _limit(seconds: float) -> None:
    """Let the system end this process if it takes too much. Windows cannot; there the caller's clock must do."""
    try:
        import resource
    except ImportError:
        return
    for what, most in ((resource.RLIMIT_CPU, int(seconds) + 1), (resource.RLIMIT_AS, MEMORY)):
        with contextlib.suppress(ValueError, OSError):  # some systems know a limit and don't let it be set
            resource.setrlimit(what, (most, most))


if __name__ == "__main__":
    main()
