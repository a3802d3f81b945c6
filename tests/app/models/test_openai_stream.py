"""What a server sends, read: however its bytes are cut, and whatever it says."""

from __future__ import annotations

import json
import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.common.text import replace_surrogates
from app.models.openai_stream import (
    LONGEST_EVENT,
    ChatDelta,
    ReportedError,
    TextStep,
    error_message,
    iter_sse_events,
    read_delta,
    read_json,
)


def cut(data: bytes, size: int) -> list[bytes]:
    return [data[start : start + size] for start in range(0, len(data), size)]


# --- Bytes to events -------------------------------------------------------------------------------------------------

STREAMS = [  # as the HTML standard and common servers have them
    (b"data: a\n\ndata: b\n\n", ["a", "b"]),
    (b"data: a\r\n\r\ndata: b\r\n\r\n", ["a", "b"]),
    (b"data: a\r\rdata: b\r\r", ["a", "b"]),
    (b"data: a\r\n\ndata: b\n\r\n", ["a", "b"]),
    (b": ping\n\n: - 2026-11-23\r\n\r\ndata: a\n: in between\ndata: b\n\n", ["a\nb"]),
    (b"data: a\r\ndata: b\r\n\r\n", ["a\nb"]),
    (b"event: x\nid: 3\nretry: 10\ndata:a\n\n", ["a"]),
    (b"data:  two spaces\n\n", [" two spaces"]),
    (b"data\n\ndata:\n\n", ["", ""]),
    (b"data: a\n\n\n\n\ndata: b\n\n", ["a", "b"]),
    (b"\xef\xbb\xbfdata: a\n\n", ["a"]),
    (b"data: a\n\ndata: cut o", ["a"]),
    (b"data: a\n\ndata: without its empty line\n", ["a"]),
    ("data: Grüße 😀 ラマ\n\n".encode(), ["Grüße 😀 ラマ"]),
    (b"data: \xff\xf0\x9f\n\n", ["��"]),
    (b"\n\n\r\r\r\n", []),
    (b"", []),
]  # fmt: skip


@pytest.mark.parametrize(("data", "found"), STREAMS)
@pytest.mark.parametrize("size", [1, 2, 3, 7, 1000])
def test_events_wherever_they_are_cut(data: bytes, found: list[str], size: int) -> None:
    assert list(iter_sse_events(cut(data, size))) == found


@given(st.lists(st.text(st.characters(exclude_characters="\r\n", codec="utf-8")), max_size=5), st.data())
def test_any_cuts_of_any_text(texts: list[str], data: st.DataObject) -> None:
    end = data.draw(st.sampled_from(["\n", "\r\n", "\r"]))
    stream = "".join(f"data: {text}{end}{end}" for text in texts).encode()
    cuts = sorted(data.draw(st.lists(st.integers(0, len(stream)), max_size=8)))
    pieces = [stream[start:stop] for start, stop in zip([0, *cuts], [*cuts, len(stream)], strict=True)]
    assert list(iter_sse_events(pieces)) == texts


def test_an_event_is_told_as_soon_as_it_is_whole() -> None:
    heard: list[bytes] = []

    def slowly() -> Any:
        for piece in (b"data: a\n", b"\n", b"data: b\r", b"\r", b"\n", b"data: c"):
            heard.append(piece)
            yield piece

    stream = iter_sse_events(slowly())
    assert (next(stream), len(heard)) == ("a", 2)
    assert (next(stream), len(heard)) == ("b", 4), "a lone CR is an end; what follows need not be waited for"


def test_what_is_endless_is_refused() -> None:
    line = b"x" * 1000
    with pytest.raises(ValueError, match="a line is longer"):
        list(iter_sse_events([b"data: ", *[line] * (LONGEST_EVENT // 1000 + 1)]))
    with pytest.raises(ValueError, match="an event is longer"):
        list(iter_sse_events([b"data: " + line + b"\n"] * (LONGEST_EVENT // 1000 + 1)))
    with pytest.raises(ValueError, match="an event is longer"):
        list(iter_sse_events([b"data:\n" * 1000] * (LONGEST_EVENT // 1000 + 1)))
    long = b"data: " + b"y" * (LONGEST_EVENT - 6)
    assert len(next(iter_sse_events([long, b"\n\n"]))) == LONGEST_EVENT - 6
    assert list(iter_sse_events([b": " + line + b"\n"] * (LONGEST_EVENT // 500))) == [], "comments may go on for ever"


# --- An event to words -----------------------------------------------------------------------------------------------


def delta(content: object = None, finish_reason: object = None, logprobs: object = None, **more: object) -> ChatDelta:
    choice = {"index": 0, "delta": {"content": content}, "finish_reason": finish_reason, "logprobs": logprobs}
    return read_delta(json.dumps({"choices": [choice], **more}))


def told(*tokens: object) -> dict[str, object]:
    return {"content": list(tokens)}


def token(text: object, logprob: object, **tops: object) -> dict[str, object]:
    rows = [{"token": name, "logprob": value} for name, value in tops.items()]
    return {"token": text, "logprob": logprob, "bytes": None, "top_logprobs": rows}


def test_a_token_with_its_probability() -> None:
    found = delta("kite", logprobs=told(token("kite", math.log(0.5), ball=math.log(0.2), kite=math.log(0.5))))
    (step,) = found.tokens
    assert (found.parts, step.text, found.finish_reason) == (("kite",), "kite", None)
    assert step.probability == pytest.approx(0.5)
    assert [text for text, _ in step.alternatives] == ["kite", "ball"], "the likeliest first"
    assert [share for _, share in step.alternatives] == pytest.approx([0.5, 0.2])


def test_without_logprobs_nothing_is_made_up() -> None:
    assert delta("a kite") == ChatDelta(("a kite",), (TextStep("a kite", None),))
    assert delta("x", logprobs={"content": None}).tokens == (TextStep("x", None),)
    assert delta("x", logprobs={"content": []}).tokens == (TextStep("x", None),)


@pytest.mark.parametrize(
    ("logprob", "probability"),
    [
        (-0.0, 1.0), (1e-7, 1.0), (-9999.0, 0.0), (-(10**999), 0.0), (-math.inf, 0.0), (10**999, None),
        (None, None), ("-1", None), (math.nan, None), (3, None), (math.inf, None), (True, None), ([], None),
    ],
    ids=lambda value: repr(value)[:12],
)  # fmt: skip
def test_what_is_no_probability_is_unknown(logprob: object, probability: float | None) -> None:
    (step,) = delta("x", logprobs=told(token("x", logprob))).tokens
    assert step.probability == probability


def test_several_tokens_in_one_event() -> None:
    found = delta(" a kite", logprobs=told(token(" a", -1), token(" kite", -2)))
    assert found.parts == (" a", " kite")
    assert [one.text for one in found.tokens] == [" a", " kite"]
    smile = delta("😀", logprobs=told(token("\\xf0\\x9f", -1), token("\\x98\\x80", -2)))
    assert smile.parts == ("", "😀"), "the last of them made the character whole"
    begun = delta("", logprobs=told(token("�", -1)))
    assert (begun.parts, len(begun.tokens)) == (("",), 1)


def test_the_token_that_ends_a_reply_is_no_part_of_it() -> None:
    assert delta("", "stop", told(token("</s>", -0.1))) == ChatDelta(finish_reason="stop")
    assert delta("!", "length", told(token("!", -0.1))).parts == ("!",)


def test_the_counts_come_with_an_event_of_their_own() -> None:
    usage = {"prompt_tokens": 12, "completion_tokens": 34, "total_tokens": 46}
    assert read_delta(json.dumps({"choices": [], "usage": usage})) == ChatDelta(prompt_tokens=12, completion_tokens=34)
    for nonsense in (None, -1, 1.5, True, "12", 10**30):
        found = read_delta(json.dumps({"choices": [], "usage": {"prompt_tokens": nonsense}}))
        assert found.prompt_tokens is None, nonsense
    assert delta("x", usage=None).completion_tokens is None


NONSENSE = [
    "", "{", "[]", "null", "3", '"text"', "{}", '{"choices": {}}', '{"choices": [3]}', "[" * 100_000,
    '{"choices": [{"delta": {"content": 3}}]}', '{"choices": [{"delta": {"content": ["<b>"]}}]}', '{"a": ' * 100_000,
]  # fmt: skip


@pytest.mark.parametrize("data", NONSENSE)
def test_nonsense_is_a_value_error(data: str) -> None:
    with pytest.raises(ValueError, match=r".") as caught:
        read_delta(data)
    assert not isinstance(caught.value, ReportedError)


@pytest.mark.parametrize(
    "choice",
    [
        {}, {"delta": None}, {"delta": 3}, {"delta": {}}, {"delta": {"role": "assistant"}},
        {"delta": {"content": None}},
        {"delta": {"content": ""}, "logprobs": 3}, {"delta": {}, "logprobs": {"content": 3}},
        {"delta": {}, "logprobs": {"content": [3, None, {}, {"token": 3}]}},
        {"delta": {"reasoning_content": "Hm"}},
    ],
)  # fmt: skip
def test_an_event_without_words_is_none(choice: dict[str, Any]) -> None:
    assert read_delta(json.dumps({"choices": [choice]})) == ChatDelta()


def test_alternatives_may_be_anything() -> None:
    rows = [3, None, {}, {"token": 3, "logprob": -1}, {"token": "x"}, {"token": "y", "logprob": -1}]
    one = {"token": "y", "logprob": -1, "top_logprobs": rows * 10}
    (step,) = delta("y", logprobs=told(one)).tokens
    assert {text for text, _ in step.alternatives} == {"", "y"}
    assert len(step.alternatives) <= 20
    (step,) = delta("y", logprobs=told({**one, "top_logprobs": {"y": -1}})).tokens
    assert step.alternatives == ()


def test_half_characters_become_whole_ones() -> None:
    assert replace_surrogates("a\ud83d") == "a�"
    assert replace_surrogates("\ud83d\ude00") == "😀"
    found = read_delta('{"choices": [{"delta": {"content": "\\ud83d"}, "finish_reason": "\\ude00"}]}')
    found_text = "".join(found.parts) + (found.finish_reason or "")
    assert found_text.encode() == "��".encode()


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ({"error": {"message": "No such\n  thing.", "code": 400}}, "No such thing"),
        ({"error": "busy..."}, "busy"),
        ({"object": "error", "message": "top_k"}, "top_k"),
        ({"detail": "Invalid API key"}, "Invalid API key"),
        ({"detail": [{"loc": ["body", "top_k"]}]}, '[{"loc": ["body", "top_k"]}]'),
        ({"error": {"code": 3}}, ""), ({}, ""), ([], "[]"), ("text", "text"), (None, "null"),
        ({"error": {"message": "x" * 999}}, "x" * 200),
        ({"error": {"message": "<script>\ud800"}}, "<script>�"), ({"error": "\x1b[2J\u202ered"}, "�[2J�red"),
    ],
)  # fmt: skip
def test_a_servers_own_words(body: object, said: str) -> None:
    assert error_message(body) == said


def test_an_error_amid_a_stream_is_a_complaint() -> None:
    with pytest.raises(ReportedError, match=r"^out of memory$"):
        read_delta('{"error": {"message": "out of memory", "code": 500}}')
    assert read_json(b'{"a": [1]}') == {"a": [1]}
