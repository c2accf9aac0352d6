"""
Calls to the credentials service over HTTP: what `chassis/peer/client.py` does, in this service's types and errors.
"""

from typing import Final, TypeVar

import msgspec

from services.chassis.clock import Clock
from services.chassis.peer.client import PeerAway, PeerClient
from services.chassis.peer.token_file import TokenFile
from services.chassis.trust import Trust
from services.credentials.contract import ErrorCode
from services.credentials.errors import (
    Conflict,
    CredentialsError,
    LoginRequired,
    NotAuthenticated,
    NotFound,
    Replayed,
    Unavailable,
)

T = TypeVar("T")

_CONNECT: Final = 0.5
_CONNECTIONS: Final = 8
_ERRORS: Final[dict[str, type[CredentialsError]]] = {
    error.code.value: error for error in (NotAuthenticated, Replayed, LoginRequired, Unavailable, NotFound, Conflict)
}


class Calls:
    """Everything raises CredentialsError of the kind that an answer names, else Unavailable."""

    def __init__(
        self,
        address: str,
        *,
        audience: str,
        tokens: TokenFile,
        clock: Clock | None = None,
        trust: Trust | None = None,
        connect: float = _CONNECT,
    ) -> None:
        """`address` is unix:/path, http://… or https://…; `audience` whom a proof is for."""
        self._peer = PeerClient(
            address,
            name="credentials",
            audience=audience,
            tokens=tokens,
            trust=trust,
            connect=connect,
            connections=_CONNECTIONS,
            clock=clock,
        )

    async def call(self, method: str, target: str, body: bytes = b"", *, seconds: float, wanted: type[T]) -> T:
        """Make one call and return its answer; `target` is a path with its query."""
        try:
            status, content = await self._peer.call(method, target, body, seconds=seconds)
        except PeerAway as error:
            raise Unavailable(str(error)) from None
        return _read(status, content, wanted)

    async def aclose(self) -> None:
        """Close every connection."""
        await self._peer.aclose()


class _Problem(msgspec.Struct):
    """What is read of a problem document."""

    detail: str = ""
    code: str = ErrorCode.STORE_UNAVAILABLE.value


def _read(status: int, body: bytes, wanted: type[T]) -> T:
    try:
        if status == 200:
            return msgspec.json.decode(body, type=wanted)
        problem = msgspec.json.decode(body, type=_Problem)
    except msgspec.MsgspecError:
        message = f"the credentials service gave an answer of status {status} that is none of its own"
        raise Unavailable(message) from None
    raise _ERRORS.get(problem.code, Unavailable)(problem.detail or f"status {status}")
