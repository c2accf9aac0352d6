"""How deep JSON is nested."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.gateway.translation.refusal import TranslationError
from services.gateway.translation.requests.limits import RequestLimits, check_depth, too_deep

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
