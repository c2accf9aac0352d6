"""What httpx2 raises, in the port's words. One table, and the three cases a table cannot decide."""

import ssl
from collections.abc import Iterator
from typing import Final

import httpx2

from services.gateway.upstream.transport import (
    AnswerTooLarge,
    CertificateInvalid,
    ConnectFailed,
    ConnectionLost,
    PoolTimeout,
    ProtocolViolation,
    SendFailed,
    TransportError,
)

# The first match counts. Timeouts of reading and connecting are our own and do not come from httpx2.
_TABLE: Final[tuple[tuple[type[Exception], type[TransportError], str], ...]] = (
    (httpx2.PoolTimeout, PoolTimeout, "no free connection to the upstream in time"),
    (httpx2.ConnectTimeout, ConnectFailed, "cannot connect to the upstream in time"),
    (httpx2.ConnectError, ConnectFailed, "cannot connect to the upstream"),
    (httpx2.ProxyError, ConnectFailed, "the proxy refused to connect to the upstream"),
    (httpx2.UnsupportedProtocol, ConnectFailed, "the address of the upstream is not http or https"),
    (httpx2.WriteTimeout, SendFailed, "the upstream did not take the request in time"),
    (httpx2.WriteError, SendFailed, "the upstream closed the connection while the request was sent"),
    (httpx2.ReadError, ConnectionLost, "the connection to the upstream was reset"),
    (httpx2.LocalProtocolError, ProtocolViolation, "the request is not valid HTTP/1.1"),
    (httpx2.RemoteProtocolError, ProtocolViolation, "the upstream's answer is not valid HTTP/1.1"),
    (Exception, ConnectionLost, "the connection to the upstream failed"),
)

# h11's words for an end of the connection before the end of the message, which it does not tell from bad syntax.
_BROKE_OFF: Final = ("peer closed connection", "Server disconnected", "peer unexpectedly closed connection")
_TOO_LARGE: Final = 431  # h11's hint where a head outgrows its buffer


def translate(error: Exception) -> TransportError:
    """Return the port's error for one of httpx2's; the message holds no request data."""
    for cause in _causes(error):
        if isinstance(cause, ssl.SSLCertVerificationError):
            return CertificateInvalid(f"the certificate of the upstream is not valid: {cause.verify_message}")
        if getattr(cause, "error_status_hint", None) == _TOO_LARGE:
            return AnswerTooLarge("the headers or the framing of the upstream's answer are too large")
    if isinstance(error, httpx2.RemoteProtocolError) and str(error).startswith(_BROKE_OFF):
        return ConnectionLost("the upstream closed the connection before the end of its answer")
    return next(kind(message) for source, kind, message in _TABLE if isinstance(error, source))


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__
