"""Parts that an upstream of OpenAI's format refuses are said in words, and everything else stays as it came."""

import json
from typing import Any

import msgspec
import pytest

from services.gateway.dialect import GLM_OPENAI, Dialect
from services.gateway.translation.requests.adapted import Adapted
from services.gateway.translation.requests.marks import UNSEEN_IMAGE
from services.gateway.translation.requests.unseen_parts import chat_legible
from services.gateway.wire.mend import BROKEN
from services.gateway.wire.outline import outline_of

BLIND = msgspec.structs.replace(GLM_OPENAI, images=False)
BLIND_AND_EMPTY = msgspec.structs.replace(BLIND, empty_texts=True)
SEEING = GLM_OPENAI
IMAGE = {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}}
FILE = {"type": "file", "file": {"filename": "a.pdf", "file_data": "data:application/pdf;base64,AAAA"}}


def _text(text: str) -> dict[str, Any]:
    return {"type": "text", "text": text}


def _legible(body: bytes, dialect: Dialect = BLIND) -> Adapted | None:
    """Return what becomes of a body; None as well where it has another shape, which the caller leaves alone."""
    outline = outline_of(body)
    try:
        return None if outline is None else chat_legible(outline, dialect)
    except BROKEN:
        return None


def _body(*contents: Any, spaced: bool = False) -> bytes:
    messages = [{"role": "user", "content": content} for content in contents]
    return json.dumps({"model": "m", "messages": messages}, separators=None if spaced else (",", ":")).encode()


UNSEEN = _text(UNSEEN_IMAGE)


@pytest.mark.parametrize("spaced", [False, True])
@pytest.mark.parametrize(
    ("dialect", "content", "expected", "dropped"),
    [
        (BLIND, [_text("see"), IMAGE], [_text("see"), UNSEEN], ("messages.image_url",)),
        (BLIND, [IMAGE, IMAGE, FILE], [UNSEEN, UNSEEN, FILE], ("messages.image_url",)),
        (SEEING, [_text(""), IMAGE], [IMAGE], ()),
        (BLIND, [_text(""), _text("a"), _text("")], [_text("a")], ()),
        (BLIND, [_text("")], "", ()),
        (BLIND_AND_EMPTY, [_text(""), IMAGE], [_text(""), UNSEEN], ("messages.image_url",)),
    ],
)
def test_what_is_not_taken_is_said_or_goes(
    dialect: Dialect, content: Any, expected: Any, dropped: tuple[str, ...], *, spaced: bool
) -> None:
    found = _legible(_body("hi", content, spaced=spaced), dialect)

    assert found is not None
    assert json.loads(found.outline.body) == json.loads(_body("hi", expected))
    assert found.dropped == dropped


@pytest.mark.parametrize("spaced", [False, True])
def test_other_messages_and_parts_keep_their_bytes(*, spaced: bool) -> None:
    tool = b'{"role":"tool",  "tool_call_id":"c", "content":[{"type":"text","text":"\\"image_url\\"", "n":1.50}]}'
    part = b'{"type":"text",  "text":"a"}'
    space = b" " if spaced else b""
    body = b'{"messages":%b[%b,{"role":"user","content":[%b,{"type":"text","text":""}]}]}' % (space, tool, part)

    assert (found := _legible(body)) is not None
    assert found.outline.body == b'{"messages":[%b,{"role":"user","content":[%b]}]}' % (tool, part)


@pytest.mark.parametrize(
    "body",
    [
        _body("hi", [_text("a")]),
        _body("", [_text("a"), {"type": "video_url", "video_url": {"url": ""}}]),
        _body("", [_text("a"), {"type": "video_url", "video_url": {"url": ""}}], spaced=True),
        _body("hi", [_text("a")], spaced=True),
        _body([]),
        b'{"messages":[{"role":"assistant","content":null},{"role":"assistant"}]}',
        b'{"messages":[{"role":"user","content":["file",""]}]}',
        b'{"messages":[{"role":"user","content":"file"}, "image_url"]}',
        b'{"messages":"image_url"}',
        b'{"a":"image_url"}',
        b"[]",
    ],
)
def test_nothing_is_done_where_nothing_must_change_or_the_shape_is_another(body: bytes) -> None:
    assert _legible(body) is None


def test_an_upstream_is_given_what_it_takes_or_may_refuse() -> None:
    body = _body([_text(""), IMAGE])

    assert _legible(body, Dialect()) is None
    assert _legible(body, Dialect(images=False)) is None
    assert _legible(body, Dialect(images_in_words=True)) is None
