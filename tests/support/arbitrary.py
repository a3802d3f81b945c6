"""Whatever somebody might send: JSON of any shape, requests that are nearly right, bytes, files.

`LITELLAMA_FUZZ_EXAMPLES=2000 pytest tests/test_fuzz_*.py` tries that many of each instead of the few that every run has
time for.
"""

from __future__ import annotations

import json
import math
import os
from collections.abc import Mapping
from typing import Any

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st

EXAMPLES = os.environ.get("LITELLAMA_FUZZ_EXAMPLES")


def examples(few: int) -> settings:
    """`few` examples of a property, or as many as the environment says. The fixtures serve all of them."""
    fixtures = [HealthCheck.function_scoped_fixture, HealthCheck.too_slow, HealthCheck.data_too_large]
    return settings(max_examples=int(EXAMPLES or few), deadline=None, suppress_health_check=fixtures)


# --- JSON ------------------------------------------------------------------------------------------------------------

NASTY = (
    "", " ", "\0", "\ud800", "\udfff\ud800", "\u202e", "👩‍👩‍👧", "\u0300" * 50, "<|end|>", "<script>alert(1)</script>",
    "{name}",
    "../../etc/passwd", "@chat.title", "None", "nan", "x" * 5000, "\x1b[2J", "\r\nERROR forged", "__proto__", "tiny",
)  # fmt: skip
NUMBERS = (0, -1, 1, 2**31, 2**63, 2**64, -(2**70), 10**400, 0.5, -0.0, 1e308, 5e-324, math.nan, math.inf, -math.inf)


def nested(depth: int, in_objects: bool) -> Any:
    value: Any = 0
    for _ in range(depth):
        value = {"a": value} if in_objects else [value]
    return value


texts = st.one_of(st.sampled_from(NASTY), st.text(st.characters(), max_size=20))  # lone surrogates are among them
leaves = st.one_of(st.none(), st.booleans(), st.sampled_from(NUMBERS), st.integers(), st.floats(), texts)
shallow = st.recursive(
    leaves,
    lambda inner: st.one_of(st.lists(inner, max_size=4), st.dictionaries(texts, inner, max_size=4)),
    max_leaves=8,
)
deep = st.builds(nested, st.sampled_from((20, 100, 300)), st.booleans())
anything = st.one_of(shallow, deep)


@st.composite
def nearly(draw: st.DrawFn, right: Mapping[str, Any]) -> dict[str, Any]:
    """A right request of which one field is replaced, dropped or added; or a field of one of its fields."""
    request = json.loads(json.dumps(right))
    place = request
    while inside := [name for name, value in place.items() if isinstance(value, dict) and value]:
        if not draw(st.booleans()):
            break
        place = place[draw(st.sampled_from(inside))]
    what = draw(st.sampled_from(("replace", "replace", "replace", "drop", "add")))
    if what == "add" or not place:
        place[draw(texts)] = draw(anything)
        return dict(request)
    name = draw(st.sampled_from(sorted(place)))
    if what == "drop":
        del place[name]
    elif isinstance(place[name], list) and place[name] and draw(st.booleans()):
        place[name][draw(st.integers(0, len(place[name]) - 1))] = draw(anything)
    else:
        place[name] = draw(anything)
    return dict(request)


def json_bytes(value: Any) -> bytes:
    """As a script would send it that minds no standard: NaN, infinities and half characters included."""
    return json.dumps(value).encode("ascii")


# --- Bytes and files -------------------------------------------------------------------------------------------------

DEEP = (b"[" * 100_000, b'{"a":' * 100_000, b"[" * 100_000 + b"]" * 100_000)

bodies = st.one_of(
    st.binary(max_size=200),
    anything.map(json_bytes),
    st.sampled_from((*DEEP, b"", b"\xff\xfe", b"\xef\xbb\xbf{}", b'"\\ud800"', b"9" * 5000, b"a=1&" * 50, b"--x\r\n")),
    st.dictionaries(texts, texts, max_size=3).map(lambda form: "&".join(f"{k}={v}" for k, v in form.items())).map(
        lambda form: form.encode("utf-8", "replace")
    ),
)  # fmt: skip


@st.composite
def harmed(draw: st.DrawFn, sound: bytes) -> bytes:
    """A sound file of which some bytes are changed, cut out, doubled or cut off."""
    data = bytearray(sound)
    for _ in range(draw(st.integers(1, 4))):
        start = draw(st.integers(0, max(0, len(data) - 1)))
        length = draw(st.integers(1, 64))
        what = draw(st.sampled_from(("change", "cut", "double", "end", "put")))
        if what == "change" and data:
            data[start] ^= draw(st.integers(1, 255))
        elif what == "cut":
            del data[start : start + length]
        elif what == "double":
            data[start:start] = data[start : start + length]
        elif what == "end":
            del data[start:]
        else:
            data[start:start] = draw(st.binary(min_size=1, max_size=16))
    return bytes(data)
