"""
What an answer of a login provider means: its payload, or which kind of failure. Pure.

    kind          when                                                        may be tried again
    UNSENT        no connection                                               yes: nothing was done
    BUSY          408, 429, 503                                               yes: nothing was done
    LOST          no whole answer, other 5xx                                  only if doing it twice does no harm
    DENIED        401, invalid_grant, or an envelope code of that sense       no: the token is not good
    NOT_OFFERED   404                                                         elsewhere
    REFUSED       any other 4xx or envelope code                              no
    UNREADABLE    a redirect, no JSON, a field missing or of a wrong type     no
"""

import re
from enum import Enum
from typing import Any, Final

import msgspec

from services.credentials.oauth.steps import Answer, Ask, Flow, NoAnswer, Reply

ZCODE_SUCCESS: Final = frozenset({"0"})
BIZ_SUCCESS: Final = frozenset({"", "0", "200"})

# 2007: a code or token that has expired or belongs to another address; the rest as on the model endpoints.
_DENIED_CODES: Final = frozenset({"401", "1000", "1001", "1002", "1003", "1004", "1005", "2007", "invalid_grant"})
_CODE: Final = re.compile(r"[A-Za-z0-9_.-]{1,40}")
_STRANGE: Final = "?"
_LARGEST_NUMBER: Final = 1e15  # milliseconds since the epoch are below it, and infinity is not
_SAID: Final = 200  # characters of the provider's own text that a person is shown


class Kind(Enum):
    """See the table above."""

    UNSENT = "could not be reached"
    BUSY = "is busy"
    LOST = "gave no answer that can be relied on"
    DENIED = "does not accept it"
    NOT_OFFERED = "does not offer this"
    REFUSED = "refused it"
    UNREADABLE = "gave an answer that makes no sense here"


class CallFailed(Exception):
    """
    A call failed. The message is ours and safe to log.

    `said` is the provider's text without control characters: for the person who logs in, and nobody else.
    """

    def __init__(
        self, what: str, kind: Kind, detail: str = "", *, said: str = "", retry_after: float | None = None
    ) -> None:
        super().__init__(f"{what}: the provider {kind.value}" + (f" ({detail})" if detail else ""))
        self.kind = kind
        self.said = said
        self.retry_after = retry_after


def call(ask: Ask, success: frozenset[str]) -> Flow[Any]:
    """Make one call and return its payload. Raises CallFailed."""
    return payload(ask.what, (yield ask), success)


def payload(what: str, reply: Reply, success: frozenset[str]) -> Any:
    """Return `data` of an answer, or all of it where there is no `data`. Raises CallFailed."""
    answer = _arrived(what, reply)
    envelope = _decoded(answer.body)
    code = _code(envelope)
    if not 200 <= answer.status < 300:
        kind = Kind.DENIED if code in _DENIED_CODES and answer.status < 500 else _kind_of(answer.status)
        detail = f"HTTP {answer.status}" + (f", code {code}" if code not in ("", _STRANGE) else "")
        raise CallFailed(what, kind, detail, said=_said(envelope), retry_after=answer.retry_after)
    if envelope is None:
        raise CallFailed(what, Kind.UNREADABLE, "not JSON")
    if code not in success:
        kind = Kind.DENIED if code in _DENIED_CODES else Kind.REFUSED
        raise CallFailed(what, kind, f"code {code or 'missing'}", said=_said(envelope))
    return envelope.get("data", envelope) if isinstance(envelope, dict) else envelope


def text(value: object, *names: str) -> str | None:
    """
    Return the first of the named fields of an object that holds a usable text, without blanks around it.

    Numbers count as their digits. Anything that could not stand in a header is not usable.
    """
    if not isinstance(value, dict):
        return None
    for name in names:
        found = value.get(name)
        if isinstance(found, int) and not isinstance(found, bool):
            return str(found)
        if isinstance(found, str) and (plain := found.strip()) and plain.isascii() and plain.isprintable():
            return plain
    return None


def seconds(value: object, name: str) -> float | None:
    """Return a field of an object that holds a positive number."""
    found = value.get(name) if isinstance(value, dict) else None
    if isinstance(found, int | float) and not isinstance(found, bool) and 0 < found < _LARGEST_NUMBER:
        return float(found)
    return None


def missing(what: str, field: str) -> CallFailed:
    """Make the error for an answer that lacks what it must hold."""
    return CallFailed(what, Kind.UNREADABLE, f"no usable {field}")


def _arrived(what: str, reply: Reply) -> Answer:
    if isinstance(reply, Answer):
        return reply
    if isinstance(reply, NoAnswer):
        raise CallFailed(what, Kind.LOST if reply.sent else Kind.UNSENT, reply.why)
    raise TypeError(f"a call is not answered with {type(reply).__name__}")


def _kind_of(status: int) -> Kind:
    if status in (408, 429, 503):
        return Kind.BUSY
    if status >= 500:
        return Kind.LOST
    if status < 400:
        return Kind.UNREADABLE
    return {401: Kind.DENIED, 404: Kind.NOT_OFFERED}.get(status, Kind.REFUSED)


def _decoded(body: bytes) -> Any:
    try:
        found = msgspec.json.decode(body)
    except (msgspec.DecodeError, RecursionError):
        return None
    return found if isinstance(found, dict | list) else None


def _code(envelope: object) -> str:
    """Return the code of an envelope as text, empty where there is none, _STRANGE for what we would not repeat."""
    if not isinstance(envelope, dict):
        return ""
    for name in ("code", "status", "error"):
        found = envelope.get(name)
        if isinstance(found, dict):
            found = found.get("code")
        if found is not None:
            plain = str(found)
            return plain if _CODE.fullmatch(plain) else _STRANGE
    return ""


def _said(envelope: object) -> str:
    if not isinstance(envelope, dict):
        return ""
    found = envelope.get("msg") or envelope.get("message") or envelope.get("error_description")
    if not isinstance(found, str):
        return ""
    return " ".join("".join(sign if sign.isprintable() else " " for sign in found).split())[:_SAID]
