from collections.abc import Mapping
from itertools import count

import pytest

from services.gateway.translation.streams.events import Event, TextDelta, ToolArguments, ToolEnd, ToolStart
from services.gateway.translation.streams.tool_buffer import Call, ToolBuffer


class Bench:
    """A buffer with calls by number, and what has come out of it."""

    def __init__(self, names: Mapping[str, str] = {}) -> None:
        numbers = count(1)
        self.buffer = ToolBuffer(lambda: f"toolu_{next(numbers)}", names)
        self.calls: list[Call] = []
        self._out: list[Event] = []

    def open(self, name: str | None = "f", call_id: str | None = "id", key: int | None = None) -> Call:
        call = self.buffer.open(len(self.calls) if key is None else key, call_id, name)
        self.calls.append(call)
        return call

    def add(self, number: int, *fragments: str) -> list[Event]:
        for fragment in fragments:
            self.buffer.arguments(self.calls[number], fragment, self._out)
        return self.taken()

    def hold(self, text: str) -> list[Event]:
        self.buffer.hold(TextDelta(text), self._out)
        return self.taken()

    def flush(self) -> list[Event]:
        self.buffer.flush(self._out)
        return self.taken()

    def close(self, number: int) -> list[Event]:
        self.buffer.close(self.calls[number], self._out)
        return self.taken()

    def begin(self, number: int) -> list[Event]:
        self.buffer.begin(self.calls[number], self._out)
        return self.taken()

    def taken(self) -> list[Event]:
        out, self._out = self._out, []
        return out


def whole(call_id: str, name: str, *fragments: str) -> list[Event]:
    return [ToolStart(call_id, name), *map(ToolArguments, fragments), ToolEnd()]


def test_the_first_call_is_live() -> None:
    bench = Bench()
    bench.open("f", "a")

    assert bench.add(0, "") == []
    assert bench.add(0, '{"x"') == [ToolStart("a", "f"), ToolArguments('{"x"')]
    assert bench.add(0, ":1}") == [ToolArguments(":1}")]
    assert not bench.buffer.idle
    assert bench.flush() == [ToolEnd()]
    assert bench.buffer.idle
    assert bench.buffer.emitted == 1


def test_b68_fragments_of_other_calls_are_held_until_the_live_one_is_complete() -> None:
    bench = Bench()
    bench.open("f", "a")
    bench.open("g", "b")
    bench.add(0, '{"x":')

    assert bench.add(1, '{"y":', "2}") == []
    assert bench.add(0, "1}") == [ToolArguments("1}"), ToolEnd(), ToolStart("b", "g"), ToolArguments('{"y":2}')]
    assert bench.flush() == [ToolEnd()]


def test_an_incomplete_live_call_is_flushed_before_the_others_in_the_order_of_their_keys() -> None:
    bench = Bench()
    for key, name in ((0, "f"), (2, "h"), (1, "g")):
        bench.open(name, name, key)
    bench.add(0, '{"x":')
    bench.add(1, '{"z":3}')
    bench.add(2, '{"y":2}')

    assert bench.flush() == [ToolEnd(), *whole("g", "g", '{"y":2}'), *whole("h", "h", '{"z":3}')]


def test_b65_text_waits_for_the_live_call() -> None:
    bench = Bench()
    bench.open("f", "a")
    bench.add(0, '{"x":')

    assert bench.hold("wait") == []
    assert bench.add(0, '"}') == [ToolArguments('"}')]
    assert bench.add(0, '"}') == [ToolArguments('"}'), ToolEnd(), TextDelta("wait")]
    assert bench.buffer.idle


def test_text_after_a_complete_call_goes_out_at_once_and_late_fragments_are_dropped() -> None:
    bench = Bench()
    bench.open("f", "a")
    bench.add(0, '{"x":1}')

    assert bench.hold("now") == [ToolEnd(), TextDelta("now")]
    assert bench.add(0, "late") == []


def test_text_that_waits_at_the_end_comes_after_the_call_it_waited_for() -> None:
    bench = Bench()
    bench.open("f", "a")
    bench.open("g", "b")
    bench.add(0, '{"x":')
    bench.add(1, "{}")
    bench.hold("text")

    assert bench.flush() == [ToolEnd(), TextDelta("text"), *whole("b", "g", "{}")]


def test_b70_arguments_wait_for_the_name() -> None:
    bench = Bench()
    call = bench.open(None, None)

    assert bench.add(0, '{"x":', "1}") == []
    call.name = "f"
    assert bench.add(0, "") == [ToolStart("toolu_1", "f"), ToolArguments('{"x":1}')]


def test_b71_a_call_without_a_name_is_dropped() -> None:
    bench = Bench()
    bench.open(None, "a")
    bench.open("g", "b")
    bench.add(0, "{}")

    assert bench.add(1, '{"y":1}') == []
    assert bench.flush() == whole("b", "g", '{"y":1}')
    assert (bench.buffer.unnamed, bench.buffer.emitted) == (1, 1)


@pytest.mark.parametrize(
    ("fragments", "sent"),
    [
        (["{}", '{"a":1}'], '{"a":1}'),
        (["{}", "{}", '{"a"', ":1}"], '{"a":1}'),
        (["{}"], "{}"),
        (["{}", "{}"], "{}"),
        ([" {} "], "{}"),
        (["{}", " "], "{} "),
        (["{", "}"], "{}"),
        ([], ""),
        (["[", "1]"], "[1]"),
        ([" ", "{}"], " {}"),
        (['{"a":1}', '{"a":1}'], '{"a":1}'),
        (['{"a":', "1}", '{"a": 1}'], '{"a":1}'),
        (['{"a":', '{"a":', "1}}"], '{"a":{"a":1}}'),
        (['{"a":1}', '{"b":2}'], '{"a":1}{"b":2}'),
        (['{"a":1}', "garbage"], '{"a":1}garbage'),
    ],
)
def test_b73_beginnings_and_copies_are_sent_once(fragments: list[str], sent: str) -> None:
    bench = Bench()
    bench.open("f", "a")
    events = bench.add(0, *fragments) + bench.flush()

    assert events[0] == ToolStart("a", "f")
    assert events[-1] == ToolEnd()
    assert "".join(event.fragment for event in events if isinstance(event, ToolArguments)) == sent


def test_b73_a_lone_pair_of_braces_does_not_make_way() -> None:
    bench = Bench()
    bench.open("f", "a")
    bench.open("g", "b")
    bench.add(0, "{}")
    bench.add(1, "{}")

    assert bench.add(0, '{"x":1}') == whole("a", "f", '{"x":1}')
    assert bench.flush() == whole("b", "g", "{}")


def test_b61_b62_ids_are_legal_and_unique() -> None:
    bench = Bench()
    for call_id in ("functions.Bash:0", "functions.Bash:0", "functions.Bash_0", "functions/Bash_0", "", None, "ok"):
        bench.open("f", call_id)
    ids = [event.id for event in bench.flush() if isinstance(event, ToolStart)]

    assert len(set(ids)) == 7
    assert all(call_id.replace("_", "").replace("-", "").isalnum() for call_id in ids)
    assert (ids[1], ids[4], ids[5], ids[6]) == ("toolu_1", "toolu_2", "toolu_3", "ok")
    again = Bench()
    again.open("f", "functions.Bash:0")
    [start, _] = again.flush()
    assert start == ToolStart(ids[0], "f")


def test_names_get_the_clients_spelling() -> None:
    bench = Bench({"mcp_1": "mcp.one"})
    bench.open("mcp_1", "a")

    assert bench.flush() == whole("a", "mcp.one")


def test_a_call_may_begin_before_its_arguments_if_it_is_live_and_named() -> None:
    bench = Bench()
    bench.open("f", "a")
    bench.open("g", "b")
    bench.open(None, "c")

    assert bench.begin(0) == [ToolStart("a", "f")]
    assert bench.begin(1) == []
    assert bench.begin(2) == []


def test_b140_a_closed_call_makes_way_whatever_its_arguments() -> None:
    bench = Bench()
    bench.open("f", "a")
    bench.open("g", "b")

    assert bench.add(1, '{"y":1}') == []
    assert bench.close(1) == []
    assert bench.close(0) == [*whole("a", "f"), *whole("b", "g", '{"y":1}')]
    assert bench.calls[0].empty
    assert not bench.calls[1].empty
