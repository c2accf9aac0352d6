"""
Decoding a client's body, with msgspec's complaints put the way the Anthropic API words them.

`messages.3.content.0.text: Field required` names the place by its JSON path; unknown tags name the block.
"""

import re
from typing import Final, TypeVar

import msgspec

from services.gateway.translation.refusal import TranslationError

T = TypeVar("T")

_AT: Final = re.compile(r"(.*) - at `\$\.?(.*)`", re.DOTALL)
_MISSING: Final = re.compile(r"Object missing required field `(.*)`")
_UNKNOWN_TAG: Final = re.compile(r"Invalid value (.*)", re.DOTALL)
_EXPECTED: Final = re.compile(r"Expected `([^`]*)`(?:, got `[^`]*`)?")
_KINDS: Final = {
    "int": "integer",
    "str": "string",
    "array": "list",
    "object": "dictionary",
    "bool": "boolean",
    "float": "number",
}
_SHOWN: Final = 64  # characters of a client's value that a message repeats


def read(decoder: msgspec.json.Decoder[T], body: bytes) -> T:
    """Decode a whole body or raise a TranslationError."""
    try:
        if not body.isascii():
            # msgspec checks the encoding of what it decodes, not of what it leaves raw.
            body.decode()
    except UnicodeDecodeError as error:
        raise _no_json(error) from error
    return read_part(decoder, body, "")


def read_part(decoder: msgspec.json.Decoder[T], part: bytes | msgspec.Raw, at: str) -> T:
    """Decode what stands at `at` in a body whose encoding is known to be right, or raise a TranslationError."""
    try:
        return decoder.decode(part)
    except msgspec.ValidationError as error:
        raise refusal(str(error), at) from error
    except (UnicodeDecodeError, msgspec.DecodeError) as error:
        raise _no_json(error) from error
    except RecursionError as error:
        raise TranslationError("The request body is nested too deeply", code="invalid_json") from error


def _no_json(error: Exception) -> TranslationError:
    return TranslationError(f"The request body is not valid JSON: {error}", code="invalid_json")


def refusal(complaint: str, at: str = "") -> TranslationError:
    """Return the refusal for a msgspec.ValidationError's text; `at` is where the thing stood that was decoded."""
    match = _AT.fullmatch(complaint)
    what, path = (match[1], dotted(match[2])) if match else (complaint, "")
    if at:
        path = f"{at}.{path.lstrip('.')}" if path else at
    if missing := _MISSING.fullmatch(what):
        path = f"{path}.{missing[1]}" if path else missing[1]
        return _at(path, "Field required")
    if tag := _UNKNOWN_TAG.fullmatch(what):
        # The path ends in the tag's key; what is unknown is the thing that carries it.
        return _at(path.rpartition(".")[0], f"Input tag {tag[1][:_SHOWN]} is not one of the known types")
    if expected := _EXPECTED.fullmatch(what):
        kinds = [_KINDS[kind] for kind in expected[1].split(" | ") if kind in _KINDS]
        return _at(path, f"Input should be a valid {' or '.join(kinds)}")
    return _at(path, what)


def dotted(path: str) -> str:
    """Return `messages.3.content.0` for `messages[3].content[0]`."""
    return path.replace("[...]", "").replace("[", ".").replace("]", "")


def _at(path: str, what: str) -> TranslationError:
    return TranslationError(f"{path}: {what}" if path else what, param=path or None)
