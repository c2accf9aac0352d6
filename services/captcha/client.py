"""
The gateway's side of the captcha service.

    address                        how                                            who is trusted
    unix:/run/zr/captcha.sock      HTTP over a unix socket                        mode 0660 and a token file
    http://… https://…             HTTP: a Deployment of its own                  a token file, and TLS where it says so
    app:                           calls into the same process, no HTTP at all    -

Every call asks the service: a token is used once, so there is nothing to keep. A caller that is cancelled while it
waits closes its connection, and leaves the queue by that.
"""

from typing import Final, Protocol, TypeVar
from urllib.parse import quote

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
from services.captcha.settings import CaptchaSettings
from services.chassis.clock import Clock
from services.chassis.peer.client import PeerAway, PeerClient
from services.chassis.peer.token_file import TokenFile
from services.chassis.trust import Trust

T = TypeVar("T")

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
        self, address: str, *, tokens: TokenFile, clock: Clock | None = None, trust: Trust | None = None
    ) -> None:
        # Each waiting request holds a connection; how many wait is for the service to bound.
        self._peer = PeerClient(
            address, name="captcha", audience=AUDIENCE, tokens=tokens, trust=trust, connect=_CONNECT, clock=clock
        )

    async def token(self, request: TokenRequest) -> TokenAnswer:
        """Ask for what to send upstream."""
        body = await self._call("POST", TOKEN_PATH, msgspec.json.encode(request), request.wait + _MARGIN)
        return _decoded(body, TokenAnswer)

    async def report(self, report: Report) -> None:
        """Tell how a try ended."""
        await self._call("POST", REPORT_PATH, msgspec.json.encode(report), _REPORT, wanted=204)

    async def state(self, provider: str) -> BankState:
        """Ask how a provider's account stands."""
        return _decoded(await self._call("GET", f"{STATE_PATH}?provider={quote(provider)}", b"", _REPORT), BankState)

    async def aclose(self) -> None:
        """Close every connection."""
        await self._peer.aclose()

    async def _call(self, method: str, target: str, body: bytes, seconds: float, *, wanted: int = 200) -> bytes:
        try:
            status, content = await self._peer.call(method, target, body, seconds=seconds)
        except PeerAway as error:
            raise Unavailable(str(error)) from None
        if status != wanted:
            raise _error_of(status, content)
        return content


def _decoded(body: bytes, wanted: type[T]) -> T:
    try:
        return msgspec.json.decode(body, type=wanted)
    except msgspec.MsgspecError:
        raise Unavailable("the captcha service gave an answer that is none of its own") from None


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


def trust_of(captcha: CaptchaSettings) -> Trust | None:
    """Return what a client trusts and shows over TLS, None for the machine's own authorities. Raises CaFileUnusable."""
    if captcha.ca_file is None and captcha.client_cert_file is None:
        return None
    return Trust(
        "captcha", ca_file=captcha.ca_file, cert_file=captcha.client_cert_file, key_file=captcha.client_key_file
    )
