"""Finding out that a body says one thing twice, at a cost that does not show."""

import json
from collections import Counter
from typing import Final

import msgspec

from services.gateway.translation.refusal import TranslationError
from services.gateway.translation.requests.reading import read
from services.gateway.wire.outline import Outline

_SHOWN: Final = 64  # characters of a client's key that a message repeats
_MEMBERS: Final = msgspec.json.Decoder(dict[str, msgspec.Raw])


def members_of(body: bytes, outline: Outline | None) -> dict[str, msgspec.Raw]:
    """Return the members at a body's top level, each of which is there once; `outline` is what was read of it."""
    if outline is None:
        outline = Outline(body, read(_MEMBERS, body))
    refuse_duplicates(outline)
    return outline.members


def refuse_duplicates(outline: Outline) -> None:
    """
    Refuse a body with two equal keys at its top level.

    A body that equals its members written out again has each of them once; only others are read for it. Equal keys
    further down mean what they mean to most parsers: the last one wins.
    """
    if outline.is_whole:
        return
    pairs: list[tuple[str, object]] = _PAIRS.decode(outline.body.decode())
    name, times = Counter(name for name, _ in pairs).most_common(1)[0]
    if times > 1:
        name = name[:_SHOWN]
        raise TranslationError(f"{name}: the key occurs twice", param=name, code="invalid_json")


# Objects become their pairs. Numbers stay text: int() refuses very long ones.
_PAIRS: Final = json.JSONDecoder(object_pairs_hook=list, parse_int=str, parse_float=str)
