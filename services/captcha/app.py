"""The contract and the page over HTTP. Puts together; decides nothing."""

import logging
from collections.abc import Callable, Mapping
from typing import Any, Final

from litestar import Litestar, Request, Response
from litestar.di import Provide
from litestar.exceptions import HTTPException

from services.captcha.banks.port import Bank
from services.captcha.client import AUDIENCE
from services.captcha.contract import ErrorCode
from services.captcha.errors import CaptchaError, Invalid, Unavailable
from services.captcha.issuer import Issuer
from services.captcha.page.gate import PageRefused
from services.captcha.page.headers import FIXED, NOTHING, transport_security
from services.captcha.page.view import View
from services.captcha.routes.page import Page, bank_token, document, events, script, sign_in, state, styles, trouble
from services.captcha.routes.token import bank_state, report, token
from services.chassis.clock import Clock
from services.chassis.peer.guard import PeerGuard
from services.chassis.peer.service_accounts import ServiceAccounts
from services.chassis.peer.token_file import TokenFile
from services.chassis.problem import problem
from services.chassis.storage import StoreUnavailable

PEERS: Final = "/v1/"  # paths of gateways; everything else is the page's

_POLICY: Final = b"content-security-policy"

_log = logging.getLogger(__name__)

_AnyRequest = Request[Any, Any, Any]


class Paths:
    """Both on one port: gateways under `/v1/`, browsers elsewhere."""

    def __init__(self, peers: Any, page: Any) -> None:
        self._peers = peers
        self._page = page

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Pass a call on by its path."""
        app = self._peers if scope["type"] == "http" and scope["path"].startswith(PEERS) else self._page
        await app(scope, receive, send)


def create_peers(
    issuer: Issuer,
    bank: Bank,
    view: View,
    *,
    tokens: TokenFile,
    accounts: ServiceAccounts | None = None,
    clock: Clock | None = None,
) -> PeerGuard:
    """Make the application that gateways call."""
    framework = Litestar(
        [token, report, bank_state],
        dependencies={
            "issuer": Provide(lambda: issuer, sync_to_thread=False),
            "view": Provide(lambda: view, sync_to_thread=False),
        },
        exception_handlers={Exception: _rescue},
        openapi_config=None,
        logging_config=None,
    )
    return PeerGuard(
        framework,
        audience=AUDIENCE,
        tokens=tokens,
        remember=lambda nonce, seconds: bank.first(f"nonce/{nonce}", seconds),
        unavailable=ErrorCode.CAPTCHA_UNAVAILABLE.value,
        accounts=accounts,
        clock=clock,
    )


def create_page(page: Page, *, origin: str | None) -> "Headed":
    """Make the application that browsers open."""
    framework = Litestar(
        [document, styles, script, sign_in, state, events, bank_token, trouble],
        dependencies={"page": Provide(lambda: page, sync_to_thread=False)},
        exception_handlers={Exception: _page_rescue(page)},
        openapi_config=None,
        logging_config=None,
        request_max_body_size=64 * 1024,
    )
    return Headed(framework, FIXED | transport_security(origin or ""))


class Headed:
    """Puts the same headers on every answer of an application, its errors included."""

    def __init__(self, app: Any, fixed: Mapping[str, str]) -> None:
        self._app = app
        self._fixed = [(name.encode(), value.encode()) for name, value in fixed.items()]

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Serve a call."""

        async def headed(message: Any) -> None:
            if message["type"] == "http.response.start":
                own = list(message["headers"])
                known = any(name.lower() == _POLICY for name, _ in own)
                message["headers"] = [*own, *self._fixed, *([] if known else [(_POLICY, NOTHING.encode())])]
            await send(message)

        await self._app(scope, receive, headed)


def _rescue(request: _AnyRequest, error: Exception) -> Response[bytes]:
    """Write any error as a problem document, with a message that is safe to show."""
    known = _known(request, error)
    body = problem(known.status, str(known), code=known.code.value, page=known.page)
    return Response(body, status_code=known.status, media_type="application/problem+json")


def _page_rescue(page: Page) -> Callable[[_AnyRequest, Exception], Response[bytes]]:
    def rescue(request: _AnyRequest, error: Exception) -> Response[bytes]:
        known = _known(request, error)
        reason = known.reason if isinstance(known, PageRefused) else known.code.value
        page.metrics.happened("refused" if known.status < 500 else "failed")
        body = problem(known.status, str(known), code=reason)
        return Response(body, status_code=known.status, media_type="application/problem+json")

    return rescue


def _known(request: _AnyRequest, error: Exception) -> CaptchaError:
    if isinstance(error, CaptchaError):
        return error
    if isinstance(error, StoreUnavailable):
        return Unavailable(f"the captcha service's store does not answer: {error}")
    if isinstance(error, HTTPException):
        refused = PageRefused(error.status_code, "not_found", "not a call of this service")
        refused.code = ErrorCode.NOT_FOUND if error.status_code == 404 else ErrorCode.INVALID
        return refused
    _log.error("%s %s failed: %s", request.method, request.url.path, type(error).__name__, exc_info=error)
    failed = Invalid("the captcha service failed")
    failed.status = 500
    return failed
