from itertools import count

import pytest

from services.gateway.translation.streams.call_index import CallIndex
from services.gateway.translation.streams.events import Event, ToolArguments, ToolStart
from services.gateway.translation.streams.tool_buffer import ToolBuffer
from services.gateway.wire.openai_events import Function, ToolCall

Fragment = tuple[int | None, str | None, str | None, str]


def read(*chunks: list[Fragment]) -> list[tuple[str, str, str]]:
    """The calls that come of some chunks: id, name, arguments."""
    numbers = count(1)
    tools = ToolBuffer(lambda: f"new_{next(numbers)}", {})
    index = CallIndex(tools)
    out: list[Event] = []
    for fragments in chunks:
        for position, (number, call_id, name, text) in enumerate(fragments):
            item = ToolCall(number, call_id, Function(name, text))
            tools.arguments(index.call_of(item, position, name or "", alone=len(fragments) == 1), text, out)
    tools.flush(out)
    calls: list[tuple[str, str, str]] = []
    for event in out:
        if isinstance(event, ToolStart):
            calls.append((event.id, event.name, ""))
        elif isinstance(event, ToolArguments):
            calls[-1] = (*calls[-1][:2], calls[-1][2] + event.fragment)
    return calls


@pytest.mark.parametrize(
    ("chunks", "calls"),
    [
        pytest.param(
            [[(0, "a", "f", "")], [(0, None, None, '{"x":1}')], [(1, "b", "g", "")], [(1, None, None, '{"y":2}')]],
            [("a", "f", '{"x":1}'), ("b", "g", '{"y":2}')],
            id="as the reference says",
        ),
        pytest.param(
            [[(0, "a", "f", "{"), (1, "b", "g", "{")], [(1, None, None, "}"), (0, None, None, "}")]],
            [("a", "f", "{}"), ("b", "g", "{}")],
            id="interleaved",
        ),
        pytest.param(
            [[(0, None, "f", "{")], [(0, "late", None, "}")]], [("new_1", "f", "{}")], id="id after the start"
        ),
        pytest.param(
            [[(0, None, "f", "")], [(0, "late", None, "{}")]], [("late", "f", "{}")], id="id before the start"
        ),
        pytest.param([[(0, "a", "f", "{")], [(0, "a", "f", "}")]], [("a", "f", "{}")], id="id and name repeated"),
        pytest.param(
            [[(0, "a", "get_", "")], [(0, None, "time", "{ }")]], [("a", "get_time", "{ }")], id="name in two"
        ),
        pytest.param(
            [[(0, "a", "f", '{"x":')], [(0, "b", "f", "1}")]], [("a", "f", '{"x":1}')], id="a new id for every fragment"
        ),
        pytest.param(
            [[(0, "a", "f", '{"x":1}')], [(0, "b", "f", '{"x":2}')]],
            [("a", "f", '{"x":1}'), ("b", "f", '{"x":2}')],
            id="every call is number 0",
        ),
        pytest.param(
            [[(0, "a", "f", "{}")], [(0, "b", "f", "{}")], [(0, "c", "g", "")]],
            [("a", "f", "{}"), ("b", "f", "{}"), ("c", "g", "")],
            id="every call is number 0 and without arguments",
        ),
        pytest.param(
            [[(None, "a", "f", "{"), (None, "b", "g", "{")], [(None, "a", None, "}"), (None, "b", None, "}")]],
            [("a", "f", "{}"), ("b", "g", "{}")],
            id="ids and no index",
        ),
        pytest.param(
            [[(None, None, "f", "{"), (None, None, "g", "{")], [(None, None, None, "}"), (None, None, None, "}")]],
            [("new_1", "f", "{}"), ("new_2", "g", "{}")],
            id="neither: the position",
        ),
        pytest.param(
            [[(None, None, "f", "{")], [(None, None, None, '"x":1}')], [(None, None, "g", "{}")]],
            [("new_1", "f", '{"x":1}'), ("new_2", "g", "{}")],
            id="neither and alone: the last, or a new one after a whole one",
        ),
        pytest.param(
            [[(0, None, None, "{")], [(0, None, "f", "}")]], [("new_1", "f", "{}")], id="name after arguments"
        ),
        pytest.param(
            [[(None, None, None, "{")], [(None, None, "f", "}")]], [("new_1", "f", "{}")], id="neither, name late"
        ),
    ],
)
def test_b71_fragments_find_their_call(chunks: list[list[Fragment]], calls: list[tuple[str, str, str]]) -> None:
    assert read(*chunks) == calls
