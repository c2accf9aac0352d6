"""Which machine stands between which two dialects, and that each does its work."""

import json
from typing import Any

import pytest

from services.gateway.conversion import (
    Conversion,
    FoldedStream,
    Pair,
    WholeBody,
    body_conversion,
    stream_conversion,
    whole_body,
)
from services.gateway.translation.context import ResponseContext
from services.gateway.translation.fault import Fault
from services.gateway.translation.streams.faults import TRUNCATED
from services.gateway.wire.formats import WireFormat
from tests.support.frames import DONE, chunk, data, message_end, message_start, text_block
from tests.support.reading import events_of

OPENAI, ANTHROPIC, RESPONSES = WireFormat.OPENAI, WireFormat.ANTHROPIC, WireFormat.RESPONSES
_PAIRS = [(client, upstream) for client in (OPENAI, ANTHROPIC, RESPONSES) for upstream in (OPENAI, ANTHROPIC)]

_STREAMS = {
    OPENAI: chunk({"role": "assistant", "content": "Hi"})
    + chunk({}, "stop")
    + chunk(usage={"prompt_tokens": 3, "completion_tokens": 9})
    + DONE,
    ANTHROPIC: message_start(input_tokens=3, output_tokens=1) + text_block(0, "Hi") + message_end(output_tokens=9),
}
_BODIES: dict[WireFormat, dict[str, Any]] = {
    OPENAI: {
        "id": "up-1",
        "object": "chat.completion",
        "created": 1,
        "model": "glm-4.6",
        "choices": [{"index": 0, "message": {"role": "assistant", "content": "Hi"}, "finish_reason": "stop"}],
        "usage": {"prompt_tokens": 3, "completion_tokens": 9, "total_tokens": 12},
    },
    ANTHROPIC: {
        "id": "msg_up",
        "type": "message",
        "role": "assistant",
        "model": "glm-4.6",
        "content": [{"type": "text", "text": "Hi"}],
        "stop_reason": "end_turn",
        "stop_sequence": None,
        "usage": {"input_tokens": 3, "output_tokens": 9},
    },
}
_ERROR = b'{"error":{"code":"1302","message":"slow"}}'


def _pair(client: WireFormat, upstream: WireFormat, **more: Any) -> Pair:
    context = ResponseContext(requested_model="asked", stream=True, include_usage=True)
    ids: dict[str, Any] = {
        "request_id": "id-1",
        "created": 7,
        "event_limit": 10_000,
        "new_id": lambda prefix: f"{prefix}1",
    }
    return Pair(client=client, upstream=upstream, context=context, **(ids | more))


def _text(fmt: WireFormat, events: list[dict[str, Any]]) -> str:
    if fmt is ANTHROPIC:
        return "".join(event["delta"].get("text", "") for event in events if event["type"] == "content_block_delta")
    if fmt is RESPONSES:
        return "".join(event["delta"] for event in events if event["type"] == "response.output_text.delta")
    return "".join(choice["delta"].get("content") or "" for event in events for choice in event["choices"])


def _whole_text(fmt: WireFormat, body: bytes) -> Any:
    whole = json.loads(body)
    if fmt is RESPONSES:
        return whole["output"][0]["content"][0]["text"]
    return whole["content"][0]["text"] if fmt is ANTHROPIC else whole["choices"][0]["message"]["content"]


def _check_complete(machine: Conversion, client: WireFormat, out: bytes) -> None:
    assert (True, True, None) == (machine.begun, machine.finished, machine.fault)
    assert machine.usage is not None
    assert 9 == machine.usage.output
    assert "Hi" == _text(client, events_of(out))
    assert out.endswith(DONE) == (client is OPENAI)


@pytest.mark.parametrize(("client", "upstream"), _PAIRS)
def test_a_stream_becomes_the_clients(client: WireFormat, upstream: WireFormat) -> None:
    machine = stream_conversion(_pair(client, upstream))
    assert (False, False, False) == (machine.begun, machine.finished, machine.settled)

    out = machine.feed(_STREAMS[upstream])
    if not machine.finished:
        out += machine.eof()

    _check_complete(machine, client, out)


@pytest.mark.parametrize("client", [OPENAI, ANTHROPIC])
def test_the_same_dialect_keeps_its_bytes(client: WireFormat) -> None:
    assert _STREAMS[client] == stream_conversion(_pair(client, client)).feed(_STREAMS[client])


@pytest.mark.parametrize(("client", "upstream"), _PAIRS)
def test_a_whole_answer_becomes_a_stream_for_who_asked_for_one(client: WireFormat, upstream: WireFormat) -> None:
    machine = body_conversion(_pair(client, upstream))
    raw = json.dumps(_BODIES[upstream]).encode()
    out = machine.feed(raw[:20]) + machine.feed(raw[20:]) + machine.eof()

    _check_complete(machine, client, out)


@pytest.mark.parametrize(("client", "upstream"), _PAIRS)
def test_a_whole_answer_is_written_anew(client: WireFormat, upstream: WireFormat) -> None:
    whole = whole_body(_pair(client, upstream), json.dumps(_BODIES[upstream]).encode())

    assert isinstance(whole, WholeBody)
    assert not whole.unchanged
    assert whole.usage is not None
    assert (3, 9) == (whole.usage.input, whole.usage.output)
    assert "Hi" == _whole_text(client, whole.body)


@pytest.mark.parametrize(("client", "upstream"), _PAIRS)
def test_a_stream_is_folded_for_who_asked_for_none(client: WireFormat, upstream: WireFormat) -> None:
    folded = FoldedStream(_pair(client, upstream))
    stream = _STREAMS[upstream]
    for at in range(0, len(stream), 50):
        folded.feed(stream[at : at + 50])
    whole = folded.end()

    assert isinstance(whole, WholeBody)
    assert "Hi" == _whole_text(client, whole.body)


@pytest.mark.parametrize(("client", "upstream"), _PAIRS)
def test_a_folded_stream_that_breaks_off_is_a_fault(client: WireFormat, upstream: WireFormat) -> None:
    folded = FoldedStream(_pair(client, upstream))
    folded.feed(_STREAMS[upstream][:150])

    assert isinstance(folded.end(), Fault)


@pytest.mark.parametrize(("client", "upstream"), _PAIRS)
def test_an_error_under_200_is_read_wherever_it_comes(client: WireFormat, upstream: WireFormat) -> None:
    pair = _pair(client, upstream)
    stream, body, folded = stream_conversion(pair), body_conversion(pair), FoldedStream(pair)
    stream.feed(data(json.loads(_ERROR)))
    body.feed(_ERROR)
    body.eof()
    folded.feed(data(json.loads(_ERROR)))

    for fault in (stream.fault, body.fault, folded.end(), whole_body(pair, _ERROR)):
        assert isinstance(fault, Fault)
        assert ("1302", 429) == (fault.upstream_code, fault.status)


@pytest.mark.parametrize("upstream", [OPENAI, ANTHROPIC])
def test_a_translation_tells_the_client_the_model_it_asked_for(upstream: WireFormat) -> None:
    for client in (ANTHROPIC if upstream is OPENAI else OPENAI, RESPONSES):
        whole = whole_body(_pair(client, upstream), json.dumps(_BODIES[upstream]).encode())

        assert isinstance(whole, WholeBody)
        assert "asked" == json.loads(whole.body)["model"]


def test_the_estimate_of_the_input_is_in_the_first_event() -> None:
    out = stream_conversion(_pair(ANTHROPIC, OPENAI, input_tokens=42)).feed(_STREAMS[OPENAI])

    assert 42 == events_of(out)[0]["message"]["usage"]["input_tokens"]


@pytest.mark.parametrize(("client", "upstream"), _PAIRS)
def test_every_machine_can_ping_and_fail_in_the_middle(client: WireFormat, upstream: WireFormat) -> None:
    machine = stream_conversion(_pair(client, upstream))
    machine.feed(_STREAMS[upstream][:-60])

    assert machine.ping().endswith(b"\n\n")
    ending = events_of(machine.fail(TRUNCATED))
    if client is RESPONSES:
        assert "response.failed" == ending.pop()["type"]
    assert TRUNCATED.message == ending[-1]["error"]["message"]
    assert machine.finished
