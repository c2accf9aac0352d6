"""Inputs of calls that are no objects become ones, and everything else stays as it came."""

import json
from typing import Any

import pytest

from services.gateway.dialect import GLM_ANTHROPIC, Dialect
from services.gateway.translation.requests.adapted import Adapted
from services.gateway.translation.requests.call_inputs import with_object_inputs
from services.gateway.wire.mend import BROKEN
from services.gateway.wire.outline import outline_of

USER = {"role": "user", "content": "hi"}
RESULT = {"type": "tool_result", "tool_use_id": "t", "content": '"input":["x"]'}


def _call(given: Any) -> dict[str, Any]:
    return {"type": "tool_use", "id": "t", "name": "ls", "input": given}


def _mended(body: bytes, dialect: Dialect = GLM_ANTHROPIC) -> Adapted | None:
    """Return what becomes of a body; None as well where it has another shape, which the caller leaves alone."""
    outline = outline_of(body, blocks=True)
    try:
        return None if outline is None else with_object_inputs(outline, dialect)
    except BROKEN:
        return None


def _body(*blocks: Any, spaced: bool = False) -> bytes:
    messages = [USER, {"role": "assistant", "content": [*blocks]}, {"role": "user", "content": [RESULT]}]
    return json.dumps({"model": "m", "messages": messages}, separators=None if spaced else (",", ":")).encode()


@pytest.mark.parametrize("spaced", [False, True])
@pytest.mark.parametrize("given", [[], [{"command": "ls"}, ["x"]], "ls", 5, None])
def test_what_is_no_object_is_put_into_one(given: Any, *, spaced: bool) -> None:
    text = {"type": "text", "text": "a"}
    found = _mended(_body(text, _call(given), _call({"a": [1]}), spaced=spaced))

    assert found is not None
    assert json.loads(found.outline.body) == json.loads(_body(text, _call({"value": given}), _call({"a": [1]})))
    assert found.dropped == ()


def test_other_blocks_keep_their_bytes() -> None:
    text = b'{"type":"text",  "text":"\\"input\\":[]", "n":1.50}'
    tool = b'{"type":"tool_use","id":"u","name":"ls","input":{"b" : [1.0]}}'
    body = b'{"messages":[%b,{"role":"assistant","content":[%b,%b,{"type":"tool_use","id":"t","input":[1.50]}]}]}'
    user = b'{"role":"user",  "content":"hi"}'

    assert (found := _mended(body % (user, text, tool))) is not None
    mended = (body % (user, text, tool)).replace(b"[1.50]", b'{"value":[1.50]}')
    assert found.outline.body == mended


@pytest.mark.parametrize(
    "body",
    [
        _body(_call({})),
        _body(_call({}), spaced=True),
        _body({"type": "server_tool_use", "input": []}),
        _body({"type": "server_tool_use", "input": []}, spaced=True),
        _body({"type": "tool_use", "id": "t", "name": "ls"}),
        b'{"messages": [{"role":"assistant","input":[]}]}',
        b'{"messages": [5,{"content":[{"type":"tool_use","input":[]}]}]}',
        b'{"messages":"tool_use"}',
        b"{}",
        b"[]",
    ],
)
def test_nothing_is_done_where_nothing_must_change_or_the_shape_is_another(body: bytes) -> None:
    assert _mended(body) is None


def test_an_upstream_that_says_what_it_takes_is_given_what_there_is() -> None:
    assert _mended(_body(_call([])), Dialect()) is None
