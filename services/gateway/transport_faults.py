"""What the client is told when the upstream could not be reached or broke off (promises.md C8)."""

from typing import Final

from services.gateway.translation.fault import Fault
from services.gateway.translation.own_faults import timeout, unreachable
from services.gateway.upstream.transport import (
    CertificateInvalid,
    ConnectFailed,
    FirstByteTimeout,
    IdleTimeout,
    PoolTimeout,
    TotalTimeout,
    TransportError,
)

_TIMEOUTS: Final = (FirstByteTimeout, IdleTimeout, TotalTimeout)


def fault_of(error: TransportError) -> Fault:
    """Describe a transport failure to the client; the error's own message is safe to show."""
    if isinstance(error, PoolTimeout):
        return unreachable("All connections to the upstream are in use; try again shortly.", 503)
    if isinstance(error, CertificateInvalid):
        return unreachable(
            f"The upstream's certificate is not trusted: {error}. "
            "Behind an intercepting proxy, set `upstream.caFile` to its CA."
        )
    if isinstance(error, ConnectFailed):
        return unreachable(
            f"The upstream cannot be reached: {error}. `zcode-proxy doctor` checks address, DNS and TLS."
        )
    if isinstance(error, _TIMEOUTS):
        return timeout(f"The upstream did not answer in time: {error}.")
    return unreachable(f"The upstream broke off its answer: {error}.")
