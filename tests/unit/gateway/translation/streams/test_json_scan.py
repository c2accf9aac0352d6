import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.gateway.translation.streams.json_scan import JsonScan

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(alphabet='ab"\\{}[]\n,:'),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(alphabet='k"\\}'), inner, max_size=3),
    max_leaves=8,
)


@given(st.dictionaries(st.text(alphabet='k"\\{'), VALUES, max_size=3))
def test_an_object_is_complete_at_its_last_character_and_not_before(value: dict[str, Any]) -> None:
    text = json.dumps(value)
    scan = JsonScan()
    for char in text[:-1]:
        scan.feed(char)
        assert not scan.complete
    scan.feed(text[-1])

    assert scan.complete


@given(st.dictionaries(st.text(), VALUES, max_size=3), st.integers(0, 200))
def test_the_cut_does_not_matter(value: dict[str, Any], at: int) -> None:
    text = json.dumps(value)
    scan = JsonScan()
    scan.feed(text[:at])
    scan.feed(text[at:])

    assert scan.complete


@pytest.mark.parametrize(
    ("text", "complete"),
    [
        ("", False),
        ('"a"', True),
        ('"a', False),
        ('"a\\"', False),
        ("[{}]", True),
        ("12", False),
        ("{}garbage", True),
        ("\\{}", True),
    ],
)
def test_other_values(text: str, *, complete: bool) -> None:
    scan = JsonScan()
    scan.feed(text)

    assert scan.complete is complete
