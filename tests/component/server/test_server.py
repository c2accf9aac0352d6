"""A process's life on loopback: start, serve, drain, end."""

import asyncio
import time
from pathlib import Path

import httpx2
import pytest

from services.chassis.health import Health, Phase
from services.chassis.listening import CannotListen, bind_tcp
from services.chassis.server import Server
from services.chassis.site import Listener, StartupFailed
from tests.support.raw_http import raw_client
from tests.support.recording_app import RecordingApp
from tests.support.serving import running_server

GET = b"GET /probe HTTP/1.1\r\nHost: a\r\n\r\n"
SLOW = b"GET /slow HTTP/1.1\r\nHost: a\r\n\r\n"


class ProbeApp:
    """An admin application that answers with what the health says."""

    def __init__(self, health: Health) -> None:
        self.health = health

    async def __call__(self, scope, receive, send):
        if scope["type"] != "http":
            raise NotImplementedError(scope["type"])
        alive = self.health.alive(0.0)
        good = alive if scope["path"] == "/livez" else self.health.readiness().ready
        headers = [(b"content-length", b"0")]
        await send({"type": "http.response.start", "status": 200 if good else 503, "headers": headers})
        await send({"type": "http.response.body", "body": b""})


class LifespanApp:
    """Takes part in the lifespan protocol and writes down what happens to it."""

    def __init__(self, name: str, log: list[str], *, fails: bool = False, hangs: bool = False) -> None:
        self.name = name
        self.log = log
        self.fails = fails
        self.hangs = hangs

    async def __call__(self, scope, receive, send):
        assert scope["type"] == "lifespan"
        await receive()
        self.log.append(f"{self.name} starts")
        if self.fails:
            await send({"type": "lifespan.startup.failed", "message": "no"})
            return
        await send({"type": "lifespan.startup.complete"})
        await receive()
        self.log.append(f"{self.name} stops")
        if self.hangs:
            await asyncio.sleep(60)
        await send({"type": "lifespan.shutdown.complete"})


async def test_serves_on_a_free_port() -> None:
    async with running_server(RecordingApp()) as server, httpx2.AsyncClient() as client:
        answer = await client.get(server.url)

    assert answer.text == "ok"
    assert "server" not in answer.headers
    assert "date" not in answer.headers
    assert server.port > 0


async def test_a_stream_is_finished_before_the_server_ends() -> None:
    app = RecordingApp()
    async with running_server(app, drain_seconds=5) as server, raw_client(server.port) as client:
        await client.send(SLOW)
        await client.read(until=b"begin")
        stopping = asyncio.ensure_future(server.stop())
        await asyncio.sleep(0.1)
        assert not stopping.done()
        app.release.set()
        reply = await client.read()

        assert await stopping

    assert reply.closed
    assert reply.data == b"3\r\nend\r\n0\r\n\r\n"


async def test_new_connections_are_refused_and_idle_ones_closed_once_it_ends() -> None:
    app = RecordingApp()
    async with running_server(app, drain_seconds=5) as server, raw_client(server.port) as busy:
        await busy.send(SLOW)
        await busy.read(until=b"begin")
        async with raw_client(server.port) as idle:
            await idle.send(GET)
            await idle.read(until=b"ok")
            stopping = asyncio.ensure_future(server.stop())
            assert await idle.is_closed(seconds=1)
        with pytest.raises(ConnectionRefusedError):
            async with raw_client(server.port):
                pass
        app.release.set()
        await stopping


async def test_probes_are_answered_while_it_drains() -> None:
    health, app = Health(), RecordingApp()
    admin = Listener(app=ProbeApp(health), admin=True, lifespan="off")

    async with running_server(app, admin, health=health, drain_seconds=5) as server, raw_client(server.port) as client:
        url = f"http://127.0.0.1:{server.server.ports[1]}"
        async with httpx2.AsyncClient(base_url=url) as probe:
            before = [(await probe.get(path)).status_code for path in ("/livez", "/readyz")]
            await client.send(SLOW)
            await client.read(until=b"begin")
            stopping = asyncio.ensure_future(server.stop())
            await asyncio.sleep(0.05)
            during = [(await probe.get(path)).status_code for path in ("/livez", "/readyz")]
            app.release.set()
            await stopping

    assert before == [200, 200]
    assert during == [200, 503]
    assert health.phase is Phase.STOPPED


async def test_an_announced_end_serves_on_and_tells_clients_to_go_elsewhere() -> None:
    announced: list[bool] = []
    async with running_server(RecordingApp(), on_drain=lambda: announced.append(True)) as server:
        async with raw_client(server.port) as kept:
            await kept.send(GET)
            first = await kept.read(until=b"ok")
            server.server.announce()
            server.server.announce()
            await kept.send(GET)
            second = await kept.read()
        async with raw_client(server.port) as new:
            await new.send(GET)
            third = await new.read()

    assert b"connection" not in first.answers[0].headers
    for reply in (second, third):
        assert reply.closed
        assert reply.answers[0].status == 200
        assert reply.answers[0].headers[b"connection"] == b"close"
    assert announced == [True]


@pytest.mark.promise("P-64")
async def test_streams_are_asked_to_end_before_the_deadline_and_then_do() -> None:
    app = RecordingApp()
    streams = 200

    async with running_server(app, drain_seconds=1.5, on_deadline=app.release.set) as server:

        async def stream() -> bytes:
            async with raw_client(server.port) as client:
                await client.send(SLOW)
                return (await client.read()).data

        reading = [asyncio.ensure_future(stream()) for _ in range(streams)]
        for _ in range(1000):
            if server.site.running == streams:
                break
            await asyncio.sleep(0.01)
        started = time.monotonic()
        whole = await server.stop()
        took = time.monotonic() - started
        said = await asyncio.gather(*reading)

    assert whole
    assert 0.9 < took < 1.5
    assert sum(data.endswith(b"3\r\nend\r\n0\r\n\r\n") for data in said) == streams


async def test_what_does_not_end_is_cut_at_the_deadline() -> None:
    cancelled: list[str] = []

    async def app(scope, receive, send):
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"begin", "more_body": True})
        try:
            await asyncio.sleep(60)
        finally:
            cancelled.append(scope["path"])

    async with running_server(app, lifespan="off", drain_seconds=0.3) as server, raw_client(server.port) as client:
        await client.send(SLOW)
        await client.read(until=b"begin")
        started = time.monotonic()
        whole = await server.stop()
        reply = await client.read()

    assert not whole
    assert time.monotonic() - started < 1.0
    assert cancelled == ["/slow"]
    assert reply.closed


async def test_a_hurried_end_does_not_wait() -> None:
    app = RecordingApp()
    async with running_server(app, drain_seconds=60) as server, raw_client(server.port) as client:
        await client.send(SLOW)
        await client.read(until=b"begin")
        started = time.monotonic()
        stopping = asyncio.ensure_future(server.stop())
        await asyncio.sleep(0.1)
        server.server.hurry()

        assert not await stopping
        assert time.monotonic() - started < 1.5


@pytest.mark.promise("P-65")
async def test_a_client_that_never_takes_its_answer_does_not_hold_the_end_up() -> None:
    async def app(scope, receive, send):
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"a" * 20_000_000})

    async with (
        running_server(app, lifespan="off", drain_seconds=0.3) as server,
        raw_client(server.port, receive_buffer=4096) as client,
    ):
        await client.send(GET)
        await asyncio.sleep(0.1)
        started = time.monotonic()

        assert not await server.stop()
        assert time.monotonic() - started < 2.0


async def test_applications_start_admin_first_and_stop_admin_last() -> None:
    log: list[str] = []
    server = Server(
        [Listener(app=LifespanApp("public", log)), Listener(app=LifespanApp("admin", log), admin=True)],
        drain_seconds=0.1,
    )
    await server.start()
    assert server.health.phase is Phase.SERVING
    await server.stop()

    assert log == ["admin starts", "public starts", "public stops", "admin stops"]


async def test_an_application_that_refuses_to_start_leaves_nothing_open() -> None:
    log: list[str] = []
    good, bad = LifespanApp("good", log), LifespanApp("bad", log, fails=True)
    server = Server([Listener(app=bad), Listener(app=good, admin=True)])
    with pytest.raises(StartupFailed):
        await server.start()

    assert log == ["good starts", "bad starts", "good stops"]
    for port in server.ports:
        bind_tcp("127.0.0.1", port).close()


async def test_a_taken_address_is_named_before_anything_starts() -> None:
    log: list[str] = []
    async with running_server(RecordingApp()) as first:
        server = Server([Listener(app=LifespanApp("second", log), port=first.port)])
        with pytest.raises(CannotListen, match=f"127.0.0.1:{first.port}"):
            await server.start()

    assert log == []


async def test_an_application_that_does_not_shut_down_is_left_behind(caplog: pytest.LogCaptureFixture) -> None:
    log: list[str] = []
    server = Server([Listener(app=LifespanApp("app", log, hangs=True))], drain_seconds=0.1, shutdown_seconds=0.2)
    await server.start()

    assert await server.stop()
    assert log == ["app starts", "app stops"]
    assert "longer than 0.2 s" in caplog.text


async def test_state_that_an_application_makes_at_start_reaches_its_requests() -> None:
    async def app(scope, receive, send):
        if scope["type"] == "lifespan":
            await receive()
            scope["state"]["answer"] = b"42"
            await send({"type": "lifespan.startup.complete"})
            await receive()
            await send({"type": "lifespan.shutdown.complete"})
            return
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": scope["state"]["answer"]})

    async with running_server(app) as server, httpx2.AsyncClient() as client:
        assert (await client.get(server.url)).text == "42"


async def test_a_unix_socket_is_served_to_its_group_and_cleared_away(tmp_path: Path) -> None:
    path = tmp_path / "s"
    transport = httpx2.AsyncHTTPTransport(uds=str(path))
    async with (
        running_server(RecordingApp(), uds=str(path)),
        httpx2.AsyncClient(transport=transport) as client,
    ):
        assert path.stat().st_mode & 0o777 == 0o660
        assert (await client.get("http://gateway/")).text == "ok"

    assert not path.exists()


async def test_forwarded_headers_are_believed_from_named_peers_only() -> None:
    clients: list[str] = []

    async def app(scope, receive, send):
        clients.append(scope["client"][0])
        await send({"type": "http.response.start", "status": 204, "headers": []})
        await send({"type": "http.response.body", "body": b""})

    forged = {"X-Forwarded-For": "203.0.113.9"}
    async with httpx2.AsyncClient(headers=forged) as client:
        async with running_server(app, lifespan="off") as server:
            await client.get(server.url)
        async with running_server(app, lifespan="off", forwarded_allow_ips=("127.0.0.1",)) as server:
            await client.get(server.url)

    assert clients == ["127.0.0.1", "203.0.113.9"]
