"""
TLS on a listener: who is let in, how a certificate is renewed without a restart, and that nobody is dropped by it.

Shown to fail once by: loading a changed certificate into the context in use; never looking at the files again;
asking no certificate of clients; loops left to their own deadline for a handshake, or to any number of them.
"""

import asyncio
import contextlib
import ssl
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx2
import pytest
from cryptography import x509

from services.chassis.handshakes import MOST
from services.chassis.http_guard.limits import GuardLimits
from services.chassis.server_tls import CertificateFiles, ServerTls
from tests.support.certificates import Authority
from tests.support.recording_app import RecordingApp
from tests.support.serving import RunningServer, running_server


class Place:
    """A directory with a listener's certificate, as one that is mounted."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.cert, self.key, self.client_ca = (directory / name for name in ("tls.crt", "tls.key", "clients.pem"))
        self.authority = self.other("authority")
        self.authority.write(self.cert, self.key)

    def other(self, name: str) -> Authority:
        (self.directory / name).mkdir()
        return Authority(self.directory / name, name)

    def tls(self, *, mutual: bool = False) -> ServerTls:
        return ServerTls(CertificateFiles("x.tls", self.cert, self.key, self.client_ca if mutual else None))

    def context(self, authority: Authority | None = None) -> ssl.SSLContext:
        return ssl.create_default_context(cafile=(authority or self.authority).file)

    @property
    def serial(self) -> int:
        return x509.load_pem_x509_certificate(self.cert.read_bytes()).serial_number


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path)


async def serial_shown(server: RunningServer, context: ssl.SSLContext) -> int:
    _, writer = await asyncio.open_connection(server.host, server.port, ssl=context)
    shown = writer.get_extra_info("ssl_object").getpeercert(binary_form=True)
    writer.close()
    return x509.load_der_x509_certificate(shown).serial_number


@asynccontextmanager
async def client(server: RunningServer, context: ssl.SSLContext) -> AsyncIterator[httpx2.AsyncClient]:
    async with httpx2.AsyncClient(base_url=server.url, verify=context, trust_env=False) as http:
        yield http


async def test_who_trusts_the_authority_is_served(place: Place) -> None:
    app = RecordingApp()
    async with running_server(app, tls=place.tls()) as server, client(server, place.context()) as http:
        assert (await http.get("/a")).status_code == 200

    assert app.paths == ["/a"]


async def test_who_speaks_plain_http_or_knows_another_authority_is_not(place: Place) -> None:
    app = RecordingApp()
    async with running_server(app, tls=place.tls()) as server:
        async with client(server, place.context(place.other("another"))) as http:
            with pytest.raises(httpx2.ConnectError):
                await http.get("/a")
        reader, writer = await asyncio.open_connection(server.host, server.port)
        writer.write(b"GET /a HTTP/1.1\r\nHost: a\r\n\r\n")
        with contextlib.suppress(ConnectionError):
            assert b"HTTP" not in await asyncio.wait_for(reader.read(), 5)
        writer.close()

    assert app.paths == []


async def test_a_renewed_certificate_is_shown_and_open_connections_go_on(place: Place) -> None:
    async with running_server(RecordingApp(), tls=place.tls()) as server, client(server, place.context()) as http:
        assert (await http.get("/a")).status_code == 200
        shown = await serial_shown(server, place.context())
        place.authority.write(place.cert, place.key)
        again = await serial_shown(server, place.context())
        assert (await http.get("/b")).status_code == 200
        connections = server.site.connections

    assert shown != again == place.serial
    assert connections >= 1


async def test_no_request_is_dropped_while_certificates_change_all_the_time(place: Place) -> None:
    """Half of the changes are seen in their middle: certificate and key of two generations."""
    failed, done, serials = 0, 0, set()
    end = time.monotonic() + 3

    async def caller(server: RunningServer, *, fresh: bool) -> None:
        nonlocal failed, done
        async with contextlib.AsyncExitStack() as stack:
            http = await stack.enter_async_context(client(server, place.context()))
            while time.monotonic() < end:
                if fresh:
                    await stack.aclose()
                    http = await stack.enter_async_context(client(server, place.context()))
                try:
                    failed += (await http.get("/a")).status_code != 200
                except httpx2.HTTPError:
                    failed += 1
                done += 1

    async def renewer(server: RunningServer) -> None:
        while time.monotonic() < end:
            await asyncio.sleep(0.02)
            serials.add(await serial_shown(server, place.context()))
            old = place.cert.read_bytes()
            place.authority.write(place.cert, place.key)
            new = place.cert.read_bytes()
            place.cert.write_bytes(old)
            await asyncio.sleep(0.02)
            place.cert.write_bytes(new)

    async with running_server(RecordingApp(), tls=place.tls()) as server:
        await asyncio.gather(
            renewer(server),
            *(caller(server, fresh=True) for _ in range(3)),
            *(caller(server, fresh=False) for _ in range(3)),
        )

    assert (failed, done > 100, len(serials) > 10) == (0, True, True)


@pytest.mark.parametrize("broken", ["gone", "garbled", "another key"])
async def test_a_change_that_cannot_be_used_leaves_the_last_good_certificate(place: Place, broken: str) -> None:
    before = place.serial
    async with running_server(RecordingApp(), tls=place.tls()) as server:
        match broken:
            case "gone":
                place.key.unlink()
            case "garbled":
                place.cert.write_text("-----BEGIN CERTIFICATE-----\n")
            case _:
                place.authority.write(place.directory / "unused", place.key)
        shown = [await serial_shown(server, place.context()) for _ in range(2)]
        place.authority.write(place.cert, place.key)
        mended = await serial_shown(server, place.context())

    assert shown == [before, before]
    assert mended == place.serial != before


async def test_with_authorities_for_clients_only_theirs_are_let_in_and_those_change_too(place: Place) -> None:
    ours, theirs = place.other("ours"), place.other("theirs")
    place.client_ca.write_bytes(ours.file.read_bytes())

    async def answered(server: RunningServer, authority: Authority | None) -> bool:
        context = place.context()
        if authority is not None:
            cert, key = place.directory / "client.crt", place.directory / "client.key"
            authority.write(cert, key, "gateway")
            context.load_cert_chain(cert, key)
        async with client(server, context) as http:
            try:
                return (await http.get("/a")).status_code == 200
            except httpx2.HTTPError:
                return False

    async with running_server(RecordingApp(), tls=place.tls(mutual=True)) as server:
        before = [await answered(server, who) for who in (ours, theirs, place.authority, None)]
        place.client_ca.write_bytes(theirs.file.read_bytes())
        after = [await answered(server, who) for who in (ours, theirs, place.authority, None)]

    assert before == [True, False, False, False]
    assert after == [False, True, False, False]


async def test_who_never_finishes_a_handshake_is_let_go(place: Place) -> None:
    limits = GuardLimits(header_seconds=0.3)
    async with running_server(RecordingApp(), tls=place.tls(), limits=limits) as server:
        reader, writer = await asyncio.open_connection(server.host, server.port)
        began = time.monotonic()
        with contextlib.suppress(ConnectionError):
            assert await asyncio.wait_for(reader.read(), 5) == b""
        lasted = time.monotonic() - began
        writer.close()

    assert 0.2 <= lasted <= 2.0


async def test_handshakes_that_are_too_many_cost_nothing_and_keep_nobody_out_for_long(place: Place) -> None:
    limits = GuardLimits(header_seconds=5)  # long enough for a busy machine to begin them all
    async with running_server(RecordingApp(), tls=place.tls(), limits=limits) as server:
        silent = [await asyncio.open_connection(server.host, server.port) for _ in range(MOST + 50)]
        handshakes = server.site._handshakes
        assert handshakes is not None
        async with asyncio.timeout(4):
            while handshakes.running + handshakes.refused < MOST + 50:
                await asyncio.sleep(0.01)
        assert (handshakes.running, handshakes.refused) == (MOST, 50)
        ended = await asyncio.gather(*(reader.read() for reader, _ in silent), return_exceptions=True)
        assert all(end == b"" or isinstance(end, ConnectionError) for end in ended)
        async with client(server, place.context()) as http:
            assert (await http.get("/a")).status_code == 200
        for _, writer in silent:
            writer.close()


async def test_an_end_does_not_wait_for_handshakes(place: Place) -> None:
    async with running_server(RecordingApp(), tls=place.tls(), drain_seconds=5) as server:
        silent = [await asyncio.open_connection(server.host, server.port) for _ in range(20)]
        began = time.monotonic()
        assert await server.stop()
        lasted = time.monotonic() - began
        with pytest.raises(ConnectionError):
            await asyncio.open_connection(server.host, server.port)
        for _, writer in silent:
            writer.close()

    assert lasted < 3


async def test_a_slow_head_is_refused_over_tls_as_without(place: Place) -> None:
    limits = GuardLimits(header_seconds=0.3, sweep=0.05)
    async with running_server(RecordingApp(), tls=place.tls(), limits=limits) as server:
        reader, writer = await asyncio.open_connection(server.host, server.port, ssl=place.context())
        writer.write(b"GET /a HTTP/1.1\r\nHos")
        answer = await asyncio.wait_for(reader.read(), 5)
        writer.close()

    assert answer.startswith(b"HTTP/1.1 408 ")


async def test_an_end_waits_for_what_runs_and_not_for_who_is_silent(place: Place) -> None:
    async with running_server(RecordingApp(), tls=place.tls(), drain_seconds=5) as server:
        reader, writer = await asyncio.open_connection(server.host, server.port, ssl=place.context())
        writer.write(b"GET /a HTTP/1.1\r\nHost: a\r\n\r\n")
        assert (await reader.readline()).startswith(b"HTTP/1.1 200")
        writer.transport.pause_reading()  # does not answer the end of TLS
        began = time.monotonic()
        assert await server.stop()
        lasted = time.monotonic() - began
        writer.transport.abort()

    assert lasted < 3
