"""
The one place where a failure becomes an answer: picks the dialect of the path and writes its envelope.

Nothing that is not in the Fault reaches the client. Of a failure we did not foresee the log gets the type and the
frames, not the message, which may quote the request; the client is told the request id to quote.
"""

import logging
import traceback
from typing import Final

from services.gateway.downstream import BodyTooLarge, Downstream
from services.gateway.errors import GatewayError
from services.gateway.translation.errors import error_body
from services.gateway.translation.fault import Fault
from services.gateway.translation.own_faults import bad_request, internal, too_large
from services.gateway.translation.refusal import TranslationError
from services.gateway.wire.formats import WireFormat

_log: Final = logging.getLogger("zcode.gateway")

_ANTHROPIC_PATHS: Final = ("/v1/messages", "/v1/complete", "/anthropic/")


def dialect_of_path(path: str, headers: dict[bytes, bytes] | None = None) -> WireFormat:
    """Return the dialect in which errors of a path are written; paths that both share go by the client's headers."""
    if path.startswith(_ANTHROPIC_PATHS) or path.removeprefix("/v1").startswith(_ANTHROPIC_PATHS):
        return WireFormat.ANTHROPIC
    if path.startswith("/v1/models") and headers is not None and speaks_anthropic(headers):
        return WireFormat.ANTHROPIC
    return WireFormat.OPENAI


def speaks_anthropic(headers: dict[bytes, bytes]) -> bool:
    """Whether a request to a shared path comes from an Anthropic client (translation.md A14)."""
    return b"anthropic-version" in headers or b"x-api-key" in headers


def fault_of_exception(error: Exception, request_id: str) -> Fault:
    """Return what the client is told of an exception."""
    if isinstance(error, GatewayError):
        return error.fault
    if isinstance(error, TranslationError):
        return bad_request(error.message, error.param, error.code, error.status)
    if isinstance(error, BodyTooLarge):
        return too_large(error.limit)
    frames = "".join(traceback.format_tb(error.__traceback__))
    _log.error("unforeseen failure, request %s: %s\n%s", request_id, type(error).__name__, frames)
    return internal(request_id)


def write_error(
    client: Downstream,
    dialect: WireFormat,
    fault: Fault,
    request_id: str,
    extra: tuple[tuple[bytes, bytes], ...] = (),
) -> int:
    """Send a failure as a whole answer and return its status; only while nothing has been sent."""
    status, headers, body = error_body(dialect, fault, request_id)
    client.start(status, [*headers, (b"content-length", str(len(body)).encode()), *extra])
    client.finish(body)
    return status
