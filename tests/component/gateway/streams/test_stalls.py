"""P-45: an upstream that falls silent, wherever it does, costs its client no longer than the timeout and a second."""

import asyncio
import socket
import time
from collections.abc import Iterable, Iterator

import msgspec
import pytest

from services.gateway.wire.formats import WireFormat
from tests.support.at_rest import at_rest
from tests.support.chat_sockets import Streamed, ask, chat_request, checked
from tests.support.dialects import ANTHROPIC, OPENAI
from tests.support.gateway import RunningGateway, running_gateway
from tests.support.promises import show

TIMEOUT = 0.5
LIMITS = {"connect": TIMEOUT, "first_byte": TIMEOUT, "idle": TIMEOUT}

pytestmark = pytest.mark.promise("P-45")


async def _timed(gateway: RunningGateway, request: bytes) -> tuple[Streamed, float]:
    started = time.monotonic()
    answer = await ask(gateway.port, request)
    return answer, time.monotonic() - started


def _show(took: Iterable[float]) -> None:
    late = [seconds - TIMEOUT for seconds in took]
    show("P-45", len(late), sum(not 0 <= more <= 1 for more in late), ms_late=round(max(late) * 1000))


@pytest.mark.parametrize("stream", [True, False], ids=["stream", "whole"])
async def test_silence_before_the_first_event_is_a_504_in_time(
    client_format: WireFormat, upstream_format: WireFormat, *, stream: bool
) -> None:
    async with running_gateway(upstream_format=upstream_format.value, limits=LIMITS) as gateway:
        asked = [
            _timed(gateway, chat_request(client_format, f"sim:events=5;stall={phase}", stream=stream))
            for phase in ("head", "body")
        ]
        answers = await asyncio.gather(*asked)
        assert await at_rest(gateway, seconds=0.2) == {}

    _show(took for _, took in answers)
    for answer, took in answers:
        assert answer.status == 504
        error = msgspec.json.decode(answer.body)["error"]
        assert "in time" in error["message"]
        assert TIMEOUT <= took <= TIMEOUT + 1.0


async def test_silence_within_a_stream_is_one_error_event_in_time(
    client_format: WireFormat, upstream_format: WireFormat
) -> None:
    async with running_gateway(upstream_format=upstream_format.value, limits=LIMITS) as gateway:
        asked = [
            _timed(gateway, chat_request(client_format, f"sim:events=5;tools={tools};stall={phase}"))
            for phase in ("first-event", "mid-event")
            for tools in (0, 2)
        ]
        answers = await asyncio.gather(*asked)
        assert await at_rest(gateway, seconds=0.2) == {}

    _show(took for _, took in answers)
    for answer, took in answers:
        assert (answer.status, answer.whole) == (200, True)
        error = checked(client_format, answer.body, upstream_format).error
        assert error is not None
        assert "in time" in error["message"]
        assert TIMEOUT <= took <= TIMEOUT + 1.0


async def test_silence_after_the_last_event_is_not_noticed(
    client_format: WireFormat, upstream_format: WireFormat
) -> None:
    async with running_gateway(upstream_format=upstream_format.value, limits=LIMITS) as gateway:
        answer, took = await _timed(gateway, chat_request(client_format, "sim:events=5;stall=end"))
        assert await at_rest(gateway, seconds=TIMEOUT + 1.0) == {}

    assert checked(client_format, answer.body, upstream_format).error is None
    assert took <= TIMEOUT


async def test_a10_11_an_upstream_that_forgets_its_last_word_is_not_waited_for(
    client_format: WireFormat, upstream_format: WireFormat
) -> None:
    """It has said why it stopped and what it cost; a second of silence then ends the stream, and not the idle timeout."""
    async with running_gateway(upstream_format=upstream_format.value) as gateway:
        asked = [
            _timed(gateway, chat_request(client_format, f"sim:events=5;quirks=no-done;{end}"))
            for end in ("stall=end", "end=hang", "cut=100000;end=rst")
        ]
        answers = await asyncio.gather(*asked)
        assert await at_rest(gateway, seconds=0.5) == {}

    for answer, took in answers:
        said = checked(client_format, answer.body, upstream_format)
        assert (said.error, said.text) == (None, "(simulated) w1 w2 w3 w4")
        assert said.reason in {"stop", "end_turn", "completed"}
        assert took <= 2.0


@pytest.fixture
def mute() -> Iterator[socket.socket]:
    """A server whose accepted connections hear nothing, and whose backlog takes only one more."""
    with socket.create_server(("127.0.0.1", 0), backlog=0) as server:
        yield server


@pytest.mark.parametrize("stream", [True, False], ids=["stream", "whole"])
async def test_a_tls_handshake_without_an_answer_is_a_502_in_time(
    mute: socket.socket, client_format: WireFormat, *, stream: bool
) -> None:
    upstream = f"https://127.0.0.1:{mute.getsockname()[1]}"
    async with running_gateway(upstream, limits=LIMITS | {"retries": 0}) as gateway:
        answer, took = await _timed(gateway, chat_request(client_format, stream=stream))
        assert await at_rest(gateway, seconds=0.2) == {}

    _show([took])
    assert answer.status == 502
    assert "cannot connect" in msgspec.json.decode(answer.body)["error"]["message"]
    assert TIMEOUT <= took <= TIMEOUT + 1.0


async def test_a_connection_that_is_never_accepted_is_a_502_in_time(mute: socket.socket) -> None:
    address = mute.getsockname()
    full = [socket.socket() for _ in range(4)]
    try:
        for one in full:  # the kernel answers none of the next
            one.setblocking(False)
            one.connect_ex(address)
        async with running_gateway(f"http://127.0.0.1:{address[1]}", limits=LIMITS | {"retries": 0}) as gateway:
            (first, took), (second, _) = await asyncio.gather(
                _timed(gateway, chat_request(OPENAI)), _timed(gateway, chat_request(ANTHROPIC))
            )
            assert await at_rest(gateway, seconds=0.2) == {}
    finally:
        for one in full:
            one.close()

    _show([took])
    assert (first.status, second.status) == (502, 502)
    assert TIMEOUT <= took <= TIMEOUT + 1.0
