"""What both repairing machines share."""

import pytest

from services.gateway.translation.passthrough.anthropic_repair import AnthropicRepair
from services.gateway.translation.passthrough.openai_repair import OpenAIRepair
from services.gateway.translation.passthrough.repair import StreamRepair, plain
from services.gateway.translation.streams.faults import NO_DATA, TRUNCATED
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


def test_a_last_event_that_is_cut_off_before_its_data_is_dropped(machine: StreamRepair, stream: bytes) -> None:
    """SDKs read `event: x` without data as an event, and fail on its body."""
    whole = stream[: -len(stream.rstrip(b"\n").rpartition(b"\n\n")[2]) - 2]
    out = machine.feed(whole) + machine.feed(b"event: message_st") + machine.eof()

    assert out.startswith(whole)
    assert out[len(whole) :] in {DONE, b'event: message_stop\ndata: {"type":"message_stop"}\n\n'}
    assert machine.fault is None


@pytest.mark.parametrize("rest", [b": comm", b"ev", b"event: message_stop\n", b"id: 1\r\n"])
def test_what_is_cut_off_before_its_data_is_dropped_whatever_it_is(machine: StreamRepair, rest: bytes) -> None:
    out = machine.feed(rest) + machine.eof()

    assert out.startswith((b"event: error\n", b"data: "))
    assert out.count(b"\n\n") == 1
    assert machine.fault == NO_DATA


def test_a10_11_a_stream_is_settled_once_reason_and_usage_are_known() -> None:
    usage = {"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2}
    openai = OpenAIRepair("", include_usage=True)
    assert not openai.settled
    openai.feed(chunk({"content": "a"}))
    assert not openai.settled
    openai.feed(chunk({}, "stop"))
    assert not openai.settled  # the usage may still come
    openai.feed(chunk(usage=usage))
    assert openai.settled
    openai.feed(DONE)
    assert not openai.settled

    anthropic = AnthropicRepair("")
    anthropic.feed(message_start() + block_start(0, "text") + block_stop(0))
    assert not anthropic.settled
    delta, stop = message_end().split(b"event: message_stop")
    anthropic.feed(delta)
    assert anthropic.settled
    anthropic.feed(b"event: message_stop" + stop)
    assert not anthropic.settled


@pytest.mark.parametrize("frame", [b"event: message_stop\n\n", b"id: 1\r\nevent\r\n\r\n", b"event:x\nretry: 1\n\n"])
def test_a_name_without_data_is_dropped_wherever_it_is(machine: StreamRepair, stream: bytes, frame: bytes) -> None:
    first, rest = stream.split(b"\n\n", 1)

    assert machine.feed(frame + first + b"\n\n" + frame + rest) == stream


def test_a_comment_may_speak_of_events(machine: StreamRepair, stream: bytes) -> None:
    comment = b": event: none yet\n\n"

    assert machine.feed(comment + stream) == comment + stream
