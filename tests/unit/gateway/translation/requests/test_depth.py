"""How deep JSON is nested."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.gateway.translation.refusal import TranslationError
from services.gateway.translation.requests.depth import check_body_depth, check_depth, too_deep
from services.gateway.translation.requests.limits import RequestLimits
from services.gateway.wire.outline import outline_of

_JSON = st.recursive(
    st.none() | st.integers() | st.text('[]{}"\\abnt\n/é', max_size=6),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text('[]{}"\\', max_size=4), inner, max_size=3),
    max_leaves=20,
)


def depth(value: Any) -> int:
    if isinstance(value, dict):
        return 1 + max((depth(item) for item in value.values()), default=0)
    if isinstance(value, list):
        return 1 + max((depth(item) for item in value), default=0)
    return 0


@given(_JSON, st.integers(1, 6))
def test_the_depth_is_the_depth(value: Any, limit: int) -> None:
    assert too_deep(json.dumps(value).encode(), limit) == (depth(value) > limit)


_MEMBERS = st.dictionaries(st.sampled_from(["a", "system", "content", "role", "type"]), _JSON, max_size=3)
_CONTENT = st.lists(_MEMBERS, max_size=3) | _JSON
_MESSAGES = (
    st.lists(st.fixed_dictionaries({"role": st.just("user"), "content": _CONTENT}) | _MEMBERS, max_size=4) | _JSON
)
_PADDING = json.dumps("x" * 4096).encode()


def spelled(value: Any, spacing: int, *, twice: bool) -> bytes:
    """Write JSON with more or less space, and with every member of a dict first with another value, if wanted."""
    comma, colon = (b",", b":") if spacing == 0 else (b", ", b": ") if spacing == 1 else (b" ,\n", b" : ")
    if isinstance(value, dict):
        members = [
            json.dumps(key).encode() + colon + spelled(item, spacing, twice=twice) for key, item in value.items()
        ]
        firsts = [json.dumps(key).encode() + colon + b"[[[[[[[[]]]]]]]]" for key in value] if twice else []
        return b"{" + comma.join(firsts + members) + b"}"
    if isinstance(value, list):
        return b"[" + comma.join(spelled(item, spacing, twice=twice) for item in value) + b"]"
    return json.dumps(value, ensure_ascii=spacing == 1).encode()


@given(_MESSAGES, _MEMBERS, st.integers(4, 9), st.integers(0, 2), st.booleans(), st.booleans())
def test_a_body_that_was_read_is_as_deep_as_it_is(
    messages: Any, others: dict[str, Any], limit: int, spacing: int, twice: bool, blocks: bool
) -> None:
    inner = spelled({**others, "messages": messages}, spacing, twice=twice)
    comma = b"," if spacing == 0 else b", "
    body = b'{"x":' + _PADDING + comma + inner[1:]
    outline = outline_of(body, blocks=blocks)
    assert outline is not None

    for _ in range(2):
        try:
            check_body_depth(body, limit, outline)
        except TranslationError:
            assert too_deep(body, limit)
        else:
            assert not too_deep(body, limit)


@pytest.mark.parametrize("depth", [61, 62, 63, 64, 65])
@pytest.mark.parametrize("place", ["tools", "messages", "content", "block", "result"])
@pytest.mark.parametrize("size", [0, 5000])
def test_the_limit_holds_wherever_a_body_is_deep(depth: int, place: str, size: int) -> None:
    above = {"tools": 1, "messages": 2, "content": 3, "block": 5, "result": 6}[place]
    deep = b"[" * (depth - above) + b'"%b"' % (b"y" * size) + b"]" * (depth - above)
    holders = {
        "tools": b'[],"tools":%b',
        "messages": b"[%b]",
        "content": b'[{"role":"user","content":%b}]',
        "block": b'[{"role":"user","content":[{"type":"tool_use","input":%b}]}]',
        "result": b'[{"role":"user","content":[{"type":"tool_result","content":[%b]}]}]',
    }
    body = b'{"system":%b,"messages":%b}' % (_PADDING, holders[place] % deep)
    for blocks in (True, False):
        outline = outline_of(body, blocks=blocks)
        if depth > 64:
            with pytest.raises(TranslationError, match="body: JSON is nested deeper than 64 levels"):
                check_body_depth(body, 64, outline)
        else:
            check_body_depth(body, 64, outline)


def test_what_was_shallow_once_is_looked_at_again_under_another_limit() -> None:
    body = b'{"messages":[],"tools":[%b,[[[[[[[[[[]]]]]]]]]]]}' % _PADDING
    outline = outline_of(body)

    check_body_depth(body, 12, outline)
    check_body_depth(body, 12, outline)
    with pytest.raises(TranslationError):
        check_body_depth(body, 11, outline)


def test_a_wall_of_openers_is_too_deep_and_costs_little() -> None:
    assert too_deep(b"[" * 1_000_000, 64)
    assert too_deep(b'[{"a":' * 10_000, 64)
    assert too_deep(b"[[][[]]" * 1_000, 64)


def test_quotes_and_backslashes_in_strings_are_understood() -> None:
    filler = json.dumps(["[", '"[', '\\"]', "\\", "\n[", '\\\\"'] * 30).encode()

    assert not too_deep(filler, 1)
    assert too_deep(b"[" + filler + b"]", 1)


def test_closers_without_openers_are_left_to_the_decoder() -> None:
    assert not too_deep(b"[]][[" * 40, 64)


def test_what_is_exactly_at_the_limit_passes() -> None:
    assert not too_deep(b"[" * 64 + b"1" + b"]" * 64, 64)
    assert too_deep(b"[" * 65 + b"1" + b"]" * 65, 64)


def test_the_refusal_names_the_part() -> None:
    with pytest.raises(TranslationError) as caught:
        check_depth(b"[[[]]]", 2, "tools.0.input_schema")

    assert caught.value.param == "tools.0.input_schema"
    assert caught.value.message == "tools.0.input_schema: JSON is nested deeper than 2 levels"
    check_depth(b"[[]]", 2, "tools.0.input_schema")


def test_the_limits_are_those_of_the_promises() -> None:
    assert RequestLimits() == RequestLimits(json_depth=64, messages=4096, tools=512)
