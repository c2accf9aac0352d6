"""
Lines of an audit log that vouch for each other, and their proof. Pure (promises.md C13).

    {"seq":2,"time":…,"event":"key.create","actor":…,"object":…,"result":"ok",…,"prev":"<hex>","kid":1,"mac":"<hex>"}

`prev` is the SHA-256 of the line before, zeros for the first; `mac` is an HMAC-SHA-256 of the line up to it, under a
key derived from master key `kid`. So no line can be changed, left out, added or moved without the key, and when a
master key is deleted, the later lines still vouch for its lines. That lines are missing at the end shows by the anchor:
the newest head, kept sealed in the store.
"""

import hmac
from collections.abc import Callable, Iterable
from hashlib import sha256
from typing import Final

import msgspec

_MAC: Final = b',"mac":"'
_TAIL: Final = len(_MAC) + 64 + 2  # the quote and the brace at the end


class Event(msgspec.Struct, frozen=True, kw_only=True):
    """What happened. Words only, never a secret; `time` in seconds since the epoch."""

    time: float
    event: str  # of promises.md C13, such as key.create
    actor: str
    object: str
    result: str = "ok"
    detail: str = ""
    request_id: str = ""


class Head(msgspec.Struct, frozen=True):
    """The newest line of a log: its number and its SHA-256 in hex."""

    seq: int = 0
    digest: str = "0" * 64


START: Final = Head()


class Verdict(msgspec.Struct, frozen=True):
    """What a proof came to. `fault` is empty when nothing is wrong, else `line` is where."""

    head: Head
    unkeyed: int = 0  # lines whose key was deleted, vouched for by those after them
    line: int = 0
    fault: str = ""


class _Line(Event, frozen=True, kw_only=True):
    seq: int
    prev: str
    kid: int


_decoder: Final = msgspec.json.Decoder(_Line)


def seal(event: Event, after: Head, *, kid: int, key: bytes) -> bytes:
    """Return the line of an event, without its line feed, that follows `after`."""
    fields = {"seq": after.seq + 1, **msgspec.structs.asdict(event), "prev": after.digest, "kid": kid}
    body = msgspec.json.encode(fields)[:-1]
    return body + _MAC + _mac(key, body) + b'"}'


def head_of(line: bytes) -> Head | None:
    """Return the head that a line makes, unproven; None if it is no line."""
    try:
        return Head(_decoder.decode(line).seq, sha256(line).hexdigest())
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return None


def verify(lines: Iterable[bytes], key_of: Callable[[int], bytes | None], anchor: Head) -> Verdict:
    """Prove a log from its first line on, up to the first fault; `key_of` returns None for keys that are gone."""
    head, unkeyed, anchored, vouched = START, 0, anchor == START, anchor.seq
    for line in lines:
        fault, keyed = _fault(line, head, key_of)
        if fault:
            return Verdict(head, unkeyed, head.seq + 1, fault)
        unkeyed += not keyed
        head = Head(head.seq + 1, sha256(line).hexdigest())
        if head.seq == anchor.seq:
            anchored = head == anchor
            if not anchored:
                return Verdict(head, unkeyed, head.seq, "is not the line that the store vouches for")
        vouched = head.seq if keyed else vouched
    if not anchored:
        return Verdict(head, unkeyed, head.seq + 1, f"is missing; the store vouches for {anchor.seq} lines")
    if head.seq > vouched:
        return Verdict(head, unkeyed, vouched + 1, "names a key that is not in the keyring, and no later line vouches")
    return Verdict(head, unkeyed)


def _fault(line: bytes, head: Head, key_of: Callable[[int], bytes | None]) -> tuple[str, bool]:
    """Return what is wrong with a line, and whether its own MAC was proven."""
    try:
        read = _decoder.decode(line)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return "cannot be read", False
    if read.seq != head.seq + 1:
        return f"has the number {read.seq}: lines are missing, added or moved", False
    if read.prev != head.digest:
        return "does not follow from the line before", False
    key = key_of(read.kid)
    if key is None:
        return "", False
    body, tail = line[:-_TAIL], line[-_TAIL:]
    if not hmac.compare_digest(tail, _MAC + _mac(key, body) + b'"}'):
        return "was changed: its MAC is wrong", False
    return "", True


def _mac(key: bytes, body: bytes) -> bytes:
    return hmac.digest(key, body, sha256).hex().encode()
