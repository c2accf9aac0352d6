"""
Calls to the credentials service over HTTP, as one of our own processes makes them: bounded, proven, never redirected.

What changes something is signed (`chassis/peer/proof.py`). An error is the CredentialsError that the answer names.
"""

import asyncio
import secrets
import ssl
from typing import Final, TypeVar
from urllib.parse import urlsplit

import httpx2
import msgspec

from services.chassis.clock import Clock, SystemClock
from services.chassis.peer import proof
from services.chassis.peer.token_file import TokenFile, TokenFileInvalid
from services.chassis.tracing import outgoing, step
from services.credentials.contract import ErrorCode
from services.credentials.errors import (
    Conflict,
    CredentialsError,
    LoginRequired,
    NotAuthenticated,
    NotFound,
    Replayed,
    Unavailable,
)

T = TypeVar("T")

_CONNECT: Final = 0.5
_ERRORS: Final[dict[str, type[CredentialsError]]] = {
    error.code.value: error for error in (NotAuthenticated, Replayed, LoginRequired, Unavailable, NotFound, Conflict)
}


class Calls:
    """Everything raises CredentialsError of the kind that an answer names, else Unavailable."""

    def __init__(
        self,
        address: str,
        *,
        audience: str,
        tokens: TokenFile,
        clock: Clock | None = None,
        verify: ssl.SSLContext | None = None,
        connect: float = _CONNECT,
    ) -> None:
        """`address` is unix:/path, http://… or https://…; `audience` whom a proof is for."""
        self._audience = audience
        self._tokens = tokens
        self._clock: Clock = clock or SystemClock()
        self._connect = connect
        limits = httpx2.Limits(max_connections=8, max_keepalive_connections=4, keepalive_expiry=30.0)
        uds = address.removeprefix("unix:") if address.startswith("unix:") else None
        self._http = httpx2.AsyncClient(
            base_url="http://credentials" if uds is not None else address.rstrip("/"),
            transport=httpx2.AsyncHTTPTransport(uds=uds, verify=verify or True, trust_env=False, limits=limits),
            trust_env=False,
            headers={"accept-encoding": "identity"},
        )
        self._base = urlsplit(str(self._http.base_url)).path.rstrip("/")

    async def call(self, method: str, target: str, body: bytes = b"", *, seconds: float, wanted: type[T]) -> T:
        """Make one call and return its answer; `target` is a path with its query."""
        headers = self._proof(method, target, body)
        timeout = httpx2.Timeout(seconds, connect=self._connect)
        try:
            with step(f"credentials {method} {target.partition('?')[0]}"):
                headers |= outgoing()
                async with asyncio.timeout(seconds):
                    answer = await self._http.request(method, target, content=body, headers=headers, timeout=timeout)
        except (httpx2.HTTPError, TimeoutError) as error:
            raise Unavailable(f"the credentials service does not answer ({type(error).__name__})") from None
        return _read(answer.status_code, answer.content, wanted)

    async def aclose(self) -> None:
        """Close every connection."""
        await self._http.aclose()

    def _proof(self, method: str, target: str, body: bytes) -> dict[str, str]:
        try:
            token = self._tokens.token
        except TokenFileInvalid as error:
            raise Unavailable(str(error)) from None
        if method == "GET":
            return {"authorization": f"Bearer {token}"}
        now, nonce = self._clock.now(), secrets.token_urlsafe(16)
        signed = proof.sign(token, method, self._base + target, body, now=now, nonce=nonce, audience=self._audience)
        return signed | {"content-type": "application/json"}


class _Problem(msgspec.Struct):
    """What is read of a problem document."""

    detail: str = ""
    code: str = ErrorCode.STORE_UNAVAILABLE.value


def _read(status: int, body: bytes, wanted: type[T]) -> T:
    try:
        if status == 200:
            return msgspec.json.decode(body, type=wanted)
        problem = msgspec.json.decode(body, type=_Problem)
    except msgspec.MsgspecError:
        message = f"the credentials service gave an answer of status {status} that is none of its own"
        raise Unavailable(message) from None
    raise _ERRORS.get(problem.code, Unavailable)(problem.detail or f"status {status}")
