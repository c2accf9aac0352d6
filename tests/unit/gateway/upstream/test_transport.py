import pytest

from services.gateway.upstream.transport import (
    CertificateInvalid,
    ConnectFailed,
    ConnectionLost,
    Origin,
    PoolTimeout,
    SendFailed,
)


@pytest.mark.parametrize(
    ("origin", "authority"),
    [
        (Origin("https", "api.z.ai", 443), "api.z.ai"),
        (Origin("http", "api.z.ai", 80), "api.z.ai"),
        (Origin("http", "api.z.ai", 443), "api.z.ai:443"),
        (Origin("https", "::1", 8090), "[::1]:8090"),
        (Origin("https", "::1", 443), "[::1]"),
    ],
)
def test_authority_leaves_the_default_port_out(origin: Origin, authority: str) -> None:
    assert origin.authority == authority


@pytest.mark.parametrize("kind", [PoolTimeout, ConnectFailed, CertificateInvalid])
def test_errors_before_sending_say_so(kind: type[ConnectFailed]) -> None:
    assert kind("x").nothing_sent


@pytest.mark.parametrize("kind", [SendFailed, ConnectionLost])
def test_errors_after_sending_promise_nothing(kind: type[SendFailed]) -> None:
    assert not kind("x").nothing_sent
