"""One request at the edge: its headers by name, its ids, its caller. Made once, before any route is chosen."""

import random
import re
from collections.abc import Mapping
from typing import Final

import msgspec

from services.gateway.downstream import Downstream
from services.gateway.guard import ANONYMOUS, Caller
from services.gateway.identity import CODEX_SESSION, allowed_beta, client_session, uuid4_of

# What an accept-encoding may be made of; anything else is not looked at.
_CODINGS: Final = re.compile(rb"[A-Za-z0-9*;=.,+ \t-]{1,256}")

# An id has to be unique, not secret, and a call into the system costs as much as a dozen of these.
_random: Final = random.Random().getrandbits  # noqa: S311  # see above


class Wishes(msgspec.Struct, frozen=True, gc=False):
    """What the headers of a request ask for, checked; the same for every request with these headers."""

    accept_encoding: bytes | None
    beta: bytes | None  # anthropic-beta, reduced to what may travel
    session: bytes | None  # the client's session id
    codex_session: bytes | None  # the same, or what Codex calls so


def wishes_of(headers: Mapping[bytes, bytes]) -> Wishes:
    """Return what a request's headers ask for; whatever is not well-formed is left out."""
    coding = headers.get(b"accept-encoding")
    session = client_session(headers)
    return Wishes(
        coding if coding is not None and _CODINGS.fullmatch(coding) else None,
        allowed_beta(headers.get(b"anthropic-beta")),
        session,
        session or client_session(headers, (CODEX_SESSION,)),
    )


class Inbound:
    """An HTTP request as the server gave it; belongs to one request."""

    __slots__ = ("begun_at", "caller", "client", "cors", "headers", "method", "path", "request_id", "wishes")

    client: Downstream

    def __init__(
        self, method: str, path: str, headers: dict[bytes, bytes], begun_at: float, wishes: Wishes | None = None
    ) -> None:
        """
        `headers`: of a repeated one the last counts; the server's guard has refused repeated credentials. `wishes`
        are theirs, where they have been read already.
        """
        self.method = method
        self.path = path
        self.headers = headers
        self.wishes = wishes_of(headers) if wishes is None else wishes
        self.begun_at = begun_at
        self.request_id = uuid4_of(_random(128))
        self.caller: Caller = ANONYMOUS
        self.cors: tuple[tuple[bytes, bytes], ...] = ()
