"""
Settings as rows for people: the effective configuration, the reference table, the commented example. Pure.

Secrets are masked here and nowhere later; so is the user part of addresses such as `redis://user:password@host`.
"""

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any, Final

import msgspec
from msgspec import inspect

from services.chassis.secret import Secret
from services.chassis.settings_reader import PARTIAL, is_secret

_USER_PART: Final = re.compile(r"(?<=//)[^/@\s]+@")


class Row(msgspec.Struct, frozen=True, kw_only=True):
    """One setting. `value` is plain JSON with secrets masked; None: unset."""

    path: str
    value: Any
    meaning: str = ""
    secret: bool = False
    variables: tuple[str, ...] = ()

    @property
    def text(self) -> str:
        """The value as it would stand in the file; empty where unset."""
        if self.value is None:
            return ""
        return self.value if isinstance(self.value, str) else json.dumps(self.value)


def rows(settings: msgspec.Struct, names: Mapping[str, str]) -> list[Row]:
    """List every setting with its present value; `names` maps variables to paths."""
    variables: dict[str, tuple[str, ...]] = {}
    for name, path in names.items():
        variables[path] = (*variables.get(path, ()), name)
    found = _rows(inspect.type_info(type(settings)), settings, "", "")
    return [msgspec.structs.replace(row, variables=variables.get(row.path, ())) for row in found]


def _rows(kind: inspect.Type, value: object, path: str, meaning: str) -> Iterator[Row]:
    if isinstance(kind, inspect.Metadata):
        meaning = (kind.extra_json_schema or {}).get("description", meaning)
        partial = (kind.extra or {}).get(PARTIAL)
        if partial is not None and isinstance(value, dict):
            names = {field.name: field.encode_name for field in msgspec.structs.fields(partial)}
            value = {names[name]: entry for name, entry in value.items()}
        kind = kind.type
    match kind, value:
        case inspect.StructType(), msgspec.Struct():
            for field in kind.fields:
                below = f"{path}.{field.encode_name}" if path else field.encode_name
                yield from _rows(field.type, getattr(value, field.name), below, "")
        case inspect.DictType(), dict() if value:
            for key, entry in value.items():
                yield from _rows(kind.value_type, entry, f"{path}.{key}", meaning)
        case inspect.VarTupleType(item_type=inspect.StructType()), tuple() if value:
            for at, entry in enumerate(value):
                yield from _rows(kind.item_type, entry, f"{path}[{at}]", meaning)
        case _:
            yield Row(path=path, value=plain(value), meaning=meaning, secret=is_secret(kind))


def plain(value: object) -> object:
    """Turn a setting's value into what JSON can hold, with secrets masked."""
    return _tidy(msgspec.to_builtins(value, enc_hook=_mask))


def _mask(value: object) -> str:
    if isinstance(value, Secret):
        return str(value)
    raise TypeError(f"a setting of type {type(value).__name__} cannot be shown")


def _tidy(value: object) -> object:
    if isinstance(value, str):
        return _USER_PART.sub("***@", value)
    if isinstance(value, float) and value.is_integer():
        return int(value)
    return [_tidy(entry) for entry in value] if isinstance(value, (list, tuple)) else value


def markdown(listed: list[Row]) -> str:
    """Write the reference table of the documentation."""
    lines = ["| Setting | Variable | Default | Meaning |", "|---|---|---|---|"]
    for row in listed:
        variables = " ".join(f"`{name}`" for name in row.variables)
        meaning = row.meaning + (f" (also `{row.path.rpartition('.')[2]}File`)" if row.secret else "")
        default = f"`{row.text}`" if row.text else ""
        lines.append(f"| `{row.path}` | {variables} | {default} | {meaning} |")
    return "\n".join(lines) + "\n"


def example(listed: list[Row], head: str) -> str:
    """
    Write a file that sets nothing: every setting is there as a comment with its default.

    Taking the `# ` from the lines that hold a key gives a valid file with the same effect.
    """
    lines = [f"# {line}".rstrip() for line in head.splitlines()]
    open_groups: list[str] = []
    for row in listed:
        *groups, name = row.path.split(".")
        if not groups or groups[0] != (open_groups or [""])[0]:
            lines.append("")
        for depth, group in enumerate(groups):
            if open_groups[: depth + 1] != groups[: depth + 1]:
                lines.append(f"{'  ' * depth}{group}:")
        open_groups = groups
        indent = "  " * len(groups)
        variables = f" [{', '.join(row.variables)}]" if row.variables else ""
        file = f" (or {name}File: the path of a file that holds it)" if row.secret else ""
        lines.append(f"{indent}## {row.meaning}{file}{variables}")
        lines.append(f"{indent}# {name}: {_yaml(row.value)}".rstrip())
    return "\n".join(lines) + "\n"


def _yaml(value: object) -> str:
    """A value as YAML of one line; JSON is that, and bare where it reads the same."""
    if value is None:
        return ""
    bare = isinstance(value, str) and re.fullmatch(r"[A-Za-z]([\w./:~-]*[\w./~-])?|~/[\w./-]*", value) is not None
    return str(value) if bare else json.dumps(value)
