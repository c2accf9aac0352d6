"""Cross-origin requests from browsers: refused by silence unless the operator lists origins. Pure."""

from collections.abc import Mapping
from typing import Final

Headers = tuple[tuple[bytes, bytes], ...]

_METHODS: Final = b"GET, HEAD, POST, OPTIONS"
_EXPOSED: Final = b"request-id, x-request-id, x-zcode-dropped-params, x-zcode-overhead-ms, retry-after"


class Cors:
    """The configured origins; `*` allows any, which a key still protects."""

    def __init__(self, origins: tuple[str, ...]) -> None:
        self._any = "*" in origins
        self._origins = frozenset(origin.encode("ascii") for origin in origins)

    def answer_headers(self, headers: Mapping[bytes, bytes]) -> Headers:
        """Return what an answer to this request carries; nothing for an origin that is not listed."""
        origin = headers.get(b"origin")
        if origin is None or not (self._any or origin in self._origins):
            return ()
        return (
            (b"access-control-allow-origin", origin),
            (b"access-control-expose-headers", _EXPOSED),
            (b"vary", b"origin"),
        )

    def preflight_headers(self, headers: Mapping[bytes, bytes]) -> Headers:
        """Return what the answer to an OPTIONS request carries."""
        allowed = self.answer_headers(headers)
        if not allowed:
            return ((b"allow", _METHODS),)
        asked = headers.get(b"access-control-request-headers", b"authorization, content-type, x-api-key")
        return (
            *allowed,
            (b"access-control-allow-methods", _METHODS),
            (b"access-control-allow-headers", asked),
            (b"access-control-max-age", b"600"),
        )
