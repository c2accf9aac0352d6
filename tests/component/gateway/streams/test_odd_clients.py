"""Clients that use more of HTTP/1.1 than most: half-closed connections, 100-continue, pipelining, keep-alive."""

import asyncio
import socket
from typing import Any

import pytest

from services.gateway.wire.formats import WireFormat
from tests.support.at_rest import at_rest
from tests.support.chat_sockets import HEAD_END, chat_request, checked, read_answer, streamed
from tests.support.dialects import OPENAI
from tests.support.event_loops import BOTH_LOOPS
from tests.support.gateway import running_gateway
from tests.support.raw_http import raw_client


@pytest.fixture(**BOTH_LOOPS)
def anyio_backend(request: pytest.FixtureRequest) -> Any:
    return request.param


async def test_a_half_closed_client_is_taken_for_one_that_left(client_format: WireFormat) -> None:
    """promises.md D7: uvicorn ends the connection when the client stops sending, as nginx does by default."""
    async with running_gateway() as gateway, raw_client(gateway.port) as client:
        await client.send(chat_request(client_format, "sim:events=100;pace=50"))
        await client.read(until=b"w1")
        client.socket.shutdown(socket.SHUT_WR)
        reply = await client.read(seconds=2.0)
        assert await at_rest(gateway) == {}
        assert len(gateway.simulator.records.cancelled) == 1

    assert reply.closed
    assert b"w99" not in reply.data


async def test_a_client_that_waits_for_100_continue_gets_it_and_then_its_stream(client_format: WireFormat) -> None:
    head, _, body = chat_request(client_format, "sim:events=5", b"expect: 100-continue").partition(HEAD_END)
    async with running_gateway() as gateway, raw_client(gateway.port) as client:
        await client.send(head + HEAD_END)
        early = await client.read(until=HEAD_END)
        await client.send(body)
        answer = streamed((await read_answer(client)).data)

    assert early.data == b"HTTP/1.1 100 Continue\r\n\r\n"
    assert checked(client_format, answer.body, WireFormat.ANTHROPIC).error is None


async def test_a_second_request_during_a_stream_waits_for_its_end(client_format: WireFormat) -> None:
    first = chat_request(client_format, "sim:events=10;pace=20")
    second = chat_request(client_format, "sim:text=second")
    async with running_gateway() as gateway, raw_client(gateway.port) as client:
        await client.send(first + second)
        await asyncio.sleep(0.1)
        assert len(gateway.upstream_requests) == 1
        reply = await client.read(until=b"second", seconds=5.0)
        reply_rest = await client.read(seconds=0.3)
        assert await at_rest(gateway, seconds=2.0) == {}

    one, two = _answers(reply.data + reply_rest.data)
    assert checked(client_format, one, WireFormat.ANTHROPIC).text.endswith(" w9")
    assert checked(client_format, two, WireFormat.ANTHROPIC).text == "second"


def _answers(data: bytes) -> list[bytes]:
    ends = data.index(b"0" + HEAD_END) + 5
    return [streamed(data[:ends]).body, streamed(data[ends:]).body]


async def test_a_pipelined_request_is_dropped_with_its_client() -> None:
    async with running_gateway() as gateway:
        async with raw_client(gateway.port) as client:
            await client.send(chat_request(OPENAI, "sim:events=100;pace=50") + chat_request(OPENAI))
            await client.read(until=b"w1")
        assert await at_rest(gateway) == {}

        assert len(gateway.upstream_requests) == 1


async def test_one_connection_serves_one_stream_after_the_other(client_format: WireFormat) -> None:
    async with running_gateway() as gateway, raw_client(gateway.port) as client:
        for number in range(20):
            await client.send(chat_request(client_format, f"sim:text=number%20{number}"))
            answer = streamed((await read_answer(client)).data)
            assert checked(client_format, answer.body, WireFormat.ANTHROPIC).text == f"number {number}"
        assert gateway.server.sites[0].connections == 1
        assert gateway.gateway.transport.statistics().idle == 1
        assert gateway.simulator.records.connections == 1
