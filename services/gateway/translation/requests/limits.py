"""How big a request may be, counted in things rather than bytes, and the check of how deep JSON is nested."""

import msgspec

from services.gateway.translation.refusal import TranslationError


class RequestLimits(msgspec.Struct, frozen=True, kw_only=True):
    """promises.md C7. What exceeds one of these is refused with a 400."""

    json_depth: int = 64
    messages: int = 4096
    tools: int = 512


_TO_SQUARE = bytes.maketrans(b"{}", b"[]")
_NOT_STRUCTURE = bytes(set(range(256)) - set(b'"[]{}'))


def too_deep(document: bytes, limit: int) -> bool:
    """
    Say whether a JSON text has arrays and objects nested deeper than `limit`.

    Meant for the parts that are passed on unread (tool input, schemas); a part with few brackets costs two counts.
    Text that is not JSON gives either answer: its decoder says what is wrong with it.
    """
    if len(document) <= 2 * limit or document.count(b"{") + document.count(b"[") <= limit:
        return False
    # Escaped backslashes go before escaped quotes, or `\\"` would be taken for an escaped quote.
    bare = document.replace(b"\\\\", b"").replace(b'\\"', b"").translate(_TO_SQUARE, _NOT_STRUCTURE)
    brackets = b"".join(bare.split(b'"')[::2])
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


def check_depth(document: bytes, limit: int, param: str) -> None:
    """Refuse a part of the request that is nested too deeply."""
    if too_deep(document, limit):
        raise TranslationError(f"{param}: JSON is nested deeper than {limit} levels", param=param)
