"""The contract over HTTP, and the admin API: Litestar behind the peer guard. Puts together; decides nothing."""

import logging
from collections.abc import Mapping, Sequence
from typing import Any, Final

from litestar import Litestar, Request, Response
from litestar.di import Provide
from litestar.exceptions import HTTPException
from litestar.types import ControllerRouterHandler

from services.chassis.clock import Clock
from services.chassis.peer.guard import PeerGuard
from services.chassis.peer.service_accounts import ServiceAccounts
from services.chassis.peer.token_file import TokenFile
from services.chassis.problem import problem
from services.credentials.admin_contract import AUDIENCE as ADMIN_AUDIENCE
from services.credentials.admin_contract import Administration
from services.credentials.broker import Broker
from services.credentials.contract import AUDIENCE, ErrorCode
from services.credentials.errors import CredentialsError, Unavailable
from services.credentials.master_run import MasterRun
from services.credentials.routes import administration
from services.credentials.routes.reports import report
from services.credentials.routes.snapshot import snapshot
from services.credentials.stores.port import Store, StoreUnavailable

_NONCE: Final = "nonce"  # a store's kind

_log = logging.getLogger(__name__)

_AnyRequest = Request[Any, Any, Any]


def create_app(
    broker: Broker,
    *,
    tokens: TokenFile,
    store: Store,
    accounts: ServiceAccounts | None = None,
    clock: Clock | None = None,
) -> PeerGuard:
    """Make the application that gateways call; the broker is started and closed by who made it."""
    framework = _framework((snapshot, report), {"broker": broker})
    return _guarded(framework, AUDIENCE, tokens, store, clock, accounts)


def create_administration(
    office: Administration, master: MasterRun, *, tokens: TokenFile, store: Store, clock: Clock | None = None
) -> PeerGuard:
    """Make the admin API; gateways' tokens are no good here."""
    framework = _framework(administration.ROUTES, {"office": office, "master": master})
    return _guarded(framework, ADMIN_AUDIENCE, tokens, store, clock)


def _framework(routes: Sequence[ControllerRouterHandler], parts: Mapping[str, object]) -> Litestar:
    return Litestar(
        routes,
        dependencies={name: _provide(part) for name, part in parts.items()},
        exception_handlers={Exception: _rescue},
        openapi_config=None,
        logging_config=None,
    )


def _provide(part: object) -> Provide:
    return Provide(lambda: part, sync_to_thread=False)


def _guarded(
    framework: Litestar,
    audience: str,
    tokens: TokenFile,
    store: Store,
    clock: Clock | None,
    accounts: ServiceAccounts | None = None,
) -> PeerGuard:
    return PeerGuard(
        framework,
        audience=audience,
        tokens=tokens,
        remember=lambda nonce, seconds: store.put_once(_NONCE, nonce, b"", ttl=seconds),
        unavailable=ErrorCode.STORE_UNAVAILABLE.value,
        accounts=accounts,
        clock=clock,
    )


def _rescue(request: _AnyRequest, error: Exception) -> Response[bytes]:
    """Write any error as a problem document, with a message that is safe to show."""
    if isinstance(error, StoreUnavailable):
        error = Unavailable(str(error))
    if isinstance(error, CredentialsError):
        status, body = error.status, _document(error)
    elif isinstance(error, HTTPException):
        code = ErrorCode.NOT_FOUND if error.status_code == 404 else ErrorCode.INVALID
        status, body = error.status_code, problem(error.status_code, "not a call of this service", code=code.value)
    else:
        _log.error("%s %s failed: %s", request.method, request.url.path, type(error).__name__, exc_info=error)
        status, body = 500, problem(500, "the credentials service failed", code=ErrorCode.INVALID.value)
    return Response(body, status_code=status, media_type="application/problem+json")


def _document(error: CredentialsError) -> bytes:
    """Write an error as a problem document; the message is safe to show."""
    code = error.code if error.status < 500 or error.code is ErrorCode.STORE_UNAVAILABLE else ErrorCode.INVALID
    return problem(error.status, str(error), code=code.value)
