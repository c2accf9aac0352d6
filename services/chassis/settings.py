"""
Settings from a file, the environment and options, for any service: `load_settings`.

It is pure: the text, the environment and the way to read a secret's file are handed in, and what is wrong comes back
as a list, never as an exception for the first fault. What wins, highest first: an option, a variable of the table,
the file, a fallback variable (`HTTPS_PROXY` and the like, which were not written for us), the default.
An empty variable counts as not set, because that is how compose files and shells spell it.
"""

from collections.abc import Callable, Iterable, Mapping
from typing import Final, Generic, TypeVar

import msgspec
from msgspec import inspect

from services.chassis.settings_document import DEFAULT, Branch, Fault, Leaf, Place, drop, find, lay, read_document
from services.chassis.settings_reader import Reader, ReadFile, is_secret
from services.chassis.settings_values import did_you_mean

T = TypeVar("T", bound=msgspec.Struct)

Complaint = tuple[str, str]  # the path of a setting and what is wrong with it

_FILE_SUFFIX: Final = "_FILE"


class Variables(msgspec.Struct, frozen=True, kw_only=True):
    """Which environment variables a service reads, and which keys it knows without using them."""

    names: Mapping[str, str] = {}  # variable -> path; outranks the file; secrets also as <NAME>_FILE
    fallbacks: Mapping[
        str, str
    ] = {}  # variable -> path; used only where nothing else is said; the first set one counts
    prefix: str = ""  # an unknown variable that begins so is worth a warning; empty: none is
    others: tuple[str, ...] = ()  # beginnings of variables with the prefix that are read elsewhere
    later_keys: Mapping[str, str] = {}  # path of a key of another version -> note for the warning


class ConfigurationError(Exception):
    """Settings that cannot be used; `faults` holds every reason."""

    def __init__(self, faults: tuple[Fault, ...]) -> None:
        super().__init__("; ".join(str(fault) for fault in faults))
        self.faults = faults


class Loaded(msgspec.Struct, Generic[T], frozen=True, kw_only=True):
    """The outcome of loading. In spite of faults `value` may be there, with defaults in their place, for display."""

    value: T | None
    faults: tuple[Fault, ...] = ()
    warnings: tuple[Fault, ...] = ()
    places: Mapping[str, Place] = {}

    def place(self, path: str) -> Place:
        """Say where the value at a path comes from, such as `config.yaml:3` or `env ZCODE_PROXY_PORT`."""
        return self.places.get(path, DEFAULT)

    def unwrap(self) -> T:
        """Return the settings, or raise `ConfigurationError` with every fault."""
        if self.faults or self.value is None:
            raise ConfigurationError(self.faults)
        return self.value


def load_settings(
    cls: type[T],
    yaml_text: str | None,
    environ: Mapping[str, str],
    variables: Variables,
    *,
    read_file: ReadFile,
    file_name: str = "config.yaml",
    options: Mapping[str, tuple[str, str]] | None = None,
    validate: Callable[[T], Iterable[Complaint]] | None = None,
) -> Loaded[T]:
    """
    Read settings of type `cls`.

    `options` maps a path to the option's name and its text. `validate` sees the finished settings and names what no
    single field can know; it runs even when fields were faulty (on their defaults), so that all is reported at once.
    """
    document, faults = read_document(yaml_text, file_name)
    faults += _lay_environment(cls, document, environ, variables)
    for path, (name, text) in (options or {}).items():
        lay(document, path, Leaf(text=text, place=Place(kind="option", name=name)))
    reader = Reader(read_file=read_file, later_keys=variables.later_keys)
    read = reader.root(cls, document)
    value = read if isinstance(read, cls) else None
    faults += reader.faults
    if value is not None and validate is not None:
        faults += _complaints(validate(value), faults, reader.places)
    warnings = (*reader.warnings, *_unknown_variables(environ, variables))
    faults.sort(key=_reading_order)
    return Loaded(value=value, faults=tuple(faults), warnings=warnings, places=reader.places)


def _lay_environment(
    cls: type[msgspec.Struct], document: Branch, environ: Mapping[str, str], variables: Variables
) -> list[Fault]:
    faults = []
    for name, path in variables.names.items():
        secret = is_secret(_type_at(cls, path))
        direct, file = environ.get(name), environ.get(name + _FILE_SUFFIX) if secret else None
        if direct and file:
            place = Place(kind="environment", name=name)
            faults.append(Fault(place=place, path=path, message=f"{name}{_FILE_SUFFIX} is set as well; keep one"))
        elif direct:
            drop(document, f"{path}File")
            lay(document, path, Leaf(text=direct, place=Place(kind="environment", name=name)))
        elif file:
            drop(document, path)
            lay(document, f"{path}File", Leaf(text=file, place=Place(kind="environment", name=name + _FILE_SUFFIX)))
    for name, path in variables.fallbacks.items():
        if environ.get(name) and find(document, path) is None:
            lay(document, path, Leaf(text=environ[name], place=Place(kind="environment", name=name)))
    return faults


def _type_at(cls: type[msgspec.Struct], path: str) -> inspect.Type:
    """Return the type of the field at a path; the tables are constants, so a wrong path is a bug and raises."""
    kind: inspect.Type = inspect.type_info(cls)
    for part in path.split("."):
        while isinstance(kind, inspect.Metadata):
            kind = kind.type
        if isinstance(kind, inspect.DictType):
            kind = kind.value_type
            continue
        fields = kind.fields if isinstance(kind, inspect.StructType) else ()
        found = [field.type for field in fields if field.encode_name == part]
        if not found:
            raise LookupError(f"{path} is not a setting of {cls.__name__}")
        kind = found[0]
    return kind


def _complaints(found: Iterable[Complaint], before: list[Fault], places: Mapping[str, Place]) -> list[Fault]:
    """Give each complaint the place of its setting, or of the nearest one above; a faulty field is not judged again."""
    faulty = {fault.path for fault in before}
    faults = []
    for path, message in found:
        if path in faulty:
            continue
        above = path
        while above not in places and "." in above:
            above = above.rpartition(".")[0]
        faults.append(Fault(place=places.get(above, DEFAULT), path=path, message=message))
    return faults


def _reading_order(fault: Fault) -> tuple[bool, int]:
    """The file from top to bottom, then everything else."""
    return fault.place.kind != "file", fault.place.line or 0


def _unknown_variables(environ: Mapping[str, str], variables: Variables) -> list[Fault]:
    if not variables.prefix:
        return []
    known = {*variables.names, *(name + _FILE_SUFFIX for name in variables.names)}
    warnings = []
    for name in sorted(environ):
        if name.startswith(variables.prefix) and name not in known and not name.startswith(variables.others):
            hint = did_you_mean(name, list(variables.names))
            message = f"no setting is read from this variable{'; ' if hint else ''}{hint}"
            warnings.append(Fault(place=Place(kind="environment", name=name), path="", message=message))
    return warnings
