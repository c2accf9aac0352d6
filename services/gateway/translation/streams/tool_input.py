"""
The arguments of a call (OpenAI: JSON text, possibly broken) as the input of a tool (Anthropic: always an object).

Sources: translation.md A6.1, B47, B49. Text that is an object keeps its bytes.
"""

import re
from typing import Final

import msgspec

from services.gateway.wire.mend import BROKEN

_STRING_OR_LAST_COMMA: Final = re.compile(r'"(?:[^"\\]|\\.)*"|,(?=\s*[}\]])', re.DOTALL)
_CONTROL: Final = re.compile(r"[\x00-\x1f]")


def tool_input(arguments: str) -> bytes:
    """
    Return the JSON of an object: the arguments themselves where they are one, `{}` for none.

    Another JSON value goes under `value`. Text that is no JSON is repaired where the repair is safe (a comma before a
    closing bracket, a raw line end inside a string), else it goes, as text, under `__raw_arguments`: the tool refuses
    that, where an invented `{}` would have run it.
    """
    text = arguments.strip()
    if not text:
        return b"{}"
    for candidate in (text, _STRING_OR_LAST_COMMA.sub(_repaired, text)):
        if is_json(candidate):
            return candidate.encode() if candidate.startswith("{") else b'{"value":%b}' % candidate.encode()
    return msgspec.json.encode({"__raw_arguments": arguments})


def is_json(text: str) -> bool:
    """Whether the text is one JSON value."""
    return _value(text) is not _NOTHING


def same_json(one: str, other: str) -> bool:
    """Whether two texts are the same JSON value, however it is spaced."""
    value = _value(one)
    return value is not _NOTHING and value == _value(other)


_NOTHING: Final = object()


def _value(text: str) -> object:
    try:
        return msgspec.json.decode(text)
    except BROKEN:
        return _NOTHING


def _repaired(match: re.Match[str]) -> str:
    found = match[0]
    if found == ",":
        return ""
    return _CONTROL.sub(lambda control: f"\\u{ord(control[0]):04x}", found)
