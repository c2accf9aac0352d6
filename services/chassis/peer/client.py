"""
Calls to a service of ours over HTTP, as one of our own processes makes them: bounded, proven, never redirected.

    address                    how                            who is trusted
    unix:/run/zr/x.sock        HTTP over a unix socket        mode 0660 and a token
    http://… https://…         HTTP: a Deployment of its own  a token, and over TLS a certificate

Every call shows the token of a file; what changes something is signed with it (`proof.py`). The file may hold a
projected ServiceAccount token: both are read anew when they change.
"""

import asyncio
import secrets
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final
from urllib.parse import urlsplit

import httpx2

from services.chassis.clock import Clock, SystemClock
from services.chassis.peer import proof
from services.chassis.peer.token_file import TokenFile, TokenFileInvalid
from services.chassis.tracing import outgoing, step
from services.chassis.trust import Trust

_UNIX: Final = "unix:"
_KEPT: Final = 8  # idle connections


class PeerAway(Exception):
    """The service could not be asked; the message is safe to show."""


class PeerClient:
    """Use it on one loop, and `aclose` it there."""

    def __init__(
        self,
        address: str,
        *,
        name: str,
        audience: str,
        tokens: TokenFile,
        trust: Trust | None = None,
        connect: float,
        connections: int | None = None,
        clock: Clock | None = None,
    ) -> None:
        """`name` is the service's for people, `audience` whom a proof is for; `connect` in seconds."""
        self._name = name
        self._audience = audience
        self._tokens = tokens
        self._trust = trust if address.startswith("https:") else None
        self._connect = connect
        self._limits = httpx2.Limits(
            max_connections=connections, max_keepalive_connections=_KEPT, keepalive_expiry=30.0
        )
        self._clock: Clock = clock or SystemClock()
        self._socket = address.removeprefix(_UNIX) if address.startswith(_UNIX) else None
        self._base = f"http://{name}" if self._socket is not None else address.rstrip("/")
        self._prefix = urlsplit(self._base).path
        self._line = self._dial(self._context)

    async def call(self, method: str, target: str, body: bytes = b"", *, seconds: float) -> tuple[int, bytes]:
        """Make one call; `target` is a path with its query. Returns status and body. Raises PeerAway."""
        headers = self._proof(method, target, body)
        timeout = httpx2.Timeout(seconds, connect=self._connect)
        try:
            with step(f"{self._name} {method} {target.partition('?')[0]}"):
                headers |= outgoing()
                async with asyncio.timeout(seconds), self._open() as http:
                    answer = await http.request(method, target, content=body, headers=headers, timeout=timeout)
        except (httpx2.HTTPError, TimeoutError) as error:
            raise PeerAway(f"the {self._name} service does not answer ({_reason(error)})") from None
        return answer.status_code, answer.content

    async def aclose(self) -> None:
        """Close every connection."""
        await self._line.http.aclose()

    @property
    def _context(self) -> ssl.SSLContext | None:
        return None if self._trust is None else self._trust.context

    @asynccontextmanager
    async def _open(self) -> AsyncIterator[httpx2.AsyncClient]:
        """Give the client to call with; one whose trust is out of date is closed by its last caller."""
        context, old = self._context, self._line
        if context is not old.context:
            self._line = self._dial(context)
        line = self._line
        line.calls += 1
        try:
            if line is not old and not old.calls:
                await old.http.aclose()
            yield line.http
        finally:
            line.calls -= 1
            if line is not self._line and not line.calls:
                await line.http.aclose()

    def _dial(self, context: ssl.SSLContext | None) -> "_Line":
        transport = httpx2.AsyncHTTPTransport(
            uds=self._socket, verify=context or True, trust_env=False, limits=self._limits
        )
        headers = {"accept-encoding": "identity"}
        return _Line(
            httpx2.AsyncClient(base_url=self._base, transport=transport, trust_env=False, headers=headers), context
        )

    def _proof(self, method: str, target: str, body: bytes) -> dict[str, str]:
        try:
            token = self._tokens.token
        except TokenFileInvalid as error:
            raise PeerAway(str(error)) from None
        if method == "GET":
            return {"authorization": f"Bearer {token}"}
        now, nonce = self._clock.now(), secrets.token_urlsafe(16)
        signed = proof.sign(token, method, self._prefix + target, body, now=now, nonce=nonce, audience=self._audience)
        return signed | {"content-type": "application/json"}


class _Line:
    """A client and what it trusts."""

    def __init__(self, http: httpx2.AsyncClient, context: ssl.SSLContext | None) -> None:
        self.http = http
        self.context = context
        self.calls = 0  # under way


def _reason(error: Exception) -> str:
    """Name a failure; of a certificate that is not trusted also why, because a person must act on it."""
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, ssl.SSLCertVerificationError):
            return f"its certificate is not trusted: {cause.verify_message}"
        cause = cause.__cause__ or cause.__context__
    return type(error).__name__
