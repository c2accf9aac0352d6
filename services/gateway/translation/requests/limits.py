"""How big a request may be, counted in things rather than bytes, and the check of how deep JSON is nested."""

import msgspec

from services.gateway.translation.refusal import TranslationError


class RequestLimits(msgspec.Struct, frozen=True, kw_only=True):
    """promises.md C7. What exceeds one of these is refused with a 400."""

    json_depth: int = 64
    messages: int = 4096
    tools: int = 512


_BACKSLASH = 0x5C  # a number, because bytes are looked for in bytes by way of an exception
_SHORT = 4096  # bytes of a text that may well have few brackets
_TO_SQUARE = bytes.maketrans(b"{}", b"[]")
_ESCAPED = b"\\/bfnrtu"  # what may follow a backslash, but for the quote; the backslash itself is one
_UNIMPORTANT = bytes(set(range(256)) - set(b'"[]{}' + _ESCAPED))


def too_deep(document: bytes, limit: int) -> bool:
    """
    Say whether a JSON text has arrays and objects nested deeper than `limit`.

    A short text with few brackets costs two counts, another about 1 us a KB. Text that is not JSON gives either answer:
    its decoder says what is wrong with it.
    """
    if len(document) <= 2 * limit:
        return False
    if len(document) <= _SHORT and document.count(b"{") + document.count(b"[") <= limit:
        return False
    brackets = _brackets(document)
    run = b"[" * (limit + 1)
    for _ in range(limit):
        # One pass takes off the innermost level; a naked run of openers is caught before it costs a pass per level.
        if run in brackets:
            return True
        inner = brackets.replace(b"[]", b"")
        if len(inner) == len(brackets):
            return False
        brackets = inner
    return bool(brackets)


def _brackets(document: bytes) -> bytes:
    """Return the brackets that stand outside strings, all of them square."""
    # The bulk goes first, for speed, yet nothing that a backslash could stand before: then escaped backslashes, then
    # escaped quotes, or `\\"` would be taken for one. What is left of most strings is two quotes; they go in pairs,
    # which keeps the rest inside or outside as it was.
    short = document.translate(_TO_SQUARE, _UNIMPORTANT)
    if _BACKSLASH in short:
        short = short.replace(b"\\\\", b"").replace(b'\\"', b"")
    bare = short.translate(None, _ESCAPED).replace(b'""', b"")
    return b"".join(bare.split(b'"')[::2])


def check_depth(document: bytes, limit: int, param: str) -> None:
    """Refuse a part of the request that is nested too deeply."""
    if too_deep(document, limit):
        raise TranslationError(f"{param}: JSON is nested deeper than {limit} levels", param=param)
