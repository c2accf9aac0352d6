"""System messages inside a conversation are said in another way, and everything else stays as it came."""

import json
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.gateway.dialect import GLM_ANTHROPIC, Dialect, MidSystem
from services.gateway.translation.requests.late_system import without_late_system
from services.gateway.wire.mend import BROKEN
from services.gateway.wire.outline import Outline, outline_of

MARK = {"type": "ephemeral"}
USER = {"role": "user", "content": "hi"}
CALL = {"role": "assistant", "content": [{"type": "tool_use", "id": "t", "name": "ls", "input": {}}]}
RESULT = {"type": "tool_result", "tool_use_id": "t", "content": "x"}
SYSTEM = {"role": "system", "content": "S"}
HOISTING = msgspec.structs.replace(GLM_ANTHROPIC, mid_system=MidSystem.HOIST)


def _text(text: str, **more: Any) -> dict[str, Any]:
    return {"type": "text", "text": text, **more}


REMINDER = _text("<system-reminder>\nS\n</system-reminder>")


def _body(*messages: Any, **more: Any) -> bytes:
    return json.dumps({"model": "m", "messages": messages, **more}, separators=(",", ":")).encode()


def _placed(body: bytes, dialect: Dialect = GLM_ANTHROPIC) -> Outline | None:
    """Return what becomes of a body; None as well where it has another shape, which the caller leaves alone."""
    outline = outline_of(body, blocks=True)
    try:
        found = None if outline is None else without_late_system(outline, dialect)
    except BROKEN:
        return None
    assert found is None or found.dropped == ()
    return None if found is None else found.outline


def _sent(*messages: Any, dialect: Dialect = GLM_ANTHROPIC, **more: Any) -> dict[str, Any]:
    found = _placed(_body(*messages, **more), dialect)
    assert found is not None
    sent: dict[str, Any] = json.loads(found.body)
    assert sent.pop("model") == "m"
    return sent


@pytest.mark.parametrize(
    ("messages", "expected"),
    [
        ([USER, SYSTEM], [{"role": "user", "content": [_text("hi"), REMINDER]}]),
        ([USER, SYSTEM, SYSTEM], [{"role": "user", "content": [_text("hi"), REMINDER, REMINDER]}]),
        ([USER, SYSTEM, CALL], [{"role": "user", "content": [_text("hi"), REMINDER]}, CALL]),
        ([USER, SYSTEM, USER], [{"role": "user", "content": [_text("hi"), REMINDER]}, USER]),
        (
            [USER, CALL, SYSTEM, {"role": "user", "content": [RESULT, _text("a")]}],
            [USER, CALL, {"role": "user", "content": [RESULT, REMINDER, _text("a")]}],
        ),
        (
            [USER, CALL, SYSTEM, {"role": "user", "content": [RESULT]}],
            [USER, CALL, {"role": "user", "content": [RESULT, REMINDER]}],
        ),
        ([USER, CALL, SYSTEM, CALL], [USER, CALL, {"role": "user", "content": [REMINDER]}, CALL]),
        ([USER, CALL, SYSTEM], [USER, CALL, {"role": "user", "content": [REMINDER]}]),
        ([USER, {"role": "system", "content": ""}], [USER]),
        ([USER, {"role": "system", "content": None}], [USER]),
    ],
)
def test_a_late_one_is_a_reminder_by_the_user_where_it_stood(messages: list[Any], expected: list[Any]) -> None:
    assert _sent(*messages) == {"messages": expected}


def test_its_marks_and_what_is_no_text_stay_and_a_text_that_says_nothing_goes() -> None:
    image = {"type": "image", "source": {"type": "url", "url": "https://example.com/a.png"}}
    late = {"role": "system", "content": [_text("S", cache_control=MARK), image, _text("")]}

    [message] = _sent(USER, late)["messages"]
    assert message["content"] == [_text("hi"), {**REMINDER, "cache_control": MARK}, image]


@pytest.mark.parametrize(
    ("given", "expected"),
    [({}, []), ({"system": "P"}, [_text("P")]), ({"system": [_text("P", cache_control=MARK)]}, None)],
)
def test_one_at_the_head_joins_the_system_prompt(given: dict[str, Any], expected: list[Any] | None) -> None:
    before = given.get("system") if expected is None else expected
    sent = _sent(SYSTEM, {"role": "system", "content": [_text("T")]}, USER, **given)

    assert sent == {"messages": [USER], "system": [*before, _text("S"), _text("T")]}


def test_every_one_does_where_that_is_wanted() -> None:
    sent = _sent(USER, SYSTEM, CALL, dialect=HOISTING, system="P")

    assert sent == {"messages": [USER, CALL], "system": [_text("P"), _text("S")]}


def test_the_prompt_of_a_turn_begins_like_that_of_the_turn_before() -> None:
    turns = [USER, SYSTEM, CALL, {"role": "user", "content": [RESULT]}, SYSTEM, CALL]
    before = _sent(*turns[:3])["messages"]

    assert _sent(*turns)["messages"][: len(before)] == before


def test_other_messages_keep_their_bytes() -> None:
    said = b'{"role":"user",  "content":"the \\"system\\"", "n":1.50}'
    tool = b'{"role":"assistant","content":[{"type":"tool_use","id":"t","name":"system","input":{"a":"system"}}]}'
    body = b'{"messages":[{"role":"user","content":"a"},{"role":"system","content":"S"},%b,%b]}' % (tool, said)

    assert (found := _placed(body)) is not None
    assert found.body.endswith(b",%b,%b]}" % (tool, said))


def test_many_cost_no_square() -> None:
    sent = _sent(USER, *[SYSTEM] * 20_000)

    assert len(sent["messages"][0]["content"]) == 20_001


@pytest.mark.parametrize(
    "body",
    [
        _body(USER, CALL, system="P"),
        _body({"role": "user", "content": '"system"'}),
        b'{"messages": [{"role":"user","content":"a","name":"system"}]}',
        b'{"messages":"system"}',
        b'{"messages":["system"]}',
        b'{"messages":[{"role":"user"},{"role":"system","content":5}]}',
        b'{"messages":[{"role":"user"},{"role":"system","content":[5]}]}',
        b'{"messages":[{"role":"user"},{"role":"system","content":[{"type":"text","text":5}]}]}',
        b'{"system":"P"}',
        b'["system"]',
        b"",
    ],
)
def test_nothing_is_done_where_nothing_must_change_or_the_shape_is_another(body: bytes) -> None:
    found = _placed(body)

    assert found is None or json.loads(found.body) == json.loads(body)


def test_an_upstream_that_knows_them_is_given_them() -> None:
    assert _placed(_body(USER, SYSTEM), Dialect()) is None


_CONTENT = st.one_of(st.text(max_size=3), st.lists(st.builds(_text, st.text(min_size=1, max_size=3)), max_size=2))
_MESSAGE = st.fixed_dictionaries({"role": st.sampled_from(["user", "assistant", "system"]), "content": _CONTENT})


@given(messages=st.lists(_MESSAGE, max_size=8), spaced=st.booleans())
def test_nothing_that_is_said_gets_lost(messages: list[dict[str, Any]], spaced: bool) -> None:
    body = json.dumps({"messages": messages}, separators=None if spaced else (",", ":")).encode()
    found = _placed(body)

    sent = json.loads(body if found is None else found.body)
    assert "system" not in [message["role"] for message in sent["messages"]]
    assert sorted(_said(messages)) == sorted(_said([*sent["messages"], {"content": sent.get("system", "")}]))


def _said(messages: list[dict[str, Any]]) -> list[str]:
    texts = [
        block["text"]
        for message in messages
        for block in ([_text(message["content"])] if isinstance(message["content"], str) else message["content"])
    ]
    return [text.removeprefix("<system-reminder>\n").removesuffix("\n</system-reminder>") for text in texts if text]
