"""
The gateway's side of the captcha service.

    address                        how                                            who is trusted
    unix:/run/zr/captcha.sock      HTTP over a unix socket                        mode 0660 and a token file
    http://… https://…             HTTP: a Deployment of its own                  a token file, and TLS where it says so
    app:                           calls into the same process, no HTTP at all    -

Every call asks the service: a token is used once, so there is nothing to keep. A caller that is cancelled while it
waits closes its connection, and leaves the queue by that.
"""

import asyncio
import secrets
import ssl
from typing import Final, Protocol
from urllib.parse import urlsplit

import httpx2
import msgspec

from services.captcha.contract import (
    REPORT_PATH,
    STATE_PATH,
    TOKEN_PATH,
    BankState,
    ErrorCode,
    Report,
    TokenAnswer,
    TokenRequest,
)
from services.captcha.errors import (
    CaptchaError,
    CaptchaRequired,
    Invalid,
    JwtInvalid,
    NotAuthenticated,
    QueueFull,
    Replayed,
    Unavailable,
)
from services.chassis.clock import Clock, SystemClock
from services.chassis.peer import proof
from services.chassis.peer.token_file import TokenFile, TokenFileInvalid
from services.chassis.tracing import outgoing, step

AUDIENCE: Final = "zr-captcha"

_MARGIN: Final = 5.0  # seconds an answer may take on top of what the service was asked to wait
_CONNECT: Final = 1.0
_REPORT: Final = 2.0

_ERRORS: Final[dict[str, type[CaptchaError]]] = {
    error.code.value: error for error in (JwtInvalid, QueueFull, Unavailable, NotAuthenticated, Replayed, Invalid)
}


class CaptchaService(Protocol):
    """What a client speaks to: the issuer itself, or one behind HTTP. Everything raises CaptchaError."""

    async def token(self, request: TokenRequest) -> TokenAnswer:
        """Return what to send upstream, waiting for a person as long as the request says."""

    async def report(self, report: Report) -> None:
        """Take note of how a try ended."""


class CaptchaClient:
    """The service behind HTTP. Use it on one loop; `aclose` it there."""

    def __init__(
        self, address: str, *, tokens: TokenFile, clock: Clock | None = None, verify: ssl.SSLContext | None = None
    ) -> None:
        self._tokens = tokens
        self._clock: Clock = clock or SystemClock()
        # Each waiting request holds a connection; how many wait is for the service to bound.
        limits = httpx2.Limits(max_connections=None, max_keepalive_connections=8, keepalive_expiry=30.0)
        uds = address.removeprefix("unix:") if address.startswith("unix:") else None
        self._http = httpx2.AsyncClient(
            base_url="http://captcha" if uds is not None else address.rstrip("/"),
            transport=httpx2.AsyncHTTPTransport(uds=uds, verify=verify or True, trust_env=False, limits=limits),
            trust_env=False,
            headers={"accept-encoding": "identity"},
        )
        self._base = urlsplit(str(self._http.base_url)).path.rstrip("/")

    async def token(self, request: TokenRequest) -> TokenAnswer:
        """Ask for what to send upstream."""
        status, body = await self._call(TOKEN_PATH, msgspec.json.encode(request), request.wait + _MARGIN)
        if status != 200:
            raise _error_of(status, body)
        try:
            return msgspec.json.decode(body, type=TokenAnswer)
        except msgspec.MsgspecError:
            raise Unavailable("the captcha service gave an answer that is none of its own") from None

    async def report(self, report: Report) -> None:
        """Tell how a try ended."""
        status, body = await self._call(REPORT_PATH, msgspec.json.encode(report), _REPORT)
        if status != 204:
            raise _error_of(status, body)

    async def state(self, provider: str) -> BankState:
        """Ask how a provider's account stands."""
        try:
            headers = {"authorization": f"Bearer {self._tokens.token}"}
            answer = await self._http.get(STATE_PATH, params={"provider": provider}, headers=headers, timeout=_REPORT)
        except TokenFileInvalid as error:
            raise Unavailable(str(error)) from None
        except httpx2.HTTPError as error:
            raise Unavailable(f"the captcha service does not answer ({type(error).__name__})") from None
        if answer.status_code != 200:
            raise _error_of(answer.status_code, answer.content)
        try:
            return msgspec.json.decode(answer.content, type=BankState)
        except msgspec.MsgspecError:
            raise Unavailable("the captcha service gave an answer that is none of its own") from None

    async def aclose(self) -> None:
        """Close every connection."""
        await self._http.aclose()

    async def _call(self, target: str, body: bytes, seconds: float) -> tuple[int, bytes]:
        headers = self._proof(target, body)
        timeout = httpx2.Timeout(seconds, connect=_CONNECT)
        try:
            with step(f"captcha POST {target}"):
                headers |= outgoing()
                async with asyncio.timeout(seconds):
                    answer = await self._http.post(target, content=body, headers=headers, timeout=timeout)
        except (httpx2.HTTPError, TimeoutError) as error:
            raise Unavailable(f"the captcha service does not answer ({type(error).__name__})") from None
        return answer.status_code, answer.content

    def _proof(self, target: str, body: bytes) -> dict[str, str]:
        try:
            token = self._tokens.token
        except TokenFileInvalid as error:
            raise Unavailable(str(error)) from None
        now, nonce = self._clock.now(), secrets.token_urlsafe(16)
        signed = proof.sign(token, "POST", self._base + target, body, now=now, nonce=nonce, audience=AUDIENCE)
        return signed | {"content-type": "application/json"}


class _Problem(msgspec.Struct):
    """What is read of a problem document."""

    detail: str = ""
    code: str = ErrorCode.CAPTCHA_UNAVAILABLE.value
    page: str | None = None


def _error_of(status: int, body: bytes) -> CaptchaError:
    try:
        problem = msgspec.json.decode(body, type=_Problem)
    except msgspec.MsgspecError:
        return Unavailable(f"the captcha service gave an answer of status {status} that is none of its own")
    detail = problem.detail or f"status {status}"
    if problem.code == ErrorCode.CAPTCHA_REQUIRED.value:
        return CaptchaRequired(detail, page=problem.page)
    return _ERRORS.get(problem.code, Unavailable)(detail)
