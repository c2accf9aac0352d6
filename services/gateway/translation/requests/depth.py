"""How deep a client's JSON is nested: counted in brackets, without decoding it."""

from typing import Any, Final

import msgspec

from services.gateway.translation.refusal import TranslationError
from services.gateway.translation.requests.recent import Recent
from services.gateway.wire.outline import Message, Outline

_QUOTE: Final = 0x22
_BACKSLASH: Final = 0x5C  # a number, because bytes are looked for in bytes by way of an exception
_SHORT: Final = 4096  # bytes of a text that may well have few brackets
_TO_SQUARE: Final = bytes.maketrans(b"{}", b"[]")
_ESCAPED: Final = b"\\/bfnrtu"  # what may follow a backslash, but for the quote; the backslash itself is one
_UNIMPORTANT: Final = bytes(set(range(256)) - set(b'"[]{}' + _ESCAPED))
_LEVELS: Final = 5  # of a block in the content of a message
_DEEP: Final = Recent[bool]()


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


def check_body_depth(body: bytes, limit: int, outline: Outline | None = None) -> None:
    """Refuse a body that is nested too deeply; `outline` is what was read of it already."""
    if outline is None or not _is_shallow(outline, limit):
        check_depth(body, limit, "body")


def _is_shallow(outline: Outline, limit: int) -> bool:
    """
    Say whether a body is known to be nested no deeper than `limit`; if not, it may be all the same.

    Nearly all of a body is text in blocks of messages, and tools that were sent before.
    """
    if limit <= _LEVELS or not outline.is_whole:
        return False
    below = limit - _LEVELS
    for name, value in outline.members.items():
        if len(value) <= 2 * (limit - 1):
            continue
        if name != "messages":
            deep = _DEEP.recalled(value, (limit,), lambda member: too_deep(bytes(member), limit - 1))
        elif outline.messages:
            deep = any(too_deep(bytes(part), below) for part in _structures(outline.messages, 2 * below))
        else:
            deep = too_deep(bytes(value), limit - 1)
        if deep:
            return False
    return True


def _structures(messages: list[Message], most: int) -> list[msgspec.Raw]:
    """Return what the messages hold, still raw, of more than `most` bytes that is no text."""
    values: list[Any] = [value for message in messages for value in message.values()]
    holders: list[Any] = [holder for value in values if type(value) is list for holder in value]
    holders += [value for value in values if type(value) is dict]
    parts = [value for value in values if type(value) is msgspec.Raw]
    parts += [part for holder in holders if type(holder) is dict for part in holder.values()]
    return [part for part in parts if len(part) > most and memoryview(part)[0] != _QUOTE]


def check_depth(document: bytes, limit: int, param: str) -> None:
    """Refuse a part of the request that is nested too deeply."""
    if too_deep(document, limit):
        raise TranslationError(f"{param}: JSON is nested deeper than {limit} levels", param=param)
