"""
Makes values.schema.json and the table of README.md from values.yaml, its comments and its directives.

    python -m tests.chart.reference          write both

A comment above a key describes it. Directives, each a comment line of its own:

    # @open              an object with any keys
    # @items any         a list of anything; `@items string` of texts
    # @enum a, b         one of these
    # @type integer|null instead of the type of the default
    # @min 1             the least number; `@max` the largest
    # @unused            no template reads it
"""

import json
import re
import sys
from collections.abc import Iterator
from typing import Any

import yaml

from tests.chart.rendering import CHART

VALUES = CHART / "values.yaml"
SCHEMA = CHART / "values.schema.json"
README = CHART / "README.md"
_BEGIN, _END = "<!-- values: made from values.yaml -->", "<!-- end of values -->"
_KEY = re.compile(r"^( *)([A-Za-z][A-Za-z0-9]*):")
_TYPES = {bool: "boolean", int: "integer", float: "number", str: "string", list: "array", dict: "object"}


def notes() -> dict[str, list[str]]:
    """Return the comment lines above every key, by dotted path."""
    found: dict[str, list[str]] = {}
    path: list[str] = []
    lines: list[str] = []
    for line in VALUES.read_text().splitlines():
        if line.strip().startswith("#"):
            lines.append(line.strip().removeprefix("#").strip())
        elif key := _KEY.match(line):
            depth = len(key[1]) // 2
            path = [*path[:depth], key[2]]
            found[".".join(path)] = lines
            lines = []
        else:
            lines = []
    return found


def directive(lines: list[str], name: str) -> str | None:
    """Return what follows a directive; None without it."""
    return next((line.removeprefix(f"@{name}").strip() for line in lines if line.split(" ")[0] == f"@{name}"), None)


def description(lines: list[str]) -> str:
    """Return the words of a comment."""
    return " ".join(line for line in lines if not line.startswith("@"))


def schema_of(value: Any, path: str, comments: dict[str, list[str]]) -> dict[str, Any]:
    """Return the schema of one value."""
    lines = comments.get(path, [])
    schema: dict[str, Any] = {"description": words} if (words := description(lines)) else {}
    if choices := directive(lines, "enum"):
        return schema | {"enum": [choice.strip() for choice in choices.split(",")]}
    if given := directive(lines, "type"):
        return schema | {"type": given.split("|")}
    schema["type"] = _TYPES[type(value)]
    if (least := directive(lines, "min")) is not None or schema["type"] == "integer":
        schema["minimum"] = int(least or 0)
    if (largest := directive(lines, "max")) is not None:
        schema["maximum"] = int(largest)
    if items := directive(lines, "items"):
        schema |= {"items": {} if items == "any" else {"type": items}}
    if isinstance(value, dict):
        schema["properties"] = {
            key: schema_of(each, f"{path}.{key}" if path else key, comments)
            for key, each in value.items()
            if directive(lines, "open") is None or comments.get(f"{path}.{key}")
        }
        schema["additionalProperties"] = directive(lines, "open") is not None
    return schema


def schema() -> str:
    """Return values.schema.json."""
    document = schema_of(yaml.safe_load(VALUES.read_text()), "", notes())
    head = {"$schema": "http://json-schema.org/draft-07/schema#", "title": "Values of zcode-proxy"}
    return json.dumps(head | document, indent=1, ensure_ascii=False) + "\n"


def rows(value: Any, path: str, comments: dict[str, list[str]]) -> Iterator[str]:
    """Yield the lines of the table."""
    lines = comments.get(path, [])
    if isinstance(value, dict) and value and directive(lines, "open") is None:
        if path and (words := description(lines)):
            yield f"| **`{path}`** |  | {words} |"
        for key, each in value.items():
            yield from rows(each, f"{path}.{key}" if path else key, comments)
        return
    default = json.dumps(value, ensure_ascii=False).replace("|", "\\|")
    yield f"| `{path}` | `{default}` | {description(lines)} |"
    if path == "global":
        for key, each in value.items():
            yield from rows(each, f"global.{key}", comments)


def readme(old: str) -> str:
    """Return README.md with a new table."""
    table = "\n".join(
        ["| Value | Default | Meaning |", "|---|---|---|", *rows(yaml.safe_load(VALUES.read_text()), "", notes())]
    )
    head, _, rest = old.partition(_BEGIN)
    _, _, tail = rest.partition(_END)
    return f"{head}{_BEGIN}\n\n{table}\n\n{_END}{tail}"


def main() -> int:
    """Write both."""
    SCHEMA.write_text(schema())
    README.write_text(readme(README.read_text()))
    return 0


if __name__ == "__main__":
    sys.exit(main())
