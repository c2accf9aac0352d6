"""Requests that are served without ASGI: read whole, answered in few writes, and no less guarded than the others."""

import asyncio
import logging
from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from services.chassis.direct import ClientGone, DirectCycle, RequestHead, Serve
from services.chassis.http_guard.limits import GuardLimits
from tests.support.raw_http import raw_client, say
from tests.support.recording_app import RecordingApp
from tests.support.serving import RunningServer, running_server

_ROUTE = b"/direct"
_CLOSE = b"Connection: close\r\n"


def post(body: bytes, headers: bytes = b"", path: bytes = _ROUTE) -> bytes:
    head = b"POST %b HTTP/1.1\r\nHost: gate.example\r\n%bContent-Length: %d\r\n\r\n"
    return head % (path, headers, len(body)) + body


class Route:
    """Admits what has a key and does with it as it is told; the default echoes."""

    def __init__(self, serve: Callable[[DirectCycle], Coroutine[Any, Any, None]] | None = None) -> None:
        self._serve = serve or self._echo
        self.bodies: list[bytes] = []
        self.gone = 0
        self.cycle: DirectCycle | None = None
        self.served = asyncio.Event()

    def admit(self, head: RequestHead, peer: str | None) -> Serve | None:
        assert head.path == _ROUTE
        assert peer == "127.0.0.1"
        return None if head.method != b"POST" or b"x-refused" in head.headers else self._take

    async def _take(self, cycle: DirectCycle) -> None:
        self.cycle = cycle
        try:
            self.bodies.append(await cycle.read_body(0))
            await self._serve(cycle)
        except ClientGone:
            self.gone += 1
        finally:
            self.served.set()

    async def _echo(self, cycle: DirectCycle) -> None:
        cycle.start(200, [(b"content-length", b"%d" % len(self.bodies[-1]))])
        cycle.finish(self.bodies[-1])


async def _ask(route: Route, *pieces: bytes, app: Any = None, limits: GuardLimits = GuardLimits()) -> Any:  # noqa: B008
    async with running_server(app or RecordingApp(), direct={_ROUTE: route}, limits=limits) as server:
        return await say(server.port, *pieces, pause=0.01)


async def test_a_body_in_any_number_of_pieces_is_read_whole() -> None:
    route = Route()
    whole = post(b"x" * 200_000, _CLOSE)
    reply = await _ask(route, whole[:20], whole[20:150], whole[150:100_000], whole[100_000:])

    assert [b"x" * 200_000] == route.bodies == [answer.body for answer in reply.answers]
    assert reply.closed


async def test_a_chunked_body_is_read_whole() -> None:
    route = Route()
    head = b"POST /direct HTTP/1.1\r\nHost: gate.example\r\nTransfer-Encoding: chunked\r\n" + _CLOSE + b"\r\n"
    await _ask(route, head, b"3\r\nabc\r\n", b"2\r\nde\r\n0\r\n\r\n")

    assert [b"abcde"] == route.bodies


async def test_one_connection_serves_many_requests_of_both_kinds() -> None:
    route, app = Route(), RecordingApp()
    requests = [post(b"1"), post(b"2"), post(b"", path=b"/other"), post(b"3"), post(b"4", _CLOSE)]
    together = await _ask(route, b"".join(requests), app=app)
    one_by_one = await _ask(route, *requests, app=app)

    # Behind a request that is being served the others wait as the application's, which answers in its own way.
    assert [200] * 5 == together.statuses == one_by_one.statuses
    assert [b"1", b"2", b"3", b"4"] == [answer.body for answer in one_by_one.answers if answer.body != b"ok"]


@pytest.mark.parametrize("refused", [b"X-Refused: 1\r\n", b"Expect: 100-continue\r\n", b"Upgrade: h2c\r\n"])
async def test_what_the_route_does_not_take_is_the_applications(refused: bytes) -> None:
    route, app = Route(), RecordingApp()
    reply = await _ask(route, post(b"x", refused + _CLOSE), app=app)

    assert [] == route.bodies
    assert ["/direct"] == app.paths
    assert 200 == reply.statuses[-1]


async def test_the_query_does_not_hide_the_route() -> None:
    route = Route()
    await _ask(route, post(b"x", _CLOSE, b"/direct?beta=true"))

    assert [b"x"] == route.bodies


async def test_a_stream_is_framed_and_its_head_goes_with_the_first_part() -> None:
    async def stream(cycle: DirectCycle) -> None:
        cycle.start(200, [(b"content-type", b"text/event-stream")])
        assert cycle.write(b"")  # the head alone
        assert cycle.write(b"one")
        assert cycle.write(b"two")
        cycle.finish(b"three")
        cycle.finish(b"never")
        assert cycle.write(b"never")

    reply = await _ask(Route(stream), post(b"", _CLOSE))

    assert [b"onetwothree"] == [answer.body for answer in reply.answers]


@pytest.mark.parametrize("data", [b"", b"whole"])
async def test_an_answer_may_end_with_its_head(data: bytes) -> None:
    async def end(cycle: DirectCycle) -> None:
        cycle.start(200, [])
        cycle.finish(data)

    reply = await _ask(Route(end), post(b"", _CLOSE))

    assert [(200, data)] == [(answer.status, answer.body) for answer in reply.answers]


async def test_a_header_cannot_bring_a_second_answer(caplog: pytest.LogCaptureFixture) -> None:
    async def split(cycle: DirectCycle) -> None:
        cycle.start(200, [(b"x-upstream", b"a\r\ncontent-length: 0\r\n\r\nHTTP/1.1 200 OK")])
        cycle.finish(b"")

    with caplog.at_level(logging.ERROR):
        reply = await _ask(Route(split), post(b""))

    assert (b"", True) == (reply.data, reply.closed)
    assert ["a route failed: ValueError"] == [record.getMessage() for record in caplog.records]


async def test_an_answer_that_is_broken_off_is_seen_to_be() -> None:
    async def broken(cycle: DirectCycle) -> None:
        cycle.start(200, [])
        cycle.write(b"half")
        cycle.abort()
        cycle.write(b"never")

    reply = await _ask(Route(broken), post(b""))

    assert reply.closed
    assert reply.data.endswith(b"\r\n\r\n4\r\nhalf\r\n")


async def _with_a_client_that_leaves(route: Route, *pieces: bytes) -> RunningServer:
    async with running_server(RecordingApp(), direct={_ROUTE: route}) as server:
        async with raw_client(server.port) as client:
            await client.send(*pieces, pause=0.02)
        async with asyncio.timeout(5):
            await route.served.wait()
        return server


async def test_a_client_that_leaves_in_the_middle_of_its_body_is_told_of_once() -> None:
    route = Route()
    await _with_a_client_that_leaves(route, post(b"x" * 1000)[:-10])

    assert ([], 1) == (route.bodies, route.gone)


async def test_a_client_that_leaves_before_its_answer_is_noticed() -> None:
    left = asyncio.Event()

    async def wait(cycle: DirectCycle) -> None:
        cycle.watch(left.set)
        await left.wait()
        assert cycle.gone
        cycle.start(200, [])
        assert cycle.write(b"into the void")
        cycle.finish(b"too")

    route = Route(wait)
    await _with_a_client_that_leaves(route, post(b""))

    assert left.is_set()


async def test_who_has_stopped_watching_is_left_alone() -> None:
    called: list[None] = []

    async def wait(cycle: DirectCycle) -> None:
        cycle.watch(lambda: called.append(None))
        cycle.stop_watching()
        while not cycle.gone:
            await asyncio.sleep(0.01)

    await _with_a_client_that_leaves(Route(wait), post(b""))

    assert [] == called


async def test_a_slow_client_holds_the_route_back_until_it_has_caught_up() -> None:
    part, drained, held = b"x" * 65536, asyncio.Event(), asyncio.Event()

    async def flood(cycle: DirectCycle) -> None:
        cycle.start(200, [])
        cycle.on_drained(drained.set)
        for _ in range(1000):
            if not cycle.write(part):
                break
        else:
            raise AssertionError("a client that does not read was never noticed")
        held.set()
        await drained.wait()
        cycle.on_drained(None)
        cycle.finish()

    async with (
        running_server(RecordingApp(), direct={_ROUTE: Route(flood)}) as server,
        raw_client(server.port, receive_buffer=4096) as client,
    ):
        await client.send(post(b"", _CLOSE))
        async with asyncio.timeout(5):
            await held.wait()
        assert not drained.is_set()
        reply = await client.read(seconds=20)

    [answer] = reply.answers
    assert {b"x"} == {answer.body[at : at + 1] for at in range(0, len(answer.body), 4096)}


async def test_a_body_that_never_comes_is_refused_and_its_route_told() -> None:
    route = Route()
    limits = GuardLimits(body_seconds=0.2, body_grace_seconds=0.2, sweep=0.05)
    reply = await _ask(route, post(b"x" * 10)[:-5], limits=limits)

    assert ([408], True, [], 1) == (reply.statuses, reply.closed, route.bodies, route.gone)


async def test_the_drain_ends_a_direct_request_like_any_other() -> None:
    async def wait(cycle: DirectCycle) -> None:
        await asyncio.sleep(0.1)
        cycle.start(200, [(b"content-length", b"2")])
        cycle.finish(b"ok")

    route = Route(wait)
    async with (
        running_server(RecordingApp(), direct={_ROUTE: route}, drain_seconds=5.0) as server,
        raw_client(server.port) as client,
    ):
        await client.send(post(b""))
        while not route.bodies:
            await asyncio.sleep(0.01)
        assert await server.stop()
        reply = await client.read()

    [answer] = reply.answers
    assert (200, b"close", True) == (answer.status, answer.headers.get(b"connection"), reply.closed)


async def test_identity_is_kept_apart_where_a_proxy_is_trusted() -> None:
    route, app = Route(), RecordingApp()
    async with running_server(app, direct={_ROUTE: route}, forwarded_allow_ips=("127.0.0.1",)) as server:
        await say(server.port, post(b"x", _CLOSE))

    assert ([], ["/direct"]) == (route.bodies, app.paths)
