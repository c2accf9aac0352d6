"""
Who may speak to this service: an ASGI shell around everything that it serves. Default deny.

Every call must present an accepted token, on a unix socket too. A call that may change something must be signed and
new (`internal_auth.py`); a nonce that the store cannot remember is a refused call, because replay protection that
gives way under load protects nothing.
"""

import logging
from typing import Any, Final

from services.chassis.clock import Clock, SystemClock
from services.chassis.problem import problem
from services.credentials import internal_auth
from services.credentials.contract import ErrorCode
from services.credentials.errors import CredentialsError, NotAuthenticated, Replayed, Unavailable
from services.credentials.internal_auth import Proof
from services.credentials.stores.port import Store, StoreUnavailable
from services.credentials.token_file import TokenFile, TokenFileInvalid

_READING: Final = ("GET", "HEAD")
_BODY_LIMIT: Final = 64 * 1024
_NONCE: Final = "nonce"

_log = logging.getLogger(__name__)


class PeerGuard:
    """Lets calls of our own processes through to an ASGI application."""

    def __init__(self, app: Any, *, tokens: TokenFile, store: Store, clock: Clock | None = None) -> None:
        self._app = app
        self._tokens = tokens
        self._store = store
        self._clock: Clock = clock or SystemClock()

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Serve one call, or refuse it."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        try:
            token = self._token(headers := _headers(scope))
            if scope["method"] not in _READING:
                body = await _body(receive)
                await self._check(token, scope, headers, body)
                receive = _replay(body, receive)
        except CredentialsError as error:
            await refuse(send, error)
            return
        await self._app(scope, receive, send)

    def _token(self, headers: dict[str, str]) -> str:
        try:
            accepted = self._tokens.tokens
        except TokenFileInvalid as error:
            _log.error("%s", error)
            raise Unavailable("this service has no token to compare with") from None
        token = internal_auth.token_of(headers.get("authorization"), accepted)
        if token is None:
            raise NotAuthenticated("no token, or a wrong one")
        return token

    async def _check(self, token: str, scope: Any, headers: dict[str, str], body: bytes) -> None:
        target = scope["raw_path"].decode("latin-1")
        if scope["query_string"]:
            target += f"?{scope['query_string'].decode('latin-1')}"
        proof, nonce = internal_auth.verify(token, scope["method"], target, body, headers, now=self._clock.now())
        if proof is not Proof.GOOD:
            raise NotAuthenticated(f"the call is not signed as it should be: {proof.value}")
        try:
            new = await self._store.put_once(_NONCE, nonce, b"", ttl=internal_auth.NONCE_LIFE)
        except StoreUnavailable as error:
            raise Unavailable("the store does not answer, so nothing can be changed now") from error
        if not new:
            raise Replayed("this call was made before")


def _headers(scope: Any) -> dict[str, str]:
    """Return the headers; of one that is repeated nothing is believed."""
    found: dict[str, str] = {}
    for name, value in scope["headers"]:
        key = name.decode("latin-1")
        found[key] = "" if key in found else value.decode("latin-1")
    return found


async def _body(receive: Any) -> bytes:
    parts, size, more = [], 0, True
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise NotAuthenticated("the call was broken off")
        parts.append(message.get("body", b""))
        size += len(parts[-1])
        if size > _BODY_LIMIT:
            raise NotAuthenticated("the body is too large to be one of ours")
        more = message.get("more_body", False)
    return b"".join(parts)


def _replay(body: bytes, receive: Any) -> Any:
    """Return a `receive` that gives the body that was read, then what comes after it."""
    given = False

    async def again() -> Any:
        nonlocal given
        if given:
            return await receive()
        given = True
        return {"type": "http.request", "body": body, "more_body": False}

    return again


async def refuse(send: Any, error: CredentialsError) -> None:
    """Answer with a problem document."""
    body = document(error)
    headers = [(b"content-type", b"application/problem+json"), (b"content-length", b"%d" % len(body))]
    await send({"type": "http.response.start", "status": error.status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


def document(error: CredentialsError) -> bytes:
    """Write an error as a problem document; the message is safe to show."""
    code = error.code if error.status < 500 or error.code is ErrorCode.STORE_UNAVAILABLE else ErrorCode.INVALID
    return problem(error.status, str(error), code=code.value)
