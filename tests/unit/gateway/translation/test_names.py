"""Spelling of tool names and ids."""

import hashlib
import re

from hypothesis import given
from hypothesis import strategies as st

from services.gateway.translation.names import ToolIds, ToolNames

_LEGAL = re.compile(r"[a-zA-Z0-9_-]{1,64}")
_NAMES = st.one_of(
    st.from_regex(_LEGAL, fullmatch=True),
    st.text(max_size=90),
    st.sampled_from(["a.b", "a/b", "a_b", "x" * 65, "x" * 66]),
)


def digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:8]


def test_a_legal_name_is_left_alone() -> None:
    names = ToolNames(["get_weather", "x" * 64])

    assert names.upstream("get_weather") == "get_weather"
    assert names.upstream("x" * 64) == "x" * 64
    assert names.changed == {}


def test_a_long_name_becomes_55_characters_and_a_hash() -> None:
    long = "mcp__server__" + "x" * 60
    names = ToolNames([long])

    sent = names.upstream(long)

    assert sent == f"{long[:55]}_{digest(long)}"
    assert len(sent) == 64
    assert names.changed == {sent: long}


def test_illegal_characters_are_replaced_and_the_hash_tells_names_apart() -> None:
    names = ToolNames(["a.b", "a/b"])

    assert names.upstream("a.b") == f"a_b_{digest('a.b')}"
    assert names.upstream("a/b") == f"a_b_{digest('a/b')}"


def test_another_limit_shortens_the_stem() -> None:
    assert ToolNames(["abcdefghijklm"], limit=12).upstream("abcdefghijklm") == f"abc_{digest('abcdefghijklm')}"


def test_a_mapped_name_never_takes_the_place_of_a_real_one() -> None:
    taken = f"a_b_{digest('a.b')}"
    names = ToolNames(["a.b", taken])

    assert names.upstream(taken) == taken
    assert names.upstream("a.b") == f"a_b_{digest('a.b' + chr(0) + '1')}"
    assert names.changed == {names.upstream("a.b"): "a.b"}


def test_a_legal_name_of_the_history_gives_way_to_a_mapped_one() -> None:
    names = ToolNames(["a.b"])
    taken = f"a_b_{digest('a.b')}"

    assert names.upstream(taken) == f"{taken}_{digest(taken)}"


def test_a_name_with_a_lone_surrogate_is_mapped() -> None:
    assert ToolNames().upstream("\ud800").startswith("__")


@given(st.lists(_NAMES, max_size=8), st.lists(_NAMES, max_size=8))
def test_names_are_legal_distinct_stable_and_reversible(declared: list[str], history: list[str]) -> None:
    names = ToolNames(declared)
    every = [*declared, *history]

    sent = {name: names.upstream(name) for name in every}

    assert len(set(sent.values())) == len(set(every))
    assert all(_LEGAL.fullmatch(value) for value in sent.values())
    assert all(names.changed.get(value, value) == name for name, value in sent.items())
    again = ToolNames(declared)
    assert sent == {name: again.upstream(name) for name in every}


def test_a_copy_has_the_same_names_and_its_own_from_then_on() -> None:
    names = ToolNames(["a.b"])
    other = names.copy()

    sent = other.upstream("c.d")

    assert other.upstream("a.b") == names.upstream("a.b")
    assert set(other.changed.values()) == {"a.b", "c.d"}
    assert set(names.changed.values()) == {"a.b"}
    assert names.upstream(sent) == sent


def test_b62_ids_of_other_vendors_are_cleaned_and_long_legal_ones_kept() -> None:
    ids = ToolIds()

    assert ids.upstream("functions.Bash:0") == f"functions_Bash_0_{digest('functions.Bash:0')}"
    assert ids.upstream("functions.Bash:0") == f"functions_Bash_0_{digest('functions.Bash:0')}"
    assert ids.upstream("toolu_" + "x" * 90) == "toolu_" + "x" * 90


@given(st.lists(_NAMES, max_size=8))
def test_an_id_does_not_depend_on_those_that_come_later(every: list[str]) -> None:
    whole, part = ToolIds(), ToolIds()

    long = [whole.upstream(name) for name in every]

    assert long[: len(every) // 2] == [part.upstream(name) for name in every[: len(every) // 2]]
    assert len(set(long)) == len(set(every))
