"""
One line per exchange, written in batches: the data path appends to a list, a timer formats and writes.

A logging call per request costs as much as the relaying itself (performance.md 4), so lines wait at most `interval`
seconds. What is still waiting when the process ends is written by `flush`.
"""

import asyncio
import logging
import time
from typing import Any, Final

from services.chassis.logs import log_all, vetted, word
from services.gateway.observation import Observation

_log: Final = logging.getLogger("zcode.request")
_INTERVAL: Final = 0.02  # few lines at a time, because nobody is served while they are written


def fields_of(seen: Observation) -> dict[str, Any]:
    """Return the fields of one line; names are those of the JSON log, times in milliseconds."""
    usage = seen.usage
    first = seen.first_byte_at
    return {
        "request_id": seen.request_id,
        "method": seen.method,
        "route": seen.path,
        "status": seen.status,
        "model": vetted(seen.model),
        "stream": seen.stream,
        "client_format": seen.client_format,
        "upstream_format": seen.upstream_format,
        "provider": seen.provider,
        "plan": seen.plan,
        "key_id": seen.key_id,
        "credential_id": seen.credential_id,
        "upstream_status": seen.upstream_status,
        "upstream_code": word(seen.upstream_code),
        "upstream_request_id": vetted(seen.upstream_request_id),
        "code": seen.code,
        "attempts": seen.attempts,
        "cancelled": seen.cancelled,
        "dropped": [vetted(name) for name in seen.dropped],
        "input_tokens": None if usage is None else usage.input,
        "cached_tokens": None if usage is None else usage.cache_read,
        "output_tokens": None if usage is None else usage.output,
        "first_byte_ms": None if first is None else round((first - seen.begun_at) * 1000, 1),
        "total_ms": round((seen.ended_at - seen.begun_at) * 1000, 1),
        "overhead_ms": None if seen.overhead is None else round(seen.overhead * 1000, 2),
    }


class RequestLog:
    """An Observer that writes lines. Belongs to one event loop."""

    def __init__(self) -> None:
        self._waiting: list[tuple[float, Observation]] = []
        self._handle: asyncio.TimerHandle | None = None

    def observe(self, observation: Observation) -> None:
        """Take note of one exchange."""
        if not _log.isEnabledFor(logging.INFO):
            return
        self._waiting.append((time.time(), observation))
        if self._handle is None:
            self._handle = asyncio.get_running_loop().call_later(_INTERVAL, self.flush)

    def flush(self) -> None:
        """Write what waits."""
        self._handle = None
        waiting, self._waiting = self._waiting, []
        log_all(_log, "request", [(moment, fields_of(observation)) for moment, observation in waiting])
