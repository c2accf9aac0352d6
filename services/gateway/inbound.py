"""One request at the edge: its headers by name, its ids, its caller. Made once, before any route is chosen."""

import random
from typing import Final

from services.gateway.downstream import Downstream
from services.gateway.guard import ANONYMOUS, Caller
from services.gateway.identity import uuid4_of

# An id has to be unique, not secret, and a call into the system costs as much as a dozen of these.
_random: Final = random.Random().getrandbits  # noqa: S311  # see above


class Inbound:
    """An HTTP request as the server gave it; belongs to one request."""

    __slots__ = ("begun_at", "caller", "client", "cors", "headers", "method", "path", "request_id")

    client: Downstream

    def __init__(self, method: str, path: str, headers: dict[bytes, bytes], begun_at: float) -> None:
        """`headers`: of a repeated one the last counts; the server's guard has refused repeated credentials."""
        self.method = method
        self.path = path
        self.headers = headers
        self.begun_at = begun_at
        self.request_id = uuid4_of(_random(128))
        self.caller: Caller = ANONYMOUS
        self.cors: tuple[tuple[bytes, bytes], ...] = ()
