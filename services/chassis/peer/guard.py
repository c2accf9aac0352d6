"""
Who may speak to a service of ours: an ASGI shell around everything that it serves to its peers. Default deny.

Every call must present an accepted token, on a unix socket too: one of a file, or a ServiceAccount's where such are
taken. A call that may change something must be signed with it and new (`proof.py`); a nonce that nobody can remember is
a refused call, because replay protection that gives way under load protects nothing.
"""

import logging
from collections.abc import Awaitable, Callable
from typing import Any, Final

from services.chassis.clock import Clock, SystemClock
from services.chassis.peer import proof
from services.chassis.peer.proof import Proof
from services.chassis.peer.service_accounts import KeysAway, ServiceAccounts, TokenRefused, looks_like_token
from services.chassis.peer.token_file import TokenFile, TokenFileInvalid
from services.chassis.problem import problem
from services.chassis.storage import StoreUnavailable

Remember = Callable[[str, float], Awaitable[bool]]
"""(nonce, seconds to remember it) -> whether it is new; for all replicas of the service. Raises StoreUnavailable."""

NOT_AUTHENTICATED: Final = "not_authenticated"
REPLAYED: Final = "replayed"

_READING: Final = ("GET", "HEAD")
_BODY_LIMIT: Final = 64 * 1024

_log = logging.getLogger(__name__)


class Refused(Exception):
    """A call that is not served; the message is safe to show."""

    def __init__(self, status: int, code: str, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.code = code


class PeerGuard:
    """Lets calls of our own processes through to an ASGI application."""

    def __init__(
        self,
        app: Any,
        *,
        audience: str,
        tokens: TokenFile,
        remember: Remember,
        unavailable: str,
        accounts: ServiceAccounts | None = None,
        clock: Clock | None = None,
    ) -> None:
        """`audience` is the service's name in a proof, `unavailable` its code for "the store does not answer"."""
        self._app = app
        self._audience = audience
        self._tokens = tokens
        self._remember = remember
        self._unavailable = unavailable
        self._accounts = accounts
        self._clock: Clock = clock or SystemClock()

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Serve one call, or refuse it."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        try:
            token = await self._token(headers := _headers(scope))
            if scope["method"] not in _READING:
                body = await _body(receive)
                await self._check(token, scope, headers, body)
                receive = _replay(body, receive)
        except Refused as refusal:
            await _refuse(send, refusal)
            return
        await self._app(scope, receive, send)

    async def _token(self, headers: dict[str, str]) -> str:
        shown = proof.presented(headers.get("authorization"))
        if self._accounts is not None and shown is not None and looks_like_token(shown):
            await self._check_account(self._accounts, shown)
            return shown
        try:
            accepted = self._tokens.tokens
        except TokenFileInvalid as error:
            _log.error("%s", error)
            raise Refused(503, self._unavailable, "this service has no token to compare with") from None
        token = proof.token_of(headers.get("authorization"), accepted)
        if token is None:
            raise _stranger("no token, or a wrong one")
        return token

    async def _check_account(self, accounts: ServiceAccounts, token: str) -> None:
        try:
            await accounts.check(token)
        except TokenRefused as error:
            raise _stranger(str(error)) from None
        except KeysAway as error:
            raise Refused(503, self._unavailable, str(error)) from None

    async def _check(self, token: str, scope: Any, headers: dict[str, str], body: bytes) -> None:
        target = scope["raw_path"].decode("latin-1")
        if scope["query_string"]:
            target += f"?{scope['query_string'].decode('latin-1')}"
        found, nonce = proof.verify(
            token, scope["method"], target, body, headers, now=self._clock.now(), audience=self._audience
        )
        if found is not Proof.GOOD:
            raise _stranger(f"the call is not signed as it should be: {found.value}")
        try:
            new = await self._remember(nonce, proof.NONCE_LIFE)
        except StoreUnavailable as error:
            message = "the store does not answer, so nothing can be changed now"
            raise Refused(503, self._unavailable, message) from error
        if not new:
            raise Refused(401, REPLAYED, "this call was made before")


def _stranger(message: str) -> Refused:
    return Refused(401, NOT_AUTHENTICATED, message)


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
            raise _stranger("the call was broken off")
        parts.append(message.get("body", b""))
        size += len(parts[-1])
        if size > _BODY_LIMIT:
            raise _stranger("the body is too large to be one of ours")
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


async def _refuse(send: Any, refusal: Refused) -> None:
    body = problem(refusal.status, str(refusal), code=refusal.code)
    headers = [(b"content-type", b"application/problem+json"), (b"content-length", b"%d" % len(body))]
    await send({"type": "http.response.start", "status": refusal.status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
