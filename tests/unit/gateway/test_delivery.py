"""From an upstream's 2xx answer to the client's: headers, codings, every pair of dialects and modes."""

import asyncio
import gzip
import json
import time
from collections.abc import AsyncIterator
from typing import Any

import pytest

from services.chassis.process import Tasks
from services.gateway.delivery import BatchDelivery, DeliverySettings, StreamDelivery
from services.gateway.downstream import AsgiDownstream
from services.gateway.observation import Observation
from services.gateway.preparation import Preparation
from services.gateway.translation.context import ResponseContext
from services.gateway.translation.fault import Fault
from services.gateway.upstream.transport import ConnectionLost
from services.gateway.wire.formats import UPSTREAM_FORMATS, WireFormat
from tests.support.chat_sockets import checked
from tests.support.dialects import ANTHROPIC, OPENAI
from tests.support.frames import DONE, chunk, message_end, message_start, text_block
from tests.support.memory_calls import client_call, observation, upstream_route
from tests.support.memory_client import MemoryClient, settle
from tests.support.memory_upstream import EVENTS, JSON, MemoryAnswer

USAGE = {"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5}
BODIES = {
    OPENAI: {
        "id": "up-1",
        "object": "chat.completion",
        "created": 1,
        "model": "glm-5.1",
        "choices": [{"index": 0, "message": {"role": "assistant", "content": "hi"}, "finish_reason": "stop"}],
        "usage": USAGE,
    },
    ANTHROPIC: {
        "id": "msg_1",
        "type": "message",
        "role": "assistant",
        "model": "glm-5.1",
        "content": [{"type": "text", "text": "hi"}],
        "stop_reason": "end_turn",
        "stop_sequence": None,
        "usage": {"input_tokens": 3, "output_tokens": 2},
    },
}
COUNTED = {"input_tokens": 3, "output_tokens": 2, "cache_read_input_tokens": 0, "cache_creation_input_tokens": 0}
STREAMS = {
    OPENAI: chunk({"role": "assistant", "content": "hi"}) + chunk({}, "stop", usage=USAGE) + DONE,
    ANTHROPIC: message_start() + text_block(0, "hi") + message_end(**COUNTED),
}
PAIRS = [(client, upstream) for client in UPSTREAM_FORMATS for upstream in UPSTREAM_FORMATS]


class Desk:
    """A delivery, its client and what was observed."""

    def __init__(
        self,
        tasks: Tasks,
        client: WireFormat,
        upstream: WireFormat,
        *,
        simulated: bool = False,
        dropped: tuple[str, ...] = (),
        body_limit: int = 10_000,
        **call: Any,
    ) -> None:
        self.client = MemoryClient()
        self.observation: Observation = observation(time.monotonic())
        settings = DeliverySettings(
            event_limit=10_000, body_limit=body_limit, hold=10.0, ping=15.0, simulated=simulated
        )
        stream = call.get("stream", False)
        context = ResponseContext(requested_model="glm-5.1", stream=stream)
        parts = (
            client_call(client, **call),
            upstream_route(upstream),
            Preparation(body=b"{}", context=context, dropped=dropped),
            AsgiDownstream(self.client.receive, self.client.send, tasks),
            self.observation,
            settings,
        )
        self.batch = BatchDelivery(*parts)
        self.streamed = StreamDelivery(*parts)

    async def deliver(self, answer: MemoryAnswer) -> Fault | None:
        delivery = self.batch
        delivery.note_head(answer)
        return await delivery.deliver(answer)

    async def relay(self, answer: MemoryAnswer) -> Fault | None:
        delivery = self.streamed
        delivery.note_head(answer)
        return await delivery.deliver(answer)


@pytest.fixture
async def tasks() -> AsyncIterator[Tasks]:
    async with Tasks() as made:
        yield made


def _json(body: Any) -> bytes:
    return json.dumps(body).encode()


def _text(client: WireFormat, body: bytes) -> str:
    answer = json.loads(body)
    found: str = answer["content"][0]["text"] if client is ANTHROPIC else answer["choices"][0]["message"]["content"]
    return found


@pytest.mark.parametrize(("client", "upstream"), PAIRS)
@pytest.mark.parametrize("streamed", [False, True], ids=["body", "events"])
async def test_a_batch_answer_whatever_it_came_as(
    tasks: Tasks, client: WireFormat, upstream: WireFormat, *, streamed: bool
) -> None:
    desk = Desk(tasks, client, upstream)
    body = STREAMS[upstream] if streamed else _json(BODIES[upstream])
    assert await desk.deliver(MemoryAnswer(headers=EVENTS if streamed else JSON, body=body)) is None

    assert (desk.client.status, desk.client.complete) == (200, True)
    assert _text(client, desk.client.body) == "hi"
    assert desk.client.headers[b"content-type"] == b"application/json"
    assert desk.client.headers[b"content-length"] == b"%d" % len(desk.client.body)
    assert desk.observation.bytes_in == len(body)
    assert desk.observation.status == 200
    assert desk.observation.usage is not None
    assert desk.batch.begun
    if client is upstream and not streamed:
        assert desk.client.body == body


@pytest.mark.parametrize(("client", "upstream"), PAIRS)
@pytest.mark.parametrize("streamed", [False, True], ids=["body", "events"])
async def test_a_streamed_answer_whatever_it_came_as(
    tasks: Tasks, client: WireFormat, upstream: WireFormat, *, streamed: bool
) -> None:
    desk = Desk(tasks, client, upstream, stream=True)
    body = STREAMS[upstream] if streamed else _json(BODIES[upstream])
    assert await desk.relay(MemoryAnswer(headers=EVENTS if streamed else JSON, body=body)) is None

    assert (desk.client.status, desk.client.complete) == (200, True)
    assert checked(client, desk.client.body, upstream).text == "hi"
    assert desk.client.headers[b"content-type"] == b"text/event-stream; charset=utf-8"
    assert desk.client.headers[b"cache-control"] == b"no-cache"
    assert desk.observation.bytes_in == len(body)
    assert desk.observation.usage is not None
    assert desk.observation.code is None
    assert desk.streamed.begun


async def test_every_answer_carries_what_clients_act_on(tasks: Tasks) -> None:
    desk = Desk(tasks, OPENAI, OPENAI, simulated=True, dropped=("top_k", "metadata"))
    headers = [*JSON, (b"x-request-id", b"up-9"), (b"x-ratelimit-remaining", b"7"), (b"set-cookie", b"no")]
    await desk.deliver(MemoryAnswer(headers=headers, body=_json(BODIES[OPENAI])))

    sent = desk.client.headers
    assert sent[b"x-request-id"] == b"req-1"
    assert sent[b"x-upstream-request-id"] == b"up-9"
    assert sent[b"x-ratelimit-remaining"] == b"7"
    assert sent[b"x-zcode-dropped-params"] == b"top_k, metadata"
    assert sent[b"x-zcode-simulated"] == b"true"
    assert float(sent[b"x-zcode-overhead-ms"]) >= 0
    assert b"set-cookie" not in sent
    assert desk.observation.upstream_request_id == "up-9"
    assert desk.observation.upstream_status == 200


async def test_a_stream_carries_the_same_headers(tasks: Tasks) -> None:
    desk = Desk(tasks, ANTHROPIC, OPENAI, stream=True, dropped=("top_k",))
    await desk.relay(MemoryAnswer(body=STREAMS[OPENAI]))

    assert desk.client.headers[b"x-request-id"] == b"req-1"
    assert desk.client.headers[b"x-zcode-dropped-params"] == b"top_k"
    assert b"x-zcode-simulated" not in desk.client.headers
    assert b"x-upstream-request-id" not in desk.client.headers


LONG = {**BODIES[OPENAI], "choices": [{"index": 0, "message": {"content": "x" * 5000}, "finish_reason": "stop"}]}


@pytest.mark.parametrize("accepted", [b"gzip", b"br;q=1, GZIP;q=0.5", b"*", b"deflate, *;q=0.1"])
async def test_a_translated_body_is_compressed_where_that_is_accepted(tasks: Tasks, accepted: bytes) -> None:
    desk = Desk(tasks, ANTHROPIC, OPENAI, accept_encoding=accepted)
    await desk.deliver(MemoryAnswer(headers=JSON, body=_json(LONG)))

    assert desk.client.headers[b"content-encoding"] == b"gzip"
    assert desk.client.headers[b"vary"] == b"accept-encoding"
    assert desk.client.headers[b"content-length"] == b"%d" % len(desk.client.body)
    assert _text(ANTHROPIC, gzip.decompress(desk.client.body)) == "x" * 5000


@pytest.mark.parametrize("accepted", [None, b"", b"br", b"identity", b"gzip;q=0", b"gzip; q=0.0, br", b"*;q=0.000"])
async def test_a_translated_body_is_left_plain_where_it_is_not(tasks: Tasks, accepted: bytes | None) -> None:
    desk = Desk(tasks, ANTHROPIC, OPENAI, accept_encoding=accepted)
    await desk.deliver(MemoryAnswer(headers=JSON, body=_json(LONG)))

    assert b"content-encoding" not in desk.client.headers
    assert _text(ANTHROPIC, desk.client.body) == "x" * 5000


async def test_a_short_body_is_left_plain(tasks: Tasks) -> None:
    desk = Desk(tasks, ANTHROPIC, OPENAI, accept_encoding=b"gzip")
    await desk.deliver(MemoryAnswer(headers=JSON, body=_json(BODIES[OPENAI])))

    assert b"content-encoding" not in desk.client.headers


async def test_a_body_that_is_passed_on_keeps_its_coding_and_type(tasks: Tasks) -> None:
    desk = Desk(tasks, OPENAI, OPENAI)
    packed = gzip.compress(_json(BODIES[OPENAI]))
    headers = [(b"content-type", b"application/json; charset=UTF-8"), (b"content-encoding", b"gzip")]
    await desk.deliver(MemoryAnswer(headers=headers, body=packed))

    assert desk.client.body == packed
    assert desk.client.headers[b"content-encoding"] == b"gzip"
    assert desk.client.headers[b"content-type"] == b"application/json; charset=UTF-8"
    assert desk.observation.usage is not None


async def test_a_body_without_a_type_is_json(tasks: Tasks) -> None:
    desk = Desk(tasks, OPENAI, OPENAI)
    await desk.deliver(MemoryAnswer(headers=[], body=_json(BODIES[OPENAI])))

    assert desk.client.headers[b"content-type"] == b"application/json"


@pytest.mark.parametrize(("client", "upstream"), PAIRS)
async def test_an_error_under_200_is_a_fault_and_nothing_goes_out(
    tasks: Tasks, client: WireFormat, upstream: WireFormat
) -> None:
    desk = Desk(tasks, client, upstream)
    fault = await desk.deliver(MemoryAnswer(headers=JSON, body=b'{"error":{"code":"1302","message":"slow down"}}'))

    assert fault is not None
    assert fault.status == 429
    assert desk.client.told == []
    assert not desk.batch.begun


@pytest.mark.parametrize("headers", [JSON, EVENTS], ids=["body", "events"])
async def test_a_batch_answer_in_a_coding_nobody_asked_for_is_a_fault(tasks: Tasks, headers: Any) -> None:
    desk = Desk(tasks, ANTHROPIC, OPENAI)
    fault = await desk.deliver(MemoryAnswer(headers=[*headers, (b"content-encoding", b"gzip")], body=b""))

    assert fault is not None
    assert "content coding" in fault.message
    assert desk.client.told == []


async def test_a_batch_answer_that_says_it_is_plain_is_read(tasks: Tasks) -> None:
    desk = Desk(tasks, ANTHROPIC, OPENAI)
    headers = [*JSON, (b"content-encoding", b"identity")]

    assert await desk.deliver(MemoryAnswer(headers=headers, body=_json(BODIES[OPENAI]))) is None


async def test_a_compressed_stream_is_passed_on_as_it_came(tasks: Tasks) -> None:
    desk = Desk(tasks, OPENAI, OPENAI, stream=True)
    packed = gzip.compress(STREAMS[OPENAI])
    answer = MemoryAnswer(headers=[*EVENTS, (b"content-encoding", b"gzip")], body=packed)
    assert await desk.relay(answer) is None

    assert desk.client.body == packed
    assert desk.client.headers[b"content-encoding"] == b"gzip"
    assert desk.observation.usage is not None


async def test_a_compressed_stream_is_refused_where_it_must_be_translated(tasks: Tasks) -> None:
    desk = Desk(tasks, ANTHROPIC, OPENAI, stream=True)
    fault = await desk.relay(MemoryAnswer(headers=[*EVENTS, (b"content-encoding", b"gzip")], body=b""))

    assert fault is not None
    assert desk.streamed.stream.held


async def test_a_compressed_stream_is_refused_once_the_head_said_that_it_is_plain(tasks: Tasks) -> None:
    desk = Desk(tasks, OPENAI, OPENAI, stream=True)
    desk.streamed.stream.tick(time.monotonic() + 60)
    fault = await desk.relay(MemoryAnswer(headers=[*EVENTS, (b"content-encoding", b"gzip")], body=b""))

    assert fault is not None
    assert desk.client.body == b": keep-alive\n\n"


async def test_another_try_after_a_compressed_one_is_plain_again(tasks: Tasks) -> None:
    desk = Desk(tasks, OPENAI, OPENAI, stream=True)
    lost = MemoryAnswer(headers=[*EVENTS, (b"content-encoding", b"gzip")])
    first = asyncio.ensure_future(desk.relay(lost))
    await settle()
    lost.fail(ConnectionLost("reset"))
    assert await first is not None
    assert await desk.relay(MemoryAnswer(body=STREAMS[OPENAI])) is None

    assert b"content-encoding" not in desk.client.headers
    assert desk.client.complete


async def test_a_body_in_place_of_a_stream_is_bounded(tasks: Tasks) -> None:
    desk = Desk(tasks, OPENAI, OPENAI, stream=True, body_limit=100)
    fault = await desk.relay(MemoryAnswer(headers=JSON, body=_json(BODIES[OPENAI])))

    assert fault is not None
    assert "larger than 100 bytes" in fault.message
    assert desk.streamed.stream.held


async def test_a_stream_that_fails_before_its_first_event_may_be_tried_again(tasks: Tasks) -> None:
    desk = Desk(tasks, OPENAI, ANTHROPIC, stream=True)
    fault = await desk.relay(MemoryAnswer(body=b'event: error\ndata: {"error":{"code":"1305","message":"m"}}\n\n'))

    assert fault is not None
    assert fault.upstream_code == "1305"
    assert not desk.streamed.begun
    assert desk.observation.code is None
    assert desk.client.told == []


@pytest.mark.parametrize(("client", "upstream"), PAIRS)
async def test_a_stream_that_fails_after_its_first_event_may_not(
    tasks: Tasks, client: WireFormat, upstream: WireFormat
) -> None:
    desk = Desk(tasks, client, upstream, stream=True)
    begun = STREAMS[upstream].partition(b"\n\n")[0] + b"\n\n"
    fault = await desk.relay(MemoryAnswer(body=begun))

    assert fault is not None
    assert desk.streamed.begun
    assert desk.observation.code == fault.code
    assert checked(client, desk.client.body, upstream).error is not None


async def test_a_failure_after_keep_alives_is_an_event_in_the_clients_dialect(tasks: Tasks) -> None:
    desk = Desk(tasks, ANTHROPIC, OPENAI, stream=True)
    desk.streamed.stream.tick(time.monotonic() + 60)
    desk.streamed.stream.fail(Fault(status=502, message="gone", code="upstream_unreachable"))

    assert checked(ANTHROPIC, desk.client.body, OPENAI).error is not None
    assert b'"request_id":"req-1"' in desk.client.body
    assert desk.observation.code == "upstream_unreachable"
    assert not desk.streamed.begun


async def test_a_call_that_is_given_up_keeps_what_was_counted(tasks: Tasks) -> None:
    desk = Desk(tasks, OPENAI, OPENAI, stream=True)
    answer = MemoryAnswer()
    relaying = asyncio.ensure_future(desk.relay(answer))
    await settle()
    answer.data(chunk({"content": "a"}, usage=USAGE))
    relaying.cancel()
    await settle()

    assert desk.observation.bytes_in > 0
    assert desk.observation.usage is not None


async def test_a_model_id_is_made_where_the_upstream_gave_none(tasks: Tasks) -> None:
    desk = Desk(tasks, ANTHROPIC, OPENAI)
    body = {name: value for name, value in BODIES[OPENAI].items() if name != "id"}
    await desk.deliver(MemoryAnswer(headers=JSON, body=_json(body)))

    assert len(json.loads(desk.client.body)["id"]) > 10
