"""
How often the upstream is really called: retries before the first byte as the table says, none after it, and never more
than the budget.
"""

import asyncio
import random
import socket
import time
from collections.abc import AsyncIterator, Callable

import httpx2
import pytest

from services.gateway.upstream.factory import make_transport
from services.gateway.upstream.transport import (
    TransportError,
    TransportStatistics,
    UpstreamAnswer,
    UpstreamRequest,
)
from services.gateway.wire.formats import WireFormat
from services.simulator.app import Simulator
from services.simulator.script import Script, parse
from services.simulator.server import running
from tests.support.dialects import ANTHROPIC, OPENAI, PATH, client_of, error_in, small
from tests.support.gateway import RunningGateway, running_gateway
from tests.support.promises import show
from tests.support.simulated import TEST_SETTINGS

pytestmark = pytest.mark.promise("P-41")


@pytest.fixture
async def gateway() -> AsyncIterator[RunningGateway]:
    async with running_gateway(upstream_format="native") as running:
        yield running


@pytest.fixture
async def client(gateway: RunningGateway) -> AsyncIterator[httpx2.AsyncClient]:
    async with client_of(gateway) as made:
        yield made


@pytest.mark.parametrize(
    ("failures", "stream", "calls"),
    [
        (["error=503"], False, 2),
        (["error=503", "error=502"], False, 3),
        (["error=503", "error=502"], True, 3),
        (["error=1200"], False, 2),
        (["error=1302"], True, 2),
        (["error=1302;at=ok"], False, 2),
        (["error=503;at=first"], True, 2),
    ],
)
@pytest.mark.parametrize("dialect", [OPENAI, ANTHROPIC])
async def test_what_a_second_try_can_mend_gets_one(
    gateway: RunningGateway,
    client: httpx2.AsyncClient,
    dialect: WireFormat,
    failures: list[str],
    stream: bool,
    calls: int,
) -> None:
    for failure in failures:
        gateway.simulator.scripts.push(parse(failure))

    answer = await client.post(PATH[dialect], json=small(dialect, stream=stream))

    assert (200, calls) == (answer.status_code, len(gateway.upstream_requests))
    assert 1 == len({request.body for request in gateway.upstream_requests})


@pytest.mark.parametrize(
    ("script", "status", "calls"),
    [
        ("error=503", 503, 3),
        ("error=500", 502, 2),
        ("error=1234", 502, 2),
        ("error=1302", 429, 3),
        # The first byte has not been seen, but the request may have been acted on.
        ("cut-raw=20", 502, 1),
        ("cut=0;end=rst", 502, 1),
        ("answer=empty", 502, 1),
        ("answer=garbage", 502, 1),
        # The client's doing.
        ("error=1210", 400, 1),
        ("error=1211", 404, 1),
        ("error=1261", 400, 1),
        ("error=1301", 400, 1),
        # Waiting, another key or a person is needed.
        ("error=1113", 429, 1),
        ("error=1308", 429, 1),
        ("error=1304", 429, 1),
        ("error=1311", 429, 1),
        # A burst would make it worse.
        ("error=1313", 429, 1),
        ("error=3007", 403, 1),
        ("error=3012", 405, 1),
        ("error=3012;message=unusual%20activity", 405, 1),
        ("error=3012;status=403;message=unusual%20activity", 403, 1),
        ("error=1112", 403, 1),
        ("error=403;error-form=empty", 403, 1),
        ("answer=html", 502, 1),
        ("answer=redirect", 502, 1),
    ],
)
async def test_every_kind_of_failure_is_tried_as_often_as_the_table_says(
    gateway: RunningGateway, client: httpx2.AsyncClient, script: str, status: int, calls: int
) -> None:
    answer = await client.post(PATH[OPENAI], json=small(OPENAI, f"sim:{script}"))

    assert (status, calls) == (answer.status_code, len(gateway.upstream_requests))


def _asking_to_wait(seconds: bytes) -> Script:
    head = b"HTTP/1.1 503 Busy\r\nretry-after: %s\r\ncontent-length: 2\r\n\r\n{}" % seconds
    return Script(raw=head)


async def test_a_short_retry_after_is_waited_for(gateway: RunningGateway, client: httpx2.AsyncClient) -> None:
    gateway.simulator.scripts.push(_asking_to_wait(b"1"))
    begun = time.monotonic()

    answer = await client.post(PATH[OPENAI], json=small(OPENAI))

    assert (200, 2) == (answer.status_code, len(gateway.upstream_requests))
    assert 1.0 <= time.monotonic() - begun < 2.5


async def test_a_long_retry_after_is_the_clients_to_wait(gateway: RunningGateway, client: httpx2.AsyncClient) -> None:
    gateway.simulator.scripts.push(_asking_to_wait(b"60"))

    answer = await client.post(PATH[OPENAI], json=small(OPENAI))

    assert (503, "60") == (answer.status_code, answer.headers["retry-after"])
    assert 1 == len(gateway.upstream_requests)


class _Watched:
    """A transport that tells of its failures."""

    def __init__(self, failed: Callable[[], None]) -> None:
        self._inner = make_transport("pooled", proxy=None, ca_file=None, connections=10)
        self._failed = failed

    async def send(self, request: UpstreamRequest) -> UpstreamAnswer:
        try:
            return await self._inner.send(request)
        except TransportError:
            self._failed()
            raise

    async def aclose(self) -> None:
        await self._inner.aclose()

    def statistics(self) -> TransportStatistics:
        return self._inner.statistics()


@pytest.mark.parametrize("stream", [False, True])
async def test_an_upstream_that_comes_up_in_time_is_reached(stream: bool) -> None:
    simulator = Simulator(TEST_SETTINGS)
    failures = 0
    opened: list[asyncio.Future[None]] = []
    async with running(simulator) as origin:
        with socket.socket() as door:
            door.bind(("127.0.0.1", 0))  # refuses until it listens

            async def through(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
                host, port = origin.removeprefix("http://").split(":")
                inner_reader, inner_writer = await asyncio.open_connection(host, int(port))
                async with asyncio.TaskGroup() as tasks:
                    tasks.create_task(_pump(reader, inner_writer))
                    tasks.create_task(_pump(inner_reader, writer))

            def failed() -> None:
                nonlocal failures
                failures += 1
                if failures == 1:
                    opened.append(asyncio.ensure_future(server.start_serving()))

            async with (
                await asyncio.start_server(through, sock=door, start_serving=False) as server,
                running_gateway(
                    f"http://127.0.0.1:{door.getsockname()[1]}", transport=_Watched(failed), limits={"drain": 0.1}
                ) as gateway,
                client_of(gateway) as client,
            ):
                answer = await client.post(PATH[OPENAI], json=small(OPENAI, stream=stream))

    assert (200, 1) == (answer.status_code, len(simulator.records.requests))
    assert 1 <= failures


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
    finally:
        writer.close()


async def test_an_upstream_that_stays_away_is_called_three_times() -> None:
    failures = []
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        async with (
            running_gateway(
                f"http://127.0.0.1:{closed.getsockname()[1]}", transport=_Watched(lambda: failures.append(1))
            ) as gateway,
            client_of(gateway) as client,
        ):
            answer = await client.post(PATH[ANTHROPIC], json=small(ANTHROPIC))

    assert 502 == answer.status_code
    error_in(ANTHROPIC, answer)
    assert 3 == len(failures)


@pytest.mark.parametrize("runs", [100, pytest.param(1000, marks=pytest.mark.soak)])
async def test_after_the_first_byte_nothing_is_repeated(
    gateway: RunningGateway, client: httpx2.AsyncClient, runs: int
) -> None:
    chance = random.Random(41)
    for run in range(runs):
        dialect = chance.choice((OPENAI, ANTHROPIC))
        stream = chance.random() < 0.8
        offset = chance.randrange(3000 if stream else 900)
        end = chance.choice(("rst", "fin"))
        gateway.simulator.records.reset()

        answer = await client.post(
            PATH[dialect],
            json=small(dialect, f"sim:events=20;cut={offset};end={end}", stream=stream, text=f"run {run}"),
        )

        assert 1 == len(gateway.upstream_requests), (dialect, stream, offset, end, answer.status_code)
    show("P-41", runs, 0, what="cuts")


@pytest.mark.timeout(300)
@pytest.mark.parametrize("requests", [150, pytest.param(1500, marks=pytest.mark.soak)])
async def test_an_outage_is_not_multiplied(requests: int) -> None:
    simulator = Simulator(TEST_SETTINGS)
    async with (
        running_gateway(simulator=simulator, limits={"streams": 400, "upstream_connections": 400}) as gateway,
        client_of(gateway) as client,
    ):
        begun = time.monotonic()
        places = asyncio.Semaphore(50)

        async def one() -> int:
            async with places:
                return (await client.post(PATH[OPENAI], json=small(OPENAI, "sim:error=503"))).status_code

        statuses = await asyncio.gather(*(one() for _ in range(requests)))
        seconds = time.monotonic() - begun

    repeated = simulator.records.total - requests
    # A fifth of the traffic, three a second, and what ten quiet seconds had saved up.
    allowed = 0.2 * requests + 3 * seconds + 30
    show("P-41", requests, int(repeated > allowed), repeated=repeated, seconds=round(seconds, 1))
    assert {503} == set(statuses)
    assert repeated <= allowed
