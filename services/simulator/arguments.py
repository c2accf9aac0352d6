"""
Fills a JSON Schema with plausible values, guided by what the user asked for.

Not a validator and not complete: enough for the schemas that agents and people declare for their tools. Pure.
"""

import posixpath
import re
from typing import Final

import msgspec

from services.simulator.conversation import Conversation, Json

_PATH: Final = re.compile(
    r"(?<![\w:/])(?:[\w.~-]*/)*[\w-]+\.(?!\s)[A-Za-z]\w{0,7}\b|(?<![\w:/])(?:/[\w.-]+)+|\bREADME\b"
)
_URL: Final = re.compile(r"https?://[^\s)>\]\"'`]+")
_QUOTED: Final = re.compile(r"`([^`]+)`|\"([^\"]+)\"|\u201c([^\u201d]+)\u201d")
_PLACE: Final = re.compile(r"\b(?:in|for|of|at)\s+([A-Z][\w-]+(?:\s[A-Z][\w-]+)?)")
_RUN: Final = re.compile(r"\b(?:run|execute)\s+(?:the\s+)?(?:command\s+)?(?:the\s+)?([^.!?\n]+)", re.IGNORECASE)
_DIRECTORY: Final = re.compile(r"working (?:in the )?directory[^\n:]{0,40}:\s*(/\S*)", re.IGNORECASE)
_PARTS: Final = re.compile(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])")
_NUMBER: Final = re.compile(r"-?\d+")
_DEPTH: Final = 5
_FORMATS: Final = {
    "date": "2026-01-01",
    "date-time": "2026-01-01T00:00:00Z",
    "time": "00:00:00Z",
    "uuid": "00000000-0000-4000-8000-000000000000",
    "email": "someone@example.com",
}


class Hints(msgspec.Struct, frozen=True, kw_only=True):
    """What the prompt offers for arguments; empty where it says nothing."""

    prompt: str
    path: str
    url: str
    quoted: str
    place: str
    command: str
    directory: str
    number: int | None

    @classmethod
    def of(cls, conversation: Conversation) -> "Hints":
        """Gather the hints of a conversation."""
        prompt = conversation.prompt
        directory = _first(_DIRECTORY, conversation.context).rstrip(".,;")
        url = _URL.search(prompt)
        path = _PATH.search(_URL.sub("", prompt))
        number = _NUMBER.search(prompt)
        return cls(
            prompt=prompt,
            path=path[0] if path else "",
            url=url[0] if url else "",
            quoted=_first(_QUOTED, prompt),
            place=_first(_PLACE, prompt),
            command=_command(prompt),
            directory=directory,
            number=int(number[0]) if number else None,
        )


def path_in(text: str) -> bool:
    """Say whether a text mentions something that looks like a file."""
    return _PATH.search(_URL.sub("", text)) is not None


def fill(schema: Json, hints: Hints) -> Json:
    """Return arguments for a schema of an object: its required properties, and the ones a hint is meant for."""
    return _object(schema, schema, hints, 0)


def _object(schema: Json, root: Json, hints: Hints, depth: int) -> Json:
    properties = schema.get("properties")
    required = schema.get("required")
    if not isinstance(properties, dict):
        return {}
    names = [name for name in required if isinstance(name, str)] if isinstance(required, list) else []
    return {name: _value(name, properties.get(name), root, hints, depth + 1) for name in names}


def _value(name: str, given: object, root: Json, hints: Hints, depth: int) -> object:
    schema = _resolved(given, root)
    for key in ("const", "default"):
        if key in schema:
            return schema[key]
    enum = schema.get("enum")
    if isinstance(enum, list) and enum:
        return enum[0]
    for key in ("anyOf", "oneOf", "allOf"):
        options = schema.get(key)
        if isinstance(options, list) and options and depth < _DEPTH:
            return _value(name, options[0], root, hints, depth + 1)
    return _typed(name, schema, root, hints, depth)


def _typed(name: str, schema: Json, root: Json, hints: Hints, depth: int) -> object:
    kind = schema.get("type")
    if isinstance(kind, list):
        kind = next((entry for entry in kind if entry != "null"), "null")
    value: object
    match kind:
        case "object":
            value = _object(schema, root, hints, depth) if depth < _DEPTH else {}
        case "array":
            value = _array(name, schema, root, hints, depth)
        case "boolean":
            value = False
        case "integer" | "number":
            value = _number(schema, hints)
        case "null":
            value = None
        case _:
            value = _object(schema, root, hints, depth) if "properties" in schema else _string(name, schema, hints)
    return value


def _resolved(schema: object, root: Json) -> Json:
    """Follow a local `$ref`; anything else that cannot be followed accepts everything."""
    for _ in range(_DEPTH):
        if not isinstance(schema, dict):
            return {}
        reference = schema.get("$ref")
        if not isinstance(reference, str):
            return schema
        target: object = root
        for step in reference.removeprefix("#/").split("/"):
            target = target.get(step) if isinstance(target, dict) else None
        schema = target
    return {}


def _array(name: str, schema: Json, root: Json, hints: Hints, depth: int) -> list[object]:
    least = schema.get("minItems")
    count = least if isinstance(least, int) else 1
    if depth >= _DEPTH or "items" not in schema:
        return []
    return [_value(name, schema["items"], root, hints, depth + 1) for _ in range(min(count, 4))]


def _number(schema: Json, hints: Hints) -> int | float:
    low, high = schema.get("minimum"), schema.get("maximum")
    value: int | float = 1 if hints.number is None else hints.number
    if isinstance(low, int | float):
        value = max(value, low)
    return min(value, high) if isinstance(high, int | float) else value


def _string(name: str, schema: Json, hints: Hints) -> str:
    form = schema.get("format")
    if isinstance(form, str) and form in _FORMATS:
        return _FORMATS[form]
    value = _named(name, hints)
    least, most = schema.get("minLength"), schema.get("maxLength")
    if isinstance(least, int) and len(value) < least:
        value = value.ljust(min(least, 1000), ".")
    return value[:most] if isinstance(most, int) else value


def _named(name: str, hints: Hints) -> str:
    """Choose a text by the words that the property's name is made of."""
    parts = [part.lower() for part in _PARTS.findall(name)]
    for words, value in (
        (("command", "cmd", "script"), hints.command),
        (("description", "explanation"), "Simulated call"),
        (("url", "uri"), hints.url or "https://example.com/"),
        (("path", "file", "dir", "folder"), _path(name.lower(), hints)),
        (("city", "location", "place", "town", "country", "address"), hints.place or "Paris"),
        (("pattern", "regex", "glob"), hints.quoted or "*"),
        (("content", "text"), hints.quoted or "(simulated content)"),
    ):
        if any(part.startswith(words) for part in parts):
            return value
    return hints.quoted or hints.prompt[:200] or "simulated"


def _path(name: str, hints: Hints) -> str:
    """Return a path, absolute where the agent said where it works: many tools insist on that."""
    if hints.path.startswith("/"):
        return hints.path
    wants_file = "dir" not in name and name not in {"path", "folder"}
    relative = hints.path or ("README.md" if wants_file else "")
    return posixpath.join(hints.directory, relative).rstrip("/") or hints.directory or "."


def _command(prompt: str) -> str:
    quoted = re.search(r"`([^`]+)`", prompt)
    if quoted:
        return quoted[1]
    run = _first(_RUN, prompt).strip().strip("\"'")
    # Only something that starts like a program's name is taken for a command.
    return run if re.fullmatch(r"[a-z][\w./-]*(?:\s.*)?", run) else "ls"


def _first(pattern: re.Pattern[str], text: str) -> str:
    match = pattern.search(text)
    return next((group for group in match.groups() if group), "") if match else ""
