"""Which call a fragment of a stream that is passed on belongs to, and what a client that concatenates makes of it."""

from typing import Any

import pytest

from tests.support.openai_streams import DONE, FIRST, REPAIRED, bodies, call, calls, chunk, passed

_ARGUMENTS = '{"a":"bcd"}'


def _heard(stream: bytes) -> list[tuple[str, str, str]]:
    """Return id, name and arguments of every call, as OpenAI's SDK puts them together."""
    found: list[dict[str, str]] = []
    for body in bodies(passed(stream))[:-1]:
        for fragment in body["choices"][0]["delta"].get("tool_calls", ()):
            if fragment["index"] == len(found):
                found.append({"id": "", "name": "", "arguments": ""})
            one = found[fragment["index"]]
            one["id"] += fragment.get("id") or ""
            for name, said in fragment.get("function", {}).items():
                one[name] += said or ""
    return [(one["id"], one["name"], one["arguments"]) for one in found]


def _stream(*deltas: list[dict[str, Any]]) -> bytes:
    return FIRST + b"".join(calls(*delta) for delta in deltas) + chunk({}, "tool_calls") + DONE


@pytest.mark.parametrize("case", ["every call numbered 0", "the last call goes on"])
def test_arguments_reach_the_call_that_they_belong_to(case: str) -> None:
    """Also those that are like what was learned of the call before."""
    assert [("f", "f", _ARGUMENTS), ("g", "g", _ARGUMENTS)] == _heard(REPAIRED[case])


def test_calls_with_neither_number_nor_id_are_told_by_their_places() -> None:
    both = [call(None, "{", name="f"), call(None, "{", name="g")]
    rest = [call(None, "1}"), call(None, "2}")]

    assert [("call_req_1_0_0", "f", "{1}"), ("call_req_1_0_1", "g", "{2}")] == _heard(_stream(both, rest))


def test_one_that_begins_anew_is_another_call() -> None:
    stream = _stream([call(None, "{}", name="f")], [call(None, "{}", name="f")], [call(None, "{}", name="g")])

    assert ["f", "f", "g"] == [name for _, name, _ in _heard(stream)]
    same = _stream([call(0, "{}", name="f", call_id="a")], [call(0, "{}", name="f", call_id="b")])
    assert [("a", "f", "{}"), ("b", "f", "{}")] == _heard(same)


def test_an_id_for_every_fragment_makes_no_calls() -> None:
    stream = _stream(*([call(0, part, name="f", call_id=part)] for part in ("{", "1", "}")))

    assert [("{", "f", "{1}")] == _heard(stream)


def test_an_id_that_comes_late_is_the_last_calls() -> None:
    numberless = _stream([call(None, "", name="f")], [call(None, "{}", call_id="a")])
    numbered = _stream([call(0, "", name="f")], [call(0, "{}", name="f", call_id="a")])

    assert [("call_req_1_0_0", "f", "{}")] == _heard(numberless) == _heard(numbered)


def test_another_name_is_another_call_whoever_made_the_first_ones_id() -> None:
    stream = _stream([call(0, "{}", name="f")], [call(0, "{}", name="g", call_id="b")])

    assert [("call_req_1_0_0", "f", "{}"), ("b", "g", "{}")] == _heard(stream)
