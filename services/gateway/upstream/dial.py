"""
From an origin to a connected socket with TLS on it, within the caller's time.

Several addresses are raced with a head start for the earlier one (RFC 8305), here and not in the event loop, because
uvloop does not offer it. Nothing outlives a cancelled call: every socket that did not win is closed before it returns.
"""

import asyncio
import ipaddress
import itertools
import socket
import ssl
from collections.abc import Callable
from typing import Any, Final, TypeAlias

from services.gateway.upstream.connection import Connection
from services.gateway.upstream.transport import CertificateInvalid, ConnectFailed, Origin

Address: TypeAlias = tuple[socket.AddressFamily, tuple[str, int] | tuple[str, int, int, int]]

HEAD_START: Final = 0.25  # seconds, RFC 8305 section 5

# Finds a vanished peer in half a minute, and lets unacknowledged bytes wait as long as the write timeout.
_OPTIONS: Final = [
    (socket.IPPROTO_TCP, socket.TCP_NODELAY, 1),
    (socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1),
    *(
        (socket.IPPROTO_TCP, getattr(socket, name), value)
        for name, value in (
            ("TCP_KEEPIDLE", 15),  # seconds
            ("TCP_KEEPINTVL", 5),
            ("TCP_KEEPCNT", 3),
            ("TCP_USER_TIMEOUT", 30_000),  # milliseconds
        )
        if hasattr(socket, name)
    ),
]


async def dial(origin: Origin, tls: ssl.SSLContext, make: Callable[[], Connection]) -> Connection:
    """Connect; raise `ConnectFailed` or `CertificateInvalid`. The caller sets the time limit."""
    secure = origin.scheme == "https"
    try:
        sock = await connect_first(await resolve(origin.host, origin.port))
        try:
            _, connection = await asyncio.get_running_loop().create_connection(
                make, sock=sock, ssl=tls if secure else None, server_hostname=origin.host if secure else None
            )
        except BaseException:
            sock.close()
            raise
    except ssl.SSLCertVerificationError as error:
        raise CertificateInvalid(f"the certificate of {origin.host} is not valid: {error.verify_message}") from error
    except OSError as error:
        reason = error.strerror or type(error).__name__
        raise ConnectFailed(f"cannot connect to {origin.host} port {origin.port}: {reason}") from error
    return connection


async def resolve(host: str, port: int) -> list[Address]:
    """Return the addresses of a host, families alternating; a literal address needs no resolver."""
    try:
        literal = ipaddress.ip_address(host)
    except ValueError:
        found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
        return alternate([(family, address) for family, _, _, _, address in found])  # type: ignore[misc]  # typeshed's address union has shapes of other families
    if literal.version == 4:
        return [(socket.AF_INET, (host, port))]
    return [(socket.AF_INET6, (host, port, 0, 0))]


def alternate(addresses: list[Address]) -> list[Address]:
    """Interleave the families, beginning with that of the resolver's first choice."""
    first = [one for one in addresses if one[0] == addresses[0][0]]
    other = [one for one in addresses if one[0] != addresses[0][0]]
    return [one for pair in itertools.zip_longest(first, other) for one in pair if one is not None]


async def connect_first(addresses: list[Address], head_start: float = HEAD_START) -> socket.socket:
    """Return the first socket to connect; raise the first address's `OSError` if none does."""
    if len(addresses) == 1:
        return await _connect(addresses[0])
    winner: asyncio.Future[Any] = asyncio.get_running_loop().create_future()  # of socket; `wait` wants one type
    errors: dict[int, OSError] = {}
    try:
        async with asyncio.TaskGroup() as group:
            racing: list[asyncio.Future[Any]] = []
            for rank, address in enumerate(addresses):
                racing.append(group.create_task(_run(rank, address, winner, errors)))
                await asyncio.wait({racing[-1], winner}, timeout=head_start, return_when=asyncio.FIRST_COMPLETED)
                if winner.done():
                    break
            while not winner.done() and (unfinished := {runner for runner in racing if not runner.done()}):
                await asyncio.wait({*unfinished, winner}, return_when=asyncio.FIRST_COMPLETED)
            for runner in racing:
                runner.cancel()
    except BaseException:
        if winner.done() and not winner.cancelled():
            winner.result().close()
        raise
    if winner.done():
        won: socket.socket = winner.result()
        return won
    raise errors[min(errors)]


async def _run(rank: int, address: Address, winner: asyncio.Future[Any], errors: dict[int, OSError]) -> None:
    try:
        sock = await _connect(address)
    except OSError as error:
        errors[rank] = error
        return
    if winner.done():
        sock.close()
    else:
        winner.set_result(sock)


async def _connect(address: Address) -> socket.socket:
    family, where = address
    sock = socket.socket(family, socket.SOCK_STREAM)
    try:
        sock.setblocking(False)
        for level, option, value in _OPTIONS:
            sock.setsockopt(level, option, value)
        await asyncio.get_running_loop().sock_connect(sock, where)
    except BaseException:
        sock.close()
        raise
    return sock
