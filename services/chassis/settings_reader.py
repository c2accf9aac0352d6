"""
From text to typed settings: walks a settings struct and the tree of what was written side by side.

The structs' own types are the rules (`msgspec.inspect`): ranges from `Meta`, choices from `Literal` and enums,
camelCase names from `rename`. Three conventions go beyond msgspec:

- a field of type `Secret` called `apiKey` may be given as `apiKeyFile`, the path of a file that holds it;
- a mapping or struct with a default is merged into that default, so that one changed key leaves its neighbours alone;
- a struct with exactly one required field may be written as that field's value alone (`models: [glm-5.2]`).

Pure, except that `read_file` is called for secrets.
"""

from collections.abc import Callable, Mapping
from typing import Final

import msgspec
from msgspec import inspect

from services.chassis.secret import Secret
from services.chassis.settings_document import Branch, Entry, Fault, Items, Leaf, Place
from services.chassis.settings_values import did_you_mean, expected, parse, printable

PARTIAL: Final = "partial_of"  # Meta(extra={PARTIAL: SomeStruct}) on a dict: some fields of that struct, by their names

ReadFile = Callable[[str], str]  # raises OSError or UnicodeDecodeError


class _Absent:
    """The one value that means: could not be read, and the fault has been reported."""


_ABSENT: Final = _Absent()


class Reader:
    """Reads one document. Afterwards `faults`, `warnings` and `places` tell what was found."""

    def __init__(self, *, read_file: ReadFile, later_keys: Mapping[str, str]) -> None:
        self._read_file = read_file
        self._later_keys = later_keys
        self.faults: list[Fault] = []
        self.warnings: list[Fault] = []
        self.places: dict[str, Place] = {}  # of every value that is not a default

    def root(self, cls: type[msgspec.Struct], document: Branch) -> object | None:
        """Read the whole document; None when a required field could not be had."""
        kind = inspect.type_info(cls)
        assert isinstance(kind, inspect.StructType)  # noqa: S101 - type_info of a struct class is nothing else
        value = self._struct(kind, document, "", None)
        return None if value is _ABSENT else value

    def _fault(self, entry: Entry, path: str, message: str) -> _Absent:
        self.faults.append(Fault(place=entry.place, path=path, message=message))
        return _ABSENT

    def _value(self, kind: inspect.Type, entry: Entry, path: str, base: object) -> object:
        """Read one entry as one type. `base` is the default that it changes, or None."""
        partial = None
        if isinstance(kind, inspect.Metadata):
            partial = (kind.extra or {}).get(PARTIAL)
            kind = kind.type
        if isinstance(kind, inspect.UnionType):
            if isinstance(entry, Leaf) and not entry.text:
                self.places[path] = entry.place
                return None
            kind = next(member for member in kind.types if not isinstance(member, inspect.NoneType))
        if partial is not None:
            return self._partial(inspect.type_info(partial), entry, path)
        match kind:
            case inspect.StructType():
                return self._struct(kind, entry, path, base)
            case inspect.DictType():
                return self._mapping(kind, entry, path, base)
            case inspect.VarTupleType():
                return self._items(kind, entry, path)
            case _:
                return self._scalar(kind, entry, path)

    def _struct(self, kind: inspect.StructType, entry: Entry, path: str, base: object) -> object:
        alone = _sole_required(kind)
        if alone is not None and isinstance(entry, Leaf) and entry.text is not None:
            entry = Branch(entries={alone: entry}, place=entry.place)
        entries = self._entries(entry, path)
        if entries is None:
            return _ABSENT
        self._refuse_unknown(kind, entries, path)
        values: dict[str, object] = {}
        complete = True
        for field in kind.fields:
            default = _default_of(field) if base is None else getattr(base, field.name)
            reported = len(self.faults)
            value = self._field(field, entries, path, default)
            if value is not _ABSENT:
                values[field.name] = value
            elif field.required and base is None:
                complete = False
                if reported == len(self.faults):  # nothing was written, or null
                    self._fault(entry, _below(path, field.encode_name), "is required")
            else:
                values[field.name] = default
        return kind.cls(**values) if complete else _ABSENT

    def _field(self, field: inspect.Field, entries: Mapping[str, Entry], path: str, default: object) -> object:
        """Read one field of a struct; `_ABSENT` where nothing usable was written."""
        below = _below(path, field.encode_name)
        entry = entries.get(field.encode_name)
        if is_secret(field.type):
            return self._secret(entry, entries.get(f"{field.encode_name}File"), below)
        if entry is None or (isinstance(entry, Leaf) and entry.text is None and not _optional(field.type)):
            return _ABSENT
        return self._value(field.type, entry, below, default)

    def _partial(self, kind: inspect.Type, entry: Entry, path: str) -> object:
        """Read only the fields that are there, under their Python names."""
        assert isinstance(kind, inspect.StructType)  # noqa: S101 - PARTIAL names a struct class
        entries = self._entries(entry, path)
        if entries is None:
            return _ABSENT
        self._refuse_unknown(kind, entries, path)
        read = {field.name: self._field(field, entries, path, None) for field in kind.fields}
        return {name: value for name, value in read.items() if value is not _ABSENT}

    def _mapping(self, kind: inspect.DictType, entry: Entry, path: str, base: object) -> object:
        entries = self._entries(entry, path)
        if entries is None:
            return _ABSENT
        known = dict(base) if isinstance(base, dict) else {}
        for key, below in entries.items():
            value = self._value(kind.value_type, below, _below(path, key), known.get(key))
            if value is not _ABSENT:
                known[key] = value
        return known

    def _items(self, kind: inspect.VarTupleType, entry: Entry, path: str) -> object:
        if isinstance(entry, Leaf) and entry.text is not None and entry.place.kind != "file":
            # Variables and options have no lists: commas separate.
            words = [word.strip() for word in entry.text.split(",")]
            entry = Items(
                entries=tuple(Leaf(text=word, place=entry.place) for word in words if word), place=entry.place
            )
        if not isinstance(entry, Items):
            return self._fault(entry, path, f"must be a list, not {_kind_word(entry)}")
        self.places[path] = entry.place
        read = [self._value(kind.item_type, item, f"{path}[{at}]", None) for at, item in enumerate(entry.entries)]
        return tuple(value for value in read if value is not _ABSENT)

    def _scalar(self, kind: inspect.Type, entry: Entry, path: str) -> object:
        if not isinstance(entry, Leaf):
            return self._fault(entry, path, f"must be {expected(kind)}, not {_kind_word(entry)}")
        try:
            value = parse(kind, entry.text or "")
        except ValueError as error:
            return self._fault(entry, path, str(error))
        self.places[path] = entry.place
        return value

    def _secret(self, entry: Entry | None, file: Entry | None, path: str) -> object:
        given = entry is not None and not (isinstance(entry, Leaf) and not entry.text)
        if file is None or (isinstance(file, Leaf) and not file.text):
            if entry is None:
                return _ABSENT
            return self._secret_text(entry, path) if given else None
        if entry is not None and given:
            return self._fault(entry, path, f"is given both directly and as {path.rpartition('.')[2]}File; keep one")
        return self._secret_file(file, path)

    def _secret_text(self, entry: Entry, path: str) -> object:
        if not isinstance(entry, Leaf):
            return self._fault(entry, path, f"must be text, not {_kind_word(entry)}")
        try:
            value = printable(entry.text or "")
        except ValueError as error:
            return self._fault(entry, path, str(error))
        self.places[path] = entry.place
        return value

    def _secret_file(self, entry: Entry, path: str) -> object:
        path_of_file = f"{path}File"
        if not isinstance(entry, Leaf) or entry.text is None:
            return self._fault(entry, path_of_file, f"must be the path of a file, not {_kind_word(entry)}")
        try:
            value = printable(self._read_file(entry.text))
        except OSError as error:
            return self._fault(entry, path_of_file, f"cannot read {entry.text}: {error.strerror or 'unreadable'}")
        except UnicodeDecodeError:
            return self._fault(entry, path_of_file, f"{entry.text} is not text")
        except ValueError as error:
            return self._fault(entry, path_of_file, f"{entry.text}: {error}")
        if not value:
            return self._fault(entry, path_of_file, f"{entry.text} is empty")
        self.places[path] = msgspec.structs.replace(entry.place, via=entry.text)
        return value

    def _entries(self, entry: Entry, path: str) -> Mapping[str, Entry] | None:
        if isinstance(entry, Branch):
            return entry.entries
        if isinstance(entry, Leaf) and entry.text is None:
            return {}  # `server:` with everything below it commented out
        self._fault(entry, path, f"must be a mapping, not {_kind_word(entry)}")
        return None

    def _refuse_unknown(self, kind: inspect.StructType, entries: Mapping[str, Entry], path: str) -> None:
        known = [field.encode_name for field in kind.fields]
        known += [f"{field.encode_name}File" for field in kind.fields if is_secret(field.type)]
        for key, entry in entries.items():
            if key in known:
                continue
            below = _below(path, key)
            if below in self._later_keys:
                note = f"is not used by this version: {self._later_keys[below]}"
                self.warnings.append(Fault(place=entry.place, path=below, message=note))
            else:
                hint = did_you_mean(key, known) or (f"known here: {', '.join(known)}" if len(known) <= 12 else "")
                self._fault(entry, below, f"is not a setting{'; ' if hint else ''}{hint}")


def is_secret(kind: inspect.Type) -> bool:
    """Say whether a field holds a `Secret`, optional or not."""
    if isinstance(kind, inspect.Metadata):
        kind = kind.type
    members = kind.types if isinstance(kind, inspect.UnionType) else (kind,)
    return any(isinstance(member, inspect.CustomType) and member.cls is Secret for member in members)


def _below(path: str, key: str) -> str:
    return f"{path}.{key}" if path else key


def _optional(kind: inspect.Type) -> bool:
    if isinstance(kind, inspect.Metadata):
        kind = kind.type
    return isinstance(kind, inspect.UnionType)


def _default_of(field: inspect.Field) -> object:
    if field.default is not msgspec.NODEFAULT:
        return field.default
    return None if field.default_factory is msgspec.NODEFAULT else field.default_factory()


def _sole_required(kind: inspect.StructType) -> str | None:
    required = [field.encode_name for field in kind.fields if field.required]
    return required[0] if len(required) == 1 else None


def _kind_word(entry: Entry) -> str:
    if isinstance(entry, Leaf):
        return "nothing" if entry.text is None else "a single value"
    return "a mapping" if isinstance(entry, Branch) else "a list"
