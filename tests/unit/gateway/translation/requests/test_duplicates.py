"""Finding out that a body says one thing twice."""

import json

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.gateway.translation.refusal import TranslationError
from services.gateway.translation.requests.duplicates import refuse_duplicates
from services.gateway.wire.outline import Outline

KEYS = st.sampled_from(["a", "b", "model", 'q"', "é", "\\"])


def check(body: bytes) -> None:
    refuse_duplicates(Outline(body, msgspec.json.decode(body, type=dict[str, msgspec.Raw])))


@pytest.mark.parametrize(
    "body",
    [
        b'{"a":1,"a":2}',
        b'{"a": 1, "a": 1}',
        b'{"a":1,"b":{"a":1},"\\u0061":2}',
        b'{\n"a": 1,\n"b": [], "a":' + b"9" * 5000 + b"}",
    ],
)
def test_two_equal_keys_are_refused(body: bytes) -> None:
    with pytest.raises(TranslationError, match="a: the key occurs twice") as caught:
        check(body)

    assert caught.value.param == "a"


def test_the_same_key_further_down_is_another() -> None:
    check(b'{"a":{"a":1,"a":2},"b":[{"a":1}]}')


def test_a_long_key_is_not_repeated_whole() -> None:
    key = "k" * 1000
    with pytest.raises(TranslationError) as caught:
        check(f'{{"{key}":1,"{key}":2}}'.encode())

    assert len(caught.value.message) < 100


@given(
    st.lists(st.tuples(KEYS, st.integers() | st.text())), st.sampled_from([(",", ":"), (", ", ": "), (" ,\n", " : ")])
)
def test_a_body_is_refused_exactly_if_a_key_occurs_twice(
    pairs: list[tuple[str, object]], separators: tuple[str, str]
) -> None:
    comma, colon = separators
    body = "{" + comma.join(f"{json.dumps(key)}{colon}{json.dumps(value)}" for key, value in pairs) + "}"
    keys = [key for key, _ in pairs]
    try:
        check(body.encode())
        refused = False
    except TranslationError:
        refused = True

    assert refused == (len(set(keys)) < len(keys))
