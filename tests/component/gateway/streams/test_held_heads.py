"""
The head of a streamed answer waits for the first event, so that a failure can be a status; a silent stream is kept alive.

Times are scaled down: the head is held for 0.3 s and a keep-alive follows each 0.15 s of silence.
"""

import asyncio
import time

import msgspec

from services.gateway.wire.formats import WireFormat
from tests.support.at_rest import at_rest
from tests.support.chat_sockets import Streamed, ask, chat_request, checked
from tests.support.dialects import ANTHROPIC, RESPONSES
from tests.support.gateway import RunningGateway, running_gateway
from tests.support.raw_http import raw_client
from tests.support.responses_validator import check_response

HOLD = 0.3
PING = 0.15
LIMITS = {"hold_headers": HOLD, "ping": PING, "retries": 0}


def _silences(dialect: WireFormat, answer: Streamed) -> tuple[int, int]:
    """Return how many keep-alives came before the first event of the answer, and how many after."""
    mark = b"event: message_start" if dialect is ANTHROPIC else b"data: "
    before, _, after = answer.body.partition(mark)
    ping = b"event: ping" if dialect is ANTHROPIC else b": keep-alive"
    return before.count(b": keep-alive"), after.count(ping)


async def _asked(gateway: RunningGateway, dialect: WireFormat, *scripts: str) -> list[Streamed]:
    """Ask for all of these at once."""
    answers = await asyncio.gather(*(ask(gateway.port, chat_request(dialect, f"sim:{script}")) for script in scripts))
    assert await at_rest(gateway) == {}
    return answers


async def test_an_error_in_the_first_event_is_a_status(client_format: WireFormat, upstream_format: WireFormat) -> None:
    async with running_gateway(upstream_format=upstream_format.value, limits=LIMITS) as gateway:
        [answer] = await _asked(gateway, client_format, "error=1302;at=first")

    assert answer.status == 429
    assert answer.header(b"content-type") == b"application/json"
    assert msgspec.json.decode(answer.body)["error"]["message"]


async def test_a_stream_that_breaks_off_before_its_first_event_is_a_status(
    client_format: WireFormat, upstream_format: WireFormat
) -> None:
    async with running_gateway(upstream_format=upstream_format.value, limits=LIMITS) as gateway:
        [answer] = await _asked(gateway, client_format, "events=3;cut=10;end=rst")

    assert answer.status == 502
    assert msgspec.json.decode(answer.body)["error"]["message"]


async def test_b92_a_silent_upstream_gets_comments_before_and_pings_after_the_first_event(
    client_format: WireFormat, upstream_format: WireFormat
) -> None:
    async with running_gateway(upstream_format=upstream_format.value, limits=LIMITS) as gateway:
        before, after = await _asked(
            gateway,
            client_format,
            "events=3;stall=body;stall-for=1s",
            "events=3;stall=first-event;stall-for=1s",
        )

    for answer in (before, after):
        assert (answer.status, answer.whole) == (200, True)
        assert checked(client_format, answer.body, upstream_format).text == "(simulated) w1 w2"
    # 0.7 s of silence once the head is out, and 1 s: a keep-alive each 0.15 s, as far as a ticker of that pace sees it.
    assert 2 <= _silences(client_format, before)[0] <= 6
    assert _silences(client_format, before)[1] == 0
    assert _silences(client_format, after)[0] == 0
    assert 2 <= _silences(client_format, after)[1] <= 7


async def test_a_head_is_not_held_longer_than_its_time(client_format: WireFormat) -> None:
    async with (
        running_gateway(limits=LIMITS) as gateway,
        raw_client(gateway.port) as client,
    ):
        started = time.monotonic()
        await client.send(chat_request(client_format, "sim:events=3;stall=head"))
        reply = await client.read(until=b": keep-alive\n\n")
        took = time.monotonic() - started

    assert reply.data.startswith(b"HTTP/1.1 200 OK\r\n")
    assert HOLD <= took <= HOLD + PING + 1.0


async def test_once_the_head_is_out_a_failure_is_one_event(
    client_format: WireFormat, upstream_format: WireFormat
) -> None:
    scripts = (
        "error=1302;at=first;stall=body;stall-for=600",
        "error=1302;delay=600",
        "events=3;stall=body;stall-for=600;cut=10;end=rst",
        "answer=json;error=1302;at=ok;delay=600",
    )
    async with running_gateway(upstream_format=upstream_format.value, limits=LIMITS) as gateway:
        answers = await _asked(gateway, client_format, *scripts)

    for answer in answers:
        assert (answer.status, answer.whole) == (200, True)
        assert answer.body.startswith(b": keep-alive\n\n")
        error = checked(client_format, answer.body, upstream_format).error
        assert error is not None
        assert error["message"]


async def test_a_brisk_stream_has_no_keep_alives(client_format: WireFormat, upstream_format: WireFormat) -> None:
    async with running_gateway(upstream_format=upstream_format.value, limits=LIMITS) as gateway:
        [answer] = await _asked(gateway, client_format, "events=20;pace=30")

    assert _silences(client_format, answer) == (0, 0)


async def test_a_whole_answer_to_a_stream_request_becomes_a_stream(
    client_format: WireFormat, upstream_format: WireFormat
) -> None:
    async with running_gateway(upstream_format=upstream_format.value, limits=LIMITS) as gateway:
        at_once, late = await _asked(
            gateway, client_format, "answer=json;text=hello", "answer=json;text=hello;stall=body;stall-for=600"
        )

    for answer in (at_once, late):
        assert answer.header(b"content-type") == b"text/event-stream; charset=utf-8"
        assert checked(client_format, answer.body, upstream_format).text == "hello"
    assert _silences(client_format, at_once) == (0, 0)
    assert _silences(client_format, late)[0] >= 1


async def test_a_streamed_answer_to_a_whole_request_becomes_a_body(
    client_format: WireFormat, upstream_format: WireFormat
) -> None:
    async with running_gateway(upstream_format=upstream_format.value, limits=LIMITS) as gateway:
        answer = await ask(gateway.port, chat_request(client_format, "sim:answer=sse;text=hello", stream=False))
        assert await at_rest(gateway) == {}

    body = msgspec.json.decode(answer.body)
    assert (answer.status, answer.header(b"content-type")) == (200, b"application/json")
    if client_format is ANTHROPIC:
        assert body["content"] == [{"type": "text", "text": "hello"}]
    elif client_format is RESPONSES:
        assert check_response(answer.body)["output"][-1]["content"][0]["text"] == "hello"
    else:
        assert body["choices"][0]["message"]["content"] == "hello"
        assert body["choices"][0]["finish_reason"] == "stop"
