"""
Headers across the gateway: what goes upstream and what comes back, both by allow-list (promises.md T16, P-40).

Nothing of the client's travels but three checked values; nothing of the upstream's but what clients act on.
"""

import random
from collections.abc import Mapping, Sequence
from itertools import compress
from operator import itemgetter
from typing import Final

from services.chassis.verdicts import Verdicts
from services.gateway.call import ClientCall
from services.gateway.identity import RANDOM_BITS, ids_from, request_headers
from services.gateway.leases import Lease
from services.gateway.routing import CODING, UpstreamRoute
from services.gateway.upstream.request_head import header_block
from services.gateway.upstream.transport import HeaderBlock
from services.gateway.wire.formats import ANTHROPIC

Headers = list[tuple[bytes, bytes]]

_random: Final = random.Random().getrandbits  # noqa: S311  # ids are unique, not secret

_JSON: Final = (b"content-type", b"application/json")
_ACCEPT_ANY: Final = (b"accept", b"application/json")
_ACCEPT_EVENTS: Final = (b"accept", b"text/event-stream")
_IDENTITY: Final = (b"accept-encoding", b"identity")

_BACK: Final = frozenset(
    {b"retry-after", b"retry-after-ms", b"anthropic-organization-id", b"openai-processing-ms", b"openai-version"}
)
_BACK_PREFIXES: Final = (b"anthropic-ratelimit-", b"x-ratelimit-")
_NAME_OF: Final = itemgetter(0)
_REQUEST_IDS: Final = (b"x-request-id", b"request-id", b"x-log-id")


def request_headers_for(call: ClientCall, route: UpstreamRoute, lease: Lease) -> Headers:
    """Return what is this request's own of an upstream request's headers; `fixed_headers` are the rest."""
    headers = [
        _ACCEPT_EVENTS if call.stream else _ACCEPT_ANY,
        (route.auth_header, route.auth_prefix + lease.secret.reveal().encode()),
        _accepted(call, route),
        *request_headers(
            ids_from(call.request_id, _random(RANDOM_BITS)),
            coding_plan=route.plan is CODING,
            session=call.session,
        ),
    ]
    if call.beta is not None and route.format is ANTHROPIC:
        headers.append((b"anthropic-beta", call.beta))
    return headers


def fixed_headers(route: UpstreamRoute, identity: tuple[tuple[bytes, bytes], ...]) -> HeaderBlock:
    """Return the headers that every request on a route carries."""
    return header_block((_JSON, *route.fixed_headers, *identity))


def _accepted(call: ClientCall, route: UpstreamRoute) -> tuple[bytes, bytes]:
    """
    Ask for what can be passed on: a batch answer in the client's dialect travels in whatever coding it accepts.

    Event streams are asked for plain, because the listed repairs and the first-event check read them.
    """
    accepted = call.accept_encoding
    if accepted is None or call.stream or call.format is not route.format:
        return _IDENTITY
    return (b"accept-encoding", accepted)


def upstream_request_id(headers: Mapping[bytes, bytes]) -> bytes | None:
    """Return the upstream's own id of the request, under whichever of its names."""
    for name in _REQUEST_IDS:
        value = headers.get(name)
        if value is not None:
            return value
    return None


def passed_back(headers: Sequence[tuple[bytes, bytes]]) -> Headers:
    """Return the headers of an answer that clients act on."""
    return list(compress(headers, map(_goes_back, map(_NAME_OF, headers))))  # no function of ours per header


def _decide(name: bytes) -> bool:
    return name in _BACK or name.startswith(_BACK_PREFIXES)


_goes_back: Final = Verdicts(_decide).__getitem__
