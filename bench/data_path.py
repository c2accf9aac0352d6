"""
The gateway's data path in one process and without sockets, from the bytes of a request to the bytes of its answer.

A kind is what the client speaks and what the upstream (`a` or `o`), and `json`, `stream`, `large` or `paced`: a stream
that brings one event with each read. With `-leased` behind it, key and credential come from a snapshot of the
credentials service's, as in a cluster.
"""

import asyncio
import base64
from pathlib import Path
from typing import Any, Final, cast

from uvicorn.server import ServerState

from bench.canned import STREAMS, answer
from bench.requests import CLIENT_KEY, UPSTREAM_KEY, Dialect, large, request, small
from services.chassis.clock import Clock, SystemClock
from services.chassis.guard import GuardProtocol
from services.chassis.http_guard.timed import Guard
from services.chassis.site import Listener, uvicorn_config
from services.cli.configuration import load
from services.credentials import key_format
from services.credentials.client import CredentialsClient
from services.credentials.contract import ClientKey, Kind, Lease, Plan, Snapshot
from services.gateway.app import create_gateway
from services.gateway.client_keys import SnapshotKeys
from services.gateway.process import guard_limits
from services.gateway.snapshot_leases import SnapshotLeases
from services.gateway.upstream.connection import Connection
from services.gateway.upstream.pool import OriginPool
from services.gateway.upstream.pooled import PooledTransport
from services.gateway.upstream.tls import make_tls_context
from services.gateway.upstream.transport import Origin

_READ: Final = 64 * 1024
_ORIGIN: Final = Origin("http", "127.0.0.1", 9)
_DIALECTS: Final[dict[str, Dialect]] = {"a": "anthropic", "o": "openai"}
_PEPPER: Final = bytes(range(key_format.PEPPER_SIZE))
_LEASED_KEY: Final = key_format.make(
    key_format.make_id(bytes(key_format.ID_SIZE)), bytes(range(key_format.SECRET_SIZE))
).reveal()


class _Nobody:
    """A credentials service that is never asked."""


def _leasing(clock: Clock) -> tuple[SnapshotKeys, SnapshotLeases]:
    """Return what a gateway beside a credentials service asks, with one key and one credential in it."""
    client = CredentialsClient(cast("Any", _Nobody()), clock=clock)
    key = key_format.parse(_LEASED_KEY.encode())
    assert key is not None  # noqa: S101 -- it was made two lines above
    macs = (key_format.mac(_PEPPER, key.secret).hex(),)
    lease = Lease(
        credential_id="crd_bench", version=1, provider="zai", plan=Plan.CODING, kind=Kind.API_KEY, secret=UPSTREAM_KEY
    )
    client._snapshot = Snapshot(  # noqa: SLF001 -- what it would have heard
        generation=1,
        leases=(lease,),
        client_keys=(ClientKey(id=key.id, macs=macs, name="bench"),),
        pepper=base64.b64encode(_PEPPER).decode(),
    )
    client._heard = clock.monotonic()  # noqa: SLF001 -- as above
    return SnapshotKeys(lambda: client.snapshot, clock=clock), SnapshotLeases(client, clock)


class Wire(asyncio.Transport):
    """A socket that takes everything at once."""

    def __init__(self) -> None:
        super().__init__()
        self.written: list[bytes] = []

    def write(self, data: bytes) -> None:
        self.written.append(data)

    def get_extra_info(self, name: str, default: object = None) -> object:
        return ("127.0.0.1", 1) if name in {"peername", "sockname"} else default

    def is_closing(self) -> bool:
        return False

    def get_write_buffer_size(self) -> int:
        return 0

    def pause_reading(self) -> None:
        """Nothing is read by itself."""

    def resume_reading(self) -> None:
        """As above."""


class DataPath:
    """The gateway between a client's connection and one of the upstream's that is always idle."""

    def __init__(self, kind: str, folder: Path) -> None:
        sides, shape, *leased = kind.split("-")
        client, upstream = _DIALECTS[sides[0]], _DIALECTS[sides[1]]
        auth = "mode: oauth" if leased else f"apiKey: {UPSTREAM_KEY}, proxyApiKey: {CLIENT_KEY}"
        config = folder / "config.yaml"
        config.write_text(
            f"auth: {{{auth}}}\n"
            'providers: {zai: {anthropicBase: "http://127.0.0.1:9", openaiBase: "http://127.0.0.1:9"}}\n'
            f"codingPlan: {{upstreamFormat: {upstream}}}\nstore: {{dir: {folder}}}\n"
        )
        settings = load(config, environ={}).unwrap()
        transport = PooledTransport(connections=1, tls=make_tls_context())
        transport._pools[_ORIGIN] = self._pool = OriginPool(_ORIGIN, 1)  # noqa: SLF001 -- so that nothing is dialled
        keys, leases = _leasing(SystemClock()) if leased else (None, None)
        self.gateway = create_gateway(settings, transport=transport, keys=keys, leases=leases)
        loop = asyncio.get_running_loop()
        guard = Guard(guard_limits(settings.limits), direct=self.gateway.entry.direct())
        server = uvicorn_config(Listener(app=self.gateway.entry))
        self._client = GuardProtocol(guard, server, ServerState(), {}, loop)
        self._out = Wire()
        self._client.connection_made(self._out)
        self._upstream = Connection(self._pool, loop.time, self._pool.buffer)
        self._asked = Wire()
        self._upstream.connection_made(self._asked)
        self._pool.idle.append(self._upstream)
        body = large(client) if shape == "large" else small(stream=shape in STREAMS)
        self._request = _reads(request(client, body, key=_LEASED_KEY if leased else CLIENT_KEY))
        said = answer(upstream, shape)
        self._answer = _chunks(said) if shape == "paced" else _reads(said)

    async def serve(self) -> bytes:
        """Serve one request; returns what the client gets."""
        self._asked.written.clear()
        self._out.written.clear()
        for piece in self._request:
            self._client.data_received(piece)
        while not self._asked.written:  # noqa: ASYNC110 -- what would set an event is what is measured
            await asyncio.sleep(0)
        for piece in self._answer:
            self._upstream.get_buffer(-1)[: len(piece)] = piece
            self._upstream.buffer_updated(len(piece))
            if piece is self._answer[0] and len(self._answer) > 1:
                for _ in range(3):
                    await asyncio.sleep(0)  # the head is taken before the events come
        while not (self._pool.idle and self._client.cycle.response_complete):  # noqa: ASYNC110 -- as above
            await asyncio.sleep(0)
        await asyncio.sleep(0)  # the end of the turn, when all is written
        return b"".join(self._out.written)

    def settle(self) -> None:
        """Count and log what was served, which is part of its price."""
        self.gateway.ledger.flush()


def _chunks(data: bytes) -> list[bytes]:
    """Cut an answer behind its head and every HTTP chunk; none of them holds a CRLF itself."""
    head, _, body = data.partition(b"\r\n\r\n")
    lines = body.split(b"\r\n")
    chunks = [b"%b\r\n%b\r\n" % pair for pair in zip(lines[::2], lines[1::2], strict=False)]
    return [head + b"\r\n\r\n", *chunks]


def _reads(data: bytes) -> list[bytes]:
    return [data[at : at + _READ] for at in range(0, len(data), _READ)]
