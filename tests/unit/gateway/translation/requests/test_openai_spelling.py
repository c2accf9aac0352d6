"""What an upstream of OpenAI's format does not know is spelt as it knows it, and everything else stays as it came."""

import json
from typing import Any

import pytest

from services.gateway.dialect import GLM_OPENAI, Dialect
from services.gateway.translation.requests.openai_spelling import respelt
from services.gateway.wire.mend import BROKEN
from services.gateway.wire.outline import Outline, outline_of

USER = {"role": "user", "content": "hi"}
LONG = {"role": "user", "content": "x" * 5000}


def _respelt(body: bytes, dialect: Dialect = GLM_OPENAI) -> Outline | None:
    """Return what becomes of a body; None as well where it has another shape, which the caller leaves alone."""
    outline = outline_of(body)
    try:
        found = None if outline is None else respelt(outline, dialect)
    except BROKEN:
        return None
    assert found is None or found.dropped == ()
    return None if found is None else found.outline


def _body(*messages: Any, **more: Any) -> bytes:
    return json.dumps({"model": "m", "messages": messages, **more}, separators=(",", ":")).encode()


@pytest.mark.parametrize("others", [[USER], [LONG], [LONG, {"role": "developer", "content": "again"}]])
def test_a_developer_is_the_system(others: list[Any]) -> None:
    found = _respelt(_body({"role": "developer", "content": "D", "name": "x"}, *others))

    assert found is not None
    messages = json.loads(found.body)["messages"]
    expected = [{**message, "role": message["role"].replace("developer", "system")} for message in others]
    assert messages == [{"role": "system", "content": "D", "name": "x"}, *expected]


@pytest.mark.parametrize("spaced", [False, True])
def test_only_the_role_counts_and_other_messages_keep_their_bytes(*, spaced: bool) -> None:
    said = b'{"role":"user",  "content":"the \\"developer\\"", "n":1.50}'
    named = b'{"role":"user","content":"a","name":"developer"}'
    space = b" " if spaced else b""
    body = b'{"messages":%b[%b,%b,{"role":"developer","content":"D"}]}' % (space, said, named)

    assert (found := _respelt(body)) is not None
    assert found.body == b'{"messages":[%b,%b,{"role":"system","content":"D"}]}' % (said, named)


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({"max_completion_tokens": 5}, {"max_tokens": 5}),
        ({"max_completion_tokens": 5, "max_tokens": 7}, {"max_tokens": 5}),
    ],
)
def test_the_limit_goes_by_the_name_that_is_known(given: dict[str, Any], expected: dict[str, Any]) -> None:
    found = _respelt(_body(USER, **given))

    assert found is not None
    assert json.loads(found.body) == {"model": "m", "messages": [USER], **expected}


@pytest.mark.parametrize(
    "body",
    [
        _body(USER, max_tokens=5),
        _body(USER, max_completion_tokens=None, max_tokens=5),
        _body(LONG, {"role": "user", "content": '"developer"'}),
        b'{"messages":"developer"}',
        b'{"messages":["developer"]}',
        b'{"messages":[{"role":"developer"},{"developer"}]}',
        b'{"a":"max_completion_tokens"}',
        b'["developer"]',
        b"{}",
        b"",
    ],
)
def test_nothing_is_done_where_nothing_must_change_or_the_shape_is_another(body: bytes) -> None:
    found = _respelt(body)

    assert found is None or json.loads(found.body) == json.loads(body)


def test_an_upstream_that_knows_both_is_given_both() -> None:
    dialect = Dialect(developer_role=True, max_tokens_field="max_completion_tokens")

    assert _respelt(_body({"role": "developer", "content": "D"}, max_completion_tokens=5), dialect) is None
