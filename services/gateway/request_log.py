"""
One line per exchange, written in batches: a taker of the ledger.

A logging call per request costs as much as the relaying itself (performance.md 4).
"""

import logging
import time
from collections.abc import Sequence
from typing import Final

import msgspec

from services.chassis.logs import log_all, vetted, word
from services.gateway.observation import Observation

_log: Final = logging.getLogger("zcode.request")


class RequestLine(msgspec.Struct, frozen=True, gc=False):
    """The fields of one line, in their order; names are those of the JSON log, times in milliseconds."""

    request_id: str
    method: str
    route: str
    status: int
    model: str | None
    stream: bool
    client_format: str
    upstream_format: str
    provider: str
    plan: str
    key_id: str
    credential_id: str
    upstream_status: int | None
    upstream_code: str | None
    upstream_request_id: str | None
    code: str | None
    attempts: int
    cancelled: bool
    dropped: list[str | None]
    input_tokens: int | None
    cached_tokens: int | None
    output_tokens: int | None
    first_byte_ms: float | None
    total_ms: float
    overhead_ms: float | None


def line_of(seen: Observation) -> RequestLine:
    """Return the line of an exchange."""
    usage = seen.usage
    begun, first, overhead = seen.begun_at, seen.first_byte_at, seen.overhead
    return RequestLine(
        seen.request_id,
        seen.method,
        seen.path,
        seen.status,
        vetted(seen.model),
        seen.stream,
        seen.client_format,
        seen.upstream_format,
        seen.provider,
        seen.plan,
        seen.key_id,
        seen.credential_id,
        seen.upstream_status,
        word(seen.upstream_code),
        vetted(seen.upstream_request_id),
        seen.code,
        seen.attempts,
        seen.cancelled,
        [vetted(name) for name in seen.dropped] if seen.dropped else [],
        None if usage is None else usage.input,
        None if usage is None else usage.cache_read,
        None if usage is None else usage.output,
        None if first is None else _milliseconds(first - begun),
        _milliseconds(seen.ended_at - begun),
        None if overhead is None else int(overhead * 100_000 + 0.5) / 100,
    )


def _milliseconds(seconds: float) -> float:
    """With one digit; `round` writes a number down to round it, and costs six times as much."""
    return int(seconds * 10_000 + 0.5) / 10


def write_lines(observations: Sequence[Observation]) -> None:
    """Write a line for each of these exchanges; one that fails to be written takes nothing down."""
    if not _log.isEnabledFor(logging.INFO):
        return
    ahead = time.time() - time.monotonic()
    log_all(_log, "request", [(seen.ended_at + ahead, line_of(seen)) for seen in observations])
