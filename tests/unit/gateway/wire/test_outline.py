"""The top of a body, read once."""

import json

import pytest

from services.gateway.wire.outline import outline_of


def test_the_members_are_there_by_name_and_raw() -> None:
    found = outline_of(b'{ "a" : [1, {"b": 2}], "c":"\\u00e9" }')

    assert found is not None
    assert {"a": b'[1, {"b": 2}]', "c": b'"\\u00e9"'} == {name: bytes(value) for name, value in found.members.items()}


@pytest.mark.parametrize("body", [b"", b"[]", b"7", b"{", b'{"a":1} x', b'{"\xff":1}', b'{"a":' * 10_000])
def test_what_is_no_object_has_none(body: bytes) -> None:
    assert outline_of(body) is None


@pytest.mark.parametrize(
    ("body", "whole"),
    [
        (json.dumps({"a": [1, 2], "b": "c"}).encode(), True),
        (json.dumps({"a": [1, 2], "b": "c"}, separators=(",", ":")).encode(), True),
        (b"{}", True),
        (b'{"a":1,"a":1}', False),
        (b'{"a":1,"b":2,"a":3}', False),
        (b'{"a": 1,"b":2}', False),
    ],
)
def test_a_body_is_whole_if_its_members_are_all_of_it(body: bytes, whole: bool) -> None:
    found = outline_of(body)

    assert found is not None
    assert whole == found.is_whole
