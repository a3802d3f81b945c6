"""The form that a folder's own chat template means, read off what the template makes of a made-up conversation.

A chat template is a program in the Jinja language that a stranger wrote, so it runs once, in a process of its own with
little time and memory. Afterwards only the form is used, which is plain data:

    "{% for m in messages %}{{ bos_token + '[INST] ' + m['content'].strip() + ' [/INST]' }}..."
        -> begin: <s>[INST] ; user to assistant: ` [/INST] ` ; assistant to user: ` </s><s>[INST] ` ; end: ` [/INST]`
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

from litellama.chat.format import ChatFormat, Separator, Side
from litellama.tokenizer import Tokenizer

LONGEST_TEMPLATE = 100_000  # characters; LLaMA 2's has 1,000, the longest in use some 20,000
SECONDS = 20.0  # a tenth of one is what it takes; the rest is for machines that are busy

# A space no template writes: where it is gone, the template takes white space off the message.
_EM_SPACE = "\u2003"
_LONG: tuple[Side, ...] = ("user", "assistant", "user", "assistant", "user")
_SHORT: tuple[Side, ...] = ("user",)
_INSTRUCTED: tuple[Side, ...] = ("system", "user", "assistant", "user")

_Written = tuple[str, bool, bool]  # what stands between two messages, and whether it strips the last and the next


class ChatTemplateError(ValueError):
    """A chat template that cannot be followed, and why."""


def read_template(template: str, tokenizer: Tokenizer, bos: str, eos: str, seconds: float = SECONDS) -> ChatFormat:
    """The form of a model whose texts begin and end with the tokens `bos` and `eos`.

    Raises `ChatTemplateError` for a template that fails, takes too long, or writes turns now one way and now another.
    """
    if len(template) > LONGEST_TEMPLATE:
        raise ChatTemplateError(f"it has {len(template):,} characters, and {LONGEST_TEMPLATE:,} are the most")
    long, short, instructed = _rendered(template, bos, eos, seconds)
    begin, answer, question, *repeated, end = _gaps(long, _LONG)
    if repeated != [answer, question] or _gaps(short, _SHORT) != [begin, end]:
        raise ChatTemplateError("it writes later turns otherwise than earlier ones")
    written: dict[tuple[Side, Side], _Written] = {
        ("begin", "user"): begin, ("user", "assistant"): answer, ("assistant", "user"): question, ("user", "end"): end,
    }  # fmt: skip
    written |= _with_system(instructed, [answer, question, end])
    separators = {
        sides: Separator(tokenizer.split_special(text), last, next) for sides, (text, last, next) in written.items()
    }
    stops, stop_ids = _end_of_reply(separators["assistant", "user"])
    return ChatFormat("template", separators, stops, stop_ids)


def _with_system(rendered: str | None, usual: list[_Written]) -> dict[tuple[Side, Side], _Written]:
    """The gaps around a system prompt; none if the template refuses one, or changes the rest because of it."""
    if rendered is None:
        return {}
    try:
        before, after, *rest = _gaps(rendered, _INSTRUCTED)
    except ChatTemplateError:
        return {}
    return {("begin", "system"): before, ("system", "user"): after} if rest == usual else {}


def _conversation(sides: tuple[Side, ...]) -> list[dict[str, str]]:
    return [
        {"role": side, "content": f"{_EM_SPACE}{_sample(number)}{_EM_SPACE}"} for number, side in enumerate(sides)
    ]  # fmt: skip


def _sample(number: int) -> str:
    return f"SampleMessage{number}."


def _gaps(rendered: str | None, sides: tuple[Side, ...]) -> list[_Written]:
    """What stands before, between and after the sample messages."""
    samples = [_sample(number) for number in range(len(sides))]
    if rendered is None or [rendered.count(sample) for sample in samples] != [1] * len(samples):
        raise ChatTemplateError("it does not write every message once and as it is")
    messages = "(.*?)".join(f"({_EM_SPACE}?){re.escape(sample)}({_EM_SPACE}?)" for sample in samples)
    found = re.fullmatch(f"(.*?){messages}(.*)", rendered, re.DOTALL)
    if found is None:
        raise ChatTemplateError("it does not write the messages in their order")
    texts, lefts, rights = found.groups()[::3], found.groups()[1::3], found.groups()[2::3]
    strips_last, strips_next = [False, *(not space for space in rights)], [*(not space for space in lefts), False]
    return list(zip(texts, strips_last, strips_next, strict=True))


def _end_of_reply(separator: Separator) -> tuple[tuple[str, ...], frozenset[int]]:
    """Where a reply is over: at the special token that is written behind it, or else before the line that is."""
    for piece in separator.pieces:
        if isinstance(piece, int):
            return (), frozenset({piece})
        if line := re.match(r"\s*\S[^\n]*", piece):
            return (line.group(),), frozenset()
    raise ChatTemplateError("it does not write where a reply ends")


def _rendered(template: str, bos: str, eos: str, seconds: float) -> list[str | None]:
    """The template's texts for three conversations, from a process that may be stopped; None where it refuses one."""
    asked = {
        "template": template, "seconds": seconds, "variables": {"bos_token": bos, "eos_token": eos},
        "conversations": [_conversation(sides) for sides in (_LONG, _SHORT, _INSTRUCTED)],
    }  # fmt: skip
    command = [sys.executable, "-P", str(Path(__file__).with_name("render_template.py"))]
    try:
        done = subprocess.run(command, input=json.dumps(asked).encode(), capture_output=True, timeout=seconds)
    except subprocess.TimeoutExpired:
        raise ChatTemplateError(f"it did not come to an end in {seconds:g} seconds") from None
    except OSError as wrong:
        raise ChatTemplateError(f"the process that reads it could not be started ({wrong})") from None
    if done.returncode > 0:  # by itself: jinja2 is missing, for example
        last_line = done.stderr.decode(errors="replace").strip().rpartition("\n")[2]
        raise ChatTemplateError(f"the process that reads it failed ({last_line})")
    if done.returncode < 0:
        raise ChatTemplateError("it took more time or memory than a template needs")
    told: dict[str, Any] = json.loads(done.stdout)
    if told["problem"]:
        raise ChatTemplateError(f"it fails: {told['problem']}")
    return list(told["rendered"])
