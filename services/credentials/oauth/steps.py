"""
What a flow asks of whoever drives it, and what it is told. Pure: names and types.

    step     asks                                          answers
    Ask      one HTTP call                                 Answer | NoAnswer
    Look     the time                                      Moment
    Pause    so many seconds                               None
    Invite   to show a person the address to open          None
    Await    the code that comes back from the browser     str | None when nobody came in time
"""

from collections.abc import Generator, Mapping
from typing import TypeAlias, TypeVar

import msgspec

from services.chassis.secret import Secret

T = TypeVar("T")


class Ask(msgspec.Struct, frozen=True, kw_only=True):
    """One call. Bodies and some addresses hold secrets, so it prints nothing but its purpose."""

    what: str  # for messages: "exchanging the code"
    method: str
    url: str
    authorization: Secret | None = None
    fields: Mapping[str, str] | None = None  # sent as JSON

    def __repr__(self) -> str:
        return f"Ask({self.what!r})"


class Answer(msgspec.Struct, frozen=True):
    """A whole answer. Does not print: bodies hold tokens."""

    status: int
    body: bytes
    retry_after: float | None = None  # seconds

    def __repr__(self) -> str:
        return f"Answer({self.status}, {len(self.body)} bytes)"


class NoAnswer(msgspec.Struct, frozen=True):
    """No whole answer came. `sent`: the request may have been acted on."""

    sent: bool
    why: str  # safe words of ours


class Look(msgspec.Struct, frozen=True):
    pass


class Moment(msgspec.Struct, frozen=True):
    """Two clocks: seconds since the epoch, and seconds that only ever grow."""

    wall: float
    steady: float


class Pause(msgspec.Struct, frozen=True):
    seconds: float


class Invite(msgspec.Struct, frozen=True):
    url: str
    seconds: float  # until the flow gives up


class Expected(msgspec.Struct, frozen=True, kw_only=True):
    """What the right callback looks like. The state is what proves it, so it is not printed."""

    address: str  # the redirect address, without its query
    state: Secret
    issuer: str  # origin of the authorize page; compared with `iss` if that is sent (RFC 9207)


class Await(msgspec.Struct, frozen=True):
    expected: Expected
    seconds: float


Step: TypeAlias = Ask | Look | Pause | Invite | Await
Reply: TypeAlias = Answer | NoAnswer | Moment | str | None
Flow: TypeAlias = Generator[Step, Reply, T]


class Tokens(msgspec.Struct, frozen=True, kw_only=True):
    """What a login or a refresh yields."""

    access_token: str
    refresh_token: str | None = None
    start_plan_jwt: str | None = None
    user_id: str | None = None
    expires_in: float | None = None  # seconds from the answer

    def __repr__(self) -> str:
        return "Tokens(…)"
