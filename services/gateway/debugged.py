"""
`serve --debug`: what came in, header by header, beside the usual line of each request.

Put around the hot routes only at that level. Names are shown as they came; values only of headers that say what the
client is and wants. Of everything else the length is shown, so that a missing or doubled key can be told from a wrong
one without being seen.
"""

import logging
from collections.abc import Awaitable, Callable
from typing import Final

from services.chassis.logs import vetted
from services.gateway.inbound import Inbound

Route = Callable[[Inbound], Awaitable[None]]

SHOWN: Final = frozenset(
    {
        b"accept",
        b"accept-encoding",
        b"anthropic-beta",
        b"anthropic-version",
        b"content-length",
        b"content-type",
        b"host",
    }
    | {b"transfer-encoding", b"user-agent"}
)
_PREFIX: Final = b"x-stainless-"  # what the vendors' SDKs say of themselves
_LONGEST: Final = 200

_log: Final = logging.getLogger("zcode.headers")


class DebuggedRoute:
    """A route that says what it was asked."""

    def __init__(self, route: Route) -> None:
        self._route = route

    async def __call__(self, inbound: Inbound) -> None:
        """Say it, then serve the request."""
        headers = {name.decode("latin-1"): _value(name, value) for name, value in inbound.headers.items()}
        fields = {"request_id": inbound.request_id, "route": inbound.path, "headers": headers}
        _log.debug("headers", extra={"fields": fields})
        await self._route(inbound)


def _value(name: bytes, value: bytes) -> str:
    if name in SHOWN or name.startswith(_PREFIX):
        return vetted(value[:_LONGEST].decode("latin-1")) or ""
    return f"[{len(value)} bytes]"
