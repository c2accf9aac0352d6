import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.gateway.translation.streams.tool_input import is_json, same_json, tool_input


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ("", b"{}"),
        ("  \n", b"{}"),
        ("{}", b"{}"),
        ('{"b": 1,  "a":"\\u00e9"}', b'{"b": 1,  "a":"\\u00e9"}'),
        ("[1,2]", b'{"value":[1,2]}'),
        ("null", b'{"value":null}'),
        ('"text"', b'{"value":"text"}'),
        ('{"a":[1,2,],}', b'{"a":[1,2]}'),
        ('{"a":"x,]\\",}"}', b'{"a":"x,]\\",}"}'),
        ('{"a":"one\ntwo\t"}', b'{"a":"one\\u000atwo\\u0009"}'),
        ('{"a":1}garbage', b'{"__raw_arguments":"{\\"a\\":1}garbage"}'),
        ('{"a":', b'{"__raw_arguments":"{\\"a\\":"}'),
        ('{"a":"unclosed', b'{"__raw_arguments":"{\\"a\\":\\"unclosed"}'),
    ],
)
def test_b47_b49_arguments_become_an_object(arguments: str, expected: bytes) -> None:
    assert tool_input(arguments) == expected


@given(st.text(alphabet='{}[]",:\\ab1\n '))
def test_any_text_becomes_an_object(arguments: str) -> None:
    assert isinstance(json.loads(tool_input(arguments)), dict)


@given(st.dictionaries(st.text(), st.integers() | st.text()))
def test_an_object_keeps_its_bytes(value: dict[str, Any]) -> None:
    text = json.dumps(value)

    assert tool_input(text) == text.encode()


def test_nesting_without_end_is_no_json() -> None:
    assert not is_json("[" * 100_000)
    assert b"__raw_arguments" in tool_input('{"a":' * 50_000)


def test_values_are_compared_as_json() -> None:
    assert same_json('{"a": 1}', '{"a":1}')
    assert not same_json('{"a": 1}', '{"a":2}')
    assert not same_json("{", "{")
    assert not same_json("{}", "{")
