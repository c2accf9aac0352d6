"""The contract over HTTP: Litestar behind the peer guard. Puts together; decides nothing."""

import logging
from collections.abc import Sequence
from typing import Any, Final

from litestar import Litestar, Request, Response
from litestar.di import Provide
from litestar.exceptions import HTTPException
from litestar.types import ControllerRouterHandler

from services.chassis.clock import Clock
from services.chassis.peer.guard import PeerGuard
from services.chassis.peer.token_file import TokenFile
from services.chassis.problem import problem
from services.credentials.broker import Broker
from services.credentials.contract import AUDIENCE, ErrorCode
from services.credentials.errors import CredentialsError
from services.credentials.routes.reports import report
from services.credentials.routes.snapshot import snapshot
from services.credentials.stores.port import Store

_NONCE: Final = "nonce"  # a store's kind

_log = logging.getLogger(__name__)

_AnyRequest = Request[Any, Any, Any]


def create_app(
    broker: Broker,
    *,
    tokens: TokenFile,
    store: Store,
    clock: Clock | None = None,
    more: Sequence[ControllerRouterHandler] = (),
) -> PeerGuard:
    """Make the application that gateways call; the broker is started and closed by who made it."""
    framework = Litestar(
        [snapshot, report, *more],
        dependencies={"broker": Provide(lambda: broker, sync_to_thread=False)},
        exception_handlers={Exception: _rescue},
        openapi_config=None,
        logging_config=None,
    )
    return PeerGuard(
        framework,
        audience=AUDIENCE,
        tokens=tokens,
        remember=lambda nonce, seconds: store.put_once(_NONCE, nonce, b"", ttl=seconds),
        unavailable=ErrorCode.STORE_UNAVAILABLE.value,
        clock=clock,
    )


def _rescue(request: _AnyRequest, error: Exception) -> Response[bytes]:
    """Write any error as a problem document, with a message that is safe to show."""
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
