"""Spellings of server-sent events."""

import json

import pytest

from services.simulator.script import parse
from services.simulator.sse import spell

_EVENTS = [("a", b'{"x":1}'), (None, b'{"y":2}'), (None, b"[DONE]")]


def _spelled(script: str) -> bytes:
    return b"".join(spell(_EVENTS, parse(script)))


@pytest.mark.parametrize(
    ("script", "expected"),
    [
        ("", b'event: a\ndata: {"x":1}\n\ndata: {"y":2}\n\ndata: [DONE]\n\n'),
        ("sse=nospace", b'event:a\ndata:{"x":1}\n\ndata:{"y":2}\n\ndata:[DONE]\n\n'),
        ("sse=cr", b'event: a\rdata: {"x":1}\r\rdata: {"y":2}\r\rdata: [DONE]\r\r'),
        ("sse=crlf", b'event: a\r\ndata: {"x":1}\r\n\r\ndata: {"y":2}\r\n\r\ndata: [DONE]\r\n\r\n'),
        ("sse=mixed", b'event: a\ndata: {"x":1}\n\ndata: {"y":2}\r\n\r\ndata: [DONE]\r\r'),
        ("quirks=no-event-lines", b'data: {"x":1}\n\ndata: {"y":2}\n\ndata: [DONE]\n\n'),
        ("sse=id", b'event: a\nid: 0\ndata: {"x":1}\n\nid: 1\ndata: {"y":2}\n\nid: 2\ndata: [DONE]\n\n'),
    ],
)
def test_events_are_spelled_as_the_script_says(script: str, expected: bytes) -> None:
    assert expected == _spelled(script)


def test_a_byte_order_mark_comes_once_and_comments_before_every_event() -> None:
    spelled = _spelled("sse=bom+comments")

    assert spelled.startswith(b"\xef\xbb\xbf: ")
    assert spelled.count(b"\xef\xbb\xbf") == 1
    assert spelled.count(b": simulated comment\n") == 3


def test_several_data_lines_joined_by_newlines_are_the_payload() -> None:
    frame = next(spell([(None, b'{"x":"a,b"}')], parse("sse=multiline")))
    lines = [line.removeprefix(b"data: ") for line in frame.strip().split(b"\n")]

    assert len(lines) == 2
    assert json.loads(b"\n".join(lines)) == {"x": "a,b"}
    assert b"data: [DONE]\n\n" in _spelled("sse=multiline")
