"""What a client is told when the upstream could not be reached or broke off."""

import pytest

from services.gateway.transport_faults import fault_of
from services.gateway.upstream.transport import (
    AnswerTooLarge,
    CertificateInvalid,
    ConnectFailed,
    ConnectionLost,
    FirstByteTimeout,
    IdleTimeout,
    PoolTimeout,
    ProtocolViolation,
    SendFailed,
    TotalTimeout,
    TransportError,
)


@pytest.mark.parametrize(
    ("error", "status", "code", "says"),
    [
        (PoolTimeout, 503, "upstream_unreachable", "All connections to the upstream are in use"),
        (CertificateInvalid, 502, "upstream_unreachable", "`upstream.caFile`"),
        (ConnectFailed, 502, "upstream_unreachable", "`zcode-proxy doctor`"),
        (FirstByteTimeout, 504, "timeout", "did not answer in time: it."),
        (IdleTimeout, 504, "timeout", "did not answer in time: it."),
        (TotalTimeout, 504, "timeout", "did not answer in time: it."),
        (SendFailed, 502, "upstream_unreachable", "broke off its answer: it."),
        (ConnectionLost, 502, "upstream_unreachable", "broke off its answer: it."),
        (ProtocolViolation, 502, "upstream_unreachable", "broke off its answer: it."),
        (AnswerTooLarge, 502, "upstream_unreachable", "broke off its answer: it."),
        (TransportError, 502, "upstream_unreachable", "broke off its answer: it."),
    ],
)
def test_every_failure_has_a_status_and_says_what_to_do(
    error: type[TransportError], status: int, code: str, says: str
) -> None:
    fault = fault_of(error("it"))

    assert (status, code, None) == (fault.status, fault.code, fault.upstream_status)
    assert says in fault.message


def test_a_full_pool_says_nothing_of_the_pool() -> None:
    assert "it" not in fault_of(PoolTimeout("it")).message.split()
