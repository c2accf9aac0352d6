"""
An upstream that says "too much at once", is overloaded, or keeps failing: what is asked of it then, and what clients see.

Shown to fail once by: keeping the place while a throttled call waits to be tried again (the same crowd is refused again
and again); circuits that are not asked; one circuit for all models; counting what clients do wrong.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx2
import pytest

from services.credentials.contract import Kind
from services.gateway.snapshot_leases import SnapshotLeases
from services.gateway.wire.formats import WireFormat
from services.simulator.script import parse
from tests.support.credentials import credential, running_broker, until
from tests.support.dialects import ANTHROPIC, OPENAI, PATH, client_of, error_in, small
from tests.support.gateway import RunningGateway, running_gateway

ANSWER = (
    b'{"id":"1","object":"chat.completion","model":"glm-5.1","choices":[{"index":0,"message":{"role":"assistant",'
    b'"content":"hi"},"finish_reason":"stop"}],"usage":{"prompt_tokens":1,"completion_tokens":1,"total_tokens":2}}'
)
TOO_MANY = b'{"error":{"code":"1302","message":"Your concurrency is too high"}}'


class NarrowUpstream:
    """Serves so many calls at once and refuses the others with 1302, at once."""

    def __init__(self, width: int, seconds: float) -> None:
        self._width = width
        self._seconds = seconds
        self.running = self.served = self.refused = 0

    async def handle(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while head := await reader.readuntil(b"\r\n\r\n"):
                length = next(
                    int(line.partition(b":")[2])
                    for line in head.lower().split(b"\r\n")
                    if line.startswith(b"content-length:")
                )
                await reader.readexactly(length)
                status, body = await self._answer()
                writer.write(
                    b"HTTP/1.1 %d X\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n%s"
                    % (status, len(body), body)
                )
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()

    async def _answer(self) -> tuple[int, bytes]:
        if self.running >= self._width:
            self.refused += 1
            return 429, TOO_MANY
        self.running += 1
        await asyncio.sleep(self._seconds)
        self.running -= 1
        self.served += 1
        return 200, ANSWER

    @asynccontextmanager
    async def serving(self) -> AsyncIterator[str]:
        async with await asyncio.start_server(self.handle, "127.0.0.1", 0) as server:
            yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"


async def metric(gateway: RunningGateway, name: str) -> dict[str, float]:
    """Return the series of a metric that the admin port shows."""
    async with httpx2.AsyncClient(trust_env=False) as http:
        shown = (await http.get(f"{gateway.admin_url}/metrics")).text
    lines = [line.rpartition(" ") for line in shown.splitlines() if line.startswith(name)]
    return {series: float(value) for series, _, value in lines}


@pytest.mark.timeout(300)
async def test_a_crowd_is_narrowed_to_what_the_upstream_takes_and_all_of_it_is_served() -> None:
    """Twenty agents at once on a plan that takes four: all are served, in line, with few refusals on the way."""
    upstream = NarrowUpstream(4, 0.1)
    limits = {"queue": 100, "queue_seconds": 60.0}
    async with (
        upstream.serving() as origin,
        running_gateway(origin, upstream_format="openai", limits=limits) as gateway,
        client_of(gateway) as client,
    ):
        answers = await asyncio.gather(
            *(client.post(PATH[OPENAI], json=small(OPENAI), timeout=100) for _ in range(20)),
        )
        shown = await metric(gateway, "zcode_upstream_concurrency_limit")
        waiting = await metric(gateway, "zcode_upstream_waiting")

    assert [answer.text for answer in answers if answer.status_code != 200] == []
    assert upstream.served == 20
    assert upstream.refused <= 24  # 16 at once, and then those that found out whether there is more room
    assert list(waiting.values()) == [0.0]
    [limit] = shown.values()
    assert 3 <= limit <= 6


@pytest.mark.parametrize(("dialect", "status"), [(OPENAI, 503), (ANTHROPIC, 529)])
async def test_a_model_that_is_overloaded_for_everyone_is_left_alone_and_no_other(
    dialect: WireFormat, status: int
) -> None:
    limits = {"breaker": 5, "retries": 0}
    async with running_gateway(upstream_format="native", limits=limits) as gateway, client_of(gateway) as client:
        for _ in range(5):
            answer = await client.post(PATH[dialect], json=small(dialect, "sim:error=1305"))
            assert answer.status_code == status
        asked = len(gateway.upstream_requests)
        answer = await client.post(PATH[dialect], json=small(dialect, "sim:error=1305"))
        other = await client.post(PATH[dialect], json=small(dialect))
        shown = await metric(gateway, "zcode_breaker_state")

    assert len(gateway.upstream_requests) == asked + 1  # the other model's
    assert answer.status_code == status
    assert 1 <= int(answer.headers["retry-after"]) <= 12
    assert "another model" in error_in(dialect, answer).message
    assert other.status_code == 200
    assert shown == {'zcode_breaker_state{kind="model",name="other"}': 2.0}


@pytest.mark.parametrize("stream", [False, True])
async def test_an_upstream_that_keeps_failing_is_left_alone(*, stream: bool) -> None:
    limits = {"breaker": 5, "retries": 0}
    async with running_gateway(limits=limits) as gateway, client_of(gateway) as client:
        for _ in range(4):
            await client.post(PATH[OPENAI], json=small(OPENAI, "sim:error=503", stream=stream))
        await client.post(PATH[OPENAI], json=small(OPENAI, "sim:error=1210"))  # the client's doing
        assert (await client.post(PATH[OPENAI], json=small(OPENAI, "sim:cut=40;end=rst", stream=stream))).status_code
        asked = len(gateway.upstream_requests)
        answer = await client.post(PATH[OPENAI], json=small(OPENAI, stream=stream))
        shown = await metric(gateway, "zcode_breaker_state")

    assert len(gateway.upstream_requests) == asked
    assert answer.status_code == 503
    assert error_in(OPENAI, answer).code == "upstream_resting"
    assert shown == {'zcode_breaker_state{kind="credential",name="config"}': 2.0}


async def test_while_one_credential_rests_another_one_serves(tmp_path: Path) -> None:
    """Shown to fail once by: leases that are not told who rests."""
    async with running_broker(tmp_path) as service:
        for name in ("a", "b"):
            await service.add(credential(f"crd_{name * 12}", kind=Kind.API_KEY, api_key=f"{name}.key"))
        async with (
            service.client("app") as keys,
            running_gateway(
                leases=SnapshotLeases(keys), auth={"api_key": None}, limits={"breaker": 5, "retries": 0}
            ) as gateway,
            client_of(gateway) as client,
        ):
            await until(lambda: len(keys.snapshot.leases) == 2)
            for _ in range(5):
                gateway.simulator.scripts.push(parse("error=503"))
            answers = [(await client.post(PATH[OPENAI], json=small(OPENAI))).status_code for _ in range(7)]
            used = [request.header(b"x-api-key") for request in gateway.upstream_requests]

    assert answers == [503] * 5 + [200] * 2
    assert used == [b"a.key"] * 5 + [b"b.key"] * 2


async def test_what_clients_do_wrong_opens_nothing() -> None:
    async with running_gateway(limits={"breaker": 5}) as gateway, client_of(gateway) as client:
        for script in ("error=1210", "error=1211", "error=1261", "error=1308", "error=1001") * 6:
            await client.post(PATH[OPENAI], json=small(OPENAI, f"sim:{script}"))
        answer = await client.post(PATH[OPENAI], json=small(OPENAI))

    assert answer.status_code == 200


async def test_a_stream_that_waits_for_a_place_is_kept_alive() -> None:
    """Shown to fail once by: waiting for the place before the stream is kept."""
    limits = {"streams": 1, "queue": 4, "queue_seconds": 30.0, "hold_headers": 0.2, "ping": 0.2}
    busy = small(OPENAI, "sim:events=4;stall=head;stall-for=2s", stream=True)
    async with running_gateway(limits=limits) as gateway, client_of(gateway) as client:
        first = asyncio.ensure_future(client.post(PATH[OPENAI], json=busy))
        while not gateway.upstream_requests:
            await asyncio.sleep(0.01)
        begun = asyncio.get_running_loop().time()
        async with client.stream("POST", PATH[OPENAI], json=small(OPENAI, stream=True)) as second:
            chunks = second.aiter_raw()
            alive = await anext(chunks)
            early = asyncio.get_running_loop().time() - begun
            asked = len(gateway.upstream_requests)
            rest = b"".join([chunk async for chunk in chunks])
        await first

    assert (alive, asked) == (b": keep-alive\n\n", 1)
    assert early < 1.9
    assert rest.count(b": keep-alive") > 1
    assert rest.endswith(b"data: [DONE]\n\n")


async def test_a_stream_that_waits_too_long_ends_with_an_error_event() -> None:
    limits = {"streams": 1, "queue": 4, "queue_seconds": 0.6, "hold_headers": 0.1, "ping": 0.1}
    async with running_gateway(limits=limits) as gateway, client_of(gateway) as client:
        first = asyncio.ensure_future(client.post(PATH[OPENAI], json=small(OPENAI, "sim:stall=head", stream=True)))
        while not gateway.upstream_requests:
            await asyncio.sleep(0.01)
        answer = await client.post(PATH[OPENAI], json=small(OPENAI, stream=True))
        first.cancel()

    assert answer.status_code == 200
    assert b"gateway_overloaded" in answer.content
