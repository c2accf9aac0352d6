"""
P-34 behind a real nginx: no request of a client becomes two, and no answer goes to somebody else.

Each probe goes through nginx with a request for /smuggled behind it, in the same bytes. nginx may read that as a
request of its own, and pass it on as such: then it carries an id of nginx's. What must never happen is that the two
read the same bytes differently. Then the gateway would see a request without such an id, with one that it has seen, or
with one of another target; and the answers on the connections that nginx shares between clients would get out of step.

A server that takes a body for the next request is found out by the same search, in every run.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import pytest

from tests.component.guard.test_probes import HOST, LIMITS, PROBES, SMUGGLED, Probe, chunked, post
from tests.support.nginx_server import Nginx
from tests.support.raw_http import say
from tests.support.recording_app import RecordingApp, Seen
from tests.support.serving import running_server

pytestmark = pytest.mark.edge

NEXT = b"GET /next HTTP/1.1\r\n" + HOST + b"Connection: close\r\n\r\n"


HIDDEN = [
    Probe("a request in a body", post(b"Content-Length: %d\r\n" % len(SMUGGLED), SMUGGLED), 200),
    Probe("a request in a chunk", chunked(b"%x\r\n%s\r\n0\r\n\r\n" % (len(SMUGGLED), SMUGGLED)), 200),
    Probe("a request in a trailer", chunked(b"0\r\n" + SMUGGLED), 400),
]
SHAPES = [(False, False), (True, False), (False, True), (True, True)]


class Behind:
    """The guard behind nginx, and what both have seen."""

    def __init__(self, nginx: Nginx) -> None:
        self.nginx = nginx
        self.app = RecordingApp()
        self.answered: list[tuple[bytes, bytes]] = []  # the id that nginx put on an answer, and the one it is about

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        async def stamped(message: Any) -> None:
            if message["type"] == "http.response.start":
                own = dict(scope["headers"]).get(b"x-edge", b"")
                message = {**message, "headers": [*message["headers"], (b"x-about", own)]}
            await send(message)

        await self.app(scope, receive, stamped)

    async def ask(self, data: bytes) -> list[int]:
        """Send bytes on a connection of their own; return the statuses of the answers."""
        reply = await say(self.nginx.port, data, seconds=10.0)
        if not reply.data.startswith(b"HTTP/1.1 "):
            return []  # nginx answers what is not HTTP/1 in kind
        for answer in reply.answers:
            if b"x-about" in answer.headers:
                self.answered.append((answer.headers[b"x-edge"], answer.headers[b"x-about"]))
        return reply.statuses

    def findings(self) -> list[str]:
        """Return every sign that nginx and what stands behind it have read the same bytes differently."""
        forwarded, found, ids = self.nginx.forwarded(), [], set()
        for seen in self.app.seen:
            id_ = dict(seen.headers).get(b"x-edge", b"").decode()
            if not id_:
                found.append(f"{seen.path} came, and nginx has not passed it on")
            elif id_ in ids:
                found.append(f"{seen.path} came of a request of nginx's that had come before")
            elif unquote(forwarded[id_].partition("?")[0]) != seen.path:
                found.append(f"{seen.path} came, {forwarded[id_]} was passed on")
            ids.add(id_)
        return found + [f"{about!r} was answered to {edge!r}" for edge, about in self.answered if edge != about]


@pytest.fixture(params=SHAPES, ids=str)
async def behind(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Behind]:
    """`(buffering, tolerant)`: whether nginx waits for the whole body, and passes on what it would drop."""
    buffering, tolerant = request.param
    made: list[Behind] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await made[0](scope, receive, send)

    async with running_server(app, limits=LIMITS) as server:
        with Nginx(tmp_path, server.port, buffering=buffering, tolerant=tolerant) as nginx:
            made.append(Behind(nginx))
            yield made[0]


def _ended(probe: Probe) -> bytes:
    """A probe, and what nobody must take for a request unless nginx does."""
    last = SMUGGLED.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n")
    return probe.data + last


@pytest.mark.promise("P-34")
@pytest.mark.timeout(300)
async def test_both_read_every_probe_alike(behind: Behind) -> None:
    probes = [*PROBES, *HIDDEN]
    for probe in probes:
        await behind.ask(_ended(probe))
        assert await behind.ask(NEXT) == [200], f"out of step after: {probe.name}"

    paths = behind.app.paths
    assert behind.findings() == []
    assert paths.count("/next") == len(probes)
    assert paths.count("/probe") > len(probes) / 5, "nginx lets many of them pass"


async def _takes_bodies_for_requests(
    behind: Behind, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
) -> None:
    with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
        while True:
            lines = (await reader.readuntil(b"\r\n\r\n")).split(b"\r\n")
            headers = [
                (name.lower(), value.strip()) for name, _, value in (line.partition(b":") for line in lines[1:-2])
            ]
            behind.app.seen.append(Seen("", lines[0].split(b" ")[1].decode(), headers))
            own = dict(headers).get(b"x-edge", b"")
            writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\nx-about: %s\r\n\r\nok" % own)
    writer.close()


@pytest.mark.promise("P-34")
async def test_a_server_that_takes_a_body_for_a_request_is_found_out(tmp_path: Path) -> None:
    made: list[Behind] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await _takes_bodies_for_requests(made[0], reader, writer)

    async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
        with Nginx(tmp_path, server.sockets[0].getsockname()[1], buffering=True, tolerant=False) as nginx:
            made.append(Behind(nginx))
            await made[0].ask(HIDDEN[0].data.replace(b"Host:", b"Connection: close\r\nHost:", 1))
            await made[0].ask(NEXT)

    assert any(found.startswith("/smuggled came, and nginx has not") for found in made[0].findings())
