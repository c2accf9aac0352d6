"""
P-50: a client that leaves takes its upstream call with it, at whatever moment, and nothing of it is left.

A tenth of the random aborts in CI, all of them under `make soak`.
"""

import asyncio
import random
import re
import socket
import statistics
import struct
import time
from collections.abc import AsyncIterator
from typing import Any

import pytest

from services.gateway.upstream.factory import make_transport
from services.gateway.wire.formats import WireFormat
from services.simulator.app import Simulator
from services.simulator.settings import SimulatorSettings
from tests.support.at_rest import at_rest
from tests.support.chat_sockets import ask, chat_request, checked
from tests.support.dialects import ANTHROPIC, OPENAI
from tests.support.event_loops import BOTH_LOOPS
from tests.support.gateway import RunningGateway, running_gateway
from tests.support.loop_lag import loop_lag
from tests.support.promises import show
from tests.support.raw_http import RawClient, raw_client
from tests.support.simulated import running_simulator
from tests.support.untapped_gateway import untapped_gateway

P99, WORST = 0.25, 1.0  # seconds until the upstream sees that nobody listens
LITTLE = 4096
_RESET = struct.pack("ii", 1, 0)
_KEEP_ALIVE = b": keep-alive"
LIMITS: dict[str, Any] = {"hold_headers": 0.2, "ping": 0.2, "streams": 60}

pytestmark = [pytest.mark.promise("P-50"), pytest.mark.timeout(300)]


@pytest.fixture(**BOTH_LOOPS)
def anyio_backend(request: pytest.FixtureRequest) -> Any:
    return request.param


@pytest.fixture
async def gateway() -> AsyncIterator[RunningGateway]:
    simulator = Simulator(SimulatorSettings(port=0, pace_ms=0, record=20_000))
    async with running_gateway(simulator=simulator, upstream_format="openai", limits=LIMITS) as running:
        yield running


def _hang_up(client: RawClient, *, reset: bool) -> float:
    """Close at once and return when."""
    if reset:
        client.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
    client.socket.close()
    return time.monotonic()


# What the simulator does, and what the client waits for before it leaves; b"" stands for the request's arrival there.
PHASES = {
    "the upstream's head is awaited": ("stall=head", b""),
    "the upstream's body is awaited": ("stall=body", b""),
    "only keep-alives have come": ("stall=body", _KEEP_ALIVE),
    "the first event has come": ("events=9;stall=first-event", b"data: "),
    "half an event is here": ("events=9;stall=mid-event", b"w3"),
    "events flow": ("events=100;pace=5", b"w5"),
    "events wait for more": ("events=9;tools=2;stall=mid-event", b"w3"),
    "all has been said": ("events=9;stall=end;quirks=no-done", b"w8"),
    "the error's body is awaited": ("error=500;stall=body", b""),
}


@pytest.mark.parametrize("reset", [False, True], ids=["closed", "reset"])
@pytest.mark.parametrize("phase", PHASES)
async def test_the_upstream_hears_of_it_at_once(
    gateway: RunningGateway, client_format: WireFormat, phase: str, *, reset: bool
) -> None:
    script, sign = PHASES[phase]
    records = gateway.simulator.records
    async with raw_client(gateway.port, receive_buffer=LITTLE) as client:
        await client.send(chat_request(client_format, f"sim:{script}"))
        if sign:
            assert sign in (await client.read(until=sign)).data
        else:
            await _until(lambda: records.open_streams == 1)
        left = _hang_up(client, reset=reset)
        await _until(lambda: len(records.cancelled) == 1)

    assert records.cancelled[0].monotonic - left <= P99
    assert await at_rest(gateway) == {}


async def test_the_upstream_hears_of_it_when_it_is_held_back(
    gateway: RunningGateway, client_format: WireFormat
) -> None:
    records = gateway.simulator.records
    async with raw_client(gateway.port, receive_buffer=LITTLE) as client:
        await client.send(chat_request(client_format, "sim:events=100k"))  # more than all the buffers between us
        await client.read(until=b"w5")
        await asyncio.sleep(0.5)
        sent = records.open_streams
        left = _hang_up(client, reset=False)
        await _until(lambda: len(records.cancelled) == 1)

    assert sent == 1
    assert records.cancelled[0].monotonic - left <= P99
    assert await at_rest(gateway) == {}


async def _until(true: Any, *, seconds: float = WORST) -> None:
    for _ in range(int(seconds / 0.005)):
        if true():
            return
        await asyncio.sleep(0.005)


@pytest.mark.parametrize("stream", [True, False], ids=["stream", "whole"])
@pytest.mark.parametrize("share", [0.0, 0.1, 0.5, 0.9], ids=["nothing", "half a line", "the head", "half a body"])
async def test_a_request_that_is_not_complete_never_reaches_the_upstream(
    gateway: RunningGateway, client_format: WireFormat, share: float, *, stream: bool
) -> None:
    request = chat_request(client_format, stream=stream)
    async with raw_client(gateway.port) as client:
        await client.send(request[: int(len(request) * share)])
        await asyncio.sleep(0.02)
        _hang_up(client, reset=False)

    assert await at_rest(gateway) == {}
    assert gateway.upstream_requests == []


async def test_a_call_that_waits_for_its_place_leaves_the_queue(client_format: WireFormat) -> None:
    async with (
        running_gateway(limits={"streams": 1}) as gateway,
        raw_client(gateway.port) as first,
        raw_client(gateway.port) as second,
    ):
        slots = gateway.gateway.slots
        await first.send(chat_request(client_format, "sim:stall=head"))
        await _until(lambda: slots.running == 1)
        await second.send(chat_request(client_format, "sim:events=3"))
        await _until(lambda: slots.waiting == 1)
        _hang_up(second, reset=False)
        await _until(lambda: slots.waiting == 0)
        assert (slots.running, slots.waiting) == (1, 0)
        _hang_up(first, reset=False)
        assert await at_rest(gateway) == {}
        assert len(gateway.upstream_requests) == 1


async def test_a_call_that_waits_for_its_connection_gives_up_dialling(client_format: WireFormat) -> None:
    with socket.create_server(("127.0.0.1", 0)) as mute:
        async with (
            running_gateway(f"https://127.0.0.1:{mute.getsockname()[1]}") as gateway,
            raw_client(gateway.port) as client,
        ):
            await client.send(chat_request(client_format))
            await _until(lambda: gateway.gateway.transport.statistics().active == 1)
            dialled, _ = await asyncio.to_thread(mute.accept)
            with dialled:
                _hang_up(client, reset=False)
                assert await at_rest(gateway, seconds=0.5) == {}
                dialled.settimeout(WORST)
                while await asyncio.to_thread(dialled.recv, 4096):  # its half of the handshake, then the end
                    pass


async def test_a_call_that_waits_for_its_next_try_is_not_tried_again(
    gateway: RunningGateway, client_format: WireFormat
) -> None:
    async with raw_client(gateway.port) as client:
        await client.send(chat_request(client_format, "sim:error=1305"))  # overload: a second or more between tries
        await _until(lambda: gateway.simulator.records.completed == 1)
        await asyncio.sleep(0.02)
        _hang_up(client, reset=False)
        assert await at_rest(gateway, seconds=0.3) == {}
        await asyncio.sleep(1.0)

    assert len(gateway.upstream_requests) == 1


@pytest.mark.promise("P-71")
@pytest.mark.parametrize(
    ("transport", "aborts"),
    [
        pytest.param("pooled", 1000, id="a tenth"),
        pytest.param("pooled", 10_000, id="all", marks=pytest.mark.soak),
        pytest.param("httpx", 200, id="the other transport"),
    ],
)
async def test_random_aborts_leave_nothing_behind(transport: str, aborts: int) -> None:
    simulator = Simulator(SimulatorSettings(port=0, pace_ms=0, record=aborts))
    async with (
        running_simulator(simulator) as origin,
        untapped_gateway(
            origin,
            simulator=simulator,
            upstream_format="openai",
            transport=make_transport(transport, proxy=None, ca_file=None, connections=LIMITS["streams"]),
            limits=LIMITS,
        ) as gateway,
    ):
        with loop_lag() as lag:
            aborted = _Aborts(gateway, simulator, aborts)
            await asyncio.gather(*(aborted.run() for _ in range(20)))
            held = await at_rest(gateway)
        delays = aborted.delays()
        rare, worst = statistics.quantiles(delays, n=100)[98], max(delays)
        ms = {"ms_p99": rare * 1000, "ms_max": worst * 1000, "lag_ms": lag.worst * 1000}
        show("P-50", aborts, len(held), heard=len(delays), **{name: round(value, 1) for name, value in ms.items()})

        assert held == {}, aborted.seed
        assert lag.worst <= 0.2, aborted.seed
        assert len(delays) >= aborts * 0.1, aborted.seed  # the others had not come so far, or were answered
        assert rare <= P99, aborted.seed
        assert worst <= WORST, aborted.seed
        await _check_pool(gateway, simulator)


class _Aborts:
    """So many calls, each left at a random moment of a random answer."""

    def __init__(self, gateway: RunningGateway, simulator: Simulator, count: int) -> None:
        self.seed = random.randrange(2**32)
        self._chance = random.Random(self.seed)
        self._scripts = [script for script, _ in PHASES.values()] * 5 + ["events=500"]
        self._calls = iter(range(count))
        self._port = gateway.port
        self._records = simulator.records
        self._closed: dict[int, float] = {}
        self._asked: dict[int, int] = {}  # request of the simulator -> call

    async def run(self) -> None:
        chance = self._chance
        for number in self._calls:
            script = chance.choice(self._scripts)
            dialect = chance.choice([OPENAI, ANTHROPIC])
            # The simulator's whole answers are complete before it stalls at their end, and their connections idle.
            stream = "stall=end" in script or chance.random() < 0.8
            async with raw_client(self._port, receive_buffer=LITTLE) as client:
                await client.send(chat_request(dialect, f"sim:{script}", stream=stream, text=f"call {number}"))
                await asyncio.sleep(chance.random() * 0.1)
                self._closed[number] = _hang_up(client, reset=chance.random() < 0.5)
            if number % 100 == 0:
                self._harvest()

    def _harvest(self) -> None:
        """Keep of the simulator's records what is needed: a growing heap makes collections, and so turns, long."""
        for request in self._records.requests:
            found = re.search(rb"call (\d+)", request.body)
            assert found
            self._asked[request.number] = int(found[1])
        self._records.requests.clear()

    def delays(self) -> list[float]:
        """Return how long after its client each cancelled answer ended."""
        self._harvest()
        return [one.monotonic - self._closed[self._asked[one.number]] for one in self._records.cancelled]


async def _check_pool(gateway: RunningGateway, simulator: Simulator) -> None:
    """Every slot can be used again, and every connection that is open is one the pool knows."""
    calls = (ask(gateway.port, chat_request(OPENAI, "sim:events=3;pace=20")) for _ in range(LIMITS["streams"]))
    answers = await asyncio.gather(*calls)
    assert all(checked(OPENAI, answer.body, OPENAI).error is None for answer in answers)
    assert await at_rest(gateway) == {}
    assert gateway.gateway.transport.statistics().idle == simulator.records.open_connections
