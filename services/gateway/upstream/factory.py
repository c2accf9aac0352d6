"""Which transport serves, from the settings."""

from services.gateway.upstream.pooled import PooledTransport
from services.gateway.upstream.tls import make_tls_context
from services.gateway.upstream.transport import UpstreamTransport


def make_transport(kind: str, proxy: str | None, ca_file: str | None, connections: int) -> UpstreamTransport:
    """
    Return the transport named `kind` ("pooled" or "httpx"); a proxy selects httpx whatever was asked for.

    Raises `ValueError` for another name or a proxy address httpx2 cannot use, `OSError` for a bad `ca_file`.
    """
    tls = make_tls_context(ca_file)
    if kind == "httpx" or proxy is not None:
        from services.gateway.upstream.httpx_transport import HttpxTransport  # noqa: PLC0415 -- heavy, and rarely used

        return HttpxTransport(connections=connections, tls=tls, proxy=proxy)
    if kind == "pooled":
        return PooledTransport(connections=connections, tls=tls)
    raise ValueError(f"upstream.transport is {kind!r}, expected 'pooled' or 'httpx'")
