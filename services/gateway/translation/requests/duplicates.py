"""Finding out that a body says one thing twice, at a cost that does not show."""

import json
from collections import Counter
from collections.abc import Mapping
from typing import Final

import msgspec

from services.gateway.translation.refusal import TranslationError

_SHOWN: Final = 64  # characters of a client's key that a message repeats


def refuse_duplicates(body: bytes, members: Mapping[str, msgspec.Raw]) -> None:
    """
    Refuse a body with two equal keys at its top level; `members` is what was decoded from it.

    A body that equals its members written out again has each of them once. Most bodies do, in one of two spellings;
    only the others are read for it. Equal keys further down mean what they mean to most parsers: the last one wins.
    """
    if msgspec.json.encode(members) == body or _spaced(members) == body:
        return
    pairs: list[tuple[str, object]] = _PAIRS.decode(body.decode())
    name, times = Counter(name for name, _ in pairs).most_common(1)[0]
    if times > 1:
        name = name[:_SHOWN]
        raise TranslationError(f"{name}: the key occurs twice", param=name, code="invalid_json")


def _spaced(members: Mapping[str, msgspec.Raw]) -> bytes:
    """Write an object with a space after colons and commas, as Python's json does."""
    return b"{%b}" % b", ".join(b'"%b": %b' % (name.encode(), bytes(value)) for name, value in members.items())


# Objects become their pairs. Numbers stay text: int() refuses very long ones.
_PAIRS: Final = json.JSONDecoder(object_pairs_hook=list, parse_int=str, parse_float=str)
