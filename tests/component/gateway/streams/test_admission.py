"""More requests than places: some wait, in order and for a bounded time; the rest is told at once when to come back."""

import asyncio
import time

import msgspec
import pytest

from services.gateway.wire.formats import WireFormat
from tests.support.at_rest import at_rest
from tests.support.chat_sockets import Streamed, ask, chat_request, checked
from tests.support.dialects import OPENAI
from tests.support.gateway import RunningGateway, running_gateway
from tests.support.raw_http import raw_client

BUSY = "sim:events=4;stall=head;stall-for=400"


async def _timed(gateway: RunningGateway, request: bytes) -> tuple[Streamed, float]:
    started = time.monotonic()
    answer = await ask(gateway.port, request)
    return answer, time.monotonic() - started


def _check_refusal(dialect: WireFormat, answer: Streamed, seconds: bytes) -> None:
    assert answer.status == 429
    assert answer.header(b"retry-after") == seconds
    error = msgspec.json.decode(answer.body)["error"]
    assert error["type"] == "rate_limit_error"
    assert error.get("code") == (None if dialect is WireFormat.ANTHROPIC else "gateway_overloaded")
    assert "waiting at this gateway" in error["message"]


@pytest.mark.parametrize("stream", [True, False], ids=["stream", "whole"])
async def test_what_finds_no_place_and_a_full_queue_is_refused_quickly(
    client_format: WireFormat, *, stream: bool
) -> None:
    limits = {"streams": 2, "queue": 2, "queue_seconds": 5.0}
    async with running_gateway(limits=limits) as gateway:
        request = chat_request(client_format, "sim:events=4;stall=head;stall-for=1s", stream=stream)
        answers = await asyncio.gather(*(_timed(gateway, request) for _ in range(12)))
        assert await at_rest(gateway) == {}

    refused = [(answer, took) for answer, took in answers if answer.status != 200]
    assert len(refused) == 8
    for answer, took in refused:
        _check_refusal(client_format, answer, b"5")
        assert took <= 0.9  # before anybody's place was free; the promise of 100 ms is for one request's own way
    assert sum(answer.whole for answer, _ in answers) == 12


async def test_a_wait_that_is_too_long_ends_in_the_same_refusal(client_format: WireFormat) -> None:
    limits = {"streams": 1, "queue": 4, "queue_seconds": 0.3}
    async with running_gateway(limits=limits) as gateway, raw_client(gateway.port) as first:
        await first.send(chat_request(client_format, "sim:stall=head"))
        await asyncio.sleep(0.1)
        (answer, took), *_ = await asyncio.gather(
            *(_timed(gateway, chat_request(client_format, BUSY)) for _ in range(4))
        )
        first.socket.close()
        assert await at_rest(gateway) == {}

    _check_refusal(client_format, answer, b"1")
    assert 0.3 <= took <= 0.8


async def test_those_who_wait_are_served_in_order() -> None:
    limits = {"streams": 1, "queue": 10, "queue_seconds": 5.0}
    async with running_gateway(limits=limits) as gateway:
        asked = []
        for number in range(6):
            asked.append(asyncio.ensure_future(_timed(gateway, chat_request(OPENAI, BUSY, text=f"call {number}"))))
            await asyncio.sleep(0.02)
        answers = await asyncio.gather(*asked)
        order = [request.body.partition(b"call ")[2][:1] for request in gateway.upstream_requests]

    assert order == [b"0", b"1", b"2", b"3", b"4", b"5"]
    for answer, _ in answers:
        assert checked(OPENAI, answer.body).error is None


async def test_leaving_the_queue_at_any_moment_loses_no_place() -> None:
    limits = {"streams": 3, "queue": 60, "queue_seconds": 5.0}
    async with running_gateway(limits=limits) as gateway:

        async def leave(number: int) -> None:
            async with raw_client(gateway.port) as client:
                await client.send(chat_request(OPENAI, "sim:events=2;pace=5"))
                await asyncio.sleep(0.002 * number)

        for _ in range(3):
            await asyncio.gather(*(leave(number) for number in range(60)))
        assert await at_rest(gateway) == {}
        answers = await asyncio.gather(*(ask(gateway.port, chat_request(OPENAI, BUSY)) for _ in range(6)))

    assert [answer.status for answer in answers] == [200] * 6
