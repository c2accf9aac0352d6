"""Reads the configuration for every command: which file counts, the environment, options; faults end the program."""

import os
from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from typing import Final

import msgspec
import typer

from services.chassis.settings import Loaded, load_settings
from services.chassis.settings_document import Fault, Place
from services.chassis.text_file import read_text
from services.cli.exits import Exit
from services.cli.output import complain
from services.gateway import system_blocks
from services.gateway.settings import VARIABLES, GatewaySettings
from services.gateway.settings_rules import complaints

CONFIG_VARIABLE: Final = "ZCODE_PROXY_CONFIG"
DEFAULT_FILE: Final = "config.yaml"


class FoundFile(msgspec.Struct, frozen=True):
    """Which file is to be read, and who says so; None: none was named and there is no config.yaml here."""

    path: Path | None
    named_by: Place


def find_file(given: Path | None, environ: Mapping[str, str]) -> FoundFile:
    """Choose the file: as given, else by ZCODE_PROXY_CONFIG, else config.yaml here if there is one."""
    if given is not None:
        return FoundFile(given, Place(kind="option", name="config"))
    named = environ.get(CONFIG_VARIABLE)
    if named:
        return FoundFile(Path(named), Place(kind="environment", name=CONFIG_VARIABLE))
    here = Path(DEFAULT_FILE)
    return FoundFile(here if here.exists() else None, Place(kind="default"))


def source_words(given: Path | None) -> str:
    """Say what `load` reads."""
    return str(find_file(given, os.environ).path or "the environment and the defaults (no file)")


def load(
    given: Path | None,
    environ: Mapping[str, str] | None = None,
    options: Mapping[str, tuple[str, str]] | None = None,
    read: Callable[[str], str] = read_text,
) -> Loaded[GatewaySettings]:
    """Read the gateway's settings; a file that was named and cannot be read is a fault as any other."""
    environ = os.environ if environ is None else environ
    found = find_file(given, environ)
    text, fault = None, None
    try:
        text = None if found.path is None else read(str(found.path))
    except OSError as error:
        fault = f"cannot read {found.path}: {(error.strerror or 'unreadable').lower()}"
    except UnicodeDecodeError:
        fault = f"{found.path} is not UTF-8 text"
    loaded = load_settings(
        GatewaySettings,
        text,
        environ,
        VARIABLES,
        read_file=read,
        file_name=str(found.path or DEFAULT_FILE),
        options=options,
        validate=lambda settings: (
            *complaints(settings),
            *system_blocks.complaints(settings.start_plan, read),
        ),
    )
    if fault is None:
        return loaded
    return msgspec.structs.replace(loaded, faults=(Fault(place=found.named_by, path="", message=fault), *loaded.faults))


class SettingsSource:
    """The same settings read again and again, and which files they come from; for a process that looks for changes."""

    def __init__(self, given: Path | None, options: Mapping[str, tuple[str, str]]) -> None:
        self._given = given
        self._options = options
        self._files: dict[Path, None] = {}
        _ = self.load()  # for the names of the files; what is wrong with them was said before

    def load(self) -> Loaded[GatewaySettings]:
        """Read everything anew."""
        self._files = {}
        return load(self._given, options=self._options, read=self._read)

    def files(self) -> Collection[Path]:
        """Return what was read, or tried to."""
        return tuple(self._files)

    def _read(self, name: str) -> str:
        self._files[Path(name).expanduser()] = None
        return read_text(name)


def settings_or_exit(
    given: Path | None, options: Mapping[str, tuple[str, str]] | None = None, *, quiet: bool = False
) -> GatewaySettings:
    """Return the settings, or print every fault and leave with 64. Warnings are printed unless quiet."""
    loaded = load(given, options=options)
    report(loaded, warnings=not quiet)
    return loaded.unwrap()


def report(loaded: Loaded[GatewaySettings], *, warnings: bool = True) -> None:
    """Print warnings and faults on stderr; with faults, leave with 64."""
    for warning in loaded.warnings if warnings else ():
        complain(str(warning), kind="warning")
    for fault in loaded.faults:
        complain(str(fault))
    if loaded.faults:
        raise typer.Exit(Exit.CONFIGURATION)
