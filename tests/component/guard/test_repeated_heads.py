"""A client that says the same head again is served as if it had said it for the first time."""

import asyncio

import pytest

from services.chassis.direct import DirectCycle, RequestHead, Serve
from services.chassis.guard import GuardProtocol
from services.chassis.http_guard.limits import GuardLimits
from services.chassis.http_guard.repeated import RepeatedHead
from tests.support.raw_http import raw_client, say
from tests.support.recording_app import RecordingApp
from tests.support.serving import running_server

_ROUTE = b"/direct"


def post(body: bytes, *, more: bytes = b"X-Api-Key: k\r\n", path: bytes = _ROUTE) -> bytes:
    return b"POST %b HTTP/1.1\r\nHost: gate.example\r\nContent-Length: %d\r\n%b\r\n%b" % (path, len(body), more, body)


class Echo:
    """Admits whoever has a key, tells what it was asked, and can revoke the key."""

    def __init__(self) -> None:
        self.served: list[bytes] = []
        self.heads: list[RequestHead] = []
        self.revoked = False

    def admit(self, head: RequestHead, peer: str | None) -> Serve | None:
        assert (head.method, head.path, peer) == (b"POST", _ROUTE, "127.0.0.1")
        if self.revoked or head.headers.get(b"x-api-key") != b"k":
            return None
        self.heads.append(head)
        return self._serve

    async def _serve(self, cycle: DirectCycle) -> None:
        body = await cycle.read_body(0)
        self.served.append(body)
        await asyncio.sleep(0)
        cycle.start(200, [(b"content-length", b"%d" % len(body))])
        cycle.finish(body)


@pytest.fixture
def known(monkeypatch: pytest.MonkeyPatch) -> list[bytes]:
    """The bodies of the requests that were recognised."""
    bodies: list[bytes] = []
    take = GuardProtocol._take_repeated

    def taken(self: GuardProtocol, data: bytes, head: RepeatedHead) -> bool:
        if not take(self, data, head):
            return False
        bodies.append(head.body(data) or b"")
        return True

    monkeypatch.setattr(GuardProtocol, "_take_repeated", taken)
    return bodies


async def test_every_request_but_the_first_is_recognised_and_served_alike(known: list[bytes]) -> None:
    route, bodies = Echo(), [b"one", b"two", b"a third, which is longer", b"4" * 10_000, b"five"]
    async with running_server(RecordingApp(), direct={_ROUTE: route}) as server, raw_client(server.port) as client:
        for body in bodies:
            await client.send(post(body))
            answer = await client.answer()
            assert (answer.status, answer.body) == (200, body)

    assert route.served == bodies
    assert known == bodies[1:]


async def test_what_a_route_remembers_of_a_head_is_there_when_the_head_comes_again(known: list[bytes]) -> None:
    route = Echo()
    async with running_server(RecordingApp(), direct={_ROUTE: route}) as server, raw_client(server.port) as client:
        more = b"X-Api-Key: k\r\nX-More: 1\r\n"
        for data in (post(b"a"), post(b"bc"), post(b"d", more=more), post(b"e", more=more)):
            await client.send(data)
            await client.answer()
            route.heads[-1].memo = route.heads[-1].memo or data

    first, again, other, last = route.heads
    assert known == [b"bc", b"e"]
    assert (first is again, other is last, other is first) == (True, True, False)
    assert (first.memo, other.memo) == (post(b"a"), post(b"d", more=more))
    assert [sorted(head.headers) for head in (first, other)] == [
        [b"host", b"x-api-key"],  # without a length, which differs from body to body
        [b"host", b"x-api-key", b"x-more"],
    ]


async def test_a_key_that_was_revoked_is_refused_at_the_next_request(known: list[bytes]) -> None:
    route, app = Echo(), RecordingApp()
    async with running_server(app, direct={_ROUTE: route}) as server, raw_client(server.port) as client:
        for _ in range(2):
            await client.send(post(b"x"))
            await client.answer()
        route.revoked = True
        await client.send(post(b"x"))
        await client.answer()

    assert len(route.served) == 2
    assert app.paths == ["/direct"]  # which refuses, in its own words
    assert known == [b"x"]


@pytest.mark.parametrize(
    "other",
    [
        post(b"x", more=b"X-Api-Key: k\r\nX-More: 1\r\n"),
        post(b"x", path=b"/direct?beta=true"),
        post(b"x", more=b"x-api-key: k\r\n"),
        b"POST /direct HTTP/1.1\r\nHost: gate.example\r\nTransfer-Encoding: chunked\r\nX-Api-Key: k\r\n\r\n1\r\nx\r\n0\r\n\r\n",
    ],
)
async def test_another_head_in_between_is_parsed_as_ever(known: list[bytes], other: bytes) -> None:
    route = Echo()
    async with running_server(RecordingApp(), direct={_ROUTE: route}) as server, raw_client(server.port) as client:
        for data in (post(b"a"), other, post(b"b"), post(b"c")):
            await client.send(data)
            assert (await client.answer()).status == 200

    assert b"".join(route.served) == b"axbc"
    assert known[-1:] == [b"c"]


async def test_pipelined_and_split_requests_are_the_parsers(known: list[bytes]) -> None:
    route, app = Echo(), RecordingApp()
    whole = post(b"x" * 50)
    async with running_server(app, direct={_ROUTE: route}) as server, raw_client(server.port) as client:
        await client.send(whole)
        await client.answer()
        await client.send(whole[:30], whole[30:90], whole[90:], pause=0.01)
        await client.answer()
        await client.send(whole + whole)
        assert [200, 200] == [(await client.answer()).status, (await client.answer()).status]
        await client.send(whole)
        await client.answer()

    assert known == [b"x" * 50]
    assert len(route.served) + len(app.paths) == 5


async def test_a_body_above_the_limit_is_refused_although_its_head_is_known() -> None:
    route = Echo()
    async with (
        running_server(RecordingApp(), direct={_ROUTE: route}, limits=GuardLimits(body=100)) as server,
        raw_client(server.port) as client,
    ):
        await client.send(post(b"x"))
        await client.answer()
        await client.send(post(b"y" * 101))
        assert (await client.answer()).status == 413


async def test_the_last_answer_of_a_server_that_ends_closes_its_connection(known: list[bytes]) -> None:
    route = Echo()
    async with running_server(RecordingApp(), direct={_ROUTE: route}) as server, raw_client(server.port) as client:
        await client.send(post(b"x"))
        await client.answer()
        server.site.guard.closing = True
        await client.send(post(b"y"))
        answer = await client.answer()

    assert answer.headers[b"connection"] == b"close"
    assert known == [b"y"]


async def test_a_client_whose_heads_never_repeat_teaches_a_few_times_and_no_more() -> None:
    route = Echo()
    requests = [post(b"x", more=b"X-Api-Key: k\r\nX-Number: %d\r\n" % number) for number in range(12)]
    async with running_server(RecordingApp(), direct={_ROUTE: route}) as server:
        reply = await say(server.port, *requests, pause=0.01)

    assert [200] * 12 == reply.statuses
    assert 12 == len(route.served)
