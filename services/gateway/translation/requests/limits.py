"""How big a request may be, counted in things rather than bytes."""

import msgspec


class RequestLimits(msgspec.Struct, frozen=True, kw_only=True):
    """promises.md C7. What exceeds one of these is refused with a 400."""

    json_depth: int = 64
    messages: int = 4096
    tools: int = 512
