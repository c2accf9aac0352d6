"""The top of a body, read once."""

import json
import tracemalloc

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.gateway.wire.outline import Outline, outline_of


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


TEXTS = [{"role": "user", "content": "a"}, {"role": "assistant", "content": None, "tool_calls": [{"id": "x"}]}]
BLOCKS = [
    {"role": "user", "content": "h\u00e9\n"},
    {"role": "assistant", "content": [{"type": "tool_use", "id": "x", "input": {"a": [1]}}, "odd", None], "n": 1},
]


@pytest.mark.parametrize(("messages", "blocks"), [(TEXTS, False), (TEXTS, True), (BLOCKS, False), (BLOCKS, True)])
def test_messages_are_taken_apart_and_lose_nothing(messages: list[object], blocks: bool) -> None:
    body = json.dumps({"model": "m", "messages": messages}, separators=(",", ":"), ensure_ascii=False).encode()
    found = outline_of(body, blocks=blocks)

    assert found is not None
    assert msgspec.json.encode(found.messages) == msgspec.json.encode(messages)
    assert found.is_compact
    spaced = outline_of(b" " + body, blocks=blocks)
    assert spaced is not None
    assert (spaced.is_compact, spaced.messages) == (False, [])


@pytest.mark.parametrize(
    "messages",
    [
        "null",
        "5",
        "[]",
        "[5]",
        '[{"role":"user","content":"a","content":"b"}]',
        '[{"role":"user","content":[{"text":[[1]],"text":"b"}]}]',
        '[{"role": "user", "content": "a"}]',
        '[{"role":"user","content":[[1]]}]',
        '[{"role":"user","content":"\\u0061"}]',
        '[{"role":"user","content":1.50}]',
    ],
)
def test_messages_that_are_more_than_they_seem_are_none(messages: str) -> None:
    found = outline_of(f'{{"messages":{messages}}}'.encode(), blocks=True)

    assert found is not None
    assert found.messages == []


def test_a_body_without_messages_has_none() -> None:
    found = outline_of(b'{"model":"m"}')

    assert found is not None
    assert found.messages == []


@given(st.dictionaries(st.text(max_size=3), st.integers(0, 99), max_size=4), st.booleans(), st.booleans())
def test_a_compact_body_is_nothing_but_its_members(members: dict[str, int], ascii_only: bool, twice: bool) -> None:
    body = json.dumps(members, separators=(",", ":"), ensure_ascii=ascii_only).encode()
    if twice and members:
        body = body[:-1] + b"," + body[1:]
    found = outline_of(body)

    assert found is not None
    assert not found.is_compact or msgspec.json.encode(found.members) == body
    assert not found.is_whole or not (twice and members)


def test_a_body_of_little_things_is_not_taken_apart_without_bound() -> None:
    small, huge = (b'{"messages":[%b{}]}' % (b'{"":1},' * count) for count in (290_000, 310_000))

    tracemalloc.start()
    try:
        found = outline_of(small)
        assert found is not None
        assert len(found.messages) == 290_001
        assert tracemalloc.get_traced_memory()[1] < 128 * 1024 * 1024
        assert outline_of(huge) is None
    finally:
        tracemalloc.stop()


def test_who_reads_a_larger_one_for_reasons_of_its_own_takes_apart_no_more_of_it() -> None:
    body = b'{"messages":[%b{}]}' % (b'{"":1},' * 310_000)
    read = msgspec.json.decode(body, type=dict[str, msgspec.Raw])

    tracemalloc.start()
    try:
        assert Outline(body, read).messages == []
        assert tracemalloc.get_traced_memory()[1] < 1024 * 1024
    finally:
        tracemalloc.stop()
