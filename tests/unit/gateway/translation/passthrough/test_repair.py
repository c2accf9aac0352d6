"""What both repairing machines share."""

import pytest

from services.gateway.translation.passthrough.anthropic_repair import AnthropicRepair
from services.gateway.translation.passthrough.openai_repair import OpenAIRepair
from services.gateway.translation.passthrough.repair import StreamRepair, plain
from services.gateway.translation.streams.faults import TRUNCATED
from tests.support.frames import DONE, block_start, block_stop, chunk, message_end, message_start

OPENAI = chunk({"role": "assistant", "content": "a"}) + chunk({}, "stop") + DONE
ANTHROPIC = message_start() + block_start(0, "text") + block_stop(0) + message_end()
MACHINES = {
    "openai": (lambda: OpenAIRepair("req_1", include_usage=False), OPENAI),
    "anthropic": (lambda: AnthropicRepair("req_1"), ANTHROPIC),
}


@pytest.fixture(params=MACHINES)
def machine(request: pytest.FixtureRequest) -> StreamRepair:
    return MACHINES[request.param][0]()


@pytest.fixture
def stream(machine: StreamRepair) -> bytes:
    return OPENAI if isinstance(machine, OpenAIRepair) else ANTHROPIC


def test_the_states_of_a_whole_stream(machine: StreamRepair, stream: bytes) -> None:
    assert (machine.begun, machine.finished) == (False, False)
    out = machine.feed(b": kept\n\n" + stream[:20])
    assert (out, machine.begun) == (b"", False)
    out += machine.feed(stream[20:-2])
    assert (machine.begun, machine.finished) == (True, False)
    out += machine.feed(stream[-2:])
    assert (machine.begun, machine.finished, machine.fault) == (True, True, None)
    assert out == b": kept\n\n" + stream
    assert (machine.feed(stream), machine.eof()) == (b"", b"")


def test_a_failure_is_the_end(machine: StreamRepair, stream: bytes) -> None:
    machine.feed(stream[:-2])

    assert b"before the answer was complete" in machine.fail(TRUNCATED)
    assert (machine.finished, machine.fault) == (True, TRUNCATED)
    assert (machine.feed(stream[-2:]), machine.eof()) == (b"", b"")


def test_the_request_id_is_in_an_anthropic_error() -> None:
    assert b'"request_id":"req_1"' in AnthropicRepair("req_1").fail(TRUNCATED)


def test_json_on_several_lines_is_written_on_one() -> None:
    assert plain(b'{"a":\n"b\\n" }') == b'data: {"a":"b\\n"}\n\n'
    assert plain(b'{"a": 1 }') == b'data: {"a": 1 }\n\n'
