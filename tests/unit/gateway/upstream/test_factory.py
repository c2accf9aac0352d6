import pytest

from services.gateway.upstream.factory import make_transport
from services.gateway.upstream.httpx_transport import HttpxTransport
from services.gateway.upstream.pooled import PooledTransport


@pytest.mark.parametrize(
    ("kind", "proxy", "expected"),
    [
        ("pooled", None, PooledTransport),
        ("httpx", None, HttpxTransport),
        ("pooled", "http://proxy.test:3128", HttpxTransport),
        ("httpx", "http://user:pass@proxy.test:3128", HttpxTransport),
    ],
)
def test_kind_and_proxy_select_the_transport(kind: str, proxy: str | None, expected: type) -> None:
    assert type(make_transport(kind, proxy, None, 10)) is expected


def test_unknown_kind_is_named() -> None:
    with pytest.raises(ValueError, match="'quic'"):
        make_transport("quic", None, None, 10)
