"""P-64 and the end of a process: streams may finish; at the deadline they end with a proper last event, and nothing hangs."""

import asyncio
from contextlib import AsyncExitStack

import msgspec
import pytest

from services.gateway.wire.formats import WireFormat
from tests.support.at_rest import held_by
from tests.support.chat_sockets import Streamed, ask, chat_request, checked
from tests.support.gateway import RunningGateway, running_gateway

DRAIN = 1.5  # seconds; a third of it before its end the streams are ended


async def _while_stopping(gateway: RunningGateway, *requests: bytes) -> tuple[bool, list[Streamed]]:
    """Send requests, stop the gateway while they are served; return whether all ended by themselves, and the answers."""
    asked = []
    for request in requests:
        asked.append(asyncio.ensure_future(ask(gateway.port, request)))
        for _ in range(500):  # one after the other, so that the first has its place before the next comes
            if gateway.server.sites[0].running >= len(asked):
                break
            await asyncio.sleep(0.01)
    await asyncio.sleep(0.1)
    whole = await gateway.stop()
    return whole, await asyncio.gather(*asked)


async def test_streams_and_answers_under_way_are_finished(
    client_format: WireFormat, upstream_format: WireFormat
) -> None:
    async with running_gateway(upstream_format=upstream_format.value, limits={"drain": 5.0}) as gateway:
        whole, (stream, held, batch) = await _while_stopping(
            gateway,
            chat_request(client_format, "sim:events=10;pace=50"),
            chat_request(client_format, "sim:events=3;stall=head;stall-for=500"),
            chat_request(client_format, "sim:events=3;stall=head;stall-for=500", stream=False),
        )

    assert whole
    assert checked(client_format, stream.body, upstream_format).text.endswith(" w9")
    assert checked(client_format, held.body, upstream_format).text.endswith(" w2")
    assert (batch.status, batch.whole) == (200, True)
    assert batch.header(b"connection") == b"close"


@pytest.mark.promise("P-64")
async def test_at_the_deadline_every_stream_ends_with_an_error_event(
    client_format: WireFormat, upstream_format: WireFormat
) -> None:
    scripts = [
        "events=1000;pace=50",
        "events=5;stall=first-event",
        "events=5;stall=mid-event",
        "events=9;tools=2;stall=mid-event",
        "events=5;stall=body",  # only keep-alives so far
        "error=1302;stall=body",
    ]
    limits = {"drain": DRAIN, "hold_headers": 0.1, "ping": 0.1}
    async with running_gateway(upstream_format=upstream_format.value, limits=limits) as gateway:
        requests = (chat_request(client_format, f"sim:{script}") for script in scripts * 3)
        whole, answers = await _while_stopping(gateway, *requests)
        held = {name: count for name, count in held_by(gateway).items() if count}

    assert whole
    assert held == {}
    for answer in answers:
        assert (answer.status, answer.whole) == (200, True)
        error = checked(client_format, answer.body, upstream_format).error
        assert error is not None
        assert "shutting down" in error["message"]


async def test_at_the_deadline_what_has_not_begun_is_a_503(client_format: WireFormat) -> None:
    async with running_gateway(limits={"drain": DRAIN}) as gateway:
        whole, answers = await _while_stopping(
            gateway,
            chat_request(client_format, "sim:stall=head"),
            chat_request(client_format, "sim:stall=body"),
            chat_request(client_format, "sim:error=1305"),  # waits for its next try
        )

    assert whole
    for answer in answers[:2]:
        _check_refusal(answer)


def _check_refusal(answer: Streamed) -> None:
    assert answer.status in {503, 529}
    assert answer.header(b"retry-after") == b"1"
    assert "shutting down" in msgspec.json.decode(answer.body)["error"]["message"]


async def test_what_cannot_be_ended_properly_is_cut_and_still_told_why(client_format: WireFormat) -> None:
    """Answers that are no streams, requests in the queue and half-read requests have no last event to be given."""
    limits = {"drain": DRAIN, "streams": 1, "queue_seconds": 30.0}
    async with running_gateway(limits=limits) as gateway:
        whole, answers = await _while_stopping(
            gateway,
            chat_request(client_format, "sim:stall=head", stream=False),
            chat_request(client_format, "sim:events=5"),
            chat_request(client_format, "sim:events=5", stream=False),
        )
        held = {name: count for name, count in held_by(gateway).items() if count}

    assert not whole
    assert held == {}
    for answer in answers:
        _check_refusal(answer)


async def test_many_streams_end_at_once() -> None:
    limits = {"drain": 0.9, "streams": 200, "upstream_connections": 200}
    async with AsyncExitStack() as stack:
        gateway = await stack.enter_async_context(running_gateway(limits=limits))
        dialects = list(WireFormat)
        requests = [chat_request(dialects[n % 2], "sim:events=1000;pace=50") for n in range(60)]
        whole, answers = await _while_stopping(gateway, *requests)

    assert whole
    for number, answer in enumerate(answers):
        assert checked(dialects[number % 2], answer.body, WireFormat.ANTHROPIC).error is not None
