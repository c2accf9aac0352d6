import ssl

import httpx2
import pytest

from services.gateway.upstream import transport as port
from services.gateway.upstream.httpx_errors import translate


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (httpx2.PoolTimeout("x"), port.PoolTimeout),
        (httpx2.ConnectTimeout("x"), port.ConnectFailed),
        (httpx2.ConnectError("x"), port.ConnectFailed),
        (httpx2.ProxyError("x"), port.ConnectFailed),
        (httpx2.UnsupportedProtocol("x"), port.ConnectFailed),
        (httpx2.WriteTimeout("x"), port.SendFailed),
        (httpx2.WriteError("x"), port.SendFailed),
        (httpx2.ReadError("x"), port.ConnectionLost),
        (httpx2.LocalProtocolError("x"), port.ProtocolViolation),
        (httpx2.RemoteProtocolError("illegal header line"), port.ProtocolViolation),
        (httpx2.RemoteProtocolError("Server disconnected without sending a response."), port.ConnectionLost),
        (httpx2.RemoteProtocolError("peer closed connection without sending"), port.ConnectionLost),
        (RuntimeError("x"), port.ConnectionLost),
    ],
    ids=repr,
)
def test_each_error_has_its_word(error: Exception, kind: type[port.TransportError]) -> None:
    assert type(translate(error)) is kind


def test_messages_do_not_repeat_what_the_library_said() -> None:
    assert "sk-secret" not in str(translate(httpx2.LocalProtocolError("Illegal header value b'sk-secret'")))


def test_invalid_certificate_is_found_among_the_causes() -> None:
    error = httpx2.ConnectError("x")
    error.__cause__ = RuntimeError("between")
    error.__cause__.__context__ = cause = ssl.SSLCertVerificationError()
    cause.verify_message = "self-signed certificate"
    assert type(translate(error)) is port.CertificateInvalid


def test_too_large_a_head_is_found_by_its_hint() -> None:
    class Hinting(Exception):
        error_status_hint = 431

    error = httpx2.RemoteProtocolError("x")
    error.__cause__ = Hinting()
    assert type(translate(error)) is port.AnswerTooLarge
